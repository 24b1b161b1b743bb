"""Bounds never lie above what random legal mappings, rules and exhaustion reach."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np
import pytest

from cimsolve.judge.check import check_solution
from cimsolve.price.cost import Metrics, price
from cimsolve.problem.problem import Problem
from cimsolve.prove import find_bounds, most_arrays
from cimsolve.prove.arrays import least_arrays
from cimsolve.prove.pieces import least_phase_cycles_in_pieces
from cimsolve.prove.time import least_ii_cycles, least_latency_cycles, least_phase_work_cycles
from cimsolve.solve.effort import Effort
from cimsolve.solve.exact.items import why_not_exact
from cimsolve.solve.exact.search import solve_exact
from cimsolve.solve.strategies import RULES
from makers.builders import answer
from makers.random_mappings import BOUNDED, measure, random_mapping, random_question

OBJECTIVES = (("arrays", "latency"), ("latency",), ("arrays", "prefill"), ("arrays", "throughput"))
"""Bounded on the arrays used, and on all that are allowed; phases by what their columns can be cut into; a pass by what
arrays have room for."""


def assert_above_bounds(problem: Problem, metrics: Metrics) -> None:
    for objective in OBJECTIVES:
        for name, bound in find_bounds(problem, metrics, objective).lower.items():
            assert metrics[name] >= bound.value * (1 - 1e-12), (name, objective, problem)


def test_what_columns_can_be_cut_into_raises_the_bound_and_is_reached() -> None:
    draw, sharper, met = Random(11), 0, 0
    while sharper < 40:
        problem = random_question(draw, row_cuts=False)
        arrays = least_arrays(problem, 10**9)[0]
        plain, in_pieces = least_phase_work_cycles(problem, arrays), least_phase_cycles_in_pieces(problem, arrays)
        assert all(low <= high for low, high in zip(plain, in_pieces, strict=True))
        if plain == in_pieces:
            continue
        for _ in range(20):
            mapping = random_mapping(problem, draw, arrays)
            if mapping is None or int(measure(problem, mapping)["arrays"]) != arrays:
                continue
            sharper += 1
            phases = price(problem, mapping).costs.phases
            worked = [phase.array_ii_cycles for phase in phases]
            assert all(cycles >= bound for cycles, bound in zip(worked, in_pieces, strict=True))
            met += worked == in_pieces
    assert met > 5


# Against the proved optimum


@pytest.mark.parametrize("seed", range(5))
def test_no_bound_lies_above_the_proved_optimum(seed: int) -> None:
    compare_with_exact(Random(seed), count=2, weights=10)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1020))
def test_no_bound_lies_above_the_proved_optimum_of_many_more(seed: int) -> None:
    compare_with_exact(Random(seed), count=25, weights=20)


def compare_with_exact(draw: Random, count: int, weights: int) -> None:
    while count:
        problem = random_question(draw, row_cuts=False)
        if why_not_exact(problem) is not None or problem.weight_cells > weights:
            continue
        count -= 1
        result = solve_exact(problem, deterministic_time=1.0)
        if result.mapping is None or result.arrays is None:
            continue
        assert least_arrays(problem, 10**9)[0] <= result.arrays
        assert_above_bounds(problem, measure(problem, result.mapping))
        for arrays in (result.arrays, result.arrays + 1):
            fastest = solve_exact(problem, ("latency",), max_arrays=arrays, deterministic_time=1.0)
            assert fastest.latency_cycles is not None
            assert least_latency_cycles(problem, arrays) <= fastest.latency_cycles
            assert fastest.mapping is not None
            assert_above_bounds(problem, measure(problem, fastest.mapping))


def test_bounds_often_meet_the_proved_optimum() -> None:
    """A bound of 0 would pass every test above."""
    draw, count, met = Random(5), 0, 0
    while count < 12:
        problem = random_question(draw, row_cuts=False)
        if why_not_exact(problem) is not None or problem.weight_cells > 9:
            continue
        result = solve_exact(problem, deterministic_time=1.0)
        if result.status != "optimal" or result.arrays is None:
            continue
        count += 1
        met += (
            least_arrays(problem, 10**9)[0] == result.arrays
            and least_latency_cycles(problem, result.arrays) == result.latency_cycles
        )
    assert met >= 8


# Against rules and random mappings


@pytest.mark.parametrize("row_cuts", [False, True, None])
@pytest.mark.parametrize("seed", range(3))
def test_no_bound_lies_above_any_legal_mapping(seed: int, row_cuts: bool | None) -> None:
    compare_with_random(Random(100 + seed), row_cuts, questions=2, mappings=20)


@pytest.mark.slow
@pytest.mark.parametrize("row_cuts", [False, True, None])
@pytest.mark.parametrize("seed", range(4))
def test_no_bound_lies_above_any_of_many_more(seed: int, row_cuts: bool | None) -> None:
    compare_with_random(Random(2000 + seed), row_cuts, questions=40, mappings=300)


@pytest.mark.parametrize("seed", range(3))
def test_no_bound_lies_above_any_mapping_of_stages_that_fire_at_many_positions(seed: int) -> None:
    compare_with_random(Random(400 + seed), None, questions=2, mappings=20, positions=(1, 2, 5, 300))


@pytest.mark.parametrize("seed", range(3))
def test_no_bound_lies_above_any_mapping_of_weights_that_fire_again(seed: int) -> None:
    compare_with_random(Random(500 + seed), None, questions=2, mappings=20, laps=True)


def compare_with_random(
    draw: Random,
    row_cuts: bool | None,
    questions: int,
    mappings: int,
    positions: Sequence[int] = (),
    laps: bool = False,
) -> None:
    for _ in range(questions):
        problem = random_question(draw, row_cuts, chain=draw.random() < 0.7, positions=positions, laps=laps)
        least = least_arrays(problem, 10**9)[0]
        best: dict[tuple[int, str], Metrics] = {}
        tried = [RULES[name](problem, Effort()).mapping for name in ("sparsemap", "densemap", "spread")]
        for number in range(mappings):
            found = random_mapping(problem, draw, least + number % 4)
            tried += [] if found is None else [found]
        for mapping in tried:
            metrics = measure(problem, mapping)
            assert metrics["arrays"] >= least
            for name in BOUNDED:
                key = int(metrics["arrays"]), name
                if key not in best or metrics[name] < best[key][name]:
                    best[key] = metrics
        for metrics in best.values():
            assert_above_bounds(problem, metrics)


@pytest.mark.parametrize("laps", [False, True])
def test_random_mappings_are_legal(laps: bool) -> None:
    draw = Random(3)
    for row_cuts in (False, True, None) * 3:
        problem = random_question(draw, row_cuts, laps=laps)
        mapping = random_mapping(problem, draw, least_arrays(problem, 10**9)[0] + 1)
        if mapping is not None:
            solution = answer(problem, mapping.pieces, mapping.fires.tolist())
            assert not {v for v in check_solution(solution).violations if v.rule != "below bound"}


@pytest.mark.parametrize("seed", range(8))
def test_times_are_bounded_on_more_arrays_than_are_used(seed: int) -> None:
    """What lies on few arrays lies on at most so many: the bound for more arrays holds too."""
    draw = Random(300 + seed)
    problem = random_question(draw)
    metrics = measure(problem, RULES["spread"](problem, Effort()).mapping)
    for more in range(1, 6):
        arrays = int(metrics["arrays"]) + more
        assert metrics["latency_cycles"] >= least_latency_cycles(problem, arrays)
        assert metrics["ii_cycles"] >= least_ii_cycles(problem, arrays)


def test_more_arrays_than_most_would_stay_empty() -> None:
    draw = Random(9)
    for _ in range(10):
        problem = random_question(draw)
        for _ in range(5):
            mapping = random_mapping(problem, draw, 60)
            assert mapping is not None
            assert len(np.unique(mapping.pieces.array)) <= most_arrays(problem)
            if problem.cut != "both":
                columns = int((mapping.pieces.cols).sum())
                assert columns == int((problem.row_parts * problem.table.blocks * problem.table.block_cols).sum())
