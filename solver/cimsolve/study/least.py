"""Limits that are given as a share above the least: the least that `optimal` finds, and the amount that follows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping as Placed
from cimsolve.solve.effort import Effort, Listener
from cimsolve.study.explain.limits import OBJECTIVE_OF_LIMIT
from cimsolve.study.solving import mapping_of, solve_passing, whole_answers_only

DIGITS = 6
"""Significant digits of a limit of time or energy, rounded up: it is told, and part of a file's name."""


@dataclass(frozen=True)
class Limited:
    """A question whose limits are all amounts, and a mapping that keeps them, where one had to be found."""

    problem: Problem
    least: Mapping[str, float]
    """Term -> the least found, of those that were a share above it."""
    start: Placed | None = None


def limit_above(problem: Problem, shares: Mapping[str, Decimal], effort: Effort, listener: Listener) -> Limited:
    """The question with each term of `shares` so much above the least that `optimal` finds for it.

    One after the other in the order of the terms, each under all limits before it, so that all can be kept together.
    Raises InfeasibleError where other limits leave no mapping, KeyboardInterrupt after an interrupt.
    """
    least: dict[str, float] = {}
    effort = replace(effort, listen=whole_answers_only(listener.listen))
    for name, share in shares.items():
        objective = tuple(dict.fromkeys((OBJECTIVE_OF_LIMIT[name], "latency")))
        listener.begin(f"searching for the least {OBJECTIVE_OF_LIMIT[name]}")
        found = solve_passing(problem.asking(objective=objective), "optimal", effort)
        effort = replace(effort, start=mapping_of(found, problem))
        least[name] = found.header.metrics[name.removeprefix("max_")]
        problem = problem.asking(**{name: amount_above(least[name], share)})
    return Limited(problem, least, effort.start)


def amount_above(least: float, share: Decimal) -> float:
    """`least` and a share of it: whole where it is a count, else of DIGITS digits and never below."""
    amount = Decimal(repr(least)) * (1 + share)
    if isinstance(least, int):
        return int(amount.to_integral_value(ROUND_FLOOR))
    return float(Context(prec=DIGITS, rounding=ROUND_CEILING).plus(amount))
