"""What a mapping costs, each equation once. Equations: docs/formulation.md, section "Costs"."""
