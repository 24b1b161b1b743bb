"""Deal the columns of every stage over the arrays so that no array makes the stage wait.

A stage is tried at its least time first; its strips are cut to what an array can convert in that time, and each
array gets one piece. Where there are more pieces than arrays, the rests of strips share arrays, each paying its own
read. Stages with the least choice go first; the last ones, whose pieces are small, fill what is left, and where that
lies on the wrong arrays, earlier stages make room (`exchange`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from cimsolve.columns import Ints, order_by
from cimsolve.problem.problem import Problem
from cimsolve.prove.time import least_phase_work_cycles, least_work_cycles
from cimsolve.solve.columns.batches import Batch
from cimsolve.solve.columns.exchange import RUNS_MAX, Exchange, Run
from cimsolve.solve.columns.room import Durations, Room, Share
from cimsolve.solve.columns.strips import StripKind

FIRST_CHAINS, LATER_CHAINS = ((1, 4000), (2, 4000)), ((1, 1000),)
"""Effort for making room at the least time of a stage, where success ends the search, and at later ones."""


class StageIsFull(Exception):
    """The stage does not fit in the time tried."""


Goal = Literal["latency", "balanced latency", "prefill", "throughput"]
"""What dealing aims at.

`latency`: every stage in its least time, on the arrays with most room, which keeps the choice of later stages wide.
`balanced latency`: the same on the arrays least busy in the stage's phase, which evens out the time between tokens.
`prefill`, `throughput`: no array works longer in a phase, or in the whole pass, than the least that all could do
with; pieces are as wide as that allows, for each piece more is another read.
"""

TIMED_BY_STAGE: tuple[Goal, ...] = ("latency", "balanced latency")
"""Goals with a time of its own for every stage."""


def deal_strips(
    problem: Problem,
    batches: list[Batch],
    room: Mapping[int, Room],
    arrays: int,
    goal: Goal,
    listen: Callable[[int, int], None],
    effort: int = 0,
    urgency: Mapping[int, int] | None = None,
) -> list[Share]:
    """Give every column of every strip a place. `room`, height -> room, must suffice for every height.

    `listen` hears how many of how many batches are dealt. With `effort`, earlier ones make room for later ones, so
    often; only where a stage has a time of its own. Stages of greater `urgency` go first.
    """
    durations = Durations(problem, [kind.height for batch in batches for kind in batch.kinds])
    least = _least_cycles(problem, batches, arrays, goal)
    table = Dealt(
        dict(room), {height: [] for height in room}, {}, {}, ChainEffort(effort if goal in TIMED_BY_STAGE else 0)
    )
    # Batches of equal shape come one after the other, and room only shrinks: what failed once fails again.
    reached: dict[tuple[int, tuple[tuple[int, ...], ...]], int] = {}
    busy: dict[int, Ints] = {}
    for done, number in enumerate(_by_choice(batches, durations, least, urgency or {})):
        batch = batches[number]
        shape = batch.positions, tuple((kind.height, kind.row0, kind.count, *kind.edges) for kind in batch.kinds)
        phase = 0 if goal == "throughput" else problem.workload.stages[batch.stage].phase
        load = busy.setdefault(phase, np.zeros(arrays, dtype=np.int64))
        spent = load if goal in ("prefill", "throughput") else np.zeros_like(load)
        prefer = np.zeros_like(load) if goal == "latency" else load
        start = max(least[number], reached.get(shape, 0))
        table, reached[shape] = _deal_batch(batch, durations, table, spent, prefer, start)
        table.limit[number] = reached[shape] // batch.positions
        load += table.load[number] * batch.positions * batch.fired.numerator // batch.fired.denominator
        listen(done + 1, len(batches))
    return [share for shares in table.shares.values() for share in shares]


@dataclass
class ChainEffort:
    """How often a place for a run of an earlier stage may still be looked for; shared by all tries."""

    left: int
    chains: tuple[tuple[int, int], ...] = ()
    """How long a chain of moves may be in the try at hand, and how much of the effort is for it; all are tried."""


@dataclass
class Dealt:
    """What is dealt so far, and what is left; by height the room and the shares, by batch the load and its limit."""

    room: dict[int, Room]
    shares: dict[int, list[Share]]
    load: dict[int, Ints]
    limit: dict[int, int]
    effort: ChainEffort

    def copy(self, kinds: list[StripKind]) -> Dealt:
        """To try a stage of these kinds on; what cannot change is not copied."""
        room = {**self.room, **{kind.height: self.room[kind.height].copy() for kind in kinds}}
        return replace(self, room=room, shares=dict(self.shares), load=dict(self.load))


def _least_cycles(problem: Problem, batches: list[Batch], arrays: int, goal: Goal) -> list[int]:
    """For each batch, the least time in which an array must be done: with it, with its phase, or the pass."""
    stages = problem.workload.stages
    if goal == "throughput":
        return [least_work_cycles(problem, arrays)] * len(batches)
    if goal == "prefill":
        names = sorted({stage.phase for stage in stages})
        of_phase = dict(zip(names, least_phase_work_cycles(problem, arrays), strict=True))
        return [of_phase[stages[batch.stage].phase] for batch in batches]
    return [batch.least_cycles * batch.positions for batch in batches]


def _by_choice(batches: list[Batch], durations: Durations, least: list[int], urgency: Mapping[int, int]) -> list[int]:
    """Batches by urgency, then by the width of their pieces at their least time, widest first, then by their number.

    Wide pieces leave uneven room, which narrow ones can still fill; the other way round they find none.
    """

    def choice(number: int) -> tuple[int, int, int, int]:
        kinds, cycles = batches[number].kinds, least[number] // batches[number].positions
        widest = max(durations.widest_piece(kind, cycles) for kind in kinds)
        return -urgency.get(batches[number].stage, 0), -widest, -durations.fewest_pieces(kinds, cycles), number

    return sorted(range(len(batches)), key=choice)


def _deal_batch(
    batch: Batch, durations: Durations, table: Dealt, spent: Ints, prefer: Ints, least_cycles: int
) -> tuple[Dealt, int]:
    """The table with the shares of one batch, at the least time at which dealing succeeds, and that time."""
    kinds, cycles, tries = batch.kinds, least_cycles, 0
    needed: Counter[int] = Counter()
    for kind in kinds:
        needed[kind.height] += kind.count * kind.cols
    while True:
        try:
            budget = (cycles - spent) // batch.positions
            # Where no run may move, most times after the first are refused without dealing.
            if tries and table.effort.left <= 0:
                _demand_room(needed, durations, table.room, budget)
            trial = table.copy(kinds)
            trial.effort.chains = LATER_CHAINS if tries else FIRST_CHAINS
            deal_within(kinds, durations, trial, budget, prefer)
        except StageIsFull:
            tries += 1
            # Small steps first, where the least time matters; then growing ones, to end.
            cycles += max(1, cycles // (100 if tries <= 20 else 30 if tries <= 40 else 10))
        else:
            return trial, cycles


def _demand_room(needed: Mapping[int, int], durations: Durations, room: Mapping[int, Room], budget: Ints) -> None:
    """Raise StageIsFull where the free columns that arrays could convert in time are too few for any dealing."""
    for height, columns in needed.items():
        most = durations.most_columns_of_runs(height, budget, room[height].widest)
        if int(np.minimum(most, room[height].total).sum()) < columns:
            raise StageIsFull


def deal_within(kinds: list[StripKind], durations: Durations, table: Dealt, budget: Ints, prefer: Ints) -> None:
    """Deal one batch such that no array works longer for it than its `budget`. Raises StageIsFull.

    `budget` and `prefer` of shape (arrays,); arrays with the least `prefer` go first.
    """
    load = table.load[kinds[0].batch] = np.zeros_like(budget)
    crowded = {height for height in {kind.height for kind in kinds} if _is_crowded(height, kinds, durations, budget)}
    for kind in sorted(kinds, key=lambda k: (-k.height, k.row0, k.factors)):
        left = budget - load
        share = None
        if kind.height not in crowded:
            share = _one_each(kind, durations, table.room[kind.height], left, prefer)
        share = share or _several_each(kind, durations, table, left, prefer)
        table.shares[kind.height] = [*table.shares[kind.height], share]
        np.add.at(load, share.array, durations.of_columns[kind.height][share.width])


def _is_crowded(height: int, kinds: list[StripKind], durations: Durations, budget: Ints) -> bool:
    """Whether the kinds of one height have more pieces than there are arrays, though a single kind may not."""
    widest = max(1, int(durations.most_columns(height, int(budget.max()))))
    pieces = sum(kind.count * -(-kind.cols // widest) for kind in kinds if kind.height == height)
    return pieces > int((budget >= durations.of_columns[height][1]).sum())


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
    array = _first_to_fill(candidates, room, prefer, len(width))
    strip = np.repeat(np.arange(kind.count), pieces)
    return Share(kind, strip, np.tile(edge[:-1], kind.count), width, array, room.take(array, width))


def _several_each(kind: StripKind, durations: Durations, table: Dealt, budget: Ints, prefer: Ints) -> Share:
    """Full pieces one an array, then the rests of the strips in what time and room is left.

    A rest may be cut again, and an array may hold several: each pays its own read.
    """
    room = table.room[kind.height]
    cycles_of = durations.of_columns[kind.height]
    able = np.minimum(durations.most_columns(kind.height, budget), room.widest)
    full = min(int(able.max()), kind.cols)
    if full < 1:
        raise StageIsFull
    candidates = np.flatnonzero(able >= full)
    fulls = min(kind.count * (kind.cols // full), len(candidates))
    array = _first_to_fill(candidates, room, prefer, fulls)
    width = np.full(fulls, full, dtype=np.int64)
    strip = np.arange(fulls) % kind.count
    first = np.arange(fulls) // kind.count * full
    shelf = room.take(array, width)
    left = np.full(kind.count, kind.cols, dtype=np.int64)
    np.subtract.at(left, strip, full)
    time_left = budget.copy()
    time_left[array] -= cycles_of[full]
    rests = [(int(cols), number) for number, cols in enumerate(left) if cols]
    shared, rests = _share_out(rests, kind, cycles_of, room, time_left)
    if rests:
        shared += _make_room(rests, kind, durations, table, time_left)
    runs = np.array(shared, dtype=np.int64).reshape(-1, 5).T
    whole = (strip, first, width, array, shelf)
    return Share(kind, *(np.concatenate(columns) for columns in zip(whole, runs, strict=True)))


def _first_to_fill(candidates: Ints, room: Room, prefer: Ints, count: int) -> Ints:
    """So many of the candidates, by least `prefer`, then by most room."""
    total = room.total[candidates]
    return np.asarray(candidates[order_by(prefer[candidates], total.max(initial=0) - total, most=count)])


def _share_out(
    rests: list[tuple[int, int]], kind: StripKind, cycles_of: Ints, room: Room, time_left: Ints
) -> tuple[list[Run], list[tuple[int, int]]]:
    """Runs for what is left of strips, given as (columns, strip), and what then is left still.

    The widest rest goes to the array that can take most; what it cannot take goes on to the next. Uses up `room`
    and `time_left`.
    """
    rests = sorted(rests, reverse=True)
    table = cycles_of.tolist()
    able = np.minimum(np.searchsorted(cycles_of, time_left, side="right") - 1, room.widest)
    order = np.argsort(-able, kind="stable")
    order = order[able[order] > 0]
    runs: list[Run] = []
    for number in order.tolist():
        time, left = int(time_left[number]), room.left[number].tolist()
        while rests:
            remaining, which = rests[-1]
            run = min(remaining, max(left), bisect_right(table, time) - 1)
            if run < 1:
                break
            shelf = min((columns, at) for at, columns in enumerate(left) if columns >= run)[1]
            runs.append((which, kind.cols - remaining, run, number, shelf))
            left[shelf] -= run
            room.left[number, shelf] -= run
            time -= table[run]
            rests.pop()
            if remaining > run:
                rests.append((remaining - run, which))
        time_left[number] = time
        if not rests:
            break
    return runs, rests


def _make_room(
    rests: list[tuple[int, int]], kind: StripKind, durations: Durations, table: Dealt, time_left: Ints
) -> list[Run]:
    """Runs for the rests on columns that earlier stages leave to them. Raises StageIsFull."""
    shares = table.shares[kind.height]
    if sum(len(share.width) for share in shares) > RUNS_MAX:
        raise StageIsFull
    for depth, most in table.effort.chains:
        effort = min(most, table.effort.left)
        if effort <= 0:
            break
        here = table.room[kind.height].copy()
        exchange = Exchange(durations, here, shares, table.load, table.limit, depth, effort)
        runs = exchange.place(kind, rests, time_left.copy())
        table.effort.left -= effort - exchange.effort
        if runs is not None:
            table.room[kind.height] = here
            table.shares[kind.height], table.load = exchange.settled()
            return runs
    raise StageIsFull
