"""Deal the columns of every stage over the arrays so that no array makes the stage wait.

Arrays are shelves of one height each (a layout of `packing.columns`). A stage is tried at its least time first; its
strips are cut to what an array can convert in that time, and each array gets one piece. Where there are more
pieces than arrays, the rests of strips share arrays, each paying its own read. Stages with the least choice go
first; the last ones, whose pieces are small, fill what is left.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cimsolve.arrays import Ints
from cimsolve.bounds.time import least_stage_cycles
from cimsolve.mapping import Mapping, Pieces
from cimsolve.packing.columns import Shelves
from cimsolve.problem import Problem
from cimsolve.strategies.common import fire_same_inputs_together
from cimsolve.strategies.optimal.strips import StripKind


def columns_per_step(problem: Problem) -> int:
    """Logical columns that all converters of an array read in one conversion, at least 1."""
    return max(1, problem.hardware.adc.per_array // problem.hardware.columns_per_weight)


class Durations:
    """Cycles of one piece by height and columns, as if it fired alone and lay as badly as can be."""

    def __init__(self, problem: Problem, heights: list[int]) -> None:
        hardware = problem.hardware
        self.step = columns_per_step(problem)
        columns = np.arange(1, problem.weights_per_row + 1) * hardware.columns_per_weight
        busiest = -(-columns // hardware.adc.per_array)
        if hardware.adc.wiring == "adjacent":
            busiest = np.minimum(columns, -(-hardware.array.cols // hardware.adc.per_array))
        self.of_columns: dict[int, Ints] = {
            height: np.concatenate([[0], hardware.activation_cycles(height, busiest)]) for height in set(heights)
        }

    def most_columns(self, height: int, cycles: Ints | int) -> Ints:
        """Most columns that one firing reads in so many cycles; elementwise."""
        return np.asarray(np.searchsorted(self.of_columns[height], cycles, side="right") - 1)


class Room:
    """Free columns: per height, the rest of every shelf as (arrays, shelves) tables."""

    def __init__(self, shelves: Shelves, arrays: int) -> None:
        self.arrays = arrays
        self.left: dict[int, Ints] = {}
        self.row: dict[int, Ints] = {}
        self.next_col: dict[int, Ints] = {}
        for height in np.unique(shelves.height).tolist():
            mine = shelves.height == height
            array = shelves.array[mine]
            first = np.searchsorted(array, np.arange(arrays))
            index = np.arange(len(array)) - first[array]
            shape = (arrays, int(index.max()) + 1)
            for table, values in (
                (self.left, shelves.width[mine]),
                (self.row, shelves.row[mine]),
                (self.next_col, shelves.col[mine]),
            ):
                table[height] = np.zeros(shape, dtype=np.int64)
                table[height][array, index] = values

    def copy(self, heights: set[int]) -> Room:
        """The same room, where `heights` may be taken from without changing this one."""
        other = copy.copy(self)
        for name in ("left", "next_col"):
            table = getattr(self, name)
            setattr(other, name, {h: values.copy() if h in heights else values for h, values in table.items()})
        return other

    def widest(self, height: int) -> Ints:
        """Widest free run on each array; shape (arrays,)."""
        return self.left[height].max(axis=1)

    def total(self, height: int) -> Ints:
        """Free columns on each array; shape (arrays,)."""
        return self.left[height].sum(axis=1)

    def take(self, height: int, array: Ints, width: Ints) -> tuple[Ints, Ints]:
        """Take `width` columns from the tightest shelf that has them, one piece an array; gives (row, col)."""
        left = self.left[height][array]
        fits = np.where(left >= width[:, None], left, np.iinfo(np.int64).max)
        shelf = fits.argmin(axis=1)
        row = self.row[height][array, shelf]
        col = self.next_col[height][array, shelf]
        self.left[height][array, shelf] -= width
        self.next_col[height][array, shelf] += width
        return row, col


class StageIsFull(Exception):
    """The stage does not fit in the time tried."""


@dataclass(frozen=True)
class Share:
    """Runs of a strip kind's columns and their places; arrays of shape (runs,)."""

    kind: StripKind
    strip: Ints
    first: Ints
    width: Ints
    array: Ints
    row: Ints
    col: Ints


def deal_strips(
    problem: Problem,
    stages: list[list[StripKind]],
    shelves: Shelves,
    arrays: int,
    listen: Callable[[int, int], None],
) -> Mapping:
    """Give every column of every strip a place. `shelves` must have room for all heights.

    `listen` hears how many of how many stages are dealt.
    """
    durations = Durations(problem, [kind.height for kinds in stages for kind in kinds])
    room = Room(shelves, arrays)
    least = least_stage_cycles(problem, arrays)
    pieces: list[Pieces] = []
    for done, stage in enumerate(_by_choice(stages, durations, least)):
        shares, room = _deal_stage(stages[stage], durations, room, least[stage])
        pieces += [_pieces_of(share) for share in shares]
        listen(done + 1, len(stages))
    placed = Pieces.concatenate(pieces)
    return Mapping(placed, fire_same_inputs_together(problem, placed))


def _by_choice(stages: list[list[StripKind]], durations: Durations, least: list[int]) -> list[int]:
    """Stages by how many pieces they need at their least time, most first: these can choose arrays least."""

    def pieces(stage: int) -> int:
        return sum(
            kind.count * -(-kind.cols // max(1, int(durations.most_columns(kind.height, least[stage]))))
            for kind in stages[stage]
        )

    return sorted(range(len(stages)), key=lambda stage: (-pieces(stage), stage))


def _deal_stage(
    kinds: list[StripKind], durations: Durations, room: Room, least_cycles: int
) -> tuple[list[Share], Room]:
    """Shares of one stage at the least time at which dealing succeeds, and the room that they leave."""
    cycles, tries = least_cycles, 0
    while True:
        trial = room.copy({kind.height for kind in kinds})
        try:
            return _try(kinds, durations, trial, cycles), trial
        except StageIsFull:
            tries += 1
            # Small steps first, where the least time matters; then growing ones, to end.
            cycles += max(1, cycles // 100 if tries <= 100 else cycles // 10)


def _try(kinds: list[StripKind], durations: Durations, room: Room, cycles: int) -> list[Share]:
    """Shares with which no array works longer than `cycles`, taken from `room`. Raises StageIsFull."""
    budget = np.full(room.arrays, cycles, dtype=np.int64)
    shares: list[Share] = []
    for kind in sorted(kinds, key=lambda k: (-k.height, k.row0, k.factors)):
        share = _one_each(kind, durations, room, budget) or _several_each(kind, durations, room, budget)
        shares.append(share)
        np.subtract.at(budget, share.array, durations.of_columns[kind.height][share.width])
    return shares


def _one_each(kind: StripKind, durations: Durations, room: Room, budget: Ints) -> Share | None:
    """Every strip in the fewest pieces that the time allows, one an array; None where arrays are too few."""
    able = np.minimum(durations.most_columns(kind.height, budget), room.widest(kind.height))
    most = min(int(able.max()), kind.cols)
    if most < 1:
        return None
    pieces = -(-kind.cols // most)
    # Pieces as equal as can be leave the room more even than full ones and a rest; whole converter steps, as
    # a started one costs as much.
    step = durations.step if most >= durations.step else 1
    edge = np.minimum(np.arange(pieces + 1) * -(-kind.cols // step) // pieces * step, kind.cols)
    width = np.tile(np.diff(edge), kind.count)
    candidates = np.flatnonzero(able >= width.max())
    if len(candidates) < len(width):
        return None
    total = room.total(kind.height)[candidates]
    array = candidates[np.argsort(-total, kind="stable")][: len(width)]
    row, col = room.take(kind.height, array, width)
    strip = np.repeat(np.arange(kind.count), pieces)
    return Share(kind, strip, np.tile(edge[:-1], kind.count), width, array, row, col)


def _several_each(kind: StripKind, durations: Durations, room: Room, budget: Ints) -> Share:
    """Full pieces one an array, then the rests of the strips in what time and room is left.

    A rest may be cut again, and an array may hold several: each pays its own read.
    """
    height, cycles_of = kind.height, durations.of_columns[kind.height]
    most = durations.most_columns(height, budget)
    able = np.minimum(most, room.widest(height))
    full = min(int(able.max()), kind.cols)
    if full < 1:
        raise StageIsFull
    candidates = np.flatnonzero(able >= full)
    total = room.total(height)[candidates]
    fulls = min(kind.count * (kind.cols // full), len(candidates))
    array = candidates[np.argsort(-total, kind="stable")][:fulls]
    strip = np.arange(fulls) % kind.count
    first = np.arange(fulls) // kind.count * full
    width = np.full(fulls, full, dtype=np.int64)
    row, col = room.take(height, array, width)
    runs = [Share(kind, strip, first, width, array, row, col)]
    left = np.full(kind.count, kind.cols, dtype=np.int64)
    np.subtract.at(left, strip, full)
    time_left = budget.copy()
    time_left[array] -= cycles_of[full]
    rests = sorted(((int(cols), number) for number, cols in enumerate(left) if cols), reverse=True)
    able = np.minimum(durations.most_columns(height, time_left), room.widest(height))
    order = np.argsort(-able, kind="stable")
    places: list[tuple[int, int, int, int, int, int]] = []
    shelves, rows, cols = room.left[height], room.row[height], room.next_col[height]
    for number in order[able[order] > 0].tolist():
        time = int(time_left[number])
        while rests:
            shelf = shelves[number]
            run = min(rests[-1][0], int(np.searchsorted(cycles_of, time, "right")) - 1)
            run = min(run, int(shelf.max()))
            if run < 1:
                break
            at = int(np.where(shelf >= run, shelf, np.iinfo(np.int64).max).argmin())
            remaining, which = rests.pop()
            places.append(
                (which, kind.cols - remaining, run, number, int(rows[number, at]), int(cols[number, at]))
            )
            shelves[number, at] -= run
            cols[number, at] += run
            time -= int(cycles_of[run])
            if remaining > run:
                rests.append((remaining - run, which))
        if not rests:
            break
    if rests:
        raise StageIsFull
    runs.append(Share(kind, *np.array(places, dtype=np.int64).reshape(-1, 6).T))
    return _joined(runs)


def _joined(runs: list[Share]) -> Share:
    """Several shares of one kind as one."""
    names = ("strip", "first", "width", "array", "row", "col")
    return Share(runs[0].kind, *(np.concatenate([getattr(run, name) for run in runs]) for name in names))


def _pieces_of(share: Share) -> Pieces:
    """A run of a strip may reach over several blocks that read the same input: one piece for each."""
    kind = share.kind
    parts: list[Pieces] = []
    for factor, begin, end in zip(kind.factors, kind.edges[:-1], kind.edges[1:], strict=True):
        low = np.maximum(share.first, begin)
        high = np.minimum(share.first + share.width, end)
        index = np.flatnonzero(high > low)
        low, high = low[index], high[index]
        parts.append(
            Pieces(
                factor=np.full(len(index), factor, dtype=np.int64),
                block=share.strip[index],
                row0=np.full(len(index), kind.row0, dtype=np.int64),
                rows=np.full(len(index), kind.height, dtype=np.int64),
                col0=low - begin,
                cols=high - low,
                array=share.array[index],
                array_row=share.row[index],
                array_col=share.col[index] + low - share.first[index],
            )
        )
    return Pieces.concatenate(parts)
