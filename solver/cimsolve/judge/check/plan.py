"""The rules of answers in runs: each run by the rules of all mappings, then what joins them, recomputed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cimsolve.errors import CimsolveError
from cimsolve.files.text import one_line
from cimsolve.judge.check import check_solution
from cimsolve.judge.check.case import Violation
from cimsolve.price.chips import ChipTimes, chips_metrics
from cimsolve.price.cost import Costs
from cimsolve.price.rounds import RunTimes, plan_metrics, times_of_run
from cimsolve.problem.plan import AnyPlan, RoundsHeader, run_problem
from cimsolve.problem.problem import Problem
from cimsolve.problem.question import Difference, Question, first_difference
from cimsolve.problem.solution import Solution
from cimsolve.prove import Bound, relative_gap
from cimsolve.prove.chips import find_chips_bounds
from cimsolve.prove.rounds import find_rounds_bounds
from cimsolve.prove.runs import shapes_of

Metrics = Mapping[str, int | float]
Bounds = Mapping[str, Bound]
ROUNDING = 1e-12


@dataclass(frozen=True)
class PlanReport:
    """The verdict on an answer in runs, with what was recomputed; nothing where a run breaks a rule."""

    violations: tuple[Violation, ...]
    metrics: Metrics | None = None
    bounds: Bounds | None = None
    costs: tuple[Costs, ...] = ()
    """Of each run; equal runs have one."""

    @property
    def passed(self) -> bool:
        """Whether no rule is broken."""
        return not self.violations


def check_plan(plan: AnyPlan, problem: Problem | None = None) -> PlanReport:
    """Judge an answer in runs: every run, and every figure of the whole; with `problem`, that it answers this."""
    try:
        asked = Problem(plan.question())
        if problem is not None and (found := asked.question.difference(problem.question, ("cut_steps",))):
            return PlanReport((Violation("question", f"{found.path}: it is not the one that was asked"),))
        broken = tuple(_broken_cut(plan, asked))
        if broken:
            return PlanReport(broken)
        broken, costs = _checked_runs(plan, asked)
        if broken:
            return PlanReport(broken)
        if isinstance(plan.header, RoundsHeader):
            broken, metrics, bounds = _judge_rounds(plan.header, plan, asked, costs)
            if broken:
                return PlanReport(broken)
        else:
            ends = [run.end for run in plan.header.runs]
            metrics = chips_metrics(asked, ends, [(chip_times(each), each.metrics) for each in costs])
            bounds = find_chips_bounds(asked, plan.header.chips)
        return PlanReport(tuple(_broken_claims(plan, metrics, bounds)), metrics, bounds, tuple(costs))
    except CimsolveError as error:
        return PlanReport((Violation("question", one_line(str(error))),))


def _broken_cut(plan: AnyPlan, asked: Problem) -> Iterator[Violation]:
    """Runs are parts of the model in its order, which leave no step out and do none twice."""
    expected = 0
    for number, run in enumerate(plan.header.runs):
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
    if not isinstance(plan.header, RoundsHeader) and len(plan.header.runs) > plan.header.chips:
        yield Violation("runs", f"there are {len(plan.header.runs)}, on at most {plan.header.chips} chips")


def _checked_runs(plan: AnyPlan, asked: Problem) -> tuple[tuple[Violation, ...], list[Costs]]:
    """What is wrong with the first run that breaks a rule, and else what each costs."""
    broken: list[Violation] = []
    found: list[Costs] = []
    shapes = shapes_of(asked)
    for number, (entry, solution) in enumerate(zip(plan.header.runs, plan.runs, strict=True)):
        if entry.like is not None:
            like = plan.header.runs[entry.like]
            if shapes.of(entry.first, entry.end) != shapes.of(like.first, like.end):
                broken.append(Violation("runs", f"run {number} is not like run {entry.like}: their steps differ"))
                break
            found.append(found[entry.like])
            continue
        if different := _difference(solution, run_problem(asked, entry.first, entry.end).question):
            broken.append(Violation("runs", f"run {number} answers another question: {different.path} differs"))
            break
        report = check_solution(solution)
        broken += [Violation(each.rule, f"run {number}: {each.message}") for each in report.violations]
        if report.costs is None or not report.passed:
            break
        found.append(report.costs)
        broken += _broken_limit(asked, number, int(report.costs.metrics["arrays"]))
    return tuple(broken), found


def _difference(solution: Solution, question: Question) -> Difference | None:
    """Where the question that a run states differs from the one it is asked, its arrays apart, which it may halve."""
    stated = {name: getattr(solution.header, name) for name in Question.KEYS}
    terms = {"max_arrays": question.terms.max_arrays}
    return first_difference({**stated, "options": stated["options"].model_dump() | terms}, question.to_json())


def _broken_limit(asked: Problem, number: int, arrays: int, beside: int = 0) -> Iterator[Violation]:
    """A chip has the arrays of the run on it, and of one that is written meanwhile."""
    limit = asked.array_limit or 0
    if arrays + beside > limit:
        words = f" and the run written meanwhile {beside}" if beside else ""
        yield Violation("arrays", f"run {number} uses {arrays} arrays{words}; the limit is {limit}")


def _judge_rounds(
    header: RoundsHeader, plan: AnyPlan, asked: Problem, costs: Sequence[Costs]
) -> tuple[tuple[Violation, ...], Metrics, Bounds]:
    """What is wrong with the writing of runs, and the figures and bounds of all."""
    broken: list[Violation] = []
    times: list[RunTimes] = []
    for entry, solution, each in zip(header.runs, plan.runs, costs, strict=True):
        like = entry.like
        times.append(times_of_run(asked.hardware, solution.pieces, each.metrics) if like is None else times[like])
    arrays = [int(each.metrics["arrays"]) for each in costs]
    for number, (entry, run) in enumerate(zip(header.runs, times, strict=True)):
        if entry.write_cycles != run.write:
            broken.append(
                Violation("writing", f"run {number}: write_cycles = {entry.write_cycles}; expected {run.write}")
            )
        if header.double:
            broken += _broken_limit(asked, number, arrays[number], arrays[(number + 1) % len(arrays)])
    runs = [(run, each.metrics) for run, each in zip(times, costs, strict=True)]
    metrics = plan_metrics(asked, [run.end for run in header.runs], runs, header.double, header.batch)
    return tuple(broken), metrics, find_rounds_bounds(asked, header.batch)


def chip_times(costs: Costs) -> ChipTimes:
    """What a chip of a row takes."""
    metrics = costs.metrics
    phases = tuple(phase.ii_cycles for phase in costs.phases)
    later = costs.fired.problem.later_tokens
    return ChipTimes(int(metrics["latency_cycles"]), int(metrics["ii_cycles"]), phases, later)


def _broken_claims(plan: AnyPlan, metrics: Metrics, bounds: Bounds) -> Iterator[Violation]:
    """Figures, bounds and gaps are those that the runs and the question give."""
    header = plan.header
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
