"""What no answer in rounds can beat, and the best cut of a model into runs once it is known what each would take.

docs/formulation.md, section "Rounds".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cimsolve.columns import ceil_div
from cimsolve.price.rounds import RunTimes, total_cycles, write_cycles
from cimsolve.problem.problem import Problem, found_once
from cimsolve.prove import Bound, find_bounds
from cimsolve.prove.runs import Cut, LeastRuns, Run


@found_once
def least_rounds(problem: Problem, arrays: int) -> Mapping[Run, RunTimes]:
    """What every run that may fit so many arrays takes at least."""
    return LeastRuns(problem, arrays, _least_times).all()


def _least_times(run: Problem, arrays: int) -> RunTimes:
    hardware, cells = run.hardware, run.weight_cells
    lower = {name: bound.value for name, bound in find_bounds(run, {"arrays": arrays}, ["arrays"]).lower.items()}
    rows = ceil_div(cells, run.weights_per_row)
    return RunTimes(
        write=write_cycles(hardware, rows, cells, arrays),
        latency=int(lower["latency_cycles"]),
        ii=int(lower["ii_cycles"]),
        prefill=round(lower["prefill_ns"] * 1000 / hardware.clock_ps),
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


def find_rounds_bounds(problem: Problem, batch: int) -> dict[str, Bound]:
    """Metric -> what no answer in rounds goes below, for any cut between steps, doubled or not, and any mappings.

    The best cut of runs that each take their least on all arrays of the chip. A run that is written while another
    computes has fewer; whichever is less of writing beside computing and after it counts, which is the former.
    """
    arrays = problem.array_limit
    assert arrays is not None
    runs = least_rounds(problem, arrays)
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
