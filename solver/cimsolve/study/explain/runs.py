"""Why an answer in runs takes its time: what binds each run, and what a change would buy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cimsolve.chip.settings import with_settings
from cimsolve.chip.spec import Hardware
from cimsolve.errors import CheckError, InfeasibleError, InputError
from cimsolve.judge.check.plan import check_plan, chip_times
from cimsolve.price.chips import chips_metrics, link_section, use_link
from cimsolve.price.cost import Costs
from cimsolve.price.rounds import RunTimes, begins_of_runs, load_cycles, plan_metrics, times_of_run, writing_sections
from cimsolve.problem.plan import AnyPlan, ChipsHeader, Plan, RoundsHeader, read_plan
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Solution
from cimsolve.solve.effort import Effort
from cimsolve.study.explain.change import ChangeOutcome
from cimsolve.study.names import RUN_WHAT_IFS
from cimsolve.study.short import solve_short

OF_ROUNDS, OF_CHIPS = ("batch-x2", "load-x2", "write-x2", "array+1"), ("link-x2", "chip+1", "array+1")
"""Changes that can be told of answers in rounds, and of those on chips in a row."""

Parts = Mapping[str, int]
"""What time goes to -> cycles."""


@dataclass(frozen=True)
class PlanExplanation:
    """An answer in runs that passed the checker, and why it is as it is."""

    name: str
    plan: AnyPlan
    problem: Problem
    parts: Mapping[str, Parts]
    """What passes the runs (`token`, `prefill`, `batch`; of chips `token`) -> what its time goes to, cycles."""
    slowest: str
    """Of chips the one, or the link, that bounds II; else the run that takes longest in a prefill, in words."""
    bound_by_load: int
    """How many runs wait longer for the load link than for the write drivers."""
    outcomes: Sequence[ChangeOutcome]


def explain_plan(
    answer: AnyPlan | Path | str,
    what_ifs: Sequence[str] | None = (),
    *,
    name: str = "the answer",
    begin: Callable[[str], None] = lambda task: None,
) -> PlanExplanation:
    """What the time of an answer in runs goes to, and what each of some changes would buy.

    Changes are names of `OF_ROUNDS` or `OF_CHIPS`; None: all of them. What leaves the mappings as they are is computed
    for this cut, another number of arrays or chips is solved again. `begin` is told what runs now.

    Raises InputError for a change that is none of these and a file of no such answer, CheckError where the answer
    breaks a rule.
    """
    plan = answer if isinstance(answer, Plan) else read_plan(Path(answer))
    known = OF_ROUNDS if isinstance(plan.header, RoundsHeader) else OF_CHIPS
    chosen = known if what_ifs is None else what_ifs
    for each in chosen:
        if each not in known:
            raise InputError(f"--what-if {each}: is not told of {name}; expected some of {', '.join(known)}, or none")
    begin(f"checking {name}")
    report = check_plan(plan)
    if not report.passed:
        raise CheckError(f"{name}: fails its check, {report.violations[0]}; only what passes is explained")
    problem = Problem(plan.question())
    if isinstance(plan.header, RoundsHeader):
        told = _explain_rounds(plan, plan.header, problem, report.costs)
    else:
        told = _explain_chips(plan, problem)
    outcomes = []
    for number, each in enumerate(chosen, 1):
        begin(f"[{number}/{len(chosen)}] what if {RUN_WHAT_IFS[each]}")
        outcomes.append(_what_if(each, plan, problem, report.costs))
    return PlanExplanation(name, plan, problem, *told, outcomes)


def _explain_rounds(
    plan: AnyPlan, header: RoundsHeader, problem: Problem, costs: Sequence[Costs]
) -> tuple[Mapping[str, Parts], str, int]:
    times = _times(plan, problem.hardware, costs)
    binds = [
        "load link" if load_cycles(problem.hardware, _weights(solution)) >= run.write else "write drivers"
        for run, solution in zip(times, plan.runs, strict=True)
    ]
    parts = {}
    for of in ("token", "prefill", "batch"):
        found = {"computing": 0, "load link": 0, "write drivers": 0}
        ended = 0
        for run, by, (_, computes) in zip(
            times, binds, begins_of_runs(times, header.double, of, header.batch), strict=True
        ):
            found[by] += computes - ended
            ended = computes + run.compute(of, header.batch)
            found["computing"] += run.compute(of, header.batch)
        if of == "batch" and header.double:  # the first run is written beside the last of the batch before
            found[binds[0]] -= min(times[0].write, times[-1].compute(of, header.batch))
        parts[of] = found
    longest = max(range(len(times)), key=lambda run: times[run].prefill)
    first = problem.model.steps[header.runs[longest].first].name
    return parts, f"run {longest + 1}, from {first}", binds.count("load link")


def _explain_chips(plan: AnyPlan, problem: Problem) -> tuple[Mapping[str, Parts], str, int]:
    ends = [run.end for run in plan.header.runs]
    links = [use_link(problem, end) for end in ends[:-1]]
    metrics = [solution.header.metrics for solution in plan.runs]
    parts = {
        "token": {
            "computing": sum(int(each["latency_cycles"]) for each in metrics),
            "links": sum(link.latency for link in links),
        }
    }
    units = {f"chip {chip}": int(each["ii_cycles"]) for chip, each in enumerate(metrics, 1)}
    units |= {f"the link behind chip {chip}": link.busy for chip, link in enumerate(links, 1)}
    slowest = max(units, key=units.__getitem__)
    if plan.header.metrics["ii_cycles"] > units[slowest]:
        slowest = "the room for keys and values"
    return parts, slowest, 0


def _times(plan: AnyPlan, hardware: Hardware, costs: Sequence[Costs]) -> list[RunTimes]:
    known: dict[int, RunTimes] = {}
    for solution, cost in zip(plan.runs, costs, strict=True):
        if id(cost) not in known:
            known[id(cost)] = times_of_run(hardware, solution.pieces, cost.metrics)
    return [known[id(cost)] for cost in costs]


def _weights(solution: Solution) -> int:
    return int((solution.pieces.rows * solution.pieces.cols).sum())


def _what_if(name: str, plan: AnyPlan, problem: Problem, costs: Sequence[Costs]) -> ChangeOutcome:
    began, reason = time.monotonic(), ""
    metrics: Mapping[str, int | float] = {}
    try:
        metrics = _changed(name, plan, problem, costs)
    except (InfeasibleError, InputError) as error:
        reason = str(error)
    return ChangeOutcome(name, RUN_WHAT_IFS[name], metrics, reason, time.monotonic() - began)


def _changed(name: str, plan: AnyPlan, problem: Problem, costs: Sequence[Costs]) -> Mapping[str, int | float]:
    """The figures of the changed answer."""
    header = plan.header
    if name in ("array+1", "chip+1"):
        return _solved_again(name, plan, problem)
    settings = dict(_settings(name, problem.hardware))
    changed = problem.asking(hardware=with_settings(problem.hardware, settings)) if settings else problem
    ends = [run.end for run in header.runs]
    if isinstance(header, RoundsHeader):
        times = _times(plan, changed.hardware, costs)
        runs = [(run, cost.metrics) for run, cost in zip(times, costs, strict=True)]
        batch = header.batch * 2 if name == "batch-x2" else header.batch
        return plan_metrics(changed, ends, runs, header.double, batch)
    return chips_metrics(changed, ends, [(chip_times(cost), cost.metrics) for cost in costs])


def _settings(name: str, hardware: Hardware) -> Iterator[tuple[str, str]]:
    """Keys of the spec and their values, after a change."""
    if name == "link-x2":
        yield "chip_link.bits_per_ns", str(2 * link_section(hardware).bits_per_ns)
    elif name in ("load-x2", "write-x2"):
        write, load = writing_sections(hardware)
        if name == "load-x2":
            yield "load.bits_per_ns", str(2 * load.bits_per_ns)
        else:
            yield "write.row_ns", str(write.row_ns / 2)


def _solved_again(name: str, plan: AnyPlan, problem: Problem) -> Mapping[str, int | float]:
    """By the strategy of the answer, with one more array a chip, or one more chip."""
    header, limit = plan.header, problem.array_limit
    assert limit is not None
    asked = problem
    if name == "array+1":
        hardware = problem.hardware
        if hardware.array.count is not None:
            hardware = with_settings(hardware, {"array.count": str(max(hardware.array.count, limit + 1))})
        terms = {} if problem.terms.max_arrays is None else {"max_arrays": limit + 1}
        asked = problem.asking(hardware=hardware, **terms)
    effort = Effort(seed=header.seed)
    if isinstance(header, ChipsHeader):
        chips = header.chips + (name == "chip+1")
        found, report = solve_short(asked, "chips", header.strategy, effort, chips=chips)
    else:
        found, report = solve_short(asked, "rounds", header.strategy, effort, batch=header.batch)
    if not report.passed:
        raise InfeasibleError(f"fails its check: {report.violations[0]}")
    return found.header.metrics
