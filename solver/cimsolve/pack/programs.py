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


@dataclass(frozen=True)
class IntegerSolution:
    """The best solution found, None if none was; and whether it is proved that there is none."""

    x: Floats | None
    is_infeasible: bool


def solve_linear(cost: Floats, matrix: Any, most: Any) -> LinearSolution | None:
    """Solve min cost @ x over x >= 0 with matrix @ x <= most; None where no x is feasible."""
    highs = _solver(solver="simplex", simplex_strategy=DUAL_SIMPLEX)
    _run(highs, cost, matrix, np.full(len(matrix), -np.inf), most, np.inf)
    if highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        return None
    found = highs.getSolution()
    x, prices = np.array(found.col_value), -np.array(found.row_dual)
    return LinearSolution(x, highs.getInfo().objective_function_value, prices)


def solve_integer(
    cost: Floats, rows: Sequence[tuple[Any, Any, Any]], most: Any = np.inf, *, nodes: int, gap: float | None = None
) -> IntegerSolution:
    """Solve min cost @ x over whole 0 <= x <= most, by a tree of `nodes` nodes at most or to a relative `gap`.

    `rows` are (matrix, low, high) of low <= matrix @ x <= high.
    """
    options = {} if gap is None else {"mip_rel_gap": gap}
    highs = _solver(mip_max_nodes=nodes, **options)
    low, high = (
        np.concatenate([np.broadcast_to(np.asarray(row[at], dtype=np.float64), len(row[0])) for row in rows])
        for at in (1, 2)
    )
    _run(highs, cost, np.concatenate([matrix for matrix, _, _ in rows]), low, high, most, is_integer=True)
    status, info = highs.getModelStatus(), highs.getInfo()
    found = status == highspy.HighsModelStatus.kOptimal or (
        status in STOPPED and info.objective_function_value != highspy.kHighsInf
    )
    x = np.array(highs.getSolution().col_value) if found else None
    return IntegerSolution(x, status == highspy.HighsModelStatus.kInfeasible)


def _solver(**options: Any) -> Any:
    highs = highspy.Highs()
    highs.silent()
    for name, value in options.items():
        highs.setOptionValue(name, value)
    return highs


def _run(highs: Any, cost: Floats, matrix: Any, low: Any, high: Any, most: Any, is_integer: bool = False) -> None:
    """Minimise cost @ x over 0 <= x <= most with low <= matrix @ x <= high."""
    columns = np.asarray(matrix, dtype=np.float64).T
    count, rows = columns.shape
    column, row = np.nonzero(columns)
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = count, rows
    lp.col_cost_ = np.asarray(cost, dtype=np.float64)
    lp.col_lower_, lp.col_upper_ = np.zeros(count), np.broadcast_to(np.asarray(most, dtype=np.float64), count).copy()
    lp.row_lower_, lp.row_upper_ = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.num_col_, lp.a_matrix_.num_row_ = count, rows
    lp.a_matrix_.start_ = np.searchsorted(column, np.arange(count + 1)).astype(np.int32)
    lp.a_matrix_.index_, lp.a_matrix_.value_ = row.astype(np.int32), columns[column, row]
    if is_integer:
        lp.integrality_ = [highspy.HighsVarType.kInteger] * count
    highs.passModel(lp)
    highs.run()
