"""Bands straight across an array, learned from patterns, of which other patterns are stacked."""

from __future__ import annotations

import numpy as np

from cimsolve.columns import Ints
from cimsolve.pack.guillotine import Pattern, ShelfPricer

BANDS_MAX = 300
"""Different bands that are looked at."""


class Bands:
    """Bands straight across an array, from the patterns learned; `turned`: across its columns, all else swapped."""

    def __init__(self, heights: Ints, widths: Ints, rows: int, cols: int, turned: bool) -> None:
        self.heights, self.rows, self.turned = heights, rows, turned
        self.pricer = ShelfPricer(heights, widths, rows, cols)
        self.layout: dict[tuple[int, bytes], Pattern] = {}
        """Bands by their height and the content."""

    @staticmethod
    def both_ways(heights: Ints, widths: Ints, rows: int, cols: int) -> tuple[Bands, Bands]:
        """Bands across the columns of an array, and across its rows."""
        return Bands(heights, widths, rows, cols, False), Bands(widths, heights, cols, rows, True)

    @property
    def height(self) -> Ints:
        """Height of every band, shape (bands,)."""
        return np.array([height for height, _ in self.layout], dtype=np.int64)

    @property
    def content(self) -> Ints:
        """Blocks of every type in every band, shape (bands, types)."""
        return np.array([band.counts(len(self.heights)) for band in self.layout.values()]).reshape(
            -1, len(self.heights)
        )

    def price(self, values: Ints, limits: Ints) -> None:
        """Learn the bands of the most valuable array that the shelf pricer knows."""
        self._cut(self.pricer.price(values, limits)[1])

    def learn(self, pattern: Pattern) -> None:
        """Learn the bands of a pattern of arrays that are not turned."""
        self._cut(pattern.transposed() if self.turned else pattern)

    def _cut(self, pattern: Pattern) -> None:
        """Cut wherever a straight line crosses no block."""
        top, bottom = pattern.row, pattern.row + self.heights[pattern.type]
        edges = np.unique(np.concatenate([top, bottom]))
        lines = edges[~((top[:, None] < edges) & (edges < bottom[:, None])).any(axis=0)]
        for low, high in zip(lines[:-1].tolist(), lines[1:].tolist(), strict=True):
            mine = np.flatnonzero((top >= low) & (bottom <= high))
            band = Pattern(pattern.type[mine], top[mine] - low, pattern.col[mine])
            if len(mine) and len(self.layout) < BANDS_MAX:
                self.layout.setdefault((high - low, band.counts(len(self.heights)).tobytes()), band)

    def stack(self, times: Ints) -> Pattern:
        """One array with `times[e]` of band e, one below the other."""
        parts: list[tuple[Ints, Ints, Ints]] = []
        row = 0
        for band, height, repeats in zip(self.layout.values(), self.height.tolist(), times.tolist(), strict=True):
            for _ in range(repeats):
                parts.append((band.type, band.row + row, band.col))
                row += height
        pattern = Pattern(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        return pattern.transposed() if self.turned else pattern
