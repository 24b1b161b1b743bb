"""Limits that are given as a share above the least: found, and put in its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from cimsolve.cli.question import QuestionOptions

if TYPE_CHECKING:
    from cimsolve.problem.problem import Problem
    from cimsolve.problem.tables import Mapping
    from cimsolve.solve.effort import Effort

Q = TypeVar("Q", bound=QuestionOptions)


@dataclass(frozen=True)
class Settled(Generic[Q]):
    """Options with amounts alone, their question, and what is told of those that were shares, a text each."""

    options: Q
    problem: Problem
    told: tuple[str, ...] = ()
    start: Mapping | None = None
    """A mapping that keeps them all."""


def settle_limits(options: Q, ask: Callable[[Q], Problem], effort: Callable[[], Effort], shown: bool) -> Settled[Q]:
    """The question that `ask` makes of the options, once each share above the least is an amount.

    Raises InfeasibleError where other limits leave no mapping.
    """
    shares = options.shares
    none: dict[str, Any] = dict.fromkeys(shares)
    problem = ask(replace(options, **none))
    if not shares:
        return Settled(options, problem)

    from cimsolve.show.text.progress import Progress
    from cimsolve.show.units import flag_of, kind_of_amount, quantity
    from cimsolve.study.least import limit_above

    with Progress(shown, problem.hardware.clock_ps / 1000) as progress:
        found = limit_above(problem, {name: above.share for name, above in shares.items()}, effort(), progress)
    amounts = {name: getattr(found.problem.terms, name) for name in shares}
    told = []
    for name, above in shares.items():
        limit, least = (quantity(each[name], kind_of_amount(name)) for each in (amounts, found.least))
        told.append(f"{flag_of(name)} {above}: {limit}, that much above {least}, the least that optimal finds")
    return Settled(replace(options, **amounts), found.problem, tuple(told), found.start)
