"""What several strategies share: forced cuts, and firing together what shares its input."""

from __future__ import annotations

import numpy as np

from cimsolve.columns import Ints
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Parts, Pieces


def cut_sizes(size: int, limit: int, even: bool = False) -> list[int]:
    """`size` cut into the fewest parts of at most `limit`: full parts and a rest, or parts as equal as can be."""
    parts = -(-size // limit)
    if even:
        return [size // parts + (i < size % parts) for i in range(parts)]
    return [limit] * (parts - 1) + [size - limit * (parts - 1)]


def cut_blocks(problem: Problem, rows_limit: int, cols_limit: int, even: bool = False) -> Parts:
    """Every block of the workload, cut into the fewest parts of at most `rows_limit x cols_limit`.

    Parts come in the order of factor, block, row and column.
    """
    found: list[Parts] = []
    for factor in problem.workload.factors:
        rows = np.array(cut_sizes(factor.block_rows, rows_limit, even), dtype=np.int64)
        cols = np.array(cut_sizes(factor.block_cols, cols_limit, even), dtype=np.int64)
        row0, col0 = np.cumsum(rows) - rows, np.cumsum(cols) - cols
        tiles = len(rows) * len(cols)
        found.append(
            Parts(
                np.full(factor.blocks * tiles, factor.id, dtype=np.int64),
                np.repeat(np.arange(factor.blocks, dtype=np.int64), tiles),
                np.tile(np.repeat(row0, len(cols)), factor.blocks),
                np.tile(np.repeat(rows, len(cols)), factor.blocks),
                np.tile(col0, factor.blocks * len(rows)),
                np.tile(cols, factor.blocks * len(rows)),
            )
        )
    return Parts.concatenate(found)


def forced_parts(problem: Problem, even: bool = False) -> Parts:
    """Blocks cut only where they must be: to the rows that may fire at once and the columns of an array."""
    return cut_blocks(problem, min(problem.rows, problem.rows_limit), problem.weights_per_row, even)


def fire_same_inputs_together(problem: Problem, pieces: Pieces) -> Ints:
    """Number of the activation of each piece: pieces on the same rows of an array with the same input share one.

    Always legal (S2: one input on every row; S3: all cells on those rows and columns are fired) and never
    slower than one after the other. Shape (pieces,).
    """
    table = problem.table
    element = pieces.block * table.block_rows[pieces.factor] + pieces.row0
    return number_of(
        pieces.array, table.stage[pieces.factor], table.input[pieces.factor], pieces.array_row, pieces.rows, element
    )


def number_of(*keys: Ints) -> Ints:
    """Number the distinct combinations of `keys`, each of shape (n,), in lexicographic order; shape (n,)."""
    order = np.lexsort(keys[::-1])
    changes = np.zeros(len(order), dtype=bool)
    for key in keys:
        changes[1:] |= key[order][1:] != key[order][:-1]
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.cumsum(changes)
    return number
