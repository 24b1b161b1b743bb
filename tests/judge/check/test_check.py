"""The checker on honest answers: rules, tolerance, and bounds that only a search can show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cimsolve.api import make_problem
from cimsolve.judge.check import check_solution, rebuild_problem
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Solution, read_solution, write_solution
from cimsolve.solve.strategies import RULES as STRATEGIES
from cimsolve.study.solving import problem_for, solve
from makers.builders import (
    TWO,
    answer,
    ask,
    broken,
    chip,
    column,
    honest,
    linears,
    pieces_of,
    step,
    with_figures_that_fit,
    with_header,
    with_tables,
)

# Honest answers


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("hardware", ["paper256", "rram256", "sram256", "pcm256", "rram128-isaac"])
def test_rules_of_the_field_pass_on_shipped_hardware(hardware: str, strategy: str) -> None:
    problem = make_problem("minilm-l6", hardware)
    solution = solve(problem, strategy)
    report = check_solution(solution, problem_for(strategy, problem))
    assert not report.violations
    assert report.costs is not None
    assert report.costs.metrics == solution.header.metrics
    assert report.bounds is not None
    assert report.unverified == ()


@pytest.mark.parametrize("cut", ["none", "both"])
def test_encoder_and_decoder_pass(cut: str) -> None:
    assert check_solution(solve(make_problem("bart-large", "rram256", cut=cut), "spread")).passed


def test_an_answer_survives_its_file(tmp_path: Path) -> None:
    solution = solve(make_problem("minilm-l6", "rram256"), "spread")
    write_solution(solution, tmp_path / "a.json")
    read = read_solution(tmp_path / "a.json")
    assert read.header == solution.header
    for table in ("pieces", "activations"):
        one, other = getattr(read, table), getattr(solution, table)
        assert all((getattr(one, name) == getattr(other, name)).all() for name in one.__dataclass_fields__)
    assert check_solution(read, rebuild_problem(solution)).passed


@pytest.mark.parametrize(
    ("part", "other"),
    {
        "hw.read_ns": ask(TWO, hardware=chip(read_ns=4)),
        "options.tokens": ask({**TWO, "context": 5}, hardware=chip()),
        "structure.a0": ask(TWO, "2,2,1"),
        "options.cut": ask(TWO, cut="both"),
        "options.max_arrays": ask(TWO, max_arrays=9),
    }.items(),
)
def test_an_answer_to_another_question_is_refused(part: str, other: Problem) -> None:
    report = check_solution(honest(), other)
    (violation,) = report.violations
    assert str(violation) == f"question: {part}: it is not the one that was asked"


def test_names_that_carry_no_claim_are_free() -> None:
    solution = with_header(honest(), strategy="guesswork", seed=-7, versions={})
    assert check_solution(solution).passed


def test_arrays_may_have_any_numbers() -> None:
    solution = honest()
    numbers = [2**31 - 1, 0, 77]
    renamed = with_tables(solution, pieces__array=numbers, activations__array=numbers)
    assert check_solution(renamed).passed


def test_row_parts_of_one_output_may_fire_together() -> None:
    problem = ask(linears(step("a", (4, 4))), cut="both")
    stacked = pieces_of((0, 0, 0, 2, 0, 4, 0, 0, 0), (0, 0, 2, 2, 0, 4, 0, 5, 0))
    together, alone = answer(problem, stacked, [0, 0]), answer(problem, stacked, [0, 1])
    assert check_solution(together).passed
    assert check_solution(alone).passed
    # Four occupied cells a column take 2 bits, two take 1.
    assert column(together, "activations__adc_bits") == [2]
    assert column(alone, "activations__adc_bits") == [1, 1]


def test_factors_of_two_block_sizes_may_share_rows_of_one_input() -> None:
    problem = ask(linears(step("a", (8, 4), (8, 2))), {"a0": "2,1,1", "a1": "1,1,1"})
    blocks = [(f.id, b, f) for f in problem.workload.factors for b in range(f.blocks)]
    places = {(0, 0): (0, 0, 0), (0, 1): (0, 4, 1), (1, 0): (0, 0, 2), (2, 0): (1, 0, 0), (3, 0): (1, 4, 4)}
    rows = [(f, b, 0, e.block_rows, 0, e.block_cols, *places[f, b]) for f, b, e in blocks]
    fires = [0 if factor in (0, 1) else factor for factor, _, _ in blocks]
    assert {f.kind for f in problem.workload.factors} == {"R", "L"}
    assert check_solution(answer(problem, pieces_of(*rows), fires)).passed


# Tolerance


def scaled(value: Any, by: float) -> Any:
    if isinstance(value, dict):
        return {key: scaled(each, by) for key, each in value.items()}
    if isinstance(value, list):
        return [scaled(each, by) for each in value]
    return value * by if isinstance(value, float) else value


def test_sums_in_another_order_are_no_lies(tmp_path: Path) -> None:
    write_solution(honest(), tmp_path / "a.json")
    content = json.loads((tmp_path / "a.json").read_text())
    for by, passes in ((1 + 1e-13, True), (1 + 1e-6, False)):
        claims = {name: scaled(content[name], by) for name in ("metrics", "breakdown", "bounds")}
        # Whole cycles times the clock are no sum: they are the same everywhere.
        claims["bounds"]["prefill_ns"] = content["bounds"]["prefill_ns"]
        (tmp_path / "b.json").write_text(json.dumps(content | claims))
        assert check_solution(read_solution(tmp_path / "b.json")).passed == passes


# Bounds that only a search can show


def searched(lower: int) -> Solution:
    # The three pieces fit on one array, so two is more than can be recomputed.
    solution = honest()
    value = int(solution.header.metrics["arrays"])
    entry = solution.header.bounds["arrays"].model_copy(
        update={"lower": lower, "gap": (value - lower) / lower, "proof": "search"}
    )
    return with_header(solution, bounds={**solution.header.bounds, "arrays": entry})


def test_a_bound_of_a_search_is_named_as_unverified() -> None:
    report = check_solution(searched(2))
    assert report.passed
    assert report.unverified == ("arrays",)


def test_so_is_a_status_that_rests_on_one() -> None:
    report = check_solution(with_header(searched(3), status="optimal"))
    assert report.passed
    assert report.unverified == ("arrays", "status")


def test_a_search_proves_nothing_above_the_value() -> None:
    assert broken(searched(4)) == {"bounds"}


def test_a_status_needs_every_metric_of_its_objective() -> None:
    one_each = pieces_of(*((f, 0, 0, 4, 0, 4, 0, 0 if f < 2 else 4, 0 if f != 1 else 4) for f in range(3)))
    solution = answer(ask(TWO), one_each)
    assert solution.header.status == "optimal"
    energy = with_figures_that_fit(with_header(solution, objective=["arrays", "energy"]))
    assert check_solution(energy).passed
    assert broken(with_header(energy, status="optimal")) == {"status"}
