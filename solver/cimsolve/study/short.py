"""What is done where a chip has too few arrays: an answer in rounds, or on chips in a row."""

from __future__ import annotations

from collections.abc import Callable

from cimsolve.judge.check.plan import PlanReport, check_plan
from cimsolve.problem.plan import AnyPlan
from cimsolve.problem.problem import Problem
from cimsolve.prove.arrays import may_fit
from cimsolve.solve.effort import Effort
from cimsolve.study.chips import solve_chips
from cimsolve.study.names import WhenShort
from cimsolve.study.rounds import solve_rounds
from cimsolve.study.solving import problem_for


def is_short_of_arrays(problem: Problem) -> bool:
    """Whether no mapping of the question fits on the arrays allowed, as a bound shows."""
    limit = problem.array_limit
    return limit is not None and not may_fit(problem, limit)


def solve_short(
    problem: Problem,
    way: WhenShort,
    strategy: str = "optimal",
    effort: Effort | None = None,
    *,
    batch: int | None = None,
    chips: int | None = None,
    begin: Callable[[str], None] = lambda task: None,
) -> tuple[AnyPlan, PlanReport]:
    """An answer in rounds with this `batch`, or on at most so many `chips` in a row, and the checker's verdict on it.

    Raises InfeasibleError and InputError as `solve_rounds` and `solve_chips` do.
    """
    plan: AnyPlan
    if way == "rounds":
        plan = solve_rounds(problem, strategy, effort, batch, begin)
    else:
        plan = solve_chips(problem, strategy, effort, chips, begin)
    begin(f"{strategy}: checking")
    return plan, check_plan(plan, problem_for(strategy, problem))
