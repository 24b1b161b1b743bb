"""How few arrays could possibly do: bounds that hold for free placement, in exact integer arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from cimsolve.columns import Ints, ceil_div, sum_by
from cimsolve.errors import InputError
from cimsolve.pack.covering import dot, integer_duals
from cimsolve.pack.cutting_stock import column_generation, first_fit_decreasing, martello_toth, proven_bound
from cimsolve.pack.knapsack import knapsack, largest_filling

ALTERNATIONS = 2  # rounds of improving one axis' weights while the other's are fixed
STARTS = 3  # products of weights from which that is tried


def lower_bound_area(heights: Ints, widths: Ints, counts: Ints, rows: int, cols: int) -> int:
    """Cells of all blocks over cells of an array, rounded up."""
    return ceil_div(dot([int(h) * int(w) for h, w in zip(heights, widths, strict=True)], counts), rows * cols)


def lower_bound_columns(heights: Ints, widths: Ints, counts: Ints, rows: int, cols: int) -> int:
    """Column bound: each column of a block is an item of its height, packed into array columns of `rows`.

    Blocks may be cut between columns, so it holds with column cuts too; an array has `cols` columns.
    """
    size, first = np.unique(heights, return_inverse=True)
    columns = sum_by(first, np.asarray(widths, dtype=np.int64) * np.asarray(counts, dtype=np.int64), len(size))
    keep = columns > 0
    if not keep.any():
        return 0
    size, columns = size[keep], columns[keep]
    lower = martello_toth(size, columns, rows)
    if lower < first_fit_decreasing(size, columns, rows)[1].sum():  # no bound is above a packing
        lower = max(lower, proven_bound(size, columns, rows, column_generation(size, columns, rows)[1])[0])
    return ceil_div(lower, cols)


def lower_bound_rows(heights: Ints, widths: Ints, counts: Ints, rows: int, cols: int) -> int:
    """Row bound: each row of a block is an item of its width, packed into array rows of `cols`.

    It holds only where no block is cut; an array has `rows` rows.
    """
    return lower_bound_columns(widths, heights, counts, cols, rows)


def lower_bound_uncut(heights: Ints, widths: Ints, counts: Ints, rows: int, cols: int, target: int) -> tuple[int, str]:
    """The best bound for whole blocks placed freely, and its name; stops early where one reaches `target`.

    Pushed up and left, a packing ends at sums of heights and of widths: only the largest such sums count.
    """
    reach_rows, reach_cols = largest_filling(heights, rows), largest_filling(widths, cols)
    best = lower_bound_area(heights, widths, counts, reach_rows, reach_cols), "area"
    for name, bound in (("columns", lower_bound_columns), ("rows", lower_bound_rows), ("dff", lower_bound_dff)):
        if best[0] < target and (value := bound(heights, widths, counts, reach_rows, reach_cols)) > best[0]:
            best = value, name
    return best


def lower_bound_dff(heights: Ints, widths: Ints, counts: Ints, rows: int, cols: int) -> int:
    """Largest sum of counts * u1(height) * u2(width) over products of dual-feasible weights.

    Fekete & Schepers (2001): where u1 and u2 keep every set that fits side by side within 1, blocks resized
    to u1 x u2 still fit, so their area bounds the arrays. u1 and u2 are any integers here, made feasible by
    dividing by their exact knapsack maximum. From the best products of the known families, each axis in
    turn gets the weights that are optimal for the other's: the duals of a one-dimensional packing problem.
    """
    high, wide = _Axis(heights, counts, rows), _Axis(widths, counts, cols)
    pairs = sorted(
        ((_product(u, v, counts), i, j) for i, u in enumerate(high.weights) for j, v in enumerate(wide.weights)),
        key=lambda p: (-p[0], p[1], p[2]),
    )
    best = pairs[0][0]
    for start, i, j in pairs[:STARTS]:
        u, v, value = high.weights[i], wide.weights[j], start
        for _ in range(ALTERNATIONS):
            u = max([u, *high.improved(v)], key=lambda w: _product(w, v, counts))
            v = max([v, *wide.improved(u)], key=lambda w: _product(u, w, counts))
            if _product(u, v, counts) <= value:
                break
            value = _product(u, v, counts)
        best = max(best, value)
    return ceil_div(best.numerator, best.denominator)


Weights = tuple[Ints, int]  # weight of each type, and the most that fits into one array


def _product(u: Weights, v: Weights, counts: Ints) -> Fraction:
    """Area of the resized blocks in resized arrays."""
    cells = [int(a) * int(b) for a, b in zip(u[0], v[0], strict=True)]
    return Fraction(dot(cells, counts), u[1] * v[1])


class _Axis:
    """Feasible weights of the block types along one axis."""

    def __init__(self, sizes: Ints, counts: Ints, capacity: int) -> None:
        self.sizes, self.counts, self.capacity = sizes, counts, capacity
        self.limits = np.minimum(counts, capacity // sizes)
        families = _families(sizes, capacity)
        distinct = {weights.tobytes(): weights for weights in families if weights.any()}
        self.weights = [self.verified(w) for w in distinct.values()]

    def verified(self, weights: Ints) -> Weights:
        """The weights with their exact maximum over all sets of the instance that fit."""
        return weights, int(knapsack(self.sizes, weights, self.limits, self.capacity).best[-1])

    def improved(self, other: Weights) -> list[Weights]:
        """Weights that are best for fixed weights of the other axis: duals of demands counts * other."""
        demand = np.asarray([int(c) * int(o) for c, o in zip(self.counts, other[0], strict=True)], dtype=float)
        scaled = np.ceil(demand * (1e9 / demand.max())).astype(np.int64)  # demands only steer, they prove nothing
        _, relaxation = column_generation(self.sizes, scaled, self.capacity, limits=self.limits)
        return [self.verified(y) for y in integer_duals(relaxation.duals) if y.any()]


def _families(sizes: Ints, capacity: int) -> list[Ints]:
    """Known dual-feasible functions at the given sizes, in integers (Fekete & Schepers 2001, section 3)."""
    found = [sizes]
    for k in range(1, 17):  # u^(k): round to multiples of 1/(k+1)
        x = (k + 1) * sizes
        found.append(np.where(x % capacity == 0, k * sizes, x // capacity * capacity))
    for e in sorted({int(s) for s in sizes if 2 * s <= capacity}):
        found.append(np.where(sizes > capacity - e, capacity, np.where(sizes < e, 0, sizes)))  # U^(e)
        small = np.where(sizes < e, 0, 1)  # phi^(e)
        found.append(np.where(2 * sizes > capacity, capacity // e - (capacity - sizes) // e, small))
    return found


def split_weight(u: Ints, height: int, limit: int) -> int:
    """Least weight of `height` rows cut into the fewest parts, ceil(height / limit), each 1..limit rows.

    `u` (capacity + 1,) is a dual-feasible function by size. Whatever sizes the parts get, they weigh at
    least this together. With k parts of limit - d_i rows the shortfalls d_i add up to k * limit - height.
    """
    if height < 1 or not 1 <= limit < len(u):
        raise InputError(f"cannot split {height} rows into parts of at most {limit} with weights up to {len(u) - 1}")
    parts = ceil_div(height, limit)
    shortfall = parts * limit - height
    one = np.asarray(u[limit - np.arange(shortfall + 1)], dtype=np.int64)
    total: Ints | None = None
    while parts:  # min-plus power by squaring
        if parts & 1:
            total = one if total is None else _min_plus(total, one)
        parts >>= 1
        if parts:
            one = _min_plus(one, one)
    assert total is not None
    return int(total[shortfall])


def _min_plus(a: Ints, b: Ints) -> Ints:
    """c[n] = min over i of a[i] + b[n - i], for n below the common length."""
    out = a + b[0]
    for i in range(1, len(b)):
        np.minimum(out[i:], a[: len(a) - i] + b[i], out=out[i:])
    return np.asarray(out)
