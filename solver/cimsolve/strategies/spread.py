"""`spread`: the densest packing of whole blocks, each stage's blocks dealt over all arrays.

An array then holds blocks of many stages and seldom two of one, so that stages seldom wait for one array.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cimsolve.arrays import Ints
from cimsolve.mapping import Mapping
from cimsolve.packing.arrays import ArrayPacking, pack_blocks
from cimsolve.problem import Problem
from cimsolve.strategies.common import Parts, fire_same_inputs_together, forced_parts


def map_spread(problem: Problem) -> Mapping:
    """Pack by block shape, then deal the stages' blocks one an array, to the arrays with most room first."""
    packed = min(
        (_pack(problem, forced_parts(problem, even)) for even in ((False, True) if _is_cut(problem) else (False,))),
        key=lambda candidate: candidate.packing.arrays,
    )
    return deal(problem, packed)


@dataclass(frozen=True)
class PackedParts:
    """Parts, the shape of each (shape (parts,)), and a packing of so many of every shape."""

    parts: Parts
    shape: Ints
    packing: ArrayPacking


def _is_cut(problem: Problem) -> bool:
    table = problem.table
    return problem.must_cut_rows or bool((table.block_cols > problem.weights_per_row).any())


def _pack(problem: Problem, parts: Parts) -> PackedParts:
    sizes, shape, counts = np.unique(
        np.stack([parts.rows, parts.cols], axis=1), axis=0, return_inverse=True, return_counts=True
    )
    packing = pack_blocks(sizes[:, 0], sizes[:, 1], counts, problem.rows, problem.weights_per_row)
    return PackedParts(parts, shape.reshape(-1), packing)


@dataclass(frozen=True)
class _Slots:
    """Where parts may lie: `free[a, t]` slots of shape t on array a, the k-th at `row[p, t, k]`, `col[p, t, k]`
    of the array's pattern p."""

    pattern: Ints
    free: Ints
    row: Ints
    col: Ints


def _slots(packing: ArrayPacking, shapes: int) -> _Slots:
    pattern = np.repeat(np.arange(len(packing.patterns)), packing.multiplicity)
    most = max((int(np.bincount(p.type, minlength=shapes).max()) for p in packing.patterns), default=0)
    row = np.zeros((len(packing.patterns), shapes, most), dtype=np.int64)
    col = np.zeros_like(row)
    count = np.zeros((len(packing.patterns), shapes), dtype=np.int64)
    for number, layout in enumerate(packing.patterns):
        for shape in range(shapes):
            mine = np.flatnonzero(layout.type == shape)
            count[number, shape] = len(mine)
            row[number, shape, : len(mine)] = layout.row[mine]
            col[number, shape, : len(mine)] = layout.col[mine]
    return _Slots(pattern, count[pattern], row, col)


def deal(problem: Problem, packed: PackedParts) -> Mapping:
    """Give every part a slot: stage after stage, to the arrays least busy in the stage, then with most room."""
    parts, hardware = packed.parts, problem.hardware
    shapes = int(packed.shape.max()) + 1
    slots = _slots(packed.packing, shapes)
    free = slots.free.copy()
    # How long one part of each shape keeps an array busy; wiring aside, which only the placement decides.
    sample = np.zeros(shapes, dtype=np.int64)
    sample[packed.shape] = np.arange(len(parts))
    columns = parts.cols[sample] * hardware.columns_per_weight
    cycles = hardware.activation_cycles(parts.rows[sample], -(-columns // hardware.adc.per_array))
    array = np.empty(len(parts), dtype=np.int64)
    slot = np.empty(len(parts), dtype=np.int64)
    stage = problem.table.stage[parts.factor]
    order = np.lexsort((np.arange(len(parts)), -cycles[packed.shape], stage))
    edges = np.flatnonzero(np.diff(stage[order] * shapes + packed.shape[order], prepend=-1, append=-1))
    busy = np.zeros(len(free), dtype=np.int64)
    current = -1
    for first, last in pairwise(edges.tolist()):
        members = order[first:last]
        shape = int(packed.shape[members[0]])
        if stage[members[0]] != current:
            current = int(stage[members[0]])
            busy[:] = 0
        while len(members):
            open_arrays = np.flatnonzero(free[:, shape])
            best = open_arrays[np.lexsort((-free[open_arrays, shape], busy[open_arrays]))][: len(members)]
            now, members = members[: len(best)], members[len(best) :]
            array[now] = best
            free[best, shape] -= 1
            slot[now] = free[best, shape]
            busy[best] += cycles[shape]
    pattern = slots.pattern[array]
    pieces = parts.place(array, slots.row[pattern, packed.shape, slot], slots.col[pattern, packed.shape, slot])
    return Mapping(pieces, fire_same_inputs_together(problem, pieces))
