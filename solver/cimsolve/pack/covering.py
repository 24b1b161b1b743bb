"""Covering demands by patterns: the master problem of column generation, in one and two dimensions.

A pattern is a vector of how many items of each type one bin (an array column, an array) holds. The master
problem (Gilmore & Gomory 1961) minimises the bins: min sum x, sum_p x_p * pattern_p >= counts, x >= 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import lcm

import numpy as np

from cimsolve.columns import Floats, Ints
from cimsolve.pack.programs import solve_integer, solve_linear

SCALE = 1 << 30  # a dual of 1 in the integer pricing problems
LARGEST_DEMAND = 1e6  # the solver's tolerances are absolute, so larger demands are scaled down to this
NODE_LIMIT = 300  # branch-and-bound nodes of one residual program: bounds the time and stays deterministic

Pricer = Callable[[Ints], Sequence[tuple[int, Ints]]]


class Pool:
    """Distinct patterns in order of arrival."""

    def __init__(self, types: int) -> None:
        self.types = types
        self.patterns: list[Ints] = []
        self._known: set[bytes] = set()

    def add(self, pattern: Ints) -> bool:
        """Keep `pattern` (n_types,); False if it is known or empty."""
        key = np.ascontiguousarray(pattern, dtype=np.int64).tobytes()
        if key in self._known or not pattern.any():
            return False
        self._known.add(key)
        self.patterns.append(np.asarray(pattern, dtype=np.int64))
        return True

    def matrix(self) -> Ints:
        """All patterns, (n_patterns, n_types)."""
        return np.asarray(self.patterns, dtype=np.int64).reshape(-1, self.types)


@dataclass(frozen=True, eq=False)
class Relaxation:
    """The master problem without integrality: `x` (n_patterns,) and `duals` (n_types,) in [0, 1]."""

    x: Floats
    duals: Floats


def relax(patterns: Ints, counts: Ints) -> Relaxation:
    """Solve the linear master problem over `patterns` (n_patterns, n_types); every type must be covered."""
    return _relax(*(np.asarray(each, dtype=np.int64).tobytes() for each in (patterns, counts)))


@lru_cache(128)  # bounds, packings and the checker ask the same again
def _relax(patterns: bytes, counts: bytes) -> Relaxation:
    """`relax` of int64 tables by their bytes."""
    count = np.frombuffer(counts, dtype=np.int64)
    matrix = np.frombuffer(patterns, dtype=np.int64).reshape(-1, len(count))
    unit = max(1.0, float(count.max()) / LARGEST_DEMAND)
    result = solve_linear(np.ones(len(matrix)), -matrix.T, -count / unit)
    if result is None:
        raise RuntimeError("master problem: no solution")
    found = Relaxation(np.maximum(result.x, 0.0) * unit, np.clip(result.prices, 0.0, 1.0))
    for shared in (found.x, found.duals):
        shared.flags.writeable = False
    return found


def generate(pool: Pool, counts: Ints, price: Pricer, rounds: int = 400) -> Relaxation:
    """Column generation: add to `pool` what `price` finds until no pattern is worth more than one bin.

    `price(values)` gets the duals as integers (1 = SCALE) and returns (value, pattern) candidates.
    """
    relaxation = relax(pool.matrix(), counts)
    for _ in range(rounds):
        candidates = price(np.floor(relaxation.duals * SCALE).astype(np.int64))
        added = [pool.add(pattern) for value, pattern in candidates if value > SCALE + 64]
        if True not in added:
            break
        relaxation = relax(pool.matrix(), counts)
    return relaxation


def integer_duals(duals: Floats) -> list[Ints]:
    """Integer vectors proportional, or nearly so, to the duals: simple fractions first.

    The duals of a basis are fractions with a small common denominator; floating point hides it, and a bound
    from rounded-down duals may miss the next integer. Every vector is verified before it is believed.
    """
    found = []
    for largest in (16, 128, 2048):
        fractions = [Fraction(float(d)).limit_denominator(largest) for d in duals]
        common = lcm(*(f.denominator for f in fractions))
        if common <= SCALE:
            found.append(np.asarray([int(f * common) for f in fractions], dtype=np.int64))
    found.append(np.floor(duals * SCALE).astype(np.int64))
    return found


def dot(a: Sequence[int] | Ints, b: Sequence[int] | Ints) -> int:
    """Inner product in Python's integers: counts of 1e9 times scaled duals leave 64 bits."""
    return sum(int(x) * int(y) for x, y in zip(a, b, strict=True))


def cover_residual(patterns: Ints, counts: Ints, most: int) -> Ints | None:
    """Cover small demands by whole patterns: multiplicities (n_patterns,), or None if the search found none.

    An integer program over the patterns cut to the demand, bounded by a node limit; `most` bins at most.
    """
    clipped, first = np.unique(np.minimum(patterns, counts), axis=0, return_index=True)
    rows = [(clipped.T, counts, np.inf), (np.ones((1, len(first))), 0, most)]
    result = solve_integer(np.ones(len(first)), rows, nodes=NODE_LIMIT, gap=0.0)
    if result.x is None:
        return None
    x = np.zeros(len(patterns), dtype=np.int64)
    x[first] = np.rint(result.x).astype(np.int64)
    return x if np.all(x @ patterns >= counts) else None


def trim(patterns: Ints, multiplicity: Ints, counts: Ints) -> list[tuple[int, Ints, int]]:
    """Drop surplus items so that exactly `counts` are left: (source pattern, its content, multiplicity).

    Surplus is taken from whole runs of a pattern where it can be; a run that loses only some of its items
    is split, which adds at most two patterns a type.
    """
    surplus = [dot(multiplicity, patterns[:, j]) - int(counts[j]) for j in range(patterns.shape[1])]
    runs = [(p, patterns[p].copy(), int(m)) for p, m in enumerate(multiplicity) if m > 0]
    for j, extra in enumerate(surplus):
        kept: list[tuple[int, Ints, int]] = []
        for p, content, times in reversed(runs):
            each = int(content[j])
            emptied = min(times, extra // each) if each else 0
            partly = min(extra - emptied * each, each) if emptied < times else 0
            extra -= emptied * each + partly
            split = int(partly > 0)
            for lost, number in ((each, emptied), (partly, split), (0, times - emptied - split)):
                if number:
                    less = content.copy()
                    less[j] -= lost
                    kept.append((p, less, number))
        runs = kept[::-1]
    return [(p, content, times) for p, content, times in runs if content.any()]
