"""A schedule as events on tracks, for trace viewers: firings of arrays, and the gaps between stages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cimsolve.columns import Ints
from cimsolve.price.moves import busiest_channel
from cimsolve.show.seen.judged import Judged
from cimsolve.show.seen.occupancy import arrays_that_fit


@dataclass(frozen=True)
class Trace:
    """Events of one solution, shape (events,), ordered by array and start; times in cycles.

    An event is a run of `firings` activations of one array for one stage with nothing between them. Where there
    were more events than allowed, only `arrays` of `arrays_in_all` arrays are there.
    """

    array: Ints
    """Index into the array numbers."""
    stage: Ints
    start: Ints
    end: Ints
    firings: Ints
    pieces: Ints
    bits: Ints
    arrays: int
    arrays_in_all: int


def find_trace(judged: Judged, events_max: int) -> Trace:
    """At most `events_max` events, as fine as these allow.

    Activation by activation if these are few enough, else whole runs of a stage, and if these are still too many,
    those of fewer arrays.
    """
    activations = judged.solution.activations
    order = np.lexsort((activations.start, judged.array_of_activation))
    order = order[judged.costs.fired.slowest[order]]  # of experts those that keep an array longest
    array, stage = judged.array_of_activation[order], judged.costs.fired.stage[order]
    start, end = activations.start[order], activations.end[order]
    pieces, bits = (activations.pieces_to - activations.pieces_from)[order], activations.adc_bits[order]
    opens = np.ones(len(order), dtype=bool)
    if len(order) > events_max:
        opens[1:] = (array[1:] != array[:-1]) | (stage[1:] != stage[:-1]) | (start[1:] != end[:-1])
    first = np.flatnonzero(opens)
    last = np.append(first[1:], len(order)) - 1
    arrays = len(judged.array_numbers)
    keep = arrays_that_fit(np.bincount(array[first], minlength=arrays), events_max)
    inside = keep[array[first]]
    return Trace(
        array=array[first][inside],
        stage=stage[first][inside],
        start=start[first][inside],
        end=end[last][inside],
        firings=(last - first + 1)[inside],
        pieces=np.add.reduceat(pieces, first)[inside],
        bits=np.maximum.reduceat(bits, first)[inside],
        arrays=int(keep.sum()),
        arrays_in_all=arrays,
    )


@dataclass(frozen=True)
class MoveEvent:
    """A move in a gap: its way, what it is before, and when, in cycles."""

    way: str
    name: str
    start: int
    end: int
    latency_ns: float
    bits: int
    """On all channels together."""
    binds: str
    """The channel that carries its bits for the longest, in words."""


def find_moves(judged: Judged) -> list[MoveEvent]:
    """What is moved in each gap, this as late as it may be: up at its begin, down at its end, over beside both."""
    gaps, stages = judged.costs.gaps, judged.problem.workload.stages
    found = []
    starts = gap_starts(judged).tolist()
    rows = [(gaps.before[stage.id], starts[stage.id], f"before {stage.name}") for stage in stages]
    for gap, begins, name in [*rows, (gaps.last_tail, int(judged.costs.stages.end.max()), "end of pass")]:
        at = begins
        falling = sum(each.cycles for each in gap.passing if each.way == "down")
        for each in gap.passing:
            if each.way == "down":
                at = max(at, begins + gap.cycles - falling)
            start = begins if each.way == "over" else at
            at = at if each.way == "over" else start + each.cycles
            channel = busiest_channel([each.move])
            binds = each.move.interconnect.name_of_channel(channel)
            bits, latency_ns = int(each.move.bits.sum()), each.move.fixed_ps / 1000
            found.append(MoveEvent(each.way, name, start, start + each.cycles, latency_ns, bits, binds))
    return found


def lanes_of_stages(judged: Judged) -> Ints:
    """The least lane of each stage in which it overlaps no other; shape (stages,). A chain of stages has one lane."""
    stages = judged.costs.stages
    free: list[int] = []
    lanes = np.zeros(len(stages.start), dtype=np.int64)
    for stage in np.lexsort((stages.end, stages.start)).tolist():
        start = int(stages.start[stage])
        lane = next((lane for lane, until in enumerate(free) if until <= start), len(free))
        free[lane : lane + 1] = [int(stages.end[stage])]
        lanes[stage] = lane
    return lanes


def gap_starts(judged: Judged) -> Ints:
    """When the gap before each stage begins if it is as late as may be, one gap at a time; shape (stages,).

    A solution does not say where in the free time before its stage a gap lies.
    """
    stages, cycles = judged.costs.stages, judged.costs.gaps.before_cycles
    begins = np.zeros(len(cycles), dtype=np.int64)
    limit = int(stages.end.max())
    for stage in np.argsort(-stages.start, kind="stable").tolist():
        if cycles[stage]:
            limit = min(limit, int(stages.start[stage])) - int(cycles[stage])
            begins[stage] = limit
    return begins
