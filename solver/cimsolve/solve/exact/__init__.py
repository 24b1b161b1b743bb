"""The whole question as one CP-SAT model."""
