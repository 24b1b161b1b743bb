"""Every piece of some arrays as columns: what a drawing of an array, and the page's script, look things up in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cimsolve.columns import Ints
from cimsolve.problem.tables import Pieces
from cimsolve.show.seen.judged import Judged


@dataclass(frozen=True)
class ArrayPieces:
    """Pieces of some arrays, ordered by array, start, row and column."""

    arrays: Ints
    """Indices into the array numbers, ascending; shape (arrays,)."""
    first: Ints
    """Where each array's pieces begin, and where the last one's end; shape (arrays + 1,)."""
    pieces: Pieces
    start: Ints
    end: Ints
    """Cycles of the activation that fires the piece, as `start`; shape (pieces,)."""


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
    first = np.searchsorted(array[order], np.append(chosen, len(wanted)))
    return ArrayPieces(chosen, first, pieces.take(inside[order]), start[order], end[order])
