"""A claimed search made again: the bounds of a solution that no equation gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from cimsolve.judge.check import CheckReport, Violation
from cimsolve.problem.solution import Solution
from cimsolve.prove.search import SEARCHED_METRICS
from cimsolve.solve.effort import Event, ignore
from cimsolve.solve.exact.search import solve_exact
from cimsolve.solve.plan import EXACT_TIME
from cimsolve.study.solving import mapping_of


def search_again(solution: Solution, report: CheckReport, listen: Callable[[Event], None] = ignore) -> CheckReport:
    """The verdict with the bounds that rest on an exhaustive search proved once more, or refused.

    A report without such bounds comes back as it is. The search starts from the solution and takes at most the time
    that the solver gives it.
    """
    claimed = [name for name in report.unverified if name in SEARCHED_METRICS]
    if not claimed or report.problem is None:
        return report
    found = solve_exact(
        report.problem,
        report.problem.objective,
        hint=mapping_of(solution, report.problem),
        deterministic_time=EXACT_TIME,
        seed=solution.header.seed,
        progress=lambda metric, value, lower: listen(Event("search again", metric, value, lower)),
    )
    proved = {"arrays": found.arrays_lower, "latency_cycles": found.latency_lower_cycles}
    refused = []
    for name in claimed:
        lower, shown = solution.header.bounds[name].lower, proved[name]
        if shown is None or shown < lower:
            refused.append(
                Violation("search", f"bounds.{name}.lower: {lower!r} is claimed; another search shows {shown!r}")
            )
    return replace(report, violations=(*report.violations, *refused), unverified=())
