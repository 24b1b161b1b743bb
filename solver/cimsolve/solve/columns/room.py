"""What dealing works on: free columns, how long pieces take, and who got what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from cimsolve.chip.wiring import busiest_of_run, weights_per_conversion
from cimsolve.columns import Ints, ceil_div
from cimsolve.pack.columns import Shelves
from cimsolve.problem.problem import Problem
from cimsolve.solve.columns.batches import Batch
from cimsolve.solve.columns.strips import StripKind

PIECES_MAX, CYCLES_MAX = 25_000_000, 1 << 40
"""Pieces that a mapping has at most, if a longer time of its stages has that effect: what a machine can hold."""
TABLE_MAX = 1 << 20
"""Most entries of a table by cycles."""


class Room:
    """Free columns of one height: what is left of every shelf, a table (arrays, shelves).

    `row`, `col`: where each shelf begins; in which order runs lie on it is left to the end.
    """

    def __init__(self, left: Ints, row: Ints, col: Ints) -> None:
        self.left, self.row, self.col = left, row, col

    @staticmethod
    def of(shelves: Shelves, height: int, arrays: int) -> Room:
        """All shelves of this height."""
        mine = np.flatnonzero(shelves.height == height)
        array = shelves.array[mine]
        slot = np.arange(len(mine)) - np.searchsorted(array, array)
        left, row, col = (np.zeros((arrays, int(slot.max()) + 1), dtype=np.int64) for _ in range(3))
        for table, values in ((left, shelves.width), (row, shelves.row), (col, shelves.col)):
            table[array, slot] = values[mine]
        return Room(left, row, col)

    def copy(self) -> Room:
        """A copy whose free columns can be used up without changing this one's."""
        return Room(self.left.copy(), self.row, self.col)

    def joined(self) -> Room:
        """The columns of all shelves of an array as one shelf."""
        total = self.left.sum(axis=1, keepdims=True)
        return Room(total, np.zeros_like(total), np.zeros_like(total))

    @property
    def widest(self) -> Ints:
        """Widest free run on each array, not to be changed; shape (arrays,)."""
        return self.left[:, 0] if self.left.shape[1] == 1 else np.asarray(self.left.max(axis=1))

    @property
    def total(self) -> Ints:
        """Free columns on each array, not to be changed; shape (arrays,)."""
        return self.left[:, 0] if self.left.shape[1] == 1 else np.asarray(self.left.sum(axis=1))

    def take(self, array: Ints, width: Ints) -> Ints:
        """Take a run of `width` on each of `array` (all different), from the tightest shelf; gives the shelves."""
        shelf = np.zeros(len(array), dtype=np.int64)
        if self.left.shape[1] > 1:
            left = self.left[array]
            shelf = np.asarray(np.where(left >= width[:, None], left, np.iinfo(np.int64).max).argmin(axis=1))
        self.left[array, shelf] -= width
        return shelf


class Durations:
    """Cycles of one piece by height and columns, as if it fired alone and lay as badly as can be."""

    def __init__(self, problem: Problem, heights: list[int]) -> None:
        hardware = problem.hardware
        self.step = weights_per_conversion(hardware)
        columns = np.arange(1, problem.weights_per_row + 1) * hardware.columns_per_weight
        # Columns from the first of a converter on are the most that one converter can get of a run.
        busiest = busiest_of_run(hardware, 0, columns)
        self.of_columns: dict[int, Ints] = {
            height: np.concatenate([[0], hardware.activation_cycles(height, busiest)]) for height in set(heights)
        }
        self._most_columns = {
            height: np.searchsorted(cycles, np.arange(cycles[-1] + 1), side="right") - 1
            for height, cycles in self.of_columns.items()
            if cycles[-1] < TABLE_MAX
        }
        """Most columns of one firing, by the cycles that there are for it: looked up 25 times faster than searched."""
        widths = np.arange(problem.weights_per_row + 1)
        self._best_rate = {
            height: np.maximum.accumulate(widths / np.maximum(cycles, 1)) for height, cycles in self.of_columns.items()
        }
        """Most columns a cycle of pieces up to each width."""

    def most_columns(self, height: int, cycles: Ints | int) -> Ints:
        """Most columns that one firing reads in so many cycles; elementwise."""
        if height in self._most_columns:
            return self._most_columns[height].take(cycles, mode="clip")
        return np.maximum(np.searchsorted(self.of_columns[height], cycles, side="right") - 1, 0)

    def widest_piece(self, kind: StripKind, cycles: int) -> int:
        """Columns of the widest piece of a strip that one firing reads in so many cycles, one at least."""
        return max(1, min(kind.cols, int(self.most_columns(kind.height, cycles))))

    def fewest_pieces(self, kinds: Iterable[StripKind], cycles: int) -> int:
        """Fewest pieces of all strips of which each fires in so many cycles."""
        return sum(kind.count * -(-kind.cols // self.widest_piece(kind, cycles)) for kind in kinds)

    def most_columns_of_runs(self, height: int, cycles: Ints, widest: Ints) -> Ints:
        """No fewer columns than any number of firings read in so many cycles, `widest` each at most; elementwise."""
        alone = np.minimum(self.most_columns(height, cycles), widest)
        # Of several firings each leaves time for another.
        each = np.minimum(self.most_columns(height, cycles - self.of_columns[height][1]), widest)
        shared = (cycles * self._best_rate[height][each] * (1 + 1e-12)).astype(np.int64)
        return np.maximum(alone, shared)


def piece_widths(problem: Problem, batches: list[Batch], heights: Ints) -> Ints:
    """The widest piece that each of `heights` has where every batch takes its least time; shape (heights,)."""
    durations = Durations(problem, [kind.height for batch in batches for kind in batch.kinds])
    widest: dict[int, int] = {}
    for batch in batches:
        for kind in batch.kinds:
            width = durations.widest_piece(kind, batch.least_cycles)
            pieces = -(-kind.cols // width)
            width = min(width, -(-kind.cols // pieces // durations.step) * durations.step)
            widest[kind.height] = max(widest.get(kind.height, 1), width)
    return np.array([widest[height] for height in heights.tolist()], dtype=np.int64)


def most_columns_an_array(problem: Problem, batches: list[Batch], heights: Ints) -> Ints:
    """Most columns of each of `heights` that one array can hold if every batch takes its least time; (heights,).

    An array with more shelves of one height than that cannot be filled without making a stage wait.
    """
    durations = Durations(problem, [kind.height for batch in batches for kind in batch.kinds])
    most = dict.fromkeys(heights.tolist(), 0)
    for batch in batches:
        least = batch.least_cycles
        for height in {kind.height for kind in batch.kinds}:
            alike = [kind for kind in batch.kinds if kind.height == height]
            inputs, widest = sum(kind.count for kind in alike), max(kind.cols for kind in alike)
            firings = np.arange(1, max(1, min(inputs, least // int(durations.of_columns[height][1]))) + 1)
            most[height] += int((firings * np.minimum(durations.most_columns(height, least // firings), widest)).max())
    return np.array([most[height] for height in heights.tolist()], dtype=np.int64)


def in_few_pieces(problem: Problem, batches: list[Batch]) -> list[Batch]:
    """The batches with so much more time, all by one factor, that they come to PIECES_MAX at most, if they can."""
    durations = Durations(problem, [kind.height for batch in batches for kind in batch.kinds])
    cycles = [batch.least_cycles for batch in batches]
    while max(cycles) < CYCLES_MAX:
        if sum(map(durations.fewest_pieces, (batch.kinds for batch in batches), cycles)) <= PIECES_MAX:
            break
        cycles = [ceil_div(time * 21, 20) for time in cycles]
    return [replace(batch, least_cycles=time) for batch, time in zip(batches, cycles, strict=True)]


@dataclass(frozen=True)
class Share:
    """Runs of a strip kind's columns on arrays; arrays of shape (runs,)."""

    kind: StripKind
    strip: Ints
    first: Ints
    width: Ints
    array: Ints
    shelf: Ints
