"""Two-dimensional packing: whole blocks of few shapes, in large numbers, into as few arrays as possible.

Column generation over array patterns (Gilmore & Gomory 1965, 3-stage guillotine), rounded to integers by
whichever does best on the rest: an integer program over the patterns, a dive, or first-fit shelves.
Guillotine patterns alone prove nothing about free placement, so the bound comes from `bounds.py` instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cimsolve.columns import Ints
from cimsolve.errors import InputError
from cimsolve.pack.bounds import lower_bound_area, lower_bound_uncut
from cimsolve.pack.covering import Pool, Relaxation, cover_residual, generate, trim
from cimsolve.pack.cutting_stock import checked_items
from cimsolve.pack.guillotine import Pattern, ShelfPricer
from cimsolve.pack.shelves import first_fit_shelves

Packed = list[tuple[Pattern, int]]  # array patterns and how many arrays use each

DIVE_ARRAYS = 60  # residuals of at most so many arrays are worth a dive
DIVE_ROUNDS = 12  # column generation rounds at each of its steps


@dataclass(frozen=True, eq=False)
class ArrayPacking:
    """`patterns[p]` on `multiplicity[p]` arrays: every block exactly once, on `arrays` arrays in all.

    No placement whatever of whole blocks needs fewer than `lower` arrays; `lower_name` says which bound won:
    area, columns, rows or dff.
    """

    patterns: list[Pattern]
    multiplicity: Ints
    arrays: int
    lower: int
    lower_name: str


def pack_blocks(
    heights: Sequence[int] | Ints, widths: Sequence[int] | Ints, counts: Sequence[int] | Ints, rows: int, cols: int
) -> ArrayPacking:
    """Pack `counts[t]` blocks of `heights[t]` rows and `widths[t]` columns, not rotated and not cut."""
    height, count = checked_items(heights, counts, rows, "block height")
    width, _ = checked_items(widths, counts, cols, "block width")
    if height.shape != width.shape:
        raise InputError("block heights, widths and counts must be lists of one length")
    present = np.flatnonzero(count)
    if not len(present):
        return ArrayPacking([], np.zeros(0, dtype=np.int64), 0, 0, "area")
    height, width, count = height[present], width[present], count[present]
    search = _PatternSearch(height, width, count, rows, cols)
    best = search.first_fit(count)
    lower = lower_bound_area(height, width, count, rows, cols)
    if _arrays(best) > lower:
        best = min(best, search.run(lower), key=_arrays)
    lower, name = lower_bound_uncut(height, width, count, rows, cols, target=_arrays(best))
    patterns = [Pattern(present[p.type], p.row, p.col) for p, _ in best]
    return ArrayPacking(patterns, np.asarray([n for _, n in best], dtype=np.int64), _arrays(best), lower, name)


def _arrays(packed: Packed) -> int:
    return sum(number for _, number in packed)


class _PatternSearch:
    """Column generation and rounding for one instance; patterns found on the way are kept in one pool."""

    def __init__(self, height: Ints, width: Ints, count: Ints, rows: int, cols: int) -> None:
        self.height, self.width, self.count, self.rows, self.cols = height, width, count, rows, cols
        self.pricers = ShelfPricer(height, width, rows, cols), ShelfPricer(width, height, cols, rows)
        self.pool = Pool(len(count))
        self.layout: dict[bytes, Pattern] = {}

    def run(self, lower: int) -> Packed:
        """The best packing found; `lower` is a bound at which to stop looking."""
        for pattern, _ in self.first_fit(self.count):
            self.learn(pattern)
        for alone in np.diag(np.full(len(self.count), self.rows * self.cols)):
            self.learn(first_fit_shelves(self.height, self.width, alone, self.rows, self.cols)[0][0])
        relaxation = self.generate(self.count)
        goal = max(lower, int(np.ceil(relaxation.x.sum() - 1e-6)))
        best: Packed = []
        for step_back in (0, 3):  # arrays given back per pattern, for freedom in the rest
            base = np.maximum(np.floor(relaxation.x + 1e-6).astype(np.int64) - step_back, 0)
            packed = self.complete(base, goal)
            best = min([packed, best or packed], key=_arrays)
            if _arrays(best) <= goal or not base.any():
                break
        return best

    def first_fit(self, count: Ints) -> Packed:
        """The best of the shelf heuristics, shelves or strips first."""
        options: list[Packed] = []
        for stacked in (True, False):
            options.append(first_fit_shelves(self.height, self.width, count, self.rows, self.cols, stacked))
            strips = first_fit_shelves(self.width, self.height, count, self.cols, self.rows, stacked)
            options.append([(pattern.transposed(), number) for pattern, number in strips])
        return min(options, key=_arrays)

    def learn(self, pattern: Pattern) -> None:
        """Keep the pattern and its layout."""
        content = pattern.counts(len(self.count))
        if self.pool.add(content):
            self.layout[content.tobytes()] = pattern

    def generate(self, count: Ints, rounds: int = 400) -> Relaxation:
        """Column generation for the demand `count`; stacks never hold more of a type than is asked for."""

        def price(values: Ints) -> list[tuple[int, Ints]]:
            priced: list[tuple[int, Ints]] = []
            for pricer, turned in zip(self.pricers, (False, True), strict=True):
                value, pattern = pricer.price(np.where(count > 0, values, 0), count)
                priced.append((value, pattern.counts(len(count))))
                self.layout.setdefault(priced[-1][1].tobytes(), pattern.transposed() if turned else pattern)
            return sorted(priced, key=lambda each: -each[0])

        return generate(self.pool, count, price, rounds)

    def complete(self, base: Ints, goal: int) -> Packed:
        """`base` arrays of each known pattern, and the best way found to place the rest; no block too many."""
        matrix = self.pool.matrix()[: len(base)]
        rest = np.maximum(self.count - base @ matrix, 0)
        closing = self.first_fit(rest) if rest.any() else []
        aim = goal - int(base.sum())
        if aim < _arrays(closing) <= DIVE_ARRAYS:
            closing = min(closing, self.dive(rest, aim), key=_arrays)
        if _arrays(closing) > aim:  # the program also has the patterns the dive found
            times = cover_residual(self.pool.matrix(), rest, _arrays(closing) - 1)
            closing = closing if times is None else self.known(times)
        packed = self.known(base) + closing
        contents = np.asarray([p.counts(len(self.count)) for p, _ in packed])
        runs = trim(contents, np.asarray([n for _, n in packed]), self.count)
        return [(packed[p][0].keep(content), times) for p, content, times in runs]

    def known(self, times: Ints) -> Packed:
        """The patterns of the pool that are used, `times[p]` each."""
        return [(self.layout[self.pool.patterns[p].tobytes()], int(times[p])) for p in np.flatnonzero(times)]

    def dive(self, rest: Ints, aim: int) -> Packed:
        """Fix the most used pattern, generate anew for what is left, until first fit closes with `aim`."""
        fixed: Packed = []
        best = self.first_fit(rest)
        while rest.any() and _arrays(best) > aim:
            x = self.generate(rest, DIVE_ROUNDS).x
            p = int(np.argmax(x))
            content = self.pool.patterns[p]
            times = max(1, int(x[p]))
            fixed.append((self.layout[content.tobytes()], times))
            rest = np.maximum(rest - times * content, 0)
            for pattern, _ in (closing := self.first_fit(rest) if rest.any() else []):
                self.learn(pattern)
            best = min(best, fixed + closing, key=_arrays)
        return best
