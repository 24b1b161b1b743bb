"""What the runs of a model take at least, each a part of its steps that lies on some arrays alone."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, Protocol, Self, TypeAlias, TypeVar

from cimsolve.model.part import made_for_later
from cimsolve.problem.plan import run_problem
from cimsolve.problem.problem import Problem, found_once
from cimsolve.prove.arrays import least_arrays

Run: TypeAlias = tuple[int, int]
"""The first step of a run, and the one after its last."""
Cut: TypeAlias = tuple[Run, ...]
"""Runs in order."""


class _Slowable(Protocol):
    def slowed(self, times: float) -> Self: ...


Times = TypeVar("Times", bound=_Slowable)


class Shapes:
    """What tells parts of a model from others but names: parts of equal shape have the same mappings."""

    def __init__(self, problem: Problem) -> None:
        self._problem, self._model, structures = problem, problem.model, problem.structures
        self._known: dict[Run, int] = {}
        self._fewest: dict[int, tuple[int, int]] = {}
        """Shape -> its bound on arrays, and at how many the search for it would have stopped."""
        self._numbers: dict[Hashable, int] = {}
        self._kind: list[int] = []
        """Steps of one number are alike, but for what is around them."""
        self._before: list[int] = []
        """How many steps ago the weights of each fired; 0: not before."""
        kinds: dict[Hashable, int] = {}
        fired: dict[str, int] = {}
        for number, step in enumerate(problem.model.steps):
            self._before.append(number - fired.get(step.linears[0].name, number))
            fired[step.linears[0].name] = number
            linears = tuple((*it.block, it.expert, it.input, structures[it.name]) for it in step.linears)
            kind = (
                linears,
                self._model.tokens_of(step.pass_name),
                step.operations,
                step.cache,
                step.experts,
                step.positions,
            )
            self._kind.append(kinds.setdefault(kind, len(kinds)))

    def of(self, first: int, end: int) -> int:
        """The number of the shape of the steps from `first` to before `end`."""
        if (first, end) not in self._known:
            self._known[first, end] = self._numbers.setdefault(self._find(first, end), len(self._numbers))
        return self._known[first, end]

    def may_fit(self, first: int, end: int, arrays: int) -> bool:
        """Whether a bound leaves room for a run of these steps on so many arrays."""
        shape = self.of(first, end)
        fewest, searched = self._fewest.get(shape, (0, 0))
        if fewest >= searched and searched <= arrays:
            searched = max(arrays, self._problem.array_limit or 0) + 1
            fewest = least_arrays(run_problem(self._problem, first, end), searched)[0]
            self._fewest[shape] = fewest, searched
        return fewest <= arrays

    def _find(self, first: int, end: int) -> Hashable:
        steps = self._model.steps
        found = []
        for number in range(first, end):
            step, last = steps[number], steps[max(first, number - 1)]
            reads = tuple(number - read for read in step.reads if read >= first)
            before = self._before[number] if number - self._before[number] >= first else 0
            around = step.phase - last.phase, step.pass_name == last.pass_name, reads, bool(step.reads), before
            found.append((self._kind[number], around))
        tails = tuple(self._model.tails[name] for name in dict.fromkeys(step.pass_name for step in steps[first:end]))
        goes_on = end < len(steps) and steps[end].pass_name == steps[end - 1].pass_name
        left = made_for_later(self._model, first, end)
        return tuple(found), tails[:-1] if goes_on else tails, left if goes_on else None


@found_once
def shapes_of(problem: Problem) -> Shapes:
    """The shapes of the parts of a question's model."""
    return Shapes(problem)


@dataclass
class LeastRuns(Generic[Times]):
    """What runs take at least, each on all of `arrays`, as `find` bounds it; found once for parts of one shape."""

    problem: Problem
    arrays: int
    find: Callable[[Problem, int], Times]
    _of_shape: dict[Hashable, Times | None] = field(default_factory=dict)

    def times(self, first: int, end: int) -> Times | None:
        """Least cycles of a run of these steps; None where no mapping of it fits."""
        shape = shapes_of(self.problem).of(first, end)
        if shape not in self._of_shape:
            fits = shapes_of(self.problem).may_fit(first, end, self.arrays)
            self._of_shape[shape] = self.find(run_problem(self.problem, first, end), self.arrays) if fits else None
        return self._of_shape[shape]

    def all(self) -> dict[Run, Times]:
        """Every run that may fit; of steps that start at one, more need no fewer arrays."""
        found = {}
        count = len(self.problem.model.steps)
        for first in range(count):
            for end in range(first + 1, count + 1):
                times = self.times(first, end)
                if times is None:
                    break
                found[first, end] = times
        return found


def fewest_runs(problem: Problem, arrays: int) -> int | None:
    """Fewest parts of the model that may fit one after the other, each as long as can be; None where a step does not.

    Weights that fire again in another run lie in both.
    """
    count, first, runs = len(problem.model.steps), 0, 0
    may_fit = shapes_of(problem).may_fit
    while first < count:
        end = first
        while end < count and may_fit(first, end + 1, arrays):
            end += 1
        if end == first:
            return None
        first, runs = end, runs + 1
    return runs
