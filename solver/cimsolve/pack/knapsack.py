"""The integer knapsack: prices patterns, proves dual bounds, builds dual-feasible functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cimsolve.columns import Ints


@dataclass(frozen=True, eq=False)
class Knapsack:
    """Tables of a solved knapsack over every capacity 0..c, one a step.

    A step offers `multiple` copies of item `item` at once (1, 2, 4, ... and a rest: every number up to
    the item's limit is a subset sum). `tables[t, x]` is the largest value of total size <= x after t steps.
    """

    sizes: Ints
    steps: list[tuple[int, int]]
    tables: Ints
    steps_after: list[int]  # steps that belong to the first i items, (items + 1,)

    @property
    def best(self) -> Ints:
        """Value by capacity, (capacity + 1,)."""
        return np.asarray(self.tables[-1])

    def pick(self, capacity: int, items: int | None = None) -> Ints:
        """How many of each item an optimal filling of `capacity` by the first `items` items takes."""
        taken = np.zeros(len(self.sizes), dtype=np.int64)
        left = capacity
        for t in range(len(self.steps) if items is None else self.steps_after[items], 0, -1):
            if self.tables[t, left] > self.tables[t - 1, left]:
                item, multiple = self.steps[t - 1]
                taken[item] += multiple
                left -= multiple * int(self.sizes[item])
        return taken


def multiples(limit: int) -> list[int]:
    """1, 2, 4, ..., rest: every integer 0..limit is a subset sum, none is larger."""
    parts = []
    step = 1
    while limit > 0:
        parts.append(min(step, limit))
        limit -= parts[-1]
        step *= 2
    return parts


def knapsack(
    sizes: Sequence[int] | Ints, values: Sequence[int] | Ints, limits: Sequence[int] | Ints, capacity: int
) -> Knapsack:
    """Maximise sum(values * n) with sum(sizes * n) <= x and 0 <= n <= limits, for all x = 0..capacity.

    Exact: sizes, values and limits are integers, values * capacity must stay below 2^62.
    """
    steps: list[tuple[int, int]] = []
    after = [0]
    for i, (s, v, most) in enumerate(zip(sizes, values, limits, strict=True)):
        if v > 0:
            steps += [(i, k) for k in multiples(min(int(most), capacity // int(s)))]
        after.append(len(steps))
    tables = np.zeros((len(steps) + 1, capacity + 1), dtype=np.int64)
    for t, (i, k) in enumerate(steps):
        shift = k * int(sizes[i])
        tables[t + 1] = tables[t]
        np.maximum(tables[t, shift:], tables[t, : capacity + 1 - shift] + k * int(values[i]), out=tables[t + 1, shift:])
    return Knapsack(np.asarray(sizes, dtype=np.int64), steps, tables, after)


def unlimited(sizes: Sequence[int] | Ints, capacity: int) -> Ints:
    """Limits that do not bind: as many of each size as fit."""
    return np.asarray([capacity // int(s) for s in sizes], dtype=np.int64)


def largest_filling(sizes: Sequence[int] | Ints, capacity: int) -> int:
    """The largest sum of `sizes` (repeats allowed) that is at most `capacity`."""
    return int(knapsack(sizes, sizes, unlimited(sizes, capacity), capacity).best[-1])
