"""`cimsolve choose`, and the files that it writes in the other commands."""

from __future__ import annotations

import itertools
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from cimsolve import InputError, choose_structures, load_hardware, load_model, read_factors
from cimsolve.chip.settings import with_settings
from cimsolve.show.text.choose import print_choice
from makers.command_line import Cli, assert_refused
from makers.tiny_configs import BERT, LLAMA
from makers.tiny_models import add_tokenizer, model_folder

ARRAYS = ("--set", "array.rows=16", "--set", "array.cols=64")
SMALL = ("--samples", "400", "--loss-tokens", "40", *ARRAYS)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, and with what was chosen for it at half of its weights, c.json and c.safetensors."""
    folder = tmp_path_factory.mktemp("made")
    add_tokenizer(model_folder(folder / "tiny", {**BERT, "num_hidden_layers": 1}))
    chip = with_settings(load_hardware("rram256"), {"array.rows": "16", "array.cols": "64"})
    choose_structures(folder / "tiny", chip, compression=2, samples=400, loss_tokens=40, out=folder / "c.json")
    return folder


@pytest.fixture(autouse=True)
def _in_a_copy_of_it(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")


def choose(*words: str) -> tuple[str, ...]:
    return ("choose", "--model", "tiny", *SMALL, *words)


def chosen(cli: Cli, *words: str) -> dict[str, Any]:
    result = cli(*choose("--json", *words))
    assert (result.code, result.err) == (0, "")
    found: dict[str, Any] = json.loads(result.out)
    return found


def test_what_is_chosen_is_written_and_read_by_the_other_commands(cli: Cli) -> None:
    result = cli(*choose("--compression", "2", "--out", "d.json", "--losses", "c.json"))
    assert (result.code, result.err) == (0, "")
    for part in ("query", "gap", "uniform low rank", "dense", "standard", "d.safetensors"):
        assert part in result.out
    model = load_model("tiny")
    stored = json.loads(Path("c.json").read_text())["linears"]
    factors = read_factors("c.safetensors", model)
    assert {name: str(each) for name, each in factors.structures.items()} == {
        name: each["structure"] for name, each in stored.items()
    }
    solved = ("--model", "tiny", "--strategy", "spread", *ARRAYS, "--json")
    mapped = json.loads(cli(*solved, "--structure", "chosen:c.json", "--weights", "c.safetensors").out)
    arrays = mapped["strategies"]["spread"]["metrics"]["arrays"]
    assert f"{arrays} of at most {arrays}" in " ".join(result.out.split())
    other = json.loads(cli(*solved, "--structure", "chosen:c.json", "--structure", "*.attention.*=dense").out)
    assert other["strategies"]["spread"]["metrics"]["arrays"] > arrays


def test_the_same_question_has_the_same_bytes(cli: Cli) -> None:
    assert cli(*choose("--compression", "2", "--out", "d.json")).code == 0
    first, second = (json.loads(Path(name).read_text()) for name in ("c.json", "d.json"))
    assert {**second, "command": first["command"]} == first
    assert Path("c.safetensors").read_bytes() == Path("d.safetensors").read_bytes()


def test_json_is_one_object_whose_losses_fall_with_rank_and_whose_bound_holds(cli: Cli) -> None:
    found = chosen(cli, "--compression", "3")
    assert found["chosen"]["arrays"] <= found["chosen"]["arrays_max"]
    assert 0 <= found["chosen"]["bound"] <= found["chosen"]["loss"]
    for each in found["losses"].values():
        assert each["dense"] == 0
        ranks = sorted((int(text.split(",")[2]), loss) for text, loss in each.items() if text != "dense")
        assert [loss for _, loss in ranks] == sorted((loss for _, loss in ranks), reverse=True)
    assert found["tested"]["chosen"]["cosine"] <= 1
    words = shlex.split(found["command"])
    assert json.loads(cli(*words[1:], "--json").out) == found


def test_a_decoder_is_tested_by_its_perplexity(cli: Cli) -> None:
    add_tokenizer(model_folder(Path("tiny"), {**LLAMA, "num_hidden_layers": 1}))
    found = chosen(cli, "--compression", "1.5")
    assert found["loss_method"] == "two-sided"
    assert found["tested"]["chosen"]["perplexity"] > 1
    assert found["tested"]["chosen"]["cosine"] is None


def test_given_losses_need_no_weights_and_have_a_front(capsys: pytest.CaptureFixture[str]) -> None:
    chip = with_settings(load_hardware("rram256"), {"array.rows": "16", "array.cols": "64"})
    found = choose_structures("tiny/config.json", chip, losses="c.json", compression=2, front=(2, 4))
    first = json.loads(Path("c.json").read_text())["linears"]
    assert {name: str(each) for name, each in found.chosen.structures.items()} == {
        name: each["structure"] for name, each in first.items()
    }
    half, quarter = found.front
    assert half == found.chosen
    assert (half.loss, quarter.arrays) < (quarter.loss, half.arrays)
    print_choice(found, None, 0)
    shown = capsys.readouterr().out
    assert "Front" in shown
    assert "Tested" not in shown


@pytest.mark.parametrize(
    ("key", "value", "parts"),
    [
        ("model", None, ("model",)),
        ("format", "cimsolve-hw/1", ("a hardware spec", "a file of structures")),
        ("linears", {}, ("the model has alone", "query")),
        ("strange", 1, ("strange",)),
    ],
)
def test_a_damaged_file_of_structures(cli: Cli, key: str, value: object, parts: tuple[str, ...]) -> None:
    Path("c.json").write_text(json.dumps({**json.loads(Path("c.json").read_text()), key: value}))
    for words in (
        ("--model", "tiny", "--structure", "chosen:c.json"),
        choose("--losses", "c.json", "--max-arrays", "9"),
    ):
        assert_refused(cli(*words), 2, "c.json", *parts)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"structure": "5,1,1"}, ("5 does not divide",)),
        ({"structure": "sqrt"}, ("expected dense or k,l,T",)),
        ({"n_in": 7}, ("7 x", "expected", "choose anew")),
        ({"losses": {"dense": -1.0}}, ("losses", "-1")),
        ({"losses": {}}, ("has no losses",)),
        ({"losses": {"dense": 0.0}}, ("has none as", "measure anew")),
    ],
)
def test_a_damaged_linear_of_it(cli: Cli, change: dict[str, Any], parts: tuple[str, ...]) -> None:
    content = json.loads(Path("c.json").read_text())
    next(iter(content["linears"].values())).update(change)
    Path("c.json").write_text(json.dumps(content))
    assert_refused(cli(*choose("--losses", "c.json", "--max-arrays", "9")), 2, *parts)


def test_losses_that_are_no_numbers(cli: Cli) -> None:
    text = Path("c.json").read_text().replace('"dense": 0.0', '"dense": NaN', 1)
    Path("c.json").write_text(text)
    assert_refused(cli(*choose("--losses", "c.json", "--max-arrays", "9")), 2, "NaN", "finite")


@pytest.mark.parametrize(
    ("words", "code", "parts"),
    [
        ((), 2, ("--max-arrays", "--compression")),
        (("--max-arrays", "3", "--compression", "2"), 2, ("--compression", "--max-arrays")),
        (("--compression", "0.5"), 2, ("from 1",)),
        (("--max-arrays", "1"), 1, ("at most 1 arrays", "smallest structures", "allow more")),
        (("--compression", "2", "--out", "d.npz"), 2, ("ends in .json",)),
        (("--compression", "2", "--text", "short.txt"), 2, ("expected 5 or more",)),
        (("--compression", "2", "--losses", "c.json", "--loss", "two-sided"), 2, ("c.json", "alone", "leave one")),
        (("--compression", "2", "--loss", "two-sided"), 2, ("gradients of bert", "expected alone")),
        (("--compression", "2", "--losses", "none.json"), 2, ("none.json", "no such file")),
    ],
)
def test_what_cannot_be_chosen(cli: Cli, words: tuple[str, ...], code: int, parts: tuple[str, ...]) -> None:
    Path("short.txt").write_text("the a of\n\nand it\n")
    assert_refused(cli(*choose(*words)), code, *parts)
    assert not list(Path().glob("d.*"))


def test_a_shipped_model_has_no_weights_to_measure(cli: Cli) -> None:
    assert_refused(cli("choose", "--model", "minilm-l6", "--compression", "2"), 2, "weights", "--losses")


def test_too_few_tokens_for_the_widest_linear_are_told(cli: Cli) -> None:
    Path("short.txt").write_text("\n\n".join(map(" ".join, itertools.permutations(("the", "a", "of", "and"), 2))))
    result = cli(*choose("--compression", "2", "--losses", "c.json", "--text", "short.txt"))
    assert result.code == 0
    assert result.err.startswith("cimsolve: warning: ")
    assert "fewer than the" in result.err


def test_one_budget_is_asked_for_in_python() -> None:
    with pytest.raises(InputError, match="max_arrays"):
        choose_structures("tiny")


def test_what_was_written_is_run_by_arrays(cli: Cli) -> None:
    words = ("--weights", "tiny", *ARRAYS, "--samples", "300", "--test-tokens", "30", "--bits", "6", "--json")
    found = json.loads(cli("accuracy", *words, "--method", "dense", "--factors", "c.safetensors").out)
    dense, factors = found["rows"]
    assert (factors["method"], factors["file"]) == ("factors", "c.safetensors")
    assert factors["stored_weights"] < dense["stored_weights"]
    assert factors["figures"]["float"]["cosine"] < dense["figures"]["float"]["cosine"]
    assert factors["figures"]["lossless"]["cosine"] == pytest.approx(factors["figures"]["float"]["cosine"], abs=0.02)
    first = Path("c.safetensors").read_bytes()
    Path("c.safetensors").write_bytes(first[:-4])
    assert_refused(cli("accuracy", *words, "--factors", "c.safetensors"), 2, "c.safetensors")
