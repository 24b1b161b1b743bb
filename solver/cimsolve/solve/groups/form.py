"""Which blocks of a stage fire together, decided before anything is placed.

A group is one activation: bands that read one input element each, one below the other and side by side along a
diagonal, and in each band columns of all blocks that read it. Only the cells off the diagonal must stay empty
(S2, S3). One band wastes none; every further one saves a read of its array. A stage is dealt to the arrays within
a given time, with as few empty cells as are found; the times go down until nothing is found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cimsolve.chip.wiring import fewest_conversions, weights_per_conversion
from cimsolve.columns import Ints
from cimsolve.problem.problem import Problem
from cimsolve.solve.columns.strips import StripKind
from cimsolve.solve.parts import cut_sizes

TIMES_MAX = 60
"""So many times are tried for a stage."""


@dataclass(frozen=True)
class Band:
    """Columns `start ... end - 1` of strip `number` of a kind."""

    kind: int
    number: int
    start: int
    end: int


@dataclass
class Group:
    """One activation: its bands with their heights, rows and columns along the diagonal, and its time in `cycles`."""

    height: int
    rows: int
    cols: int
    cycles: int
    bands: list[tuple[int, Band]]

    def ordered(self) -> list[tuple[int, Band]]:
        """The bands, the largest first: groups of equal shape then agree band by band."""
        return sorted(self.bands, key=lambda each: (-each[0], each[1].start - each[1].end))


@dataclass(frozen=True)
class Grouping:
    """All groups of a stage, the time in which the arrays can fire them, and the cells they keep empty."""

    cycles: int
    waste: int
    groups: tuple[Group, ...]


def groupings(problem: Problem, kinds: list[StripKind], arrays: int, cut: bool) -> list[Grouping]:
    """Ways to group a stage: the longest time first, each other faster and with more empty cells.

    `cut`: whether a band may end inside a block.
    """
    found: list[Grouping] = []
    limit: int | None = None
    for _ in range(TIMES_MAX):
        grouping = _Stage(problem, kinds, arrays, cut).grouped(limit)
        if grouping is None:
            break
        while found and found[-1].waste >= grouping.waste:
            found.pop()
        found.append(grouping)
        limit = grouping.cycles - 1
    return found


class _Stage:
    """Strips of one stage dealt to arrays one after the other; columns of the tables are arrays or groups."""

    def __init__(self, problem: Problem, kinds: list[StripKind], arrays: int, cut: bool) -> None:
        self.problem, self.kinds, self.cut = problem, kinds, cut
        self.rows = min(problem.rows, problem.hardware.array.rows_active_max or problem.rows)
        self.heights = np.unique([kind.height for kind in kinds])
        columns = np.arange(problem.weights_per_row + 1)
        conversions = fewest_conversions(problem.hardware, columns * problem.hardware.columns_per_weight)
        self.cycles: Ints = problem.hardware.activation_cycles(self.heights[:, None], conversions[None])
        """Time of an activation by its greatest height and its columns."""
        self.busy = np.zeros(arrays, dtype=np.int64)
        self.groups: list[Group] = []
        self.home: list[int] = []

    def grouped(self, limit: int | None) -> Grouping | None:
        """All strips dealt such that no array is busy for more than `limit` cycles, or None."""
        most = limit if limit is not None else int(self.cycles.max()) * (1 + sum(kind.count for kind in self.kinds))
        for kind, number in self._strips():
            start = 0
            while start < self.kinds[kind].cols:
                taken = self._alone(kind, number, start, most) or self._joined(kind, number, start, most)
                if not taken:
                    return None
                start += taken
        cells = sum(kind.count * kind.height * kind.cols for kind in self.kinds)
        waste = sum(group.rows * group.cols for group in self.groups) - cells
        return Grouping(int(self.busy.max()), waste, tuple(self.groups))

    def _strips(self) -> Iterator[tuple[int, int]]:
        """The slowest first."""
        row = self.problem.weights_per_row
        slowest = [int(self.cycles[self._rank(kind.height), min(row, kind.cols)]) * kind.cols for kind in self.kinds]
        for kind in sorted(range(len(self.kinds)), key=lambda number: (-slowest[number], number)):
            for number in range(self.kinds[kind].count):
                yield kind, number

    def _rank(self, height: int) -> int:
        return int(np.searchsorted(self.heights, height))

    def _breaks(self, kind: int, start: int) -> Ints:
        """Where a band that begins at `start` may end, ascending."""
        strip, row = self.kinds[kind], self.problem.weights_per_row
        if self.cut:
            step = min(row, weights_per_conversion(self.problem.hardware))
            return np.union1d(np.arange(start + step, strip.cols, step), [strip.cols])
        blocks = zip(strip.edges, np.diff(strip.edges).tolist(), strict=False)
        inner = np.concatenate([edge + np.cumsum(cut_sizes(width, row)) for edge, width in blocks])
        return inner[inner > start]

    def _fit(self, breaks: Ints, start: int, columns: Ints) -> Ints:
        """How many columns a band from `start` has if it may have `columns` at most; elementwise."""
        ends = np.concatenate([[start], breaks])
        return np.asarray(ends[np.searchsorted(ends, start + columns, side="right") - 1] - start)

    def _alone(self, kind: int, number: int, start: int, most: int) -> int:
        """A group of its own on the array least busy that has time for most columns; gives how many it takes."""
        height = self.kinds[kind].height
        cycles = self.cycles[self._rank(height)]
        room = np.searchsorted(cycles[1:], most - self.busy, side="right")
        columns = self._fit(self._breaks(kind, start), start, room)
        array = int(np.lexsort((self.busy, -columns))[0])
        taken = int(columns[array])
        if taken:
            band = Band(kind, number, start, start + taken)
            self.groups.append(Group(height, height, taken, int(cycles[taken]), [(height, band)]))
            self.home.append(array)
            self.busy[array] += int(cycles[taken])
        return taken

    def _joined(self, kind: int, number: int, start: int, most: int) -> int:
        """A further band of a group that has time and room for most columns, then wastes least."""
        height = self.kinds[kind].height
        home = np.array(self.home, dtype=np.int64)
        now = np.array([(group.height, group.rows, group.cols, group.cycles) for group in self.groups], dtype=np.int64)
        if not len(now):
            return 0
        tallest, rows, cols, cycles = now.T
        rank = np.searchsorted(self.heights, np.maximum(tallest, height))
        left = most - self.busy[home] + cycles
        widest = np.empty_like(left)
        for each in np.unique(rank).tolist():
            mine = rank == each
            widest[mine] = np.searchsorted(self.cycles[each, 1:], left[mine], side="right")
        widest = np.where(rows + height <= self.rows, widest - cols, 0)
        columns = self._fit(self._breaks(kind, start), start, np.maximum(widest, 0))
        waste = rows * columns + height * cols
        at = int(np.lexsort((waste, -columns))[0])
        taken = int(columns[at])
        if taken:
            group = self.groups[at]
            group.bands.append((height, Band(kind, number, start, start + taken)))
            group.height, group.rows, group.cols = max(group.height, height), group.rows + height, group.cols + taken
            after = int(self.cycles[self._rank(group.height), group.cols])
            self.busy[home[at]] += after - group.cycles
            group.cycles = after
        return taken
