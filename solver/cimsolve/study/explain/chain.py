"""The critical chain: the stages and gaps, one after the other, whose times sum to the token latency."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cimsolve.columns import Ints
from cimsolve.price.cost import Costs
from cimsolve.price.firings import Fired
from cimsolve.price.gaps import Gap
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Solution
from cimsolve.prove.time import least_stage_cycles


@dataclass(frozen=True)
class Chain:
    """Links in the order of time; columns have shape (links,), in cycles.

    Before a stage comes its gap: `partial_sums`, `digital`, `transfer`, and `wait`, in which it neither has all it
    needs nor runs, as another gap holds the units or its array is busy. Its time in arrays is that of the array that
    ends last: `read`, `convert`, and `idle`, in which that array does something else. `tail` follows the last link.
    """

    stage: Ints
    wait: Ints
    partial_sums: Ints
    digital: Ints
    transfer: Ints
    read: Ints
    convert: Ints
    idle: Ints
    bound: Ints
    """Least time in arrays of the stage alone, on as many arrays as the answer uses."""
    array: Ints
    """The array that ends last, by its number in the file."""
    tail: Gap

    def components(self) -> dict[str, int]:
        """Component -> cycles; sums to the latency."""
        tail = self.tail.parts_cycles
        names = ("read", "convert", "idle", "partial_sums", "digital", "transfer", "wait")
        return {name: int(getattr(self, name).sum()) + tail.get(name, 0) for name in names}


def find_chain(problem: Problem, solution: Solution, costs: Costs) -> Chain:
    """Walk back from the stage that ends last, always to the stage read that ended last."""
    workload, stages, activations = problem.workload, costs.stages, solution.activations
    members = [int(stages.end.argmax())]
    while workload.stages[members[-1]].after:
        members.append(max(workload.stages[members[-1]].after, key=lambda number: (int(stages.end[number]), -number)))
    members.reverse()
    stage, reading = costs.fired.stage, _reading_cycles(costs.fired)
    by_stage = np.argsort(stage, kind="stable")
    edges = np.searchsorted(stage[by_stage], np.arange(len(workload.stages) + 1))
    columns: dict[str, list[int]] = {name: [] for name in ("wait", "read", "convert", "idle", "array")}
    ended = int(stages.start.min())
    for number in members:
        start, end = int(stages.start[number]), int(stages.end[number])
        gap = costs.gaps.before[number].cycles if workload.stages[number].after else 0
        own = by_stage[edges[number] : edges[number + 1]]
        last = int(activations.array[own[activations.end[own].argmax()]])
        mine = own[activations.array[own] == last]
        busy = int((activations.end[mine] - activations.start[mine]).sum())
        read = int(reading[mine].sum())
        for name, value in (
            ("wait", start - ended - gap),
            ("read", read),
            ("convert", busy - read),
            ("idle", end - start - busy),
            ("array", last),
        ):
            columns[name].append(value)
        ended = end
    at = np.array(members, dtype=np.int64)
    gaps = [costs.gaps.before[stage].parts_cycles for stage in members]
    bounds = np.array(least_stage_cycles(problem, int(costs.metrics["arrays"])), dtype=np.int64)
    # A stage that starts its pass has the tail of the pass before it in its gap, as the cost model has.
    return Chain(
        stage=at,
        bound=bounds[at],
        tail=costs.gaps.last_tail,
        **{name: np.array(values, dtype=np.int64) for name, values in columns.items()},
        **{name: np.array([gap[name] for gap in gaps], dtype=np.int64) for name in gaps[0]},
    )


def _reading_cycles(fired: Fired) -> Ints:
    """Cycles of each activation that pass in read pulses and not in conversions; shape (activations,).

    Of pulses and conversions that overlap (sample and hold) only the longer counts.
    """
    reading, converting = fired.problem.hardware.activation_parts_ps(fired.stacked, fired.conversions)
    return np.asarray(np.rint(fired.cycles * (reading / (reading + converting))), dtype=np.int64)
