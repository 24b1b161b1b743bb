"""S4, S5 and the shared units of S6: what runs when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from cimsolve.columns import order_by
from cimsolve.judge.check.case import Case, first
from cimsolve.price.cost import StageCosts, stage_times


def s4_an_array_does_one_thing_at_a_time(case: Case) -> Iterator[str]:
    """S4: activations of one array do not overlap in time."""
    activations = case.activations
    order = order_by(activations.array, activations.start)
    array, start, end = activations.array[order], activations.start[order], activations.end[order]
    for at in first((array[1:] == array[:-1]) & (start[1:] < end[:-1])):
        yield (
            f"activations {order[at]} and {order[at + 1]} of array {array[at]} overlap in time, "
            f"at cycle {start[at + 1]}"
        )


def s5_stages_follow_the_dataflow(case: Case) -> Iterator[str]:
    """S5: a stage starts when every stage it reads has ended plus the gap between them."""
    stages = case.problem.workload.stages
    times = stage_times(case.fired, case.activations)
    for stage in stages:
        for before in stage.after:
            earliest = times.end[before] + case.fired.gaps.before_cycles[stage.id]
            if times.start[stage.id] < earliest:
                yield (
                    f"stage {stage.name} starts at cycle {times.start[stage.id]}; {stages[before].name} and "
                    f"the gap after it end at {earliest}"
                )
                return


def s6_gaps_use_the_shared_units_one_at_a_time(case: Case) -> Iterator[str]:
    """S6: the digital units and the interconnect serve one gap at a time.

    A file does not say when a gap runs within the time it has: between the end of what the stage reads and
    its start. So the gaps are laid out as early as can be, in the order of the stages or of their starts, and
    one of the two must meet every start.
    """
    times = stage_times(case.fired, case.activations)
    held = np.flatnonzero(case.fired.gaps.before_cycles > 0).tolist()
    late = _first_late_gap(case, held, times)
    if late is not None and _first_late_gap(case, sorted(held, key=times.start.__getitem__), times) is not None:
        yield (
            f"two gaps need the digital units at once, before stage {case.problem.workload.stages[late].name} starts"
        )


def _first_late_gap(case: Case, order: Iterable[int], times: StageCosts) -> int | None:
    free = 0
    for number in order:
        ready = max(int(times.end[before]) for before in case.problem.workload.stages[number].after)
        cycles = case.fired.gaps.before[number].cycles
        free = max(ready, free) + cycles
        if free > max(int(times.start[number]), ready + cycles):  # a start too early for this gap alone is S5's
            return number
    return None
