"""Strips in pairs around an empty diagonal: legal, and fewer firings than one input at a time."""

from __future__ import annotations

from cimsolve.api import make_problem
from cimsolve.judge.check import check_solution
from cimsolve.problem.problem import Problem
from cimsolve.prove.crossings import least_work_cycles_at_crossings
from cimsolve.solve.groups.crowns import map_crowns
from cimsolve.solve.rules.spread import map_spread
from makers.builders import answer
from makers.model_configs import config_of, parse
from makers.random_mappings import measure


def question() -> Problem:
    return make_problem(parse(config_of("minilm-l6", num_hidden_layers=1)), "pcm256", cut="none")


def test_inputs_fire_in_pairs_on_full_arrays() -> None:
    """160 inputs of a layer on two arrays, 84 % full: none of the rules fires two together."""
    problem = question()
    mapping = map_crowns(problem, 2, by_phase=False)
    assert mapping is not None
    solution = answer(problem, mapping.pieces, mapping.fires.tolist())
    assert not {violation for violation in check_solution(solution).violations if violation.rule != "below bound"}
    firings = len(set(mapping.fires.tolist()))
    assert firings <= 112
    busiest = measure(problem, mapping)["array_ii_cycles"]
    assert least_work_cycles_at_crossings(problem, 2) <= busiest
    assert busiest < 0.8 * measure(problem, map_spread(problem))["array_ii_cycles"]


def test_full_arrays_without_empty_cells_have_no_pairs() -> None:
    model = parse(config_of("minilm-l6", num_hidden_layers=1))
    dense = make_problem(model, "pcm256", structure="dense", cut="none")
    assert map_crowns(dense, 1, by_phase=False) is None
