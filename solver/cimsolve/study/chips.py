"""Answers on chips in a row: the runs of a model, each on a chip of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from cimsolve.price.chips import ChipTimes, chips_metrics, link_section, row_of
from cimsolve.problem.plan import CHIPS_FORMAT, Chips, ChipsHeader, Plan, RunEntry
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Solution
from cimsolve.prove.chips import best_row, find_chips_bounds, least_chips
from cimsolve.prove.runs import Cut, Run
from cimsolve.solve.effort import Effort
from cimsolve.study.runs import RunSearch, claims_of, fitting, passed, question_of_runs


def solve_chips(
    problem: Problem,
    strategy: str = "optimal",
    effort: Effort | None = None,
    chips: int | None = None,
    begin: Callable[[str], None] = lambda task: None,
) -> Chips:
    """An answer on at most `chips` like chips in a row (None: as few as can be found), mapped by `strategy`.

    A rule fills one chip after the other; `optimal` cuts where it takes least. Raises InfeasibleError where that are
    too few chips, or a step alone needs more arrays than one has, InputError where nothing joins the chips.
    """
    asked, limit = question_of_runs(problem, strategy, "chips")
    link_section(asked.hardware)
    asked = next(fitting(asked, limit, f"{strategy}: chips"))
    search = _ChipsSearch(asked, strategy, effort or Effort(), limit, begin, chips)
    runs = search.run()
    ends = [mapped.run[1] for mapped in runs]
    each = [(mapped.times, mapped.solution.header.metrics) for mapped in runs]
    allowed = chips or len(runs)
    header = ChipsHeader(
        format=CHIPS_FORMAT,
        **claims_of(search, chips_metrics(asked, ends, each), find_chips_bounds(asked, allowed)),
        chips=allowed,
        runs=[RunEntry(first=mapped.run[0], end=mapped.run[1], like=mapped.like) for mapped in runs],
    )
    return Plan(header, [mapped.solution for mapped in runs])


@dataclass
class _ChipsSearch(RunSearch[ChipTimes]):
    kind: ClassVar[str] = "chips"

    @property
    def least(self) -> Mapping[Run, ChipTimes]:
        return least_chips(self.problem, self.arrays)

    def times_of(self, solution: Solution, run: Problem) -> ChipTimes:
        metrics, phases = solution.header.metrics, tuple(solution.header.breakdown.phases["ii_cycles"])
        return ChipTimes(int(metrics["latency_cycles"]), int(metrics["ii_cycles"]), phases, run.later_tokens)

    def best_cut(self, runs: Mapping[Run, ChipTimes]) -> Cut | None:
        return best_row(self.problem, runs, self.runs_max, passed(self.problem))

    def cycles(self, runs: Mapping[Run, ChipTimes], cut: Cut) -> int:
        row = row_of(self.problem, [end for _, end in cut], [runs[run] for run in cut])
        return row.takes(passed(self.problem))
