"""Linear and integer programs, solved by HiGHS in scipy.

scipy.optimize takes as long to load as all of cimsolve, and much is packed and proved without it. It ships no types.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from cimsolve.columns import Floats


def solve_linear(cost: Floats, matrix: Any, most: Any) -> Any:
    """What scipy finds for min cost @ x over x >= 0 with matrix @ x <= most."""
    return import_module("scipy.optimize").linprog(cost, A_ub=matrix, b_ub=most, method="highs-ds")


def solve_integer(cost: Floats, rows: Sequence[tuple[Any, Any, Any]], most: Any = np.inf, **options: Any) -> Any:
    """What scipy finds for min cost @ x over whole 0 <= x <= most.

    `rows` are (matrix, low, high) of low <= matrix @ x <= high.
    """
    optimize = import_module("scipy.optimize")
    return optimize.milp(
        cost,
        constraints=[optimize.LinearConstraint(*row) for row in rows],
        integrality=np.ones(len(cost)),
        bounds=optimize.Bounds(0, most),
        options=options,
    )
