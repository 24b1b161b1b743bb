"""One-dimensional packing: few sizes in large numbers into bins, with a proven lower bound.

Column generation (Gilmore & Gomory 1961) with an exact knapsack, rounded to integers by a small program
over the generated patterns. The bound comes from the duals, made integer and verified by the same knapsack.

Items may also be cut in two to fill what whole ones leave of a bin: where they lie one above the other, row cuts. Any
items of at most a bin's capacity, laid end to end and cut where a bin ends, fill all bins but the last, and none is
cut more than once (McNaughton 1959). Fewer cuts do: the linear program of cutting stock, in which an item of size s
may become one of size a and one of s - a, at a small price.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, gcd
from typing import NamedTuple

import numpy as np

from cimsolve.columns import Ints, ceil_div
from cimsolve.errors import InfeasibleError, InputError
from cimsolve.pack.covering import (
    LARGEST_DEMAND,
    SCALE,
    Pool,
    Relaxation,
    cover_residual,
    dot,
    generate,
    integer_duals,
    trim,
)
from cimsolve.pack.knapsack import knapsack, unlimited
from cimsolve.pack.programs import solve_linear

MAXIMAL_PATTERNS = 400  # up to so many maximal patterns are all offered to the integer program
CUT_PRICE = 1e-4
"""Price of a cut, in bins: of ways with as few bins, the one with fewest cuts is taken."""
CUT_ROUNDS = 200
CUT_TOLERANCE = 1e-6
"""What counts as nothing in the linear program, in its own units."""


@dataclass(frozen=True, eq=False)
class CuttingStock:
    """A packing: `patterns[p]` (n_sizes,) items a bin, used `multiplicity[p]` times; covers counts exactly."""

    patterns: Ints
    multiplicity: Ints
    bins: int
    lower: int


def solve_cutting_stock(sizes: Sequence[int] | Ints, counts: Sequence[int] | Ints, capacity: int) -> CuttingStock:
    """Pack `counts[i]` items of `sizes[i]` into as few bins of `capacity` as found, with a proven bound."""
    size, count = checked_items(sizes, counts, capacity, "size")
    if not count.any():
        empty = np.zeros((0, len(size)), dtype=np.int64)
        return CuttingStock(empty, empty[:, :0].sum(axis=1), 0, 0)
    patterns, multiplicity = first_fit_decreasing(size, count, capacity)
    lower = martello_toth(size, count, capacity)
    if multiplicity.sum() > lower:  # no linear program, which takes long to load, beats a packing that meets a bound
        pool, relaxation = column_generation(size, count, capacity)
        lower = max(lower, proven_bound(size, count, capacity, relaxation)[0])
        if multiplicity.sum() > lower:
            for pattern in maximal_patterns(size, np.minimum(count, capacity // size), capacity):
                pool.add(pattern)
            patterns, multiplicity = _round(pool, relaxation, size, count, capacity, lower)
    runs = trim(patterns, multiplicity, count)
    return CuttingStock(
        np.asarray([content for _, content, _ in runs], dtype=np.int64),
        np.asarray([times for _, _, times in runs], dtype=np.int64),
        sum(times for _, _, times in runs),
        lower,
    )


def weight_of_size(sizes: Sequence[int] | Ints, counts: Sequence[int] | Ints, capacity: int) -> Ints:
    """An integer superadditive function u of a size, shape (capacity + 1,), that proves much for these items.

    Sizes that fit together in one bin weigh at most u(capacity). So for any items, also ones split in free ways,
    ceil(sum u / u(capacity)) bins are needed (Fekete & Schepers 2001: a dual-feasible function).
    """
    size, count = checked_items(sizes, counts, capacity, "size")
    if not count.any():
        return np.arange(capacity + 1)
    return proven_bound(size, count, capacity, column_generation(size, count, capacity)[1])[1]


def checked_items(
    sizes: Sequence[int] | Ints, counts: Sequence[int] | Ints, capacity: int, what: str
) -> tuple[Ints, Ints]:
    """Sizes and counts as integer arrays; raises what a caller must know before any search."""
    size, count = np.asarray(sizes, dtype=np.int64), np.asarray(counts, dtype=np.int64)
    if size.ndim != 1 or size.shape != count.shape:
        raise InputError(f"{what}s and counts must be two lists of one length")
    if np.any(size < 1) or np.any(count < 0) or capacity < 1:
        raise InputError(f"{what}s and capacity must be positive, counts not negative")
    if np.any((size > capacity) & (count > 0)):
        raise InfeasibleError(f"a {what} of {int(size[count > 0].max())} does not fit into {capacity}")
    return size, count


def column_generation(size: Ints, count: Ints, capacity: int, limits: Ints | None = None) -> tuple[Pool, Relaxation]:
    """Optimal linear relaxation over all patterns, each with at most `limits` (default `count`) of a size."""
    most = np.minimum(count if limits is None else limits, capacity // size)
    pool = Pool(len(size))
    dense = np.minimum(first_fit_decreasing(size, count, capacity)[0], most)
    for pattern in (*np.diag(np.maximum(most, capacity >= size)), *dense):
        pool.add(pattern)

    def price(values: Ints) -> list[tuple[int, Ints]]:
        filled = knapsack(size, values, most, capacity)
        return [(int(filled.best[-1]), filled.pick(capacity))]

    return pool, generate(pool, count, price)


def proven_bound(size: Ints, count: Ints, capacity: int, relaxation: Relaxation) -> tuple[int, Ints]:
    """Bins no packing can go below, and the dual-feasible function u(0..capacity) behind it.

    For integer duals y, M = max value of a pattern (exact knapsack): every packing needs at least
    sum(count * y) / M bins, whatever y is. u is the unbounded knapsack's value, superadditive by definition.
    """
    lower, best, weights = 0, -1.0, np.arange(capacity + 1)
    for y in integer_duals(np.where(count > 0, relaxation.duals, 0.0)):
        if not y.any():
            continue
        limited = int(knapsack(size, y, np.minimum(count, capacity // size), capacity).best[-1])
        u = knapsack(size, y, unlimited(size, capacity), capacity).best
        weight, most = dot(count, u[np.minimum(size, capacity)]), int(u[-1])
        lower = max(lower, ceil_div(dot(count, y), limited), ceil_div(weight, most))
        if weight / most > best:
            best, weights = weight / most, u
    return lower, weights


def martello_toth(size: Ints, count: Ints, capacity: int) -> int:
    """The bound L2 of Martello & Toth (1990) on the number of bins.

    For each threshold a, items above capacity - a are alone, items above half take a bin each, and items of a..half
    must use those bins' room before they open new ones. Threshold 0 gives L1, the total size over capacity.
    """
    best = 0
    for a in {0, *(int(s) for s in size if 2 * s <= capacity)}:
        alone = (size > capacity - a) & (2 * size > capacity)
        large = ~alone & (2 * size > capacity)
        small = (2 * size <= capacity) & (size >= a)
        bins = int(count[alone].sum() + count[large].sum())
        room = int(count[large].sum()) * capacity - dot(size[large], count[large])
        best = max(best, bins + max(0, ceil_div(dot(size[small], count[small]) - room, capacity)))
    return best


def first_fit_decreasing(size: Ints, count: Ints, capacity: int) -> tuple[Ints, Ints]:
    """First-fit decreasing bin by bin, equal bins at once: patterns and multiplicities."""
    left, order = count.copy(), np.argsort(-size, kind="stable")
    patterns, times = [], []
    while left.any():
        pattern, room = np.zeros_like(count), capacity
        for i in order:
            pattern[i] = min(int(left[i]), room // int(size[i]))
            room -= int(pattern[i] * size[i])
        used = pattern > 0
        repeat = int((left[used] // pattern[used]).min())
        left -= repeat * pattern
        patterns.append(pattern)
        times.append(repeat)
    return np.asarray(patterns, dtype=np.int64).reshape(-1, len(size)), np.asarray(times, dtype=np.int64)


def maximal_patterns(size: Ints, most: Ints, capacity: int) -> list[Ints]:
    """All patterns no item can be added to, or none at all if they are more than MAXIMAL_PATTERNS."""
    order = [int(i) for i in np.argsort(-size, kind="stable") if most[i] > 0]
    found: list[Ints] = []
    pattern = np.zeros(len(size), dtype=np.int64)
    visits = 0

    def extend(depth: int, room: int) -> bool:
        nonlocal visits
        visits += 1
        if visits > 20 * MAXIMAL_PATTERNS or len(found) > MAXIMAL_PATTERNS:
            return False
        if depth == len(order):
            if all(size[i] > room or pattern[i] == most[i] for i in order):
                found.append(pattern.copy())
            return True
        i = order[depth]
        for n in range(min(int(most[i]), room // int(size[i])), -1, -1):
            pattern[i] = n
            if not extend(depth + 1, room - n * int(size[i])):
                return False
        pattern[i] = 0
        return True

    return found if extend(0, capacity) and len(found) <= MAXIMAL_PATTERNS else []


def _round(pool: Pool, relaxation: Relaxation, size: Ints, count: Ints, capacity: int, lower: int) -> tuple[Ints, Ints]:
    """Whole patterns: the relaxation rounded down (and then some, for freedom), the rest by search."""
    best = first_fit_decreasing(size, count, capacity)
    matrix = pool.matrix()
    x = np.zeros(len(matrix), dtype=np.int64)
    x[: len(relaxation.x)] = np.floor(relaxation.x + 1e-6).astype(np.int64)
    for step_back in (0, 2):
        base = np.maximum(x - step_back, 0)
        rest = np.maximum(count - base @ matrix, 0)
        patterns, times = first_fit_decreasing(size, rest, capacity)
        most = int(min(base.sum() + times.sum(), best[1].sum()) - base.sum()) - 1
        if most >= lower - base.sum() and (cover := cover_residual(matrix, rest, most)) is not None:
            patterns, times = matrix, cover
        if base.sum() + times.sum() < best[1].sum():
            best = np.concatenate([matrix, patterns]), np.concatenate([base, times])
        if best[1].sum() <= lower:
            break
    return best


class Cut(NamedTuple):
    """So many items of `size` cut in two, `part` and `size - part`."""

    size: int
    part: int
    items: int


def cuts_that_fill(sizes: Sequence[int] | Ints, counts: Sequence[int] | Ints, capacity: int) -> list[Cut]:
    """Which of `counts[i]` items of `sizes[i]` to cut in two so that they need the least bins of `capacity`.

    Sizes, all of at most `capacity`, are distinct. Cuts lie on the grid of the sizes' common divisor with the
    capacity, which loses nothing: laid end to end, items end on it too.
    """
    grid = gcd(capacity, *(int(size) for size in sizes))
    size: Ints = np.arange(1, max(sizes) // grid + 1, dtype=np.int64)
    room = capacity // grid
    need = np.zeros(len(size))
    need[np.asarray(sizes, dtype=np.int64) // grid - 1] = counts
    unit = max(1.0, float(need.max()) / LARGEST_DEMAND)
    choices = [(whole, part) for whole in (np.flatnonzero(need) + 1).tolist() for part in range(1, whole // 2 + 1)]
    split = np.zeros((len(choices), len(size)))
    for row, (whole, part) in enumerate(choices):
        split[row, whole - 1] += 1
        split[row, part - 1] -= 1
        split[row, whole - part - 1] -= 1
    pool = Pool(len(size))
    for each in size.tolist():
        pool.add(np.where(size == each, room // each, 0))
    for _ in range(CUT_ROUNDS):
        patterns = pool.matrix()
        price = np.concatenate([np.ones(len(patterns)), np.full(len(choices), CUT_PRICE)])
        columns = np.concatenate([patterns, split])
        solved = solve_linear(price, -columns.T, -need / unit)
        if solved is None:
            raise RuntimeError("cuts that fill: no solution")
        found = solved
        worth = np.floor(np.clip(found.prices, 0.0, 1.0) * SCALE).astype(np.int64)
        filled = knapsack(size, worth, unlimited(size, room), room)
        if filled.best[-1] <= SCALE + 64 or not pool.add(filled.pick(room)):
            break
    left = dict(zip(map(int, sizes), map(int, counts), strict=True))
    cuts: list[Cut] = []
    for (whole, part), times in zip(choices, found.x[len(patterns) :], strict=True):
        items = min(left[whole * grid], ceil((times - CUT_TOLERANCE) * unit))
        if items > 0:
            cuts.append(Cut(whole * grid, part * grid, items))
            left[whole * grid] -= items
    return cuts
