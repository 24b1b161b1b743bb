"""What no answer in rounds can beat, and the best cut of a model into runs once it is known what each would take.

docs/formulation.md, section "Rounds".
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from cimsolve.columns import ceil_div
from cimsolve.model.model import Model
from cimsolve.model.part import part_of
from cimsolve.model.structure import Structure
from cimsolve.price.rounds import RunTimes, total_cycles, write_cycles
from cimsolve.problem.problem import Problem
from cimsolve.problem.rounds import run_problem
from cimsolve.prove import Bound, find_bounds
from cimsolve.prove.arrays import least_arrays

Cut = tuple[tuple[int, int], ...]
"""Runs in order: the first step of each, and the one after its last."""


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
class LeastRuns:
    """What runs take at least, each on all of `arrays`; found once for parts of one shape."""

    problem: Problem
    arrays: int
    _of_shape: dict[Hashable, RunTimes | None] = field(default_factory=dict)

    def times(self, first: int, end: int) -> RunTimes | None:
        """Least cycles of a run of these steps; None where no mapping of it fits."""
        part = part_of(self.problem.model, first, end)
        shape = shape_of(part, self.problem.structures)
        if shape not in self._of_shape:
            self._of_shape[shape] = self._find(first, end)
        return self._of_shape[shape]

    def fits(self, first: int, end: int) -> bool:
        """Whether a bound leaves room for a run of these steps."""
        run = run_problem(self.problem, first, end)
        if run.weight_cells > self.arrays * run.rows * run.weights_per_row:
            return False
        return least_arrays(run, self.arrays + 1)[0] <= self.arrays

    def _find(self, first: int, end: int) -> RunTimes | None:
        run = run_problem(self.problem, first, end)
        hardware, cells = run.hardware, run.weight_cells
        if not self.fits(first, end):
            return None
        lower = {
            name: bound.value for name, bound in find_bounds(run, {"arrays": self.arrays}, ["arrays"]).lower.items()
        }
        rows = ceil_div(cells, run.weights_per_row)
        return RunTimes(
            write=write_cycles(hardware, rows, cells, self.arrays),
            latency=int(lower["latency_cycles"]),
            ii=int(lower["ii_cycles"]),
            prefill=round(lower["prefill_ns"] * 1000 / hardware.clock_ps),
        )

    def all(self) -> dict[tuple[int, int], RunTimes]:
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


def best_cut(runs: Mapping[tuple[int, int], RunTimes], steps: int, double: bool, of: str, batch: int) -> Cut | None:
    """The cut of so many steps into these runs that takes least; None where they do not join.

    By dynamic programming over the last run: with `double` the time of a run depends on what the next one writes.
    """
    ending: dict[int, list[tuple[int, int]]] = {}
    for run in runs:
        ending.setdefault(run[1], []).append(run)
    best: dict[tuple[int, int], tuple[int, tuple[int, int] | None]] = {}
    for run in sorted(runs):
        times = runs[run]
        first = 0 if double and of == "batch" else times.write  # which the last run of the batch before hides
        reached: list[tuple[int, tuple[int, int] | None]] = [(first, None)] if run[0] == 0 else []
        for before in ending.get(run[0], ()):
            if before in best:
                computing = runs[before].compute(of, batch)
                step = max(times.write, computing) if double else times.write + computing
                reached.append((best[before][0] + step, before))
        if reached:
            best[run] = min(reached, key=lambda one: (one[0], one[1] or (0, 0)))
    last = min(
        (run for run in best if run[1] == steps),
        key=lambda run: (best[run][0] + runs[run].compute(of, batch), run),
        default=None,
    )
    found: list[tuple[int, int]] = []
    while last is not None:
        found.append(last)
        last = best[last][1]
    return tuple(reversed(found)) or None


def find_rounds_bounds(problem: Problem, batch: int) -> dict[str, Bound]:
    """Metric -> what no answer in rounds goes below, for any cut between steps, doubled or not, and any mappings.

    The best cut of runs that each take their least on all arrays of the chip. A run that is written while another
    computes has fewer; whichever is less of writing beside computing and after it counts, which is the former.
    """
    arrays = problem.array_limit
    assert arrays is not None
    runs = LeastRuns(problem, arrays).all()
    count = len(problem.model.steps)

    def least(of: str) -> tuple[Sequence[RunTimes], int]:
        cut = best_cut(runs, count, True, of, batch)
        chosen = [runs[each] for each in cut or ()]
        return chosen, total_cycles(chosen, True, of, batch) if chosen else 0

    clock_ns = problem.hardware.clock_ps / 1000
    proof = f"best cut into runs on {arrays} arrays"
    latency, prefill, (beside, total) = least("token")[1], least("prefill")[1], least("batch")
    every = write_cycles(problem.hardware, 0, problem.weight_cells)  # all bits are loaded once a batch
    period = max(every, total - beside[0].write) if beside else 0
    return {
        "latency_cycles": Bound(latency, proof),
        "prefill_ns": Bound(prefill * clock_ns, proof),
        "batch_cycles": Bound(period, proof),
    }
