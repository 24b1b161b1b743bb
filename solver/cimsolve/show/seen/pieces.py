"""Every piece of some arrays as columns: what a drawing of an array, and the page's script, look things up in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cimsolve.columns import Ints
from cimsolve.show.seen.judged import Judged


@dataclass(frozen=True)
class ArrayPieces:
    """Pieces of the arrays `arrays`, ordered by array, start, row and column; all other columns have shape (pieces,).

    Rows and columns are physical; `start` and `end` are the cycles of the activation that fires the piece.
    """

    arrays: Ints
    """Indices into the array numbers, ascending; shape (arrays,)."""
    first: Ints
    """Where each array's pieces begin, and where the last one's end; shape (arrays + 1,)."""
    factor: Ints
    block: Ints
    row0: Ints
    rows: Ints
    col0: Ints
    cols: Ints
    """Logical columns of the block, as `col0`."""
    array_row: Ints
    array_col: Ints
    """First physical column."""
    start: Ints
    end: Ints

    def __len__(self) -> int:
        return len(self.factor)


def find_pieces(judged: Judged, arrays: Ints) -> ArrayPieces:
    """The pieces on the arrays with these indices; pieces that fire together stand together."""
    pieces, activations = judged.solution.pieces, judged.solution.activations
    chosen = np.unique(arrays)
    wanted = np.zeros(len(judged.array_numbers), dtype=bool)
    wanted[chosen] = True
    inside = np.flatnonzero(wanted[judged.array_of_piece])
    array, fired_by = judged.array_of_piece[inside], judged.fired.of_piece[inside]
    start, end = activations.start[fired_by], activations.end[fired_by]
    order = np.lexsort((pieces.array_col[inside], pieces.array_row[inside], start, array))
    some = pieces.take(inside[order])
    return ArrayPieces(
        arrays=chosen,
        first=np.searchsorted(array[order], np.append(chosen, len(wanted))),
        factor=some.factor,
        block=some.block,
        row0=some.row0,
        rows=some.rows,
        col0=some.col0,
        cols=some.cols,
        array_row=some.array_row,
        array_col=some.array_col * judged.hardware.columns_per_weight,
        start=start[order],
        end=end[order],
    )
