"""`cimsolve choose`, and the files that it writes in the other commands."""

from __future__ import annotations

import itertools
import json
import math
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from cimsolve import (
    Hardware,
    InputError,
    Problem,
    choose_structures,
    load_hardware,
    load_model,
    read_factors,
)
from cimsolve.chip.settings import with_settings
from cimsolve.model.structure import Structure
from cimsolve.problem.question import ask
from cimsolve.show.text.choose import print_choice
from cimsolve.study.choose import choose_each
from cimsolve.study.solving import solve
from makers.command_line import Cli, assert_refused
from makers.tiny_configs import BERT, LLAMA
from makers.tiny_models import add_tokenizer, model_folder

ARRAYS = ("--set", "array.rows=16", "--set", "array.cols=64")
SMALL = ("--samples", "400", "--loss-tokens", "40", *ARRAYS)


def small_chip() -> Hardware:
    return with_settings(load_hardware("rram256"), {"array.rows": "16", "array.cols": "64"})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, and with what was chosen for it at half of its weights, c.json and c.safetensors."""
    folder = tmp_path_factory.mktemp("made")
    add_tokenizer(model_folder(folder / "tiny", {**BERT, "num_hidden_layers": 1}))
    choose_structures(folder / "tiny", small_chip(), compression=2, samples=400, loss_tokens=40, out=folder / "c.json")
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
    assert list(found["tested"]["chosen"]["by_text"]) == ["sample"]
    words = shlex.split(found["command"])
    assert json.loads(cli(*words[1:], "--json").out) == found


def test_each_text_is_tested_by_itself(cli: Cli) -> None:
    words = [" ".join(each) for each in itertools.permutations(("the", "a", "of", "and", "is"), 4)]
    for name in ("one.txt", "two.txt"):
        Path(name).write_text("\n\n".join(words))
        words.reverse()
    texts = ("--text", "sample", "--text", "one.txt", "--text", "two.txt", "--text", "one.txt")
    found = chosen(cli, "--compression", "3", "--losses", "c.json", *texts)["tested"]["chosen"]
    assert list(found["by_text"]) == ["sample", "one.txt", "two.txt"]
    cosines = [each["cosine"] for each in found["by_text"].values()]
    assert min(cosines) < found["cosine"] < max(cosines)


def test_a_decoder_is_tested_by_its_perplexity(cli: Cli) -> None:
    add_tokenizer(model_folder(Path("tiny"), {**LLAMA, "num_hidden_layers": 1}))
    found = chosen(cli, "--compression", "1.5")
    assert found["loss_method"] == "two-sided"
    assert found["tested"]["chosen"]["perplexity"] > 1
    assert found["tested"]["chosen"]["cosine"] is None


def test_a_choice_after_another_is_that_asked_for_alone() -> None:
    _, found = choose_each("tiny", small_chip(), (2, 4), samples=200)
    alone = choose_structures("tiny", small_chip(), compression=4, samples=200)
    assert found.chosen == alone.chosen
    assert (found.chosen_tested, found.uniform_tested) == (alone.chosen_tested, alone.uniform_tested)


def test_given_losses_need_no_weights_and_have_a_front(capsys: pytest.CaptureFixture[str]) -> None:
    found = choose_structures("tiny/config.json", small_chip(), losses="c.json", compression=2, front=(2, 4))
    first = json.loads(Path("c.json").read_text())["linears"]
    assert {name: str(each) for name, each in found.chosen.structures.items()} == {
        name: each["structure"] for name, each in first.items()
    }
    half, quarter = found.front
    assert half.chosen == found.chosen
    assert (half.chosen.loss, quarter.chosen.arrays) < (quarter.chosen.loss, half.chosen.arrays)
    assert [each.metrics["arrays"] for each in found.front] == [each.chosen.arrays for each in found.front]
    print_choice(found, None, None, 0)
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
    for budgets in ({}, {"max_arrays": 3, "compression": 2.0}, {"max_arrays": 0}, {"max_latency_ns": math.nan}):
        with pytest.raises(InputError, match="max_"):
            choose_structures("tiny", **budgets)  # type: ignore[arg-type]


@pytest.mark.parametrize(("limited", "share"), [("--max-latency", 0.97), ("--max-energy", 0.9), ("--max-latency", 1.1)])
def test_limits_of_latency_and_energy_hold_as_mapped(cli: Cli, limited: str, share: float) -> None:
    def asked(*words: str) -> dict[str, Any]:
        return chosen(cli, *words, "--losses", "c.json", "--max-arrays", "10")["chosen"]  # type: ignore[no-any-return]

    metric, unit = {"--max-latency": ("latency_ns", "ns"), "--max-energy": ("energy_pj", "pJ")}[limited]
    free = asked("--max-energy", "1J")
    limit = share * free["metrics"][metric]
    found = asked(limited, f"{limit}{unit}")
    assert found["metrics"][metric] <= limit
    assert found["arrays"] == found["metrics"]["arrays"] <= 10
    assert (found["loss"] > free["loss"]) == (share < 1)
    assert found["bound"] == free["bound"]
    structures = {name: Structure.parse(each) for name, each in found["structures"].items()}
    problem = Problem(ask(load_model("tiny"), small_chip(), structure=structures))
    assert solve(problem, "spread").header.metrics[metric] == found["metrics"][metric]


def test_limits_that_no_choice_obeys(cli: Cli) -> None:
    words = choose("--losses", "c.json", "--max-latency", "1ns", "--out", "d.json")
    assert_refused(cli(*words), 1, "none of", "latency_ns 1:", "allow more")
    assert not Path("d.json").exists()


def test_what_is_kept_and_what_one_more_array_buys(cli: Cli, tmp_path: Path) -> None:
    found = chosen(cli, "--compression", "2", "--losses", "c.json")
    kept, losses = found["kept"], found["losses"]
    structures = found["chosen"]["structures"]
    assert kept["losses"] == {name: losses[name][each] for name, each in structures.items()}
    assert kept["loss"] == pytest.approx(found["chosen"]["loss"])
    for exchanges, sign in ((kept["one_more_array"], 1), (kept["one_array_less"], -1)):
        assert exchanges
        for each in exchanges:
            (name,) = each["linears"]
            assert (each["stored"], each["arrays"] * sign > 0) == (structures[name], True)
            assert each["loss"] == pytest.approx(losses[name][each["would_be"]] - losses[name][each["stored"]])
            assert each["loss_of_one_array"] == pytest.approx(each["loss"] / abs(each["arrays"]))
        rates = [each["loss_of_one_array"] for each in exchanges]
        assert rates == sorted(rates)
    mapped = ("--model", "tiny", "--strategy", "spread", *ARRAYS, "--structure", "chosen:c.json", "--out", "r")
    assert cli(*mapped).code == 0
    (file,) = Path("r").glob("*.json")
    told = cli("explain", str(file), "--losses", "c.json", "--what-if", "none")
    assert told.code == 0
    for part in ("most kept first", "One more array", "One array less"):
        assert part in told.out
    as_json = json.loads(cli("explain", str(file), "--losses", "c.json", "--what-if", "none", "--json").out)
    assert as_json["kept"] == kept
    assert cli("report", str(file), "--losses", "c.json", "--out", "page.html").code == 0
    assert "one more array" in Path("page.html").read_text()
    assert_refused(cli("report", str(file), "--losses", "c.json", "--trace", "t.json"), 2, "--losses", "--out FILE")
    other = cli(*mapped[:-4], "--structure", "2,2,3", "--out", "s")
    assert other.code == 0
    (file,) = Path("s").glob("*.json")
    assert_refused(cli("explain", str(file), "--losses", "c.json"), 2, "c.json", "has none as 2,2,3")


def test_the_front_is_drawn(cli: Cli) -> None:
    words = choose("--losses", "c.json", "--compression", "2")
    drawn = cli(*words, "--front", "--plot", "front.svg", "--axis", "latency")
    assert (drawn.code, drawn.err) == (0, "")
    assert "token latency" in Path("front.svg").read_text()
    assert cli(*words, "--front", "--plot", "arrays.svg").code == 0
    assert "no choice of the menu loses less" in Path("arrays.svg").read_text()
    assert_refused(cli(*words, "--plot", "front.svg"), 2, "expected --front")
    assert_refused(cli(*words, "--axis", "energy"), 2, "expected --plot")
    assert_refused(cli(*words, "--front", "--plot", "front.gif"), 2, "front.gif", ".svg")


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
