"""Few arrays filled anew by the exact model: legal, never slower, and the optimum where they hold all there is."""

from __future__ import annotations

import numpy as np
import pytest

from cimsolve.judge.check import check_solution
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping
from cimsolve.solve.effort import Effort
from cimsolve.solve.exact.search import solve_exact
from cimsolve.solve.incumbent import measure
from cimsolve.solve.plan import map_optimal
from cimsolve.solve.polish.refill import refill
from cimsolve.solve.rules.spread import map_spread
from cimsolve.study.solving import make_solution
from makers.tiny_problems import tiny_problem


def latency(problem: Problem, mapping: Mapping) -> int:
    return int(measure(problem, mapping)["latency_cycles"])


def assert_legal(problem: Problem, mapping: Mapping) -> None:
    report = check_solution(make_solution(problem, mapping, strategy="optimal"))
    assert report.passed, report.violations[:2]


SMALL = [[(4, 2, "2,1,1")], [(4, 2, "1,2,1")]]


def test_one_array_that_holds_all_comes_to_the_optimum() -> None:
    problem = tiny_problem(SMALL, rows=4, cols=6)
    before = map_spread(problem)
    after = refill(problem, before, seed=0, workers=1)
    best = solve_exact(problem, ("latency",), max_arrays=1)
    assert (measure(problem, before)["arrays"], best.status) == (1, "optimal")
    assert latency(problem, after) == best.latency_cycles < latency(problem, before)
    assert_legal(problem, after)


@pytest.mark.parametrize("cut", ["none", "columns"])
@pytest.mark.parametrize("wiring", ["any", "adjacent"])
def test_what_lies_on_other_arrays_stays(cut: str, wiring: str) -> None:
    problem = tiny_problem([[(4, 2, "2,2,1")], [(4, 2, "2,2,1")]], 2, 3, cut, adc__wiring=wiring)
    before = map_spread(problem)
    after = refill(problem, before, seed=0, workers=1)
    assert latency(problem, after) <= latency(problem, before)
    assert measure(problem, after)["arrays"] <= measure(problem, before)["arrays"]
    assert_legal(problem, after)
    again = refill(problem, before, seed=0, workers=1)
    assert np.array_equal(again.pieces.array, after.pieces.array)


def test_it_ends_where_it_is_told_to() -> None:
    problem = tiny_problem(SMALL, rows=4, cols=6)
    before = map_spread(problem)
    asked = 0

    def is_over() -> bool:
        nonlocal asked
        asked += 1
        return True

    refill(problem, before, 0, 1, is_over)
    assert asked == 1
    assert refill(problem, before, 0, 1, lambda: True) is before


def test_larger_problems_than_the_exact_model_takes_are_filled_anew() -> None:
    """88 blocks, of which the exact model takes 64."""
    phases: list[str] = []
    problem = tiny_problem([[(44, 22, "22,22,1")], [(66, 44, "22,22,2")]], 3, 5, "none")
    answer = map_optimal(problem, Effort(listen=lambda event: phases.append(event.phase)))
    assert "few arrays filled anew" in phases
    assert_legal(problem, answer.mapping)
