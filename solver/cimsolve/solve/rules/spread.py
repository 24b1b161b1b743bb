"""`spread`: the densest packing of whole blocks, each stage's blocks dealt over all arrays.

An array then holds blocks of many stages and seldom two of one, so that stages seldom wait for one array.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from cimsolve.chip.wiring import fewest_conversions
from cimsolve.columns import Ints, order_by
from cimsolve.pack.blocks import ArrayPacking, pack_blocks
from cimsolve.pack.guillotine import Pattern
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping, Parts, Pieces
from cimsolve.solve.parts import fire_same_inputs_together, forced_parts


def map_spread(problem: Problem) -> Mapping:
    """Pack by block shape, then deal the stages' blocks one an array, to the arrays with most room first."""
    return deal(problem, densest(packings(problem)))


@dataclass(frozen=True)
class PackedParts:
    """Parts, and a packing of as many of every shape as there are.

    `sizes`: rows and columns of every shape, shape (shapes, 2); `shape`: the shape of each part, shape (parts,).
    """

    parts: Parts
    sizes: Ints
    shape: Ints
    packing: ArrayPacking


def packings(problem: Problem) -> list[PackedParts]:
    """Densest packings, one for each way of the forced cuts."""
    table = problem.table
    is_cut = problem.must_cut_rows or bool((table.block_cols > problem.weights_per_row).any())
    full, even = (forced_parts(problem, even) for even in (False, is_cut))
    differ = not np.array_equal((full.rows, full.cols), (even.rows, even.cols))
    return [_pack(problem, parts) for parts in ((full, even) if differ else (full,))]


def densest(ways: list[PackedParts]) -> PackedParts:
    """The packing on fewest arrays."""
    return min(ways, key=lambda packed: packed.packing.arrays)


def _pack(problem: Problem, parts: Parts) -> PackedParts:
    width = problem.weights_per_row + 1
    sizes, shape, counts = np.unique(parts.rows * width + parts.cols, return_inverse=True, return_counts=True)
    rows, cols = np.divmod(sizes, width)
    packing = pack_blocks(rows, cols, counts, problem.rows, problem.weights_per_row)
    return PackedParts(parts, np.stack([rows, cols], axis=1), shape, packing)


@dataclass(frozen=True)
class PackedSlots:
    """Where parts may lie on the arrays of a packing: slots of each shape, numbered on each array from 0."""

    free: Ints
    """PackedSlots for each shape on each array; shape (arrays, shapes)."""
    cycles: Ints
    """How long a part of each shape keeps an array busy, wiring aside, which only the placement decides."""
    pattern: Ints
    """Number of each array's pattern."""
    row: Ints
    """Row of a slot by pattern, shape and number; `col` likewise."""
    col: Ints

    def place(self, parts: Parts, shape: Ints, array: Ints, slot: Ints) -> Pieces:
        """The parts, each of a shape, in slots of arrays; arrays of shape (parts,)."""
        where = self.pattern[array], shape, slot
        return parts.place(array, self.row[where], self.col[where])


def slots_of(problem: Problem, sizes: Ints, patterns: Sequence[Pattern], multiplicity: Ints) -> PackedSlots:
    """All slots of a packing of shapes, `sizes` of shape (shapes, 2): `patterns[p]` on `multiplicity[p]` arrays."""
    count, row, col = _slots(patterns, len(sizes))
    pattern = np.repeat(np.arange(len(count)), multiplicity)
    columns = sizes[:, 1] * problem.hardware.columns_per_weight
    cycles = problem.hardware.activation_cycles(sizes[:, 0], fewest_conversions(problem.hardware, columns))
    return PackedSlots(count[pattern], cycles, pattern, row, col)


def _slots(patterns: Sequence[Pattern], shapes: int) -> tuple[Ints, Ints, Ints]:
    """Where parts may lie: `count[p, t]` slots of shape t, the k-th at `row[p, t, k]`, `col[p, t, k]` of pattern p."""
    count = np.array([pattern.counts(shapes) for pattern in patterns], dtype=np.int64).reshape(-1, shapes)
    row, col = (np.zeros((*count.shape, int(count.max(initial=0))), dtype=np.int64) for _ in range(2))
    for number, layout in enumerate(patterns):
        for shape in range(shapes):
            mine = np.flatnonzero(layout.type == shape)
            row[number, shape, : len(mine)] = layout.row[mine]
            col[number, shape, : len(mine)] = layout.col[mine]
    return count, row, col


def deal(problem: Problem, packed: PackedParts, by_phase: bool = False) -> Mapping:
    """Give every part a slot, stage after stage; parts on the same rows with the same input fire together.

    With `by_phase` phase after phase, each part to an array that is least busy in the phase.
    """
    slots = slots_of(problem, packed.sizes, packed.packing.patterns, packed.packing.multiplicity)
    stage = problem.table.stage[packed.parts.factor]
    if by_phase:
        stage = np.array([of.phase for of in problem.workload.stages])[stage]
    array, slot = deal_slots(slots.free, stage, packed.shape, slots.cycles, evenly=by_phase)
    pieces = slots.place(packed.parts, packed.shape, array, slot)
    return Mapping(pieces, fire_same_inputs_together(problem, pieces))


def deal_slots(free: Ints, stage: Ints, shape: Ints, cycles: Ints, evenly: bool = False) -> tuple[Ints, Ints]:
    """Array and slot of each of many parts, which have a stage and a shape; shape (parts,) all four.

    `free[a, t]`: slots for shape t on array a, numbered from 0; `cycles[t]`: how long a part of shape t keeps an
    array busy. Stage after stage, to the arrays least busy in the stage, then with most room. Within a stage shapes
    that fewer arrays have room for than the stage has parts go first, then the slowest. `evenly`: an array gets none
    while another that could has less to do; else one of a shape each in turn.
    """
    free = free.copy()
    array = np.empty(len(stage), dtype=np.int64)
    slot = np.empty(len(stage), dtype=np.int64)
    order = order_by(stage, shape)
    for members in np.split(order, np.flatnonzero(np.diff(stage[order])) + 1):
        busy = np.zeros(len(free), dtype=np.int64)
        groups = np.split(members, np.flatnonzero(np.diff(shape[members])) + 1)
        for group in sorted(groups, key=partial(_urgency, shape, free, cycles, len(members))):
            own = int(shape[group[0]])
            while len(group):
                open_arrays = np.flatnonzero(free[:, own])
                room = free[open_arrays, own]
                best = open_arrays[order_by(busy[open_arrays], room.max() - room)][: len(group)]
                if evenly:
                    best = best[busy[best] == busy[best[0]]]
                now, group = group[: len(best)], group[len(best) :]
                array[now] = best
                free[best, own] -= 1
                slot[now] = free[best, own]
                busy[best] += cycles[own]
    return array, slot


def _urgency(shape: Ints, free: Ints, cycles: Ints, parts: int, group: Ints) -> tuple[int, int]:
    """Order of the parts of one shape within their stage, which has so many `parts`; the least goes first."""
    own = int(shape[group[0]])
    return min(0, int((free[:, own] > 0).sum()) - parts), -int(cycles[own])
