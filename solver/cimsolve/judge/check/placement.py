"""P1 to P5 and the cuts: what may lie where."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from cimsolve.columns import Ints, ceil_div, order_by, overlapping_pair, runs_of_touching, sum_by
from cimsolve.judge.check.case import Case, first

KEYS_MAX = 2**62
CHUNK_PIECES = 1_000_000
"""Most pieces compared at once, unless one array holds more; bounds the memory of P3."""


def p1_pieces_tile_every_block(case: Case) -> Iterator[str]:
    """P1: the pieces of a block cover it, each weight exactly once.

    A sum of rectangles is determined by its second differences, which live on the rectangles' corners: the
    corners of the pieces, signed, must cancel against those of the blocks.
    """
    table, pieces = case.problem.table, case.pieces
    block_rows, block_cols = table.block_rows[pieces.factor], table.block_cols[pieces.factor]
    for at in first((pieces.row0 + pieces.rows > block_rows) | (pieces.col0 + pieces.cols > block_cols)):
        block = int(table.first_block[pieces.factor[at]] + pieces.block[at])
        yield f"piece {at} reaches beyond {case.name_of_block(block)}"
        return
    blocks = case.problem.workload.block_count
    if blocks > len(pieces):
        yield f"the model has {blocks} blocks, more than the {len(pieces)} pieces: some block is not stored"
        return
    # Each block has a range of keys of its own, one a corner.
    corners = sum(f.blocks * (f.block_rows + 1) * (f.block_cols + 1) for f in case.problem.workload.factors)
    if corners >= KEYS_MAX:
        yield f"the model has {corners} weights, more than the pieces can hold"
        return
    factor = np.repeat(np.arange(len(table.blocks)), table.blocks)
    rows, cols = table.block_rows[factor], table.block_cols[factor]
    size = (rows + 1) * (cols + 1)
    base = np.cumsum(size) - size
    owner = table.first_block[pieces.factor] + pieces.block
    pitch = cols[owner] + 1
    corner, right = base[owner] + pieces.row0 * pitch + pieces.col0, pieces.col0 + pieces.cols
    begin, end = runs_of_touching(corner, owner, pieces.row0, pieces.row0 + pieces.rows, pieces.col0, right)
    whole = _corner_keys(base, rows, cols, cols + 1)
    parts = _corner_keys(corner[begin], pieces.rows[begin], right[end] - pieces.col0[begin], pitch[begin])
    keys = np.concatenate([*whole, *parts])
    signs = np.repeat([-1, 1, 1, -1, 1, -1, -1, 1], [len(key) for key in (*whole, *parts)])
    order = order_by(keys)
    sorted_keys = keys[order]
    starts = np.flatnonzero(np.append(True, sorted_keys[1:] != sorted_keys[:-1]))
    left = np.flatnonzero(np.add.reduceat(signs[order], starts))
    if len(left):
        wrong = int(np.searchsorted(base, sorted_keys[starts[left[0]]], side="right")) - 1
        yield f"the pieces of {case.name_of_block(wrong)} do not cover it exactly once"


def _corner_keys(key: Ints, rows: Ints, cols: Ints, pitch: Ints) -> tuple[Ints, ...]:
    """Keys of the four corners of rectangles, of which the first is `key`; the second and third count negative."""
    return key, key + rows * pitch, key + cols, key + rows * pitch + cols


def cuts_are_those_allowed(case: Case) -> Iterator[str]:
    """No block is cut beyond what `--cut` allows.

    `columns`: every column is cut along the rows into the fewest pieces; `none`: every row along the columns too.
    """
    problem, pieces = case.problem, case.pieces
    table, blocks = problem.table, problem.workload.block_count
    if problem.cut == "both" or blocks > len(pieces):
        return
    owner = table.first_block[pieces.factor] + pieces.block
    factor = np.repeat(np.arange(len(table.blocks)), table.blocks)
    # Given P1 every column crosses as many pieces as it must or more: the sum tells if any crosses more.
    sides = [("rows", sum_by(owner, pieces.cols, blocks), problem.row_parts * table.block_cols)]
    if problem.cut == "none":
        parts = ceil_div(table.block_cols, problem.weights_per_row)
        sides.append(("columns", sum_by(owner, pieces.rows, blocks), parts * table.block_rows))
    for side, found, fewest in sides:
        for block in first(found > fewest[factor]):
            yield (
                f"{case.name_of_block(block)} is cut along its {side} more than it must be; "
                f"the options say cut = {problem.cut}"
            )


def p2_pieces_lie_inside_their_array(case: Case) -> Iterator[str]:
    """P2: every piece lies inside the `rows x floor(cols / w)` weights of an array."""
    pieces, problem = case.pieces, case.problem
    rows, cols = problem.rows, problem.weights_per_row
    for at in first((pieces.array_row + pieces.rows > rows) | (pieces.array_col + pieces.cols > cols)):
        yield f"piece {at} reaches beyond array {pieces.array[at]} of {rows} x {cols} weights"


def p3_pieces_share_no_cell(case: Case) -> Iterator[str]:
    """P3: no cell holds two weights."""
    pieces = case.pieces
    order = order_by(pieces.array)
    order = order[case.stored[order] == order]
    begins = np.diff(pieces.array[order], prepend=-1) > 0
    # Whole arrays at a time.
    edges = np.flatnonzero(begins)
    at = np.searchsorted(edges, np.arange(0, len(order), CHUNK_PIECES))
    cuts = np.unique(np.append(edges[at[at < len(edges)]], len(order)))
    for low, high in pairwise(cuts.tolist()):
        index = order[low:high]
        top, left = pieces.array_row[index], pieces.array_col[index]
        bottom, right = top + pieces.rows[index], left + pieces.cols[index]
        found = overlapping_pair(np.cumsum(begins[low:high]), top, bottom, left, right)
        if found is not None:
            one, other = sorted(int(index[at]) for at in found)
            yield f"pieces {one} and {other} share a cell of array {int(pieces.array[one])}"
            return


def p5_weights_that_fire_again_are_stored_once(case: Case) -> Iterator[str]:
    """P5: a piece of weights that fire again lies in the cells of one that fires them first."""
    for at in first(case.stored < 0):
        linear = case.problem.workload.factors[case.pieces.factor[at]].linear
        yield f"piece {at} fires weights of {linear} again, but no piece that is stored lies in its place"


def every_array_has_a_place(case: Case) -> Iterator[str]:
    """The table `sites` has an entry for every array that holds a piece."""
    count = 0 if case.sites is None else len(case.sites.place)
    for at in first(case.pieces.array >= count):
        yield f"piece {at} lies on array {case.pieces.array[at]}, of which sites.place says nothing"


def p4_a_core_holds_no_more_arrays_than_it_has(case: Case) -> Iterator[str]:
    """P4: at most `core.arrays` arrays are at one place."""
    core = case.problem.hardware.core
    if core is None or case.sites is None:
        return
    arrays = np.bincount(case.sites.place)
    for at in first(arrays > core.arrays):
        yield f"{arrays[at]} arrays are at place {at}; a core has {core.arrays}"
