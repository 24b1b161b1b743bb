"""The fewest arrays that could hold the weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cimsolve.columns import Ints, ceil_div, sum_by
from cimsolve.pack.bounds import lower_bound_area, lower_bound_columns, lower_bound_uncut, split_weight
from cimsolve.pack.cutting_stock import weight_of_size
from cimsolve.problem.problem import Problem


@dataclass(frozen=True)
class BlockTypes:
    """Distinct block sizes and how many blocks have each; every array has shape (types,)."""

    rows: Ints
    cols: Ints
    count: Ints
    parts: Ints
    """Fewest pieces along the rows."""


def block_types(problem: Problem) -> BlockTypes:
    """The distinct shapes of the question's blocks, and how many there are of each."""
    table = problem.table
    sizes, index = np.unique(np.stack([table.block_rows, table.block_cols], axis=1), axis=0, return_inverse=True)
    count = sum_by(index.reshape(-1), table.blocks, len(sizes))
    return BlockTypes(sizes[:, 0], sizes[:, 1], count, ceil_div(sizes[:, 0], problem.rows_limit))


def least_arrays(problem: Problem, target: int) -> tuple[int, str]:
    """A lower bound on the array count and the name of its proof; the search stops where it reaches `target`."""
    problem = problem.stored
    types = block_types(problem)
    rows, cols = problem.rows, problem.weights_per_row
    area = lower_bound_area(types.rows, types.cols, types.count, rows, cols), "area"
    if area[0] >= target or problem.cut == "both":
        return area
    if (types.rows % types.parts).any() or (types.rows // types.parts < problem.rows_limit)[types.parts > 1].any():
        each_column = _Sides(types.rows, types.parts, types.cols * types.count)
        columns = -(-_bins_with_free_splits(each_column, rows, problem.rows_limit) // cols)
    else:
        # Blocks that are whole multiples of the limit leave no choice: every part has the limit's height.
        types = BlockTypes(types.rows // types.parts, types.cols, types.count * types.parts, np.ones_like(types.parts))
        columns = lower_bound_columns(types.rows, types.cols, types.count, rows, cols)
    best = max(area, (columns, "columns"), key=lambda bound: bound[0])
    if problem.cut == "columns" or best[0] >= target:
        return best
    across = ceil_div(types.cols, cols)
    best = max(best, _uncut_with_free_splits(problem, types), key=lambda bound: bound[0])
    if best[0] >= target or (types.rows > problem.rows_limit).any():
        return best
    if (types.cols % across).any() or (types.cols // across < cols)[across > 1].any():
        return best
    uncut = lower_bound_uncut(types.rows, types.cols // across, types.count * across, rows, cols, target)
    return max(best, uncut, key=lambda bound: bound[0])


def may_fit(problem: Problem, arrays: int) -> bool:
    """Whether a bound leaves room for a mapping on so many arrays."""
    return least_arrays(problem, arrays + 1)[0] <= arrays


def _uncut_with_free_splits(problem: Problem, types: BlockTypes) -> tuple[int, str]:
    """Bounds where no column is cut but some blocks must be cut, into the fewest pieces of any sizes; with a name.

    `rows`: however its rows are cut, every row of a block is an item of its width. `dff`: blocks resized to u(height)
    x v(width) still fit into arrays resized by them too, for dual-feasible u and v (Fekete & Schepers 2001), so each
    block counts v of its width, in the lightest split, as many columns of its height.
    """
    rows, cols = problem.rows, problem.weights_per_row
    across = _Sides(types.cols, ceil_div(types.cols, cols), types.rows * types.count)
    best = -(-_bins_with_free_splits(across, cols, cols) // rows), "rows"
    for v in _dual_feasible(across, cols, cols):
        resized = _Sides(types.rows, types.parts, types.count * _lightest(across, cols, v))
        if resized.count.any():
            bins = _bins_with_free_splits(resized, rows, problem.rows_limit)
            best = max(best, (-(-bins // int(v[-1])), "dff"), key=lambda bound: bound[0])
    return best


@dataclass(frozen=True)
class _Sides:
    """Sides of blocks along one axis, the fewest parts that each must be cut into, and how many there are."""

    size: Ints
    parts: Ints
    count: Ints


def _bins_with_free_splits(sides: _Sides, capacity: int, limit: int) -> int:
    """Bins that the sides need, some of them cut into the fewest parts of at most `limit`, of any sizes."""
    found = 0
    for u in _dual_feasible(sides, capacity, limit):
        weights = _lightest(sides, limit, u).tolist()
        total = sum(weight * count for weight, count in zip(weights, sides.count.tolist(), strict=True))
        found = max(found, -(-total // int(u[-1])))
    return found


def _dual_feasible(sides: _Sides, capacity: int, limit: int) -> list[Ints]:
    """Superadditive functions of a size, shape (capacity + 1,), that may prove much.

    They are the dual of the packing with even splits, and those that round at a threshold.
    """
    sizes, index = np.unique(sides.size // sides.parts, return_inverse=True)
    counts = sum_by(index, sides.count * sides.parts, len(sizes))
    rests = sides.size - (sides.parts - 1) * limit
    thresholds = {int(t) for t in (*sizes, *(capacity - sizes), *rests, *(capacity - rests))}
    rounded = [_threshold(capacity, t) for t in sorted(thresholds) if 0 < 2 * t <= capacity]
    return [weight_of_size(sizes, counts, capacity), *rounded]


def _threshold(capacity: int, least: int) -> Ints:
    """The dual-feasible function that rounds large sizes up to a whole bin and small ones down to nothing.

    Large is above capacity - least, small below `least` (Martello & Toth 1990, Fekete & Schepers 2001).
    """
    u = np.arange(capacity + 1, dtype=np.int64)
    u[u < least] = 0
    u[capacity - least + 1 :] = capacity
    return u


def _lightest(sides: _Sides, limit: int, u: Ints) -> Ints:
    """What each side weighs by `u` at least, whatever its split; shape (sides,)."""
    weights = [
        int(u[size]) if parts == 1 else split_weight(u, int(size), limit)
        for size, parts in zip(sides.size, sides.parts, strict=True)
    ]
    return np.array(weights, dtype=np.int64)
