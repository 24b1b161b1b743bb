"""Inputs that fire in pairs, on grids of which only the diagonal is empty.

Of n x n places for strips of one size the places (i, j) and (j, i) cross at (i, i) and (j, j), which stay empty. So n
empty places serve n (n - 1) / 2 pairs, one a stage or many: the fewest cells for pairs that there can be. Such a grid,
a crown, is packed as one block; then stages are dealt to pairs, and to the strips beside them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from cimsolve.chip.wiring import fewest_conversions
from cimsolve.columns import Ints, number_of
from cimsolve.pack.blocks import ArrayPacking, pack_blocks
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping, Parts
from cimsolve.solve.parts import forced_parts
from cimsolve.solve.rules.spread import deal_slots

BLOCKS_MAX = 2000
"""Of more blocks no crowns are packed: it takes many packings to find how many there is room for."""


@dataclass(frozen=True)
class _Strips:
    """All blocks that read one input element, side by side; shape (strips,) but `parts`, `of` and `offset`."""

    parts: Parts
    of: Ints
    """The strip of each part."""
    offset: Ints
    """Columns of its strip before each part."""
    stage: Ints
    sizes: Ints
    """Distinct rows and columns, shape (sizes, 2)."""
    size: Ints

    @staticmethod
    def of_problem(problem: Problem) -> _Strips | None:
        """None where a block must be cut, a strip is wider than an array, experts choose, or there are many."""
        table, parts, workload = problem.table, forced_parts(problem), problem.workload
        if not len(parts) == table.blocks.sum() <= BLOCKS_MAX or not workload.fires_all_once:
            return None
        stage, element = table.stage[parts.factor], parts.block * table.block_rows[parts.factor]
        strip = number_of(stage, table.input[parts.factor], element, parts.rows)
        order = np.argsort(strip, kind="stable")
        parts, stage, strip = parts.take(order), stage[order], strip[order]
        first = np.flatnonzero(np.diff(strip, prepend=-1))
        before = np.cumsum(parts.cols) - parts.cols
        width = np.add.reduceat(parts.cols, first)
        if (width > problem.weights_per_row).any():
            return None
        sizes, size = np.unique(np.stack([parts.rows[first], width], axis=1), axis=0, return_inverse=True)
        return _Strips(parts, strip, before - before[first][strip], stage[first], sizes, size.reshape(-1))


def map_crowns(problem: Problem, arrays: int, by_phase: bool) -> Mapping | None:
    """Strips in pairs, as many as `arrays` arrays have the cells for, dealt by stage or by phase; None for no pair."""
    strips = _Strips.of_problem(problem)
    if strips is None:
        return None
    crowns, side, packing = _most_crowns(problem, strips, arrays)
    if packing is None:
        return None
    slots = _slots(strips.sizes, side, packing)
    units = _units(strips, crowns * (side * (side - 1) // 2))
    kinds = np.array([kind for kind, _ in units])
    phase = np.array([stage.phase if by_phase else stage.id for stage in problem.workload.stages])
    share = phase[strips.stage[[members[0] for _, members in units]]]
    free = np.array([[len(each) for each in of_array] for of_array in slots], dtype=np.int64)
    rows, cols = np.repeat(strips.sizes, 2, axis=0).T
    read = cols * np.tile([1, 2], len(strips.sizes)) * problem.hardware.columns_per_weight
    cycles = problem.hardware.activation_cycles(rows, fewest_conversions(problem.hardware, read))
    array, number = deal_slots(free, share, kinds, cycles, evenly=by_phase)
    where = np.zeros((3, len(strips.size)), dtype=np.int64)
    fires = np.zeros(len(strips.size), dtype=np.int64)
    for unit, ((kind, members), on, slot) in enumerate(zip(units, array.tolist(), number.tolist(), strict=True)):
        for member, (row, col) in zip(members, slots[on][kind][slot], strict=True):
            where[:, member], fires[member] = (on, row, col), unit
    on, row, col = where[:, strips.of]
    return Mapping(strips.parts.place(on, row, col + strips.offset), fires[strips.of])


def _most_crowns(problem: Problem, strips: _Strips, arrays: int) -> tuple[Ints, Ints, ArrayPacking | None]:
    """Crowns of each size, places along their sides, and a packing that is found for them; None for no crown.

    Sizes first that save most for their cells; of each the largest side that a packing is found with.
    """
    sizes, count = strips.sizes, np.bincount(strips.size)
    crowns, sides = np.zeros(len(sizes), dtype=np.int64), np.ones(len(sizes), dtype=np.int64)
    largest = np.minimum(problem.rows // sizes[:, 0], problem.weights_per_row // sizes[:, 1])
    of_stage = np.zeros((int(strips.stage.max()) + 1, len(sizes)), dtype=np.int64)
    np.add.at(of_stage, (strips.stage, strips.size), 1)
    pairs_at_most = (of_stage // 2).sum(axis=0).tolist()
    left = arrays * problem.rows * problem.weights_per_row - problem.weight_cells
    packing = None
    for size in np.argsort(-(largest - 1) / sizes.prod(axis=1), kind="stable").tolist():
        best = 0
        for side in sorted({int(largest[size]) // part for part in (1, 2, 3)} - {0, 1}, reverse=True):
            pairs, cells = side * (side - 1) // 2, side * int(sizes[size].prod())
            number = min(pairs_at_most[size] // pairs, left // cells)
            while number:
                tried, at = crowns.copy(), sides.copy()
                tried[size], at[size] = number, side
                found = _packed(problem, strips, tried, at, count)
                if found.arrays <= arrays:
                    best, chosen = number * pairs, (tried, at, found, left - number * cells)
                    break
                number //= 2
            if best:
                break  # smaller ones need more cells for each pair
        if best:
            crowns, sides, packing, left = chosen
    return crowns, sides, packing


def _packed(problem: Problem, strips: _Strips, crowns: Ints, side: Ints, count: Ints) -> ArrayPacking:
    """Crowns, then single strips, of each size."""
    sizes = np.concatenate([strips.sizes * side[:, None], strips.sizes])
    counts = np.concatenate([crowns, count - crowns * side * (side - 1)])
    return pack_blocks(sizes[:, 0], sizes[:, 1], counts, problem.rows, problem.weights_per_row)


_Places = list[tuple[tuple[int, int], ...]]


def _slots(sizes: Ints, side: Ints, packing: ArrayPacking) -> list[list[_Places]]:
    """Of each array the places for single strips and for pairs, of each size in turn."""
    found, number = [], len(sizes)
    for pattern, times in zip(packing.patterns, packing.multiplicity.tolist(), strict=True):
        places: list[_Places] = [[] for _ in range(2 * number)]
        for kind, row, col in zip(pattern.type.tolist(), pattern.row.tolist(), pattern.col.tolist(), strict=True):
            size = kind % number
            if kind >= number:
                places[2 * size].append(((row, col),))
                continue
            height, width = sizes[size].tolist()
            places[2 * size + 1] += [
                ((row + i * height, col + j * width), (row + j * height, col + i * width))
                for i, j in combinations(range(int(side[size])), 2)
            ]
        found += [places] * times
    return found


def _units(strips: _Strips, pairs: Ints) -> list[tuple[int, list[int]]]:
    """Single strips and pairs, each with its kind of place; of each size so many `pairs`, evenly of all stages."""
    units: list[tuple[int, list[int]]] = []
    for size, number in enumerate(pairs.tolist()):
        own = np.flatnonzero(strips.size == size)
        of_stage = np.split(own, np.flatnonzero(np.diff(strips.stage[own])) + 1)
        most = np.cumsum([0] + [len(members) // 2 for members in of_stage])
        until = number * most // max(1, most[-1])
        for members, paired in zip(of_stage, np.diff(until).tolist(), strict=True):
            units += [(2 * size + 1, pair) for pair in members[: 2 * paired].reshape(-1, 2).tolist()]
            units += [(2 * size, [member]) for member in members[2 * paired :].tolist()]
    return units
