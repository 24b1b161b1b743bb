"""Linear and integer programs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csc_matrix

from cimsolve.pack.programs import solve_integer, solve_linear


def test_a_linear_program_and_what_its_limits_are_worth(capfd: pytest.CaptureFixture[str]) -> None:
    # max 3 x + 2 y, x + y <= 4, x <= 3, y <= 9: (3, 1); one more of the first is worth a y, of the second an x for it.
    found = solve_linear(np.array([-3, -2]), np.array([[1, 1], [1, 0], [0, 1]]), np.array([4, 3, 9]))
    assert found is not None
    assert found.x == pytest.approx([3, 1])
    assert found.cost == pytest.approx(-11)
    assert found.prices == pytest.approx([2, 1, 0])
    assert found.extra == pytest.approx([0, 0])
    assert capfd.readouterr() == ("", "")


def test_what_is_not_taken_costs_extra() -> None:
    # Of x + y >= 2 at costs 3 and 5: all of the first, at 3 each; one of the second in its place costs 2 more.
    matrix = csc_matrix([[-1.0, -1.0]])
    found = solve_linear(np.array([3, 5]), matrix, np.array([-2]))
    assert found is not None
    assert (*found.x, found.cost, *found.prices, *found.extra) == pytest.approx((2, 0, 6, 3, 0, 2))


def test_a_linear_program_that_nothing_fulfils() -> None:
    assert solve_linear(np.ones(1), np.array([[1], [-1]]), np.array([1, -2])) is None


@pytest.mark.parametrize("gap", [None, 0.0])
def test_an_integer_program(gap: float | None, capfd: pytest.CaptureFixture[str]) -> None:
    # max 5 x + 4 y, 6 x + 4 y <= 24, x + 2 y <= 6, x <= 3: (3, 1.5) in fractions, of whole ones 15 + 4 of (3, 1),
    # 10 + 8 of (2, 2).
    rows = [(np.array([[6, 4], [1, 2]]), -np.inf, np.array([24, 6]))]
    found = solve_integer(np.array([-5.0, -4.0]), rows, np.array([3, 9]), nodes=100, gap=gap)
    assert found.x == pytest.approx([3, 1])
    assert found.bound == pytest.approx(-19)
    assert not found.is_infeasible
    assert capfd.readouterr() == ("", "")


def test_some_entries_may_be_fractions() -> None:
    # As above with y a fraction: (3, 1.5), at -15 - 6.
    rows = [(csc_matrix([[6.0, 4.0], [1.0, 2.0]]), -np.inf, np.array([24, 6]))]
    found = solve_integer(np.array([-5.0, -4.0]), rows, np.array([3, 9]), whole=[True, False], nodes=100)
    assert found.x == pytest.approx([3, 1.5])
    assert found.bound == pytest.approx(-21)


def test_an_integer_program_that_nothing_fulfils() -> None:
    found = solve_integer(np.ones(2), [(np.ones((1, 2)), 3, 3), (np.ones((1, 2)), -np.inf, 2)], nodes=100)
    assert (found.x, found.is_infeasible) == (None, True)


def test_an_integer_program_cut_short_knows_neither() -> None:
    # A market split (Cornuejols and Dawande 1998): in fractions easy, in whole numbers out of reach.
    rng = np.random.default_rng(0)
    shares = rng.integers(0, 100, (3, 20)).astype(np.float64)
    half = shares.sum(axis=1) // 2
    found = solve_integer(np.zeros(20), [(shares, half, half)], np.ones(20), nodes=1)
    assert (found.x, found.is_infeasible) == (None, False)
