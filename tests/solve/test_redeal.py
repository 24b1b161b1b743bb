"""Activations in each other's places: legal, no slower, as good as exhaustion where that is possible."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from random import Random
from typing import Any
from unittest import mock

import numpy as np
import pytest

from cimsolve.judge.check import check_solution
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping, Pieces
from cimsolve.solve import front, plan
from cimsolve.solve.candidates import Candidate
from cimsolve.solve.effort import Effort
from cimsolve.solve.incumbent import measure
from cimsolve.solve.plan import map_optimal
from cimsolve.solve.polish.pair import fire_pairs_together
from cimsolve.solve.polish.redeal import deal_again
from cimsolve.solve.rules.spread import map_spread
from cimsolve.study.solving import make_solution
from makers.builders import STILL, ask, chip, linears, step
from makers.folders import TESTS
from makers.medium_problems import MEDIUM


def assert_legal(problem: Problem, mapping: Mapping) -> None:
    solution = make_solution(problem.asking(objective=("arrays",)), mapping, strategy="optimal")
    report = check_solution(solution)
    assert report.passed, report.violations[:2]


@pytest.mark.parametrize("number", range(len(MEDIUM)))
def test_places_are_exchanged_legally_and_for_the_better(number: int) -> None:
    problem = MEDIUM[number]
    before = fire_pairs_together(problem, map_spread(problem))
    after = deal_again(problem, before, seed=0, workers=1)
    assert measure(problem, after)["latency_cycles"] <= measure(problem, before)["latency_cycles"]
    assert measure(problem, after)["arrays"] == measure(problem, before)["arrays"]
    assert sorted(zip(after.pieces.array, after.pieces.array_row, after.pieces.array_col, strict=True)) == sorted(
        zip(before.pieces.array, before.pieces.array_row, before.pieces.array_col, strict=True)
    )
    assert_legal(problem, after)
    again = deal_again(problem, before, seed=0, workers=1)
    assert np.array_equal(again.pieces.array, after.pieces.array)


def stages_apart() -> tuple[Problem, Mapping]:
    """Three stages of two blocks each, of one shape, the two of a stage on one array: the worst there is."""
    steps = [step(name, (8, 4)) for name in "abc"]
    problem = ask(linears(*steps), "dense", chip(array__rows=8, array__cols=4, **STILL), cut="columns")
    number = np.arange(6)
    half = np.full(6, 2)
    zero = np.zeros(6, dtype=np.int64)
    pieces = Pieces(
        factor=number // 2,
        block=zero,
        row0=zero,
        rows=np.full(6, 8),
        col0=number % 2 * 2,
        cols=half,
        array=number // 2,
        array_row=zero,
        array_col=number % 2 * 2,
    )
    return problem, Mapping(pieces, number)


def test_what_waits_for_one_array_is_shared_out() -> None:
    """A stage's two halves fire one after the other, 2 (3 + 4) = 14 ns each: 28; on two arrays 14."""
    problem, before = stages_apart()
    assert measure(problem, before)["latency_cycles"] == 3 * 28
    after = deal_again(problem, before, seed=0, workers=1)
    assert_legal(problem, after)
    assert measure(problem, after)["latency_cycles"] == 3 * 14


def test_it_ends_with_what_it_has_when_told() -> None:
    problem, before = stages_apart()
    untouched = deal_again(problem, before, seed=0, workers=1, is_over=lambda: True)
    assert np.array_equal(untouched.pieces.array, before.pieces.array)
    calls = iter([False, True])
    once = deal_again(problem, before, seed=0, workers=1, is_over=lambda: next(calls))
    assert_legal(problem, once)
    assert measure(problem, once)["latency_cycles"] < measure(problem, before)["latency_cycles"]
    assert next(calls, None) is None


@pytest.mark.parametrize("limit", [1e-9, math.inf])
def test_no_neighbourhood_is_begun_after_the_time_limit(limit: float) -> None:
    """The start has the two halves of each stage on one array, far from the bound."""
    problem, before = stages_apart()
    asked: list[bool] = []

    def watched(*arguments: Any) -> Mapping:
        asked.append(True)
        return deal_again(*arguments)

    search = Effort(start=before, time_limit_s=limit)
    with (
        mock.patch.object(plan, "deal_again", watched),
        mock.patch.object(plan, "candidates", return_value=iter(())),
        mock.patch.object(plan, "why_out_of_reach", return_value="left out here"),
    ):
        map_optimal(problem, search)
    assert bool(asked) == (limit == math.inf)


def test_points_of_a_front_are_exchanged_where_bounds_leave_something() -> None:
    problem, start = stages_apart()
    with mock.patch.object(front, "candidates", return_value=iter([Candidate("apart", lambda: start)])):
        (point,) = front.find_front(problem, Effort())
    exchanged = measure(problem, deal_again(problem, start, seed=0, workers=1))
    assert point.metrics["latency_cycles"] == exchanged["latency_cycles"] < measure(problem, start)["latency_cycles"]
    assert point.name == "apart, activations exchanged"
    assert_legal(problem, point.mapping)


def test_as_good_as_all_permutations() -> None:
    """Six equal pieces in random places: the best of all 720 permutations."""
    problem, start = stages_apart()

    def placed(order: Sequence[int]) -> Mapping:
        pieces, at = start.pieces, list(order)
        return replace(start, pieces=replace(pieces, array=pieces.array[at], array_col=pieces.array_col[at]))

    least = min(measure(problem, placed(each))["latency_cycles"] for each in permutations(range(6)))
    for seed in range(8):
        mapping = placed(Random(seed).sample(range(6), 6))
        assert measure(problem, deal_again(problem, mapping, seed=0, workers=1))["latency_cycles"] == least


def test_a_column_wired_elsewhere_is_another_shape() -> None:
    """Adjacent wiring: two columns share a converter or do not, so only like places are exchanged."""
    steps = [step(name, (8, 4)) for name in "ab"]
    hardware = chip(array__rows=8, array__cols=8, adc__wiring="adjacent", adc__per_array=4, **STILL)
    problem = ask(linears(*steps), "dense", hardware, cut="columns")
    before = map_optimal(problem, Effort()).mapping
    after = deal_again(problem, before, seed=0, workers=1)
    assert_legal(problem, after)
    assert measure(problem, after)["latency_cycles"] <= measure(problem, before)["latency_cycles"]


AFTERWARDS = """
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from makers.builders import ask, chip, linears, step
from cimsolve.solve.polish.order import order_stages
from cimsolve.solve.polish.redeal import deal_again
from cimsolve.solve.rules.spread import map_spread
from solve.test_redeal import stages_apart
deal_again(*stages_apart(), seed=0, workers=1)
branches = [step("a", (8, 8)), step("b", (8, 8), reads=["a"]), step("c", (8, 8), reads=["a"])]
problem = ask(linears(*branches), "dense", chip())
order_stages(problem, map_spread(problem), seed=0, workers=1)
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    raise SystemExit(7)
"""


def test_ctrl_c_is_heard_after_the_solver_has_run() -> None:
    """In a process of its own, which a handler left behind by CP-SAT would end."""
    run = subprocess.run([sys.executable, "-c", AFTERWARDS], cwd=TESTS, check=False)
    assert run.returncode == 7
