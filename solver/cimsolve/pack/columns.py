"""Packing where blocks may be cut between columns: a block of h rows is h x 1 items in array columns.

Equal columns of many arrays are then one pattern of heights, and a layout is a table of shelves: rectangles
that hold pieces of one height, dealt over the arrays as evenly as whole columns allow.

A fewest-columns packing says nothing about shape: a rare height may sit twenty deep in one narrow strip of a few
arrays, where pieces of the width that its stages want fit nowhere. `widen_shelves` looks among packings that need no
more arrays for one of few patterns in wide runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cimsolve.columns import Floats, Ints, ceil_div
from cimsolve.errors import InfeasibleError, InputError
from cimsolve.pack.covering import NODE_LIMIT
from cimsolve.pack.cutting_stock import checked_items, maximal_patterns, solve_cutting_stock
from cimsolve.pack.programs import solve_integer, solve_linear

PATTERNS_MAX, PROMISING = 80, 40
"""Most patterns of a fixed-charge program, of which the root alone takes a minute for 300; and, of more, how many it
chooses among."""


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
    strips, multiplicity, columns = packed.patterns, packed.multiplicity, packed.bins
    arrays, lower = ceil_div(packed.bins, cols), ceil_div(packed.lower, cols)
    return ColumnPacking(distinct, demand, rows, cols, strips, multiplicity, columns, arrays, lower)


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


def widen_shelves(packing: ColumnPacking, arrays: int, piece_widths: Ints, most: Ints) -> ColumnPacking:
    """A packing with wide shelves of what `packing` holds, on `arrays` arrays; `packing` where none is found.

    `piece_widths[i]` is the width wanted for pieces of `heights[i]`, `most[i]` the columns of that height that one
    array has use for: no pattern has more shelves than that of the width wanted. A fixed-charge program over the
    maximal patterns: a pattern used costs its shelf rows, each weighed by how many of them its height could fill.
    """
    useful = np.maximum(1, 3 * most // (4 * np.minimum(piece_widths, packing.cols)))
    limits = np.minimum(packing.rows // packing.heights, useful)
    patterns = np.array(maximal_patterns(packing.heights, limits, packing.rows), dtype=np.int64)
    if len(patterns) > PATTERNS_MAX:
        patterns = patterns[_promising(packing, arrays, patterns, piece_widths)]
    if not len(patterns):
        return packing
    wanted = np.where(patterns > 0, piece_widths, 1).max(axis=1)
    for least in (wanted, np.ones_like(wanted)):
        used = _choose(packing, arrays, patterns, piece_widths, least)
        if used is not None:
            keep = used > 0
            return replace(
                packing, strips=patterns[keep], multiplicity=used[keep], columns=int(used.sum()), arrays=arrays
            )
    return packing


def _charges(packing: ColumnPacking, arrays: int, patterns: Ints, piece_widths: Ints) -> Floats:
    """What a pattern costs where it is used at all."""
    rows_filled = np.maximum(1.0, packing.demand / (arrays * piece_widths))
    return np.asarray((patterns / rows_filled).sum(axis=1))


def _promising(packing: ColumnPacking, arrays: int, patterns: Ints, piece_widths: Ints) -> Ints:
    """About PROMISING of the patterns that the program may choose among.

    Those of linear programs in which a column costs its pattern's charge over the columns that the program before used
    of it (dynamic slope scaling, Kim and Pardalos 1999).
    """
    total, charge = arrays * packing.cols, _charges(packing, arrays, patterns, piece_widths)
    matrix = np.vstack([-patterns.T, np.ones(len(patterns))])
    most = np.append(-packing.demand, total).astype(np.float64)
    price, used = charge / total, np.zeros(len(patterns), dtype=np.bool_)
    for _ in range(PROMISING):
        found = solve_linear(price, matrix, most)
        if found is None:
            break
        now = found.x > 1e-6
        known = bool(used[now].all())
        used |= now
        price = np.where(now, charge / np.maximum(found.x, 1e-6), price)
        if known or used.sum() >= PROMISING:
            break
    return np.flatnonzero(used)


def _choose(packing: ColumnPacking, arrays: int, patterns: Ints, piece_widths: Ints, least: Ints) -> Ints | None:
    """Columns of each pattern, at least `least` an array where it is used at all; None if none is found."""
    total = arrays * packing.cols
    count = len(patterns)
    charge = _charges(packing, arrays, patterns, piece_widths)
    identity = np.eye(count)
    rows = [
        (np.hstack([patterns.T, np.zeros_like(patterns.T)]), packing.demand, np.inf),
        (np.hstack([np.ones(count), np.zeros(count)])[None], -np.inf, total),
        (np.hstack([identity, -total * identity]), -np.inf, 0),
        (np.hstack([identity, -arrays * np.diag(least)]), 0, np.inf),
    ]
    most = np.concatenate([np.full(count, total), np.ones(count)])
    cost = np.concatenate([np.zeros(count), charge])
    result = solve_integer(cost, rows, most, nodes=NODE_LIMIT, gap=0.02)
    if result.x is None:
        return None
    columns = np.rint(result.x[:count]).astype(np.int64)
    enough = (columns @ patterns >= packing.demand).all() and columns.sum() <= total
    return columns if enough else None
