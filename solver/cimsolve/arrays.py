"""Small vectorised helpers on integer columns that several rooms share."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[np.integer[Any]]
Floats: TypeAlias = npt.NDArray[np.floating[Any]]
Bools: TypeAlias = npt.NDArray[np.bool_]


def ceil_div(value: Ints, divisor: int) -> Ints:
    """Integer division rounded up, elementwise."""
    return -(-value // divisor)


def sum_by(group: Ints, values: Ints, groups: int) -> Ints:
    """Exact int64 sum of `values` per group; `np.bincount` would go through float64."""
    total = np.zeros(groups, dtype=np.int64)
    np.add.at(total, group, values.astype(np.int64))
    return total


def max_by(group: Ints, values: Ints, groups: int) -> Ints:
    """Largest of `values` per group, 0 where a group is empty; values must not be negative."""
    top = np.zeros(groups, dtype=np.int64)
    np.maximum.at(top, group, values.astype(np.int64))
    return top


def merge_intervals(group: Ints, start: Ints, end: Ints) -> tuple[Ints, Ints, Ints]:
    """Unions of half-open intervals within each group, as (group, start, end) sorted by group and start.

    Touching intervals become one. All arrays have shape (intervals,); starts must not be negative.
    """
    if len(group) == 0:
        empty = np.zeros(0, dtype=np.int64)
        return empty, empty, empty
    # One number line for all groups: a running maximum of the ends can then never cross into the next group.
    span = int(end.max()) + 2
    low = group.astype(np.int64) * span + start
    order = np.argsort(low, kind="stable")
    low = low[order]
    high = (group.astype(np.int64) * span + end)[order]
    reach = np.maximum.accumulate(high)
    opens = np.ones(len(low), dtype=bool)
    opens[1:] = low[1:] > reach[:-1]
    first = np.flatnonzero(opens)
    closes = np.append(first[1:] - 1, len(low) - 1)
    merged_group = low[first] // span
    return merged_group, low[first] - merged_group * span, reach[closes] - merged_group * span


def deepest_stack(group: Ints, start: Ints, end: Ints, weight: Ints, groups: int) -> Ints:
    """Per group, the largest sum of `weight` over the intervals that cover one position; shape (groups,)."""
    if len(group) == 0:
        return np.zeros(groups, dtype=np.int64)
    span = int(end.max()) + 2
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

    Intervals that only touch are in different chains. Overlap along a chain makes equality carry over: where any
    two overlapping intervals must agree on something, all of a chain must.
    """
    if len(group) == 0:
        return np.zeros(0, dtype=np.int64)
    _, compact = np.unique(group, return_inverse=True)
    span = int(end.max()) + 1
    low = compact.astype(np.int64) * span + start
    order = np.argsort(low, kind="stable")
    reach = np.maximum.accumulate((compact.astype(np.int64) * span + end)[order])
    opens = np.ones(len(order), dtype=bool)
    opens[1:] = low[order][1:] >= reach[:-1]
    cluster = np.empty(len(order), dtype=np.int64)
    cluster[order] = np.cumsum(opens) - 1
    return cluster
