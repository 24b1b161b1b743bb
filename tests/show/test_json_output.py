"""`--json` of every command: one name for one quantity, and the same figures under it."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cimsolve.__main__ import main
from makers.builders import linears, step

QUESTION = ["--model", "tiny.json", "--hw", "paper256", "--set", "clock_ns=0.5"]
FILE = "results/tiny--paper256-clock_ns0.5--spread.json"


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Command -> what it says of the same question, by `spread` where it takes a strategy."""
    commands = {
        "run": [*QUESTION, "--strategy", "spread,sparsemap"],
        "pareto": ["pareto", *QUESTION],
        "compare": ["compare", *QUESTION, "--strategy", "spread,sparsemap", "--jobs", "1"],
        "sweep": ["sweep", *QUESTION, "--strategy", "spread", "--vary", "seed=0,1", "--jobs", "1"],
        "explain": ["explain", *QUESTION, "--strategy", "spread"],
        "sensitivity": ["sensitivity", *QUESTION, "--strategy", "spread,sparsemap", "--jobs", "1"],
        "check": ["check", FILE],
        "replay": ["replay", FILE],
        "simulate": ["simulate", FILE],
        "two": ["compare", FILE, FILE.replace("spread", "sparsemap")],
    }
    with contextlib.chdir(tmp_path_factory.mktemp("folder")):
        model = linears(step("a", (16, 16)), step("b", (16, 32)), context=8)
        Path("tiny.json").write_text(json.dumps(model))
        return {name: json.loads(output([*words, "--json"])) for name, words in commands.items()}


def output(words: list[str]) -> str:
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        assert main(words) == 0
    return stream.getvalue()


def keys(value: Any) -> Iterator[str]:
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield key
        yield from keys(inner)
    for inner in value if isinstance(value, list) else ():
        yield from keys(inner)


OTHER_NAMES = {"hw", "model_name", "seconds", "search_s", "interval", "token_latency", "unverified", "II", "token"}
"""What a quantity is not called: hardware, model, runtime_s, ii, latency and unverified_bounds are."""


def test_all_commands_speak_of_a_figure_by_one_name(said: dict[str, Any]) -> None:
    metrics = said["run"]["strategies"]["spread"]["metrics"]
    bounds = said["run"]["strategies"]["spread"]["bounds"]
    assert metrics["ii_ns"] == metrics["ii_cycles"] * 0.5 > 0
    assert metrics["array_ii_ns"] == metrics["array_ii_cycles"] * 0.5 > 0
    assert metrics["fixed_ii_ns"] == metrics["fixed_ii_cycles"] * 0.5 > 0
    assert said["pareto"]["rules"]["spread"]["metrics"] == metrics
    assert said["compare"]["rows"][0]["metrics"] == metrics
    assert said["compare"]["rows"][0]["bounds"] == bounds
    assert said["sweep"]["points"][0]["metrics"] == metrics
    assert said["sweep"]["points"][0]["bounds"] == bounds
    assert said["explain"]["metrics"] == said["explain"]["what_if"][0]["metrics"] == metrics
    assert said["sensitivity"]["variants"][0]["strategies"]["spread"]["metrics"] == metrics
    assert set(said["sensitivity"]["variants"][0]["compare"]) <= set(metrics)
    assert said["check"]["files"][FILE]["recomputed"] == metrics
    assert {name: both["first"] for name, both in said["two"]["metrics"].items()}.items() <= metrics.items()
    replay = said["replay"]["files"][FILE]["replay"]
    for name, figure in {
        "latency": replay["latency"],
        "prefill": replay["prefill"],
        "ii": replay["stream"]["ii"],
    }.items():
        assert figure["analytical_ns"] == metrics[f"{name}_ns"]


def test_no_quantity_has_a_second_name(said: dict[str, Any]) -> None:
    for command, found in said.items():
        assert not set(keys(found)) & OTHER_NAMES, command


def test_what_became_of_a_strategy_is_state_and_status(said: dict[str, Any]) -> None:
    for one in (
        said["run"]["strategies"]["spread"],
        said["compare"]["rows"][0],
        said["sweep"]["points"][0],
    ):
        assert (one["state"], one["status"]) == ("solved", "feasible")


def test_changed_keys_are_an_object(said: dict[str, Any]) -> None:
    for command in ("run", "pareto", "sensitivity"):
        assert said[command]["question"]["changes"] == {"clock_ns": "0.5"}
