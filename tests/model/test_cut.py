"""Steps cut into parts by their outputs: what each reads, makes, stores and does."""

from __future__ import annotations

import pytest

from cimsolve.chip.read import parse_hardware
from cimsolve.errors import InputError
from cimsolve.judge.check import check_solution
from cimsolve.judge.simulate import simulate
from cimsolve.model.cut import cut_steps
from cimsolve.model.families import parse_model
from cimsolve.model.model import Model
from cimsolve.model.structure import Structure
from cimsolve.problem.problem import Problem
from cimsolve.problem.question import ask, question_from
from cimsolve.study.solving import solve
from makers.builders import chip, linears, step
from makers.tiny_configs import BERT

DENSE = Structure.dense()
PAIR = linears(step("a", (8, 6), (8, 4)), step("b", (10, 8)))


def _cut(config: dict[str, object], weights: int, structure: Structure = DENSE) -> tuple[Model, dict[str, Structure]]:
    model = parse_model(config, "model", "tiny")
    return cut_steps(model, {linear.name: structure for linear in model.linears}, weights)


def test_outputs_are_dealt_out_evenly_over_linears_in_a_row() -> None:
    model, _ = _cut(PAIR, 40)
    assert [[(each.name, each.n_in, each.n_out) for each in part.linears] for part in model.steps] == [
        [("a0[0:5]", 8, 5)],
        [("a0[5:6]", 8, 1), ("a1", 8, 4)],
        [("b0[0:4]", 10, 4)],
        [("b0[4:8]", 10, 4)],
    ]


@pytest.mark.parametrize("weights", [1, 7, 8, 30, 79, 80, 1000])
def test_nothing_is_lost_and_no_part_is_larger_than_it_must_be(weights: int) -> None:
    whole = parse_model(PAIR, "model", "tiny")
    model, stored = _cut(PAIR, weights)
    assert model.weight_count == whole.weight_count
    assert set(stored) == {linear.name for linear in model.linears}
    for part in model.steps:
        largest = max(linear.n_in for linear in part.linears)
        assert sum(linear.weights for linear in part.linears) <= max(weights, largest)
    assert sum(part.made_elements for part in model.steps) == sum(each.made_elements for each in whole.steps)


def test_each_part_reads_all_parts_of_what_the_step_reads_and_the_first_does_the_work() -> None:
    whole = parse_model(BERT, "model", "tiny")
    model, _ = _cut(BERT, 300)
    assert len(model.steps) > len(whole.steps)
    names = [part.name for part in model.steps]
    reader = next(part for part in model.steps if part.name == "layer0.attention_output")
    assert {names[read].partition(".")[2] for read in reader.reads} == {"qkv.0", "qkv.1", "qkv.2"}
    done = [operation for part in model.steps for operation in part.operations]
    assert done == [operation for each in whole.steps for operation in each.operations]


def test_factored_linears_are_cut_by_their_output_blocks() -> None:
    config = linears(step("a", (8, 8)))
    model, stored = _cut(config, 40, Structure.monarch(2, 4, 2))
    assert [str(stored[part.linears[0].name]) for part in model.steps] == ["2,1,2"] * 4
    parts = [(stored[part.linears[0].name], part.linears[0]) for part in model.steps]
    assert sum(each.stored_weights(linear.n_in, linear.n_out) for each, linear in parts) == 96


def test_low_rank_and_experts_stay_whole() -> None:
    model, _ = _cut(linears(step("a", (8, 8))), 5, Structure.monarch(1, 1, 2))
    assert [part.name for part in model.steps] == ["a"]


def _pair_cut_at_40() -> Problem:
    model, hardware = parse_model(PAIR, "model", "pair"), parse_hardware(chip(), "chip")
    return Problem(ask(model, hardware, structure="dense", cut_steps=40))


def test_a_question_with_cut_steps_is_mapped_checked_simulated_and_read_back() -> None:
    problem = _pair_cut_at_40()
    solution = solve(problem, "spread")
    assert check_solution(solution).passed
    assert simulate(problem, solution.pieces, solution.activations).passed
    again = Problem(question_from(problem.question.to_json()))
    assert again.question.difference(problem.question) is None
    assert [part.name for part in again.model.steps] == [part.name for part in problem.model.steps]
    part = problem.asking(steps="1:3")
    assert Problem(question_from(part.question.to_json())).model.steps == part.model.steps


def test_a_cut_model_is_not_cut_again() -> None:
    problem = _pair_cut_at_40()
    with pytest.raises(InputError, match="cut_steps = 20: the model is cut already"):
        problem.asking(cut_steps=20)
