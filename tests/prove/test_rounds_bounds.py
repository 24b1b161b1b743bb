"""The best cut into runs against all cuts, and bounds of rounds against every answer."""

from __future__ import annotations

import itertools
import random

import pytest

from cimsolve.price.rounds import RunTimes, period_cycles, times_of_run, total_cycles
from cimsolve.problem.plan import run_problem
from cimsolve.problem.problem import Problem
from cimsolve.prove import least_times
from cimsolve.prove.arrays import may_fit
from cimsolve.prove.rounds import best_cut, find_rounds_bounds, least_doubled, least_rounds
from cimsolve.prove.runs import shapes_of
from cimsolve.solve.effort import Effort
from cimsolve.study.rounds import solve_rounds
from cimsolve.study.solving import solve
from makers.builders import linears, step
from makers.short_chips import all_cuts, short
from makers.tiny_configs import BERT


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("double", [False, True])
def test_no_cut_is_better_than_the_best(seed: int, double: bool) -> None:
    draw = random.Random(seed)
    count = draw.randint(1, 6)
    runs = {
        (first, end): RunTimes(*(draw.randint(1, 40) for _ in range(4)))
        for first in range(count)
        for end in range(first + 1, count + 1)
        if end - first <= draw.randint(1, 4)
    }
    of = draw.choice(["token", "prefill"])
    totals = [
        total_cycles([runs[run] for run in cut], double, of)
        for cut in all_cuts(count)
        if all(run in runs for run in cut)
    ]
    found = best_cut(runs, count, double, of, 1)
    assert (found is None) == (not totals)
    if found is not None:
        assert total_cycles([runs[run] for run in found], double, of) == min(totals)


@pytest.mark.parametrize("strategy", ["linear", "spread", "optimal"])
@pytest.mark.parametrize("arrays", [2, 5])
def test_no_answer_lies_below_its_bounds(strategy: str, arrays: int) -> None:
    problem = short(linears(*(step(name, (8, 8), (8, 8)) for name in "abc")), arrays)
    rounds = solve_rounds(problem, strategy, batch=3)
    for name, bound in find_rounds_bounds(problem, 3).items():
        assert 0 < bound.value <= rounds.header.metrics[name]


def test_more_arrays_never_raise_the_bounds() -> None:
    found = [find_rounds_bounds(short({**BERT, "num_hidden_layers": 1}, arrays), 12) for arrays in (16, 24)]
    for name in found[0]:
        values = [bounds[name].value for bounds in found]
        assert values == sorted(values, reverse=True)


def test_layers_alike_are_looked_at_once() -> None:
    least = least_rounds(short({**BERT, "num_hidden_layers": 4}, 40), 40)
    assert least[5, 7] is least[9, 11]


@pytest.mark.parametrize("arrays", [9, 16])
def test_runs_that_share_what_is_found_are_bounded_as_each_is_alone(arrays: int) -> None:
    problem = short({**BERT, "num_hidden_layers": 2}, 16, "prefill")
    for (first, end), found in least_rounds(problem, arrays).items():
        alone = least_times(Problem(run_problem(problem, first, end).question), arrays)
        assert (found.latency, found.ii, found.prefill) == (alone.latency, alone.ii, alone.prefill)


def test_what_may_fit_is_told_in_any_order() -> None:
    problem = short({**BERT, "num_hidden_layers": 1}, 16)
    shapes, steps = shapes_of(problem), len(problem.model.steps)
    for arrays in (16, 2, 30, 5, 9):
        for first, end in itertools.combinations(range(steps + 1), 2):
            assert shapes.may_fit(first, end, arrays) == may_fit(run_problem(problem, first, end), arrays)


@pytest.mark.parametrize("seed", range(20))
def test_doubled_runs_share_the_arrays(seed: int) -> None:
    """Against all cuts, and all levels of each run of which two in a row are not too many."""
    draw = random.Random(seed)
    count = draw.randint(1, 5)
    levels = [
        {
            (first, end): RunTimes(*(draw.randint(1, 40) for _ in range(4)))
            for first in range(count)
            for end in range(first + 1, count + 1)
            if end - first <= level + 1
        }
        for level in range(3)
    ]
    totals = [
        total_cycles([levels[level][run] for run, level in zip(cut, chosen, strict=True)], True, "prefill")
        for cut in all_cuts(count)
        for chosen in itertools.product(range(3), repeat=len(cut))
        if all(run in levels[level] for run, level in zip(cut, chosen, strict=True))
        and all(mine + others < 3 for mine, others in itertools.pairwise(chosen))
    ]
    assert least_doubled(levels, count, "prefill", 1) == min(totals, default=None)


@pytest.mark.parametrize("seed", range(6))
def test_no_plan_drawn_at_random_lies_below_the_bounds(seed: int) -> None:
    draw = random.Random(seed)
    arrays = draw.choice([3, 4, 6])
    problem = short(linears(*(step(name, (8, 8), (8, 8)) for name in "abc")), arrays, "prefill")
    bounds = find_rounds_bounds(problem, 3)
    for _ in range(20):
        cut = draw.choice(list(all_cuts(3)))
        given = [draw.randint(1, arrays) for _ in cut]
        double = all(one + other <= arrays for one, other in itertools.pairwise(given))
        times = []
        for run, most in zip(cut, given, strict=True):
            asked = run_problem(problem, *run).asking(max_arrays=most)
            if not may_fit(asked, most):
                break
            solution = solve(asked, "optimal", Effort(brief=True))
            times.append(times_of_run(problem.hardware, solution.pieces, solution.header.metrics))
        else:
            clock_ns = problem.hardware.clock_ps / 1000
            assert total_cycles(times, double, "token") >= bounds["latency_cycles"].value
            assert total_cycles(times, double, "prefill") * clock_ns >= bounds["prefill_ns"].value
            assert period_cycles(times, double, 3) >= bounds["batch_cycles"].value
