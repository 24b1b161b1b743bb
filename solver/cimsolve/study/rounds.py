"""Answers in rounds: the runs of a model on one chip, the weights of each written before it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from cimsolve.solve.names import RULE_NAMES
from cimsolve.study.runs import FoundCut, Mapped, RunSearch, claims_of, fitting, passed, question_of_runs

CUTS = 2
"""Of the cuts of large steps so many are tried at once: the first that fit, and one finer."""


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
    doubles = (False,) if strategy in RULE_NAMES or limit == 1 else (False, True)
    ways = [_searches(asked, strategy, effort, limit, batch, double, begin) for double in doubles]
    found: list[tuple[FoundCut[RunTimes], _RoundsSearch]] = []
    refused: InfeasibleError | None = None
    while not found and ways:
        tried: list[_RoundsSearch] = []
        for way in list(ways):
            try:
                tried += itertools.islice(way, CUTS)
            except InfeasibleError as error:
                refused = refused or error
                ways.remove(way)
        ways = ways if tried else []
        for search in sorted(tried, key=_RoundsSearch.least_cycles):
            if found and search.least_cycles() >= min(draft.cycles for draft, _ in found):
                continue
            try:
                found.append((search.draft, search))
            except InfeasibleError as error:  # steps that are cut finer may fit
                refused = refused or error
    if not found:
        assert refused is not None
        raise refused
    draft, search = min(found, key=lambda each: each[0].cycles)
    return _answer(search, search.refined(draft))


def _searches(
    asked: Problem,
    strategy: str,
    effort: Effort,
    limit: int,
    batch: int,
    double: bool,
    begin: Callable[[str], None],
) -> Iterator[_RoundsSearch]:
    """Searches of one way of writing, each with steps cut finer than the one before."""
    arrays = limit // 2 if double else limit
    for cut in fitting(asked, arrays, f"{strategy}: rounds"):
        yield _RoundsSearch(cut, strategy, effort, arrays, begin, batch=batch, double=double)


@dataclass
class _RoundsSearch(RunSearch[RunTimes]):
    """The runs of one way of writing."""

    batch: int = 1
    double: bool = False
    kind: ClassVar[str] = "rounds"
    shares: ClassVar[tuple[float, ...]] = (1 / 8, 1 / 4, 1 / 2)

    @property
    def least(self) -> Mapping[Run, RunTimes]:
        return least_rounds(self.problem, self.arrays)

    def times_of(self, solution: Solution, run: Problem) -> RunTimes:
        return times_of_run(self.problem.hardware, solution.pieces, solution.header.metrics)

    def best_cut(self, runs: Mapping[Run, RunTimes]) -> Cut | None:
        return best_cut(runs, len(self.problem.model.steps), self.double, passed(self.problem), self.batch)

    def cycles(self, runs: Mapping[Run, RunTimes], cut: Cut) -> int:
        times, of = [runs[run] for run in cut], passed(self.problem)
        return period_cycles(times, self.double, self.batch) if of == "batch" else total_cycles(times, self.double, of)


def _answer(search: _RoundsSearch, runs: Sequence[Mapped[RunTimes]]) -> Rounds:
    problem, batch = search.problem, search.batch
    each = [(mapped.times, mapped.solution.header.metrics) for mapped in runs]
    metrics = plan_metrics(problem, [mapped.run[1] for mapped in runs], each, search.double, batch)
    header = RoundsHeader(
        format=ROUNDS_FORMAT,
        **claims_of(search, metrics, find_rounds_bounds(problem, batch)),
        double=search.double,
        batch=batch,
        runs=[
            WrittenRun(first=run[0], end=run[1], write_cycles=times.write, like=like) for run, like, _, times in runs
        ],
    )
    return Plan(header, [mapped.solution for mapped in runs])
