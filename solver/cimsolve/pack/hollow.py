"""Pairs of blocks that may fire together, many of them around few empty cells.

Blocks at (row band i, column band j) and (k, l) of an array fire together if the cells at (i, l) and (k, j) are
empty. In an n x n grid with an empty diagonal those at (i, j) and (j, i) do, for all i < j: n empty places serve
n (n - 1) / 2 pairs of equal blocks, where pairs packed apart keep two places each empty. Blocks of equal height and
different widths lie side by side in each place: first of (i, j) with second of (j, i), n (n - 1) pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

Size = tuple[int, int]
"""Rows and columns."""
Place = tuple[int, int]
"""First row and first column."""


@dataclass(frozen=True)
class Grid:
    """A rectangle of `size`, and where the two blocks of each of its pairs lie in it."""

    size: Size
    pairs: tuple[tuple[Place, Place], ...]


def single_pair(first: Size, second: Size) -> Grid:
    """Two blocks along a diagonal."""
    return Grid((first[0] + second[0], first[1] + second[1]), (((0, 0), first),))


def hollow_grid(first: Size, second: Size, order: int) -> Grid:
    """Pairs around an empty diagonal of `order` places; the blocks must be equally high or equally wide."""
    (rows, cols), below, beside = first, 0, 0  # the second's place below or beside the first's
    if first != second and first[0] == second[0]:
        cols, beside = first[1] + second[1], first[1]
    elif first != second:
        rows, below = first[0] + second[0], first[0]
    both = [(i, j) for i in range(order) for j in range(order) if i < j or (i > j and first != second)]
    pairs = [((i * rows, j * cols), (j * rows + below, i * cols + beside)) for i, j in both]
    return Grid((order * rows, order * cols), tuple(pairs))


@lru_cache(maxsize=4096)
def cover_pairs(first: Size, second: Size, pairs: int, rows: int, cols: int, largest: int) -> tuple[Grid, ...]:
    """Grids of order `largest` at most, none larger than `rows x cols`, that hold so many pairs on the least cells."""
    grids = [single_pair(first, second)]
    if first[0] == second[0] or first[1] == second[1]:
        grids += [hollow_grid(first, second, order) for order in range(2, largest + 1)]
    grids = [grid for grid in grids if grid.size[0] <= rows and grid.size[1] <= cols]
    best: list[tuple[int, tuple[Grid, ...]]] = [(0, ())]
    for wanted in range(1, pairs + 1):
        options = []
        for grid in grids:
            cells, others = best[max(0, wanted - len(grid.pairs))]
            options.append((cells + grid.size[0] * grid.size[1], (*others, grid)))
        best.append(min(options, key=lambda option: option[0]))
    return best[pairs][1]
