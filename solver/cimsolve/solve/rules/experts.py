"""`greedy-top2`: experts kept together, placed in order of load; by Buechel et al., Nature Computational Science 2025.

Their simulator stacks experts on tiles, each tile one at a time, and chooses which share a tile greedily from routing
statistics (GREEDY_TOP2 in mapping/mapper.py of IBM/3D-CiM-LLM-Inference-Simulator). Here a tile is a group of arrays,
as many groups as a layer has experts, or as there are arrays.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cimsolve.columns import Floats, Ints, order_by
from cimsolve.errors import InputError
from cimsolve.price.mean import pairs_of, shares_of
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
    slots = slots_of(problem, packed.sizes, packed.packing.patterns, packed.packing.multiplicity)
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
    tiles = min(most, arrays)
    # Arrays of one pattern lie side by side: each tile has some of every pattern, and so room for every shape.
    members = [np.arange(tile, arrays, tiles) for tile in range(tiles)]
    load = np.zeros(len(members))
    for shares, counted in zip(shares_of(problem), pairs_of(problem), strict=True):
        # Not counted, they fire together as often as if tokens chose each apart.
        together = np.outer(shares, shares) if counted is None else counted
        at = np.zeros(len(shares), dtype=np.int64)
        placed: list[int] = []
        for expert in _in_turn(together, len(members)):
            partners = np.bincount(at[placed], weights=together[expert, placed], minlength=len(members))
            number = np.bincount(at[placed], minlength=len(members))
            # The least of its partners; then few, then little so far.
            at[expert] = np.lexsort((load, number, partners))[0]
            load[at[expert]] += shares[expert]
            placed.append(expert)
        found.append([members[group] for group in at.tolist()])
    return found


def _in_turn(together: Floats, tiles: int) -> Iterator[int]:
    """The experts in the order of the rule: first the most used; then, until each tile has one more, as next the one
    most used and most often with those before it; and again.
    """
    used = together.sum(axis=1)
    left = np.ones(len(used), dtype=bool)
    while left.any():
        row: list[int] = []
        while left.any() and len(row) < tiles:
            wanted = used * (together[:, row].sum(axis=1) if row else 1.0)
            row.append(int(np.where(left, wanted, -1.0).argmax()))
            left[row[-1]] = False
            yield row[-1]
