"""Least time of a stage, of a token pass and between passes, on a given number of arrays.

A time is tried, and refused where some necessary condition fails; all conditions get easier with more time, so
bisection finds the least time that none of them refuses.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from cimsolve.columns import Ints
from cimsolve.model.model import Experts
from cimsolve.price.gaps import gaps_of_phases, moves_of_phases
from cimsolve.problem.problem import InputGroup, Problem, found_once, found_once_of_chip
from cimsolve.prove.network import least_gaps, least_shared_cycles, stretched_cycles
from cimsolve.prove.work import (
    activations_in_any_way,
    column_price,
    converter_floor,
    group_part_ps,
    least_activation_cycles,
    least_conversions,
    merges_at_once,
)

Kinds: TypeAlias = tuple[tuple[tuple[InputGroup, ...], int], ...]
UNLIMITED = 1 << 60
FIRINGS_MAX = 100_000
"""Beyond so many activations of one array the finest condition is left out: it would not bind."""


def least_latency_cycles(
    problem: Problem, arrays: int, stage_cycles: Sequence[int] | None = None, merging: bool = True
) -> int:
    """The least cycles of a token pass on `arrays` arrays: the critical path of least stage times and gaps.

    Gaps have the fewest partial sums. Where stages may overlap, all work, shared evenly by the arrays, and all gaps,
    of which one runs at a time (S6), are bounds too. `stage_cycles`: the stages' least times, with what their moves
    take beyond the least (`stretched_cycles`), where they are known.

    Without `merging`, of mappings in which every activation reads one input: a figure to compare with, no bound of all
    mappings.
    """
    gaps = least_gaps(problem, arrays)
    if stage_cycles is None:
        stage_cycles = stretched_cycles(problem, arrays, least_stage_cycles(problem, arrays, merging))
    ended: list[int] = []
    for stage, gap, cycles in zip(problem.workload.stages, gaps.before, stage_cycles, strict=True):
        ended.append(max((ended[before] for before in stage.after), default=0) + gap.cycles + cycles)
    tail = gaps.last_tail.cycles
    path = max(ended) + tail
    if problem.workload.is_chain:
        return path
    work = least_work_cycles(problem, arrays, merging)
    return max(path, work + tail, sum(gap.cycles for gap in gaps.own))


def least_stage_cycles(problem: Problem, arrays: int, merging: bool = True) -> list[int]:
    """Least cycles of every stage, as if it had all the arrays to itself."""
    known = _least_cycles_of_kinds(problem, arrays, merging)
    fired = problem.workload.positions.tolist()
    return [known[kind] * times for kind, times in zip(_kinds_of_stages(problem), fired, strict=True)]


def firings_of(problem: Problem, phase: int | None = None) -> Counter[tuple[InputGroup, ...]]:
    """What the stages of a phase, or all of them, fire, and how many times in a pass.

    A stage that fires at many positions counts as so many stages, which might lie apart: no bound rises by that.
    """
    found = Counter[tuple[InputGroup, ...]]()
    for stage, groups in zip(problem.workload.stages, problem.stage_groups, strict=True):
        if phase in (None, stage.phase):
            found[groups] += stage.positions
    return found


def least_cycles_of(problem: Problem, groups: tuple[InputGroup, ...], arrays: int) -> int:
    """Least cycles in which `arrays` fire all of some groups."""
    return least_cycles_of_kinds(problem, ((groups, 1),), arrays)


def least_cycles_of_kinds(problem: Problem, kinds: Kinds, arrays: int, merging: bool = True) -> int:
    """Least cycles of the busiest array, where all do the work of stages of these kinds, so many of each.

    More merges than columns and their parts save nothing: parts of a model, of other empty cells, mostly share this.
    """
    work = Counter(dict(kinds))
    columns = sum(count * group.all_columns * group.parts for groups, count in kinds for group in groups)
    merges = min(columns, merges_at_once(problem, work, arrays)) if merging else 0
    return _least_cycles_with(problem, kinds, arrays, merges)


@found_once_of_chip
def _least_cycles_with(problem: Problem, kinds: Kinds, arrays: int, merges: int) -> int:
    """Likewise, where so many activations are saved at once."""
    return _Work(problem, Counter(dict(kinds)), arrays, merges).least_cycles()


class _StageKind(NamedTuple):
    """What a token fires of a stage, what it fires if it chooses all experts, and those."""

    fired: tuple[InputGroup, ...]
    stored: tuple[InputGroup, ...]
    experts: Experts | None


def _kinds_of_stages(problem: Problem) -> list[_StageKind]:
    experts = (stage.experts for stage in problem.workload.stages)
    return list(map(_StageKind, problem.stage_groups, problem.stored_groups, experts))


@found_once
def _least_cycles_of_kinds(problem: Problem, arrays: int, merging: bool) -> Mapping[_StageKind, int]:
    found = {}
    for kind in set(_kinds_of_stages(problem)):
        least = least_cycles_of_kinds(problem, ((kind.fired, 1),), arrays, merging)
        if kind.experts is not None:
            stored = Counter((kind.stored,))
            work = _Work(problem, stored, arrays, merges_at_once(problem, stored, arrays) if merging else 0)
            least = max(least, work.least_cycles_of_experts(kind.experts))
        found[kind] = least
    return found


def least_activations(problem: Problem, groups: tuple[InputGroup, ...], arrays: int) -> int:
    """Fewest activations of a stage, however long it takes.

    Each reads a row of columns and drives the rows of an array at most. Where `arrays` leave too few empty cells for
    any merge, each reads one input only.
    """
    rows = min(problem.rows, problem.hardware.array.rows_active_max or problem.rows)
    elements = {group.vector: group.inputs * group.height for group in groups}
    work = _Work(problem, Counter((groups,)), arrays, merges_at_once(problem, (groups,), arrays))
    apart = work.activations_without_merges()
    return max(activations_in_any_way(problem, groups), -(-sum(elements.values()) // rows), apart)


def least_ii_cycles(problem: Problem, arrays: int) -> int:
    """Least cycles that a token keeps arrays, digital units, interconnect or memory, whichever is slowest."""
    shared = least_shared_cycles(problem, arrays, least_gaps(problem, arrays).own)
    return max(least_work_cycles(problem, arrays), *shared)


@found_once
def least_phase_ii_cycles(problem: Problem, arrays: int) -> list[int]:
    """Least cycles between tokens of one sequence, for each phase."""
    work = least_phase_work_cycles(problem, arrays)
    gaps = least_gaps(problem, arrays)
    moves = moves_of_phases(problem, gaps)
    phases = gaps_of_phases(problem, gaps).items()
    shared = [least_shared_cycles(problem, arrays, members, moves[phase]) for phase, members in phases]
    return [max(cycles, *units) for cycles, units in zip(work, shared, strict=True)]


def least_work_cycles(problem: Problem, arrays: int, merging: bool = True) -> int:
    """Least time of the busiest array per token: a pass's work, shared evenly; `merging`: `least_latency_cycles`."""
    return least_cycles_of_kinds(problem, tuple(firings_of(problem).items()), arrays, merging)


def least_phase_work_cycles(problem: Problem, arrays: int) -> list[int]:
    """Least time that the busiest array works per token in each phase: its work, shared evenly."""
    phases = sorted({stage.phase for stage in problem.workload.stages})
    return [least_cycles_of_kinds(problem, tuple(firings_of(problem, phase).items()), arrays) for phase in phases]


@dataclass(frozen=True)
class _Load:
    """One input group with the conversion times that its pieces pay at least."""

    group: InputGroup
    least_ps: int
    """Conversion time of the tallest piece that it cannot avoid."""
    part_ps: int
    """Conversion time of any of its pieces."""
    column_ps: float
    """Conversion time of one of its columns, over all its row parts."""

    def conversions(self, slow_ps: int) -> int:
        """Conversions of one of its columns that take `slow_ps` or longer, at least."""
        return self.group.parts if self.part_ps >= slow_ps else int(self.least_ps >= slow_ps)


class _Work:
    """All that some stages ask of `arrays` arrays, where `merges` activations are saved if each of them fires once.

    Stages of equal groups are one of `kinds`, with their number; `loads` and `sharing` hold each kind once.
    """

    def __init__(self, problem: Problem, kinds: Counter[tuple[InputGroup, ...]], arrays: int, merges: int) -> None:
        self.problem, self.arrays, self.merges, hardware = problem, arrays, merges, problem.hardware
        self.clock_ps = hardware.clock_ps
        self.width = hardware.columns_per_weight
        self.converters = hardware.adc.per_array
        self.least_conversions = least_conversions(problem)
        self.row = problem.weights_per_row
        self.free_rows = problem.cut == "both"
        self.lines = hardware.array_kind.duration_lines
        self.floor = converter_floor(problem)
        by_kind = [(count, tuple(map(self._load, groups))) for groups, count in kinds.items()]
        self.loads = [(count, load) for count, loads in by_kind for load in loads]
        self.sharing = [(count, loads) for count, kind in by_kind for loads in _that_may_share(kind)]
        self.in_any_way = sum(count * activations_in_any_way(problem, groups) for groups, count in kinds.items())
        columns_ps = sum(count * load.group.all_columns * load.column_ps for count, load in self.loads)
        self._conversions_ps = columns_ps * self.width / self.converters

    def _load(self, group: InputGroup) -> _Load:
        tallest = 1 if self.free_rows else -(-group.height // group.parts)
        return _Load(
            group,
            int(self.floor.time_ps[tallest]),
            group_part_ps(self.problem, self.floor, group),
            column_price(self.floor.time_ps, group.height, group.parts, self.free_rows),
        )

    def least_cycles(self) -> int:
        """The least cycles in which the busiest array may do all this work."""
        # In less time not even the work of full arrays is done; the least is mostly not far above.
        work_ps = max(fixed + repeats * self._conversions_ps / self.arrays for fixed, repeats in self.lines)
        low = high = max(1, math.floor(work_ps * (1 - 1e-9) / self.clock_ps))
        while not self._possible(high):
            low, high = high + 1, 3 * high - 2 * low + 2
        return bisect_left(range(high), True, lo=low, key=self._possible)

    def least_cycles_of_experts(self, experts: Experts) -> int:
        """The least cycles of the busiest array in the worst choice of experts, where this is the work of all of them.

        In less time than `chosen` of the shortest activations take, no array holds columns of so many experts: all of
        them may be chosen at once, and the array does all that it holds. In a longer time t an array that holds columns
        of fewer than `chosen` reads all of them in t. Any other reads in t, in as many activations at least, those of
        the `chosen` that have most, of which one has no more than an activation reads in t / chosen; nor have others.
        """
        all_at_once = self.least_cycles()
        fastest_ps = min(load.part_ps for _, load in self.loads)
        columns = np.arange(1, self.row + 1)
        of_chosen = experts.chosen * least_activation_cycles(self.problem, columns, fastest_ps)
        needed = sum(load.group.all_columns * (1 if self.free_rows else load.group.parts) for _, load in self.loads)

        def has_room(cycles: int) -> bool:
            most = self._most_activations(cycles, fastest_ps)
            if cycles >= of_chosen[-1] or most > FIRINGS_MAX:
                return True
            others = (experts.stored - experts.chosen) * int(np.searchsorted(of_chosen, cycles, side="right"))
            for widest, merged in self._widest(most):
                read = self._columns_of(cycles * self.clock_ps, np.arange(1, most + 1), fastest_ps, widest)
                held = max(int(read.max()), int(read[experts.chosen - 1 :].max()) + others)
                if needed > self.arrays * held + merged:
                    return False
            return True

        return bisect_left(range(all_at_once), True, lo=min(all_at_once, int(of_chosen[0])), key=has_room)

    def activations_without_merges(self) -> int:
        """Fewest activations if no array has the empty cells for a merge; 0 if one may have."""
        if self.free_rows or self.merges:
            return 0
        return sum(count * max(self._activations(load, UNLIMITED) for load in loads) for count, loads in self.sharing)

    def _conversions(self, time_ps: int, activations: int, conversion_ps: int) -> int:
        """Most conversions per converter that `activations` firings of one array have time for; -1 for none."""
        found = UNLIMITED
        for fixed_ps, repeats in self.lines:
            left = time_ps - activations * fixed_ps
            if left < 0:
                return -1
            if repeats * conversion_ps:
                found = min(found, left // (repeats * conversion_ps))
        return found

    def _columns(self, time_ps: int, activations: int, conversion_ps: int) -> int:
        """Most logical columns that those conversions read."""
        conversions = self._conversions(time_ps, activations, conversion_ps)
        if conversions < activations * self.least_conversions:
            return -1
        return min(activations * self.row, conversions * self.converters // self.width)

    def _possible(self, cycles: int) -> bool:
        time_ps = cycles * self.clock_ps
        needed = 0
        for count, loads in self.sharing:
            alone = [self._activations(load, time_ps) for load in loads]
            if min(alone) < 0:
                return False
            # Those that may share rows at no cost need as many activations as the most demanding of them.
            needed += count * max(alone)
        fastest_ps = min(load.part_ps for _, load in self.loads)
        most = self._most_activations(cycles, fastest_ps)
        if self.free_rows:
            needed = 0  # stacked row parts of one block share activations without empty cells
        needed = max(self.in_any_way, needed - self.merges * most)
        if needed > self.arrays * most:
            return False
        return self._has_time(time_ps, needed) and self._has_room(time_ps, needed, most)

    def _activations(self, load: _Load, time_ps: int) -> int:
        """Fewest activations that read all columns of a group, if each reads one input only; -1 if none can.

        Every column has a part that is as high as the mean at least; its other parts may be as low as can be.
        """
        group = load.group
        at_most = self._columns(time_ps, 1, load.least_ps)
        cols = group.block_cols
        if at_most < (1 if self.problem.cut != "none" else -(-cols // -(-cols // self.row))):
            return -1
        others = self._columns(time_ps, 1, load.part_ps)
        # Where blocks stay whole, an activation takes so many of them.
        whole = self.problem.cut == "none" and group.columns == group.blocks * cols <= group.blocks * self.row
        unit = cols if whole else 1
        units, each = group.columns // unit, max(1, at_most // unit)
        tall = -(-units // each)
        # Activations for high parts have room for more of them, which then need no lower ones.
        short = -(-max(0, group.parts * units - tall * each) // max(1, others // unit))
        return group.inputs * (tall + short)

    def _most_activations(self, cycles: int, conversion_ps: int) -> int:
        """Most activations of one array: each reads a weight at least and ends on a clock edge."""
        least_ps = self.least_conversions * conversion_ps
        shortest_ps = max(fixed_ps + repeats * least_ps for fixed_ps, repeats in self.lines)
        return cycles // max(1, -(-shortest_ps // self.clock_ps))

    def _has_time(self, time_ps: int, activations: int) -> bool:
        """All conversions, and the reads of that many activations, fit in the time of all arrays."""
        fires = max(activations, self.arrays)
        work_ps = max(fires * fixed_ps + repeats * self._conversions_ps for fixed_ps, repeats in self.lines)
        # The price of row cuts is a float; a bound must not be refused over its last digit.
        return work_ps * (1 - 1e-12) <= self.arrays * time_ps

    def _has_room(self, time_ps: int, activations: int, most: int) -> bool:
        """Whole conversions, dealt over the arrays as well as can be.

        What n arrays read when they fire m times in all is at most the concave hull of what one array reads in
        1, 2, ... firings. Each conversion time in turn: the columns that take so long or longer must find room as
        if none took longer.
        """
        if self.free_rows or most > FIRINGS_MAX:
            return True
        return all(
            self._has_room_for(time_ps, activations, most, slow_ps)
            for slow_ps in {price for _, load in self.loads for price in (load.least_ps, load.part_ps)}
        )

    def _has_room_for(self, time_ps: int, activations: int, most: int, kind_ps: int) -> bool:
        """Room for the columns that take at least `kind_ps` a conversion."""
        columns = sum(count * load.group.all_columns * load.conversions(kind_ps) for count, load in self.loads)
        mean = max(1.0, activations / self.arrays)
        firings = np.arange(1, most + 1)
        # More firings than `mean` are allowed, so the hull's maximum from there on counts: any line that does not
        # rise and lies above all points bounds it.
        slopes = [0.0] + [
            -fixed_ps * self.converters / (repeats * kind_ps * self.width)
            for fixed_ps, repeats in self.lines
            if repeats * kind_ps
        ]
        at = min(int(mean), most) - 1
        for most_columns, merged in self._widest(most):
            room = self._columns_of(time_ps, firings, kind_ps, most_columns)
            local = min(0.0, float(room[min(at + 1, most - 1)] - room[at]))
            hull = min(float((room - slope * (firings - mean)).max()) for slope in (*slopes, local))
            if columns > math.floor(self.arrays * hull * (1 + 1e-12)) + merged:
                return False
        return True

    def _widest(self, most: int) -> tuple[tuple[int, int], ...]:
        """Columns that an activation reads at most, and how many more merges add in `most` firings: two ways to count.

        One input, with what may share its rows, fills an activation with its own columns; each merge adds another's.
        """
        widest = min(self.row, max(sum(load.group.columns for load in loads) for _, loads in self.sharing))
        return (self.row, 0), (widest, self.merges * most * widest)

    def _columns_of(self, time_ps: int, activations: Ints, conversion_ps: int, widest: int) -> Ints:
        """Most columns in each of many counts of activations that read at most `widest` each."""
        room = activations * widest
        for fixed_ps, repeats in self.lines:
            if repeats * conversion_ps:
                conversions = (time_ps - activations * fixed_ps) // (repeats * conversion_ps)
                room = np.minimum(room, np.maximum(conversions, 0) * self.converters // self.width)
        return room


def _that_may_share(loads: tuple[_Load, ...]) -> list[tuple[_Load, ...]]:
    """Groups of one stage by what may fire together in a full array.

    Where blocks are cut along the rows, a part can cover just the rows of a lower block on the same vector. Uncut
    blocks of different heights never do.
    """
    shared: dict[int, list[_Load]] = {}
    for load in loads:
        shared.setdefault(load.group.vector, []).append(load)
    found: list[tuple[_Load, ...]] = []
    for members in shared.values():
        cut = any(load.group.parts > 1 for load in members)
        found += [tuple(members)] if cut else [(load,) for load in members]
    return found
