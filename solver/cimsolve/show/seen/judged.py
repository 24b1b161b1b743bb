"""A solution that passed the checker, with the figures that the checker recomputed. Nothing else is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import compress

import numpy as np

from cimsolve.chip.spec import Hardware
from cimsolve.columns import Ints
from cimsolve.files.text import one_line
from cimsolve.judge.check import check_solution
from cimsolve.price.cost import Costs
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import BoundEntry, Header, Solution
from cimsolve.prove import Bounds, relative_gap


@dataclass(frozen=True)
class Judged:
    """A solution and what the checker makes of it; `name` is what messages and titles call it."""

    name: str
    solution: Solution
    problem: Problem
    costs: Costs
    bounds: Bounds
    unverified: tuple[str, ...]
    """Metrics whose claimed bound rests on an exhaustive search, which the checker cannot repeat.

    `status` is among them where it claims optimality on their strength.
    """

    @property
    def header(self) -> Header:
        """The solution's header, whose claims have been checked."""
        return self.solution.header

    @cached_property
    def shown_header(self) -> Header:
        """The header with no bound beyond what the checker recomputed."""
        bounds = dict(self.header.bounds)
        for name in bounds.keys() & set(self.unverified):
            value, bound = bounds[name].value, self.bounds.lower[name]
            gap = relative_gap(name, value, bound.value)
            bounds[name] = BoundEntry(value=value, lower=bound.value, gap=gap, proof=bound.proof)
        return self.header.model_copy(update={"bounds": bounds})

    @property
    def hardware(self) -> Hardware:
        """The chip."""
        return self.problem.hardware

    @property
    def clock_ns(self) -> float:
        """The clock period of the chip."""
        return self.hardware.clock_ps / 1000

    @cached_property
    def array_numbers(self) -> Ints:
        """Numbers of the arrays that hold a piece, ascending; shape (arrays,)."""
        return np.unique(self.solution.pieces.array)

    @cached_property
    def array_of_piece(self) -> Ints:
        """The array of each piece, as index into `array_numbers`; shape (pieces,)."""
        return np.searchsorted(self.array_numbers, self.solution.pieces.array)

    @cached_property
    def array_of_activation(self) -> Ints:
        """The array of each activation, as index into `array_numbers`; shape (activations,)."""
        return np.searchsorted(self.array_numbers, self.solution.activations.array)


def judge(solution: Solution, name: str) -> Judged:
    """Ask the checker. Raises CheckError, in one line, where the solution breaks a rule or misstates a figure."""
    name = one_line(name)  # texts within files are visible signs already; the names of files are anything
    report = check_solution(solution)
    more = len(report.violations) - 1
    others = f" (and {more} more)" if more > 0 else ""
    verdict = report.demand_passed(lambda violation: f"{name}: fails its check, nothing was drawn: {violation}{others}")
    return Judged(name, solution, *verdict, report.unverified)


def labels_of(judged: Sequence[Judged]) -> list[str]:
    """A short name for each, all different: the strategy, with model and chip where these differ, else the file."""
    names = [(each.header.model_name, each.hardware.name, each.header.strategy) for each in judged]
    shown = [len(set(column)) > 1 for column in list(zip(*names, strict=True))[:2]] + [True]
    labels = [", ".join(compress(each, shown)) for each in names]
    if len(set(labels)) < len(labels):
        labels = [each.name for each in judged]
    if len(set(labels)) < len(labels):
        labels = [f"{number}: {label}" for number, label in enumerate(labels, 1)]
    return labels


def title_of(judged: Sequence[Judged]) -> str:
    """Which models on which chips."""
    models = list(dict.fromkeys(each.header.model_name for each in judged))
    chips = list(dict.fromkeys(each.hardware.name for each in judged))
    return f"{', '.join(models)} on {', '.join(chips)}"
