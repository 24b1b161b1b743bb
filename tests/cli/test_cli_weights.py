"""Folders with real weights on the command line: `cimsolve` simulates on them, `cimsolve project` factors them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from cimsolve.cli import project
from cimsolve.solve.strategies import STRATEGIES
from makers.command_line import Cli
from makers.tiny_runs import ONE, TINY, refused

pytestmark = pytest.mark.usefixtures("tiny_folder")


@pytest.fixture
def folder() -> str:
    """The tiny model with weights."""
    Path("real").mkdir()
    Path("real/config.json").write_text(json.dumps(TINY))
    random = np.random.default_rng(0)
    sizes = {"a.query": (16, 16), "a.key": (16, 16), "b.out": (64, 16)}
    tensors = {f"{name}.weight": random.standard_normal(size).astype(np.float32) for name, size in sizes.items()}
    save_file(tensors, "real/model.safetensors")
    return "real"


def test_a_folder_with_weights_is_simulated_on_them(cli: Cli, folder: str) -> None:
    result = cli("--model", folder, "--hw", "rram256", "--simulate", "all", "-v")
    assert result.code == 0
    assert "the folder's weights" in result.out
    assert result.out.count("exact") >= len(STRATEGIES)


@pytest.mark.parametrize("command", [[], ["project"]])
def test_weights_that_do_not_fit_the_config(cli: Cli, folder: str, command: list[str]) -> None:
    save_file({"a.query.weight": np.zeros((16, 8), dtype=np.float32)}, "real/model.safetensors")
    refused(cli(*command, "--model", folder), 2, "has shape (16, 8)")


@pytest.mark.parametrize("command", [[], ["project"]])
def test_weights_cut_short(cli: Cli, folder: str, command: list[str]) -> None:
    file = Path("real/model.safetensors")
    file.write_bytes(file.read_bytes()[:-10])
    refused(cli(*command, "--model", folder), 2, "cut short")


def test_weights_that_are_no_numbers(cli: Cli, folder: str) -> None:
    save_file(
        {
            "a.query.weight": np.full((16, 16), np.nan, dtype=np.float32),
            "a.key.weight": np.zeros((16, 16), dtype=np.float32),
            "b.out.weight": np.zeros((64, 16), dtype=np.float32),
        },
        "real/model.safetensors",
    )
    result = cli("--model", folder, *ONE, "-q")
    assert result.code == 2
    assert result.err.count("\n") == 1


def test_project_compares_with_low_rank(cli: Cli, folder: str) -> None:
    result = cli("project", "--model", folder, "--structure", "b.*=2,2,1", "--structure", "a.key=dense")
    assert (result.code, result.err) == (0, "")
    for part in ("a.query", "b.out", "4,4,1", "2,2,1", "dense", "low-rank", "by kind, plain means", "all"):
        assert part in result.out
    quiet = cli("project", "--model", folder, "-q").out
    assert "plain means" in quiet
    assert "4,4,1" not in quiet


@pytest.mark.parametrize("model", ["bert-large", "nowhere", "tiny.json"])
def test_project_needs_a_folder(cli: Cli, model: str) -> None:
    refused(cli("project", "--model", model), 2, "expected a folder")


def test_project_needs_weights(cli: Cli) -> None:
    Path("bare").mkdir()
    Path("bare/config.json").write_text(json.dumps(TINY))
    refused(cli("project", "--model", "bare"), 2, "no *.safetensors")


def test_project_options() -> None:
    words = ["--model", "x", "--structure", "dense", "--method", "als", "--text", "a", "--text", "b"]
    found = project.Options.parse([*words, "--samples", "9", "--seed", "3", "--out", "f.safetensors", "-q"])
    assert found == project.Options(
        model="x",
        structures=("dense",),
        method="als",
        inputs=None,
        texts=("a", "b"),
        samples=9,
        seed=3,
        out="f.safetensors",
        verbosity=-1,
    )
