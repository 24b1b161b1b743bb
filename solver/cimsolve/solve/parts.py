"""What several strategies share: forced cuts, and firing together what shares its input."""

from __future__ import annotations

import numpy as np

from cimsolve.columns import Ints, ceil_div, number_of
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Parts, Pieces


def cut_sizes(size: int, limit: int, even: bool = False) -> list[int]:
    """`size` cut into the fewest parts of at most `limit`: full parts and a rest, or parts as equal as can be."""
    parts = ceil_div(size, limit)
    return [int(part) for part in _cut(size, parts, np.arange(parts), limit, even)[1]]


def cut_blocks(problem: Problem, rows_limit: int, cols_limit: int, even: bool = False) -> Parts:
    """Every block of the workload, cut into the fewest parts of at most `rows_limit x cols_limit`.

    Parts come in the order of factor, block, row and column.
    """
    table = problem.table
    down, across = ceil_div(table.block_rows, rows_limit), ceil_div(table.block_cols, cols_limit)
    count = table.blocks * down * across
    factor = np.repeat(np.arange(len(count)), count)
    block, tile = np.divmod(np.arange(len(factor)) - (np.cumsum(count) - count)[factor], (down * across)[factor])
    row_part, col_part = np.divmod(tile, across[factor])
    row0, rows = _cut(table.block_rows[factor], down[factor], row_part, rows_limit, even)
    col0, cols = _cut(table.block_cols[factor], across[factor], col_part, cols_limit, even)
    return Parts(factor, block, row0, rows, col0, cols)


def _cut(size: Ints | int, parts: Ints | int, part: Ints, limit: int, even: bool) -> tuple[Ints, Ints]:
    """Where each `part` of `parts` begins and how large it is, of sides cut as `cut_sizes` says; elementwise."""
    if not even:
        return part * limit, np.minimum(limit, size - part * limit)
    least, larger = np.divmod(size, parts)
    return part * least + np.minimum(part, larger), least + (part < larger)


def forced_parts(problem: Problem, even: bool = False) -> Parts:
    """Blocks cut only where they must be: to the rows that may fire at once and the columns of an array."""
    return cut_blocks(problem, min(problem.rows, problem.rows_limit), problem.weights_per_row, even)


def fire_same_inputs_together(problem: Problem, pieces: Pieces) -> Ints:
    """Number of the activation of each piece: pieces on the same rows of an array with the same input share one.

    Always legal (S2: one input on every row; S3: all cells on those rows and columns are fired; S7: of one expert) and
    never slower than one after the other. Shape (pieces,).
    """
    table = problem.table
    element = pieces.block * table.block_rows[pieces.factor] + pieces.row0
    of_factor = (table.stage, table.input, table.expert + 1)
    keys = (column[pieces.factor] for column in of_factor)
    return number_of(pieces.array, *keys, pieces.array_row, pieces.rows, element)
