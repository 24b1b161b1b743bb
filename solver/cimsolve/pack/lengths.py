"""Lengths cut into pieces that fill equal bins, where a piece takes more of a bin than its share of the length.

The columns of a strip in the time of an array: each piece pays its own read. A linear program of cutting stock, in
which an item of length s may also become two, of a and s - a; column generation adds what fills a bin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd

import numpy as np

from cimsolve.columns import Ints
from cimsolve.pack.covering import LARGEST_DEMAND, NODE_LIMIT, SCALE, Pool
from cimsolve.pack.knapsack import knapsack
from cimsolve.pack.programs import solve_integer, solve_linear

ROUNDS = 60
"""Patterns are added in so many rounds at most."""
UNITS_MAX = 2000
"""Capacity of a bin in the knapsack at most; sizes are rounded up to that."""

Piece = tuple[int, int]
"""The kind of what is cut, and a length."""


@dataclass(frozen=True)
class Filling:
    """Bins by what they hold, each with how many are alike; and how many pieces of a length to cut at which part."""

    bins: list[tuple[dict[Piece, int], int]]
    cuts: dict[tuple[int, int, int], int]
    """(kind, length, part) -> how many: the longest first, as parts are cut again."""


def fill_bins(counts: Mapping[Piece, int], size_of: Mapping[int, Ints], capacity: int, bins: int) -> Filling | None:
    """All of `counts` in pieces in so many bins at most, or None where none is found.

    `size_of[kind][length]`: what a piece takes of a bin's `capacity`; it does not fall with the length.
    """
    pieces = [(kind, length) for kind in size_of for length in range(1, _longest(counts, kind) + 1)]
    number = {piece: index for index, piece in enumerate(pieces)}
    need = np.array([counts.get(piece, 0) for piece in pieces], dtype=np.int64)
    size = np.array([size_of[kind][length] if length < len(size_of[kind]) else capacity + 1 for kind, length in pieces])
    unit = max(gcd(capacity, *size[size <= capacity].tolist()), -(-capacity // UNITS_MAX))
    room, size = capacity // unit, -(-size // unit)
    fits = size <= room
    choices = [
        (kind, length, part)
        for kind, length in pieces
        for part in range(1, length // 2 + 1)
        if fits[number[kind, part]]
    ]
    split = np.zeros((len(choices), len(pieces)))
    for row, (kind, length, part) in enumerate(choices):
        for each, by in ((length, 1), (part, -1), (length - part, -1)):
            split[row, number[kind, each]] += by
    pool = Pool(len(pieces))
    for index in np.flatnonzero(fits).tolist():
        pool.add(np.where(np.arange(len(pieces)) == index, room // size[index], 0))
    limits = np.where(fits, room // np.maximum(size, 1), 0)
    scale = max(1.0, float(need.max()) / LARGEST_DEMAND)
    for _ in range(ROUNDS):
        patterns = pool.matrix()
        price = np.concatenate([np.ones(len(patterns)), np.zeros(len(choices))])
        found = solve_linear(price, -np.concatenate([patterns, split]).T, -need / scale)
        if found.x is None:
            return None
        worth = np.floor(np.clip(-found.ineqlin.marginals, 0.0, 1.0) * SCALE).astype(np.int64)
        filled = knapsack(size, np.where(fits, worth, 0), limits, room)
        if filled.best[-1] <= SCALE + 64 or not pool.add(filled.pick(room)):
            break
    if found.fun * scale > bins + 1e-6:
        return None
    used = np.concatenate([patterns, split]).T
    rows = [(used, need, np.inf), (price[None], 0, bins)]
    whole = solve_integer(price, rows, node_limit=NODE_LIMIT, mip_rel_gap=1.0)
    if whole.x is None:
        return None
    times = np.rint(whole.x).astype(np.int64)
    held = [
        ({pieces[at]: int(pattern[at]) for at in np.flatnonzero(pattern).tolist()}, int(count))
        for pattern, count in zip(patterns, times, strict=False)
        if count
    ]
    cuts = {choice: int(count) for choice, count in zip(choices, times[len(patterns) :], strict=True) if count}
    return Filling(held, cuts)


def _longest(counts: Mapping[Piece, int], kind: int) -> int:
    return max((length for other, length in counts if other == kind), default=0)
