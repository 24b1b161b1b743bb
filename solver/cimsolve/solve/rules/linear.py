"""`linear`: every matrix as it is, in tiles of the array's size, one a tile; the baseline of the field."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cimsolve.columns import number_of, running_offsets
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping, Parts, Pieces
from cimsolve.solve.parts import cut_blocks
from cimsolve.solve.rules.diagonals import along_diagonals


def map_linear(problem: Problem) -> Mapping:
    """One tile an array, everything on it fired at once; in row groups where the rows at once are limited.

    A matrix in groups is no more than its blocks, which lie along the diagonals of its tiles.
    """
    in_groups = [factor for factor in problem.workload.factors if factor.blocks > 1]
    tiles = cut_blocks(problem, problem.rows, problem.weights_per_row)
    tiles = tiles.take(np.flatnonzero(problem.table.blocks[tiles.factor] == 1))
    groups = _row_groups(tiles, problem.rows_limit)
    tile = number_of(groups.factor, groups.block, groups.row0 // problem.rows, groups.col0)
    pieces = groups.place(tile, groups.row0 % problem.rows, np.zeros_like(tile))
    fires = np.arange(len(pieces), dtype=np.int64)
    if not in_groups:
        return Mapping(pieces, fires)
    others, apart = along_diagonals(problem, in_groups)
    others = replace(others, array=others.array + (int(tile.max(initial=-1)) + 1))
    return Mapping(Pieces.concatenate([pieces, others]), np.append(fires, apart + len(fires)))


def _row_groups(tiles: Parts, limit: int) -> Parts:
    """The tiles cut along the rows into groups of at most `limit`, all but the last of a tile full."""
    groups = -(-tiles.rows // limit)
    source = np.repeat(np.arange(len(tiles)), groups)
    above = limit * running_offsets(source, np.ones_like(source))
    cut = tiles.take(source)
    return replace(cut, row0=cut.row0 + above, rows=np.minimum(limit, cut.rows - above))
