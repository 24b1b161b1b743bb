"""Column patterns that make wide shelves: among packings that need no more arrays, one with few, wide runs.

A fewest-columns packing says nothing about shape: a rare height may sit twenty deep in one narrow strip of a few
arrays, where pieces of the width that its stages want fit nowhere. Here every pattern used gets, on the average
array, at least the width of the pieces that it shall hold, and each height comes in few rows of shelves.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cimsolve.columns import Ints
from cimsolve.pack.columns import ColumnPacking
from cimsolve.pack.covering import NODE_LIMIT
from cimsolve.pack.cutting_stock import maximal_patterns
from cimsolve.pack.programs import solve_integer


def widen_shelves(packing: ColumnPacking, arrays: int, piece_widths: Ints, most: Ints) -> ColumnPacking:
    """A packing with wide shelves of what `packing` holds, on `arrays` arrays; `packing` where none is found.

    `piece_widths[i]` is the width wanted for pieces of `heights[i]`, `most[i]` the columns of that height that one
    array has use for: no pattern has more shelves than that of the width wanted. A fixed-charge program over the
    maximal patterns: a pattern used costs its shelf rows, each weighed by how many of them its height could fill.
    """
    useful = np.maximum(1, 3 * most // (4 * np.minimum(piece_widths, packing.cols)))
    limits = np.minimum(packing.rows // packing.heights, useful)
    patterns = np.array(maximal_patterns(packing.heights, limits, packing.rows), dtype=np.int64)
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


def _choose(packing: ColumnPacking, arrays: int, patterns: Ints, piece_widths: Ints, least: Ints) -> Ints | None:
    """Columns of each pattern, at least `least` an array where it is used at all; None if none is found."""
    total = arrays * packing.cols
    count = len(patterns)
    rows_filled = np.maximum(1.0, packing.demand / (arrays * piece_widths))
    charge = (patterns / rows_filled).sum(axis=1)
    identity = np.eye(count)
    rows = [
        (np.hstack([patterns.T, np.zeros_like(patterns.T)]), packing.demand, np.inf),
        (np.hstack([np.ones(count), np.zeros(count)])[None], -np.inf, total),
        (np.hstack([identity, -total * identity]), -np.inf, 0),
        (np.hstack([identity, -arrays * np.diag(least)]), 0, np.inf),
    ]
    most = np.concatenate([np.full(count, total), np.ones(count)])
    cost = np.concatenate([np.zeros(count), charge])
    result = solve_integer(cost, rows, most, node_limit=NODE_LIMIT, mip_rel_gap=0.02)
    if result.x is None:
        return None
    columns = np.rint(result.x[:count]).astype(np.int64)
    enough = (columns @ patterns >= packing.demand).all() and columns.sum() <= total
    return columns if enough else None
