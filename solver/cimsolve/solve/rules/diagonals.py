"""`sparsemap` and `densemap`: blocks on the diagonals of arrays, by de Lima et al., arXiv 2510.11192.

`sparsemap`, their latency-optimised mapping: one factor's blocks on the diagonal of its arrays, fired together.
`densemap`, their capacity-optimised mapping: arrays filled with rotated diagonals of one block shape.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from cimsolve.columns import Ints, number_of
from cimsolve.model.workload import Factor
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping, Pieces
from cimsolve.solve.parts import fire_same_inputs_together, forced_parts


def map_sparsemap(problem: Problem) -> Mapping:
    """Walk down the diagonal of an array; the next array where a part no longer fits.

    Parts on a diagonal share neither rows nor columns, so all fire at once, or in turn where the rows driven at
    once are limited.
    """
    return Mapping(*along_diagonals(problem, problem.workload.factors))


def along_diagonals(problem: Problem, factors: Iterable[Factor]) -> tuple[Pieces, Ints]:
    """Pieces of these factors down the diagonals of arrays of their own, from 0, and the activation of each."""
    parts = forced_parts(problem)
    bounds = np.searchsorted(parts.factor, np.arange(len(problem.workload.factors) + 1))
    known: dict[tuple[int, int, int], tuple[Ints, Ints, Ints, Ints]] = {}
    placed: list[Pieces] = []
    fires: list[Ints] = []
    arrays = activations = 0
    for factor in factors:
        own = parts.take(np.arange(bounds[factor.id], bounds[factor.id + 1]))
        shape = (factor.blocks, factor.block_rows, factor.block_cols)
        if shape not in known:
            known[shape] = _diagonals(problem, own.rows, own.cols)
        array, row, col, fire = known[shape]
        placed.append(own.place(array + arrays, row, col))
        fires.append(fire + activations)
        arrays += int(array[-1]) + 1
        activations += int(fire[-1]) + 1
    return Pieces.concatenate(placed), np.concatenate(fires)


def _diagonals(problem: Problem, rows: Ints, cols: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Array, row, column and activation of parts laid down the diagonals, all from 0; shape (parts,)."""
    rows_at_once = problem.hardware.array.rows_active_max or problem.rows
    places: list[tuple[int, int, int, int]] = []
    array = row = col = fire = driven = 0
    for height, width in zip(rows.tolist(), cols.tolist(), strict=True):
        next_array = row + height > problem.rows or col + width > problem.weights_per_row
        if next_array:
            array, row, col = array + 1, 0, 0
        if next_array or driven + height > rows_at_once:
            fire, driven = fire + (1 if places else 0), 0
        places.append((array, row, col, fire))
        row, col, driven = row + height, col + width, driven + height
    table = np.array(places, dtype=np.int64)
    return table[:, 0], table[:, 1], table[:, 2], table[:, 3]


def map_densemap(problem: Problem) -> Mapping:
    """One block shape an array, factors in stage order, one block a slot, same-input neighbours together.

    An array of nr x nc blocks holds nc diagonals of nr blocks. On diagonal d block i lies in block row i and block
    column (i + d) mod nc, so its output is rotated by d. The diagonals of an `L` factor take the index that
    turns its `R` factor's rotation back, -d mod nc, where that one is free.
    """
    parts = forced_parts(problem)
    stage = problem.table.stage[parts.factor]
    shape = number_of(parts.rows, parts.cols)
    order = np.lexsort((np.arange(len(parts)), stage, shape))
    array, array_row, array_col = (np.empty(len(parts), dtype=np.int64) for _ in range(3))
    edges = np.flatnonzero(np.diff(shape[order], prepend=-1, append=-1))
    arrays = 0
    first_of = {factor.linear: factor.id for factor in problem.workload.factors if factor.kind == "R"}
    partners = {factor.id: first_of[factor.linear] for factor in problem.workload.factors if factor.kind == "L"}
    for first, last in pairwise(edges.tolist()):
        members = order[first:last]
        height, width = int(parts.rows[members[0]]), int(parts.cols[members[0]])
        per_column, per_row = problem.rows // height, problem.weights_per_row // width
        diagonal, slot = np.divmod(np.arange(len(members)), per_column)
        rotation = _rotations(parts.factor[members[::per_column]], per_row, partners)[diagonal]
        array[members] = arrays + diagonal // per_row
        array_row[members] = slot * height
        array_col[members] = (slot + rotation) % per_row * width
        arrays += int(diagonal[-1]) // per_row + 1
    pieces = parts.place(array, array_row, array_col)
    return Mapping(pieces, fire_same_inputs_together(problem, pieces))


def _rotations(owners: Ints, per_row: int, partners: dict[int, int]) -> Ints:
    """Index of each diagonal of one shape, `per_row` distinct ones an array; `owners` are their factors.

    Shape (diagonals,). The k-th diagonal of an `L` factor looks at the k-th one of its `R` factor: `partners[L] = R`.
    """
    taken: dict[int, list[int]] = {}
    rotations = np.zeros(len(owners), dtype=np.int64)
    free: list[int] = []
    for number, owner in enumerate(owners.tolist()):
        if number % per_row == 0:
            free = list(range(per_row))
        mine = taken.setdefault(owner, [])
        earlier = taken.get(partners.get(owner, -1), [])
        wanted = -earlier[len(mine)] % per_row if len(mine) < len(earlier) else free[0]
        rotation = wanted if wanted in free else free[0]
        free.remove(rotation)
        mine.append(rotation)
        rotations[number] = rotation
    return rotations
