"""Answers on chips in a row: cut, mapped, judged; and claims that do not hold, which are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import cimsolve
from cimsolve.errors import InfeasibleError, InputError
from cimsolve.judge.check.plan import check_plan
from cimsolve.problem.plan import Chips, read_plan, write_plan
from cimsolve.study.chips import solve_chips
from cimsolve.study.solving import solve
from makers.builders import ask, chip, linears, step, with_experts
from makers.family_configs import FAMILY_CONFIGS
from makers.short_chips import short
from makers.tiny_configs import BERT, NARROW_BART

CHAIN = linears(*(step(name, (8, 8)) for name in "abcd"))
MIXTURE = linears(step("a", (8, 8)), with_experts(step("b", (8, 8), (8, 8)), of=[0, 1], chosen=1), step("c", (8, 8)))


@pytest.fixture(scope="module")
def answer() -> Chips:
    return solve_chips(short(CHAIN, 2), "optimal")


@pytest.mark.parametrize(
    ("strategy", "objective"), [("linear", "latency"), ("spread", "prefill"), ("optimal", "throughput")]
)
def test_every_answer_passes(strategy: str, objective: str) -> None:
    problem = short({**BERT, "num_hidden_layers": 1}, 16, objective)
    chips = solve_chips(problem, strategy, chips=4)
    assert check_plan(chips, problem).violations == ()
    assert 1 < len(chips.runs) <= 4
    assert chips.header.metrics["arrays"] <= 16


def test_without_a_number_there_are_as_few_as_can_be(answer: Chips) -> None:
    assert len(answer.runs) == answer.header.chips == 2


def test_more_chips_shorten_the_time_between_tokens() -> None:
    problem = short(CHAIN, 2, "throughput")
    few, many = (solve_chips(problem, chips=chips).header.metrics["ii_cycles"] for chips in (2, 4))
    assert many <= few


def test_chips_that_gain_nothing_are_left_out() -> None:
    """Four steps of one time: four chips are as fast from token to token as the slowest, whose II two do not beat."""
    problem = short(CHAIN, 4, "throughput")
    one, many = (solve_chips(problem, chips=chips) for chips in (1, 4))
    fewer = many.header.metrics["ii_cycles"] < one.header.metrics["ii_cycles"]
    assert (len(many.runs) > 1) == fewer


@pytest.mark.parametrize("source", [2, 6])
def test_a_row_of_one_chip_costs_what_the_chip_does(source: int) -> None:
    problem = short(NARROW_BART, 400, tokens=(4, source))
    alone, row = solve(problem, "spread").header.metrics, solve_chips(problem, "spread", chips=1).header.metrics
    for metric in ("latency_ns", "prefill_ns", "ii_ns", "energy_pj"):
        assert row[metric] == pytest.approx(alone[metric])


def test_a_file_comes_back(tmp_path: Path, answer: Chips) -> None:
    files = write_plan(answer, tmp_path / "a.json")
    assert sorted(tmp_path.iterdir()) == sorted(files)
    again = read_plan(files[0])
    assert check_plan(again).passed
    assert again.header.metrics == answer.header.metrics


def _with(answer: Chips, **changes: object) -> Chips:
    return replace(answer, header=answer.header.model_copy(update=changes))


@pytest.mark.parametrize(
    ("lie", "rule"),
    [
        (lambda it: _with(it, metrics={**it.header.metrics, "latency_ns": 1.0}), "metrics"),
        (lambda it: _with(it, metrics={**it.header.metrics, "energy_pj": 1.0}), "metrics"),
        (lambda it: _with(it, chips=1), "runs"),
        (lambda it: _with(it, bounds={**it.header.bounds, "ii_cycles": it.header.bounds["latency_cycles"]}), "bounds"),
        (lambda it: _with(it, runs=it.header.runs[:1]), "runs"),
        (lambda it: replace(it, runs=[*it.runs[1:], it.runs[0]]), "runs"),
    ],
)
def test_lies_are_refused(answer: Chips, lie: Callable[[Chips], Chips], rule: str) -> None:
    assert rule in {violation.rule for violation in check_plan(lie(answer)).violations}


def test_too_few_chips_are_told_with_those_that_are_needed() -> None:
    for strategy in ("linear", "optimal"):
        with pytest.raises(InfeasibleError, match=r"at most 1 runs of 2 arrays .* fewer than 2"):
            solve_chips(short(CHAIN, 2), strategy, chips=1)


def test_a_step_that_no_chip_holds_is_named() -> None:
    with pytest.raises(InfeasibleError, match=r"tall\.\d+ alone needs at least 3 arrays"):
        solve_chips(short(linears(step("a", (8, 8)), step("tall", (136, 8))), 2), "linear")


def test_chips_that_nothing_joins_are_refused() -> None:
    with pytest.raises(InputError, match="chip_link is missing"):
        solve_chips(ask(CHAIN, hardware=chip(), max_arrays=2), "linear")


def test_python_has_what_the_command_has(tmp_path: Path) -> None:
    problem = short(CHAIN, 2)
    rounds = cimsolve.map_rounds(problem.question, strategy="spread", batch=3)
    chips = cimsolve.map_chips(problem.question, strategy="spread", chips=3)
    assert (rounds.header.batch, chips.header.chips) == (3, 3)
    for name, plan in (("rounds", rounds), ("chips", chips)):
        path = cimsolve.write_plan(plan, tmp_path / f"{name}.json")[0]
        assert cimsolve.check_plan(path).passed
        assert cimsolve.read_plan(path).header.kind == name


def test_a_source_has_been_there_when_a_sequence_decodes() -> None:
    problem = short(FAMILY_CONFIGS["t5"], 150)
    chips = solve_chips(problem, "spread")
    assert check_plan(chips, problem).violations == ()
    both, target = (run.header.metrics for run in chips.runs)
    decoding_ns = both["decode_latency_ns"] + chips.header.metrics["link_latency_ns"] + target["latency_ns"]
    assert both["decode_latency_ns"] < both["latency_ns"]
    assert chips.header.metrics["decode_tokens_per_s"] == pytest.approx(1e9 / decoding_ns)


@pytest.mark.parametrize(
    ("terms", "part"),
    [
        ({"max_latency_ns": 1e9}, "max_latency_ns"),
        ({"steps": "0:2"}, "steps = 0:2"),
        ({"routing": "counts:1,1"}, "routing: counts of a file"),
    ],
)
def test_terms_that_runs_do_not_obey_are_refused(terms: dict[str, object], part: str) -> None:
    for answer_in_runs in (cimsolve.map_rounds, cimsolve.map_chips):
        with pytest.raises(InputError, match=part):
            answer_in_runs(short(MIXTURE, 2).question.asking(**terms), strategy="linear")


def test_a_sweep_shows_the_curve_from_few_arrays_to_all(tmp_path: Path) -> None:
    (tmp_path / "chip.json").write_text(json.dumps(short(CHAIN, 2).hardware.to_json()))
    (tmp_path / "chain.json").write_text(json.dumps(CHAIN))
    study = {
        "format": "cimsolve-study/1",
        "hw": str(tmp_path / "chip.json"),
        "model": str(tmp_path / "chain.json"),
        "structure": ["dense"],
        "strategy": "spread",
        "vary": {"array.count": [1, 2, 4], "when_short": ["refuse", "rounds", "chips"]},
    }
    for _ in range(2):  # solved, and as kept
        found = cimsolve.sweep_study(study, cache=tmp_path / "cache")
        states = [each.state for each in found]
        assert states == ["infeasible", "solved", "solved"] * 2 + ["solved"] * 3
        latency = [each.metrics["latency_cycles"] for each in found[1::3]]
        assert latency == sorted(latency, reverse=True)
        assert "chips" in found[2].metrics
        assert "arrays" in found[8].bounds


def test_a_study_with_numbers_of_another_way_is_refused() -> None:
    with pytest.raises(InputError, match="batch: is of rounds"):
        cimsolve.sweep_study({"format": "cimsolve-study/1", "batch": 3, "vary": {"seed": [0]}})
