"""Who fires when: the tables of a solution as (activation, piece) pairs, taken at their word.

Nothing is checked. What lies outside an array is cut off, what does not exist is dropped: such pieces make no
output or a wrong one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cimsolve.columns import Bools, Ints, deepest_stack
from cimsolve.judge.simulate.operands import Operands
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Activations, Pieces

FINAL = np.iinfo(np.int64).max
NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Snapshot:
    """A vector as an activation finds it when it starts.

    It holds what ended by cycle `time`: FINAL for a vector that is complete, NEVER for one not begun.
    """

    vector: int
    time: int


NOTHING = Snapshot(-1, NEVER)
"""What a piece reads whose input vector does not exist; `snapshots[0]`."""


@dataclass(frozen=True)
class FiringOrder:
    """The activations that fire any simulated piece, in order of level, and their pairs with pieces."""

    pieces: Pieces
    """All pieces of the solution, clipped; cut to nothing is 0 rows and columns."""
    array: Ints
    """Shapes up to `level`: (activations,)."""
    start: Ints
    end: Ints
    claimed_bits: Ints
    row_low: Ints
    span: Ints
    """Rows row_low ... row_low + span - 1 hold every driven row."""
    stacked: Ints
    """n: occupied driven cells in the fullest read column, by the claims of the fired pieces."""
    level: Ints
    """Activations of a level read nothing that the same or a later level makes."""
    first_pair: Ints
    """Shape (activations + 1,); activation a owns pairs first_pair[a] ... first_pair[a+1] - 1."""
    activation: Ints
    """Shapes from here: (pairs,)."""
    piece: Ints
    reads: Ints
    """Index in `snapshots` of what the piece reads."""
    may_share: Bools
    """Whether a conversion may serve it and others: not if it fires alone, or is named a second time."""
    snapshots: tuple[Snapshot, ...]
    early: Bools
    """Whether a factor's output is read before it is complete, shape (factors,)."""

    def __len__(self) -> int:
        return len(self.array)


def collect_firings(problem: Problem, operands: Operands, pieces: Pieces, activations: Activations) -> FiringOrder:
    clipped = clip_pieces(problem, operands, pieces)
    owner, piece = _pairs(clipped, activations)
    wanted = np.zeros(len(activations), dtype=np.bool_)
    wanted[owner[operands.simulated[clipped.factor[piece]]]] = True
    keep = wanted[owner]
    owner, piece = owner[keep], piece[keep]
    fired = np.flatnonzero(wanted)
    start = activations.start[fired].astype(np.int64)
    # No firing is over before it began: time then has no loops, whatever a table claims.
    end = np.maximum(activations.end[fired].astype(np.int64), start + 1)
    number = np.searchsorted(fired, owner)
    level, reads, snapshots, early = _dataflow(problem, operands, clipped.factor[piece], number, start, end)
    order = np.argsort(level, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    by_level = np.argsort(rank[number], kind="stable")
    number, piece, reads = rank[number][by_level], piece[by_level], reads[by_level]
    count = np.bincount(number, minlength=len(fired))
    low = np.full(len(fired), problem.rows, dtype=np.int64)
    high = np.zeros(len(fired), dtype=np.int64)
    np.minimum.at(low, number, clipped.array_row[piece])
    np.maximum.at(high, number, clipped.array_row[piece] + clipped.rows[piece])
    left = clipped.array_col[piece]
    return FiringOrder(
        pieces=clipped,
        array=activations.array[fired].astype(np.int64)[order],
        start=start[order],
        end=end[order],
        claimed_bits=activations.adc_bits[fired].astype(np.int64)[order],
        row_low=low,
        span=high - low,
        stacked=deepest_stack(number, left, left + clipped.cols[piece], clipped.rows[piece], len(fired)),
        level=level[order],
        first_pair=np.concatenate([[0], np.cumsum(count)]).astype(np.int64),
        activation=number,
        piece=piece,
        reads=reads,
        may_share=(count[number] > 1) & ~_repeats(number, piece),
        snapshots=snapshots,
        early=early,
    )


def clip_pieces(problem: Problem, operands: Operands, pieces: Pieces) -> Pieces:
    """The part of each piece that lies on its array; nothing of one that its block does not have."""
    factors = operands.workload.table
    wide = Pieces(*(getattr(pieces, name).astype(np.int64, copy=False) for name in Pieces.__dataclass_fields__))
    known = (wide.factor >= 0) & (wide.factor < len(factors.blocks))
    factor = np.where(known, wide.factor, 0)
    known &= (wide.block >= 0) & (wide.block < factors.blocks[factor])
    for first, size, whole in (
        (wide.row0, wide.rows, factors.block_rows[factor]),
        (wide.col0, wide.cols, factors.block_cols[factor]),
    ):
        known &= (first >= 0) & (first < whole) & (size <= whole - first)
    above = np.maximum(-wide.array_row, 0)
    before = np.maximum(-wide.array_col, 0)
    rows = np.minimum(wide.rows, problem.rows - wide.array_row) - above
    cols = np.minimum(wide.cols, problem.weights_per_row - wide.array_col) - before
    inside = known & (rows > 0) & (cols > 0)
    return Pieces(
        factor=factor,
        block=np.where(known, wide.block, 0),
        row0=wide.row0 + above,
        rows=np.where(inside, rows, 0),
        col0=wide.col0 + before,
        cols=np.where(inside, cols, 0),
        array=wide.array,
        array_row=wide.array_row + above,
        array_col=wide.array_col + before,
    )


def ragged(lengths: Ints) -> tuple[Ints, Ints]:
    """For lists of the given lengths end to end: the list of each entry, and its place in that list."""
    owner = np.repeat(np.arange(len(lengths)), lengths)
    first = np.cumsum(lengths) - lengths
    return owner, np.arange(len(owner)) - first[owner]


def split_by(items: Ints, key: Ints) -> list[Ints]:
    """`items` in groups of equal `key`, in their order within a group."""
    if len(items) == 0:
        return []
    order = np.argsort(key, kind="stable")
    _, first = np.unique(key[order], return_index=True)
    return np.split(items[order], first[1:])


def _pairs(pieces: Pieces, activations: Activations) -> tuple[Ints, Ints]:
    """Activation and piece of every firing, sorted by activation."""
    first = np.clip(activations.pieces_from.astype(np.int64), 0, len(activations.piece))
    stop = np.clip(activations.pieces_to.astype(np.int64), first, len(activations.piece))
    owner, within = ragged(stop - first)
    piece = activations.piece[first[owner] + within].astype(np.int64)
    exists = (piece >= 0) & (piece < len(pieces))
    owner, piece = owner[exists], piece[exists]
    real = pieces.rows[piece] > 0
    return owner[real], piece[real]


def _repeats(number: Ints, piece: Ints) -> Bools:
    """Whether an earlier pair names the same piece in the same activation."""
    order = np.lexsort((piece, number))
    repeats = np.zeros(len(order), dtype=np.bool_)
    same = (number[order][1:] == number[order][:-1]) & (piece[order][1:] == piece[order][:-1])
    repeats[order[1:]] = same
    return repeats


def _dataflow(
    problem: Problem, operands: Operands, factor: Ints, number: Ints, start: Ints, end: Ints
) -> tuple[Ints, Ints, tuple[Snapshot, ...], Bools]:
    """Level of each activation, snapshot each pair reads, all snapshots, factors whose output is read early.

    A pair of an L factor finds of z what activations made that had ended when its own started.
    """
    claimed_inputs = problem.table.input[factor]
    early = np.zeros(len(operands.simulated), dtype=np.bool_)
    reads = np.zeros(len(factor), dtype=np.int64)
    snapshots = [NOTHING]
    waits: list[tuple[Ints, Ints, Ints]] = []
    pairs_of_factor = _members(factor)
    for vector, pairs in _members(claimed_inputs).items():
        if vector not in operands.vector_lengths:
            continue
        if vector not in operands.made_by:
            reads[pairs] = len(snapshots)
            snapshots.append(Snapshot(vector, FINAL))
            continue
        maker = operands.made_by[vector].id
        makers = np.unique(number[pairs_of_factor.get(maker, np.zeros(0, dtype=np.int64))])
        makers = makers[np.argsort(end[makers], kind="stable")]
        done = np.searchsorted(end[makers], start[number[pairs]], side="right")
        # All who start between the same two ends find the same.
        counts, which = np.unique(done, return_inverse=True)
        early[maker] |= bool((counts < len(makers)).any())
        reads[pairs] = len(snapshots) + which
        for count in counts.tolist():
            time = FINAL if count == len(makers) else int(end[makers[count - 1]]) if count else NEVER
            snapshots.append(Snapshot(vector, time))
        readers, first = np.unique(number[pairs], return_index=True)
        waits.append((makers, readers, done[first]))
    return _levels(len(start), waits), reads, tuple(snapshots), early


def _levels(count: int, waits: list[tuple[Ints, Ints, Ints]]) -> Ints:
    """Least levels. Of makers, sorted by end, the first `done` must lie below a reader."""
    level = np.zeros(count, dtype=np.int64)
    changed = True
    while changed:
        changed = False
        for makers, readers, done in waits:
            highest = np.maximum.accumulate(np.append(-1, level[makers]))
            wanted = np.maximum(level[readers], highest[done] + 1)
            if (wanted > level[readers]).any():
                level[readers] = wanted
                changed = True
    return level


def _members(values: Ints) -> dict[int, Ints]:
    """Where each value stands."""
    return {int(values[group[0]]): group for group in split_by(np.arange(len(values)), values)}
