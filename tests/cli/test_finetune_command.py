"""`cimsolve finetune`: what it learns, what it writes, and that a killed one goes on as if nothing had been."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from cimsolve import finetune_factors, load_model, project_model, read_factors
from cimsolve.weights.factor_file import write_factors
from makers.command_line import Cli, assert_refused
from makers.tiny_configs import BERT, LLAMA
from makers.tiny_models import add_tokenizer, model_folder

torch: Any = pytest.importorskip("torch")
from cimsolve.study.finetune.checkpoint import Look  # noqa: E402
from cimsolve.study.finetune.training import hopes  # noqa: E402

SHORT = {"steps": 12, "batch": 48, "samples": 700, "test_tokens": 60, "rate": 0.005}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models with tokenizers and factors, b of BERT and l of Llama."""
    folder = tmp_path_factory.mktemp("made")
    for name, config in (("b", BERT), ("l", LLAMA)):
        add_tokenizer(model_folder(folder / name, config))
        project_model(folder / name, structure="2,2,1", out=folder / f"{name}.safetensors")
    return folder


@pytest.fixture(autouse=True)
def _in_a_copy_of_it(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")


def tune(name: str, *words: str) -> tuple[str, ...]:
    """A short training of a model of these names, `words` in the place of what is usual."""
    usual = {"--weights": name, "--factors": f"{name}.safetensors", "--out": f"{name}.tuned.safetensors"}
    usual |= {f"--{key.replace('_', '-')}": str(value) for key, value in SHORT.items()}
    left = [word for flag, value in usual.items() if flag not in words for word in (flag, value)]
    return ("finetune", *left, *words)


@pytest.mark.parametrize("name", ["b", "l"])
def test_answers_come_nearer_on_held_out_text(cli: Cli, name: str) -> None:
    result = cli(*tune(name, "--json", "--test-text", "sample"))
    assert (result.code, result.err) == (0, "")
    found = json.loads(result.out)
    assert [kind["tuned_on"] for kind in found["kinds"]] == [True, False]
    looks = [look["held_out"] for look in found["looks"]]
    assert min(looks) == looks[[look["step"] for look in found["looks"]].index(found["best_step"])] < 0.95 * looks[0]
    if name == "b":
        assert all(kind["after"]["cosine"] > kind["before"]["cosine"] for kind in found["kinds"])
    assert not Path(f"{name}.tuned.checkpoint.safetensors").exists()


def test_a_training_is_given_up_where_looks_bring_nothing_while_the_rate_falls() -> None:
    """Not while they come nearer, however far they were astray, nor in the first half."""

    def looks(*held_out: float) -> list[Look]:
        return [Look(step=10 * number, loss=None, held_out=each) for number, each in enumerate(held_out)]

    astray = (0.1, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9)
    assert hopes(looks(*astray), 80)
    assert not hopes(looks(*astray), 10)
    assert hopes(looks(0.1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3), 10)
    assert hopes(looks(*astray, 0.8, 0.9, 0.9, 0.9, 0.9), 40)
    assert not hopes(looks(*astray, 0.8, 0.9, 0.9, 0.9, 0.9, 0.8), 40)


def test_factors_norms_and_biases_move_and_nothing_else(cli: Cli) -> None:
    model = load_model("b")
    shapes = [(each.name, each.n_in, each.n_out) for each in model.linears]
    given = read_factors("b.safetensors", model)
    kept = shapes[0][0]
    structures = {**given.structures, kept: type(given.structures[kept]).dense()}
    with write_factors(Path("b.safetensors"), shapes, structures) as put:
        for name, _, _ in shapes:
            put(name, given.weights[name] if name == kept else given.operands[name])
    before = load_file("b.safetensors")
    assert cli(*tune("b", "-q")).code == 0
    after, whole = load_file("b.tuned.safetensors"), load_file("b/model.safetensors")
    beside = {name.removeprefix("beside/") for name in after if name.startswith("beside/")}
    assert beside == {name for name, each in whole.items() if each.ndim == 1}
    assert all(np.any(after[f"beside/{name}"] != whole[name]) for name in beside if "key.bias" not in name)
    moved = {name for name in before if np.any(before[name] != after[name])}
    assert moved == set(before) - {f"{kept}.dense"}


def test_accuracy_runs_tuned_factors_with_their_norms(cli: Cli) -> None:
    """Its float figure is that of the tuned model, and another one without the norms and biases beside the factors."""
    result = cli(*tune("b", "--json", "--test-tokens", "9999", "--samples", "4096"))
    assert (result.code, result.err) == (0, "")
    tested = json.loads(result.out)["kinds"][0]
    asked = ("accuracy", "--weights", "b", "--method", "dense", "--bits", "8", "--test-tokens", "9999", "--json")

    def cosine(file: str) -> float:
        found: float = json.loads(cli(*asked, "--factors", file).out)["rows"][-1]["figures"]["float"]["cosine"]
        return found

    assert cosine("b.tuned.safetensors") == pytest.approx(tested["after"]["cosine"], abs=1e-6)
    alone = {name: each for name, each in load_file("b.tuned.safetensors").items() if "beside/" not in name}
    told = read_factors("b.tuned.safetensors", load_model("b")).metadata
    save_file(alone, "alone.safetensors", dict(told))
    assert cosine("alone.safetensors") != pytest.approx(tested["after"]["cosine"], abs=1e-4)


def test_the_same_question_has_the_same_bytes_another_seed_others(cli: Cli) -> None:
    found = []
    for words in ((), (), ("--seed", "1")):
        assert cli(*tune("b", *words)).code == 0
        found.append(Path("b.tuned.safetensors").read_bytes())
    assert found[0] == found[1] != found[2]


def test_a_language_model_writes_text_itself(cli: Cli) -> None:
    found = json.loads(cli(*tune("l", "--self-text", "300", "--json")).out)
    given, own = found["kinds"]
    assert (given["text"], own["text"], own["tuned_on"]) == ("sample", "written by itself", True)
    first = Path("l.tuned.safetensors").read_bytes()
    assert cli(*tune("l", "--self-text", "300")).code == 0
    assert Path("l.tuned.safetensors").read_bytes() == first
    assert not Path("l.tuned.written.json").exists()


def test_factors_tuned_for_a_chip_of_few_bits_lose_less_on_it(cli: Cli) -> None:
    """By lossless arrays whose weights have three bits."""
    chip = ("--hw", "rram256", "--set", "weight.bits=3")
    found = []
    for words in ((), chip):
        assert cli(*tune("b", "--steps", "40", "--samples", "4096", *words)).code == 0
        asked = ("accuracy", "--weights", "b", "--method", "dense", "--bits", "8", "--test-tokens", "9999", "--json")
        table = json.loads(cli(*asked, "--factors", "b.tuned.safetensors", *chip).out)
        found.append(table["rows"][-1]["figures"]["lossless"]["cosine"])
    assert found[1] > found[0]


@pytest.mark.parametrize("at", [1, 5])
def test_an_interrupted_training_goes_on_to_the_same_bytes(cli: Cli, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Interrupted at a step, in the layers' own training and in that of the whole."""
    assert cli(*tune("l")).code == 0
    unbroken = Path("l.tuned.safetensors").read_bytes()
    Path("l.tuned.safetensors").unlink()

    def stop(told: str) -> None:
        if f"step {at} of" in told:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune_factors("l", "l.safetensors", "l.tuned.safetensors", listen=stop, **SHORT)
    assert not Path("l.tuned.safetensors").exists()
    assert_refused(cli(*tune("l", "--seed", "3")), 2, "l.tuned.checkpoint.safetensors", "other options", "remove it")
    assert cli(*tune("l")).code == 0
    assert Path("l.tuned.safetensors").read_bytes() == unbroken


@pytest.mark.parametrize(
    ("damage", "parts"),
    [
        (lambda data: data[: len(data) // 2], ("cut short",)),
        (lambda data: data.replace(b"cimsolve-finetune/1", b"cimsolve-finetune/9"), ("is no checkpoint", "remove it")),
        (lambda data: data.replace(b'\\"step\\":4', b'\\"step\\":x'), ("is no checkpoint", "remove it")),
        (lambda data: data.replace(b"now/encoder.layer.0", b"now/encoder.layer.9"), ("other tensors", "remove it")),
    ],
)
def test_a_damaged_checkpoint_is_named(cli: Cli, damage: Callable[[bytes], bytes], parts: tuple[str, ...]) -> None:
    def stop(told: str) -> None:
        if "step 4 of" in told:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune_factors("b", "b.safetensors", "b.tuned.safetensors", listen=stop, **SHORT)
    file = Path("b.tuned.checkpoint.safetensors")
    file.write_bytes(damage(file.read_bytes()))
    assert_refused(cli(*tune("b")), 2, file.name, *parts)
    assert not Path("b.tuned.safetensors").exists()


@pytest.mark.parametrize(
    ("words", "code", "parts"),
    [
        (("--factors", "l.safetensors"), 2, ("l.safetensors", "expected the linears of b")),
        (("--factors", "none.safetensors"), 2, ("none.safetensors", "cannot be read")),
        (("--device", "cuda"), 2, ("cuda", "on this machine", "CPU")),
        (("--set", "weight.bits=4"), 2, ("--set", "--hw")),
        (("--hw", "rram256", "--set", "weight.signed=none"), 2, ("weight.signed", "no negative")),
        (("--self-text", "100"), 2, ("bert writes no text", "--text")),
        (("--device", "tpu"), 2, ("tpu", "cpu, cuda")),
        (("--layerwise", "1.5"), 2, ("1.5", "from 0 to 1")),
        (("--rate", "0"), 2, ("0", "above 0")),
        (("--rate", "1e30"), 1, ("loss", "nothing is written", "rate")),
        (("--text", "short.txt"), 2, ("short.txt", "5 or more")),
        (("--text", "none.txt"), 2, ("none.txt", "cannot be read")),
    ],
)
def test_what_does_not_do_is_refused_in_a_line(
    cli: Cli, words: tuple[str, ...], code: int, parts: tuple[str, ...]
) -> None:
    if "cuda" in words and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    Path("short.txt").write_text("the a\n\nof and")
    assert_refused(cli(*tune("b", *words)), code, *parts)
    assert not list(Path().glob("b.tuned*"))


def test_a_model_without_factors_has_nothing_to_tune(cli: Cli) -> None:
    project_model("b", structure="dense", out="b.safetensors")
    assert_refused(cli(*tune("b")), 2, "b.safetensors", "dense", "project")


def test_norms_of_another_shape_are_refused(cli: Cli) -> None:
    assert cli(*tune("b")).code == 0
    tensors = load_file("b.tuned.safetensors")
    told = dict(read_factors("b.tuned.safetensors", load_model("b")).metadata)
    tensors["beside/embeddings.LayerNorm.bias"] = np.zeros(3, dtype=np.float32)
    save_file(tensors, "b.safetensors", told)
    assert_refused(cli(*tune("b")), 2, "b.safetensors", "embeddings.LayerNorm.bias", "(3,)", "(16,)")


def test_a_killed_training_goes_on_to_the_same_bytes(cli: Cli, tmp_path: Path) -> None:
    """Killed outright as soon as its checkpoint is there."""
    assert cli(*tune("b", "--steps", "40")).code == 0
    unbroken = Path("b.tuned.safetensors").read_bytes()
    Path("b.tuned.safetensors").unlink()
    program = (
        "import sys; from cimsolve.study.finetune import training; training.KEPT_S = 0.0;"
        "from cimsolve.cli import run_command; sys.exit(run_command(sys.argv[1:]))"
    )
    killed = subprocess.Popen([sys.executable, "-c", program, *tune("b", "--steps", "40")])
    kept = Path("b.tuned.checkpoint.safetensors")
    while not kept.exists() and killed.poll() is None:
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    assert kept.exists()
    assert cli(*tune("b", "--steps", "40")).code == 0
    assert Path("b.tuned.safetensors").read_bytes() == unbroken
