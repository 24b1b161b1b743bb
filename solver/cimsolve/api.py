"""The Python API: what the command line does, in a few calls. `import cimsolve` offers it lazily."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any, cast

from cimsolve.chip.read import load_hardware
from cimsolve.chip.spec import Hardware
from cimsolve.errors import CheckError, InputError
from cimsolve.files.text import demand_known, plain_name
from cimsolve.judge import check, replay, simulate
from cimsolve.judge.check import CheckReport, Verdict
from cimsolve.judge.check.plan import PlanReport
from cimsolve.judge.check.plan import check_plan as judge_plan
from cimsolve.judge.replay import Replay
from cimsolve.judge.replay import plan as replays_of_plans
from cimsolve.judge.replay.plan import PlanReplay
from cimsolve.judge.simulate import ArraySimulator, SimulationReport, Study
from cimsolve.judge.simulate import plan as simulations_of_plans
from cimsolve.model.load import Structures, load_model, resolve_structures
from cimsolve.model.model import Model
from cimsolve.problem import plan, solution
from cimsolve.problem.objective import DEFAULT_OBJECTIVE
from cimsolve.problem.plan import AnyPlan, ChipsHeader, Plan, RoundsHeader
from cimsolve.problem.problem import Problem
from cimsolve.problem.question import Question, ask
from cimsolve.problem.solution import Solution, solution_of
from cimsolve.problem.terms import Terms
from cimsolve.solve.effort import Effort
from cimsolve.solve.plan import demand_exact
from cimsolve.solve.strategies import STRATEGIES
from cimsolve.study.ask import Outcome, Run, write_checked
from cimsolve.study.changes import VariantAnswers, answer_variants, find_variants
from cimsolve.study.front import FrontRun, solution_of_point
from cimsolve.study.names import WhenShort
from cimsolve.study.short import solve_short
from cimsolve.study.solving import solve_passing, start_from
from cimsolve.study.sweep.run import solve_missing

__all__ = ["load_hardware", "load_model"]


def make_problem(
    model: Question | Model | Path | str,
    hardware: Hardware | Path | str | None = None,
    *,
    structure: Structures | None = None,
    objective: Sequence[str] | None = None,
    **terms: Any,
) -> Problem:
    """One mapping problem, checked: that of a Question, or of its parts with `terms`, which are fields of Terms.

    What is given beside a Question takes the place of its part. Linears are stored as `sqrt` and `objective` is
    arrays, then latency, unless they are given. `tokens` is for a model given by name or path; a loaded one has its
    own. Raises InputError where the parts are wrong or do not fit together.
    """
    if isinstance(model, Question):
        return Problem(_changed(model, hardware, structure, objective, terms))
    if hardware is None:
        raise InputError("hardware: none is given; expected a shipped name, a JSON file or a loaded spec")
    wanted = DEFAULT_OBJECTIVE if objective is None else objective
    stored = "sqrt" if structure is None else structure
    return Problem(ask(model, hardware, structure=stored, objective=wanted, **terms))


def _changed(
    question: Question,
    hardware: Hardware | Path | str | None,
    structure: Structures | None,
    objective: Sequence[str] | None,
    terms: dict[str, Any],
) -> Question:
    """The question with these parts in place of its own, those that are given."""
    Terms.of(terms)
    changes = dict(terms)
    if hardware is not None:
        changes["hardware"] = hardware if isinstance(hardware, Hardware) else load_hardware(hardware)
    if structure is not None:
        changes["structures"] = dict(resolve_structures(question.model, structure))
    if objective is not None:
        changes["objective"] = tuple(objective)
    return question.asking(**changes) if changes else question


def map_model(
    model: Question | Model | Path | str,
    hardware: Hardware | Path | str | None = None,
    *,
    strategy: str = "optimal",
    effort: Effort | None = None,
    **asked: Any,
) -> Solution:
    """Place and schedule a model; the solution carries metrics, bounds and status and has passed the checker.

    `asked` are what `make_problem` takes and fields of Effort, unless `effort` is given; `start` may be a solution of
    the same question or its file. Raises InputError for a question that is none, InfeasibleError where no mapping
    obeys the limits, and CheckError where the answer breaks a rule, which is a bug in cimsolve.
    """
    demand_known("strategy", strategy, STRATEGIES)
    problem, effort = _parts(model, hardware, effort, asked)
    if strategy == "optimal":
        demand_exact(problem, effort)
    return solve_passing(problem, strategy, effort)


def map_all(
    model: Question | Model | Path | str,
    hardware: Hardware | Path | str | None = None,
    *,
    strategies: Sequence[str] = tuple(STRATEGIES),
    effort: Effort | None = None,
    out: Path | str | None = None,
    **asked: Any,
) -> list[Outcome]:
    """What became of each strategy: mapped, checked, simulated on the first layer and, with `out`, written there.

    `asked` and errors are as for `map_model`; a strategy without a mapping is an outcome with a reason.
    """
    for strategy in strategies:
        demand_known("strategy", strategy, STRATEGIES)
    problem, effort = _parts(model, hardware, effort, asked)

    def keep(answer: Solution, report: CheckReport, strategy: str) -> tuple[Path, ...]:
        name = f"{'--'.join(map(plain_name, (problem.model.name, problem.hardware.name, strategy)))}.json"
        return () if out is None else write_checked(answer, report, Path(out), name)

    run = Run(problem, effort, keep=keep)
    found = list(run.outcomes(strategies))
    if run.interrupted:
        raise KeyboardInterrupt
    return found


def map_rounds(
    model: Question | Model | Path | str,
    hardware: Hardware | Path | str | None = None,
    *,
    strategy: str = "optimal",
    batch: int | None = None,
    effort: Effort | None = None,
    **asked: Any,
) -> Plan[RoundsHeader]:
    """A model on a chip with too few arrays, in rounds whose weights are written one after the other.

    `batch` tokens pass one round before the next (None: those of a prefill). It has passed the checker. `asked` and
    errors are as for `map_model`, and InputError for limits of cost and a chip that does not say how it writes.
    """
    return cast("Plan[RoundsHeader]", _passing_plan("rounds", model, hardware, strategy, effort, asked, batch=batch))


def map_chips(
    model: Question | Model | Path | str,
    hardware: Hardware | Path | str | None = None,
    *,
    strategy: str = "optimal",
    chips: int | None = None,
    effort: Effort | None = None,
    **asked: Any,
) -> Plan[ChipsHeader]:
    """A model on at most so many like chips in a row (None: as few as can be found), each with a part of its steps.

    It has passed the checker. `asked` and errors are as for `map_model`, and InputError for limits of cost and a chip
    that does not say what joins it to others.
    """
    return cast("Plan[ChipsHeader]", _passing_plan("chips", model, hardware, strategy, effort, asked, chips=chips))


def _passing_plan(
    way: WhenShort,
    model: Question | Model | Path | str,
    hardware: Hardware | Path | str | None,
    strategy: str,
    effort: Effort | None,
    asked: dict[str, Any],
    batch: int | None = None,
    chips: int | None = None,
) -> AnyPlan:
    demand_known("strategy", strategy, STRATEGIES)
    problem, effort = _parts(model, hardware, effort, asked)
    found, report = solve_short(problem, way, strategy, effort, batch=batch, chips=chips)
    for violation in report.violations:
        raise CheckError(f"{strategy}: {violation}; please report this bug")
    return found


def map_front(
    model: Question | Model | Path | str,
    hardware: Hardware | Path | str | None = None,
    *,
    effort: Effort | None = None,
    **asked: Any,
) -> list[Solution]:
    """The mappings that none found beats in arrays, token latency, prefill, II and energy at once; by arrays.

    Each has passed the checker; a gap of 0 in its bounds says that no mapping on as many arrays has less. `asked` and
    errors are as for `map_model`.
    """
    problem, effort = _parts(model, hardware, effort, asked)
    found = [solution_of_point(problem, point) for point in FrontRun(problem, effort).points()]
    for answer in found:
        check.check_solution(answer).demand_passed(lambda violation: f"optimal: {violation}; please report this bug")
    return found


def compare_converters(
    model: Question | Model | Path | str,
    hardware: Hardware | Path | str | None = None,
    *,
    strategies: Sequence[str] = tuple(STRATEGIES),
    seed: int = 0,
    time_limit_s: float | None = None,
    jobs: int = 1,
    cache: Path | str | None = None,
    **asked: Any,
) -> list[VariantAnswers]:
    """Every strategy on the chip as given, then with other converter models, wirings and sample-and-hold.

    Each answer has passed the checker; with a `cache` none is solved twice, and `jobs` processes share the work.
    `asked` are what `make_problem` takes. Raises as `map_model` does, but a strategy without a mapping has no metrics.
    """
    for strategy in strategies:
        demand_known("strategy", strategy, STRATEGIES)
    problem = make_problem(model, hardware, **asked)
    solve = partial(solve_missing, cache=cache, jobs=jobs)
    variants = find_variants(problem.hardware)
    found, done = answer_variants(problem, variants, strategies, solve, seed=seed, time_limit_s=time_limit_s)
    if done.interrupted:
        raise KeyboardInterrupt
    for each in found:
        for name, answer in each.answers.items():
            if answer.state == "failed":
                raise CheckError(f"{each.variant.name}, {name}: {answer.reason}; please report this bug")
    return found


def read_solution(path: Path | str) -> Solution:
    """The solution of a file, whose claims are not checked; raises InputError for another file."""
    return solution.read_solution(Path(path))


def write_solution(answer: Solution, path: Path | str) -> list[Path]:
    """Write a solution as JSON (large tables as .npz beside it); returns the files written."""
    return solution.write_solution(answer, Path(path))


def read_plan(path: Path | str) -> AnyPlan:
    """The answer in rounds or on chips of a file, whose claims are not checked; raises InputError for another file."""
    return plan.read_plan(Path(path))


def write_plan(answer: AnyPlan, path: Path | str) -> list[Path]:
    """Write an answer in rounds or on chips as JSON, its runs beside it; returns the files written."""
    return plan.write_plan(answer, Path(path))


def check_plan(answer: AnyPlan | Path | str) -> PlanReport:
    """Judge an answer in rounds or on chips, or its file: every run and every figure."""
    return judge_plan(_plan_of(answer))


def check_solution(answer: Solution | Path | str) -> CheckReport:
    """Judge a solution or its file: every rule, every figure. Raises InputError for another file."""
    return check.check_solution(solution_of(answer))


def simulate_solution(answer: Solution | Path | str, **options: Any) -> SimulationReport:
    """Run a solution's arrays on random vectors and compare with the integer products.

    `options` are those of `cimsolve.judge.simulate.simulate`: `layers` (None: all), `vectors`, `seed`, `weights` and
    `factors`, such as those of `read_factors(...)`.
    """
    solved = solution_of(answer)
    return simulate.simulate(Problem(solved.question()), solved.pieces, solved.activations, **options)


def simulate_plan(answer: AnyPlan | Path | str, **options: Any) -> SimulationReport:
    """Run the arrays of an answer in rounds or on chips, run after run, and compare with the whole model.

    `options` are those of `simulate_solution`.
    """
    return simulations_of_plans.simulate_plan(_plan_of(answer), **options)


def study_solution(answer: Solution | Path | str, **options: Any) -> Study:
    """Signal to noise of each stage with noise, effect by effect; `options` are those of `judge.simulate.study`.

    Raises CheckError for a solution that breaks a rule, InputError for options that do not fit.
    """
    solved, verdict = _legal(answer)
    return simulate.study(verdict.problem, solved.pieces, solved.activations, **options)


def make_simulator(answer: Solution | Path | str, **options: Any) -> ArraySimulator:
    """A solution's arrays, programmed, to run its linears on real inputs; `options` are those of `ArraySimulator`.

    Raises CheckError for a solution that breaks a rule, InputError for options that do not fit.
    """
    solved, verdict = _legal(answer)
    return ArraySimulator(verdict.problem, solved.pieces, solved.activations, **options)


def replay_solution(answer: Solution | Path | str, **options: Any) -> Replay:
    """Replay a solution by discrete events and compare with the equations: one token, a prefill, a stream.

    `options` are those of `cimsolve.judge.replay.replay`: `tokens`, `stream`, `controller`, `gaps`. Raises CheckError
    for a solution that fails its check, and InputError for a file that is none or numbers of tokens that are none.
    """
    solved, verdict = _legal(answer)
    return replay.replay(solved.activations, verdict.costs, **options)


def replay_plan(answer: AnyPlan | Path | str, **options: Any) -> PlanReplay:
    """Replay an answer in rounds or on chips by discrete events: one token, a prefill, batches or a stream.

    `options` are those of `replay_solution`; `stream` in rounds is of a batch. Raises CheckError for one that fails its
    check, and InputError for a file that is none or numbers of tokens that are none.
    """
    found = _plan_of(answer)
    report = judge_plan(found)
    if not report.passed:
        raise CheckError(f"{report.violations[0]}; expected an answer that passes its check")
    return replays_of_plans.replay_plan(found, report.costs, **options)


def _plan_of(answer: AnyPlan | Path | str) -> AnyPlan:
    """The answer in runs that is given, or that of a file."""
    return answer if isinstance(answer, plan.Plan) else read_plan(answer)


def _legal(answer: Solution | Path | str) -> tuple[Solution, Verdict]:
    """The solution and what the checker has recomputed of it. Raises CheckError where it breaks a rule."""
    solved = solution_of(answer)
    verdict = check.check_solution(solved).demand_passed(
        lambda violation: f"the solution fails its check, {violation}; expected one that passes its check"
    )
    return solved, verdict


def _parts(
    model: Question | Model | Path | str,
    hardware: Hardware | Path | str | None,
    effort: Effort | None,
    asked: dict[str, Any],
) -> tuple[Problem, Effort]:
    """The problem and the effort that keywords describe."""
    names = [field.name for field in fields(Effort) if field.name in asked]
    how = {name: value for name in names if (value := asked.pop(name)) is not None}
    problem = make_problem(model, hardware, **asked)
    if effort is not None:
        if how:
            raise InputError(f"{min(how)}: is given beside effort; expected it in one of the two")
        return problem, effort
    if isinstance(given := how.get("start"), Solution | Path | str):
        name = "the given solution" if isinstance(given, Solution) else str(given)
        how["start"] = start_from(solution_of(given), problem, name)
    return problem, Effort(**how)
