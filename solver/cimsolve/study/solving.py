"""From a problem to a checked solution: the one path that every strategy takes."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable, Sequence
from collections.abc import Mapping as MappingABC
from dataclasses import replace
from functools import cache

import numpy as np

from cimsolve import __version__
from cimsolve.errors import InfeasibleError, InputError, Shortage
from cimsolve.judge.check import RULES, CheckReport, check_solution
from cimsolve.model.structure import Structure
from cimsolve.price.claims import describe_breakdown, describe_factors, describe_stages
from cimsolve.price.cost import Priced, price
from cimsolve.price.schedule import number_arrays, order_of_stages
from cimsolve.problem.objective import names_of
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import FORMAT, BoundEntry, Header, Solution, StoppedBy
from cimsolve.problem.tables import Mapping, Sites
from cimsolve.problem.terms import OF_MODEL
from cimsolve.prove import BOUND_OF_OBJECTIVE, find_bounds, relative_gap
from cimsolve.prove.search import SEARCH
from cimsolve.solve.effort import Effort, Event, ignore
from cimsolve.solve.incumbent import count_arrays
from cimsolve.solve.names import DENSE, DENSE_RULE
from cimsolve.solve.strategies import STRATEGIES

PIECES_MAX = 2**23
"""Most pieces of a mapping: about half a minute and 3 GiB."""


@cache  # each look parses the metadata of the library anew
def _version(library: str) -> str:
    return importlib.metadata.version(library)


def library_versions() -> dict[str, str]:
    """Versions of cimsolve, Python and the libraries that results depend on."""
    return {
        "cimsolve": __version__,
        "python": platform.python_version(),
        **{name: _version(name) for name in ("numpy", "scipy", "highspy", "ortools")},
    }


def make_solution(
    problem: Problem,
    mapping: Mapping,
    *,
    strategy: str,
    seed: int = 0,
    proved: MappingABC[str, int] | None = None,
    stopped_by: StoppedBy | None = None,
    priced: Priced | None = None,
) -> Solution:
    """Schedule `mapping`, compute its metrics and bounds, and state the status that they support.

    `proved` are lower bounds that a search has shown beyond the analytical ones, metric -> value. The status is
    optimal where the gaps of all metrics of the objective are closed. `priced` is `price(problem, mapping)`, where
    that is known.
    """
    costs, activations = price(problem, mapping) if priced is None else priced
    bounds: dict[str, BoundEntry] = {}
    for name, bound in find_bounds(problem, costs.metrics, problem.objective).lower.items():
        value, lower, shown_by = costs.metrics[name], bound.value, bound.proof
        if proved is not None and proved.get(name, lower) > lower:
            lower, shown_by = proved[name], SEARCH
        gap = relative_gap(name, value, lower)
        # Rounding may take a sum below its bound: never is a bound raised to the value.
        bounds[name] = BoundEntry(value=value, lower=lower if gap else min(lower, value), gap=gap, proof=shown_by)
    closed = all(bounds[BOUND_OF_OBJECTIVE[name]].gap == 0 for name in names_of(problem.objective))
    header = Header(
        format=FORMAT,
        **problem.question.to_json(),
        strategy=strategy,
        seed=seed,
        versions=library_versions(),
        status="optimal" if closed else "feasible",
        bounds=bounds,
        stages=describe_stages(problem, costs.gaps),
        factors=describe_factors(problem),
        metrics=costs.metrics,
        breakdown=describe_breakdown(costs),
        stopped_by=stopped_by,
    )
    place = costs.fired.place
    return Solution(header, costs.fired.pieces, activations, None if place is None else Sites(place))


def problem_for(strategy: str, problem: Problem) -> Problem:
    """The problem that a strategy answers: dense matrices for those that know no others, else as asked."""
    if strategy not in (DENSE, DENSE_RULE):
        return problem
    # Tiles of the array's height, fired in row groups, can be more pieces than the fewest where the limit on
    # rows does not divide that height.
    cut = "both" if strategy == DENSE_RULE and problem.rows % problem.rows_limit else problem.cut
    return problem.asking(structures=dict.fromkeys(problem.structures, Structure.dense()), cut=cut)


def effort_for(strategy: str, effort: Effort) -> Effort:
    """The effort of a strategy: a start and the exact model are those of `optimal`, which answers what was asked."""
    return effort if strategy == "optimal" else replace(effort, start=None, exact=False)


def solve(problem: Problem, strategy: str = "optimal", effort: Effort | None = None) -> Solution:
    """Map `problem` by `strategy`; schedule, cost and bound the result.

    Raises InfeasibleError where the mapping needs more arrays than allowed, InputError where it would have more pieces
    than can be handled, KeyError for an unknown strategy.
    """
    effort = effort or Effort()
    question = problem_for(strategy, problem)
    _demand_countable(question, strategy)
    answer = STRATEGIES[strategy](question, effort_for(strategy, effort))
    limit = question.array_limit
    used = count_arrays(answer.mapping)
    if limit is not None and used > limit:
        raise _too_much(strategy, Shortage("arrays", limit, used, question.places_told), question)
    solution = make_solution(
        question,
        answer.mapping,
        strategy=strategy,
        seed=effort.seed,
        proved=answer.lower,
        stopped_by=answer.stopped_by,
        priced=answer.priced,
    )
    for metric, most in question.cost_limits.items():
        value = solution.header.metrics[metric]
        if value > most:
            raise _too_much(strategy, Shortage(metric, most, value), question)
    return solution


def solve_and_check(
    problem: Problem, strategy: str = "optimal", effort: Effort | None = None
) -> tuple[Solution, CheckReport]:
    """`solve`, then the independent checker on what came out."""
    solution = solve(problem, strategy, effort)
    return solution, check_solution(solution, problem_for(strategy, problem))


def solve_passing(problem: Problem, strategy: str = "optimal", effort: Effort | None = None) -> Solution:
    """`solve`; raises CheckError where the checker finds the answer wrong, which is a bug in cimsolve."""
    solution, report = solve_and_check(problem, strategy, effort)
    report.demand_passed(lambda violation: f"{strategy}: {violation}; please report this bug")
    return solution


def whole_answers_only(listen: Callable[[Event], None] = ignore) -> Callable[[Event], None]:
    """A listener by which Ctrl-C ends a search, where half an answer would pass for a whole one."""

    def tell(event: Event) -> None:
        if event.phase == "interrupted":
            raise KeyboardInterrupt
        listen(event)

    return tell


def start_from(given: Solution, problem: Problem, name: str = "the given solution") -> Mapping:
    """The mapping of a solution of the same question for a search to start from; limits, cuts, objective may differ.

    Raises InputError where the question differs, where the solution fails its check, or where `problem` does not
    allow its cuts or its number of arrays.
    """
    try:
        theirs = given.question()
    except InputError as error:
        raise InputError(f"--start {name}: {error}") from None
    apart = ("model_name", "objective", *(term for term in type(problem.terms).model_fields if term not in OF_MODEL))
    if difference := theirs.difference(problem.question, apart):
        raise InputError(
            f"--start {name}: {difference.told('there', 'in the question')}; expected a solution of the same question"
        )
    report = check_solution(given)
    if report.passed and theirs.terms.cut != problem.cut:
        options = given.header.options.model_copy(update={"cut": problem.cut})
        recut = replace(given, header=given.header.model_copy(update={"options": options}))
        report = check_solution(recut, rules=[rule for rule in RULES if not rule.on_claims])
    if not report.passed:
        raise InputError(f"--start {name}: fails its check, {report.violations[0]}; expected a solution that passes")
    found = mapping_of(given, problem)
    used = count_arrays(found)
    if problem.array_limit is not None and used > problem.array_limit:
        raise InputError(
            f"--start {name}: uses {used} arrays, the limit is {problem.array_limit}; expected as few or fewer"
        )
    return found


def mapping_of(answer: Solution, problem: Problem) -> Mapping:
    """What a solution places and fires together, its arrays counted from 0; `problem` maps the same blocks."""
    order = order_of_stages(problem, answer.pieces, answer.activations)
    place = None if answer.sites is None else answer.sites.place[np.unique(answer.pieces.array)]
    return Mapping(number_arrays(answer.pieces), answer.activations.of_piece(len(answer.pieces)), order, place)


def joined_reasons(failures: Sequence[tuple[str, str, Shortage | None]]) -> str:
    """Why no strategy has a mapping, in one line: (strategy, reason, shortage) each; what they share is said once."""
    if len(failures) == 1:
        return failures[0][1]
    needs: dict[str, list[str]] = {}
    others: dict[str, list[str]] = {}
    for strategy, reason, short in failures:
        if short is None:
            others.setdefault(reason.removeprefix(f"{strategy}: "), []).append(strategy)
            continue
        each = needs.setdefault(short.told, [])
        each.append(f"{strategy} {'' if each else 'needs '}{short.needed}")
    told_others = [f"{', '.join(names)}: {reason}" for reason, names in others.items()]
    return "; ".join([*(", ".join([told, *each]) for told, each in needs.items()), *told_others])


def _demand_countable(problem: Problem, strategy: str) -> None:
    """Raise InputError where even the fewest pieces are too many."""
    pieces = problem.least_pieces
    if pieces.sum() > PIECES_MAX:
        largest = problem.workload.factors[int(pieces.argmax())]
        raise InputError(
            f"{strategy}: {largest.linear} makes {pieces.max()} pieces of an array's size at most, all linears make "
            f"{pieces.sum()}; expected at most {PIECES_MAX}; take larger arrays, store less by --structure, or leave "
            "this strategy out"
        )


def _too_much(strategy: str, short: Shortage, question: Problem) -> InfeasibleError:
    allow = f"allow as much by {question.hardware.keys_of_places}" if short.places else "allow as much"
    if short.metric == "arrays" and question.has_cost_limits:
        allow += ", or more where other limits ask for it"
    return InfeasibleError(f"{strategy}: {short.told}, this rule needs {short.needed}; {allow}", short)
