"""Deal the columns of every stage over the arrays so that no array makes the stage wait.

A stage is tried at its least time first; its strips are cut to what an array can convert in that time, and each
array gets one piece. Where there are more pieces than arrays, the rests of strips share arrays, each paying its own
read. Stages with the least choice go first; the last ones, whose pieces are small, fill what is left.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cimsolve.arrays import Ints
from cimsolve.bounds.time import least_phase_work_cycles, least_stage_cycles, least_work_cycles
from cimsolve.packing.columns import Shelves
from cimsolve.problem import Problem
from cimsolve.strategies.optimal.strips import StripKind


class Room:
    """Free columns of one height: the rest of every shelf as a table (arrays, shelves), used from the left."""

    def __init__(self, left: Ints, row: Ints, col: Ints) -> None:
        self.left, self.row, self.col = left, row, col

    @staticmethod
    def of(shelves: Shelves, height: int, arrays: int) -> Room:
        """All shelves of this height."""
        mine = np.flatnonzero(shelves.height == height)
        array = shelves.array[mine]
        slot = np.arange(len(mine)) - np.searchsorted(array, array)
        left, row, col = (np.zeros((arrays, int(slot.max()) + 1), dtype=np.int64) for _ in range(3))
        left[array, slot], row[array, slot], col[array, slot] = (
            shelves.width[mine],
            shelves.row[mine],
            shelves.col[mine],
        )
        return Room(left, row, col)

    def copy(self) -> Room:
        return Room(self.left.copy(), self.row, self.col.copy())

    def joined(self) -> Room:
        """The same columns as if they were one shelf an array."""
        total = self.total[:, None]
        return Room(total, np.zeros_like(total), np.zeros_like(total))

    @property
    def widest(self) -> Ints:
        """Widest free run on each array; shape (arrays,)."""
        return np.asarray(self.left.max(axis=1))

    @property
    def total(self) -> Ints:
        """Free columns on each array; shape (arrays,)."""
        return np.asarray(self.left.sum(axis=1))

    def take(self, array: Ints, width: Ints) -> tuple[Ints, Ints]:
        """Take a run of `width` on each of `array` (all different), from the tightest shelf; gives (row, col)."""
        left = self.left[array]
        shelf = np.where(left >= width[:, None], left, np.iinfo(np.int64).max).argmin(axis=1)
        row, col = self.row[array, shelf], self.col[array, shelf]
        self.left[array, shelf] -= width
        self.col[array, shelf] += width
        return row, col


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
        return np.maximum(np.searchsorted(self.of_columns[height], cycles, side="right") - 1, 0)


def piece_widths(problem: Problem, stages: list[list[StripKind]], heights: Ints, arrays: int) -> Ints:
    """The widest piece that each of `heights` has where every stage takes its least time; shape (heights,)."""
    durations = Durations(problem, [kind.height for kinds in stages for kind in kinds])
    widest: dict[int, int] = {}
    for kinds, least in zip(stages, least_stage_cycles(problem, arrays), strict=True):
        for kind in kinds:
            width = max(1, min(kind.cols, int(durations.most_columns(kind.height, least))))
            pieces = -(-kind.cols // width)
            width = min(width, -(-kind.cols // pieces // durations.step) * durations.step)
            widest[kind.height] = max(widest.get(kind.height, 1), width)
    return np.array([widest[height] for height in heights.tolist()], dtype=np.int64)


class StageIsFull(Exception):
    """The stage does not fit in the time tried."""


@dataclass(frozen=True)
class Share:
    """Runs of a strip kind's columns on arrays; arrays of shape (runs,)."""

    kind: StripKind
    strip: Ints
    first: Ints
    width: Ints
    array: Ints
    row: Ints
    col: Ints


Goal = Literal["latency", "balanced latency", "prefill", "throughput"]
"""What dealing aims at.

`latency`: every stage in its least time, on the arrays with most room, which keeps the choice of later stages wide.
`balanced latency`: the same on the arrays least busy in the stage's phase, which evens out the time between tokens.
`prefill`, `throughput`: no array works longer in a phase, or in the whole pass, than the least that all could do
with; pieces are as wide as that allows, for each piece more is another read.
"""


def deal_strips(
    problem: Problem,
    stages: list[list[StripKind]],
    room: Mapping[int, Room],
    arrays: int,
    goal: Goal,
    listen: Callable[[int, int], None],
) -> list[Share]:
    """Give every column of every strip a place. `room`, height -> room, must suffice for every height.

    `listen` hears how many of how many stages are dealt.
    """
    durations = Durations(problem, [kind.height for kinds in stages for kind in kinds])
    least = _least_cycles(problem, arrays, goal)
    dealt: list[Share] = []
    # Stages of equal shape come one after the other, and room only shrinks: what failed once fails again.
    reached: dict[tuple[tuple[int, ...], ...], int] = {}
    busy: dict[int, Ints] = {}
    for done, stage in enumerate(_by_choice(stages, durations, least)):
        shape = tuple((kind.height, kind.row0, kind.count, *kind.edges) for kind in stages[stage])
        phase = 0 if goal == "throughput" else problem.workload.stages[stage].phase
        load = busy.setdefault(phase, np.zeros(arrays, dtype=np.int64))
        spent = load if goal in ("prefill", "throughput") else np.zeros_like(load)
        prefer = np.zeros_like(load) if goal == "latency" else load
        start = max(least[stage], reached.get(shape, 0))
        shares, left, reached[shape] = _deal_stage(stages[stage], durations, room, spent, prefer, start)
        room = {**room, **left}
        for share in shares:
            np.add.at(load, share.array, durations.of_columns[share.kind.height][share.width])
        dealt += shares
        listen(done + 1, len(stages))
    return dealt


def _least_cycles(problem: Problem, arrays: int, goal: Goal) -> list[int]:
    """For each stage, the least time in which an array must be done: with the stage, its phase, or the pass."""
    stages = problem.workload.stages
    if goal == "throughput":
        return [least_work_cycles(problem, arrays)] * len(stages)
    if goal == "prefill":
        names = sorted({stage.phase for stage in stages})
        of_phase = dict(zip(names, least_phase_work_cycles(problem, arrays), strict=True))
        return [of_phase[stage.phase] for stage in stages]
    return least_stage_cycles(problem, arrays)


def _by_choice(stages: list[list[StripKind]], durations: Durations, least: list[int]) -> list[int]:
    """Stages by the width of their pieces at their least time, widest first; then by how many these are.

    Wide pieces leave uneven room, which narrow ones can still fill; the other way round they find none.
    """

    def choice(stage: int) -> tuple[int, int, int]:
        widths = [
            max(1, min(kind.cols, int(durations.most_columns(kind.height, least[stage])))) for kind in stages[stage]
        ]
        pieces = sum(kind.count * -(-kind.cols // width) for kind, width in zip(stages[stage], widths, strict=True))
        return -max(widths), -pieces, stage

    return sorted(range(len(stages)), key=choice)


def _deal_stage(
    kinds: list[StripKind], durations: Durations, room: Mapping[int, Room], spent: Ints, prefer: Ints, least_cycles: int
) -> tuple[list[Share], dict[int, Room], int]:
    """Shares of one stage at the least time at which dealing succeeds, the room that they leave, and that time."""
    cycles, tries = least_cycles, 0
    while True:
        left = {kind.height: room[kind.height].copy() for kind in kinds}
        try:
            return _try(kinds, durations, left, cycles - spent, prefer), left, cycles
        except StageIsFull:
            tries += 1
            # Small steps first, where the least time matters; then growing ones, to end.
            cycles += max(1, cycles // (100 if tries <= 20 else 30 if tries <= 40 else 10))


def _try(
    kinds: list[StripKind], durations: Durations, room: Mapping[int, Room], budget: Ints, prefer: Ints
) -> list[Share]:
    """Shares with which no array works longer than its `budget`, taken from `room`. Raises StageIsFull.

    Both of shape (arrays,); arrays with the least `prefer` go first.
    """
    shares: list[Share] = []
    for kind in sorted(kinds, key=lambda k: (-k.height, k.row0, k.factors)):
        here = room[kind.height]
        share = _one_each(kind, durations, here, budget, prefer) or _several_each(kind, durations, here, budget, prefer)
        shares.append(share)
        np.subtract.at(budget, share.array, durations.of_columns[kind.height][share.width])
    return shares


def _one_each(kind: StripKind, durations: Durations, room: Room, budget: Ints, prefer: Ints) -> Share | None:
    """Every strip in the fewest pieces that the time allows, one an array; None where arrays are too few."""
    able = np.minimum(durations.most_columns(kind.height, budget), room.widest)
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
    array = candidates[np.lexsort((-room.total[candidates], prefer[candidates]))][: len(width)]
    row, col = room.take(array, width)
    strip = np.repeat(np.arange(kind.count), pieces)
    return Share(kind, strip, np.tile(edge[:-1], kind.count), width, array, row, col)


def _several_each(kind: StripKind, durations: Durations, room: Room, budget: Ints, prefer: Ints) -> Share:
    """Full pieces one an array, then the rests of the strips in what time and room is left.

    A rest may be cut again, and an array may hold several: each pays its own read.
    """
    cycles_of = durations.of_columns[kind.height]
    able = np.minimum(durations.most_columns(kind.height, budget), room.widest)
    full = min(int(able.max()), kind.cols)
    if full < 1:
        raise StageIsFull
    candidates = np.flatnonzero(able >= full)
    fulls = min(kind.count * (kind.cols // full), len(candidates))
    array = candidates[np.lexsort((-room.total[candidates], prefer[candidates]))][:fulls]
    width = np.full(fulls, full, dtype=np.int64)
    strip = np.arange(fulls) % kind.count
    first = np.arange(fulls) // kind.count * full
    row, col = room.take(array, width)
    left = np.full(kind.count, kind.cols, dtype=np.int64)
    np.subtract.at(left, strip, full)
    time_left = budget.copy()
    time_left[array] -= cycles_of[full]
    rests = [(int(cols), number) for number, cols in enumerate(left) if cols]
    runs = np.array(_share_out(rests, kind, cycles_of, room, time_left), dtype=np.int64).reshape(-1, 6).T
    whole = (strip, first, width, array, row, col)
    return Share(kind, *(np.concatenate(columns) for columns in zip(whole, runs, strict=True)))


def _share_out(
    rests: list[tuple[int, int]], kind: StripKind, cycles_of: Ints, room: Room, time_left: Ints
) -> list[tuple[int, int, int, int, int, int]]:
    """Runs (strip, first, width, array, row, col) for what is left of strips, given as (columns, strip).

    The widest rest goes to the array that can take most; what it cannot take goes on to the next.
    """
    rests = sorted(rests, reverse=True)
    table = cycles_of.tolist()
    able = np.minimum(np.searchsorted(cycles_of, time_left, side="right") - 1, room.widest)
    order = np.argsort(-able, kind="stable")
    order = order[able[order] > 0]
    runs: list[tuple[int, int, int, int, int, int]] = []
    for number, time, left in zip(order.tolist(), time_left[order].tolist(), room.left[order].tolist(), strict=True):
        while rests:
            remaining, which = rests[-1]
            run = min(remaining, max(left), bisect_right(table, time) - 1)
            if run < 1:
                break
            shelf = min((columns, at) for at, columns in enumerate(left) if columns >= run)[1]
            runs.append(
                (
                    which,
                    kind.cols - remaining,
                    run,
                    number,
                    int(room.row[number, shelf]),
                    int(room.col[number, shelf]),
                )
            )
            left[shelf] -= run
            room.left[number, shelf] -= run
            room.col[number, shelf] += run
            time -= table[run]
            rests.pop()
            if remaining > run:
                rests.append((remaining - run, which))
        if not rests:
            return runs
    if rests:
        raise StageIsFull
    return runs
