"""Lengths cut into pieces that fill equal bins, where a piece takes more of a bin than its share of the length.

The columns of a strip in the time of an array: each piece pays its own read. A linear program of cutting stock, in
which an item of length s may also become two, of a and s - a; column generation adds what fills a bin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import gcd

import numpy as np
import numpy.typing as npt

from cimsolve.columns import Floats, Ints
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
    found = _relax(counts, size_of, capacity, upwards=True)
    if found is None or found.bins > bins + 1e-6:
        return None
    rows = [(found.columns.T, found.need, np.inf), (found.price[None], 0, bins)]
    whole = solve_integer(found.price, rows, nodes=NODE_LIMIT, gap=1.0)
    if whole.x is None:
        return None
    times = np.rint(whole.x).astype(np.int64).tolist()
    held = [
        ({found.pieces[at]: int(pattern[at]) for at in np.flatnonzero(pattern).tolist()}, count)
        for pattern, count in zip(found.patterns, times, strict=False)
        if count
    ]
    cuts = zip(found.choices, times[len(found.patterns) :], strict=True)
    return Filling(held, {choice: count for choice, count in cuts if count})


def cannot_fit(
    counts: Mapping[Piece, int],
    size_of: Mapping[int, Ints],
    capacity: int,
    bins: int,
    beside: int = 0,
) -> bool:
    """Whether it is proved that `bins` cannot hold all of `counts`, cut in any way.

    Any worths u of pieces that do not fall with the length prove it: no bin holds more than the most that fits, and
    no length, however cut, is worth less than the least of all its ways. `beside` pieces that a bin could hold need no
    room.
    """
    if any(size_of[kind][1] > capacity for kind, _ in counts):
        return True
    found = _relax(counts, size_of, capacity, upwards=False)
    if found is None:
        return False
    worth = np.where(found.fits, found.worth, 0)
    least_of_all = 0
    for kind in size_of:
        own = [at for at, piece in enumerate(found.pieces) if piece[0] == kind]
        worth[own] = np.where(found.fits[own], np.maximum.accumulate(worth[own]), 0)
        parts = [int(worth[at]) for at in own if found.fits[at]]
        least = [0]
        for length in range(1, len(own) + 1):
            least.append(min(least[length - part - 1] + u for part, u in enumerate(parts[:length])))
        least_of_all += sum(count * least[length] for (other, length), count in counts.items() if other == kind)
    most = int(knapsack(found.size, worth, found.limits, found.room).best[-1])
    return least_of_all > bins * most + beside * int(worth.max())


@dataclass(frozen=True)
class _Relaxed:
    """The linear program of counts cut and packed, solved; tables by `pieces`, each a kind and a length."""

    pieces: list[Piece]
    need: Ints
    size: Ints
    fits: npt.NDArray[np.bool_]
    limits: Ints
    room: int
    patterns: Ints
    choices: list[tuple[int, int, int]]
    columns: Floats
    """Patterns, then choices: what one adds to the pieces there are."""
    price: Floats
    bins: float
    worth: Ints
    """What a piece is worth, in bins times SCALE."""


def _relax(counts: Mapping[Piece, int], size_of: Mapping[int, Ints], capacity: int, upwards: bool) -> _Relaxed | None:
    """The linear program, its sizes rounded up or down to UNITS_MAX of a bin; None where it has no answer."""
    pieces = [(kind, length) for kind in size_of for length in range(1, _longest(counts, kind) + 1)]
    number = {piece: index for index, piece in enumerate(pieces)}
    need = np.array([counts.get(piece, 0) for piece in pieces], dtype=np.int64)
    exact = [int(size_of[kind][length]) if length < len(size_of[kind]) else capacity + 1 for kind, length in pieces]
    fits = np.array(exact) <= capacity
    unit = max(gcd(capacity, *(size for size in exact if size <= capacity)), -(-capacity // UNITS_MAX))
    size = np.array([-(-each // unit) if upwards else each // unit for each in exact], dtype=np.int64)
    room = capacity // unit
    fits &= size <= room
    if not (fits.any() and size.min()):
        return None
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
    limits = np.where(fits, room // size, 0)
    for row in np.diag(limits):
        pool.add(row)
    scale = max(1.0, float(need.max()) / LARGEST_DEMAND)
    for _ in range(ROUNDS):
        patterns = pool.matrix()
        price = np.concatenate([np.ones(len(patterns)), np.zeros(len(choices))])
        columns = np.concatenate([patterns, split])
        solved = solve_linear(price, -columns.T, -need / scale)
        if solved is None:
            return None
        found = solved
        worth = np.floor(np.clip(found.prices, 0.0, 1.0) * SCALE).astype(np.int64)
        filled = knapsack(size, np.where(fits, worth, 0), limits, room)
        if filled.best[-1] <= SCALE + 64 or not pool.add(filled.pick(room)):
            break
    bins = found.cost * scale
    return _Relaxed(pieces, need, size, fits, limits, room, patterns, choices, columns, price, bins, worth)


def _longest(counts: Mapping[Piece, int], kind: int) -> int:
    return max((length for other, length in counts if other == kind), default=0)
