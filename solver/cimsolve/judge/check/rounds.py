"""The rules of answers in rounds: each run by the rules of all mappings, then what joins them, recomputed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cimsolve.errors import CimsolveError
from cimsolve.files.text import one_line
from cimsolve.judge.check import check_solution
from cimsolve.judge.check.case import Violation
from cimsolve.price.rounds import RunTimes, plan_metrics, times_of_run
from cimsolve.problem.problem import Problem
from cimsolve.problem.rounds import Rounds, run_problem
from cimsolve.prove import Bound, relative_gap
from cimsolve.prove.rounds import find_rounds_bounds

Metrics = Mapping[str, int | float]
ROUNDING = 1e-12


@dataclass(frozen=True)
class RoundsReport:
    """The verdict on an answer in rounds, with what was recomputed; nothing where a run breaks a rule."""

    violations: tuple[Violation, ...]
    metrics: Metrics | None = None
    bounds: Mapping[str, Bound] | None = None

    @property
    def passed(self) -> bool:
        """Whether no rule is broken."""
        return not self.violations


def check_rounds(rounds: Rounds, problem: Problem | None = None) -> RoundsReport:
    """Judge an answer in rounds: every run, and every figure of the whole; with `problem`, that it answers this."""
    try:
        asked = Problem(rounds.question())
        if problem is not None and (found := asked.question.difference(problem.question)):
            return RoundsReport((Violation("question", f"{found.path}: it is not the one that was asked"),))
        broken = tuple(_broken_cut(rounds, asked))
        if broken:
            return RoundsReport(broken)
        broken, runs = _checked_runs(rounds, asked)
        if broken:
            return RoundsReport(broken)
        header = rounds.header
        metrics = plan_metrics(asked, [run.end for run in header.runs], runs, header.double, header.batch)
        bounds = find_rounds_bounds(asked, header.batch)
        return RoundsReport(tuple(_broken_claims(rounds, runs, metrics, bounds)), metrics, bounds)
    except CimsolveError as error:
        return RoundsReport((Violation("question", one_line(str(error))),))


def _broken_cut(rounds: Rounds, asked: Problem) -> Iterator[Violation]:
    """Runs are parts of the model in its order, which leave no step out and do none twice."""
    expected = 0
    for number, run in enumerate(rounds.header.runs):
        if run.first != expected or run.end <= run.first:
            yield Violation(
                "runs", f"run {number} is of steps {run.first} to {run.end}; expected it to begin at {expected}"
            )
            return
        expected = run.end
    if expected != len(asked.model.steps):
        yield Violation("runs", f"the last run ends at step {expected}; expected {len(asked.model.steps)}")
    if asked.array_limit is None:
        yield Violation("runs", "the arrays are not limited: nothing asks for runs")


def _checked_runs(rounds: Rounds, asked: Problem) -> tuple[tuple[Violation, ...], list[tuple[RunTimes, Metrics]]]:
    """What is wrong with runs one by one and side by side, and else what each takes."""
    broken: list[Violation] = []
    found: list[tuple[RunTimes, Metrics]] = []
    limit = asked.array_limit or 0
    for number, (entry, solution) in enumerate(zip(rounds.header.runs, rounds.runs, strict=True)):
        question = run_problem(asked, entry.first, entry.end).question
        if different := solution.question().difference(question, ("max_arrays",)):
            broken.append(Violation("runs", f"run {number} answers another question: {different.path} differs"))
            continue
        report = check_solution(solution)
        broken += [Violation(each.rule, f"run {number}: {each.message}") for each in report.violations]
        if report.costs is None or not report.passed:
            continue
        found.append((times_of_run(asked.hardware, solution.pieces, report.costs.metrics), report.costs.metrics))
    arrays = [int(metrics["arrays"]) for _, metrics in found]
    beside = [*arrays[1:], arrays[0]] if rounds.header.double and arrays else [0] * len(arrays)
    for number, (mine, others) in enumerate(zip(arrays, beside, strict=True)):
        if mine + others > limit:
            words = f" and the run written meanwhile {others}" if others else ""
            broken.append(Violation("arrays", f"run {number} uses {mine} arrays{words}; the limit is {limit}"))
    return tuple(broken), found


def _broken_claims(
    rounds: Rounds, runs: list[tuple[RunTimes, Metrics]], metrics: Metrics, bounds: Mapping[str, Bound]
) -> Iterator[Violation]:
    """Times of writing, figures, bounds and gaps are those that the runs and the question give."""
    header = rounds.header
    for number, (entry, (times, _)) in enumerate(zip(header.runs, runs, strict=True)):
        if entry.write_cycles != times.write:
            yield Violation("writing", f"run {number}: write_cycles = {entry.write_cycles}; expected {times.write}")
    if header.metrics.keys() != metrics.keys() or header.bounds.keys() != bounds.keys():
        yield Violation("metrics", "figures or bounds are missing, or there are others")
        return
    for name, value in metrics.items():
        if abs(header.metrics[name] - value) > ROUNDING * abs(value):
            yield Violation("metrics", f"{name} = {header.metrics[name]}; expected {value}")
    for name, bound in bounds.items():
        entry_of = header.bounds[name]
        gap = relative_gap(name, metrics[name], bound.value)
        claims = (
            ("value", entry_of.value, metrics[name]),
            ("lower", entry_of.lower, bound.value),
            ("gap", entry_of.gap, gap),
        )
        for key, claimed, right in claims:
            if abs(claimed - right) > ROUNDING * max(1.0, abs(right)):
                yield Violation("bounds", f"{name}.{key} = {claimed}; expected {right}")
        if metrics[name] < bound.value * (1 - ROUNDING):
            yield Violation("below bound", f"{name} = {metrics[name]} lies below its bound {bound.value}")
