"""One choice for each item at the least loss in so many columns of arrays: a knapsack with several sizes, and a bound.

    min  sum l[m,j] x[m,j]   s.t.  sum_j x[m,j] = 1 for each m,   the columns of what is chosen fit into `bins`

A choice has so many columns of each height, and which of them lie above one another in a column of an array is part of
the question: a path of heights from row 0 upwards (arc flow, Valerio de Carvalho 1999), of which there are so many that
all are filled. Paths may be taken in parts, x in whole numbers alone.

A column higher than may fire at once is cut. Where that is the height of an array, into full ones and a rest, which
loses nothing: of two parts in two columns, neither of them full, the larger can be filled up from the smaller, and what
lay beside it fits where that was. Else its cells may lie anywhere.

The program without whole numbers comes first. A choice that loses WITHIN more by its prices is in no solution that
loses less than WITHIN more than the bound; without these the whole program is small.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np

from cimsolve.columns import Bools, Floats, Ints
from cimsolve.pack.programs import solve_integer, solve_linear

Columns: TypeAlias = Mapping[int, int]
"""Height -> columns of that height."""

WITHIN = 0.01
GAP, NODES = 1e-4, 2000
"""Where the search ends: share of the loss that is left to prove, and branches."""
SCALE = 1000.0
"""What all bins, and the greatest losses, are in the program: the solver's tolerances are absolute."""


@dataclass(frozen=True)
class Picked:
    """The number of each item's choice, their loss together, and what no choice that fits can beat."""

    choices: tuple[int, ...]
    loss: float
    bound: float


def pick(
    losses: Sequence[Floats], columns: Sequence[Sequence[Columns]], bins: int, rows: int, limit: int
) -> Picked | None:
    """The choice of each item, by number, at the least loss found; `losses` and `columns` are by item and choice.

    `bins` columns of `rows` rows, of which `limit` may fire at once. None where nothing fits.
    """
    if bins < 1:
        return None
    greatest = sum(float(loss.max()) for loss in losses)
    cost = np.concatenate(losses) * (SCALE / greatest if greatest else 1.0)
    matrix, most = _program(columns, bins, rows, limit)
    paths = np.zeros(matrix.shape[1] - len(cost))
    relaxed = solve_linear(np.concatenate([cost, paths]), matrix, most)
    if relaxed is None:
        return None
    found = None
    for more in (WITHIN * relaxed.cost, math.inf):
        kept = relaxed.extra[: len(cost)] <= more
        found = _whole(cost, matrix, most, kept)
        if found is not None and found[1] <= relaxed.cost + more:
            break
    if found is None:
        return None
    taken, least = found
    ends = np.cumsum([len(loss) for loss in losses])[:-1]
    choices = tuple(int(part.argmax()) for part in np.split(taken, ends))
    loss = math.fsum(float(each[choice]) for each, choice in zip(losses, choices, strict=True))
    bound = max(relaxed.cost, min(least, relaxed.cost + more))
    return Picked(choices, loss, min(loss, bound * greatest / SCALE))


def _whole(cost: Floats, matrix: Any, most: Floats, kept: Bools) -> tuple[Floats, float] | None:
    """What is taken of each choice, of those kept, and the least that may be lost with them; None where none fits."""
    paths = np.ones(matrix.shape[1] - len(cost), dtype=np.bool_)
    chosen = cost[kept]
    found = solve_integer(
        np.concatenate([chosen, np.zeros(len(paths))]),
        [(matrix[:, np.concatenate([kept, paths])], -np.inf, most)],
        whole=np.concatenate([np.ones(len(chosen)), np.zeros(len(paths))]),
        nodes=NODES,
        gap=GAP,
    )
    if found.x is None:
        return None
    taken = np.zeros(len(cost))
    taken[kept] = found.x[: len(chosen)]
    return taken, found.bound


def _program(columns: Sequence[Sequence[Columns]], bins: int, rows: int, limit: int) -> tuple[Any, Floats]:
    """`matrix @ x <= most`: x is what is taken of each choice, item after item, and then how often each step of paths.

    Rows of the matrix: an item has one choice; what leaves each row of a bin has come there; of each height there are
    as many steps as columns.
    """
    grid = math.gcd(rows, limit, *(height for item in columns for choice in item for height in choice))
    needs = [_cut(choice, rows // grid, limit // grid, grid) for item in columns for choice in item]
    item = np.repeat(np.arange(len(columns)), [len(choices) for choices in columns])
    heights = sorted({height for need in needs for height in need}, reverse=True)
    steps = _steps(heights, rows // grid)
    of_height = {height: number for number, height in enumerate(heights, len(columns) + rows // grid)}
    unit = SCALE / bins
    entries: list[tuple[int, int, float]] = [(int(m), j, -1.0) for j, m in enumerate(item)]
    for j, need in enumerate(needs):
        entries += [(of_height[height], j, count * unit) for height, count in need.items()]
    for j, (row, height) in enumerate(steps, len(needs)):
        entries += [(len(columns) + row, j, 1.0), (of_height[height], j, -1.0)]
        if row + height < rows // grid:
            entries.append((len(columns) + row + height, j, -1.0))
    at, of, value = (np.array(each) for each in zip(*entries, strict=True))
    most = np.zeros(len(columns) + rows // grid + len(heights))
    most[: len(columns)] = -1
    most[len(columns)] = SCALE
    shape = len(most), len(needs) + len(steps)
    return import_module("scipy.sparse").csc_matrix((value, (at, of)), shape=shape), most


def _cut(columns: Columns, rows: int, limit: int, grid: int) -> dict[int, int]:
    """Columns of each height in steps of the grid, none higher than the limit."""
    found: dict[int, int] = {}
    for height, count in columns.items():
        full, rest = divmod(height // grid, limit)
        if full and rest and limit < rows:
            full, rest, count = 0, 1, count * (height // grid)
        for part, parts in ((limit, full), (rest, 1)):
            if part and parts:
                found[part] = found.get(part, 0) + count * parts
    return found


def _steps(heights: Sequence[int], rows: int) -> list[tuple[int, int]]:
    """The steps (row, height) of all paths on which heights, given from the greatest, do not grow."""
    least: Ints = np.zeros(rows + 1, dtype=np.int64)
    least[0] = rows
    found = []
    for row in range(rows):
        for height in heights:
            if height <= least[row] and row + height <= rows:
                found.append((row, height))
                least[row + height] = max(least[row + height], height)
    return found
