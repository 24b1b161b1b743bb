"""What every mapping of a question pays alike: the part of time and energy that placement cannot change.

Digital operations, transfers, the partial sums of row cuts that cannot be avoided, and the cells, each of which
is driven once. A ratio between two mappings is a ratio of what lies on top of this. It is no bound on what
arrays need beyond it: `bounds/` has those.
"""

from __future__ import annotations

from dataclasses import dataclass

from cimsolve.price.gaps import Gaps, gaps_of_phases, own_gaps
from cimsolve.problem.problem import Problem


@dataclass(frozen=True)
class FixedCosts:
    """The figures of a token and of a prefill if arrays took no time and nothing but their cells cost energy."""

    latency_cycles: int
    prefill_cycles: int
    ii_cycles: int
    energy_pj: float


def find_fixed(problem: Problem, least: Gaps) -> FixedCosts:
    """The fixed part; `least` are the gaps with the fewest partial sums (`least_partial_sum_elements`).

    Gaps run one at a time (S6), so a token takes their sum at least. The leakage is that of the arrays which
    the weights' area needs, over this time.
    """
    hardware = problem.hardware
    gaps = own_gaps(problem, least)
    latency = sum(gap.cycles for gap in gaps)
    digital = sum(gap.partial_sum_cycles + gap.digital_cycles for gap in gaps)
    transfer = sum(gap.transfer_cycles for gap in gaps)
    prefill = 0
    for members in gaps_of_phases(problem, least).values():
        fill = sum(gap.cycles for gap in members)
        busiest = max(
            sum(gap.partial_sum_cycles + gap.digital_cycles for gap in members),
            sum(gap.transfer_cycles for gap in members),
        )
        prefill += fill + (problem.model.tokens - 1) * busiest
    energy = sum(value for gap in gaps for value in gap.energy_pj.values())
    if hardware.energy_pj is not None:
        cells = problem.weight_cells * hardware.columns_per_weight
        energy += hardware.input_phases * hardware.energy_pj.cell * cells
    arrays = -(-problem.weight_cells // (problem.rows * problem.weights_per_row))
    energy += arrays * hardware.array.leakage_uw * latency * hardware.clock_ps * 1e-6
    return FixedCosts(latency, prefill, max(digital, transfer), energy)
