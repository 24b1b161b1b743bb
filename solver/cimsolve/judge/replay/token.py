"""One token alone: every array fires in the order of the file, as early as what it waits for allows."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from cimsolve.columns import Ints, number_of
from cimsolve.judge.replay.work import Work
from cimsolve.price.experts import sum_at_most
from cimsolve.price.firings import Fired
from cimsolve.problem.tables import Activations


class _Firings(NamedTuple):
    """What arrays do one after the other: activations, and the experts of a stage as one; shape (firings,) each."""

    array: Ints
    stage: Ints
    start: Ints
    cycles: Ints

    @staticmethod
    def of(fired: Fired, activations: Activations) -> _Firings:
        """The activations of a solution; of experts the worst choice, from the first start of any."""
        array, start, cycles = activations.array, activations.start, activations.end - activations.start
        own = np.flatnonzero(fired.expert >= 0)
        if not len(own):
            return _Firings(array, fired.stage, start, cycles)
        job = number_of(array[own], fired.stage[own])
        first = own[np.unique(job, return_index=True)[1]]
        begins = np.full(len(first), np.iinfo(np.int64).max)
        np.minimum.at(begins, job, start[own])
        chosen = fired.problem.workload.chosen[fired.stage[first]]
        alone = np.flatnonzero(fired.expert < 0)
        named = np.concatenate([alone, first])
        return _Firings(
            array[named],
            fired.stage[named],
            np.concatenate([start[alone], begins]),
            np.concatenate([cycles[alone], sum_at_most(job, fired.expert[own], cycles[own], chosen)]),
        )


def replay_token(work: Work, fired: Fired, activations: Activations, begins: int) -> int:
    """Cycles from `begins`, when the token's pass does, to the end of the last pass.

    A file does not say in which order gaps ran, one at a time (S6): in dataflow order, or, where that would be
    later than the file has it, in the order of the stages' starts. The tables must obey the rules.
    """
    firings = _Firings.of(fired, activations)
    starts = np.full(len(work.node_of_stage), np.iinfo(np.int64).max)
    np.minimum.at(starts, firings.stage, firings.start)
    in_order = range(len(work.nodes))
    found = _TokenPass(work, in_order).run(firings)
    if found is None or (found.released(work.node_of_stage) > starts - begins).any():
        # A tail has no start: it comes before all that follows what it reads.
        of_node = dict(zip(work.node_of_stage, starts.tolist(), strict=True))
        for number in in_order:
            if number not in of_node:
                of_node[number] = max(of_node[read] for read in work.nodes[number].reads)
        by_start = sorted(in_order, key=lambda number: (of_node[number], number))
        found = _TokenPass(work, by_start).run(firings) or found
    if found is None:
        raise ValueError("the order of activations contradicts the dataflow; check the solution first")
    return found.end_of(len(work.nodes) - 1)


class _TokenPass:
    """Times so far of one token; gaps run in the order of `gap_order`."""

    def __init__(self, work: Work, gap_order: Sequence[int]) -> None:
        self.work = work
        self.gap_order = [number for number in gap_order if work.nodes[number].gap.cycles]
        self.next_gap = 0
        self.gap_free = 0
        self.release: dict[int, int] = {}
        self.ended = [0] * len(work.nodes)
        self.left = [0] * len(work.nodes)

    def run(self, firings: _Firings) -> _TokenPass | None:
        """Fire everything; None where the order of gaps cannot be kept."""
        array, stage, start, cycles = firings
        for number, count in zip(self.work.node_of_stage, np.bincount(stage).tolist(), strict=True):
            self.left[number] = count
        free = np.zeros(int(array.max()) + 1, dtype=np.int64)
        order = np.lexsort((stage, start))
        # Activations of one stage with one start are on different arrays.
        changes = (np.diff(start[order]) != 0) | (np.diff(stage[order]) != 0)
        edges = [0, *(np.flatnonzero(changes) + 1).tolist(), len(order)]
        for low, high in pairwise(edges):
            chosen = order[low:high]
            number = self.work.node_of_stage[int(stage[chosen[0]])]
            if not self._release(number):
                return None
            users = array[chosen]
            finish = np.maximum(free[users], self.release[number]) + cycles[chosen]
            free[users] = finish
            self.ended[number] = max(self.ended[number], int(finish.max()))
            self.left[number] -= len(chosen)
        return self if self._release(len(self.work.nodes) - 1) else None

    def released(self, nodes: Sequence[int]) -> Ints:
        """When each of `nodes` could start; shape (nodes,)."""
        return np.array([self.release[number] for number in nodes], dtype=np.int64)

    def end_of(self, number: int) -> int:
        return max(self.ended[number], self.release[number])

    def _release(self, number: int) -> bool:
        """Find when a node's gap is over, the gaps before it in the order first; False where one of them cannot be."""
        if number in self.release:
            return True
        if not self.work.nodes[number].gap.cycles:
            return self._begin(number)
        while number not in self.release:
            if not self._begin(self.gap_order[self.next_gap]):
                return False
            self.next_gap += 1
        return True

    def _begin(self, number: int) -> bool:
        node = self.work.nodes[number]
        ready = 0
        for read in node.reads:
            is_tail = not len(self.work.nodes[read].users)
            if self.left[read] or (is_tail and not self._release(read)):
                return False
            ready = max(ready, self.end_of(read))
        if node.gap.cycles:
            self.gap_free = ready = max(ready, self.gap_free) + node.gap.cycles
        self.release[number] = ready
        return True
