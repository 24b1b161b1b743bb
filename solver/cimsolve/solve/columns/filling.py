"""Arrays packed such that none has more to do than there is time for: each block takes room, and time as well.

What is packed are runs of parts side by side, which may be cut between any two parts. A linear program of covering, in
which a run may also become two; column generation stacks bands of which an array has room and time for both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cimsolve.columns import Floats, Ints
from cimsolve.pack.bands import Bands
from cimsolve.pack.covering import LARGEST_DEMAND, SCALE, Pool
from cimsolve.pack.guillotine import Pattern
from cimsolve.pack.programs import solve_linear

ROUNDS = 60
"""Patterns are added in so many rounds at most."""
PRICING_TIME, ROUNDING_TIME = 0.1, 5.0
"""Deterministic time, in CP-SAT's units, for one pattern and for whole numbers of all."""
PRICES = 3
"""So often are bands priced by what room and time are worth, before they are stacked."""
ENOUGH = 0.98
"""With so many of the arrays in the linear program whole ones will be enough."""


class StripRun(NamedTuple):
    """Parts side by side, all of one height; `parts` are their widths."""

    height: int
    parts: tuple[int, ...]

    @property
    def width(self) -> int:
        return sum(self.parts)

    def cut(self, at: int) -> tuple[StripRun, StripRun]:
        """The first `at` parts, and the others."""
        return StripRun(self.height, self.parts[:at]), StripRun(self.height, self.parts[at:])


@dataclass(frozen=True)
class TimedFilling:
    """Arrays by pattern, of types that are numbers of `runs`; `cuts` are (run, parts of the first half, how many).

    There may be more places for a run than there are of it. Cuts come in an order in which what they cut is there.
    """

    runs: list[StripRun]
    patterns: list[Pattern]
    multiplicity: Ints
    cuts: list[tuple[StripRun, int, int]]


class TimedPacking:
    """Counts of runs packed onto so many arrays, within times that are asked one after the other."""

    def __init__(
        self, counts: Mapping[StripRun, int], cycles_of: Callable[[StripRun], int], rows: int, cols: int, arrays: int
    ) -> None:
        self.arrays, self.rows, self.cols = arrays, rows, cols
        everything = {StripRun(h, p[i:j]) for h, p in counts for i in range(len(p)) for j in range(i + 1, len(p) + 1)}
        self.runs = sorted(everything, key=lambda run: (-run.height, -run.width, run.parts))
        number = {run: at for at, run in enumerate(self.runs)}
        self.need = np.array([counts.get(run, 0) for run in self.runs], dtype=np.int64)
        self.height = np.array([run.height for run in self.runs], dtype=np.int64)
        self.width = np.array([run.width for run in self.runs], dtype=np.int64)
        fits = (self.height <= rows) & (self.width <= cols)
        self.cycles = np.array([cycles_of(run) if ok else 0 for run, ok in zip(self.runs, fits, strict=True)])
        self.small = np.flatnonzero(fits)
        """The runs that an array has room for: types of patterns are numbers of these."""
        self.choices = [
            (at, part, number[first], number[second])
            for at, run in enumerate(self.runs)
            for part in range(1, len(run.parts))
            for first, second in (run.cut(part),)
        ]
        self.split = np.zeros((len(self.choices), len(self.runs)))
        for row, (whole, _, first, second) in enumerate(self.choices):
            for each, by in ((whole, 1), (first, -1), (second, -1)):
                self.split[row, each] += by
        height, width = self.height[self.small], self.width[self.small]
        self.ways = Bands.both_ways(height, width, rows, cols)
        self.limits = np.maximum(rows // height, cols // width)
        self.pool = Pool(len(self.runs))
        self.layout: dict[bytes, Pattern] = {}

    def within(self, cycles: int) -> TimedFilling | None:
        """All runs on the arrays, none of which takes longer than `cycles`; None where no such packing is found."""
        if any(self.cycles[at] > cycles for at, run in enumerate(self.runs) if len(run.parts) == 1):
            return None
        self._learn_alone(cycles)
        scale = max(1.0, float(self.need.max()) / LARGEST_DEMAND)
        for _ in range(ROUNDS):
            price, columns, _ = self._program(cycles)
            solved = solve_linear(price, -columns.T, -self.need / scale)
            if solved is None:
                return None
            found = solved
            if found.cost * scale <= self.arrays * ENOUGH:
                break
            worth = np.clip(found.prices, 0.0, 1.0)[self.small]
            if True not in [self._learn(pattern) for way in self.ways for pattern in self._stacks(way, worth, cycles)]:
                break
        return self._rounded(cycles) if found.cost * scale <= self.arrays + 1e-6 else None

    def _learn(self, pattern: Pattern) -> bool:
        content = np.zeros(len(self.runs), dtype=np.int64)
        content[self.small] = pattern.counts(len(self.small))
        is_new = self.pool.add(content)
        if is_new:
            self.layout[content.tobytes()] = pattern
            for way in self.ways:
                way.learn(pattern)
        return is_new

    def _learn_alone(self, cycles: int) -> None:
        """Arrays with as many of one run as there is room and time for."""
        for at, alone in enumerate(np.eye(len(self.small), dtype=np.int64)):
            most = cycles // int(self.cycles[self.small[at]])
            pattern = self.ways[0].pricer.price(alone, self.limits)[1]
            if most:
                self._learn(pattern.keep(np.where(alone > 0, most, 0)))

    def _program(self, cycles: int) -> tuple[Floats, Floats, Ints]:
        """Price and content of what may be chosen, patterns and then cuts; and the numbers of those patterns."""
        patterns = self.pool.matrix()
        in_time = np.flatnonzero(patterns @ self.cycles <= cycles)
        price = np.concatenate([np.ones(len(in_time)), np.zeros(len(self.choices))])
        return price, np.concatenate([patterns[in_time], self.split]), in_time

    def _stacks(self, way: Bands, worth: Floats, cycles: int) -> list[Pattern]:
        """Patterns of much worth: stacks of bands, which are priced by what is left after the time that they take."""
        time = self.cycles[self.small]
        values = worth
        for _ in range(PRICES):
            way.price(np.floor(np.maximum(values, 0.0) * SCALE).astype(np.int64), self.limits)
            content, height = way.content, way.height
            rows = np.stack([height, content @ time]).astype(np.float64)
            most = np.array([way.rows, cycles], dtype=np.float64)
            price = -(content @ worth)
            loose = solve_linear(price, rows, most)
            if loose is None:
                break
            values = worth - float(loose.prices[1]) * time
        times = self._best_stack(content, height, content @ worth, way.rows, cycles)
        return [way.stack(times)] if times.any() else []

    def _best_stack(self, content: Ints, height: Ints, worth: Floats, rows: int, cycles: int) -> Ints:
        """How many of each band are worth most, with room and time for all of them."""
        # CP-SAT takes long to load, and most questions never need it.
        from cimsolve.solve.cp_sat import cp_model, make_solver

        model = cp_model.CpModel()
        time = content @ self.cycles[self.small]
        most = np.minimum(rows // height, cycles // time)
        number = [model.new_int_var(0, each, "") for each in most.tolist()]
        model.add(cp_model.LinearExpr.weighted_sum(number, height.tolist()) <= rows)
        model.add(cp_model.LinearExpr.weighted_sum(number, time.tolist()) <= cycles)
        model.maximize(cp_model.LinearExpr.weighted_sum(number, np.floor(worth * SCALE).astype(np.int64).tolist()))
        solver = make_solver(PRICING_TIME)
        if solver.solve(model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return np.zeros_like(most)
        return np.array([solver.value(each) for each in number])

    def _rounded(self, cycles: int) -> TimedFilling | None:
        """Whole numbers of patterns and cuts."""
        from cimsolve.solve.cp_sat import cp_model, make_solver

        _, columns, in_time = self._program(cycles)
        model = cp_model.CpModel()
        number = [model.new_int_var(0, self.arrays, "") for _ in in_time]
        number += [model.new_int_var(0, int(self.need.sum()), "") for _ in self.choices]
        for run, need in enumerate(self.need.tolist()):
            terms = np.flatnonzero(columns[:, run])
            of_run = [number[at] for at in terms.tolist()]
            model.add(cp_model.LinearExpr.weighted_sum(of_run, columns[terms, run].astype(np.int64).tolist()) >= need)
        model.add(sum(number[: len(in_time)]) <= self.arrays)
        solver = make_solver(ROUNDING_TIME)
        if solver.solve(model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return None
        times = np.array([solver.value(each) for each in number])
        used = np.flatnonzero(times[: len(in_time)])
        patterns = [self.layout[self.pool.patterns[in_time[at]].tobytes()] for at in used.tolist()]
        cuts = [
            (self.runs[whole], part, count)
            for (whole, part, _, _), count in zip(self.choices, times[len(in_time) :].tolist(), strict=True)
            if count
        ]
        # What is cut is wider than what that leaves.
        cuts.sort(key=lambda cut: -len(cut[0].parts))
        return TimedFilling([self.runs[at] for at in self.small.tolist()], patterns, times[used], cuts)
