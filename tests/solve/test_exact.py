"""The exact solver against exhaustion, and every rule of its model shown to be needed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ortools.sat.python import cp_model

from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping
from cimsolve.solve.exact.items import build_instance, why_not_exact
from cimsolve.solve.exact.rules import RULES, SYMMETRY, build_model
from cimsolve.solve.exact.search import solve_exact
from makers.tiny_problems import random_problems, tiny_problem
from oracles import brute_force

PROBLEMS = random_problems(seed=2, count=28)

TWO_INPUTS = ([(4, 2, "2,1,1")],)
"""Two blocks of 2 x 1 with inputs of their own, then one of 2 x 2."""

TWO_BIG = ([(4, 4, "2,2,1")],)
"""Two stages of two blocks of 2 x 2, all inputs different."""

FULL_OR_NOT = ([(1, 2, "dense")], [(2, 1, "dense")], [(2, 1, "dense")])
"""On 2 x 3: two columns of one row that could fire together, had the others not taken two whole columns."""

NEEDED: dict[str, tuple[Problem, int]] = {
    "p1_cover": (tiny_problem(TWO_INPUTS, 2, 4), 1),
    "p2_inside": (tiny_problem(([(1, 2, "dense"), (1, 2, "dense")], [(2, 1, "dense")]), 2, 4, "none"), 1),
    "p3_apart": (tiny_problem(FULL_OR_NOT, 2, 3), 1),
    "s6_array_count": (tiny_problem(TWO_INPUTS, 2, 4), 1),
    "s1_once": (tiny_problem(TWO_INPUTS, 2, 4), 1),
    "s1_on_one_array": (tiny_problem(([(1, 3, "dense")],), 1, 2, adc__wiring="adjacent"), 2),
    "s2_same_input": (tiny_problem(TWO_INPUTS, 2, 4), 1),
    "s3_clean_columns": (tiny_problem(([(2, 1, "2,1,1")],), 2, 2), 1),
    "s4_one_at_a_time": (tiny_problem(TWO_INPUTS, 2, 4), 1),
    "s5_dataflow": (tiny_problem(TWO_INPUTS, 4, 4), 2),
    "s6_rows_active": (tiny_problem(TWO_INPUTS, 4, 4, array__rows_active_max=2), 1),
}
"""Rule -> a problem and a number of arrays on which the rule costs time."""


def least_cycles(problem: Problem, arrays: int, *without: str) -> int:
    """The model's optimum on at most `arrays` arrays, the named rules left out."""
    instance = build_instance(problem)
    variables = build_model(instance, arrays, without=without)
    variables.model.minimize(variables.end)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    assert solver.solve(variables.model) == cp_model.OPTIMAL
    return round(solver.objective_value) + instance.gap_cycles[-1]


def assert_matches_exhaustion(problem: Problem) -> None:
    expected = brute_force.best(problem, max_arrays=4)
    result = solve_exact(problem)
    assert result.status == "optimal"
    assert result.mapping is not None
    assert (result.arrays_lower, result.latency_lower_cycles) == (result.arrays, result.latency_cycles)
    assert brute_force.measure(problem, result.mapping) == (result.arrays, result.latency_cycles)
    if expected is None:
        assert result.arrays is not None
        assert result.arrays > 4
    else:
        assert (result.arrays, result.latency_cycles) == expected


@pytest.mark.parametrize("number", range(len(PROBLEMS)))
def test_the_optimum_is_that_of_exhaustion(number: int) -> None:
    assert_matches_exhaustion(PROBLEMS[number])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 130))
def test_the_optimum_is_that_of_exhaustion_on_many_more(seed: int) -> None:
    for problem in random_problems(seed, count=12, most_placements=200_000):
        assert_matches_exhaustion(problem)


@pytest.mark.parametrize("number", range(0, len(PROBLEMS), 4))
def test_more_arrays_are_used_where_only_latency_counts(number: int) -> None:
    problem = PROBLEMS[number]
    fewest = brute_force.best(problem, max_arrays=4)
    assert fewest is not None
    expected = brute_force.least_latency(problem, fewest[0] + 1)
    result = solve_exact(problem, ("latency",), max_arrays=fewest[0] + 1)
    assert (result.status, result.latency_cycles, result.latency_lower_cycles) == (
        "optimal",
        expected,
        expected,
    )
    assert result.mapping is not None
    assert brute_force.measure(problem, result.mapping) == (result.arrays, expected)


@pytest.mark.parametrize("number", range(1, len(PROBLEMS), 8))
def test_arrays_come_second_where_latency_comes_first(number: int) -> None:
    problem = PROBLEMS[number]
    least = brute_force.least_latency(problem, 3)
    if least is None:
        assert solve_exact(problem, ("latency", "arrays"), max_arrays=3).status == "infeasible"
        return
    fewest = next(n for n in (1, 2, 3) if brute_force.least_latency(problem, n) == least)
    result = solve_exact(problem, ("latency", "arrays"), max_arrays=3)
    assert (result.status, result.latency_cycles, result.arrays) == ("optimal", least, fewest)
    assert result.arrays_lower == fewest


def test_every_rule_has_its_problem() -> None:
    assert set(NEEDED) == {rule.__name__ for rule in RULES}


@pytest.mark.parametrize("rule", NEEDED)
def test_without_the_rule_the_optimum_is_too_good(rule: str) -> None:
    problem, arrays = NEEDED[rule]
    true = brute_force.least_latency(problem, arrays)
    assert true is not None
    assert least_cycles(problem, arrays) == true
    assert least_cycles(problem, arrays, rule) < true


@pytest.mark.parametrize("number", range(2, len(PROBLEMS), 6))
def test_symmetry_rules_cost_nothing_alone_or_together(number: int) -> None:
    problem = PROBLEMS[number]
    names = [rule.__name__ for rule in SYMMETRY]
    fewest = brute_force.best(problem, max_arrays=4)
    assert fewest is not None
    arrays = fewest[0] + 1
    optimum = least_cycles(problem, arrays)
    assert least_cycles(problem, arrays, *names) == optimum
    for kept in names:
        assert least_cycles(problem, arrays, *(name for name in names if name != kept)) == optimum


def test_equal_seeds_give_equal_mappings() -> None:
    problem = tiny_problem(([(4, 4, "2,2,1")], [(4, 2, "2,1,1")]), 4, 4)
    first, second = (solve_exact(problem, workers=1, seed=3).mapping for _ in range(2))
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first.fires, second.fires)
    for field in vars(first.pieces):
        np.testing.assert_array_equal(getattr(first.pieces, field), getattr(second.pieces, field))


@pytest.mark.parametrize("objective", [("arrays", "latency"), ("arrays",), ("latency",)])
def test_too_few_arrays_are_proven_infeasible(objective: tuple[str, ...]) -> None:
    by_area = tiny_problem(TWO_BIG, 4, 2)
    result = solve_exact(by_area, objective, max_arrays=1)
    assert (result.status, result.mapping, result.arrays_lower) == ("infeasible", None, 2)
    # Two squares of 2 x 2 are 8 of 9 cells, and still do not fit.
    by_shape = tiny_problem(([(2, 2, "dense"), (2, 2, "dense")],), 3, 3, "none")
    result = solve_exact(by_shape, objective, max_arrays=1)
    assert (result.status, result.mapping, result.arrays_lower) == ("infeasible", None, 2)
    assert solve_exact(by_shape, objective, max_arrays=2).status == "optimal"


def test_the_problem_s_own_limit_counts_too() -> None:
    assert solve_exact(tiny_problem(TWO_BIG, 4, 2, max_arrays=1)).status == "infeasible"
    assert solve_exact(tiny_problem(TWO_BIG, 4, 2, array__count=1)).status == "infeasible"


@pytest.mark.parametrize("number", [3, 11, 19, 27])
def test_a_hint_is_not_lost_when_time_is_short(number: int) -> None:
    problem = PROBLEMS[number]
    best = solve_exact(problem)
    assert best.mapping is not None
    order = np.random.default_rng(number).permutation(len(best.mapping.pieces))
    pieces = best.mapping.pieces.take(order)
    shuffled = replace(pieces, array=7 - pieces.array)
    hint = Mapping(shuffled, best.mapping.fires[order] + 40)
    result = solve_exact(problem, hint=hint, deterministic_time=1e-6)
    assert (result.arrays, result.latency_cycles) == (best.arrays, best.latency_cycles)


def test_an_illegal_hint_does_no_harm() -> None:
    problem = tiny_problem(TWO_BIG, 4, 4)
    best = solve_exact(problem)
    assert best.mapping is not None
    nowhere = np.zeros_like(best.mapping.fires)
    all_at_once = Mapping(best.mapping.pieces, nowhere)
    all_in_one_place = Mapping(replace(best.mapping.pieces, array_row=nowhere, array_col=nowhere), nowhere)
    outside = Mapping(replace(best.mapping.pieces, array_row=best.mapping.pieces.array_row + 9), best.mapping.fires)
    cut = Mapping(replace(best.mapping.pieces, rows=nowhere + 1), best.mapping.fires)
    for hint in (all_at_once, all_in_one_place, outside, cut):
        for time in (1e-6, 10.0):
            result = solve_exact(problem, hint=hint, deterministic_time=time)
            assert result.mapping is not None
            assert brute_force.measure(problem, result.mapping) == (result.arrays, result.latency_cycles)
        assert (result.status, result.latency_cycles) == ("optimal", best.latency_cycles)


def test_a_short_search_still_answers_and_claims_no_more_than_it_proved() -> None:
    problem = tiny_problem(([(8, 8, "2,2,1"), (8, 8, "2,2,1")], [(8, 8, "4,4,1")]), 8, 8)
    result = solve_exact(problem, deterministic_time=1e-6)
    assert result.mapping is not None
    assert result.arrays is not None
    assert result.latency_cycles is not None
    assert result.latency_lower_cycles is not None
    assert result.status == "feasible"
    assert result.arrays_lower <= result.arrays
    assert result.latency_lower_cycles < result.latency_cycles
    assert brute_force.measure(problem, result.mapping) == (result.arrays, result.latency_cycles)


def test_progress_reports_better_values_above_their_bounds() -> None:
    seen: list[tuple[str, int, int]] = []
    problem = tiny_problem(TWO_BIG, 4, 4)
    result = solve_exact(problem, ("latency",), max_arrays=1, progress=lambda *event: seen.append(event))
    assert seen
    assert all(metric == "latency" for metric, _, _ in seen)
    values = [value for _, value, _ in seen]
    assert values == sorted(set(values), reverse=True)
    assert values[-1] == result.latency_cycles
    assert all(lower <= value for _, value, lower in seen)


def test_whole_blocks_of_a_real_array_are_solved_on_a_coarse_grid() -> None:
    problem = tiny_problem(([(512, 512, "16,16,1")],), 128, 128, "none", adc__per_array=4, input__bits=8)
    instance = build_instance(problem)
    assert (len(instance.items), instance.rows, instance.cols) == (32, 8, 8)
    result = solve_exact(problem)
    assert result.status == "optimal"
    assert result.mapping is not None
    assert brute_force.measure(problem, result.mapping) == (result.arrays, result.latency_cycles)


@pytest.mark.parametrize(
    "problem",
    [
        tiny_problem(TWO_BIG, 4, 4).asking(cut="both"),
        tiny_problem(TWO_BIG, 1, 4),
        tiny_problem(TWO_BIG, 4, 1, "none"),
        tiny_problem(([(64, 64, "8,8,1")],), 16, 16),
        tiny_problem(([(64, 64, "32,32,1")],), 256, 256, "none", adc__wiring="adjacent"),
        tiny_problem(([(64, 32, "32,1,1")],), 256, 256, array__rows_active_max=2),
    ],
    ids=["row cuts", "rows", "columns", "items", "columns by converter", "driven rows"],
)
def test_what_is_too_large_or_not_plain_is_refused(problem: Problem) -> None:
    assert why_not_exact(problem) is not None
    with pytest.raises(ValueError, match="exact solver"):
        solve_exact(problem)


def test_a_forced_column_cut_is_taken() -> None:
    assert why_not_exact(tiny_problem(TWO_BIG, 4, 1)) is None
    assert_matches_exhaustion(tiny_problem(([(2, 2, "dense")], [(2, 1, "dense")]), 2, 1))


@pytest.mark.parametrize("objective", [(), ("energy",), ("arrays", "arrays")])
def test_other_objectives_are_refused(objective: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="objective"):
        solve_exact(tiny_problem(TWO_BIG, 4, 4), objective)
