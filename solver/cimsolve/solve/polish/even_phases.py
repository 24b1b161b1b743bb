"""Phases made shorter: activations of two phases change places, so that no array works long in any phase.

A tabu search on how many activations of each shape every phase has on each array. A phase is given a shorter time,
halfway to the least there is; then, as long as an array works longer than it may, one of its activations and one of
equal shape, of another phase and array, change places: those that leave least, by the squares of what is too long.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from cimsolve.columns import Bools, Floats, Ints
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping
from cimsolve.prove.time import least_phase_work_cycles
from cimsolve.solve.polish.units import Units

PIECES_MAX = 60_000
"""Larger mappings are left as they are: shapes are found piece by piece."""
STEPS = 100
"""Exchanges after which a shorter time of a phase is given up."""
EFFORT, ONE_LOOK = 400_000_000, 20_000
"""Pairs of phases and arrays that are looked at in all, where each look counts as so many more."""
TABU = 8
"""For so many exchanges none is taken back."""
SHAPES_MAX = 12
"""Of so many shapes on an array exchanges are looked at."""
FINE = 100
"""The time of a phase is sought to a part in so many."""


def even_out_phases(
    problem: Problem, mapping: Mapping, seed: int, is_over: Callable[[], bool] = lambda: False
) -> Mapping:
    """`mapping` with activations in each other's places, such that the later tokens of a prefill take less.

    Before each time that it tries it asks `is_over`, whether it must end with what it has.
    """
    later = np.array(problem.later_tokens)
    if len(mapping.pieces) > PIECES_MAX or len(later) == 1:
        return mapping
    _, phase = np.unique([stage.phase for stage in problem.workload.stages], return_inverse=True)
    units = Units.of(problem, mapping)
    units = replace(units, stage=phase[units.stage])
    search = _Exchanges.of(units, later, np.random.default_rng(seed))
    search.run(np.array(least_phase_work_cycles(problem, len(np.unique(units.array)))), is_over)
    decided = {at: search.held[at] for at in zip(*(axis.tolist() for axis in np.nonzero(search.held)), strict=True)}
    return units.dealt(np.arange(len(units.stage)), decided).mapping(mapping)


@dataclass
class _Exchanges:
    """Activations by phase, shape and array (`held`), and how long each phase keeps each array busy."""

    held: Ints
    busy: Ints
    cycles: Ints
    """Of each shape."""
    weight: Ints
    """Tokens that the time of each phase counts for."""
    random: np.random.Generator
    looked_at: int = 0

    @staticmethod
    def of(units: Units, weight: Ints, random: np.random.Generator) -> _Exchanges:
        """As the units lie now; `units.stage` are phases."""
        array = units.array[units.place]
        cycles = np.zeros(int(units.shape.max()) + 1, dtype=np.int64)
        cycles[units.shape] = units.cycles
        held = np.zeros((len(weight), len(cycles), int(array.max()) + 1), dtype=np.int64)
        np.add.at(held, (units.stage, units.shape, array), 1)
        return _Exchanges(held, np.einsum("psa,s->pa", held, cycles), cycles, weight, random)

    def run(self, least: Ints, is_over: Callable[[], bool]) -> None:
        """Shorter times, for the phase that may gain most first; again while any was found."""
        least = np.maximum(least, -(-self.busy.sum(axis=1) // self.busy.shape[1]))
        low, found = least.copy(), False
        while not is_over() and self.looked_at < EFFORT:
            longest = self.busy.max(axis=1)
            gain = np.where(longest - low > longest // FINE, self.weight * (longest - low), 0)
            if not gain.any():
                if not found:
                    break
                low, found = least.copy(), False
                continue
            phase = int(gain.argmax())
            goal = longest.copy()
            goal[phase] = (longest[phase] + low[phase]) // 2
            before = self.held.copy(), self.busy.copy()
            if self._reach(goal):
                found = True
            else:
                self.held, self.busy = before
                low[phase] = goal[phase]

    def _reach(self, goal: Ints) -> bool:
        """Whether exchanges were found after which no array works longer in a phase than `goal`."""
        tabu_until = np.zeros(self.held.shape, dtype=np.int64)
        shared = (self.held.sum(axis=2) > 0).sum(axis=0) > 1
        for step in range(STEPS):
            late = np.argwhere(self.busy > goal[:, None])
            if not len(late):
                return True
            phase, array = late[self.random.integers(len(late))].tolist()
            free = shared & (self.held[phase, :, array] > 0) & (tabu_until[phase, :, array] <= step)
            shapes = np.flatnonzero(free)[:SHAPES_MAX].tolist()
            tries = [self._best(phase, shape, array, goal, tabu_until[:, shape] > step) for shape in shapes]
            worse, shape, other, there = min(tries, default=(np.inf, 0, 0, 0))
            if worse == np.inf:
                continue
            moved = np.array([[-1, 1], [1, -1]])
            self.held[np.ix_([phase, other], [shape], [array, there])] += moved[:, None]
            self.busy[np.ix_([phase, other], [array, there])] += moved * self.cycles[shape]
            tabu_until[phase, shape, there] = tabu_until[other, shape, array] = step + TABU
        return False

    def _best(self, phase: int, shape: int, array: int, goal: Ints, tabu: Bools) -> tuple[float, int, int, int]:
        """How much less is too long after the best exchange of one such activation; shape, other phase and array."""
        cycles, weight, busy = int(self.cycles[shape]), self.weight + 1, self.busy
        self.looked_at += busy.size + ONE_LOOK

        def changed(busy: Ints, by: int, goal: Ints, weight: Ints) -> Floats:
            return np.asarray(weight * (np.maximum(busy + by - goal, 0.0) ** 2 - np.maximum(busy - goal, 0.0) ** 2))

        own, here = (
            changed(busy[phase], cycles, goal[phase], weight[phase]),
            changed(busy[:, array], cycles, goal, weight),
        )
        gone = changed(busy[phase, array], -cycles, goal[phase], weight[phase])
        total = gone + own + here[:, None] + changed(busy, -cycles, goal[:, None], weight[:, None])
        total[(self.held[:, shape] == 0) | tabu] = np.inf
        total[phase], total[:, array] = np.inf, np.inf
        ties = np.flatnonzero(total == total.min())
        other, there = divmod(int(ties[self.random.integers(len(ties))]), busy.shape[1])
        return float(total[other, there]), shape, other, there
