"""What no answer in rounds can beat, and the best cut of a model into runs once it is known what each would take.

docs/formulation.md, section "Rounds".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cimsolve.columns import ceil_div
from cimsolve.model.model import SOURCE
from cimsolve.price.rounds import RunTimes, total_cycles, write_cycles
from cimsolve.problem.problem import Problem, found_once
from cimsolve.prove import Bound, least_times
from cimsolve.prove.runs import Cut, LeastRuns, Run

SHARES = (2, 4, 8, 16)
"""Runs that are written beside others are told apart by how many of so many shares of the arrays they are given."""
FINER = 0.01
"""Shares are halved as long as a bound rises by more, ..."""
RUNS_MAX = 60_000
"""... and no more runs than these are bounded."""


@found_once
def least_rounds(problem: Problem, arrays: int) -> Mapping[Run, RunTimes]:
    """What every run that may fit so many arrays takes at least."""
    return LeastRuns(problem, arrays, _least_times).all()


def _least_times(run: Problem, arrays: int) -> RunTimes:
    hardware, cells = run.hardware, run.weight_cells
    least = least_times(run, arrays)
    rows = ceil_div(cells, run.weights_per_row)
    return RunTimes(
        write=write_cycles(hardware, rows, cells, arrays),
        latency=least.latency,
        ii=least.ii,
        prefill=least.prefill,
    )


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


def least_doubled(levels: Sequence[Mapping[Run, RunTimes]], steps: int, of: str, batch: int) -> int | None:
    """What no cut takes less than where runs are written beside the one before; None where runs do not join.

    `levels` are the least that runs take on a first share of the arrays, on two, ... and on all of them. A run that
    is given more than m shares and the next more than n need more than m + n of them in all.
    """
    starting: list[list[list[tuple[Run, RunTimes]]]] = [[[] for _ in levels] for _ in range(steps)]
    for level, runs in enumerate(levels):
        for run, times in runs.items():
            starting[run[0]][level].append((run, times))
    reached: list[list[tuple[int, int, int]]] = [[] for _ in range(steps + 1)]
    """Of each run that ends before a step: cycles until it computes, those in which it does, and its shares."""
    for first, of_level in enumerate(starting):
        until, computing, others = np.array(reached[first], dtype=np.int64).reshape(-1, 3).T
        for level, found in enumerate(of_level):
            fits = others + level < len(levels)
            if not found or not (fits.any() or first == 0):
                continue
            writing = np.array([times.write for _, times in found])
            if first == 0:
                begins = np.zeros_like(writing) if of == "batch" else writing
            else:
                begins = (until[fits, None] + np.maximum(computing[fits, None], writing)).min(axis=0)
            for (run, times), cycles in zip(found, begins.tolist(), strict=True):
                reached[run[1]].append((cycles, times.compute(of, batch), level))
    return min((cycles + computes for cycles, computes, _ in reached[steps]), default=None)


def least_writing_cycles(problem: Problem, arrays: int) -> int:
    """What no token that a sequence decodes takes less than: all of its pass's weights are written once for it."""
    model, stored = problem.model, problem.structures
    linears = {each.name: each for step in model.steps if step.pass_name != SOURCE for each in step.linears}
    cells = sum(stored[each.name].stored_weights(each.n_in, each.n_out) for each in linears.values())
    return write_cycles(problem.hardware, ceil_div(cells, problem.weights_per_row), cells, arrays)


def find_rounds_bounds(problem: Problem, batch: int) -> dict[str, Bound]:
    """Metric -> what no answer in rounds goes below, for any cut between steps, doubled or not, and any mappings.

    The lesser of the best cut of runs that each take their least on all arrays of the chip, written before them, and
    of runs that are written beside the one before, which leaves to two in a row all arrays together.
    """
    arrays = problem.array_limit
    assert arrays is not None
    count, runs = len(problem.model.steps), least_rounds(problem, arrays)

    def least_alone(of: str) -> int:
        cut = best_cut(runs, count, False, of, batch)
        return 0 if cut is None else total_cycles([runs[run] for run in cut], False, of, batch)

    alone = {of: least_alone(of) for of in ("token", "prefill", "batch")}
    least = dict.fromkeys(alone, 0)
    for shares in SHARES:
        levels = [least_rounds(problem, each) for each in _levels(arrays, shares)]
        before, least = least, {of: _lesser(alone[of], least_doubled(levels, count, of, batch)) for of in alone}
        rises = any(least[of] < alone[of] and least[of] > before[of] * (1 + FINER) for of in alone)
        if not rises or 2 * sum(map(len, levels)) > RUNS_MAX:
            break
    clock_ns = problem.hardware.clock_ps / 1000
    proof = f"best cut into runs on {arrays} arrays"
    every = write_cycles(problem.hardware, 0, problem.weight_cells)  # all bits are loaded once a batch
    return {
        "latency_cycles": Bound(least["token"], proof),
        "prefill_ns": Bound(least["prefill"] * clock_ns, proof),
        "batch_cycles": Bound(max(every, least["batch"]), proof),
    }


def _levels(arrays: int, shares: int) -> list[int]:
    return sorted({ceil_div(arrays * part, shares) for part in range(1, shares + 1)})


def _lesser(alone: int, beside: int | None) -> int:
    return alone if beside is None else min(alone, beside)
