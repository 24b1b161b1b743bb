"""What the runs of a model take at least, each a part of its steps that lies on some arrays alone."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

from cimsolve.model.model import Model
from cimsolve.model.part import part_of
from cimsolve.model.structure import Structure
from cimsolve.problem.plan import run_problem
from cimsolve.problem.problem import Problem
from cimsolve.prove.arrays import least_arrays

Run: TypeAlias = tuple[int, int]
"""The first step of a run, and the one after its last."""
Cut: TypeAlias = tuple[Run, ...]
"""Runs in order."""
Times = TypeVar("Times")


def shape_of(part: Model, structures: Mapping[str, Structure]) -> Hashable:
    """All that tells a part of a model from others but its names: parts of equal shape have the same mappings."""
    passes = {name: number for number, name in enumerate(part.tails)}
    first: dict[str, int] = {}
    steps = tuple(
        (
            step.phase - part.steps[0].phase,
            passes[step.pass_name],
            part.tokens_of(step.pass_name),
            step.reads,
            first.setdefault(step.linears[0].name, number),
            tuple((*each.block, each.expert, each.input, structures[each.name]) for each in step.linears),
            step.operations,
            step.cache,
            step.experts,
            step.positions,
            step.begins_part,
        )
        for number, step in enumerate(part.steps)
    )
    return steps, tuple(part.tails.values())


@dataclass
class LeastRuns(Generic[Times]):
    """What runs take at least, each on all of `arrays`, as `find` bounds it; found once for parts of one shape."""

    problem: Problem
    arrays: int
    find: Callable[[Problem, int], Times]
    _of_shape: dict[Hashable, Times | None] = field(default_factory=dict)

    def times(self, first: int, end: int) -> Times | None:
        """Least cycles of a run of these steps; None where no mapping of it fits."""
        part = part_of(self.problem.model, first, end)
        shape = shape_of(part, self.problem.structures)
        if shape not in self._of_shape:
            run = run_problem(self.problem, first, end)
            self._of_shape[shape] = self.find(run, self.arrays) if may_fit(run, self.arrays) else None
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


def may_fit(run: Problem, arrays: int) -> bool:
    """Whether a bound leaves room for a run."""
    if run.weight_cells > arrays * run.rows * run.weights_per_row:
        return False
    return least_arrays(run, arrays + 1)[0] <= arrays


def fewest_runs(problem: Problem, arrays: int) -> int | None:
    """Fewest parts of the model that may fit one after the other, each as long as can be; None where a step does not.

    Weights that fire again in another run lie in both.
    """
    count, first, runs = len(problem.model.steps), 0, 0
    while first < count:
        end = first
        while end < count and may_fit(run_problem(problem, first, end + 1), arrays):
            end += 1
        if end == first:
            return None
        first, runs = end, runs + 1
    return runs
