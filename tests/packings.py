"""What tests of packings share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cimsolve.packing.arrays import ArrayPacking


def painted(heights: Sequence[int], widths: Sequence[int], rows: int, cols: int, packed: ArrayPacking) -> np.ndarray:
    """Blocks of every type in all arrays, (types,), after painting each pattern cell by cell (P2, P3)."""
    total = np.zeros(len(heights), dtype=np.int64)
    for pattern, times in zip(packed.patterns, packed.multiplicity.tolist(), strict=True):
        cells = np.zeros((rows, cols), dtype=np.int64)
        for t, row, col in zip(pattern.type.tolist(), pattern.row.tolist(), pattern.col.tolist(), strict=True):
            assert 0 <= row <= rows - heights[t]
            assert 0 <= col <= cols - widths[t]
            cells[row : row + heights[t], col : col + widths[t]] += 1
        assert cells.max() == 1
        assert times > 0
        total += times * pattern.counts(len(heights))
    assert packed.arrays == packed.multiplicity.sum()
    return total
