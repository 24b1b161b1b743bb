"""The best cut onto chips in a row against all cuts, and bounds against every answer."""

from __future__ import annotations

import random

import pytest

from cimsolve.price.chips import ChipTimes, row_of
from cimsolve.problem.problem import Problem
from cimsolve.prove.chips import best_row, find_chips_bounds
from cimsolve.prove.runs import Cut, Run
from cimsolve.study.chips import solve_chips
from makers.builders import linears, step
from makers.short_chips import all_cuts, short
from makers.tiny_configs import BERT

LAYER = {**BERT, "num_hidden_layers": 1}


def _drawn(draw: random.Random, problem: Problem) -> dict[Run, ChipTimes]:
    """Times of runs that fit no model; as many phases as each has."""
    steps, tokens = problem.model.steps, problem.model.tokens
    found = {}
    for first in range(len(steps)):
        for end in range(first + 1, len(steps) + 1):
            phases = tuple(draw.randint(1, 20) for _ in {each.phase for each in steps[first:end]})
            later = tuple(tokens - 1 for _ in phases)
            if end - first <= draw.randint(1, 4):
                found[first, end] = ChipTimes(draw.randint(1, 60), max(phases), phases, later)
    return found


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("of", ["token", "prefill", "batch"])
def test_no_cut_is_better_than_the_best(seed: int, of: str) -> None:
    draw = random.Random(seed)
    problem = short(LAYER if seed % 2 else {**BERT, "num_hidden_layers": 2}, 16)
    runs, chips = _drawn(draw, problem), draw.randint(2, 8)

    def takes(cut: Cut) -> int:
        return row_of(problem, [end for _, end in cut], [runs[run] for run in cut]).takes(of)

    cuts = [cut for cut in all_cuts(len(problem.model.steps)) if all(run in runs for run in cut)]
    few = [cut for cut in cuts if len(cut) <= chips]
    found = best_row(problem, runs, chips, of)
    assert (found is None) == (not few)
    if found is not None:
        assert len(found) <= chips
        assert takes(found) == min(map(takes, few))
    fewest = best_row(problem, runs, None, of)
    assert (fewest is None) == (not cuts)
    if fewest is not None:
        least = min(map(len, cuts))
        assert len(fewest) == least
        assert takes(fewest) == min(takes(cut) for cut in cuts if len(cut) == least)


@pytest.mark.parametrize("strategy", ["linear", "spread", "optimal"])
@pytest.mark.parametrize("arrays", [2, 5])
def test_no_answer_lies_below_its_bounds(strategy: str, arrays: int) -> None:
    problem = short(linears(*(step(name, (8, 8), (8, 8)) for name in "abc")), arrays)
    chips = solve_chips(problem, strategy)
    for allowed in (len(chips.runs), len(chips.runs) + 1):
        for name, bound in find_chips_bounds(problem, allowed).items():
            assert 0 < bound.value <= chips.header.metrics[name]


def test_more_chips_never_raise_the_bounds() -> None:
    problem = short(LAYER, 16)
    found = [find_chips_bounds(problem, chips) for chips in (2, 3, 4)]
    for name in found[0]:
        values = [bounds[name].value for bounds in found]
        assert values == sorted(values, reverse=True)
