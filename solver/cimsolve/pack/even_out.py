"""Packings of whole blocks that spread every shape over many arrays.

A densest packing says nothing about what lies where: a rare shape may fill a few arrays, and the blocks of a stage
that all have it wait for these. Blocks of one shape in stages that have d_1 ... d_S of it can be dealt such that no
array holds more than r_s of stage s if and only if for every set K of stages (Gale 1957, Ryser 1957; a flow)

    sum of d_s over K  <=  sum over arrays of min(blocks of the shape on the array, sum of r_s over K).

Both sides are concave along stages sorted by d_s / r_s, so the ends of runs of equal ratio are enough. They are
linear in how often a pattern is used: rows of the covering problem beside the counts of blocks. What they lack is
what is minimised, on a given number of arrays. New patterns are stacks of bands, which other patterns are cut into.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cimsolve.columns import Floats, Ints
from cimsolve.pack.bands import Bands
from cimsolve.pack.blocks import ArrayPacking
from cimsolve.pack.covering import Pool
from cimsolve.pack.cutting_stock import maximal_patterns
from cimsolve.pack.guillotine import Pattern
from cimsolve.pack.programs import solve_integer, solve_linear

ROUNDS = 80
"""Rounds of column generation."""
PRICING_NODES = 200
ROUNDING_NODES = 2000
SCALE = 1 << 20
"""A value of 1 where patterns are priced in integers."""


class ShapeNeed(NamedTuple):
    """A demand for `demand` blocks of shape `type` at least, if no array counts for more than `cap`."""

    type: int
    cap: int
    demand: int


def even_out(
    packing: ArrayPacking, heights: Ints, widths: Ints, demands: Ints, rows: int, cols: int, arrays: int
) -> ArrayPacking:
    """A packing on at most `arrays` arrays with every shape on as many as its stages want, as far as is found.

    `heights`, `widths`: of each shape; `demands[s, t]`: blocks of shape t in stage s. It may have more places than
    blocks. Returns `packing` itself where nothing better is found.
    """
    ways = Bands.both_ways(heights, widths, rows, cols)
    search = _EvenSearch(packing, demands.sum(axis=0), needs_of(demands, arrays), ways, arrays)
    lacking = search.lacking(packing.patterns, packing.multiplicity)
    found = search.run() if lacking else None
    if found is None or search.lacking(*found) >= lacking:
        return packing
    patterns, times = found
    return ArrayPacking(patterns, times, int(times.sum()), packing.lower, packing.lower_name)


def needs_of(demands: Ints, arrays: int) -> list[ShapeNeed]:
    found = []
    for shape in range(demands.shape[1]):
        demand = demands[:, shape][demands[:, shape] > 0]
        repeat = -(-demand // arrays)
        ratio = demand / repeat
        order = np.argsort(-ratio, kind="stable")
        total, cap = np.cumsum(demand[order]), np.cumsum(repeat[order])
        ends = np.flatnonzero(np.append(np.diff(ratio[order]) != 0, True))
        found += [ShapeNeed(shape, int(cap[end]), int(total[end])) for end in ends]
    return found


class _EvenSearch:
    """Column generation over arrays; what the needs lack is what is minimised."""

    def __init__(
        self, packing: ArrayPacking, count: Ints, needs: list[ShapeNeed], ways: tuple[Bands, Bands], arrays: int
    ) -> None:
        self.count, self.ways, self.arrays = count, ways, arrays
        self.shape, self.caps, self.demand = np.array(needs, dtype=np.int64).reshape(-1, 3).T
        self.pool = Pool(len(count))
        self.layout: dict[bytes, Pattern] = {}
        for pattern in packing.patterns:
            self.learn(pattern)

    def learn(self, pattern: Pattern) -> bool:
        content = pattern.counts(len(self.count))
        is_new = self.pool.add(content)
        if is_new:
            self.layout[content.tobytes()] = pattern
            for way in self.ways:
                way.learn(pattern)
        return is_new

    def lacking(self, patterns: list[Pattern], times: Ints) -> int:
        """How much of the needs the patterns, so many times each, leave open."""
        contents = np.array([pattern.counts(len(self.count)) for pattern in patterns])
        return int(np.maximum(self.demand - times @ self._met(contents), 0).sum())

    def run(self) -> tuple[list[Pattern], Ints] | None:
        """Patterns and how many arrays have each, or None where no whole numbers of them are found."""
        for _ in range(ROUNDS):
            duals = self._relax()
            if duals is None or True not in [self.learn(pattern) for pattern in self._price(*duals)]:
                break
        # What the relaxation can do without, whole arrays may need.
        for way in self.ways:
            for times in maximal_patterns(way.height, way.rows // way.height, way.rows):
                self.learn(way.stack(times))
        contents = self.pool.matrix()
        used = self._round(contents)
        if used is None:
            return None
        keep = np.flatnonzero(used)
        return [self.layout[contents[p].tobytes()] for p in keep], used[keep]

    def _met(self, contents: Ints) -> Ints:
        """What an array of each of `contents` adds to each need; shape (contents, needs)."""
        return np.asarray(np.minimum(contents[:, self.shape], self.caps))

    def _program(self, contents: Ints) -> tuple[Floats, Floats, Floats]:
        """Cost, matrix and right side of: all blocks covered, needs met but for what is lacking, arrays enough."""
        types, patterns, needs = len(self.count), len(contents), len(self.demand)
        matrix = np.zeros((types + needs + 1, patterns + needs))
        matrix[:types, :patterns] = -contents.T
        matrix[types:-1, :patterns] = -self._met(contents).T
        matrix[types:-1, patterns:] = -np.eye(needs)
        matrix[-1, :patterns] = 1
        right = np.concatenate([-self.count, -self.demand, [self.arrays]]).astype(np.float64)
        return np.concatenate([np.zeros(patterns), np.ones(needs)]), matrix, right

    def _relax(self) -> tuple[Floats, Floats] | None:
        """Duals of the shapes and of the needs; None where the relaxation meets all needs."""
        cost, matrix, right = self._program(self.pool.matrix())
        result = solve_linear(cost, matrix, right)
        if result is None or result.cost < 1e-6:
            return None
        duals = np.maximum(result.prices, 0.0)
        return duals[: len(self.count)], duals[len(self.count) : -1]

    def _price(self, shapes: Floats, needs: Floats) -> list[Pattern]:
        """Patterns of much value: the best stacks of bands, each block beyond a cap worth less.

        Bands come from arrays priced as if the first block of a shape and all others had one value.
        """
        for cap in np.unique(self.caps):
            values = shapes.copy()
            np.add.at(values, self.shape, np.where(self.caps >= cap, needs, 0.0))
            for way in self.ways:
                way.price(np.floor(values * SCALE).astype(np.int64), self.count)
        return [way.stack(times) for way in self.ways if (times := self._best_stack(way, shapes, needs)).any()]

    def _best_stack(self, way: Bands, shapes: Floats, needs: Floats) -> Ints:
        content, height = way.content, way.height
        count, caps = len(content), len(self.caps)
        rows = [
            (np.concatenate([height, np.zeros(caps)])[None], -np.inf, way.rows),
            (np.hstack([-content[:, self.shape].T, np.eye(caps)]), -np.inf, 0),
        ]
        most = np.concatenate([way.rows // height, self.caps])
        result = solve_integer(-np.concatenate([content @ shapes, needs]), rows, most, nodes=PRICING_NODES)
        return np.zeros(count, dtype=np.int64) if result.x is None else np.rint(result.x[:count]).astype(np.int64)

    def _round(self, contents: Ints) -> Ints | None:
        """How often each pattern is used, in whole numbers, and what is lacking in whole numbers too."""
        cost, matrix, right = self._program(contents)
        result = solve_integer(cost, [(matrix, -np.inf, right)], nodes=ROUNDING_NODES, gap=0.0)
        if result.x is None:
            return None
        used = np.rint(result.x[: len(contents)]).astype(np.int64)
        return used if (used @ contents >= self.count).all() and used.sum() <= self.arrays else None
