"""`sparsemap`: one factor's blocks on the diagonal of its arrays, fired together.

The latency-optimised mapping of de Lima et al., arXiv 2510.11192.
"""

from __future__ import annotations

import numpy as np

from cimsolve.columns import Ints
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping, Pieces
from cimsolve.solve.parts import forced_parts


def map_sparsemap(problem: Problem) -> Mapping:
    """Walk down the diagonal of an array; the next array where a part no longer fits.

    Parts on a diagonal share neither rows nor columns, so all fire at once, or in turn where the rows driven at
    once are limited.
    """
    parts = forced_parts(problem)
    bounds = np.searchsorted(parts.factor, np.arange(len(problem.workload.factors) + 1))
    known: dict[tuple[int, int, int], tuple[Ints, Ints, Ints, Ints]] = {}
    placed: list[Pieces] = []
    fires: list[Ints] = []
    arrays = activations = 0
    for factor in problem.workload.factors:
        own = parts.take(np.arange(bounds[factor.id], bounds[factor.id + 1]))
        shape = (factor.blocks, factor.block_rows, factor.block_cols)
        if shape not in known:
            known[shape] = _diagonals(problem, own.rows, own.cols)
        array, row, col, fire = known[shape]
        placed.append(own.place(array + arrays, row, col))
        fires.append(fire + activations)
        arrays += int(array[-1]) + 1
        activations += int(fire[-1]) + 1
    return Mapping(Pieces.concatenate(placed), np.concatenate(fires))


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
