"""How full and how busy every array is, which arrays look alike, and every piece of some arrays."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cimsolve.columns import Bools, Ints, max_by, sum_by
from cimsolve.problem.tables import Pieces
from cimsolve.show.seen.judged import Judged


@dataclass(frozen=True)
class ArrayTable:
    """One row an array that holds a piece, shape (arrays,); `number` is its number in the file."""

    number: Ints
    cells: Ints
    """Occupied physical cells."""
    busy_cycles: Ints
    """Cycles of a token pass in which it fires."""
    pieces: Ints
    firings: Ints
    first_layer: Ints
    last_layer: Ints
    layout: Ints
    """Arrays with pieces of the same sizes in the same places have one number; 0 is the most frequent layout."""

    def __len__(self) -> int:
        return len(self.number)


def find_arrays(judged: Judged) -> ArrayTable:
    """How full and how busy each array is: `cells` add up to the occupancy, `busy_cycles` to the busy share."""
    pieces, activations = judged.solution.pieces, judged.solution.activations
    count = len(judged.array_numbers)
    of_piece, of_activation = judged.array_of_piece, judged.array_of_activation
    layer_of_factor = np.array([factor.layer for factor in judged.problem.workload.factors], dtype=np.int64)
    layer = layer_of_factor[pieces.factor]
    top = int(layer_of_factor.max())
    width = judged.hardware.columns_per_weight
    return ArrayTable(
        number=judged.array_numbers,
        cells=sum_by(of_piece, judged.costs.fired.is_stored * pieces.rows * pieces.cols * width, count),
        busy_cycles=sum_by(of_activation, (activations.end - activations.start) * judged.costs.fired.slowest, count),
        pieces=np.bincount(of_piece, minlength=count),
        firings=np.bincount(of_activation, minlength=count),
        first_layer=top - max_by(of_piece, top - layer, count),
        last_layer=max_by(of_piece, layer, count),
        layout=group_layouts(judged),
    )


def group_layouts(judged: Judged) -> Ints:
    """Number of each array's layout, by falling frequency, then first array; shape (arrays,)."""
    pieces, of_piece = judged.solution.pieces, judged.array_of_piece
    order = np.lexsort((pieces.array_col, pieces.array_row, of_piece))
    places = np.stack([pieces.array_row, pieces.array_col, pieces.rows, pieces.cols], axis=1)[order]
    stops = np.cumsum(np.bincount(of_piece)).tolist()
    numbers: dict[bytes, int] = {}
    layouts = [places[start:stop].tobytes() for start, stop in pairwise([0, *stops])]
    found = np.array([numbers.setdefault(layout, len(numbers)) for layout in layouts])
    rank = np.argsort(np.argsort(-np.bincount(found), kind="stable"))
    return np.asarray(rank[found])


def representatives(table: ArrayTable, most: int) -> Ints:
    """Indices of at most `most` arrays that stand for all, ascending.

    The first of each frequent layout, and where layouts do not repeat, arrays evenly spaced.
    """
    sizes = np.bincount(table.layout)
    repeated = int((sizes > 1).sum())
    first_of_layout = np.unique(table.layout, return_index=True)[1]
    chosen = first_of_layout[: min(most, repeated)]
    alone = np.flatnonzero(sizes[table.layout] == 1)
    wanted = min(most - len(chosen), len(alone))
    spaced = alone[np.arange(wanted) * len(alone) // max(wanted, 1)]
    return np.sort(np.concatenate([chosen, spaced]))


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
    # What fires again lies where it is drawn already.
    inside = np.flatnonzero(np.isin(judged.array_of_piece, chosen) & judged.costs.fired.is_stored)
    array, fired_by = judged.array_of_piece[inside], judged.costs.fired.of_piece[inside]
    start, end = activations.start[fired_by], activations.end[fired_by]
    order = np.lexsort((pieces.array_col[inside], pieces.array_row[inside], start, array))
    first = np.searchsorted(array[order], np.append(chosen, len(judged.array_numbers)))
    return ArrayPieces(chosen, first, pieces.take(inside[order]), start[order], end[order])


def typical_array(table: ArrayTable) -> int:
    """Index of the middle one, by number, of the arrays of the most frequent layout."""
    alike = np.flatnonzero(table.layout == 0)
    return int(alike[len(alike) // 2])


def arrays_that_fit(load: Ints, most: int) -> Bools:
    """Which arrays to keep so that their `load`, shape (arrays,), is at most `most` together; shape (arrays,).

    All, or as many as fit of arrays evenly spaced, one at least.
    """
    count, total = len(load), int(load.sum())
    keep = np.ones(count, dtype=bool)
    if total > most:
        wanted = max(1, count * most // total)
        chosen = np.arange(wanted) * count // wanted
        keep[:] = False
        keep[chosen[np.cumsum(load[chosen]) <= most]] = True
        keep[chosen[0]] = True
    return keep
