"""What a solution makes each unit do for one token: jobs on arrays, channels and digital units, and their order.

No times: those are found by `token` and `stream`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cimsolve.columns import Ints
from cimsolve.judge.replay.channels import MoveJob, find_move_jobs
from cimsolve.price.firings import Fired
from cimsolve.price.gaps import Gap, arriving
from cimsolve.price.memory import MemoryUse
from cimsolve.problem.tables import Activations

NOBODY: Ints = np.zeros(0, dtype=np.int64)
"""The users of a job that asks for no array and no channel."""


@dataclass(frozen=True)
class Between:
    """What lies between the ends of what a node reads and the node's own work on arrays.

    First `up`, of all that it reads, then the digital units, then `down`; `over` runs beside these.
    """

    units_cycles: int = 0
    transfer_cycles: int = 0
    """Of the one interconnect of a flat chip."""
    up: tuple[MoveJob, ...] = ()
    down: tuple[MoveJob, ...] = ()
    over: tuple[MoveJob, ...] = ()
    kept: MoveJob | None = None
    """What is asked of the memory, as a move's of a channel: until the last bit is read, not till all is written."""
    beside_cycles: int = 0
    """Of `units_cycles`, what runs beside `kept`."""

    @cached_property
    def cycles(self) -> int:
        """Cycles of all of it, where nothing else is under way."""
        moves = (*self.up, *self.down, *self.over)
        free = np.zeros(max((int(each.users.max(initial=0)) for each in moves), default=0) + 1, dtype=np.int64)
        time = 0
        for each in self.up:
            time = each.carry(free, time)
        crossed = [each.carry(free, 0) for each in self.over]
        alone = 0 if self.kept is None else self.kept.carry(np.zeros(self.kept.users[0] + 1, dtype=np.int64), 0)
        time += self.units_cycles + max(0, alone - self.beside_cycles) + self.transfer_cycles
        for each in self.down:
            time = each.carry(free, time)
        return max(time, *crossed, 0)


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
    gap: Between
    users: Ints
    """Groups of arrays that work on it; shape (users,)."""
    cycles: Ints
    """Cycles of all its activations on one array of each group; shape (users,)."""
    up: MoveJob | None = None
    """What its readers need at the hub."""


@dataclass(frozen=True)
class Job:
    """What a token asks for at one time, by itself: digital units, then the interconnect, then arrays or channels.

    It comes once the jobs in `reads` have ended, those of `barriers` for every token of the sequence.
    """

    phase: int
    reads: tuple[int, ...]
    barriers: frozenset[int]
    units_cycles: int
    transfer_cycles: int
    users: Ints
    """Groups of arrays or of channels, all at one time; shape (users,)."""
    cycles: Ints
    latency_cycles: int = 0
    """From the end of the last of these to the end of the job."""


@dataclass(frozen=True)
class Work:
    """Nodes in dataflow order. Arrays that do the same work for every node are one group: their times agree.

    So are channels that carry for the same cycles in every move. Groups of arrays are numbered first.
    """

    nodes: tuple[Node, ...]
    node_of_stage: tuple[int, ...]
    array_of_group: Ints
    """An array of each group; shape (groups of arrays,)."""
    channel_names: tuple[str, ...] = ()
    """Name of a channel of each group, and last of the memory, where there is one."""

    @cached_property
    def units(self) -> tuple[str, ...]:
        """Names of all units, in the order of `busy_cycles`: groups by one of theirs, then the two shared."""
        arrays = (f"array {array}" for array in self.array_of_group.tolist())
        return (*arrays, *self.channel_names, "digital units", "interconnect")

    @cached_property
    def jobs_apart(self) -> tuple[Job, ...]:
        """The jobs of a token in dataflow order, the last one ending it, where every unit works by itself.

        What a stage sends up goes once, after its end, however many read it.
        """
        jobs: list[Job] = []
        ended: list[int] = []
        at_hub: list[int] = []

        def add(job: Job) -> int:
            jobs.append(job)
            return len(jobs) - 1

        def move(phase: int, reads: tuple[int, ...], each: MoveJob) -> int:
            return add(Job(phase, reads, frozenset(), 0, 0, each.users, each.cycles, each.latency_cycles))

        for node in self.nodes:
            gap, phase = node.gap, node.phase
            reads = tuple(at_hub[read] for read in node.reads)
            barriers = frozenset(at_hub[read] for read in node.barriers)
            units, transfer = gap.units_cycles, gap.transfer_cycles
            if gap.kept is not None:
                if units > gap.beside_cycles:
                    before = Job(phase, reads, barriers, units - gap.beside_cycles, 0, NOBODY, NOBODY)
                    reads, barriers = (add(before),), frozenset()
                kept = gap.kept
                both = [Job(phase, reads, barriers, 0, 0, kept.users, kept.cycles, kept.latency_cycles)]
                if gap.beside_cycles:
                    both.append(Job(phase, reads, barriers, gap.beside_cycles, 0, NOBODY, NOBODY))
                reads, barriers, units = tuple(map(add, both)), frozenset(), 0
            for each in gap.down:
                down = Job(phase, reads, barriers, units, transfer, each.users, each.cycles, each.latency_cycles)
                reads, barriers, units, transfer = (add(down),), frozenset(), 0, 0
            sources = tuple(ended[read] for read in node.reads)
            reads += tuple(move(phase, sources, each) for each in gap.over)
            ended.append(add(Job(phase, reads, barriers, units, transfer, node.users, node.cycles)))
            at_hub.append(ended[-1] if node.up is None else move(phase, (ended[-1],), node.up))
        return tuple(jobs)

    @cached_property
    def jobs_together(self) -> tuple[Job, ...]:
        """The jobs of a token in dataflow order where a gap holds digital units and interconnect as one unit."""
        return tuple(
            Job(node.phase, node.reads, node.barriers, node.gap.cycles, 0, node.users, node.cycles)
            for node in self.nodes
        )

    def jobs(self, together: bool) -> tuple[Job, ...]:
        """`jobs_together` or `jobs_apart`."""
        return self.jobs_together if together else self.jobs_apart

    def busy_cycles(self, phase: int | None = None, together: bool = False) -> Ints:
        """Cycles that each unit works for one token, in one phase or in all; shape (units,)."""
        busy = np.zeros(len(self.units), dtype=np.int64)
        for job in self.jobs(together):
            if phase in (None, job.phase):
                busy[job.users] += job.cycles
                busy[-2] += job.units_cycles
                busy[-1] += job.transfer_cycles
        return busy

    def pace_cycles(self, phase: int | None = None, together: bool = False) -> int:
        """The most that one unit works for a token: tokens cannot follow each other faster for long.

        `together`: a gap holds digital units and interconnect as one unit.
        """
        return int(self.busy_cycles(phase, together).max())


def find_work(fired: Fired, activations: Activations, in_prefill: bool = False) -> Work:
    """The work of a solution's tables; of `fired`, which are these activations, stages and gaps are taken, no times.

    `in_prefill`: of a token of a prefill, whose queries share reads of the memory.
    """
    workload, gaps = fired.problem.workload, fired.gaps
    job_stage, job_array, job_cycles = fired.whole_jobs(activations.array, activations.end - activations.start)
    group_of_array, array_of_group = _group_arrays(job_stage, job_array, job_cycles)
    stops = np.searchsorted(job_stage, np.arange(len(workload.stages) + 1))
    moves = find_move_jobs(fired.problem, fired.moves, len(array_of_group))
    is_flat = fired.moves is None
    nodes: list[Node] = []
    node_of_stage: list[int] = []
    memory = np.array([len(array_of_group) + len(moves.names)], dtype=np.int64)

    def kept(use: MemoryUse | None) -> MoveJob | None:
        if use is None or not use.bits:
            return None
        busy = use.prefill_cycles if in_prefill else use.busy_cycles
        return MoveJob(memory, np.array([busy], dtype=np.int64), use.waited_cycles - busy)

    def between(gap: Gap, reads: tuple[int, ...], stages: Sequence[int]) -> Between:
        return Between(
            gap.units_cycles,
            gap.transfer_cycles if is_flat else 0,
            tuple(up for read in reads if (up := nodes[read].up) is not None),
            tuple(move for each in stages if (move := moves.down[each]) is not None),
            tuple(move for each in stages if (move := moves.over[each]) is not None),
            kept(gap.memory),
            0 if gap.memory is None else gap.memory.beside_cycles,
        )

    for pass_name, tail in gaps.tails.items():
        previous_tail = (len(nodes) - 1,) if nodes else ()
        members = [each for each in workload.stages if each.pass_name == pass_name]
        for each in members:
            part = slice(stops[each.id], stops[each.id + 1])
            users, first = np.unique(group_of_array[job_array[part]], return_index=True)
            own = gaps.within[each.id]
            reads = tuple(node_of_stage[before] for before in each.after) if own else previous_tail
            barriers = frozenset(read for read in reads if nodes[read].phase < each.phase)
            rises = tuple(node_of_stage[before] for before in arriving(workload, each.id)) if own else ()
            gap = between(gaps.before[each.id], rises, [each.id]) if own else Between()
            node_of_stage.append(len(nodes))
            cycles = job_cycles[part][first]
            nodes.append(Node(each.name, each.phase, reads, barriers, gap, users, cycles, moves.up[each.id]))
        ends = workload.last_stages[pass_name]
        last = tuple(node_of_stage[end] for end in ends)
        phase = max(each.phase for each in members)
        # A tail is each token's own: it waits for no other token. It brings down what the next pass begins with.
        begun = [each.id for each in workload.stages if each.after == ends and not gaps.within[each.id]]
        gap = between(tail, last, begun)
        nodes.append(Node(f"end of {pass_name} pass", phase, last, frozenset(), gap, NOBODY, NOBODY))
    names = moves.names if fired.problem.hardware.memory is None else (*moves.names, "memory")
    return Work(tuple(nodes), tuple(node_of_stage), array_of_group, names)


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
