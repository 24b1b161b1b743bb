"""S4, S5 and the shared units of S6: what runs when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from cimsolve.columns import Ints, order_by
from cimsolve.judge.check.case import Case, first


def s4_an_array_does_one_thing_at_a_time(case: Case) -> Iterator[str]:
    """S4: activations of one array do not overlap in time."""
    activations = case.activations
    order = order_by(activations.array, activations.start)
    array, start, end = activations.array[order], activations.start[order], activations.end[order]
    clash = (array[1:] == array[:-1]) & (start[1:] < end[:-1])
    if clash.any():
        at = first(clash)
        yield (
            f"activations {int(order[at])} and {int(order[at + 1])} of array {int(array[at])} overlap in "
            f"time, at cycle {int(start[at + 1])}"
        )


def s5_stages_follow_the_dataflow(case: Case) -> Iterator[str]:
    """S5: a stage starts when every stage it reads has ended plus the gap between them."""
    stages = case.problem.workload.stages
    start, end = _stage_times(case)
    gap_cycles = case.fired.gaps.before_cycles
    for stage in stages:
        for before in stage.after:
            earliest = int(end[before] + gap_cycles[stage.id])
            if start[stage.id] < earliest:
                yield (
                    f"stage {stage.name} starts at cycle {int(start[stage.id])}; {stages[before].name} and "
                    f"the gap after it end at {earliest}"
                )
                return


def s6_gaps_use_the_shared_units_one_at_a_time(case: Case) -> Iterator[str]:
    """S6: the digital units and the interconnect serve one gap at a time.

    A file does not say when a gap runs within the time it has: between the end of what the stage reads and
    its start. So the gaps are laid out as early as can be, in the order of the stages or of their starts, and
    one of the two must meet every start.
    """
    stages = case.problem.workload.stages
    start, end = _stage_times(case)
    held = np.flatnonzero(case.fired.gaps.before_cycles > 0).tolist()
    late = _first_late_gap(case, held, start, end)
    if late is not None and _first_late_gap(case, sorted(held, key=start.__getitem__), start, end) is not None:
        yield f"two gaps need the digital units at once, before stage {stages[late].name} starts"


def _first_late_gap(case: Case, order: Iterable[int], start: Ints, end: Ints) -> int | None:
    stages = case.problem.workload.stages
    free = 0
    for number in order:
        ready = max(int(end[before]) for before in stages[number].after)
        cycles = case.fired.gaps.before[number].cycles
        free = max(ready, free) + cycles
        if free > max(int(start[number]), ready + cycles):  # a start too early for this gap alone is S5's
            return number
    return None


def _stage_times(case: Case) -> tuple[Ints, Ints]:
    """First start and last end of every stage, each of shape (stages,)."""
    count = len(case.problem.workload.stages)
    start = np.full(count, np.iinfo(np.int64).max)
    end = np.zeros(count, dtype=np.int64)
    np.minimum.at(start, case.stage, case.activations.start[case.fires])
    np.maximum.at(end, case.stage, case.activations.end[case.fires])
    return start, end
