"""The most valuable 3-stage guillotine pattern of one array, exact by dynamic programming.

Gilmore & Gomory (1965): the array is cut into shelves, a shelf into stacks side by side, a stack into
items on top of each other. With v the value of an item of h rows and c columns:

    g(W, H) = best stack: knapsack over the heights of items with c <= W, capacity H
    s(H)    = best shelf: knapsack over stacks (width W, value g(W, H)), capacity `cols`
    best    = knapsack over shelves (height H, value s(H)), capacity `rows`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

import numpy as np

from cimsolve.columns import Ints
from cimsolve.pack.knapsack import Knapsack, knapsack, multiples, unlimited

TABLE_CELLS = 400_000  # shelf heights x columns of the largest exact table; beyond it heights are thinned out


@dataclass(frozen=True, eq=False)
class Pattern:
    """The blocks of one array: type, first row and first column of each, all (n_blocks,)."""

    type: Ints
    row: Ints
    col: Ints

    def counts(self, types: int) -> Ints:
        """Blocks by type, (types,)."""
        return np.bincount(self.type, minlength=types).astype(np.int64)

    def transposed(self) -> Pattern:
        """The pattern with rows and columns in each other's place."""
        return Pattern(self.type, self.col, self.row)

    def keep(self, content: Ints) -> Pattern:
        """The first `content[t]` blocks of every type t."""
        kept = np.sort(np.concatenate([np.flatnonzero(self.type == t)[:number] for t, number in enumerate(content)]))
        return Pattern(self.type[kept], self.row[kept], self.col[kept])


def pattern_from(blocks: Sequence[tuple[int, int, int]]) -> Pattern:
    """A pattern from (type, row, col) triples."""
    return Pattern(*np.asarray(blocks, dtype=np.int64).reshape(-1, 3).T)


class ShelfPricer:
    """Shelves of stacks for one set of block types; `price` may be called with any values."""

    def __init__(self, heights: Ints, widths: Ints, rows: int, cols: int) -> None:
        # The greatest common divisors are the grid all positions lie on.
        self.grid_rows, self.grid_cols = gcd(*heights.tolist()), gcd(*widths.tolist())
        self.heights, self.widths = heights // self.grid_rows, widths // self.grid_cols
        self.rows, self.cols = rows // self.grid_rows, cols // self.grid_cols
        self.order = np.lexsort((self.heights, self.widths))  # by width: a stack of width W takes a prefix

    def price(self, values: Ints, limits: Ints) -> tuple[int, Pattern]:
        """Best value and pattern; a stack holds at most `limits[t]` blocks of type t."""
        order = self.order
        fits = (self.heights[order] <= self.rows) & (self.widths[order] <= self.cols)
        stacks = knapsack(self.heights[order], np.where(fits, values[order], 0), limits[order], self.rows)
        ends = np.flatnonzero(np.diff(self.widths[order], append=0)) + 1  # last type of each distinct width
        stack_widths = self.widths[order][ends - 1]
        stack_values = stacks.tables[[stacks.steps_after[e] for e in ends]]
        shelf_heights = self._shelf_heights(stack_values)
        stack_values = stack_values[:, shelf_heights]
        shelf_values = _fill_shelves(stack_widths, stack_values, self.cols)
        rising = np.diff(shelf_values, prepend=0) > 0  # a taller shelf of equal value is of no use
        shelf_heights, shelf_values = shelf_heights[rising], shelf_values[rising]
        if not len(shelf_heights):
            return 0, pattern_from([])
        array = knapsack(shelf_heights, shelf_values, unlimited(shelf_heights, self.rows), self.rows)
        blocks: list[tuple[int, int, int]] = []
        row = 0
        used = array.pick(self.rows)
        for shelf in np.flatnonzero(used)[::-1]:
            height = int(shelf_heights[shelf])
            shelf_blocks = self._cut_shelf(stacks, ends, stack_widths, stack_values[:, rising][:, shelf], height)
            for _ in range(int(used[shelf])):
                blocks += [(t, (row + r) * self.grid_rows, c * self.grid_cols) for t, r, c in shelf_blocks]
                row += height
        return int(array.best[-1]), pattern_from(blocks)

    def _shelf_heights(self, stack_values: Ints) -> Ints:
        """Heights where some stack gains value; no other shelf height can be needed."""
        heights = np.flatnonzero((np.diff(stack_values, axis=1, prepend=0) > 0).any(axis=0))
        most = max(2, TABLE_CELLS // (self.cols + 1))
        if len(heights) <= most:
            return heights
        single = np.intersect1d(heights, self.heights)
        spread = heights[np.linspace(0, len(heights) - 1, most).astype(np.int64)]
        return np.union1d(single, spread)

    def _cut_shelf(
        self, stacks: Knapsack, ends: Ints, stack_widths: Ints, values: Ints, height: int
    ) -> list[tuple[int, int, int]]:
        """(type, row, col) of the blocks in one shelf, on the grid."""
        shelf = knapsack(stack_widths, values, unlimited(stack_widths, self.cols), self.cols)
        blocks: list[tuple[int, int, int]] = []
        col = 0
        used = shelf.pick(self.cols)
        for stack in np.flatnonzero(used)[::-1]:
            content = stacks.pick(height, int(ends[stack]))
            for _ in range(int(used[stack])):
                row = 0
                for item in np.flatnonzero(content)[::-1]:
                    for _ in range(int(content[item])):
                        blocks.append((int(self.order[item]), row, col))
                        row += int(self.heights[self.order[item]])
                col += int(stack_widths[stack])
        return blocks


def _fill_shelves(widths: Ints, values: Ints, cols: int) -> Ints:
    """Best shelf value for every height at once: values (n_widths, n_heights) -> (n_heights,)."""
    table = np.zeros((values.shape[1], cols + 1), dtype=np.int64)
    for i, width in enumerate(widths.tolist()):
        if i and np.array_equal(values[i], values[i - 1]):
            continue  # a wider stack that holds nothing more
        for k in multiples(cols // width):
            shift = k * width
            offered = table[:, : cols + 1 - shift] + k * values[i][:, None]
            table[:, shift:] = np.maximum(table[:, shift:], offered)
    return np.asarray(table[:, -1])
