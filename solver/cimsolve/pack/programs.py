"""Linear and integer programs, solved by HiGHS in scipy.

scipy.optimize takes as long to load as all of cimsolve, and much is packed and proved without it. It ships no types.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
    with _nothing_printed():
        return optimize.milp(
            cost,
            constraints=[optimize.LinearConstraint(*row) for row in rows],
            integrality=np.ones(len(cost)),
            bounds=optimize.Bounds(0, most),
            options=options,
        )


@contextmanager
def _nothing_printed() -> Iterator[None]:
    """Within, what is printed goes nowhere: HiGHS tells of some solutions by printf, whatever it is asked for."""
    try:
        kept = os.dup(1)
    except OSError:  # there is no stdout to spoil
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        yield
    finally:
        ctypes.CDLL(None).fflush(None)  # printf keeps what it is given, and would print it later
        os.dup2(kept, 1)
        os.close(kept)
