"""Activations of two phases in each other's places: legal, never worse, as good as can be where that is known."""

from __future__ import annotations

import numpy as np
import pytest

from cimsolve.judge.check import check_solution
from cimsolve.price.cost import price
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping, Pieces
from cimsolve.solve.incumbent import measure
from cimsolve.solve.polish.even_phases import even_out_phases
from cimsolve.solve.rules.spread import map_spread
from cimsolve.study.solving import make_solution
from makers.builders import STILL, ask, chip, linears, step
from makers.medium_problems import MEDIUM


def assert_legal(problem: Problem, mapping: Mapping) -> None:
    solution = make_solution(problem.asking(objective=("arrays",)), mapping, strategy="optimal")
    report = check_solution(solution)
    assert report.passed, report.violations[:2]


@pytest.mark.parametrize("number", [i for i, problem in enumerate(MEDIUM) if len(problem.later_tokens) > 1][-2:])
def test_places_are_exchanged_legally_and_for_the_better(number: int) -> None:
    problem = MEDIUM[number]
    before = map_spread(problem)
    after = even_out_phases(problem, before, seed=0)
    assert longest(problem, after) <= longest(problem, before)
    assert sorted(zip(after.pieces.array, after.pieces.array_row, after.pieces.array_col, strict=True)) == sorted(
        zip(before.pieces.array, before.pieces.array_row, before.pieces.array_col, strict=True)
    )
    assert_legal(problem, after)


def longest(problem: Problem, mapping: Mapping) -> int:
    """Time of the busiest array in every phase, as often as a prefill pays for it."""
    phases = price(problem, mapping).costs.phases
    return sum(phase.array_ii_cycles * later for phase, later in zip(phases, problem.later_tokens, strict=True))


def phases_apart() -> tuple[Problem, Mapping]:
    """Three phases of two stages each, of two blocks, all of one shape, each phase on an array of its own."""
    steps = [step(name, (8, 4), barrier=name in "ce") for name in "abcdef"]
    problem = ask(linears(*steps), "dense", chip(array__rows=8, array__cols=8, **STILL), cut="columns")
    number = np.arange(12)
    pieces = Pieces(
        factor=number // 2,
        block=np.zeros(12, dtype=np.int64),
        row0=np.zeros(12, dtype=np.int64),
        rows=np.full(12, 8),
        col0=number % 2 * 2,
        cols=np.full(12, 2),
        array=number // 4,
        array_row=np.zeros(12, dtype=np.int64),
        array_col=number % 4 * 2,
    )
    return problem, Mapping(pieces, number)


def test_no_array_has_more_of_a_phase_than_it_must() -> None:
    """Twelve equal pieces on three arrays, four of each phase: two of a phase on one array, not four."""
    problem, before = phases_apart()
    after = even_out_phases(problem, before, seed=0)
    assert_legal(problem, after)
    phase = np.array([stage.phase for stage in problem.workload.stages])[after.pieces.factor]
    assert phase.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    most = [np.bincount(after.pieces.array[phase == each]).max() for each in range(3)]
    assert most == [2, 2, 2]
    assert np.array_equal(even_out_phases(problem, before, seed=0).pieces.array, after.pieces.array)
    assert measure(problem, after)["prefill_ns"] < measure(problem, before)["prefill_ns"]


def test_it_ends_with_what_it_has_when_told() -> None:
    problem, before = phases_apart()
    untouched = even_out_phases(problem, before, seed=0, is_over=lambda: True)
    assert np.array_equal(untouched.pieces.array, before.pieces.array)
