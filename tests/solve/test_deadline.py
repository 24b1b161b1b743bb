"""Limits of time: kept in the middle of a loop, over when the block is; answers never worse than the best rule."""

from __future__ import annotations

import dataclasses
import itertools
import math
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cimsolve.errors import InfeasibleError
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import read_solution, write_solution
from cimsolve.prove import objective_units, objective_values
from cimsolve.solve.deadline import TimeIsUp, ends_within, seconds_left, stopped_in_time
from cimsolve.solve.effort import Effort, Event
from cimsolve.solve.front import find_front
from cimsolve.solve.names import DEFAULT_RULES
from cimsolve.study.solving import problem_for, solve, solve_and_check
from makers.medium_problems import MEDIUM
from makers.tiny_problems import tiny_problem

HASTY = Effort(time_limit_s=1e-6)
OBJECTIVES = [("arrays", "latency"), ("throughput",), ("prefill",), ("energy", "arrays")]


def busy(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def test_a_loop_that_asks_nothing_is_stopped() -> None:
    began = time.monotonic()
    with pytest.raises(TimeIsUp), ends_within(0.05), stopped_in_time():
        busy(20)
    assert time.monotonic() - began < 5


def test_nothing_strikes_behind_the_block() -> None:
    with ends_within(0.02):
        with stopped_in_time():
            pass
        busy(0.05)
    assert math.isinf(seconds_left())


def test_a_thread_of_its_own_is_stopped_too() -> None:
    seen: list[str] = []

    def work() -> None:
        try:
            with ends_within(0.05), stopped_in_time():
                busy(20)
        except TimeIsUp:
            seen.append("stopped")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(10)
    assert seen == ["stopped"]


def test_an_inner_limit_cannot_outlast_an_outer_one() -> None:
    with ends_within(1), ends_within(100):
        assert seconds_left() <= 1


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("number", [0, 4, 9])
def test_no_limit_makes_an_answer_worse_than_a_rule(number: int, objective: tuple[str, ...]) -> None:
    problem = MEDIUM[number].asking(objective=objective)
    units = objective_units(problem, objective)
    solution, report = solve_and_check(problem, "optimal", HASTY)
    assert report.passed
    assert solution.header.stopped_by in ("time limit", None)
    mine = objective_values(solution.header.metrics, objective, units)
    for rule in DEFAULT_RULES:
        if problem_for(rule, problem).structures == problem.structures:
            theirs = objective_values(solve(problem, rule).header.metrics, objective, units)
            assert mine <= tuple(value * (1 + 1e-12) for value in theirs), rule


def test_the_rule_for_dense_weights_counts_too() -> None:
    # Tiles one an array are the fastest that a rule has for dense weights, and no candidate of the solver.
    dense = problem_for("dense-optimal", MEDIUM[2]).asking(objective=("latency",), cut="both", max_arrays=None)
    hasty, tiles = (solve(dense, name, HASTY).header.metrics for name in ("optimal", "linear"))
    assert hasty["latency_cycles"] <= tiles["latency_cycles"]


def test_a_longer_search_is_never_worse() -> None:
    # An end after so many steps stands for a limit of time, which no test can set to a step.
    problem = MEDIUM[0].asking(objective=("latency", "arrays"))
    values = []
    for steps in (3, 8, 16, 40):
        ended = itertools.count(1)

        def end(event: Event, ended: Iterator[int] = ended, steps: int = steps) -> None:
            if event.phase != "interrupted" and next(ended) == steps:
                raise KeyboardInterrupt

        metrics = solve(problem, "optimal", Effort(listen=end)).header.metrics
        values.append((metrics["latency_cycles"], metrics["arrays"]))
    assert len(set(values)) > 1
    assert values == sorted(values, reverse=True)


def test_that_the_limit_struck_stands_in_the_file(tmp_path: Path) -> None:
    problem = MEDIUM[3].asking(objective=("prefill",))
    stopped, whole = solve(problem, "optimal", HASTY), solve(MEDIUM[0], "spread")
    assert stopped.header.stopped_by == "time limit"
    for solution in (stopped, whole):
        write_solution(solution, tmp_path / "answer.json")
        assert read_solution(tmp_path / "answer.json").header == solution.header
    assert "stopped_by" not in (tmp_path / "answer.json").read_text()


def test_a_front_ends_in_time() -> None:
    events: list[str] = []
    began = time.monotonic()
    find_front(MEDIUM[3], Effort(time_limit_s=0.05, listen=lambda event: events.append(event.phase)))
    assert events[-1] == "time limit"
    assert time.monotonic() - began < 5


ONE_ARRAY_DOES: Problem = dataclasses.replace(
    tiny_problem([[(2, 3, "2,1,1"), (2, 3, "2,1,1")], [(6, 1, "2,1,1")]], 6, 4, "none", max_arrays=1)
).asking(objective=("throughput",))
"""20 weights and zeros between them fill the 24 cells of one array in few ways; the rules need two and more."""


def test_what_only_the_exact_model_fits_is_not_called_infeasible() -> None:
    solution, report = solve_and_check(ONE_ARRAY_DOES, "optimal")
    assert report.passed
    assert solution.header.metrics["arrays"] == 1
    with pytest.raises(InfeasibleError):
        solve(ONE_ARRAY_DOES, "spread")


def test_what_no_search_fits_is_proved_infeasible() -> None:
    # Four blocks of 3 x 2 on an array of 4 x 4: any two share rows and columns, so two fit side by side, no third.
    problem = tiny_problem([[(12, 8, "dense")]], 4, 4, "none").asking(max_arrays=1)
    with pytest.raises(InfeasibleError, match="fewer than"):
        solve(problem, "optimal")
