"""Deal the columns of whole phases over the arrays: no array works longer in a phase than it must.

What arrays do of a phase in a time T is planned first, as if they had room for all: strips are cut to pieces that fill
T (`pack/lengths.py`). Then the fullest plans go to the arrays with most left to do, phase after phase, so that arrays
fill up evenly. What finds no room so, and all of the last phase, fills the gaps that are left.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Mapping
from heapq import heapify, heappop, heappush

import numpy as np

from cimsolve.columns import Ints
from cimsolve.pack.lengths import Filling, fill_bins
from cimsolve.problem.problem import Problem
from cimsolve.prove.time import least_phase_work_cycles
from cimsolve.solve.columns.batches import Batch
from cimsolve.solve.columns.room import Durations, Room, Share
from cimsolve.solve.columns.strips import StripKind

UNITS_MAX = 64
"""The longest strip is cut on a grid of so many parts at most."""
FINE = 200
"""The time of a phase is sought to a part in so many."""
LONGER = 50
"""Where room is short a phase takes a part in so many longer, as often as it must."""

Run = tuple[int, int, int, int]
"""Width, number of its kind, strip, and first column."""
Placed = tuple[Run, int, int]
"""A run, its array and its shelf."""


class PhaseDealer:
    """Deals the strips of whole phases over so many arrays."""

    def __init__(self, problem: Problem, batches: list[Batch], arrays: int) -> None:
        self.arrays = arrays
        self.durations = Durations(problem, [kind.height for batch in batches for kind in batch.kinds])
        self.kinds: dict[int, list[StripKind]] = {}
        for batch in batches:
            self.kinds.setdefault(problem.workload.stages[batch.stage].phase, []).extend(batch.kinds)
        self.least = dict(zip(sorted(self.kinds), least_phase_work_cycles(problem, arrays), strict=True))
        self._plans: dict[tuple[object, ...], tuple[Filling, int]] = {}
        """By what a phase has to cut: most are alike."""

    def in_turn(self) -> list[int]:
        """The phases, that with most to do last: others are like it, so that it fits what they leave."""
        return sorted(self.kinds, key=lambda phase: self.least[phase])

    def deal(self, phase: int, room: Mapping[int, Room]) -> list[Share]:
        """The shares of a phase on arrays with one shelf of each height, evenly full. Uses up `room`."""
        kinds = self.kinds[phase]
        grid = self.durations.step * -(-max(kind.cols for kind in kinds) // (self.durations.step * UNITS_MAX))
        plan, cycles = self._plan(kinds, grid, self.least[phase])
        pieces = _cut(kinds, grid, plan)
        rate = self._rate(plan, grid)
        time_left = np.full(self.arrays, cycles, dtype=np.int64)
        idle = np.ones(self.arrays, dtype=bool)
        placed: list[Placed] = []
        for held, times in sorted(plan.bins, key=_bulk, reverse=True):
            need = Counter[int]()
            for (height, units), count in held.items():
                need[height] += units * grid * count
            able = np.flatnonzero(idle & np.all([room[height].total >= cols for height, cols in need.items()], axis=0))
            # Of the tallest there is least, on few arrays; else it counts for how long an array is still to work.
            tallest = room[max(need)].total[able] * (max(need) > min(room))
            ahead = np.sum([room[height].total[able] * rate.get(height, 0.0) for height in room], axis=0)
            for array in able[np.lexsort((-ahead, -tallest))][:times].tolist():
                idle[array] = False
                for piece, count in held.items():
                    mine = pieces.get(piece, [])
                    for _ in range(min(count, len(mine))):
                        run = mine.pop()
                        placed.append((run, array, 0))
                        room[piece[0]].left[array, 0] -= run[0]
                        time_left[array] -= self.durations.of_columns[piece[0]][run[0]]
        rests = [run for runs in pieces.values() for run in runs]
        return self._in_gaps(kinds, rests, room, time_left, cycles, placed)

    def deal_last(self, phase: int, room: Mapping[int, Room]) -> list[Share]:
        """The shares of a phase in the gaps of `room`, which it uses up."""
        kinds = self.kinds[phase]
        rests = [(kind.cols, at, strip, 0) for at, kind in enumerate(kinds) for strip in range(kind.count)]
        time_left = np.full(self.arrays, self.least[phase], dtype=np.int64)
        return self._in_gaps(kinds, rests, room, time_left, self.least[phase], [])

    def _plan(self, kinds: list[StripKind], grid: int, least_cycles: int) -> tuple[Filling, int]:
        """What arrays do in the least time found, and that time."""
        counts = Counter[tuple[int, int]]()
        for kind in kinds:
            counts[kind.height, -(-kind.cols // grid)] += kind.count
        key = (grid, least_cycles, *sorted(counts.items()))
        if key not in self._plans:
            size_of = {height: self.durations.of_columns[height][::grid] for height in {h for h, _ in counts}}
            low, high = least_cycles - 1, least_cycles
            while (plan := fill_bins(counts, size_of, high, self.arrays)) is None:
                low, high = high, high + max(1, 2 * (high - least_cycles), high // LONGER)
            while high - low > max(1, high // FINE):
                middle = (low + high) // 2
                better = fill_bins(counts, size_of, middle, self.arrays)
                if better is None:
                    low = middle
                else:
                    plan, high = better, middle
            self._plans[key] = plan, high
        return self._plans[key]

    def _rate(self, plan: Filling, grid: int) -> dict[int, float]:
        """Cycles that a column of each height takes, with its part of the reads."""
        cycles, columns = Counter[int](), Counter[int]()
        for held, times in plan.bins:
            for (height, units), count in held.items():
                cycles[height] += times * count * int(self.durations.of_columns[height][units * grid])
                columns[height] += times * count * units * grid
        return {height: cycles[height] / columns[height] for height in columns}

    def _in_gaps(
        self,
        kinds: list[StripKind],
        rests: list[Run],
        room: Mapping[int, Room],
        time_left: Ints,
        cycles: int,
        placed: list[Placed],
    ) -> list[Share]:
        """`placed` and the rests where there is room, and time: the more of it the longer that takes."""
        by_height: dict[int, list[Run]] = {}
        for run in sorted(rests):
            by_height.setdefault(kinds[run[1]].height, []).append(run)
        while by_height:
            for height in sorted(by_height, reverse=True):
                placed += self._fill(height, by_height[height], room[height], time_left)
                if not by_height[height]:
                    del by_height[height]
            time_left += -(-cycles // LONGER)
        return _shares(kinds, placed)

    def _fill(self, height: int, runs: list[Run], room: Room, time_left: Ints) -> list[Placed]:
        """Runs, widest last, in gaps, widest first: one as wide, or cut as wide, or else the widest. Uses up `runs`."""
        cycles_of, placed = self.durations.of_columns[height], list[Placed]()
        able = np.minimum(self.durations.most_columns(height, np.maximum(time_left, 0))[:, None], room.left)
        gaps = [(-int(able[array, shelf]), int(array), int(shelf)) for array, shelf in np.argwhere(able > 0)]
        heapify(gaps)
        while runs and gaps:
            width, array, shelf = heappop(gaps)
            now = min(
                int(self.durations.most_columns(height, max(0, int(time_left[array])))), int(room.left[array, shelf])
            )
            if now < -width:
                if now > 0:
                    heappush(gaps, (-now, array, shelf))
                continue
            at = bisect_left(runs, (now,))
            run = runs.pop(at if at < len(runs) and runs[at][0] == now else -1)
            if run[0] > now:
                insort(runs, (run[0] - now, *run[1:3], run[3] + now))
                run = (now, *run[1:])
            placed.append((run, array, shelf))
            room.left[array, shelf] -= run[0]
            time_left[array] -= cycles_of[run[0]]
            if run[0] < now:
                heappush(gaps, (run[0] - now, array, shelf))
        return placed


def _bulk(each: tuple[dict[tuple[int, int], int], int]) -> tuple[int, ...]:
    """Order of what arrays hold: most of the tallest first, then most of all."""
    held, _ = each
    tallest = max(height for height, _ in held)
    of_tallest = sum(units * count for (height, units), count in held.items() if height == tallest)
    return tallest, of_tallest, sum(height * units * count for (height, units), count in held.items())


def _cut(kinds: list[StripKind], grid: int, plan: Filling) -> dict[tuple[int, int], list[Run]]:
    """All strips in the pieces of a plan, by height and length on the grid."""
    pieces: dict[tuple[int, int], list[Run]] = {}
    for number, kind in enumerate(kinds):
        mine = pieces.setdefault((kind.height, -(-kind.cols // grid)), [])
        mine += [(kind.cols, number, strip, 0) for strip in range(kind.count)]
    for (height, length, part), times in sorted(plan.cuts.items(), key=lambda cut: -cut[0][1]):
        whole = pieces.setdefault((height, length), [])
        for width, number, strip, first in [whole.pop() for _ in range(min(times, len(whole)))]:
            pieces.setdefault((height, part), []).append((part * grid, number, strip, first))
            rest = (width - part * grid, number, strip, first + part * grid)
            pieces.setdefault((height, length - part), []).append(rest)
    return pieces


def _shares(kinds: list[StripKind], placed: list[Placed]) -> list[Share]:
    """The runs of each kind."""
    table: Ints = np.array([(*run, array, shelf) for run, array, shelf in placed], dtype=np.int64).reshape(-1, 6)
    table = table[np.argsort(table[:, 1], kind="stable")]
    edges = np.searchsorted(table[:, 1], np.arange(len(kinds) + 1))
    shares = []
    for kind, low, high in zip(kinds, edges[:-1], edges[1:], strict=True):
        width, _, strip, first, array, shelf = table[low:high].T
        shares.append(Share(kind, strip, first, width, array, shelf))
    return shares
