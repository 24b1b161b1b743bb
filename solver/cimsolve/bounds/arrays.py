"""The fewest arrays that could hold the weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cimsolve.arrays import Ints, ceil_div
from cimsolve.packing.arrays import lower_bound_area, lower_bound_columns, lower_bound_uncut, split_weight
from cimsolve.packing.cutting_stock import solve_cutting_stock
from cimsolve.problem import Problem


@dataclass(frozen=True)
class BlockTypes:
    """Distinct block sizes and how many blocks have each; every array has shape (types,)."""

    rows: Ints
    cols: Ints
    count: Ints
    parts: Ints
    """Fewest pieces along the rows."""


def block_types(problem: Problem) -> BlockTypes:
    table = problem.table
    sizes, index = np.unique(np.stack([table.block_rows, table.block_cols], axis=1), axis=0, return_inverse=True)
    count = np.zeros(len(sizes), dtype=np.int64)
    np.add.at(count, index.reshape(-1), table.blocks)
    return BlockTypes(sizes[:, 0], sizes[:, 1], count, ceil_div(sizes[:, 0], problem.rows_limit))


def least_arrays(problem: Problem, target: int) -> tuple[int, str]:
    """A lower bound on the array count and the name of its proof; the search stops where it reaches `target`."""
    types = block_types(problem)
    rows, cols = problem.rows, problem.weights_per_row
    area = lower_bound_area(types.rows, types.cols, types.count, rows, cols), "area"
    if area[0] >= target or problem.cut == "both":
        return area
    if (types.rows % types.parts).any() or (types.rows // types.parts < problem.rows_limit)[types.parts > 1].any():
        columns = _columns_with_free_splits(problem, types)
    else:
        # Blocks that are whole multiples of the limit leave no choice: every part has the limit's height.
        types = BlockTypes(types.rows // types.parts, types.cols, types.count * types.parts, types.parts)
        columns = lower_bound_columns(types.rows, types.cols, types.count, rows, cols)
    best = max(area, (columns, "columns"), key=lambda bound: bound[0])
    across = -(-types.cols // cols)
    if problem.cut == "columns" or best[0] >= target or (types.rows > problem.rows_limit).any():
        return best
    if (types.cols % across).any() or (types.cols // across < cols)[across > 1].any():
        return best
    uncut = lower_bound_uncut(types.rows, types.cols // across, types.count * across, rows, cols, target)
    return max(best, uncut, key=lambda bound: bound[0])


def _columns_with_free_splits(problem: Problem, types: BlockTypes) -> int:
    """Column bound where some blocks must be cut along the rows, into the fewest pieces of any sizes.

    A dual-feasible function u bounds whatever the split is: a column of such a block weighs at least the least
    sum of u over all its splits. u comes from the dual of the packing with even splits.
    """
    whole = types.parts == 1
    even = types.rows // types.parts
    heights, index = np.unique(np.where(whole, types.rows, even), return_inverse=True)
    counts = np.zeros(len(heights), dtype=np.int64)
    np.add.at(counts, index, types.cols * types.count * types.parts)
    functions = [solve_cutting_stock(heights, counts, problem.rows).weight_of_size]
    thresholds = {int(t) for t in (*heights, *(problem.rows - heights))}
    functions += [_threshold(problem.rows, t) for t in thresholds if 0 < 2 * t <= problem.rows]
    return max(_columns_by_weight(problem, types, u) for u in functions)


def _threshold(capacity: int, least: int) -> Ints:
    """The dual-feasible function that rounds sizes above capacity - least up to a whole bin, and those below
    `least` down to nothing (Martello & Toth 1990, Fekete & Schepers 2001)."""
    u = np.arange(capacity + 1, dtype=np.int64)
    u[u < least] = 0
    u[capacity - least + 1 :] = capacity
    return u


def _columns_by_weight(problem: Problem, types: BlockTypes, u: Ints) -> int:
    """Arrays that the weights `u` of all block columns need, each block split in the lightest way."""
    weight = [
        int(u[height]) if parts == 1 else split_weight(u, int(height), problem.rows_limit)
        for height, parts in zip(types.rows, types.parts, strict=True)
    ]
    total = sum(w * int(cols) * int(count) for w, cols, count in zip(weight, types.cols, types.count, strict=True))
    bins = -(-total // int(u[-1]))
    return -(-bins // problem.weights_per_row)
