"""Where time and energy go: every table adds up exactly, whichever way it is added."""

from __future__ import annotations

import random

import pytest

from cimsolve.api import make_problem
from cimsolve.judge.check import check_solution, rebuild_problem
from cimsolve.price.claims import describe_breakdown
from cimsolve.price.cost import Costs, evaluate
from cimsolve.problem.solution import Solution
from cimsolve.study.solving import solve
from makers.builders import answer, ask, chip, fired_of, linears, macro_chip, pieces_of, step
from makers.hardware_specs import FLAT

MODELS = ["minilm-l6", "smollm2-135m", "gpt2-medium", "bert-large", "bart-large", "llama-3-8b", "llama-3-70b"]
RULES = ["linear", "sparsemap", "densemap", "spread"]


def costs_of(solution: Solution) -> Costs:
    return evaluate(fired_of(rebuild_problem(solution), solution), solution.activations)


def assert_adds_up(costs: Costs) -> None:
    metrics, found = costs.metrics, describe_breakdown(costs)
    columns = {**costs.array_pj, **costs.outside_pj}
    entries = [value for values in columns.values() for value in values.tolist()]
    assert min(entries) >= 0
    random.Random(0).shuffle(entries)
    assert sum(entries) == metrics["energy_pj"]
    assert sum(found.energy_pj.values()) == metrics["energy_pj"]
    assert sum(value for values in costs.array_pj.values() for value in values.tolist()) == metrics["array_energy_pj"]
    rows = [sum(row) for row in zip(*(values.tolist() for values in columns.values()), strict=True)]
    assert sum(rows) == metrics["energy_pj"]
    # As a reader of the file would: by stage and the tail.
    parts = ("array_pj", "gap_pj", "leakage_pj")
    assert sum(sum(found.stages[name]) + found.tail[name] for name in parts) == metrics["energy_pj"]
    for name, cycles in found.latency_cycles.items():
        assert sum(found.stages[f"{name}_cycles"]) + found.tail[f"{name}_cycles"] == cycles
    assert sum(found.latency_cycles.values()) == metrics["latency_cycles"]
    assert sum(found.phases["fill_cycles"]) == metrics["latency_cycles"]
    clock_ns = metrics["latency_ns"] / metrics["latency_cycles"]
    assert sum(found.phases["prefill_cycles"]) * clock_ns == pytest.approx(metrics["prefill_ns"], rel=1e-12)
    for phase in costs.phases:
        assert phase.ii_cycles == max(phase.array_ii_cycles, phase.digital_cycles, phase.transfer_cycles)
    for name in ("latency_ns", "prefill_ns", "ii_cycles", "energy_pj"):
        assert 0 <= metrics[f"fixed_{name}"] <= metrics[name]


@pytest.mark.parametrize("spec", FLAT)
@pytest.mark.parametrize("rule", RULES)
def test_breakdowns_of_a_small_model_add_up(rule: str, spec: str) -> None:
    assert_adds_up(costs_of(solve(make_problem("minilm-l6", spec), rule)))


@pytest.mark.slow
@pytest.mark.parametrize("spec", FLAT)
@pytest.mark.parametrize("model", MODELS)
def test_breakdowns_of_every_model_add_up(model: str, spec: str) -> None:
    for rule in RULES:
        assert_adds_up(costs_of(solve(make_problem(model, spec), rule)))


def test_parallel_stages_are_charged_what_they_add() -> None:
    """b and c both read a and run side by side; c's gap overlaps b's work."""
    config = linears(step("a", (4, 4)), step("b", (4, 4)), step("c", (4, 4), reads=["a"]), context=2)
    pieces = pieces_of(*((factor, 0, 0, 4, 0, 4, factor, 0, 0) for factor in range(3)))
    costs = costs_of(answer(ask(config), pieces))
    # Each stage reads 4 columns in 14 cycles; 4 elements of 2 bits move in 1 + 1 cycles, one gap after the other;
    # those of the last step leave.
    assert costs.stages.start.tolist() == [0, 16, 18]
    assert costs.cycles["array"].tolist() == [14, 14, 2, 0]
    assert costs.cycles["transfer"].tolist() == [0, 2, 2, 2]
    assert costs.cycles["wait"].tolist() == [0, 0, -2, 0]
    assert costs.metrics["latency_cycles"] == 32 + 2
    assert_adds_up(costs)


def test_a_macro_adds_up() -> None:
    config = linears(step("a", (4, 4)), step("b", (4, 2)))
    pieces = pieces_of((0, 0, 0, 4, 0, 4, 0, 0, 0), (1, 0, 0, 4, 0, 2, 1, 0, 0))
    costs = costs_of(answer(ask(config, hardware=macro_chip()), pieces))
    assert costs.array_pj["macro"].tolist() == pytest.approx([40, 40, 0])
    assert_adds_up(costs)


def test_the_checker_holds_a_file_to_its_breakdown() -> None:
    config = linears(step("a", (4, 4)), step("b", (4, 2)))
    pieces = pieces_of((0, 0, 0, 4, 0, 4, 0, 0, 0), (1, 0, 0, 4, 0, 2, 1, 0, 0))
    solution = answer(ask(config, hardware=chip()), pieces)
    assert check_solution(solution).passed
    told = solution.header.breakdown
    for changed in (
        {"tail": {**told.tail, "transfer_cycles": 0}},
        {"tail": {}},
        {"phases": {**told.phases, "digital_cycles": [1]}},
        {"stages": {**told.stages, "leakage_pj": [0.0, 0.0]}},
    ):
        liar = solution.header.model_copy(update={"breakdown": told.model_copy(update=changed)})
        report = check_solution(Solution(liar, solution.pieces, solution.activations))
        assert [violation.rule for violation in report.violations][:1] == ["breakdown"]
