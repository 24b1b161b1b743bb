"""`densemap`: arrays filled with rotated diagonals of one block shape.

The capacity-optimised mapping of de Lima et al., arXiv 2510.11192.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from cimsolve.columns import Ints
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping
from cimsolve.solve.parts import fire_same_inputs_together, forced_parts, number_of


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
