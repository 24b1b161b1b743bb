"""What the rules look at: a claim beside what the question says, and what they find."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from cimsolve.columns import Bools, Ints, number_of
from cimsolve.errors import CheckError
from cimsolve.price.cost import Costs, evaluate
from cimsolve.price.firings import Fired
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Header
from cimsolve.problem.tables import Activations, Pieces, Sites
from cimsolve.prove import Bounds, find_bounds


@dataclass(frozen=True)
class Violation:
    """A broken rule, and in words where and how."""

    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.message}"


class Verdict(NamedTuple):
    """What the checker recomputed of a solution that passed."""

    problem: Problem
    costs: Costs
    bounds: Bounds


@dataclass(frozen=True)
class CheckReport:
    """The verdict. `costs` and `bounds` are the recomputed ones, None where a rule of mappings is broken."""

    violations: tuple[Violation, ...]
    problem: Problem | None = None
    costs: Costs | None = None
    bounds: Bounds | None = None
    unverified: tuple[str, ...] = ()
    """Metrics whose bound rests on an exhaustive search, which only another search can confirm.

    `status` is among them where it claims optimality on their strength.
    """

    @property
    def passed(self) -> bool:
        """Whether no rule is broken."""
        return not self.violations

    def without_tables(self) -> CheckReport:
        """The verdict alone: the tables of many answers need not be in memory at once."""
        return replace(self, problem=None, costs=None, bounds=None)

    def demand_passed(self, refusal: Callable[[Violation], str]) -> Verdict:
        """What was recomputed. Raises CheckError, worded by `refusal` of the first violation, where one was found."""
        if self.violations or self.problem is None or self.costs is None or self.bounds is None:
            raise CheckError(refusal(self.violations[0]))
        return Verdict(self.problem, self.costs, self.bounds)


@dataclass(frozen=True)
class Case:
    """A solution with tables that are well formed, and its question; the rest is computed when asked for."""

    problem: Problem
    header: Header
    pieces: Pieces
    activations: Activations
    sites: Sites | None = None

    @cached_property
    def fires(self) -> Ints:
        """The activation that fires each piece; shape (pieces,)."""
        return self.activations.of_piece(len(self.pieces))

    @cached_property
    def together(self) -> Ints:
        """Numbers of the pieces that do not fire alone."""
        return np.flatnonzero((self.activations.pieces_to - self.activations.pieces_from)[self.fires] > 1)

    @cached_property
    def fired(self) -> Fired:
        """What each activation drives and reads, found again from the pieces."""
        return Fired.of(self.problem, self.pieces, self.fires, None if self.sites is None else self.sites.place)

    @cached_property
    def costs(self) -> Costs:
        """The costs of the tables, computed again."""
        return evaluate(self.fired, self.activations)

    @cached_property
    def bounds(self) -> Bounds:
        """The bounds of the question, found again."""
        return find_bounds(self.problem, self.costs.metrics, self.problem.objective)

    @cached_property
    def stored(self) -> Ints:
        """The piece in whose cells each lies: itself or, of weights that fire again, the first; -1: none is there."""
        pieces, numbers = self.pieces, np.arange(len(self.pieces))
        stored = self.problem.table.stored[pieces.factor]
        if self.problem.workload.laps == 1:
            return numbers
        others = [getattr(pieces, each.name) for each in fields(pieces) if each.name != "factor"]
        place = number_of(stored, *others)
        found = np.full(len(pieces), -1, dtype=np.int64)
        own = np.flatnonzero(stored == pieces.factor)
        found[place[own]] = own
        return np.where(stored == pieces.factor, numbers, found[place])

    def name_of_block(self, number: int) -> str:
        """A block counted through all factors, in words."""
        table = self.problem.table
        owner = self.problem.workload.factors[int(np.searchsorted(table.first_block, number, side="right")) - 1]
        return f"block {number - int(table.first_block[owner.id])} of {owner.linear} ({owner.kind})"


@dataclass(frozen=True)
class Rule:
    """`find` yields what breaks the rule, in words; rules `on_claims` are asked of legal mappings only."""

    name: str
    find: Callable[[Case], Iterator[str]]
    on_claims: bool = False


def first(wrong: Bools) -> list[int]:
    """Index of the first entry that is wrong, alone in a list; empty where none is."""
    return [int(np.argmax(wrong))] if wrong.any() else []
