"""Stages that fire alike on equally many arrays trade all of them: no array and no stage notices, but less is far.

A step's two stages come to the same cores, between which z then has short ways; and what sends the hub most, near it.
"""

from __future__ import annotations

import numpy as np

from cimsolve.columns import Floats, Ints
from cimsolve.problem.problem import Problem
from cimsolve.solve.places.arrange import sides_of
from cimsolve.solve.places.holdings import Holdings

SWEEPS_MAX = 20
WORK_MAX = 2 * 10**8
"""Most pairs of stages times places that are looked at."""


def slots_traded(problem: Problem, holdings: Holdings, place: Ints, pj_per_ns: float) -> Ints:
    """The slot for each activation's contents, where stages have traded all their slots; shape (activations,).

    Pairs of stages with as many activations of every outline trade as long as the energy of what moves falls, and its
    time, of which a nanosecond is worth `pj_per_ns`. Contents are not looked at: what a stage moves is taken to be
    spread evenly over its arrays, and z to go from each of the one stage to each of the other.
    """
    topology, stages = problem.hardware.topology, len(problem.workload.stages)
    if topology is None or stages * stages * topology.places > WORK_MAX:
        return np.arange(len(holdings.stage))
    sets = _taken(_Costs(problem, holdings.stage, place[holdings.array], pj_per_ns), _alike(holdings, stages))
    found = np.empty_like(holdings.stage)
    found[np.lexsort((holdings.outline, sets[holdings.stage]))] = np.lexsort((holdings.outline, holdings.stage))
    return found


def _alike(holdings: Holdings, stages: int) -> list[Ints]:
    """Stages that may trade: with as many activations of every outline."""
    number = np.zeros((stages, int(holdings.outline.max()) + 1), dtype=np.int64)
    np.add.at(number, (holdings.stage, holdings.outline), 1)
    kind = np.unique(number, axis=0, return_inverse=True)[1].reshape(-1)
    return [np.flatnonzero(kind == each) for each in range(int(kind.max()) + 1)]


class _Costs:
    """What a stage moves, in pJ, by the set of slots that it takes: sets are numbered by the stages that had them."""

    def __init__(self, problem: Problem, stage: Ints, place: Ints, pj_per_ns: float) -> None:
        workload, interconnect = problem.workload, problem.hardware.interconnect
        assert interconnect is not None
        topology = interconnect.topology
        stages = len(workload.stages)
        share = np.zeros((stages, topology.places))
        np.add.at(share, (stage, place), 1.0)
        is_used = share > 0
        share /= share.sum(axis=1, keepdims=True)
        hub_ps, hub_pj = topology.ways_to_hub()
        between_ps, between_pj = topology.ways_between()
        # Of the only core, beside the hub, no link is busy.
        side = sides_of(topology)
        sides = np.unique(side[side >= 0])
        on_side = np.stack([share @ (side == each) for each in [-2, *sides]])
        busiest = on_side.max(axis=0) * len(sides) / (topology.hub_links_bits_per_ns or 1)
        bits = self._hub_bits(problem, interconnect.input_bits, interconnect.out_bits)
        depth_ns = np.where(is_used, hub_ps, 0).max(axis=1) / 1000
        self.hub: Floats = np.outer(bits, share @ hub_pj + pj_per_ns * busiest) + pj_per_ns * depth_ns
        """Of each stage, by set; shape (stages, stages)."""
        farthest = np.stack([np.where(used, between_ps, 0).max(axis=1) for used in is_used])
        self.far: Floats = pj_per_ns / 1000 * np.stack([np.where(used, farthest, 0).max(axis=1) for used in is_used])
        """What the hops from set to set cost in time; shape (stages, stages)."""
        self.mean: Floats = share @ between_pj @ share.T
        """Mean energy of a bit from set to set; shape (stages, stages)."""
        self.other = np.full(stages, -1)
        """The other stage of the step of each; -1: none."""
        self.z_bits = np.zeros(stages)
        for factor in workload.factors:
            if factor.kind == "L":
                made = workload.stages[factor.stage].after[0]
                self.other[[factor.stage, made]] = made, factor.stage
                self.z_bits[[factor.stage, made]] += factor.blocks * factor.block_rows * interconnect.input_bits

    @staticmethod
    def _hub_bits(problem: Problem, input_bits: int, out_bits: int) -> Floats:
        """What each stage receives from the hub and sends to it; shape (stages,)."""
        workload = problem.workload
        bits = np.zeros(len(workload.stages))
        read: set[tuple[int, int]] = set()
        table = problem.table
        for factor in workload.factors:
            vector = (factor.stage, int(table.input[factor.id]))
            if factor.kind != "L" and vector not in read:
                read.add(vector)
                bits[factor.stage] += factor.blocks * factor.block_rows * input_bits
            if factor.kind != "R":
                bits[factor.stage] += factor.blocks * factor.block_cols * out_bits
        return bits

    def gained(self, one: int, others: Ints, sets: Ints) -> Floats:
        """What a stage and each of some `others` save by a trade, where each stage has the set that `sets` says."""
        own, theirs = sets[one], sets[others]
        found = self.hub[one, own] + self.hub[others, theirs] - self.hub[one, theirs] - self.hub[others, own]
        # Between the two stages of one step ways are as far as before.
        apart = others != self.other[one]
        moved = self._over(one, own, sets) - self._over(one, theirs, sets)
        moved += self._over(others, theirs, sets) - self._over(others, own, sets)
        return np.asarray(found + apart * moved)

    def _over(self, stage: int | Ints, own: Ints, sets: Ints) -> Floats:
        """What goes between a stage that has the set `own` and the other of its step."""
        other = sets[self.other[stage]]
        over = self.far[own, other] + self.z_bits[stage] * self.mean[own, other]
        return np.asarray((self.other[stage] >= 0) * over)


def _taken(costs: _Costs, alike: list[Ints]) -> Ints:
    """The set that each stage takes, once no two of those alike gain by a trade; shape (stages,)."""
    sets = np.arange(len(costs.hub))
    least = 1e-9 * float(costs.hub.max())
    for _ in range(SWEEPS_MAX):
        before = sets.copy()
        for group in alike:
            for stage in group.tolist():
                gained = costs.gained(stage, group, sets)
                best = int(gained.argmax())
                if gained[best] > least:
                    pair = [stage, int(group[best])]
                    sets[pair] = sets[pair[::-1]]
        if (sets == before).all():
            break
    return sets
