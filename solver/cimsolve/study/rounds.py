"""Answers in rounds: the runs of a model on one chip, the weights of each written before it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from cimsolve.errors import InfeasibleError
from cimsolve.price.rounds import RunTimes, period_cycles, plan_metrics, times_of_run, total_cycles, writing_sections
from cimsolve.problem.plan import ROUNDS_FORMAT, Plan, Rounds, RoundsHeader, WrittenRun
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Solution
from cimsolve.prove.rounds import best_cut, find_rounds_bounds, least_rounds
from cimsolve.prove.runs import Cut, Run
from cimsolve.solve.effort import Effort
from cimsolve.study.runs import RunSearch, claims_of, passed, question_of_runs

METRIC_OF = {"token": "latency", "prefill": "prefill", "batch": "batch"}


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
    asked, limit = question_of_runs(problem, strategy, "rounds")
    writing_sections(asked.hardware)
    effort = effort or Effort()
    batch = batch or asked.model.tokens
    ways = [_RoundsSearch(asked, strategy, effort, limit, begin, batch=batch)]
    if not ways[0].fills and limit > 1:
        ways.append(_RoundsSearch(asked, strategy, effort, limit // 2, begin, batch=batch, double=True))
        ways.sort(key=lambda way: way.least_cycles())
    best: Rounds | None = None
    metric = f"{METRIC_OF[passed(asked)]}_cycles"
    for number, way in enumerate(ways):
        if best is not None and way.least_cycles() >= best.header.metrics[metric]:
            continue
        try:
            found = _answer(way)
        except InfeasibleError:
            if best is None and number + 1 == len(ways):
                raise
            continue
        if best is None or found.header.metrics[metric] < best.header.metrics[metric]:
            best = found
    assert best is not None
    return best


@dataclass
class _RoundsSearch(RunSearch[RunTimes]):
    """The runs of one way of writing."""

    batch: int = 1
    double: bool = False
    kind: ClassVar[str] = "rounds"

    @property
    def least(self) -> Mapping[Run, RunTimes]:
        return least_rounds(self.problem, self.arrays)

    def least_cycles(self) -> float:
        """What the best cut would take if every run took its least."""
        cut = self.best_cut(self.least)
        return math.inf if cut is None else self.cycles(self.least, cut)

    def times_of(self, solution: Solution) -> RunTimes:
        return times_of_run(self.problem.hardware, solution.pieces, solution.header.metrics)

    def best_cut(self, runs: Mapping[Run, RunTimes]) -> Cut | None:
        return best_cut(runs, len(self.problem.model.steps), self.double, passed(self.problem), self.batch)

    def cycles(self, runs: Mapping[Run, RunTimes], cut: Cut) -> int:
        times, of = [runs[run] for run in cut], passed(self.problem)
        return period_cycles(times, self.double, self.batch) if of == "batch" else total_cycles(times, self.double, of)


def _answer(search: _RoundsSearch) -> Rounds:
    problem, batch, runs = search.problem, search.batch, search.run()
    times = [search.times_of(solution) for _, solution in runs]
    each = [(time, solution.header.metrics) for time, (_, solution) in zip(times, runs, strict=True)]
    metrics = plan_metrics(problem, [end for (_, end), _ in runs], each, search.double, batch)
    header = RoundsHeader(
        format=ROUNDS_FORMAT,
        **claims_of(search, metrics, find_rounds_bounds(problem, batch)),
        double=search.double,
        batch=batch,
        runs=[
            WrittenRun(first=first, end=end, write_cycles=time.write)
            for ((first, end), _), time in zip(runs, times, strict=True)
        ],
    )
    return Plan(header, [solution for _, solution in runs])
