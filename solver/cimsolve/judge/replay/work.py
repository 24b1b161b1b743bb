"""What a solution makes each unit do for one token: jobs on arrays, digital units and interconnect, and their order.

No times: those are found by `token` and `stream`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cimsolve.columns import Ints, sum_by
from cimsolve.price.firings import Fired
from cimsolve.price.gaps import Gap
from cimsolve.problem.tables import Activations


@dataclass(frozen=True)
class Node:
    """A stage, or the tail of a pass: its gap, then its work on arrays, once per token.

    `reads` are nodes that must have ended before the gap begins; those of `barriers`, a part of them, for every
    token of the sequence.
    """

    name: str
    phase: int
    reads: tuple[int, ...]
    barriers: frozenset[int]
    gap: Gap
    users: Ints
    """Groups of arrays that work on it; shape (users,)."""
    cycles: Ints
    """Cycles of all its activations on one array of each group; shape (users,)."""


@dataclass(frozen=True)
class Work:
    """Nodes in dataflow order. Arrays that do the same work for every node are one group: their times agree."""

    nodes: tuple[Node, ...]
    node_of_stage: tuple[int, ...]
    array_of_group: Ints
    """An array of each group; shape (groups,)."""

    @cached_property
    def units(self) -> tuple[str, ...]:
        """Names of all units, in the order of `busy_cycles`: groups by an array of theirs, then the two shared."""
        return (*(f"array {array}" for array in self.array_of_group.tolist()), "digital units", "interconnect")

    def busy_cycles(self, phase: int | None = None) -> Ints:
        """Cycles that each unit works for one token, in one phase or in all; shape (units,)."""
        busy = np.zeros(len(self.units), dtype=np.int64)
        for node in self.nodes:
            if phase in (None, node.phase):
                busy[node.users] += node.cycles
                busy[-2] += node.gap.units_cycles
                busy[-1] += node.gap.transfer_cycles
        return busy

    def pace_cycles(self, phase: int | None = None, together: bool = False) -> int:
        """The most that one unit works for a token: tokens cannot follow each other faster for long.

        `together`: a gap holds digital units and interconnect as one unit.
        """
        busy = self.busy_cycles(phase)
        if together:
            busy[-2:] = busy[-2:].sum()
        return int(busy.max())


def find_work(fired: Fired, activations: Activations) -> Work:
    """The work of a solution's tables; of `fired`, which are these activations, stages and gaps are taken, no times."""
    workload, gaps = fired.problem.workload, fired.gaps
    job_stage, job_array, job_cycles = _jobs(activations, fired.stage)
    group_of_array, array_of_group = _group_arrays(job_stage, job_array, job_cycles)
    stops = np.searchsorted(job_stage, np.arange(len(workload.stages) + 1))
    nodes: list[Node] = []
    node_of_stage: list[int] = []
    nobody = np.zeros(0, dtype=np.int64)
    for pass_name, tail in gaps.tails.items():
        previous_tail = (len(nodes) - 1,) if nodes else ()
        members = [each for each in workload.stages if each.pass_name == pass_name]
        for each in members:
            part = slice(stops[each.id], stops[each.id + 1])
            users, first = np.unique(group_of_array[job_array[part]], return_index=True)
            own = workload.continues_pass(each.id)
            reads = tuple(node_of_stage[before] for before in each.after) if own else previous_tail
            barriers = frozenset(read for read in reads if nodes[read].phase < each.phase)
            gap = gaps.before[each.id] if own else Gap()
            node_of_stage.append(len(nodes))
            nodes.append(Node(each.name, each.phase, reads, barriers, gap, users, job_cycles[part][first]))
        last = tuple(node_of_stage[end] for end in workload.last_stages[pass_name])
        phase = max(each.phase for each in members)
        # A tail is each token's own: it waits for no other token.
        nodes.append(Node(f"end of {pass_name} pass", phase, last, frozenset(), tail, nobody, nobody))
    return Work(tuple(nodes), tuple(node_of_stage), array_of_group)


def _jobs(activations: Activations, stage: Ints) -> tuple[Ints, Ints, Ints]:
    """All activations of a stage on an array are one job: (stage, array, cycles), sorted by stage and array."""
    arrays = int(activations.array.max()) + 1
    keys, job = np.unique(stage * arrays + activations.array, return_inverse=True)
    cycles = sum_by(job, activations.end - activations.start, len(keys))
    return keys // arrays, keys % arrays, cycles


def _group_arrays(stage: Ints, array: Ints, cycles: Ints) -> tuple[Ints, Ints]:
    """Group of each array, and an array of each group; arrays are one group if all their jobs are equal.

    Jobs are compared first with first, second with second and so on, each round splitting the groups so far.
    """
    order = np.lexsort((stage, array))
    stage, array, cycles = stage[order], array[order], cycles[order]
    used, first, count = np.unique(array, return_index=True, return_counts=True)
    _, group = np.unique(count, return_inverse=True)
    lengths, length = np.unique(cycles, return_inverse=True)
    kinds, job = np.unique(stage * len(lengths) + length, return_inverse=True)
    for round_ in range(int(count.max())):
        at = first + np.minimum(round_, count - 1)
        _, group = np.unique(group * len(kinds) + job[at], return_inverse=True)
    _, representative = np.unique(group, return_index=True)
    group_of_array = np.zeros(int(array.max()) + 1, dtype=np.int64)
    group_of_array[used] = group
    return group_of_array, used[representative]
