"""Many tokens: who is served when by arrays, digital units, and interconnect or channels.

Arrays and channels serve first come, first served; of jobs that come at one time the earlier token's, then the earlier
stage's. A token's job at a stage comes to all its arrays at one time, as a move does to all its channels, and all of
them take jobs in the order of arrival. So its times on all of them follow from one numpy step: exactly what an event
for every activation and every channel gives (tests/oracles/naive_replay.py is that simulation).
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cimsolve.columns import Ints
from cimsolve.judge.replay.channels import serve
from cimsolve.judge.replay.work import Job, Work

DIGITAL, TRANSFER, LAST = range(3)
ARRIVAL, SERVICE = range(2)
"""Kinds of events; at one time all arrivals come before any unit chooses."""

Event = tuple[int, int, int, int, int]
"""(time, ARRIVAL, token, job, part) or (time, SERVICE, unit, 0, 0)."""


@dataclass(frozen=True)
class Rules:
    """How tokens are admitted and served."""

    pace: Mapping[int, int]
    """Phase -> cycles by which tokens enter it after each other, from its beginning."""
    barriers: bool
    """Whether all tokens are of one sequence, and so wait for each other where attention does."""
    oldest_first: bool = False
    """Digital units and a flat chip's interconnect take the oldest token that waits, then its earliest stage."""
    together: bool = False
    """A gap holds digital units and interconnect as one unit, from its beginning to its end."""


class Arrivals(NamedTuple):
    """Tokens that come from elsewhere, of a phase that goes on here; None: of one that has ended."""

    times: Ints
    """When each comes, shape (tokens,)."""
    phase: int | None


def replay_stream(work: Work, tokens: int | Mapping[int, int], rules: Rules, arrivals: Arrivals | None = None) -> Ints:
    """Cycle in which each token of the last pass has left it, from the first admission; shape (tokens there,).

    `tokens`: as many in all passes, or phase -> tokens of its pass; passes of different numbers need barriers.
    `arrivals` None: tokens come at the pace of their phase. Tokens of another phase than theirs wait for all of them.
    """
    return _Stream(work, tokens, rules).run(arrivals)


class _Stream:
    def __init__(self, work: Work, tokens: int | Mapping[int, int], rules: Rules) -> None:
        self.rules, self.jobs = rules, work.jobs(rules.together)
        self.tokens = [tokens if isinstance(tokens, int) else tokens[job.phase] for job in self.jobs]
        self.free = np.zeros(len(work.units), dtype=np.int64)
        count = len(self.jobs)
        self.readers: list[list[int]] = [[] for _ in range(count)]
        for number, job in enumerate(self.jobs):
            for read in job.reads:
                self.readers[read].append(number)
        self.parts = [_parts(job) for job in self.jobs]
        most = max(self.tokens)
        self.missing = [[len(job.reads) for job in self.jobs] for _ in range(most)]
        self.ready = [[0] * count for _ in range(most)]
        self.latest_end = [0] * count
        self.not_ended = [*self.tokens]
        self.events: list[Event] = []
        self.waiting: list[list[tuple[int, ...]]] = [[], []]
        self.busy = [False, False]
        self.shared_free = [0, 0]

    def run(self, arrivals: Arrivals | None) -> Ints:
        finished = np.zeros(self.tokens[-1], dtype=np.int64)
        for number, job in enumerate(self.jobs):
            if not job.reads:
                came = np.arange(self.tokens[number]) * self.rules.pace[job.phase]
                if arrivals is not None:
                    waits = self.rules.barriers and job.phase != arrivals.phase
                    came = came + int(arrivals.times.max()) if waits else arrivals.times
                self.events += [(time, ARRIVAL, token, number, 0) for token, time in enumerate(came.tolist())]
        heapq.heapify(self.events)
        while self.events:
            time, kind, token, number, part = heapq.heappop(self.events)
            if kind == SERVICE:
                self._serve(token, time)
            elif (unit := self.parts[number][part][0]) != LAST:
                self._wait(unit, time, token, number, part)
            else:
                job = self.jobs[number]
                time = serve(self.free, job.users, job.cycles, time) + job.latency_cycles
                if number == len(self.jobs) - 1:
                    finished[token] = time
                self._end(number, token, time)
        return finished

    def _wait(self, unit: int, time: int, token: int, number: int, part: int) -> None:
        key = (token, number, part) if self.rules.oldest_first else (time, token, number, part)
        heapq.heappush(self.waiting[unit], key)
        if not self.busy[unit]:
            self.busy[unit] = True
            heapq.heappush(self.events, (max(time, self.shared_free[unit]), SERVICE, unit, 0, 0))

    def _serve(self, unit: int, time: int) -> None:
        *_, token, number, part = heapq.heappop(self.waiting[unit])
        self.shared_free[unit] = end = time + self.parts[number][part][1]
        heapq.heappush(self.events, (end, ARRIVAL, token, number, part + 1))
        if self.waiting[unit]:
            heapq.heappush(self.events, (end, SERVICE, unit, 0, 0))
        else:
            self.busy[unit] = False

    def _end(self, number: int, token: int, time: int) -> None:
        """Tell the readers of a job that a token will have ended it at `time`."""
        self.latest_end[number] = max(self.latest_end[number], time)
        self.not_ended[number] -= 1
        for reader in self.readers[number]:
            if not self.rules.barriers or number not in self.jobs[reader].barriers:
                self._read(reader, token, time)
            elif not self.not_ended[number]:
                pace = self.rules.pace[self.jobs[reader].phase]
                for each in range(self.tokens[reader]):
                    self._read(reader, each, self.latest_end[number] + each * pace)

    def _read(self, number: int, token: int, time: int) -> None:
        """One of the jobs that a job reads has ended for a token; with the last of them it comes."""
        missing, ready = self.missing[token], self.ready[token]
        missing[number] -= 1
        ready[number] = max(ready[number], time)
        if not missing[number]:
            heapq.heappush(self.events, (ready[number], ARRIVAL, token, number, 0))


def _parts(job: Job) -> list[tuple[int, int]]:
    """What a token asks for in a job, one after the other: (unit, cycles); last of all its arrays or channels."""
    shared = [(DIGITAL, job.units_cycles), (TRANSFER, job.transfer_cycles)]
    return [*((unit, cycles) for unit, cycles in shared if cycles), (LAST, 0)]


def settled_interval(finished: Ints) -> float:
    """Cycles between tokens once times have settled: from the mean of the middle third to that of the last.

    Single tokens overtake each other and come in bursts; means of a third do not.
    """
    third = len(finished) // 3
    middle, last = finished[-2 * third : -third], finished[-third:]
    return float((last.mean() - middle.mean()) / third)
