"""What every strategy is given and gives back."""

from __future__ import annotations

import math
from collections.abc import Callable
from collections.abc import Mapping as MappingABC
from dataclasses import dataclass, field
from typing import NamedTuple

from cimsolve.errors import InputError
from cimsolve.price.cost import Priced
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import StoppedBy
from cimsolve.problem.tables import Mapping


class Event(NamedTuple):
    """A step of a search, for live progress: what it does, the best value so far and what cannot be beaten."""

    phase: str
    metric: str = ""
    value: float | None = None
    lower: float | None = None


class Listener:
    """Who is told of a run; by default nobody. A terminal's progress is one."""

    def begin(self, task: str) -> None:
        """A task begins; what was told before of another is over."""

    def listen(self, event: Event) -> None:
        """A step of a search."""

    def count(self, done: int, total: int) -> None:
        """So much of the task is done."""


def ignore(event: Event) -> None:
    """Listen to nothing."""


@dataclass(frozen=True)
class Effort:
    """How hard to search: the result depends on seed, workers and deterministic budgets, not on the clock.

    `time_limit_s` is a brake for the impatient: where it strikes, two runs may differ. Raises InputError for numbers
    out of range.
    """

    time_limit_s: float = math.inf
    seed: int = 0
    workers: int = 1
    exact: bool = False
    """Insist on the monolithic model: refuse a problem that is too large for it."""
    brief: bool = False
    """Try what fills all arrays that are allowed, and nothing twice: where there are many more questions."""
    start: Mapping | None = None
    """A mapping of the same problem to start from."""
    listen: Callable[[Event], None] = field(default=ignore, compare=False)

    def __post_init__(self) -> None:
        if self.seed < 0 or self.workers < 1 or not self.time_limit_s > 0:
            raise InputError(
                f"seed = {self.seed}, workers = {self.workers}, time_limit_s = {self.time_limit_s}: expected a seed "
                "from 0, workers from 1 and a time above 0"
            )


@dataclass(frozen=True)
class Answer:
    """A mapping; `lower` holds bounds proved by exhaustive search, metric -> value."""

    mapping: Mapping
    lower: MappingABC[str, int] = field(default_factory=dict)
    stopped_by: StoppedBy | None = None
    """What ended the search before its end."""
    priced: Priced | None = None
    """The mapping scheduled, with its costs, where the search has found them."""


Strategy = Callable[[Problem, Effort], Answer]
"""Finds a mapping. Raises InfeasibleError where the limits leave none."""
