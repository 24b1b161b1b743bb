"""What every strategy is given and gives back."""

from __future__ import annotations

import math
from collections.abc import Callable
from collections.abc import Mapping as MappingABC
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from cimsolve.problem.objective import DEFAULT_OBJECTIVE
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping


class Event(NamedTuple):
    """A step of a search, for live progress: what it does, the best value so far and what cannot be beaten."""

    phase: str
    metric: str = ""
    value: float | None = None
    lower: float | None = None


def _ignore(event: Event) -> None:
    """The default listener."""


@dataclass(frozen=True)
class Search:
    """How to search. The result depends on the seed, the workers and the deterministic budgets, not on the clock;

    `time_limit_s` is a brake for the impatient: where it strikes, two runs may differ.
    """

    objective: tuple[str, ...] = DEFAULT_OBJECTIVE
    """First things first: names, and weighted sums of names."""
    time_limit_s: float = math.inf
    seed: int = 0
    workers: int = 1
    exact: bool = False
    """Insist on the monolithic model: refuse a problem that is too large for it."""
    start: Mapping | None = None
    """A mapping of the same problem to start from."""
    listen: Callable[[Event], None] = field(default=_ignore)


@dataclass(frozen=True)
class Answer:
    """A mapping; `lower` holds bounds proved by exhaustive search, metric -> value; `interrupted` by the user."""

    mapping: Mapping
    lower: MappingABC[str, int] = field(default_factory=dict)
    interrupted: bool = False


class Strategy(Protocol):
    """Finds a mapping. Raises InfeasibleError where the limits leave none."""

    def __call__(self, problem: Problem, search: Search) -> Answer: ...
