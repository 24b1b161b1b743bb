"""Which arrays work when, in slots of time: all arrays of a large model in as many rows as a page can show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cimsolve.columns import Bools, Floats, Ints, ceil_div
from cimsolve.show.seen.judged import Judged
from cimsolve.show.seen.kinds import Kinds

ROWS_MAX = 96
SLOTS_MAX = 480


@dataclass(frozen=True)
class Slots:
    """Shares of time in slots between `edges`, shape (slots + 1,), in cycles.

    Row r stands for `members[r * arrays_per_row]` and those after it; the last row may hold fewer.
    """

    edges: Floats
    members: Ints
    """Arrays that fire at any time in the slots, as indices into the array numbers, ascending."""
    arrays_per_row: int
    busy: Floats
    """Share of the slot in which a row's arrays fire; shape (rows, slots)."""
    converters: Floats
    """Share of the slot in which a row's converters are in use; shape (rows, slots)."""
    converters_in_all: Floats
    """Share of the converters of all arrays, members or not, in use; shape (slots,)."""


def find_slots(judged: Judged, start: int, end: int, rows_max: int = ROWS_MAX, slots_max: int = SLOTS_MAX) -> Slots:
    """What the arrays do from cycle `start` to `end`, in at most `rows_max` x `slots_max` fields."""
    activations = judged.solution.activations
    inside = find_firings(judged, start, end)
    members, place = np.unique(judged.array_of_activation[inside], return_inverse=True)
    per_row = ceil_div(len(members), rows_max)
    rows = ceil_div(len(members), per_row)
    slots = min(slots_max, end - start)
    edges = np.linspace(start, end, slots + 1)
    row = place // per_row
    room = np.outer(np.minimum(per_row, len(members) - per_row * np.arange(rows)), np.diff(edges))
    times = (activations.start[inside], activations.end[inside])
    busy = time_in_slots(row, *times, np.ones(len(inside)), edges, rows)
    used = time_in_slots(row, *times, converter_use(judged)[inside], edges, rows)
    in_all = used.sum(axis=0) / (len(judged.array_numbers) * np.diff(edges))
    return Slots(edges, members, per_row, busy / room, used / room, in_all)


def converter_use(judged: Judged) -> Floats:
    """Share of an array's converters that each activation keeps in use while it converts; shape (activations,).

    `columns` columns take `conversions` rounds of all `adc.per_array` converters, of which that share is needed.
    """
    fired = judged.costs.fired
    return np.asarray(fired.columns / (fired.conversions * judged.hardware.adc.per_array))


def time_in_slots(row: Ints, start: Ints, end: Ints, weight: Floats, edges: Floats, rows: int) -> Floats:
    """Weighted time of intervals in each slot, summed by row; shape (rows, slots).

    The time before an edge e is the sum of max(0, e - start) - max(0, e - end) over all intervals: of each sort,
    e times the weight of those that began before e, less the sum of their weighted times.
    """
    before = np.zeros((rows, len(edges)))
    for time, sign in ((start, 1.0), (end, -1.0)):
        at = np.clip(time, edges[0], edges[-1])
        edge = np.searchsorted(edges, at, side="left")
        flat = row * len(edges) + edge
        weights = np.bincount(flat, weights=sign * weight, minlength=before.size).reshape(before.shape)
        moments = np.bincount(flat, weights=sign * weight * (at - edges[0]), minlength=before.size)
        before += np.cumsum(weights, axis=1) * (edges - edges[0]) - np.cumsum(moments.reshape(before.shape), axis=1)
    return np.maximum(np.diff(before, axis=1), 0.0)


def whole_pass(judged: Judged) -> tuple[int, int]:
    """First and last cycle of a token pass."""
    stages = judged.costs.stages
    return stages.begins, int(stages.end.max())


def one_layer(judged: Judged, kinds: Kinds) -> tuple[int, int, int] | None:
    """A layer's number and its first and last cycle, to be drawn apart; None where layers do not repeat.

    The second layer of the model: the first has no gap before it.
    """
    layers = np.array([stage.layer for stage in judged.problem.workload.stages])
    numbers = np.unique(layers)
    stages = judged.costs.stages
    if len(numbers) < 3 or len(kinds.names) * 2 >= len(layers):
        return None
    inside: Bools = layers == numbers[1]
    return int(numbers[1]), int(stages.start[inside].min()), int(stages.end[inside].max())


def find_firings(judged: Judged, start: int, end: int) -> Ints:
    """The activations that run at any time from cycle `start` to `end`, as indices; of experts the slowest."""
    activations = judged.solution.activations
    inside = (activations.start < end) & (activations.end > start)
    return np.flatnonzero(inside & judged.costs.fired.slowest)
