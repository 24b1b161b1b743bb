"""Programs are solved, and solvers that print are not heard."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest
from scipy import optimize

from cimsolve.pack.programs import solve_integer

COST, ROWS = np.array([2.0, 3.0]), [(np.array([[1.0, 2.0]]), 3.5, np.inf)]


def test_the_least_whole_numbers_are_found() -> None:
    """x + 2 y >= 3.5: (4, 0) costs 8, (2, 1) 7, (0, 2) 6."""
    assert solve_integer(COST, ROWS).x.tolist() == [0, 2]


def test_what_a_solver_prints_does_not_reach_the_answer(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def talk(*args: Any, **options: Any) -> str:
        ctypes.CDLL(None).puts(b"HighsMipSolverData::transformNewIntegerFeasibleSolution")
        return "solved"

    monkeypatch.setattr(optimize, "milp", talk)
    assert solve_integer(COST, ROWS) == "solved"
    print("the answer")
    assert capfd.readouterr().out == "the answer\n"
