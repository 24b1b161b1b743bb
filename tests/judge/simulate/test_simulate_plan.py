"""Answers in runs in numbers: each run's arrays programmed anew, what one makes handed on, and corruptions caught."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cimsolve.errors import InputError
from cimsolve.judge.simulate import Noise
from cimsolve.judge.simulate.plan import Machine, simulate_plan, study_plan
from cimsolve.problem.plan import AnyPlan
from cimsolve.problem.problem import Problem
from cimsolve.study.chips import solve_chips
from cimsolve.study.rounds import solve_rounds
from makers.builders import ask, chip, linears, step, with_experts
from makers.command_line import Cli
from makers.short_chips import short, writing
from makers.tiny_configs import BERT, NARROW_BART

WIDE = {"input__bits": 4, "weight__bits": 3, "weight__signed": "offset", "adc__bits_rule": "lossless"}
GRAPH = linears(
    step("a", (8, 8), (8, 4)),
    step("b", (8, 8), reads=["a"]),
    step("c", (12, 6), reads=["a", "b"]),
    with_experts(step("d", (8, 8), (8, 8), reads=["b"]), of=[0, 1], chosen=1),
    step("e", (8, 8), reads=["c", "d"]),
)


def problem_of(config: dict[str, Any], arrays: int, **changes: Any) -> Problem:
    return ask(config, hardware=writing(chip(array__count=arrays, **{**WIDE, **changes})))


@pytest.fixture(scope="module")
def rounds() -> AnyPlan:
    return solve_rounds(problem_of(GRAPH, 8), "spread")


@pytest.mark.parametrize(
    ("config", "arrays"),
    [(GRAPH, 8), ({**BERT, "num_hidden_layers": 2}, 40), (NARROW_BART, 8)],
)
def test_arrays_give_the_whole_models_numbers(config: dict[str, Any], arrays: int) -> None:
    for solve in (solve_rounds, solve_chips):
        plan = solve(problem_of(config, arrays), "spread")
        assert len(plan.runs) > 1
        found = simulate_plan(plan, vectors=3)
        assert found.lossless_expected
        assert found.exact, found.first_mismatch
        assert found.passed
        assert found.outputs >= 3 * sum(linear.n_out for linear in Problem(plan.question()).model.linears)


def test_what_must_come_out_is_the_models_whatever_the_cut(rounds: AnyPlan) -> None:
    chains = []
    for plan in (rounds, solve_chips(problem_of(GRAPH, 11), "spread"), solve_rounds(problem_of(GRAPH, 40), "spread")):
        machine = Machine(plan, None, 2, 5, {}, {})
        assert len(list(machine.runs())) == len(plan.runs)
        chains.append(machine.expected)
    assert len({len(chain) for chain in chains}) == 1
    assert len(rounds.runs) > 1
    for other in chains[1:]:
        assert all((chains[0][step] == made).all() for step, made in other.items())


def _moved(plan: AnyPlan, number: int) -> AnyPlan:
    """The tallest piece of one run lies over the edge of its array."""
    solution = plan.runs[number]
    row = solution.pieces.array_row.copy()
    row[solution.pieces.rows.argmax()] += 7
    changed = replace(solution, pieces=replace(solution.pieces, array_row=row))
    return replace(plan, runs=[changed if each is solution else each for each in plan.runs])


def test_what_one_run_gets_wrong_is_told_and_spoils_those_that_follow(rounds: AnyPlan) -> None:
    good = simulate_plan(rounds, vectors=2)
    assert good.exact
    found = simulate_plan(_moved(rounds, 1), vectors=2)
    assert not found.passed
    assert found.first_mismatch is not None
    assert found.first_mismatch.startswith("run 2: ")
    wrong = {stage.name for stage in found.stages if stage.deviation.mismatches}
    later = {stage.name for solution in rounds.runs[2:] for stage in solution.header.stages}
    assert wrong & later
    assert not wrong & {stage.name for stage in rounds.runs[0].header.stages}


@pytest.mark.parametrize("number", [0, 1])
def test_a_piece_that_lies_elsewhere_shows(number: int) -> None:
    plan = solve_rounds(problem_of(linears(*(step(name, (8, 8)) for name in "abcd")), 6), "linear")
    assert simulate_plan(plan).exact
    assert len(plan.runs) > number
    found = simulate_plan(_moved(plan, number))
    assert not found.passed
    assert (found.first_mismatch or "").startswith(f"run {number + 1}: ")


def test_converters_that_round_are_told_from_wrong_mappings() -> None:
    plan = solve_rounds(short({**BERT, "num_hidden_layers": 1}, 16), "linear")
    found = simulate_plan(plan, vectors=3)
    assert not found.lossless_expected
    assert not found.exact
    assert found.ideal.mismatches == 0
    assert found.passed


def test_some_layers_alone_and_real_weights() -> None:
    plan = solve_chips(problem_of({**BERT, "num_hidden_layers": 3}, 40), "spread")
    found = simulate_plan(plan, layers=[1])
    assert found.layers == (1,)
    assert found.exact
    draw = np.random.default_rng(0)
    weights = {each.name: draw.normal(size=(each.n_in, each.n_out)) for each in Problem(plan.question()).model.linears}
    real = simulate_plan(plan, weights=weights)
    assert real.exact
    for settings, words in (({"layers": [9]}, r"layers \[9\]"), ({"weights": {"x": draw.normal(size=(2, 2))}}, "'x'")):
        with pytest.raises(InputError, match=words):
            simulate_plan(plan, **settings)


def test_noise_is_studied_over_all_runs(rounds: AnyPlan) -> None:
    found = study_plan(rounds, vectors=4)
    assert found.overall().mismatches == 0
    assert [stage.name for stage in found.stages["all together"]][:1] == ["a"]
    noisy = study_plan(rounds, vectors=4, noise=Noise(programming=0.2))
    assert noisy.overall().mismatches > 0
    assert len(noisy.stages["all together"]) == len(found.stages["all together"]) >= 5


def test_the_commands_simulate_both_kinds(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tiny.json").write_text(json.dumps({**BERT, "num_hidden_layers": 1}))
    Path("chip.json").write_text(json.dumps(writing(chip(array__count=40, **WIDE))))
    words = ["--hw", "chip.json", "--model", "tiny.json", "--structure", "dense", "--strategy", "linear"]
    for way in ("rounds", "chips"):
        result = cli(*words, "--when-short", way, "--simulate", "all", "--json")
        assert result.code == 0
        simulation = json.loads(result.out)["answers"][0]["simulation"]
        assert simulation["exact"]
        assert simulation["layers"] == [0]
        file = next(str(path) for path in Path("results").iterdir() if path.name.endswith(f"-{way}.json"))
        shown = cli("simulate", file)
        assert shown.code == 0
        assert "all numbers of the whole model" in " ".join(shown.out.split())
        told = json.loads(cli("simulate", file, "--json", "--noise", "programming=0.1").out)["files"][file]
        assert told["whole"]["passed"]
        assert told["effects"]["all together"]["median_db"] is not None
    content = json.loads(Path(file).read_text())
    content["metrics"]["latency_ns"] *= 0.5
    Path(file).write_text(json.dumps(content))
    assert cli("simulate", file).code == 1
