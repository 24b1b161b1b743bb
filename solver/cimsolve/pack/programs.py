"""Linear and integer programs, solved by HiGHS (Huangfu and Hall 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np

from cimsolve.columns import Floats

STOPPED = (highspy.HighsModelStatus.kTimeLimit, highspy.HighsModelStatus.kSolutionLimit)
"""An integer program came to its limit: what it has found by then is a solution, if it has found one."""
DUAL_SIMPLEX = 1


@dataclass(frozen=True)
class LinearSolution:
    """An optimal solution, its cost, and for each row what one less of its limit would cost."""

    x: Floats
    cost: float
    prices: Floats
    extra: Floats
    """For each entry of x what one more of it would cost."""


@dataclass(frozen=True)
class IntegerSolution:
    """The best solution found, None if none was; the least that any costs; and whether it is proved that none is."""

    x: Floats | None
    bound: float
    is_infeasible: bool


def solve_linear(cost: Floats, matrix: Any, most: Any) -> LinearSolution | None:
    """Solve min cost @ x over x >= 0 with matrix @ x <= most; None where no x is feasible.

    `matrix` is a table, or a sparse one of scipy.
    """
    highs = _solver(solver="simplex", simplex_strategy=DUAL_SIMPLEX)
    _run(highs, cost, matrix, np.full(matrix.shape[0], -np.inf), most, np.inf)
    if highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    found = highs.getSolution()
    x, prices, extra = np.array(found.col_value), -np.array(found.row_dual), np.array(found.col_dual)
    return LinearSolution(x, highs.getInfo().objective_function_value, prices, extra)


def solve_integer(
    cost: Floats,
    rows: Sequence[tuple[Any, Any, Any]],
    most: Any = np.inf,
    *,
    whole: Any = True,
    nodes: int,
    gap: float | None = None,
) -> IntegerSolution:
    """Solve min cost @ x over 0 <= x <= most, by a tree of `nodes` nodes at most or to a relative `gap`.

    `rows` are (matrix, low, high) of low <= matrix @ x <= high; a matrix that is sparse is the only one. `whole`: all
    entries of x are, or those for which it is true.
    """
    options = {} if gap is None else {"mip_rel_gap": gap}
    highs = _solver(mip_max_nodes=nodes, **options)
    low, high = (
        np.concatenate([np.broadcast_to(np.asarray(row[at], dtype=np.float64), row[0].shape[0]) for row in rows])
        for at in (1, 2)
    )
    matrix = rows[0][0] if len(rows) == 1 else np.concatenate([matrix for matrix, _, _ in rows])
    _run(highs, cost, matrix, low, high, most, np.broadcast_to(whole, len(cost)))
    status, info = highs.getModelStatus(), highs.getInfo()
    found = status == highspy.HighsModelStatus.kOptimal or (
        status in STOPPED and info.objective_function_value != highspy.kHighsInf
    )
    x = np.array(highs.getSolution().col_value) if found else None
    return IntegerSolution(x, info.mip_dual_bound, status == highspy.HighsModelStatus.kInfeasible)


def _solver(**options: Any) -> Any:
    highs = highspy.Highs()
    highs.silent()
    for name, value in options.items():
        highs.setOptionValue(name, value)
    return highs


def _run(highs: Any, cost: Floats, matrix: Any, low: Any, high: Any, most: Any, whole: Any = ()) -> None:
    """Minimise cost @ x over 0 <= x <= most with low <= matrix @ x <= high; some entries of x may have to be whole."""
    rows, count = matrix.shape
    if isinstance(matrix, np.ndarray):
        columns = np.asarray(matrix, dtype=np.float64).T
        column, row = np.nonzero(columns)
        start, value = np.searchsorted(column, np.arange(count + 1)), columns[column, row]
    else:
        matrix = matrix.tocsc()
        start, row, value = matrix.indptr, matrix.indices, matrix.data
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = count, rows
    lp.col_cost_ = np.asarray(cost, dtype=np.float64)
    lp.col_lower_, lp.col_upper_ = np.zeros(count), np.broadcast_to(np.asarray(most, dtype=np.float64), count).copy()
    lp.row_lower_, lp.row_upper_ = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.num_col_, lp.a_matrix_.num_row_ = count, rows
    lp.a_matrix_.start_, lp.a_matrix_.index_ = start.astype(np.int32), row.astype(np.int32)
    lp.a_matrix_.value_ = value
    lp.integrality_ = [highspy.HighsVarType.kInteger if each else highspy.HighsVarType.kContinuous for each in whole]
    highs.passModel(lp)
    highs.run()
