"""Answers in rounds: a model cut into runs, each mapped as any question, its weights written before it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from cimsolve.errors import InfeasibleError, InputError
from cimsolve.model.part import part_of
from cimsolve.price.cost import price
from cimsolve.price.rounds import (
    RunTimes,
    period_cycles,
    plan_metrics,
    times_of_run,
    total_cycles,
    writing_sections,
)
from cimsolve.problem.objective import names_of
from cimsolve.problem.problem import Problem
from cimsolve.problem.rounds import FORMAT, Rounds, RoundsHeader, RunEntry, run_problem
from cimsolve.problem.solution import BoundEntry, Solution
from cimsolve.prove import relative_gap
from cimsolve.prove.arrays import least_arrays
from cimsolve.prove.rounds import Cut, LeastRuns, best_cut, find_rounds_bounds, shape_of
from cimsolve.solve.effort import Effort
from cimsolve.solve.names import RULE_NAMES
from cimsolve.study.solving import library_versions, make_solution, mapping_of, problem_for, solve

SHAPES_MAX = 3
"""Once so many shapes of runs are solved and a cut is whole, no other cut is tried."""
METRIC_OF = {"token": "latency", "prefill": "prefill", "batch": "batch"}
PASSED = {"latency": "token", "prefill": "prefill", "throughput": "batch"}
"""Objective -> what passes through the runs while they are cut to take least."""


def is_short_of_arrays(problem: Problem) -> bool:
    """Whether no mapping of the question fits on the arrays allowed, as a bound shows."""
    limit = problem.array_limit
    return limit is not None and least_arrays(problem, limit + 1)[0] > limit


def solve_rounds(
    problem: Problem,
    strategy: str = "optimal",
    effort: Effort | None = None,
    batch: int | None = None,
    begin: Callable[[str], None] = lambda task: None,
) -> Rounds:
    """An answer in rounds, whose runs are mapped by `strategy`.

    A rule fills the chip step after step, writes, computes and goes on. `optimal` cuts where it takes least, and
    writes a run while the one before computes where that takes less. Raises InfeasibleError where a step alone needs
    more arrays than there are, InputError where the chip does not say how weights are written.
    """
    asked = problem_for(strategy, problem)
    writing_sections(asked.hardware)
    limit = asked.array_limit
    if limit is None:
        raise InputError("rounds: the arrays are not limited; give --max-arrays, or array.count in the spec")
    effort = effort or Effort()
    batch = batch or asked.model.tokens
    fills = strategy in RULE_NAMES
    ways = [_CutSearch(asked, strategy, effort, batch, False, limit, begin)]
    if not fills and limit > 1:
        ways.append(_CutSearch(asked, strategy, effort, batch, True, limit // 2, begin))
        ways.sort(key=lambda way: way.least_cycles())
    best: Rounds | None = None
    metric = f"{METRIC_OF[_passed(asked)]}_cycles"
    for number, way in enumerate(ways):
        if best is not None and way.least_cycles() >= best.header.metrics[metric]:
            continue
        try:
            found = _answer(way, way.run(fills))
        except InfeasibleError:
            if best is None and number + 1 == len(ways):
                raise
            continue
        if best is None or found.header.metrics[metric] < best.header.metrics[metric]:
            best = found
    assert best is not None
    return best


def _passed(problem: Problem) -> str:
    names = names_of(run_problem(problem, 0, len(problem.model.steps)).objective)
    return PASSED.get(names[0], "token")


@dataclass
class _CutSearch:
    """The runs of one way of writing, mapped as far as a cut asks for them."""

    problem: Problem
    strategy: str
    effort: Effort
    batch: int
    double: bool
    arrays: int
    begin: Callable[[str], None]
    solved: dict[Hashable, Solution | None] = field(default_factory=dict)

    @cached_property
    def least(self) -> Mapping[tuple[int, int], RunTimes]:
        """What every run that may fit takes at least."""
        return LeastRuns(self.problem, self.arrays).all()

    def least_cycles(self) -> float:
        """What the best cut would take if every run took its least."""
        of = _passed(self.problem)
        cut = best_cut(self.least, len(self.problem.model.steps), self.double, of, self.batch)
        return math.inf if cut is None else self._cycles(self.least, cut)

    def _cycles(self, runs: Mapping[tuple[int, int], RunTimes], cut: Cut) -> int:
        times, of = [runs[run] for run in cut], _passed(self.problem)
        return period_cycles(times, self.double, self.batch) if of == "batch" else total_cycles(times, self.double, of)

    def run(self, fills: bool) -> list[tuple[tuple[int, int], Solution]]:
        """The runs of the best cut found in order, with a solution each. Raises InfeasibleError where there is none.

        The cut that would take least, by what its runs are known to take, is solved, until it is known as a whole.
        """
        count, of = len(self.problem.model.steps), _passed(self.problem)
        best: tuple[int, Cut] | None = None
        while True:
            known = {run: times for run, least in self.least.items() if (times := self._times(run, least))}
            cut = _filled(known, count) if fills else best_cut(known, count, self.double, of, self.batch)
            if cut is None:
                raise self._too_large(next(step for step in range(count) if (step, step + 1) not in known))
            missing = {self.shape(run): run for run in cut if self.shape(run) not in self.solved}
            for run in missing.values():
                self._solve(run)
                if self.solved[self.shape(run)] is None:
                    break
            if all(self.solved.get(self.shape(run)) is not None for run in cut):
                cycles = self._cycles({run: self._times(run, self.least[run]) or self.least[run] for run in cut}, cut)
                best = min(best or (cycles, cut), (cycles, cut))
                if not missing or fills or len(self.solved) >= SHAPES_MAX:
                    return [(run, self._solution(run)) for run in best[1]]

    def shape(self, run: tuple[int, int]) -> Hashable:
        return shape_of(part_of(self.problem.model, *run), self.problem.structures)

    def _asked(self, run: tuple[int, int]) -> Problem:
        asked = run_problem(self.problem, *run)
        return asked.asking(max_arrays=self.arrays) if self.arrays != asked.array_limit else asked

    def _solve(self, run: tuple[int, int]) -> None:
        steps = self.problem.model.steps
        self.begin(f"{self.strategy}: run from {steps[run[0]].name} to {steps[run[1] - 1].name}")
        shape = self.shape(run)
        self.solved[shape] = None
        with contextlib.suppress(InfeasibleError):  # the bound on arrays was not reached: no cut has such a run
            self.solved[shape] = solve(self._asked(run), self.strategy, self.effort)

    def _times(self, run: tuple[int, int], least: RunTimes) -> RunTimes | None:
        """What a run takes: as it is mapped, or else at least; None where it does not fit."""
        shape = self.shape(run)
        if shape not in self.solved:
            return least
        solution = self.solved[shape]
        return (
            None if solution is None else times_of_run(self.problem.hardware, solution.pieces, solution.header.metrics)
        )

    def _solution(self, run: tuple[int, int]) -> Solution:
        """The solution of a run, where need be from that of another of its shape."""
        like = self.solved[self.shape(run)]
        assert like is not None
        asked = self._asked(run)
        if like.header.options == asked.terms:
            return like
        mapping = mapping_of(like, asked)
        return make_solution(
            asked, mapping, strategy=self.strategy, seed=self.effort.seed, priced=price(asked, mapping)
        )

    def _too_large(self, step: int) -> InfeasibleError:
        name = self.problem.model.steps[step].name
        need = least_arrays(run_problem(self.problem, step, step + 1), self.arrays + 1)[0]
        return InfeasibleError(
            f"{self.strategy}: rounds: {name} alone needs at least {need} arrays, of which a run has {self.arrays}; "
            "a step is not cut: allow more arrays, or store less by --structure"
        )


def _filled(runs: Mapping[tuple[int, int], RunTimes], steps: int) -> Cut | None:
    """As many steps into each run as fit, one run after the other."""
    found: list[tuple[int, int]] = []
    while not found or found[-1][1] < steps:
        first = found[-1][1] if found else 0
        ends = [end for begin, end in runs if begin == first]
        if not ends:
            return None
        found.append((first, max(ends)))
    return tuple(found)


def _answer(search: _CutSearch, runs: list[tuple[tuple[int, int], Solution]]) -> Rounds:
    problem, batch = search.problem, search.batch
    times = [times_of_run(problem.hardware, each.pieces, each.header.metrics) for _, each in runs]
    each = [(time, solution.header.metrics) for time, (_, solution) in zip(times, runs, strict=True)]
    metrics = plan_metrics(problem, [run[1] for run, _ in runs], each, search.double, batch)
    bounds = {}
    for name, bound in find_rounds_bounds(problem, batch).items():
        value = metrics[name]
        gap = relative_gap(name, value, bound.value)
        bounds[name] = BoundEntry(value=value, lower=bound.value, gap=gap, proof=bound.proof)
    question = problem.question.to_json()
    entries = [
        RunEntry(first=run[0], end=run[1], write_cycles=time.write) for (run, _), time in zip(runs, times, strict=True)
    ]
    header = RoundsHeader(
        format=FORMAT,
        **question,
        strategy=search.strategy,
        seed=search.effort.seed,
        double=search.double,
        batch=batch,
        runs=entries,
        metrics=metrics,
        bounds=bounds,
        versions=library_versions(),
    )
    return Rounds(header, [solution for _, solution in runs])
