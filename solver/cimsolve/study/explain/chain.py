"""Where the time of an answer goes: its critical chain, whose times sum to the token latency, and its busiest array."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cimsolve.columns import Ints, sum_by
from cimsolve.price.cost import Costs
from cimsolve.price.firings import Fired
from cimsolve.price.gaps import Gap, shared_cycles
from cimsolve.price.memory import least_interval
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Solution
from cimsolve.prove.time import least_stage_cycles


@dataclass(frozen=True)
class Chain:
    """Links in the order of time; columns have shape (links,), in cycles.

    Before a stage comes its gap: `partial_sums`, `digital`, `transfer`, and `wait`, in which it neither has all it
    needs nor runs, as another gap holds the units or its array is busy. Its time in arrays is that of the array that
    ends last: `read`, `convert`, and `idle`, in which that array does something else. `tail` follows the last link.
    Experts are those that keep an array longest.
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
    memory: Ints | None = None
    """Keys and values, beyond the operations beside them; None on a chip without a memory for them."""

    def components(self) -> dict[str, int]:
        """Component -> cycles; sums to the latency."""
        tail = self.tail.parts_cycles
        names = ("read", "convert", "idle", *tail, "wait")
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
    links = []
    ended = stages.begins
    for number in members:
        start, end = int(stages.start[number]), int(stages.end[number])
        gap = costs.gaps.before[number].cycles
        own = by_stage[edges[number] : edges[number + 1]]
        last = int(activations.array[own[activations.end[own].argmax()]])
        mine = own[(activations.array[own] == last) & costs.fired.slowest[own]]
        busy = int((activations.end[mine] - activations.start[mine]).sum())
        read = int(reading[mine].sum())
        links.append((start - ended - gap, read, busy - read, end - start - busy, last))
        ended = end
    wait, read_cycles, convert, idle, array = np.array(links, dtype=np.int64).T
    at = np.array(members, dtype=np.int64)
    gaps = [costs.gaps.before[stage].parts_cycles for stage in members]
    bounds = np.array(least_stage_cycles(problem, int(costs.metrics["arrays"])), dtype=np.int64)
    # A stage that starts its pass has the tail of the pass before it in its gap, as the cost model has.
    return Chain(
        at,
        wait,
        read=read_cycles,
        convert=convert,
        idle=idle,
        array=array,
        bound=bounds[at],
        tail=costs.gaps.last_tail,
        **{name: np.array([gap[name] for gap in gaps], dtype=np.int64) for name in gaps[0]},
    )


def _reading_cycles(fired: Fired) -> Ints:
    """Cycles of each activation that pass in read pulses and not in conversions; shape (activations,).

    Of pulses and conversions that overlap (sample and hold) only the longer counts.
    """
    reading, converting = fired.problem.hardware.activation_parts_ps(fired.stacked, fired.conversions)
    return np.asarray(np.rint(fired.cycles * (reading / (reading + converting))), dtype=np.int64)


@dataclass(frozen=True)
class Load:
    """The busiest array of one token pass, of experts of the choice that keeps it longest.

    `stage` and the columns beside it, shape (stages on it,), say what it does in each stage: cycles it fires,
    activations, conversions of one input phase; and what is there, fired or not: pieces, logical cells they take.
    """

    array: int
    busy_cycles: int
    mean_busy_cycles: float
    """Busy cycles of an array, averaged over all arrays."""
    as_busy: int
    """Arrays that are busy for at least 99 % of these cycles, itself among them."""
    cells: int
    """Logical cells occupied on the array."""
    stage: Ints
    cycles: Ints
    activations: Ints
    pieces: Ints
    stage_cells: Ints
    conversions: Ints
    digital_cycles: int
    """Cycles that the digital units work in a pass."""
    transfer_cycles: int
    """Cycles that the interconnect works in a pass, of a network its busiest channel."""
    memory_cycles: int
    """Cycles that the memory of keys and values works in a pass."""
    room_cycles: int
    """Fewest cycles between tokens, as that memory has room for their sequences."""

    @property
    def interval_binds(self) -> str:
        """What bounds II: `arrays`, `digital units`, `transfer` or `memory` kept longest, or `room in the memory`."""
        loads = {"arrays": self.busy_cycles, "digital units": self.digital_cycles, "transfer": self.transfer_cycles}
        loads |= {"memory": self.memory_cycles, "room in the memory": self.room_cycles}
        return max(loads, key=loads.__getitem__)


def find_load(problem: Problem, solution: Solution, costs: Costs) -> Load:
    """The array with the most cycles of firing; of equals the one with the lowest number."""
    pieces, activations = solution.pieces, solution.activations
    arrays, index = np.unique(activations.array, return_inverse=True)
    duration = np.where(costs.fired.slowest, activations.end - activations.start, 0)
    busy = sum_by(index.reshape(-1), duration, len(arrays))
    busiest = int(busy.argmax())
    mine = np.flatnonzero((index.reshape(-1) == busiest) & costs.fired.slowest)
    own = np.flatnonzero(pieces.array == arrays[busiest])
    stages, at = np.unique(costs.fired.stage[mine], return_inverse=True)
    at_piece = np.searchsorted(stages, problem.table.stage[pieces.factor[own]])
    cells = pieces.rows[own].astype(np.int64) * pieces.cols[own]
    count = len(stages)
    digital, transfer, memory = shared_cycles(problem, costs.gaps.own)
    return Load(
        array=int(arrays[busiest]),
        busy_cycles=int(busy[busiest]),
        mean_busy_cycles=float(busy.mean()),
        as_busy=int((busy >= 0.99 * busy[busiest]).sum()),
        cells=int(cells[costs.fired.is_stored[own]].sum()),
        stage=stages,
        cycles=sum_by(at.reshape(-1), duration[mine], count),
        activations=np.bincount(at.reshape(-1), minlength=count),
        pieces=np.bincount(at_piece, minlength=count),
        stage_cells=sum_by(at_piece, cells, count),
        conversions=sum_by(at.reshape(-1), costs.fired.columns[mine], count),
        digital_cycles=digital,
        transfer_cycles=transfer,
        memory_cycles=memory,
        room_cycles=least_interval(problem, int(costs.metrics["latency_cycles"])),
    )
