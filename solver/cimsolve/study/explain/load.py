"""The busiest array, what lies on it, and what the interval between tokens is bound by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cimsolve.columns import Ints, sum_by
from cimsolve.price.cost import Costs
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Solution


@dataclass(frozen=True)
class Load:
    """The busiest array of one token pass.

    `stage` and the columns beside it, shape (stages on it,), say what it does in each stage: cycles it fires,
    activations, pieces, logical cells they take, and conversions of one input phase.
    """

    array: int
    busy_cycles: int
    mean_busy_cycles: float
    """Busy cycles of an array, averaged over all arrays."""
    as_busy: int
    """Arrays that are busy for at least 99 % of these cycles, itself among them."""
    cells: int
    """Logical cells occupied on the array."""
    stage: Ints
    cycles: Ints
    activations: Ints
    pieces: Ints
    stage_cells: Ints
    conversions: Ints
    digital_cycles: int
    """Cycles that the digital units work in a pass."""
    transfer_cycles: int
    """Cycles that the interconnect works in a pass."""

    @property
    def interval_binds(self) -> str:
        """What a token keeps longest, and so bounds II: `arrays`, `digital units` or `transfer`."""
        loads = {"arrays": self.busy_cycles, "digital units": self.digital_cycles, "transfer": self.transfer_cycles}
        return max(loads, key=loads.__getitem__)


def find_load(problem: Problem, solution: Solution, costs: Costs) -> Load:
    """The array with the most cycles of firing; of equals the one with the lowest number."""
    pieces, activations = solution.pieces, solution.activations
    arrays, index = np.unique(activations.array, return_inverse=True)
    duration = activations.end - activations.start
    busy = sum_by(index.reshape(-1), duration, len(arrays))
    busiest = int(busy.argmax())
    mine = np.flatnonzero(index.reshape(-1) == busiest)
    own = np.flatnonzero(pieces.array == arrays[busiest])
    stages, at = np.unique(costs.fired.stage[mine], return_inverse=True)
    at_piece = np.searchsorted(stages, problem.table.stage[pieces.factor[own]])
    cells = pieces.rows[own].astype(np.int64) * pieces.cols[own]
    count = len(stages)
    parts = costs.latency_components_cycles
    return Load(
        array=int(arrays[busiest]),
        busy_cycles=int(busy[busiest]),
        mean_busy_cycles=float(busy.mean()),
        as_busy=int((busy >= 0.99 * busy[busiest]).sum()),
        cells=int(cells.sum()),
        stage=stages,
        cycles=sum_by(at.reshape(-1), duration[mine], count),
        activations=np.bincount(at.reshape(-1), minlength=count),
        pieces=np.bincount(at_piece, minlength=count),
        stage_cells=sum_by(at_piece, cells, count),
        conversions=sum_by(at.reshape(-1), costs.fired.columns[mine], count),
        digital_cycles=parts["partial_sums"] + parts["digital"],
        transfer_cycles=parts["transfer"],
    )
