"""What tests of packings share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ortools.sat.python import cp_model

from cimsolve.pack.blocks import ArrayPacking

Instance = tuple[list[int], list[int], list[int], int, int]  # heights, widths, counts, rows, cols


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


def fits_into(instance: Instance, arrays: int) -> bool:
    """Exact search for a free placement on `arrays` arrays, laid side by side."""
    heights, widths, counts, rows, cols = instance
    model = cp_model.CpModel()
    across, down = [], []
    for h, w, n in zip(heights, widths, counts, strict=True):
        inside = cp_model.Domain.from_intervals([[a * cols, (a + 1) * cols - w] for a in range(arrays)])
        previous = None
        for _ in range(n):
            x = model.new_int_var_from_domain(inside, "")
            across.append(model.new_fixed_size_interval_var(x, w, ""))
            down.append(model.new_fixed_size_interval_var(model.new_int_var(0, rows - h, ""), h, ""))
            if previous is not None:
                model.add(previous <= x)  # equal blocks in one order
            previous = x
    model.add_no_overlap_2d(across, down)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    status = solver.solve(model)
    assert status in (cp_model.OPTIMAL, cp_model.FEASIBLE, cp_model.INFEASIBLE)
    return status != cp_model.INFEASIBLE
