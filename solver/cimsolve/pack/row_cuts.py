"""Cut items in two to fill what whole ones leave of a bin: where they lie one above the other, row cuts.

Any items of at most a bin's capacity, laid end to end and cut where a bin ends, fill all bins but the last, and none
is cut more than once (McNaughton 1959). Fewer cuts do: the linear program of cutting stock, in which an item of size s
may become one of size a and one of s - a, at a small price.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, gcd
from typing import NamedTuple

import numpy as np

from cimsolve.columns import Ints
from cimsolve.pack.covering import LARGEST_DEMAND, SCALE, Pool
from cimsolve.pack.knapsack import knapsack, unlimited
from cimsolve.pack.programs import solve_linear

PRICE = 1e-4
"""Price of a cut, in bins: of ways with as few bins, the one with fewest cuts is taken."""
ROUNDS = 200
TOLERANCE = 1e-6
"""What counts as nothing in the linear program, in its own units."""


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
    for _ in range(ROUNDS):
        patterns = pool.matrix()
        price = np.concatenate([np.ones(len(patterns)), np.full(len(choices), PRICE)])
        columns = np.concatenate([patterns, split])
        found = solve_linear(price, -columns.T, -need / unit)
        if found.x is None:
            raise RuntimeError(f"cuts that fill: {found.message}")
        worth = np.floor(np.clip(-found.ineqlin.marginals, 0.0, 1.0) * SCALE).astype(np.int64)
        filled = knapsack(size, worth, unlimited(size, room), room)
        if filled.best[-1] <= SCALE + 64 or not pool.add(filled.pick(room)):
            break
    left = dict(zip(map(int, sizes), map(int, counts), strict=True))
    cuts: list[Cut] = []
    for (whole, part), times in zip(choices, found.x[len(patterns) :], strict=True):
        items = min(left[whole * grid], ceil((times - TOLERANCE) * unit))
        if items > 0:
            cuts.append(Cut(whole * grid, part * grid, items))
            left[whole * grid] -= items
    return cuts
