"""What the firings of one factor drive and read, gathered so that much of it can be computed at once.

A window is what one firing reads of a factor: some rows with the input elements that drive them, some columns
with the output elements that they feed. Windows driven by the same elements and converted alike are one wide
window, wherever they lie, and windows of equal shape are one group. The mapping is taken to be legal (rules P1
to P3, S1 to S3): then no column that is read holds a cell of another output on a driven row, so the rows of a
piece are all that its columns need, but for pieces stacked in one column, and for faults of empty cells.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cimsolve.columns import Bools, Ints, deepest_stack, running_offsets
from cimsolve.judge.simulate.crossbar import first_writers
from cimsolve.judge.simulate.firing import FiringOrder, ragged, split_by
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Pieces

PHYSICAL_COLUMNS = 512
"""Most physical columns of one window; wider ones are split, which suits the cache."""


@dataclass(frozen=True)
class WindowGroup:
    """Windows of one factor that have equal shapes and converter settings: b windows of h rows and c columns."""

    factor: int
    stacked: int
    """n of their activations, which sets the converters' full scale."""
    claimed_bits: int
    elements: Ints
    """Input elements, shape (b, h)."""
    offset: Ints
    """Rows on the array, less `row`; shape (b, h)."""
    array: Ints
    """Shapes from here: (b, c), one entry a logical column."""
    row: Ints
    col: Ints
    """Logical column on the array."""
    output: Ints
    """Output element."""

    def __len__(self) -> int:
        return len(self.elements)


@dataclass(frozen=True)
class _Columns:
    """Columns of windows before they are grouped; `window` numbers the distinct windows they belong to."""

    window: Ints
    array: Ints
    row: Ints
    col: Ints
    output: Ints


def collect_windows(problem: Problem, firings: FiringOrder, empty_cells_leak: bool) -> dict[int, list[WindowGroup]]:
    """Groups by factor. With `empty_cells_leak` every driven row of an activation counts, occupied or not.

    Rows that an activation drives with a vector other than the factor's own are then taken to be at rest.
    """
    pieces = firings.pieces
    left = pieces.array_col[firings.piece]
    right = left + pieces.cols[firings.piece]
    depth = deepest_stack(firings.activation, left, right, np.ones_like(left), len(firings))
    crowded = depth > 1
    if empty_cells_leak:
        crowded |= np.bincount(firings.activation, minlength=len(firings)) > 1
    whole = crowded[firings.activation]
    by_factor: dict[int, list[WindowGroup]] = {}
    factor = pieces.factor[firings.piece]
    for pairs in split_by(np.arange(len(firings.piece)), factor):
        number = int(factor[pairs[0]])
        groups = list(_of_pieces_alone(problem, firings, number, pairs[~whole[pairs]]))
        groups += _of_whole_activations(problem, firings, number, pairs[whole[pairs]])
        by_factor[number] = groups
    return by_factor


def _of_pieces_alone(problem: Problem, firings: FiringOrder, factor: int, pairs: Ints) -> Iterator[WindowGroup]:
    """Windows that need the rows of their piece only; those of equal rows of the factor are joined."""
    if len(pairs) == 0:
        return
    made = problem.workload.factors[factor]
    pieces = firings.pieces.take(firings.piece[pairs])
    activation = firings.activation[pairs]
    first_element = pieces.block * made.block_rows + pieces.row0
    settings = np.stack([pieces.rows, firings.stacked[activation], firings.claimed_bits[activation], first_element])
    kinds, kind = np.unique(settings, axis=1, return_inverse=True)
    piece_of, within = ragged(pieces.cols)
    columns = _Columns(
        window=kind.reshape(-1)[piece_of],
        array=pieces.array[piece_of],
        row=pieces.array_row[piece_of],
        col=pieces.array_col[piece_of] + within,
        output=(pieces.block * made.block_cols + pieces.col0)[piece_of] + within,
    )
    for rows, stacked, claimed, windows in _alike(kinds):
        spread = np.arange(rows)
        elements = kinds[3, windows][:, None] + spread
        offsets = np.broadcast_to(spread, elements.shape)
        yield from _split(problem, factor, (stacked, claimed), windows, elements, offsets, columns)


def _of_whole_activations(problem: Problem, firings: FiringOrder, factor: int, pairs: Ints) -> Iterator[WindowGroup]:
    """Windows that need every driven row of their activation."""
    width = problem.workload.factors[factor].block_cols
    for own in split_by(pairs, firings.activation[pairs]):
        activation = int(firings.activation[own[0]])
        rows, elements = _driven_rows(problem, firings, activation, factor)
        pieces = firings.pieces.take(firings.piece[own])
        piece_of, within = ragged(pieces.cols)
        output = pieces.block * width + pieces.col0
        counts = first_writers(firings.activation[own], pieces.array_col, pieces.cols, output)
        element = (output[piece_of] + within)[counts]
        # Parts of one output that lie in different columns are added up: no window has an output twice.
        order = np.argsort(element, kind="stable")
        window = np.empty_like(element)
        window[order] = running_offsets(element[order], np.ones_like(element))
        columns = _Columns(
            window=window,
            array=pieces.array[piece_of][counts],
            row=np.zeros_like(element),
            col=(pieces.array_col[piece_of] + within)[counts],
            output=element,
        )
        setting = (int(firings.stacked[activation]), int(firings.claimed_bits[activation]))
        windows = np.arange(int(window.max()) + 1)
        elements, rows = (np.broadcast_to(each, (len(windows), len(each))) for each in (elements, rows))
        yield from _split(problem, factor, setting, windows, elements, rows, columns)


def _driven_rows(problem: Problem, firings: FiringOrder, activation: int, factor: int) -> tuple[Ints, Ints]:
    """Rows that an activation drives with the vector that `factor` reads, and the element that each takes."""
    table = problem.workload.table
    pairs = np.arange(firings.first_pair[activation], firings.first_pair[activation + 1])
    pieces = firings.pieces.take(firings.piece[pairs])
    pieces = pieces.take(np.flatnonzero(table.input[pieces.factor] == table.input[factor]))
    piece_of, within = ragged(pieces.rows)
    first_element = pieces.block * table.block_rows[pieces.factor] + pieces.row0
    rows, first = np.unique(pieces.array_row[piece_of] + within, return_index=True)
    return rows, (first_element[piece_of] + within)[first]


def _alike(kinds: Ints) -> Iterator[tuple[int, int, int, Ints]]:
    """Runs of equal rows, n and claimed bits in sorted columns of `kinds`, with the numbers of those columns."""
    _, first = np.unique(kinds[:3], axis=1, return_index=True)
    for windows in np.split(np.arange(kinds.shape[1]), np.sort(first)[1:]):
        rows, stacked, claimed, _ = kinds[:, windows[0]].tolist()
        yield rows, stacked, claimed, windows


def _split(
    problem: Problem,
    factor: int,
    setting: tuple[int, int],
    windows: Ints,
    elements: Ints,
    offsets: Ints,
    columns: _Columns,
) -> Iterator[WindowGroup]:
    """Groups of equal width from `windows`, whose elements and offsets are given, none of them too wide."""
    most = max(1, PHYSICAL_COLUMNS // problem.hardware.columns_per_weight)
    chosen = np.flatnonzero(np.isin(columns.window, windows))
    chosen = chosen[np.lexsort((columns.output[chosen], columns.window[chosen]))]
    owner = np.searchsorted(windows, columns.window[chosen])
    total = np.bincount(owner, minlength=len(windows))
    within = np.arange(len(owner)) - (np.cumsum(total) - total)[owner]
    parts = -(-total // most)
    part = (np.cumsum(parts) - parts)[owner] + within // most
    size = np.bincount(part, minlength=int(parts.sum()))
    first = np.cumsum(size) - size
    window_of_part = np.repeat(np.arange(len(windows)), parts)
    for same in split_by(np.arange(len(size)), size):
        if size[same[0]] == 0:
            continue
        entries = chosen[first[same][:, None] + np.arange(size[same[0]])]
        yield WindowGroup(
            factor=factor,
            stacked=setting[0],
            claimed_bits=setting[1],
            elements=elements[window_of_part[same]],
            offset=offsets[window_of_part[same]],
            array=columns.array[entries],
            row=columns.row[entries],
            col=columns.col[entries],
            output=columns.output[entries],
        )


def occupied_cells(problem: Problem, pieces: Pieces, arrays: Ints, columns: int) -> Bools:
    """Which cells of `arrays` (distinct, ascending) hold a piece, shape (arrays, rows, weights_per_row * columns)."""
    shape = (len(arrays), problem.rows + 1, problem.weights_per_row + 1)
    # Corners of every rectangle, summed up along both axes: 1 inside, 0 outside.
    corners = np.zeros(shape, dtype=np.int32)
    slot = np.minimum(np.searchsorted(arrays, pieces.array), len(arrays) - 1)
    here = np.flatnonzero((arrays[slot] == pieces.array) & (pieces.rows > 0))
    some, at = pieces.take(here), slot[here]
    below, right = some.array_row + some.rows, some.array_col + some.cols
    for row, col, sign in (
        (some.array_row, some.array_col, 1),
        (below, some.array_col, -1),
        (some.array_row, right, -1),
        (below, right, 1),
    ):
        np.add.at(corners, (at, row, col), sign)
    inside = corners.cumsum(axis=1, dtype=np.int32).cumsum(axis=2, dtype=np.int32)[:, :-1, :-1] > 0
    return np.asarray(inside.repeat(columns, axis=2))
