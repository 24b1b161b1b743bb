"""Small vectorised helpers on integer columns that several rooms share."""

from __future__ import annotations

import math
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Bools: TypeAlias = npt.NDArray[np.bool_]
Whole = TypeVar("Whole", int, Ints)

MIXED_MAX = 2**62


def ceil_div(value: Whole, divisor: int) -> Whole:
    """Integer division rounded up, of a number or elementwise."""
    return -(-value // divisor)


def sum_by(group: Ints, values: Ints, groups: int) -> Ints:
    """Exact int64 sum of `values` per group; `np.bincount` would go through float64."""
    total = np.zeros(groups, dtype=np.int64)
    np.add.at(total, group, values.astype(np.int64, copy=False))
    return total


def max_by(group: Ints, values: Ints, groups: int) -> Ints:
    """Largest of `values` per group, 0 where a group is empty; values must not be negative."""
    top = np.zeros(groups, dtype=np.int64)
    np.maximum.at(top, group, values.astype(np.int64, copy=False))
    return top


def order_by(*keys: Ints, most: int | None = None) -> Ints:
    """Indices that sort by the keys, the first of them first; entries equal in all stay in their order.

    All have shape (n,); keys must not be negative. `most`: only so many of the indices, the first.
    """
    count = len(keys[0])
    place = 1 << count.bit_length()
    spans = [1 << int(key.max(initial=0)).bit_length() for key in keys]
    if place * math.prod(spans) > MIXED_MAX:
        return np.lexsort(keys[::-1])[:most]
    # One number, of the keys and the index, is sorted much faster than key by key.
    mixed, index = np.arange(count, dtype=np.int64), place - 1
    for key, span in zip(reversed(keys), reversed(spans), strict=True):
        if span > 1:
            mixed += np.multiply(key, place, dtype=np.int64)
            place *= span
    if most is not None and most < count:
        mixed.partition(most)
        mixed = mixed[:most]
    mixed.sort()
    mixed &= index
    return mixed


def ranked(values: Ints) -> tuple[Ints, Ints]:
    """The distinct values, ascending, and for each entry which of them it is; shapes (distinct,), (n,)."""
    low, high = (int(values.min()), int(values.max())) if len(values) else (0, -1)
    if low < 0 or high > 4 * len(values):  # no table of all up to the largest
        distinct, number = np.unique(values, return_inverse=True)
        return distinct, number.reshape(-1).astype(np.int64)
    known = np.zeros(high + 1, dtype=bool)
    known[values] = True
    return np.flatnonzero(known), (np.cumsum(known) - 1)[values]


def number_of(*keys: Ints) -> Ints:
    """Number the distinct combinations of `keys` in lexicographic order; none may be below 0; shape (n,) each."""
    order = order_by(*keys)
    changes = np.zeros(len(order), dtype=bool)
    for key in keys:
        ordered = key[order]
        changes[1:] |= ordered[1:] != ordered[:-1]
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.cumsum(changes)
    return number


def merge_intervals(group: Ints, start: Ints, end: Ints) -> tuple[Ints, Ints, Ints]:
    """Unions of half-open intervals within each group, as (group, start, end) sorted by group and start.

    Touching intervals become one. All arrays have shape (intervals,); starts must not be negative.
    """
    # One number line for all groups: a running maximum of the ends can then never cross into the next group.
    span = int(end.max(initial=0)) + 2
    low = group.astype(np.int64) * span + start
    order = order_by(low)
    low = low[order]
    high = (group.astype(np.int64) * span + end)[order]
    opens = np.ones(len(low), dtype=bool)
    opens[1:] = low[1:] > np.maximum.accumulate(high)[:-1]
    first = np.flatnonzero(opens)
    merged_group = low[first] // span
    return merged_group, low[first] - merged_group * span, np.maximum.reduceat(high, first) - merged_group * span


def deepest_stack(group: Ints, start: Ints, end: Ints, weight: Ints, groups: int) -> Ints:
    """Per group, the largest sum of `weight` over the intervals that cover one position; shape (groups,)."""
    span = int(end.max(initial=0)) + 2
    base = group.astype(np.int64) * span
    position = np.concatenate([base + start, base + end])
    change = np.concatenate([weight, -weight]).astype(np.int64)
    # At equal positions ends come first: half-open intervals that touch do not stack.
    order = np.lexsort((change > 0, position))
    depth = np.cumsum(change[order])
    return max_by(np.concatenate([group, group])[order], np.maximum(depth, 0), groups)


def running_offsets(group: Ints, values: Ints) -> Ints:
    """Exclusive running sum of `values` within each run of equal `group`; `group` must be sorted."""
    if len(group) == 0:
        return np.zeros(0, dtype=np.int64)
    total = np.cumsum(values, dtype=np.int64) - values
    first = np.flatnonzero(np.append(True, group[1:] != group[:-1]))
    lengths = np.diff(np.append(first, len(group)))
    return np.asarray(total - np.repeat(total[first], lengths))


def overlap_clusters(group: Ints, start: Ints, end: Ints) -> Ints:
    """Number the chains of overlapping half-open intervals within each group; shape (intervals,).

    Intervals that only touch are in different chains. Overlap along a chain makes equality carry over: where
    any two overlapping intervals must agree on something, all of a chain must.
    """
    _, compact = ranked(group)
    span = int(end.max(initial=0)) + 1
    low = compact * span + start
    order = order_by(low)
    reach = np.maximum.accumulate((compact * span + end)[order])
    opens = np.ones(len(order), dtype=bool)
    opens[1:] = low[order][1:] >= reach[:-1]
    cluster = np.empty(len(order), dtype=np.int64)
    cluster[order] = np.cumsum(opens) - 1
    return cluster


def departs_from_group(group: Ints, *columns: Ints) -> Bools:
    """Entries that differ in any column from the one before them in their group; shape (entries,)."""
    order = order_by(group)
    differs = np.zeros(len(group), dtype=bool)
    within = group[order][1:] == group[order][:-1]
    for column in columns:
        differs[order[1:]] |= within & (column[order][1:] != column[order][:-1])
    return differs


def meets_intervals(merged: tuple[Ints, Ints, Ints], group: Ints, start: Ints, end: Ints) -> Bools:
    """Whether each half-open interval shares a position with those of its group in `merged`.

    `merged` is what `merge_intervals` returns; the result has the shape of `group`.
    """
    known_group, known_start, known_end = merged
    if not len(known_group) or not len(group):
        return np.zeros(len(group), dtype=bool)
    span = int(max(known_end.max(), end.max())) + 1
    # The last known interval that begins before this one ends: no other of the group can reach further.
    last = np.searchsorted(known_group * span + known_start, group.astype(np.int64) * span + end) - 1
    found = np.maximum(last, 0)
    return np.asarray((last >= 0) & (known_group[found] == group) & (known_end[found] > start))


def overlapping_pair(group: Ints, top: Ints, bottom: Ints, left: Ints, right: Ints) -> tuple[int, int] | None:
    """Two half-open rectangles of one group that share a cell, or None; all arrays have shape (rectangles,).

    A segment tree over the rows, level by level: a row range is made up of O(log rows) aligned intervals, the
    tree's nodes. Two row ranges meet exactly where a node of one lies in, or is, a node of the other. So on
    every node the rectangles made up of it must be apart in their columns, and apart from those that have a
    node below it. Takes O(n log rows) steps, and memory in proportion to n, whatever the size of the arrays.
    """
    if not len(group):
        return None
    position = (group.astype(np.int64) * (int(top.max()) + 1) + top) * (int(left.max()) + 1) + left
    first, last = runs_of_touching(position, group, top, bottom, left, right)
    # Where the runs are apart so are their members; only what is wrong is looked for among all of them.
    if _pair_in_tree(group[first], top[first], bottom[first], left[first], right[last]) is None:
        return None
    return _pair_in_tree(group, top, bottom, left, right)


def runs_of_touching(
    position: Ints, group: Ints, top: Ints, bottom: Ints, left: Ints, right: Ints
) -> tuple[Ints, Ints]:
    """First and last of each run of rectangles of one group and equal rows of which each begins where another ends.

    A run covers what its members cover. `position` sorts by group, top and left; all arrays have shape (rectangles,).
    """
    order = order_by(position)
    one, after = order[:-1], order[1:]
    alike = (group[one] == group[after]) & (top[one] == top[after]) & (bottom[one] == bottom[after])
    starts = np.flatnonzero(np.append(True, ~(alike & (right[one] == left[after]))))
    return order[starts], order[np.append(starts[1:], len(order)) - 1]


def _pair_in_tree(group: Ints, top: Ints, bottom: Ints, left: Ints, right: Ints) -> tuple[int, int] | None:
    """What `overlapping_pair` returns, by its segment tree."""
    low, high = top.astype(np.int64), bottom.astype(np.int64)
    shift = 0
    while len(left) and (low < high).any():
        odd_low, odd_high = (low < high) & (low % 2 == 1), (low < high) & (high % 2 == 1)
        owner = np.concatenate([np.flatnonzero(odd_low), np.flatnonzero(odd_high)])
        node = np.concatenate([low[odd_low], high[odd_high] - 1])
        found = _clash_on_nodes((group, top, bottom, left, right), owner, node, shift)
        if found is not None:
            return found
        low, high, shift = (low + 1) // 2, high // 2, shift + 1
    return None


def _clash_on_nodes(
    rectangles: tuple[Ints, Ints, Ints, Ints, Ints], owner: Ints, node: Ints, shift: int
) -> tuple[int, int] | None:
    """Overlap on one level of the tree: of `owner`, numbers of rectangles made up of a `node` each, with any there."""
    if not len(owner):
        return None
    group, top, bottom, left, right = rectangles
    nodes, span = int(bottom.max()) + 2, int(right.max()) + 1
    key = (group[owner].astype(np.int64) * nodes + node) * span + left[owner]
    order = order_by(key)
    owner, key = owner[order], key[order]
    line = key // span
    reach = line * span + right[owner]
    clash = np.flatnonzero((line[1:] == line[:-1]) & (key[1:] < reach[:-1]))
    if len(clash):
        return int(owner[clash[0]]), int(owner[clash[0] + 1])
    # Nodes that a rectangle touches without covering them: those with a node of it below.
    first, last = top >> shift, (bottom - 1) >> shift
    upper = (first << shift < top) | ((first + 1) << shift > bottom)
    lower = (last != first) & ((last + 1) << shift > bottom)
    part = np.concatenate([np.flatnonzero(upper), np.flatnonzero(lower)])
    part_line = group[part].astype(np.int64) * nodes + np.concatenate([first[upper], last[lower]])
    at = np.searchsorted(key, part_line * span + right[part]) - 1
    hit = (at >= 0) & (reach[np.maximum(at, 0)] > part_line * span + left[part])
    if hit.any():
        which = int(np.argmax(hit))
        return int(owner[at[which]]), int(part[which])
    return None
