"""`greedy-top2`: experts kept together, placed in order of load; by Buechel et al., Nature Computational Science 2025.

Their simulator stacks experts on tiles, each tile one at a time, and chooses which share a tile greedily from routing
statistics. Here a tile is a group of arrays, as many groups as a layer has experts, or as there are arrays.
"""

from __future__ import annotations

import numpy as np

from cimsolve.columns import Ints, order_by
from cimsolve.errors import InputError
from cimsolve.price.mean import shares_of
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping
from cimsolve.solve.parts import fire_same_inputs_together
from cimsolve.solve.rules.spread import deal_slots, densest, packings, slots_of


def map_greedy_top2(problem: Problem) -> Mapping:
    """Each expert whole on one group of arrays, the most used first, each where the least of its partners are.

    Whole blocks, packed as `spread` packs them; what every token fires is dealt over all arrays as there. Raises
    InputError for a model without experts.
    """
    if not problem.workload.has_experts:
        raise InputError(f"greedy-top2: {problem.model.name} has no experts to place; take spread, which has this rule")
    packed = densest(packings(problem))
    parts, table, stages = packed.parts, problem.table, problem.workload.stages
    slots = slots_of(problem, packed)
    free = slots.free.copy()
    groups = _groups(problem, len(free))
    array, slot = np.empty((2, len(parts)), dtype=np.int64)
    stage, expert = table.stage[parts.factor], table.expert[parts.factor]
    order = order_by(stage, expert + 1)
    edges = np.flatnonzero((np.diff(stage[order]) != 0) | (np.diff(expert[order]) != 0)) + 1
    for members in np.split(order, edges):
        choice, which = stages[int(stage[members[0]])].choice, int(expert[members[0]])
        here = np.arange(len(free)) if choice is None or which < 0 else groups[choice][which]
        needed = np.bincount(packed.shape[members], minlength=free.shape[1])
        if (free[here].sum(axis=0) < needed).any():  # where its own group is full, any
            here = np.arange(len(free))
        own, slot[members] = deal_slots(
            free[here], np.zeros(len(members), dtype=np.int64), packed.shape[members], slots.cycles
        )
        array[members] = here[own]
        np.subtract.at(free, (array[members], packed.shape[members]), 1)
    pieces = slots.place(parts, packed.shape, array, slot)
    return Mapping(pieces, fire_same_inputs_together(problem, pieces))


def _groups(problem: Problem, arrays: int) -> list[list[Ints]]:
    """The arrays of each expert, by choice."""
    found: list[list[Ints]] = []
    most = max(experts.stored for experts in problem.workload.choices)
    members = np.array_split(np.arange(arrays), min(most, arrays))
    load = np.zeros(len(members))
    for shares in shares_of(problem):
        group = np.empty(len(shares), dtype=np.int64)
        partners, number = np.zeros(len(members)), np.zeros(len(members))
        for expert in np.argsort(-shares, kind="stable").tolist():
            # Those that fire with it as often as if tokens chose each apart; then few, then little so far.
            at = int(np.lexsort((load, number, partners))[0])
            group[expert] = at
            partners[at] += shares[expert]
            number[at] += 1
            load[at] += shares[expert]
        found.append([members[at] for at in group.tolist()])
    return found
