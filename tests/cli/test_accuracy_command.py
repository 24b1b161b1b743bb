"""`cimsolve accuracy`: what it prints, and what it refuses."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from cimsolve.errors import InputError
from cimsolve.files import memory
from cimsolve.study.accuracy import AccuracyStep, AccuracyTable
from cimsolve.study.accuracy.measure import measure_accuracy
from cimsolve.weights.forward import tokens
from makers.accuracy_runs import SMALL, question, run
from makers.command_line import Cli, Result, assert_refused
from makers.published import RECORDS, drawn_folder
from makers.tiny_configs import BERT, LLAMA
from makers.tiny_models import add_tokenizer, model_folder


@pytest.fixture(autouse=True)
def _in_a_folder_with_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    add_tokenizer(model_folder(Path("tiny"), BERT))


def refused(result: Result, *parts: str) -> None:
    """One line on stderr, nothing on stdout, and no file that was not there before."""
    assert_refused(result, 2, *parts)
    assert not list(Path().rglob("accuracy-*"))
    assert not list(Path().rglob("*.tmp"))


# The command


def test_the_table_of_an_encoder(cli: Cli) -> None:
    result = cli(*run("--method", "dense,als", "--method", "lowrank"))
    assert (result.code, result.err) == (0, "")
    table = measure_accuracy("tiny", methods=("dense", "als", "lowrank"), compressions=(1.5,), **SMALL)
    lines = result.out.splitlines()
    assert lines[0] == "tiny on rram256: cosine to the float model's embeddings (1: the same)"
    for row in table.rows:
        shown = [f"{row.figures[step.name].cosine:.3f}" for step in table.steps]
        line = next(line for line in lines if line.startswith(str(row.storage)))
        assert line.split()[-len(shown) :] == shown
    for part in ("paragraphs with", "fine-tuned", "clipped", "arrays", "converter", "latency", "energy"):
        assert part in result.out
    assert "rule" not in result.out
    assert all(len(line) <= 100 for line in lines)


def test_the_table_of_a_mixture_of_experts(cli: Cli) -> None:
    """Its routers, to four experts, are too narrow for eight blocks and stay dense; experts that are stored do not."""
    record = json.loads((RECORDS / "mixtral.json").read_text())
    drawn_folder(Path("tiny"), record["config"], record["tensors"])
    result = cli(*run("--method", "dense,plain", "--blocks", "8,8", "--compression", "1.2", "--json"))
    assert (result.code, result.err) == (0, "")
    found = json.loads(result.out)
    assert found["left_dense"] == [f"model.layers.{layer}.block_sparse_moe.gate" for layer in range(2)]
    dense, plain = found["rows"]
    assert dense["figures"]["float"]["agreement"] == 1
    assert plain["figures"]["float"]["agreement"] < 1
    # Two layers of Q, K, V and O, four experts of three matrices of 384 weights, and a router of 64.
    assert dense["stored_weights"] == 2 * (768 + 4 * 3 * 384 + 64)


def test_rows_are_not_broken_in_a_narrow_window(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    lines = cli(*run("--method", "plain", "--bits", "3,2", "-q")).out.splitlines()
    assert lines[-1].startswith("plain 1.5x ")


def test_the_table_of_a_decoder_on_a_chip_that_loses(cli: Cli) -> None:
    add_tokenizer(model_folder(Path("tiny"), LLAMA))
    result = cli(*run("--method", "dense", "--hw", "paper256", "--set", "adc.per_array=16", "-q"))
    assert (result.code, result.err) == (0, "")
    first, second = result.out.split("\n\n")
    assert "knowing nothing: 29" in first
    assert "next tokens that are the float model's, %" in second
    assert first.count("rule") == second.count("rule") == 2
    exact = float(first.split("float model: ")[1].split(";")[0])
    row = first.splitlines()[-1].split()
    assert float(row[2]) == exact
    assert second.splitlines()[-1].split()[2] == "100.0"
    assert float(second.splitlines()[-1].split()[3]) > 80  # lossless, whatever the rule of the chip


def test_json_is_one_object_which_the_command_gives_again(cli: Cli) -> None:
    result = cli(*run("--method", "dense,plain", "--set", "input.bits=6", "--seed", "3", "--out", "t.json", "--json"))
    assert (result.code, result.err) == (0, "")
    found = json.loads(result.out)
    assert json.loads(Path("t.json").read_text()) == found
    assert found["format"] == "cimsolve-accuracy/1"
    assert found["steps"] == [AccuracyStep("float").name, "lossless", "full 2", "calibrated 2"]
    assert [set(row["figures"]) for row in found["rows"]] == [set(found["steps"])] * 2
    assert found["rows"][1]["compression"] == found["weights"] / found["rows"][1]["stored_weights"]
    words = shlex.split(found["command"])
    assert words[:2] == ["cimsolve", "accuracy"]
    again = json.loads(cli(*words[1:], "--json", "--fresh").out)
    for row in (*found["rows"], *again["rows"]):
        del row["processor_s"]
    assert again == found


def test_progress_is_told() -> None:
    said: list[tuple[str, int, int]] = []
    table: AccuracyTable = measure_accuracy(
        "tiny", methods=("dense", "als"), compressions=(1.5,), listen=lambda *step: said.append(step), **SMALL
    )
    assert len(table.rows) == 2
    whats = list(dict.fromkeys(what for what, _, _ in said))
    assert whats[0] == "tiny: float model"
    assert [what for what in whats if "row 2 of 2" in what and what.endswith(("fitting", "arrays"))]
    assert all(0 <= done <= total for _, done, total in said)


# What is refused


def test_folders_that_do_not_do(cli: Cli) -> None:
    refused(cli("accuracy"), "--weights", "see cimsolve accuracy --help")
    refused(cli("accuracy", "--weights", "nowhere"), "--weights nowhere: expected a folder with a config.json")
    Path("tiny/model.safetensors").unlink()
    refused(cli(*run()), "tiny: no *.safetensors or *.gguf file in it")
    Path("tiny/config.json").unlink()
    refused(cli(*run()), "tiny")


def test_a_folder_without_a_tokenizer(cli: Cli) -> None:
    Path("tiny/tokenizer.json").unlink()
    refused(cli(*run()), "tiny: no tokenizer.json in it, which reading a text needs; add it")


def test_without_the_tokenizers_library(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(tokens, "import_module", missing)
    refused(cli(*run()), "the tokenizers library: pip install 'cimsolve[text]'")


def test_an_architecture_without_a_forward_pass(cli: Cli) -> None:
    Path("tiny/config.json").write_text(json.dumps({**BERT, "model_type": "mpnet"}))
    refused(cli(*run()), "there is no reference forward pass for mpnet, only for bert, llama, ")


@pytest.mark.parametrize(
    ("text", "part"),
    [("One line.", "too few to fit and to hold some out"), ("", "holds no text"), (None, "cannot be read")],
)
def test_texts_that_do_not_do(cli: Cli, text: str | None, part: str) -> None:
    if text is not None:
        Path("mine.txt").write_text(text)
    refused(cli(*run("--text", "mine.txt")), part)


@pytest.mark.parametrize(
    ("tensor", "value", "part"),
    [
        ("dense.weight", np.nan, "output.dense.weight: 1 of 384 numbers are NaN or infinite, first in row 0"),
        ("dense.weight", np.inf, "output.dense.weight: 1 of 384 numbers are NaN or infinite, first in row 0"),
        ("LayerNorm.weight", np.nan, "output.LayerNorm.weight: 1 of 16 numbers are NaN or infinite, first in row 0"),
        ("dense.weight", 3e38, "the float model's own answers are NaN or infinite"),
    ],
)
def test_weights_that_are_no_numbers(cli: Cli, tensor: str, value: float, part: str) -> None:
    tensors = load_file("tiny/model.safetensors")
    tensors[f"encoder.layer.1.output.{tensor}"].reshape(-1)[0] = value
    save_file(tensors, "tiny/model.safetensors")
    refused(cli(*run()), part)


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--method", "alz"], "there is no such method; did you mean als?"),
        (["--compression", "0.5"], "--compression: '0.5': expected a number from 1"),
        (["--compression", "nan"], "'nan'"),
        (["--compression", "2,2"], "expected each value once"),
        (["--bits", "0"], "--bits: '0': expected a whole number from 1 to 24"),
        (["--bits", ""], "--bits"),
        (["--blocks", "4"], "--blocks: '4': expected K,L"),
        (["--blocks", "3,2"], "k = 3 does not divide n_in = 16; nearest divisors: 2 and 4"),
        (["--weight-scale", "row"], "expected one of column, tensor"),
        (["--samples", "0"], "--samples"),
        (["--set", "array.rows=0"], "array.rows"),
        (["--set", "a=1", "--set", "a=2"], "a is given twice"),
        (["--hw", "nothing"], "nothing"),
        (["--out", "tiny"], "--out tiny: is a folder"),
        (["--cache", "tiny/config.json"], "tiny/config.json"),
        (["--cache", "tiny/config.json/x"], "is a file: expected a folder"),
    ],
)
def test_options_that_do_not_do(cli: Cli, words: list[str], part: str) -> None:
    refused(cli(*run(*words)), part)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"methods": ()}, "methods: none given"),
        ({"methods": ("denze",)}, "did you mean dense?"),
        ({"compressions": ()}, "compressions: none given"),
        ({"compressions": (float("nan"),)}, "compression = nan"),
        ({"bits": (0,)}, "bits = 0: expected a whole number from 1 to 24"),
        ({"seed": -1}, "seed = -1: expected a whole number from 0"),
        ({"test_tokens": 0}, "test_tokens = 0"),
    ],
)
def test_questions_that_are_none(changes: dict[str, Any], part: str) -> None:
    with pytest.raises(InputError, match=part.replace("?", r"\?")):
        question(**changes)


@pytest.mark.parametrize(("free", "part"), [(10_000, "projecting "), (100_000, "simulating ")])
def test_more_memory_than_there_is(cli: Cli, monkeypatch: pytest.MonkeyPatch, free: int, part: str) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: free)
    words = run() if "projecting" in part else run("--method", "dense")
    refused(cli(*words), part, "GiB of memory", "GiB are free")


def test_more_cells_than_are_kept(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from cimsolve.judge.simulate import prepare

    monkeypatch.setattr(prepare, "CELLS_MAX", 1000)
    # a layer: 4 * 256 + 2 * 384 weights, 4 slices and 2 signs a weight
    refused(cli(*run()), "a layer of tiny, dense: its 1792 weights take 14336 cells of rram256; expected 1000 or fewer")
