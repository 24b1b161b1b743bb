"""What moves make links, buses and the hub's port do: jobs on channels, for cycles rounded up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cimsolve.chip.sections import picoseconds
from cimsolve.columns import Ints
from cimsolve.price.moves import Move, TokenMoves
from cimsolve.problem.problem import Problem


@dataclass(frozen=True)
class MoveJob:
    """A move: it comes to all its channels at one time, and each carries its bits as soon as it is free.

    So channels are units like any other, and none waits, held, for another. It takes buffers where links meet.
    """

    users: Ints
    """Groups of channels with bits of it; shape (users,)."""
    cycles: Ints
    """Cycles in which one channel of each group carries them; shape (users,)."""
    latency_cycles: int

    def carry(self, free: Ints, time: int) -> int:
        """When a move that comes at `time` ends; updates `free`, when each group of channels is."""
        return serve(free, self.users, self.cycles, time) + self.latency_cycles


def serve(free: Ints, users: Ints, cycles: Ints, time: int) -> int:
    """When the last of the jobs ends that come to units `users` at `time`; updates `free`, when each unit is."""
    if not len(users):
        return time
    finish = np.maximum(free[users], time)
    finish += cycles
    free[users] = finish
    return int(finish.max())


@dataclass(frozen=True)
class TokenMoveJobs:
    """The moves of a token as jobs, a tuple entry for each stage; see `TokenMoves`."""

    down: tuple[MoveJob | None, ...]
    up: tuple[MoveJob | None, ...]
    over: tuple[MoveJob | None, ...]
    names: tuple[str, ...] = ()
    """Name of a channel of each group."""


def find_move_jobs(problem: Problem, moves: TokenMoves | None, first_group: int) -> TokenMoveJobs:
    """The jobs of `moves`, on groups of channels numbered from `first_group`; on a flat chip there are none."""
    interconnect, hardware = problem.hardware.interconnect, problem.hardware
    if moves is None or interconnect is None:
        nothing = (None,) * len(problem.workload.stages)
        return TokenMoveJobs(nothing, nothing, nothing)

    def cycles_of(move: Move) -> Ints:
        return hardware.cycles(picoseconds(move.bits / interconnect.bits_per_ns))

    # Channels that carry for the same cycles in every move are one group; each move splits the groups so far.
    group = np.zeros(len(interconnect.bits_per_ns), dtype=np.int64)
    for move in (*moves.down, *moves.up, *moves.over):
        if move is not None:
            lengths, length = np.unique(cycles_of(move), return_inverse=True)
            _, group = np.unique(group * len(lengths) + length, return_inverse=True)
    _, channel = np.unique(group, return_index=True)

    def jobs(of_stages: Sequence[Move | None]) -> tuple[MoveJob | None, ...]:
        return tuple(None if move is None else job(move) for move in of_stages)

    def job(move: Move) -> MoveJob:
        cycles = cycles_of(move)[channel]
        users = np.flatnonzero(cycles)
        return MoveJob(users + first_group, cycles[users], int(hardware.cycles(move.fixed_ps)))

    names = tuple(interconnect.name_of_channel(each) for each in channel.tolist())
    return TokenMoveJobs(jobs(moves.down), jobs(moves.up), jobs(moves.over), names)
