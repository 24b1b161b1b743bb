"""The arrays: their cells as placed, and what one firing of them gives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from cimsolve.columns import Bools, Ints, meets_intervals, merge_intervals, running_offsets
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
    """The arrays that fire, written as placed, a chunk of them at a time; the chunk asked for last is kept.

    Of each array the columns that something is written to or read from are held, side by side.
    """

    def __init__(self, problem: Problem, operands: Operands, firings: FiringOrder) -> None:
        self._operands, self._rows = operands, problem.rows
        self._arrays = np.unique(firings.array)
        pieces = pieces_to_write(operands, firings, self._arrays)
        fired, on = firings.pieces.take(firings.piece), firings.array[firings.activation]
        slot = np.searchsorted(self._arrays, np.concatenate([pieces.array, on]))
        begin, size = (np.concatenate([getattr(of, name) for of in (pieces, fired)]) for name in ("array_col", "cols"))
        self._held = merge_intervals(slot, begin, begin + size)
        group, low, high = self._held
        self._moved = running_offsets(group, high - low)
        self._columns = int((self._moved + high - low).max(initial=1))
        self._pieces = replace(pieces, array_col=self.columns_of(pieces.array, pieces.array_col))
        one = problem.rows * self._columns * operands.encoding.columns
        step = max(1, (CHUNK_CELLS if firings.level.any() else BRIEF_CELLS) // one)
        self.chunks = [self._arrays[first : first + step] for first in range(0, len(self._arrays), step)]
        """Numbers of arrays, ascending, as many at a time as may be held."""
        self._kept: tuple[int, Cells] | None = None

    def columns_of(self, array: Ints, column: Ints) -> Ints:
        """Where the cells of logical columns of arrays are held, counted in logical columns."""
        group, low, high = self._held
        span = int(high.max(initial=0)) + 1
        at = np.searchsorted(group * span + low, np.searchsorted(self._arrays, array) * span + column, "right") - 1
        return np.asarray(self._moved[at] + column - low[at])

    def cells(self, chunk: int) -> Cells:
        """Cells of the arrays `chunks[chunk]`, shape (arrays, rows, columns * columns a weight takes)."""
        if self._kept is None or self._kept[0] != chunk:
            self._kept = None  # frees the one before
            self._kept = (
                chunk,
                programme(self._operands, self._pieces, self.chunks[chunk], self._rows, self._columns),
            )
        return self._kept[1]


def pieces_to_write(operands: Operands, firings: FiringOrder, arrays: Ints) -> Pieces:
    """What `arrays` (distinct, ascending) must hold, sorted by array: else a firing could give another sum.

    Every piece of a simulated factor that claims to lie there, and of the others those which some firing drives and
    some firing reads.
    """
    pieces = firings.pieces
    here = np.isin(pieces.array, arrays) & (pieces.rows > 0)
    own = here & operands.simulated[pieces.factor]
    others = np.flatnonzero(here & ~own)
    slot = np.searchsorted(arrays, pieces.array)
    fired, on = firings.pieces.take(firings.piece), np.searchsorted(arrays, firings.array[firings.activation])
    for place, size in (("array_col", "cols"), ("array_row", "rows")):
        low, begin = getattr(fired, place), getattr(pieces, place)[others]
        met = merge_intervals(on, low, low + getattr(fired, size))
        others = others[meets_intervals(met, slot[others], begin, begin + getattr(pieces, size)[others])]
    chosen = np.sort(np.concatenate([np.flatnonzero(own), others]))
    return pieces.take(chosen[np.argsort(pieces.array[chosen], kind="stable")])


def programme(operands: Operands, pieces: Pieces, arrays: Ints, rows: int, columns: int) -> Cells:
    """The cells of `arrays` (distinct, ascending), shape (arrays, rows, columns * columns a weight takes).

    `pieces`: those of `pieces_to_write`, of other arrays too. Empty cells are 0. Pieces of factors that are not
    simulated get random cells, never 0, so that one that is driven and read by mistake
    shows. They are written last: of two overlapping pieces one is destroyed, here the simulated one.

    In memory the cells of a column are neighbours: high, narrow pieces would touch a line of it for each row.
    """
    encoding = operands.encoding
    pieces = pieces.take(np.arange(*np.searchsorted(pieces.array, (arrays[0], arrays[-1] + 1))))
    cells = np.zeros((len(arrays), columns * encoding.columns, rows), dtype=encoding.cell_dtype)
    slot = np.searchsorted(arrays, pieces.array)
    own = operands.simulated[pieces.factor]
    random = np.random.default_rng([operands.seed, 2])
    for foreign in (False, True):
        for group in _same_shape(pieces, np.flatnonzero(own != foreign)):
            height, cols = int(pieces.rows[group[0]]), int(pieces.cols[group[0]])
            width = cols * encoding.columns
            noise = None
            if foreign:
                noise = random.integers(1, 1 << encoding.cell_bits, (height, width), encoding.cell_dtype)
            windows = sliding_window_view(cells, (width, height), axis=(1, 2), writeable=True)
            step = max(1, BATCH_NUMBERS // (height * width))
            for first in range(0, len(group), step):
                some = group[first : first + step]
                at = (slot[some], pieces.array_col[some] * encoding.columns, pieces.array_row[some])
                windows[at] = _stored(operands, pieces.take(some), height, cols) if noise is None else noise.T
    return cells.swapaxes(1, 2)


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
