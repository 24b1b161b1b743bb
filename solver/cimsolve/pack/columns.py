"""Packing where blocks may be cut between columns: a block of h rows is h x 1 items in array columns.

Equal columns of many arrays are then one pattern of heights, and a layout is a table of shelves: rectangles
that hold pieces of one height, dealt over the arrays as evenly as whole columns allow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cimsolve.columns import Ints, ceil_div
from cimsolve.errors import InfeasibleError, InputError
from cimsolve.pack.cutting_stock import checked_items, solve_cutting_stock


@dataclass(frozen=True, eq=False)
class ColumnPacking:
    """Array columns by pattern: `strips[p, i]` items of `heights[i]` each, `multiplicity[p]` such columns.

    `heights` are distinct and fall; `demand[i]` columns of each are covered exactly. `arrays` of `rows` x
    `cols` suffice and `lower` are proven necessary.
    """

    heights: Ints
    demand: Ints
    rows: int
    cols: int
    strips: Ints
    multiplicity: Ints
    columns: int
    arrays: int
    lower: int


@dataclass(frozen=True, eq=False)
class Shelves:
    """A table of rectangles, column-wise: `height` rows and `width` columns at (`row`, `col`) of `array`.

    Each holds pieces of exactly `height` rows. Sorted by array, row, column; none overlap.
    """

    array: Ints
    row: Ints
    height: Ints
    col: Ints
    width: Ints


def pack_columns(
    heights: Sequence[int] | Ints, column_counts: Sequence[int] | Ints, rows: int, cols: int
) -> ColumnPacking:
    """Pack `column_counts[i]` columns of `heights[i]` rows into as few array columns as found.

    Array columns are interchangeable, so the arrays are the columns over `cols`, rounded up.
    """
    if cols < 1:
        raise InputError("an array needs at least one column")
    height, count = checked_items(heights, column_counts, rows, "column height")
    height, count = height[count > 0], count[count > 0]
    distinct = np.unique(height)[::-1]
    demand = np.asarray([count[height == h].sum() for h in distinct], dtype=np.int64)
    packed = solve_cutting_stock(distinct, demand, rows)
    return ColumnPacking(
        heights=distinct,
        demand=demand,
        rows=rows,
        cols=cols,
        strips=packed.patterns,
        multiplicity=packed.multiplicity,
        columns=packed.bins,
        arrays=ceil_div(packed.bins, cols),
        lower=ceil_div(packed.lower, cols),
    )


def balanced_layout(
    packing: ColumnPacking, arrays: int | None = None, fill: bool = True, steps: Ints | None = None
) -> Shelves:
    """Deal the column patterns over `arrays` (default: the fewest): floor or ceil of each one's share.

    With `steps`, one for each strip of the packing, a pattern comes in runs of so many columns as far as
    they go into the arrays, so that wide pieces find wide shelves.

    With `fill`, free columns widen all patterns in proportion and free rows take the tallest height that
    fits, so there may be more shelf columns than demand; without it, exactly the demand.
    """
    number = packing.arrays if arrays is None else arrays
    if number * packing.cols < packing.columns:
        raise InfeasibleError(
            f"{number} arrays have {number * packing.cols} columns, {packing.columns} are needed: "
            f"{packing.arrays} arrays would do"
        )
    if not packing.columns:
        empty = np.zeros(0, dtype=np.int64)
        return Shelves(empty, empty, empty, empty, empty)
    strips, columns = packing.strips, packing.multiplicity
    steps = np.ones(len(strips), dtype=np.int64) if steps is None else steps
    if fill:
        columns = _widened(columns, number * packing.cols)
        strips = np.asarray([_filled(strip, packing.heights, packing.rows) for strip in strips])
    # Tallest first and sorted: neighbours share their upper shelves, which then merge.
    order = np.lexsort(-strips.T[::-1])
    strips, columns = strips[order], columns[order]
    shares, which = np.unique(_shares(columns, steps[order], number, packing.cols), axis=0, return_inverse=True)
    tables = []
    for kind, widths in enumerate(shares):
        table = np.asarray(_merged(strips, widths, packing.heights), dtype=np.int64).reshape(-1, 4)
        ids = np.flatnonzero(which.reshape(-1) == kind)
        tables.append(np.column_stack([np.repeat(ids, len(table)), np.tile(table, (len(ids), 1))]))
    together = np.concatenate(tables)
    array, row, col, height, width = together[np.lexsort(together.T[2::-1])].T
    return Shelves(array, row, height, col, width)


def _widened(columns: Ints, total: int) -> Ints:
    """`columns` scaled up to sum to `total`, largest remainders first; none gets fewer."""
    used = int(columns.sum())
    scaled = [divmod(int(c) * total, used) for c in columns]
    wide = np.asarray([whole for whole, _ in scaled], dtype=np.int64)
    remainders = np.asarray([rest for _, rest in scaled])
    wide[np.argsort(-remainders, kind="stable")[: total - int(wide.sum())]] += 1
    return wide


def _filled(strip: Ints, heights: Ints, rows: int) -> Ints:
    """The strip with its free rows given to the tallest heights that fit."""
    full = strip.copy()
    free = rows - int(strip @ heights)
    for i, height in enumerate(heights.tolist()):
        full[i] += free // height
        free %= height
    return full


def _shares(columns: Ints, steps: Ints, arrays: int, cols: int) -> Ints:
    """Columns of each pattern on each array, shape (arrays, patterns); at most `cols` an array.

    The smallest pattern goes first, the largest last: it fills what is left.
    """
    shares = np.zeros((arrays, len(columns)), dtype=np.int64)
    free = np.full(arrays, cols, dtype=np.int64)
    common = int(np.gcd.reduce(steps))
    for pattern in np.argsort(columns, kind="stable"):
        left = int(columns[pattern])
        for step in (int(steps[pattern]), common, 1):
            given = _evenly(left // step, free // step, free) * step
            shares[:, pattern] += given
            free -= given
            left -= int(given.sum())
    return shares


def _evenly(units: int, room: Ints, free: Ints) -> Ints:
    """Deal `units` over bins that hold `room` each, as evenly as can be; odd ones to those with most `free`."""
    given = np.zeros_like(room)
    while units and (open_ := np.flatnonzero(given < room)).size:
        share = units // open_.size
        if share:
            more = np.minimum(share, (room - given)[open_])
        else:
            open_ = open_[np.argsort(-(free - given)[open_], kind="stable")[:units]]
            more = np.ones(open_.size, dtype=np.int64)
        given[open_] += more
        units -= int(more.sum())
    return given


def _merged(strips: Ints, widths: Ints, heights: Ints) -> list[tuple[int, int, int, int]]:
    """Shelves (row, col, height, width) of one array; equal ones in adjacent columns become one."""
    done: list[tuple[int, int, int, int]] = []
    open_: dict[tuple[int, int], int] = {}  # (row, height) -> first column
    col = 0
    for p in np.flatnonzero(widths):
        sequence = np.repeat(heights, strips[p])
        rows = np.cumsum(sequence) - sequence
        here = set(zip(rows.tolist(), sequence.tolist(), strict=True))
        done += [
            (row, first, height, col - first) for (row, height), first in open_.items() if (row, height) not in here
        ]
        open_ = {key: open_.get(key, col) for key in here}
        col += int(widths[p])
    done += [(row, first, height, col - first) for (row, height), first in open_.items()]
    return sorted(done)
