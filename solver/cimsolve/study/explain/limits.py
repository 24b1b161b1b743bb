"""Which limit makes a question infeasible, and the least change of each that would do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cimsolve.chip.sections import MESH_SIDE_MAX
from cimsolve.chip.settings import with_settings
from cimsolve.errors import InfeasibleError
from cimsolve.problem.objective import DEFAULT_OBJECTIVE
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Header
from cimsolve.prove.time import least_latency_cycles
from cimsolve.solve.effort import Effort, Event, ignore
from cimsolve.solve.names import RULE_NAMES
from cimsolve.study.solving import problem_for, solve_and_check, whole_answers_only

OBJECTIVE_OF_LIMIT = {"max_arrays": "arrays", "max_latency_ns": "latency", "max_energy_pj": "energy"}


@dataclass(frozen=True)
class Relief:
    """One limit raised alone, the others kept.

    `least` is the least value for which an answer was found and checked, that of `header`; `lower` is what no mapping
    under the other limits can go below, where that is proved. Both None: raising this one alone does not help, as
    `reason` says.
    """

    limit: str
    given: float
    least: float | None
    lower: float | None
    header: Header | None
    reason: str = ""


@dataclass(frozen=True)
class Short:
    """A question without an answer; `together` is one without any limit, where raising one alone never helps."""

    problem: Problem
    strategy: str
    reason: str
    relief: Sequence[Relief]
    together: Header | None
    seconds: float


def limits_of(problem: Problem) -> dict[str, float]:
    """The limits that are set, the chip's own count of arrays among them."""
    limits = {"arrays": problem.array_limit, **problem.cost_limits}
    return {f"max_{metric}": float(limit) for metric, limit in limits.items() if limit is not None}


def without_limit(problem: Problem, name: str) -> Problem:
    """The question with one limit lifted."""
    if name != "max_arrays":
        return problem.asking(**{name: None})
    hardware = problem.hardware
    if hardware.array.count is not None:
        hardware = with_settings(hardware, {"array.count": "null"})
    if hardware.network is not None and hardware.network.rows is not None:
        hardware = with_settings(hardware, {"network.rows": str(MESH_SIDE_MAX)})
    return problem.asking(hardware=hardware, max_arrays=None)


def find_relief(
    problem: Problem, strategy: str, seed: int = 0, listen: Callable[[Event], None] = ignore
) -> list[Relief]:
    """For each limit of an infeasible question the least value that would do, the others kept."""
    found = []
    effort = Effort(seed=seed, listen=whole_answers_only(listen))
    for name, given in limits_of(problem).items():
        relaxed = without_limit(problem, name)
        objective = tuple(dict.fromkeys((OBJECTIVE_OF_LIMIT[name], "latency")))
        header, reason = _try(relaxed.asking(objective=objective), strategy, effort)
        if header is None:
            found.append(Relief(name, given, None, None, None, reason))
            continue
        if name == "max_arrays" and strategy not in RULE_NAMES and relaxed.has_cost_limits:
            header = _fewest(relaxed, header, strategy, effort)
        least = float(header.metrics[name.removeprefix("max_")])
        found.append(Relief(name, given, least, _lower(relaxed, strategy, name, header), header))
    return found


def relax_all(
    problem: Problem, strategy: str, seed: int = 0, listen: Callable[[Event], None] = ignore
) -> Header | None:
    """An answer without any of the limits, on the fewest arrays; None where there is none even so."""
    for name in limits_of(problem):
        problem = without_limit(problem, name)
    problem = problem.asking(objective=DEFAULT_OBJECTIVE)
    return _try(problem, strategy, Effort(seed=seed, listen=whole_answers_only(listen)))[0]


def _try(problem: Problem, strategy: str, effort: Effort) -> tuple[Header | None, str]:
    """A checked answer's header, or why there is none."""
    try:
        solution, report = solve_and_check(problem, strategy, effort)
    except InfeasibleError as error:
        return None, str(error)
    return (solution.header, "") if report.passed else (None, f"fails its check: {report.violations[0]}")


def _fewest(relaxed: Problem, header: Header, strategy: str, effort: Effort) -> Header:
    """Fewer arrays that keep the cost limits, by bisection: each step is solved for what is limited."""
    wanted = [OBJECTIVE_OF_LIMIT[name] for name in limits_of(relaxed)]
    relaxed = relaxed.asking(objective=tuple(dict.fromkeys((*wanted, "latency"))))
    too_few = max(int(_lower(relaxed, strategy, "max_arrays", header) or 1) - 1, 0)
    while int(header.metrics["arrays"]) - too_few > 1:
        middle = (too_few + int(header.metrics["arrays"])) // 2
        better, _ = _try(relaxed.asking(max_arrays=middle), strategy, effort)
        if better is None:
            too_few = middle
        else:
            header = better
    return header


def _lower(relaxed: Problem, strategy: str, name: str, header: Header) -> float | None:
    """What no mapping can go below: the answer's own bound; for arrays also what the limit on latency asks."""
    if name == "max_latency_ns":
        return float(header.bounds["latency_cycles"].lower) * relaxed.hardware.clock_ps / 1000
    if name == "max_energy_pj":
        return float(header.bounds["energy_pj"].lower)
    fewest, most = int(header.bounds["arrays"].lower), int(header.metrics["arrays"])
    question = problem_for(strategy, relaxed)
    if question.terms.max_latency_ns is None or _may_be_fast(question, fewest):
        return float(fewest)
    while most - fewest > 1:  # `fewest` are proved to be too few, `most` do
        middle = (fewest + most) // 2
        fewest, most = (fewest, middle) if _may_be_fast(question, middle) else (middle, most)
    return float(most)


def _may_be_fast(problem: Problem, arrays: int) -> bool:
    """Whether the bound lets mappings on so many arrays keep the limit on latency; it falls with their number."""
    most = problem.terms.max_latency_ns
    assert most is not None
    return least_latency_cycles(problem, arrays) * problem.hardware.clock_ps / 1000 <= most
