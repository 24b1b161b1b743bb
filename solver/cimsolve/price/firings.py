"""What each activation of a mapping drives and reads, and how long it takes. docs/formulation.md, section "Costs"."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from cimsolve.chip.spec import Hardware
from cimsolve.chip.wiring import busiest_of_run, busiest_of_runs
from cimsolve.columns import Bools, Floats, Ints, deepest_stack, merge_intervals, order_by, sum_by
from cimsolve.price.experts import costliest, fires_at_most, sum_at_most
from cimsolve.price.gaps import Gaps, find_gaps, partial_sum_elements
from cimsolve.price.moves import TokenMoves, find_moves, place_in_order
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Pieces

CHUNK = 1 << 20


@dataclass(frozen=True)
class Fired:
    """A mapping seen against its problem, whenever its activations run.

    Columns have shape (activations,), but `of_piece` (pieces,); rows and columns are physical ones.
    """

    problem: Problem
    pieces: Pieces
    of_piece: Ints
    """The activation that fires each piece."""
    gaps: Gaps
    stage: Ints
    array: Ints
    expert: Ints
    """The expert of its stage that it is of; -1: every token fires it."""
    rows: Ints
    """Rows driven (the union over its pieces)."""
    columns: Ints
    """Columns read (the union over its pieces)."""
    conversions: Ints
    """v: columns read on the busiest converter."""
    stacked: Ints
    """n: most occupied driven cells in any read column."""
    cells: Ints
    """Occupied driven cells in read columns."""
    cycles: Ints
    """How long it lasts: all positions of its stage, one after the other."""
    place: Ints | None
    """The place of the core that holds each array, shape (arrays,); None on a flat chip."""
    moves: TokenMoves | None
    """What moves between hub and cores; None on a flat chip."""

    def __len__(self) -> int:
        return len(self.stage)

    @staticmethod
    def of(problem: Problem, pieces: Pieces, of_piece: Ints, place: Ints | None = None) -> Fired:
        """The activations 0 ... count - 1 that `of_piece`, shape (pieces,), groups the pieces into, none left out.

        `place`, shape (arrays,): where the arrays are on a chip with a network; None: in order.
        Raises InputError for more work between stages than can be counted.
        """
        hardware, count = problem.hardware, int(of_piece.max()) + 1
        stage, array, expert = np.zeros((3, count), dtype=np.int64)
        stage[of_piece] = problem.table.stage[pieces.factor]
        expert[of_piece] = problem.table.expert[pieces.factor]
        array[of_piece] = pieces.array
        shapes = _shapes(hardware, pieces, of_piece, count)
        cells = sum_by(of_piece, pieces.rows.astype(np.int64) * pieces.cols * hardware.columns_per_weight, count)
        if place is None:
            place = place_in_order(problem, int(pieces.array.max()) + 1)
        moves = None if place is None else find_moves(problem, pieces, place)
        added = partial_sum_elements(problem, pieces) if moves is None else moves.hub_added
        return Fired(
            problem,
            pieces,
            of_piece,
            find_gaps(problem, added, moves),
            stage,
            array,
            expert,
            **shapes,
            cells=cells,
            cycles=hardware.activation_cycles(shapes["stacked"], shapes["conversions"])
            * problem.workload.positions[stage],
            place=place,
            moves=moves,
        )

    @property
    def cells_stored(self) -> int:
        """Cells that the pieces take: those of weights that fire again once."""
        weights = (self.pieces.rows.astype(np.int64) * self.pieces.cols)[self.is_stored]
        return int(weights.sum()) * self.problem.hardware.columns_per_weight

    @property
    def is_stored(self) -> Bools:
        """Whether each piece is stored itself, and does not fire the weights of another again; shape (pieces,)."""
        return np.asarray(self.problem.table.stored[self.pieces.factor] == self.pieces.factor)

    @property
    def times(self) -> Ints:
        """How many times each activation fires in a pass: at every position of its stage; shape (activations,)."""
        return self.problem.workload.positions[self.stage]

    def jobs(self, array: Ints, cycles: Ints) -> tuple[Ints, Ints, Ints]:
        """Stage, array and cycles of jobs that may be summed by either: of experts the worst that a token can choose.

        `array` and `cycles` are those of the activations, shape (activations,).
        """
        if not self.problem.workload.has_experts:
            return self.stage, array, cycles
        return self.whole_jobs(array, cycles)

    def whole_jobs(self, array: Ints, cycles: Ints) -> tuple[Ints, Ints, Ints]:
        """Stage, array and cycles of what each array does in each stage, sorted by stage and array; see `jobs`."""
        stage, of_job, job = self._numbered_jobs(array)
        return stage, of_job, sum_at_most(job, self.expert, cycles, self.problem.workload.chosen[stage])

    def _numbered_jobs(self, array: Ints) -> tuple[Ints, Ints, Ints]:
        """Stage and array of each job, sorted, and the number of the job of each activation."""
        arrays = int(array.max()) + 1
        keys, job = np.unique(self.stage * arrays + array, return_inverse=True)
        return *np.divmod(keys, arrays), job.reshape(-1)

    @cached_property
    def slowest(self) -> Bools:
        """The activations of the experts that keep each array longest in each stage, and of none; (activations,)."""
        stage, _, job = self._numbered_jobs(self.array)
        return fires_at_most(job, self.expert, self.cycles, self.problem.workload.chosen[stage])

    @cached_property
    def in_worst_case(self) -> Bools | slice:
        """The activations of a token that chooses in every stage the experts that cost most; shape (activations,)."""
        if not self.problem.workload.has_experts:
            return slice(None)
        return costliest(self.stage, self.expert, self.cost_pj, self.problem.workload.chosen)

    @cached_property
    def cost_pj(self) -> Floats:
        """What each activation costs in its array at all positions, pJ; shape (activations,)."""
        hardware, found = self.problem.hardware, np.empty(len(self))
        for begin in range(0, len(self), CHUNK):  # all components of all at once would take gigabytes
            here = slice(begin, begin + CHUNK)
            columns, positions = self.columns[here], self.problem.workload.positions[self.stage[here]]
            conversions_pj = hardware.conversion_pj(hardware.adc_bits_used(self.stacked[here])) * columns
            once = np.ones(len(columns), dtype=np.int64)
            parts = hardware.array_kind.energy_pj(once, self.rows[here], self.cells[here], columns, conversions_pj)
            found[here] = positions * np.sum(list(parts.values()), axis=0)
        return found

    def in_order(self, order: Ints) -> Fired:
        """The activations numbered as `order`, shape (activations,), has them, and the pieces sorted by activation."""
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        of_piece = rank[self.of_piece]
        by_activation = order_by(of_piece)
        columns = ("stage", "array", "expert", "rows", "columns", "conversions", "stacked", "cells", "cycles")
        return replace(
            self,
            pieces=self.pieces.take(by_activation),
            of_piece=of_piece[by_activation],
            **{name: getattr(self, name)[order] for name in columns},
        )


def _shapes(hardware: Hardware, pieces: Pieces, fires: Ints, count: int) -> dict[str, Ints]:
    """`rows`, `columns`, `conversions` and `stacked` of each activation."""
    width = hardware.columns_per_weight
    members = np.bincount(fires, minlength=count)
    rows, columns, conversions, stacked = np.zeros((4, count), dtype=np.int64)
    left = pieces.array_col.astype(np.int64) * width
    right = left + pieces.cols.astype(np.int64) * width
    alone: Bools | slice = slice(None) if (members == 1).all() else members[fires] == 1
    single = fires[alone]
    rows[single] = stacked[single] = pieces.rows[alone]
    columns[single] = (right - left)[alone]
    conversions[single] = busiest_of_run(hardware, left[alone], columns[single])
    if len(single) < len(fires):
        several = np.flatnonzero(members > 1)
        groups = len(several)
        renumber = np.full(count, -1, dtype=np.int64)
        renumber[several] = np.arange(groups)
        others = np.flatnonzero(members[fires] > 1)
        some, left, right = pieces.take(others), left[others], right[others]
        group = renumber[fires[others]]
        row_group, row_start, row_end = merge_intervals(group, some.array_row, some.array_row + some.rows)
        rows[several] = sum_by(row_group, row_end - row_start, groups)
        col_group, col_start, col_end = merge_intervals(group, left, right)
        columns[several] = sum_by(col_group, col_end - col_start, groups)
        conversions[several] = busiest_of_runs(hardware, col_group, col_start, col_end, groups)
        stacked[several] = deepest_stack(group, left, right, some.rows, groups)
    return {"rows": rows, "columns": columns, "conversions": conversions, "stacked": stacked}
