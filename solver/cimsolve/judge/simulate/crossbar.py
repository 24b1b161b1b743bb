"""The arrays: their cells as placed, and what one firing of them gives."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from cimsolve.columns import Bools, Ints, meets_intervals, merge_intervals
from cimsolve.judge.simulate.firing import FiringOrder, ragged, split_by
from cimsolve.judge.simulate.operands import Operands
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Pieces

Cells: TypeAlias = npt.NDArray[np.unsignedinteger[Any]]
Float64s: TypeAlias = npt.NDArray[np.float64]

CHUNK_CELLS = 1 << 29
"""Most cells of arrays held at once where several levels of activations ask for them."""

BRIEF_CELLS = 1 << 25
"""Most cells held at once where one level does: nothing is written again, and memory just used is the fastest."""

BATCH_NUMBERS = 1 << 18
"""Most numbers of one temporary; also suits the cache."""


class Crossbars:
    """The arrays that fire, written as placed, a chunk of them at a time; the chunk asked for last is kept."""

    def __init__(self, problem: Problem, operands: Operands, firings: FiringOrder) -> None:
        self._written = (problem, operands, firings)
        one = problem.rows * problem.weights_per_row * operands.encoding.columns
        most = CHUNK_CELLS if firings.level.any() else BRIEF_CELLS
        step = max(1, most // one)
        distinct = np.unique(firings.array)
        self.chunks = [distinct[first : first + step] for first in range(0, len(distinct), step)]
        """Numbers of arrays, ascending, as many at a time as may be held."""
        self._kept: tuple[int, Cells] | None = None

    def cells(self, chunk: int) -> Cells:
        """Cells of the arrays `chunks[chunk]`, shape (arrays, rows, weights_per_row * columns a weight takes)."""
        if self._kept is None or self._kept[0] != chunk:
            self._kept = None  # frees the one before
            self._kept = (chunk, programme(*self._written, self.chunks[chunk]))
        return self._kept[1]


def programme(problem: Problem, operands: Operands, firings: FiringOrder, arrays: Ints) -> Cells:
    """The cells of `arrays` (distinct, ascending), shape (arrays, rows, weights_per_row * columns a weight takes).

    Every piece of a simulated factor that claims to lie there is written; empty cells are 0. Pieces of other factors
    get random cells, never 0, so that one that is driven and read by mistake shows; where none is, nothing is
    written. They are written last: of two overlapping pieces one is destroyed, here the simulated one.

    In memory the cells of a column are neighbours: high, narrow pieces would touch a line of it for each row.
    """
    encoding, pieces = operands.encoding, firings.pieces_on(arrays)
    shape = (len(arrays), problem.weights_per_row * encoding.columns, problem.rows)
    cells = np.zeros(shape, dtype=encoding.cell_dtype)
    slot = np.searchsorted(arrays, pieces.array)
    own = operands.simulated[pieces.factor]
    met = own | _meets_firings(problem, firings, arrays, slot, pieces)
    random = np.random.default_rng([operands.seed, 2])
    for foreign in (False, True):
        for group in _same_shape(pieces, np.flatnonzero(own != foreign)):
            rows, cols = int(pieces.rows[group[0]]), int(pieces.cols[group[0]])
            width = cols * encoding.columns
            noise = random.integers(1, 1 << encoding.cell_bits, (rows, width), encoding.cell_dtype) if foreign else None
            windows = sliding_window_view(cells, (width, rows), axis=(1, 2), writeable=True)
            step = max(1, BATCH_NUMBERS // (rows * width))
            written = group[met[group]]
            for first in range(0, len(written), step):
                some = written[first : first + step]
                at = (slot[some], pieces.array_col[some] * encoding.columns, pieces.array_row[some])
                windows[at] = _stored(operands, pieces.take(some), rows, cols) if noise is None else noise.T
    return cells.swapaxes(1, 2)


def _meets_firings(problem: Problem, firings: FiringOrder, arrays: Ints, slot: Ints, pieces: Pieces) -> Bools:
    """Whether some firing on the array of each piece drives a row of it, and some firing reads a column of it."""
    array = firings.array[firings.activation]
    on = np.minimum(np.searchsorted(arrays, array), len(arrays) - 1)
    pairs = np.flatnonzero(arrays[on] == array)
    fired, on = firings.pieces.take(firings.piece[pairs]), on[pairs]
    driven = merge_intervals(on, fired.array_row, fired.array_row + fired.rows)
    read = merge_intervals(on, fired.array_col, fired.array_col + fired.cols)
    meets = meets_intervals(driven, slot, pieces.array_row, pieces.array_row + pieces.rows)
    return meets & meets_intervals(read, slot, pieces.array_col, pieces.array_col + pieces.cols)


def _stored(operands: Operands, pieces: Pieces, rows: int, cols: int) -> Ints:
    """Cells of pieces of one shape, (pieces, physical columns, rows)."""
    table = operands.workload.table
    width = table.block_cols[pieces.factor].astype(np.int64)
    height = table.block_rows[pieces.factor]
    corner = operands.store_first[pieces.factor] + (pieces.block * height + pieces.row0) * width + pieces.col0
    line = corner[:, None] + width[:, None] * np.arange(rows)
    weights = operands.store[line[:, None, :] + np.arange(cols)[:, None]]
    return np.moveaxis(operands.encoding.cells(weights), 3, 2).reshape(len(pieces), -1, rows)


def _same_shape(pieces: Pieces, which: Ints) -> list[Ints]:
    return split_by(which, pieces.rows[which] * (int(pieces.cols.max(initial=0)) + 1) + pieces.cols[which])


def sum_columns(
    cells: Cells, slot: Ints, row: Ints, col: Ints, width: int, digits: npt.NDArray[Any]
) -> npt.NDArray[Any]:
    """Exact sums of driven cells for windows of one size, shape (windows, width, inputs).

    Window i lies on array `slot[i]` from `row[i]` and physical column `col[i]`; `digits` has shape (windows,
    rows, inputs), 0 where a row is not driven. Exact if no sum reaches the float type's integers.
    """
    windows = sliding_window_view(cells.swapaxes(1, 2), (width, digits.shape[1]), axis=(1, 2))[slot, col, row]
    return np.asarray(windows.astype(digits.dtype) @ digits)


def first_writers(activation: Ints, col: Ints, cols: Ints, output: Ints) -> Bools:
    """Which columns of pieces count; a flat list, piece after piece, of `cols` entries each.

    Stacked pieces of one output element share a read column: its sum is converted and added once. `col` is
    a piece's first column on the array, `output` the number of its first output element; both count upward.
    """
    owner, within = ragged(cols)
    column, element = col[owner] + within, output[owner] + within
    order = np.lexsort((element, column, activation[owner]))
    same = np.ones(len(order), dtype=np.bool_)
    for key in (activation[owner], column, element):
        ordered = key[order]
        same[1:] &= ordered[1:] == ordered[:-1]
    same[:1] = False
    counts = np.empty(len(order), dtype=np.bool_)
    counts[order] = ~same
    return counts
