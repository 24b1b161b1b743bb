"""Fire different inputs together where the cells that would disturb them are empty.

Two activations of one stage on one array may become one if, for every piece of the one and every piece of the other,
the cells on the rows of either and in the columns of the other are empty (S2, S3). One read is saved, and the
converters work on both. Empty cells are rare in a full array; with a few arrays to spare such pairs abound.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cimsolve.columns import Ints, number_of
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping, Pieces

PIECES_MAX = 60_000
"""Larger mappings are left as they are: this looks at single pieces."""


def fire_pairs_together(problem: Problem, mapping: Mapping) -> Mapping:
    """The mapping with activations merged greedily, wherever the cells between them are empty; no piece moves."""
    pieces = mapping.pieces
    if len(pieces) > PIECES_MAX:
        return mapping
    fires = mapping.activation_of_piece()
    # Of different experts nothing fires together (S7).
    stage = number_of(problem.table.stage[pieces.factor], problem.table.expert[pieces.factor] + 1)
    order = np.lexsort((fires, stage, pieces.array))
    edges = np.flatnonzero(np.diff(pieces.array[order], prepend=-1, append=-1))
    for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        members = order[begin:end]
        image = _integral(problem, pieces.take(members))
        stages = np.flatnonzero(np.diff(stage[members], prepend=-1, append=-1))
        for low, high in zip(stages[:-1].tolist(), stages[1:].tolist(), strict=True):
            own = members[low:high]
            if fires[own[0]] != fires[own[-1]]:
                _merge(problem, pieces, fires, own, image)
    return replace(mapping, fires=fires)


def _integral(problem: Problem, here: Pieces) -> Ints:
    """Occupied cells above and left of every corner of one array; shape (rows + 1, weights a row + 1)."""
    change = np.zeros((problem.rows + 1, problem.weights_per_row + 1), dtype=np.int64)
    top, left = here.array_row, here.array_col
    bottom, right = top + here.rows, left + here.cols
    for row, col, sign in ((top, left, 1), (bottom, right, 1), (top, right, -1), (bottom, left, -1)):
        np.add.at(change, (row, col), sign)
    cells = change.cumsum(axis=0).cumsum(axis=1)[:-1, :-1]
    image = np.zeros_like(change)
    image[1:, 1:] = cells.cumsum(axis=0).cumsum(axis=1)
    return image


def _merge(problem: Problem, pieces: Pieces, fires: Ints, own: Ints, image: Ints) -> None:
    """Merge what may fire together among the pieces `own` of one stage on one array; changes `fires`."""
    limit = problem.hardware.array.rows_active_max or problem.rows
    groups: list[Ints] = []
    for number in np.unique(fires[own]).tolist():
        mine = own[fires[own] == number]
        for at, group in enumerate(groups):
            if _may_join(pieces, mine, group, image) and _rows(pieces, mine) + _rows(pieces, group) <= limit:
                fires[mine] = fires[group[0]]
                groups[at] = np.concatenate([group, mine])
                break
        else:
            groups.append(mine)


def _rows(pieces: Pieces, members: Ints) -> int:
    """Rows that the pieces drive; they share rows only where they are equal."""
    return int(pieces.rows[members][np.unique(pieces.array_row[members], return_index=True)[1]].sum())


def _may_join(pieces: Pieces, first: Ints, second: Ints, image: Ints) -> bool:
    """Whether the cells on the rows of any piece and in the columns of any of the other side are all empty."""
    for rows, cols in ((first, second), (second, first)):
        top = pieces.array_row[rows][:, None]
        bottom = top + pieces.rows[rows][:, None]
        left = pieces.array_col[cols][None]
        right = left + pieces.cols[cols][None]
        occupied = image[bottom, right] - image[top, right] - image[bottom, left] + image[top, left]
        if occupied.any():
            return False
    return True
