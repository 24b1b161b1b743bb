"""What is answered: one mapping, a front, answers under other converters; and where a search may start."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cimsolve.api.judging import read_solution
from cimsolve.api.questions import Structures, _demand_known, make_problem, make_search
from cimsolve.chip.spec import Hardware
from cimsolve.errors import CheckError, InputError
from cimsolve.files.json_file import near_name, one_line, shown_value
from cimsolve.judge.check import RULES, CheckReport, rebuild_problem
from cimsolve.judge.check import check_solution as check_read_solution
from cimsolve.model.model import Model
from cimsolve.price.claims import make_solution
from cimsolve.price.schedule import order_of_stages
from cimsolve.problem import tables
from cimsolve.problem.problem import Cut, Problem
from cimsolve.problem.solution import Solution
from cimsolve.solve import DEFAULT_OBJECTIVE, STRATEGIES, Event, Search
from cimsolve.solve.front import FrontPoint, find_front
from cimsolve.solve.plan import demand_exact
from cimsolve.study import run
from cimsolve.study.sensitivity import VariantAnswers, answer_variants


def map_model(
    model: Model | Path | str,
    hardware: Hardware | Path | str,
    *,
    strategy: str = "optimal",
    structure: Structures = "sqrt",
    cut: Cut = "columns",
    max_arrays: int | None = None,
    max_latency_ns: float | None = None,
    max_energy_pj: float | None = None,
    tokens: int | None = None,
    objective: Sequence[str] = DEFAULT_OBJECTIVE,
    time_limit_s: float | None = None,
    seed: int = 0,
    workers: int = 1,
    exact: bool = False,
    start: Solution | Path | str | None = None,
    listen: Callable[[Event], None] | None = None,
) -> Solution:
    """Place and schedule a model; the solution carries metrics, bounds and status and has passed the checker.

    `exact` and `start` are for `optimal`: insist on the exact model; begin with a solution of the same question.

    Raises InputError for a question that is none, InfeasibleError where no mapping obeys the limits, and
    CheckError where the answer breaks a rule, which is a bug in cimsolve. `listen` is told of the progress.
    """
    if strategy not in STRATEGIES:
        near = near_name(strategy, STRATEGIES)
        hint = f"did you mean {near}? " if near else ""
        raise InputError(f"strategy {strategy!r}: there is none of that name; {hint}known: {', '.join(STRATEGIES)}")
    problem = make_problem(
        model,
        hardware,
        structure=structure,
        cut=cut,
        max_arrays=max_arrays,
        max_latency_ns=max_latency_ns,
        max_energy_pj=max_energy_pj,
        tokens=tokens,
    )
    search = make_search(
        objective,
        time_limit_s=time_limit_s,
        seed=seed,
        workers=workers,
        exact=exact,
        start=None if start is None else start_from(start, problem),
        listen=listen,
    )
    if strategy == "optimal":
        demand_exact(problem, search)
    answer, report = run.solve_and_check(problem, strategy, search)
    _demand_passed(report, strategy)
    return answer


def map_front(
    model: Model | Path | str,
    hardware: Hardware | Path | str,
    *,
    structure: Structures = "sqrt",
    cut: Cut = "columns",
    max_arrays: int | None = None,
    max_latency_ns: float | None = None,
    max_energy_pj: float | None = None,
    tokens: int | None = None,
    time_limit_s: float | None = None,
    listen: Callable[[Event], None] | None = None,
) -> list[Solution]:
    """The mappings that none found beats in arrays, token latency, prefill, II and energy at once; by arrays.

    Each has passed the checker; a gap of 0 in its bounds says that no mapping on as many arrays has less. Raises
    as `map_model` does.
    """
    problem = make_problem(
        model,
        hardware,
        structure=structure,
        cut=cut,
        max_arrays=max_arrays,
        max_latency_ns=max_latency_ns,
        max_energy_pj=max_energy_pj,
        tokens=tokens,
    )
    began = time.monotonic()
    points = search_front(problem, make_search(time_limit_s=time_limit_s, listen=listen))
    seconds = time.monotonic() - began
    found = [solution_of_point(problem, point, runtime_s=seconds) for point in points]
    for answer in found:
        _demand_passed(check_read_solution(answer, problem), answer.header.strategy)
    return found


def compare_converters(
    model: Model | Path | str,
    hardware: Hardware | Path | str,
    *,
    strategies: Sequence[str] = tuple(STRATEGIES),
    structure: Structures = "sqrt",
    cut: Cut = "columns",
    max_arrays: int | None = None,
    tokens: int | None = None,
    time_limit_s: float | None = None,
    listen: Callable[[Event], None] | None = None,
) -> list[VariantAnswers]:
    """Every strategy on the chip as given, then with other converter models, wirings and sample-and-hold.

    Each answer has passed the checker. Raises as `map_model` does, but a strategy without a mapping has no metrics.
    """
    for strategy in strategies:
        _demand_known("strategy", strategy, STRATEGIES)
    problem = make_problem(model, hardware, structure=structure, cut=cut, max_arrays=max_arrays, tokens=tokens)
    found = list(answer_variants(problem, strategies, make_search(time_limit_s=time_limit_s, listen=listen)))
    for each in found:
        for name, answer in each.answers.items():
            if answer.violations:
                raise CheckError(f"{each.variant.name}, {name}: {answer.violations[0]}; please report this bug")
    return found


def search_front(problem: Problem, search: Search) -> list[FrontPoint]:
    """The points of the front, at least one; after an interrupt those found until then.

    Raises InfeasibleError, which names what is short, where the limits leave none.
    """
    events: list[str] = []

    def listen(event: Event) -> None:
        if event.phase == "interrupted":
            events.append(event.phase)
        search.listen(event)

    points = find_front(problem, replace(search, listen=listen))
    if points:
        return points
    if events:
        raise KeyboardInterrupt
    # The solver tries more than the front does; where it finds nothing either, it says what is short.
    answer = run.solve(problem, "optimal", search)
    fires = answer.activations.of_piece(len(answer.pieces))
    order = order_of_stages(problem, answer.pieces, answer.activations)
    return [FrontPoint("solver", tables.Mapping(answer.pieces, fires, order), answer.header.metrics)]


def solution_of_point(problem: Problem, point: FrontPoint, runtime_s: float) -> Solution:
    """A point of the front with its claims; `runtime_s` is that of the search for the whole front."""
    return make_solution(
        problem,
        point.mapping,
        strategy="optimal",
        objective=DEFAULT_OBJECTIVE,
        seed=0,
        runtime_s=round(runtime_s, 3),
    )


def start_from(answer: Solution | Path | str, problem: Problem) -> tables.Mapping:
    """The mapping of a solution of the same question, limits and allowed cuts apart, for a search to start from.

    Raises InputError where the question differs, where the solution fails its check, or where `problem` does not
    allow its cuts or its number of arrays.
    """
    name = "the given solution" if isinstance(answer, Solution) else str(answer)
    given = answer if isinstance(answer, Solution) else read_solution(answer)
    try:
        theirs = rebuild_problem(given)
    except InputError as error:
        raise InputError(f"--start {name}: {error}") from None
    difference = first_difference(_question(theirs), _question(problem))
    if difference is not None:
        raise InputError(f"--start {name}: {difference}; expected a solution of the same question")
    report = check_read_solution(given)
    if report.passed and theirs.cut != problem.cut:
        options = given.header.options.model_copy(update={"cut": problem.cut})
        recut = replace(given, header=given.header.model_copy(update={"options": options}))
        report = check_read_solution(recut, rules=[rule for rule in RULES if not rule.on_claims])
    if not report.passed:
        raise InputError(f"--start {name}: fails its check, {report.violations[0]}; expected a solution that passes")
    # Arrays are counted by their highest number: those that hold nothing must not have one.
    used, array = np.unique(given.pieces.array, return_inverse=True)
    if problem.array_limit is not None and len(used) > problem.array_limit:
        raise InputError(
            f"--start {name}: uses {len(used)} arrays, the limit is {problem.array_limit}; expected as few or fewer"
        )
    pieces = replace(given.pieces, array=array.reshape(-1).astype(np.int64))
    order = order_of_stages(problem, given.pieces, given.activations)
    return tables.Mapping(pieces, given.activations.of_piece(len(given.pieces)), order)


def first_difference(theirs: Any, ours: Any, path: str = "") -> str | None:
    """Where two pieces of JSON first differ, by the path of keys, and how; None where they are equal."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in [key for key in ours if key in theirs]:
            difference = first_difference(theirs[key], ours[key], f"{path}.{key}".lstrip("."))
            if difference is not None:
                return difference
        for key in [*theirs, *ours]:
            if key not in theirs or key not in ours:
                return f"{one_line(f'{path}.{key}'.lstrip('.'))} is {'only' if key in theirs else 'not'} in the file"
        return None
    if theirs == ours:
        return None
    return f"{one_line(path)} is {shown_value(theirs)} there and {shown_value(ours)} in the question"


def _question(problem: Problem) -> dict[str, Any]:
    """All of a question but its limits, as a solution file holds it."""
    return {
        "hw": problem.hardware.to_json(),
        "model": dict(problem.model.config),
        "structure": {name: str(structure) for name, structure in problem.structures.items()},
        "options": {"tokens": problem.model.tokens},
    }


def _demand_passed(report: CheckReport, strategy: str) -> None:
    if not report.passed:
        raise CheckError(f"{strategy}: {report.violations[0]}; please report this bug")
