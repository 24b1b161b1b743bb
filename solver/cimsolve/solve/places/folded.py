"""Dense matrices folded on their arrays: several of a matrix's row tiles side by side on each.

A tile that fills an array alone reads the fewest inputs and makes the most sums, all of which the hub gets and adds.
Folded k times, an array reads k times the inputs for a k-th of the sums. Where both ways are as busy, tokens follow
each other fastest: so part of the columns is folded once more than the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from cimsolve.columns import ceil_div
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping, Pieces
from cimsolve.solve.parts import fire_same_inputs_together

FOLDS = (1, 2, 4)
SHARES = (0.0, 0.25, 0.5, 0.75)
"""Of a matrix's columns, those that are folded twice as often as the rest."""
TRIED = 2
"""So many foldings are made of those that keep the hub busy for the shortest time."""


def folded(problem: Problem) -> Iterator[Mapping]:
    """Foldings of a question whose factors are all whole matrices, the best first, as far as its arrays do."""
    if any(factor.blocks > 1 for factor in problem.workload.factors):
        return
    found: dict[bytes, tuple[float, int, Pieces]] = {}
    for number, (fold, share) in enumerate(product(FOLDS, SHARES)):
        pieces = _pieces(problem, fold, share)
        if pieces is not None and (problem.array_limit is None or int(pieces.array[-1]) < problem.array_limit):
            found.setdefault(pieces.array.tobytes(), (_hub_bits(problem, pieces), number, pieces))
    for _, _, pieces in sorted(found.values(), key=lambda each: each[:2])[:TRIED]:
        yield Mapping(pieces, fire_same_inputs_together(problem, pieces))


def _pieces(problem: Problem, fold: int, share: float) -> Pieces | None:
    """Every matrix in ranges of columns, on arrays of their own: of a `share` of them half as wide as of the rest."""
    height = min(problem.rows, problem.rows_limit)
    arrays, found = 0, []
    for factor in problem.workload.factors:
        first = 0
        for width in _widths(factor.block_cols, problem.weights_per_row // fold, share):
            tiles = np.arange(ceil_div(factor.block_rows, height))
            down, across = problem.rows // height, problem.weights_per_row // width
            array, slot = np.divmod(tiles, down * across)
            row, column = np.divmod(slot, across)
            each = np.ones_like(tiles)
            rows = np.minimum(height, factor.block_rows - tiles * height)
            found.append(
                Pieces(
                    each * factor.id, 0 * each, tiles * height, rows, each * first, each * width,
                    arrays + array, row * height, column * width,
                )
            )  # fmt: skip
            first, arrays = first + width, arrays + int(array[-1]) + 1
    return Pieces.concatenate(found)


def _widths(columns: int, width: int, share: float) -> list[int]:
    """Columns in ranges as wide as `width`, then in half as wide ones of a `share` of them; the last has the rest."""
    half = max(1, width // 2)
    wide = round(columns * (1 - share) / width)
    found = [width] * min(wide, columns // width)
    while (left := columns - sum(found)) > 0:
        found.append(min(half if share else width, left))
    return found


def _hub_bits(problem: Problem, pieces: Pieces) -> float:
    """Bits that the hub's port sends or receives, whichever is more, where every array is in a core of its own."""
    interconnect = problem.hardware.interconnect
    assert interconnect is not None
    down = int(pieces.rows.sum()) * interconnect.input_bits
    sums = np.unique(np.stack([pieces.array, pieces.factor, pieces.col0, pieces.cols]), axis=1)[3].sum()
    return float(max(down, int(sums) * interconnect.sum_bits))
