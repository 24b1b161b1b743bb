"""Commands on a chip with a memory of keys and values: the answer, why it is so, what does not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cimsolve.chip.read import load_hardware
from cimsolve.model.load import load_model
from cimsolve.problem.question import ask
from cimsolve.problem.solution import read_solution
from cimsolve.show.seen.judged import judge
from cimsolve.show.seen.waterfall import energy_by_component, latency_by_component
from cimsolve.study.sweep.point import Point, solve_point
from makers.builders import chip, mesh_chip, remembering
from makers.command_line import Cli
from makers.tiny_configs import BERT

SLOW = {"bits_per_ns": 0.25, "mbit": 1}
RUN = ["--hw", "chip.json", "--model", "tiny.json", "--structure", "dense"]


@pytest.fixture(autouse=True)
def _a_chip_and_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    Path("tiny.json").write_text(json.dumps(BERT))
    Path("chip.json").write_text(json.dumps(remembering(chip(array__rows=16, array__cols=16), **SLOW)))
    Path("full.json").write_text(json.dumps(remembering(chip(), mbit=0.001)))


def test_the_answer_says_what_the_memory_takes(cli: Cli) -> None:
    result = cli(*RUN, "--strategy", "spread", "-v")
    assert result.code == 0
    words = " ".join(result.out.split())
    assert "reading keys and values (6.148 us, " in words
    assert "Not counted, as the chip does not state it: distance between arrays" in words
    # 2 layers of 12 tokens, 2 * 16 elements of 2 bits; an encoder has all of a sequence's tokens under way.
    assert "take 0.001536 Mbit" in words
    assert f"{1_000_000 // 1536 * 12} tokens can be under way" in words
    solution = read_solution(next(Path("results").glob("*.json")))
    metrics = solution.header.metrics
    seen = judge(solution, "it")
    time, energy = latency_by_component(seen), energy_by_component(seen)
    assert time.total == pytest.approx(metrics["latency_ns"])
    assert energy.total == pytest.approx(metrics["energy_pj"])
    assert energy.parts["memory"].sum() == pytest.approx(metrics["memory_energy_pj"])
    # 8 bits of 0.25 a ns, after 2 ns, in each layer: attention takes no time here.
    assert time.parts["memory"].sum() == 2 * (2 + 12 * 32 * 2 * 4)


def test_parts_of_a_token_on_a_network_have_the_memory(cli: Cli) -> None:
    on_mesh = mesh_chip(array__rows=16, array__cols=16, core__arrays=16)
    Path("chip.json").write_text(json.dumps(remembering(on_mesh, **SLOW)))
    result = cli(*RUN, "--strategy", "spread", "--json")
    found = json.loads(result.out)
    parts, (one,) = found["answer"]["latency_parts_ns"], found["strategies"].values()
    metrics = one["metrics"]
    assert parts["memory"] == 2 * (2 + 12 * 32 * 2 * 4)
    assert sum(parts.values()) == pytest.approx(metrics["latency_ns"])
    assert parts["memory"] + parts["digital"] == pytest.approx(metrics["fixed_latency_ns"])
    assert not any("Not counted" in sentence for sentence in found["answer"]["sentences"])


def test_more_banks_are_a_change_that_explain_tries(cli: Cli) -> None:
    cli(*RUN, "--strategy", "spread")
    file = str(next(Path("results").glob("*.json")))
    found = json.loads(cli("explain", file, "--what-if", "banks-x2", "--json").out)
    memory = 2 * (2 + 12 * 32 * 2 * 4)
    assert found["latency_cycles"]["memory"] == memory
    assert sum(found["latency_cycles"].values()) == found["metrics"]["latency_cycles"]
    assert found["ii"]["bound_by"] == "memory"
    saved = found["metrics"]["latency_cycles"] - found["what_if"][0]["metrics"]["latency_cycles"]
    assert saved == memory - 2 * (2 + 12 * 32 * 2 * 2)
    text = cli("explain", file, "--what-if", "none").out
    assert "memory" in text
    replayed = json.loads(cli("replay", file, "--json", "--tokens", "3", "--stream", "0").out)
    assert "memory" in json.dumps(replayed)


def test_a_chip_without_a_memory_has_no_more_banks(cli: Cli) -> None:
    Path("chip.json").write_text(json.dumps(chip(array__rows=16, array__cols=16)))
    result = cli("explain", *RUN, "--strategy", "spread", "--what-if", "banks-x2", "--json")
    found = json.loads(result.out)
    assert found["what_if"][0]["metrics"] is None
    assert "memory" in found["what_if"][0]["reason"]
    assert "memory" not in found["latency_cycles"]


@pytest.mark.parametrize("command", [[], ["explain"]])
def test_what_does_not_fit_is_refused_in_one_line(cli: Cli, command: list[str]) -> None:
    result = cli(*command, "--hw", "full.json", "--model", "tiny.json")
    assert (result.code, result.out) == (1, "")
    assert result.err.count("\n") == 1
    assert "memory.mbit = 0.001" in result.err
    assert "0.001536" in result.err
    assert "cimsolve explain" not in result.err


def test_a_point_of_a_sweep_that_does_not_fit_is_infeasible() -> None:
    point = Point(question=ask(load_model("tiny.json"), load_hardware("full.json")).to_json(), strategy="spread")
    record = solve_point(point, point.digest())
    assert record.state == "infeasible"
    assert "memory.mbit" in record.reason


def test_hw_check_doubts_a_slow_memory(cli: Cli) -> None:
    assert "memory.bits_per_ns" in cli("hw", "check", "chip.json").out
