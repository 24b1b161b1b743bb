"""Strips packed and dealt such that the busiest array works as short as can be in a whole pass.

What an array works in a pass follows from what it holds, whichever strips these are. So runs of strips are packed with
their time beside their room (`filling.py`), in a time as near to the bound as is found; then every stage is dealt
over the places that there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping, Pieces
from cimsolve.prove.time import least_ii_cycles, least_work_cycles
from cimsolve.solve.columns.filling import StripRun, TimedFilling, TimedPacking
from cimsolve.solve.columns.lay_out import pieces_of
from cimsolve.solve.columns.room import Durations, Share
from cimsolve.solve.columns.strips import StripKind
from cimsolve.solve.effort import Event
from cimsolve.solve.parts import cut_sizes, fire_same_inputs_together
from cimsolve.solve.rules.spread import deal_slots, slots_of

UNITS_MAX = 16
"""The longest strip is cut on a grid of so many parts at most."""
LONGER = (0, 5, 10, 20, 30, 50, 70, 100, 150, 200, 300, 400, 500, 700, 1000)
"""Times that are tried, in thousandths beyond the least."""


def map_in_time(
    problem: Problem, stages: list[list[StripKind]], arrays: int, listen: Callable[[Event], None]
) -> Mapping | None:
    """The strips on so many arrays with the least work of the busiest that is found, or None where none is."""
    kinds = [kind for stage in stages for kind in stage]
    durations = Durations(problem, [kind.height for kind in kinds])
    runs_of = [_parts(problem, durations, kind) for kind in kinds]
    counts = Counter[StripRun]()
    for kind, run in zip(kinds, runs_of, strict=True):
        counts[run] += kind.count
    packing = TimedPacking(
        counts,
        lambda run: int(durations.of_columns[run.height][run.width]),
        problem.rows,
        problem.weights_per_row,
        arrays,
    )
    least = max(least_ii_cycles(problem, arrays), least_work_cycles(problem, arrays, merging=False))
    for longer in LONGER:
        listen(Event(f"{arrays} arrays filled within {longer / 10:g} % of the least work", "arrays", arrays))
        filling = packing.within(least * (1000 + longer) // 1000)
        if filling is not None:
            return _dealt(problem, kinds, runs_of, filling)
    return None


def _parts(problem: Problem, durations: Durations, kind: StripKind) -> StripRun:
    """A strip by where it may be cut: on a grid of whole conversions, or between blocks."""
    row = problem.weights_per_row
    if problem.cut == "none":
        widths = [size for block in np.diff(kind.edges).tolist() for size in cut_sizes(block, row)]
    else:
        step = durations.step
        widths = cut_sizes(kind.cols, min(row, step * -(-kind.cols // (step * UNITS_MAX))))
    return StripRun(kind.height, tuple(widths))


def _dealt(problem: Problem, kinds: list[StripKind], runs_of: list[StripRun], filling: TimedFilling) -> Mapping:
    """Every run in a place of its size: stage after stage, on the arrays least busy in the stage."""
    number = {run: at for at, run in enumerate(filling.runs)}
    lines = [(number[run], *each) for run, mine in _cut(kinds, runs_of, filling).items() for each in mine]
    shape, owner, strip, first = np.array(sorted(lines, key=lambda line: line[1:]), dtype=np.int64).T
    stage = np.array([kind.stage for kind in kinds])[owner]
    sizes = np.array([(run.height, run.width) for run in filling.runs])
    slots = slots_of(problem, sizes, filling.patterns, filling.multiplicity)
    array, slot = deal_slots(slots.free, stage, shape, slots.cycles)
    where = slots.pattern[array], shape, slot
    row, col, width = slots.row[where], slots.col[where], sizes[shape, 1]
    found: list[Pieces] = []
    edges = np.searchsorted(owner, np.arange(len(kinds) + 1))
    for kind, low, high in zip(kinds, edges[:-1], edges[1:], strict=True):
        own = slice(low, high)
        share = Share(kind, strip[own], first[own], width[own], array[own], slot[own])
        found.append(pieces_of(share, row[own], col[own]))
    placed = Pieces.concatenate(found)
    return Mapping(placed, fire_same_inputs_together(problem, placed))


def _cut(
    kinds: list[StripKind], runs_of: list[StripRun], filling: TimedFilling
) -> dict[StripRun, list[tuple[int, int, int]]]:
    """Kind, strip and first column of every run, once all cuts are made."""
    found: dict[StripRun, list[tuple[int, int, int]]] = {}
    for number, (kind, run) in enumerate(zip(kinds, runs_of, strict=True)):
        found.setdefault(run, []).extend((number, strip, 0) for strip in range(kind.count))
    for run, parts, times in filling.cuts:
        whole, (left, right) = found.get(run, []), run.cut(parts)
        for number, strip, first in [whole.pop() for _ in range(min(times, len(whole)))]:
            found.setdefault(left, []).append((number, strip, first))
            found.setdefault(right, []).append((number, strip, first + left.width))
    return found
