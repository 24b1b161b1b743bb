"""`cimsolve accuracy`: each step by another route, rows kept and gone on from."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cimsolve
from cimsolve.api import make_problem, map_model
from cimsolve.chip.read import load_hardware
from cimsolve.chip.settings import with_settings
from cimsolve.chip.spec import Hardware
from cimsolve.errors import InputError
from cimsolve.model.load import load_model
from cimsolve.model.structure import Structure
from cimsolve.study.accuracy import Accuracy, ArrayProduct, compare, measure
from cimsolve.study.accuracy.answers import Judge
from cimsolve.study.accuracy.measure import measure_accuracy, rows_measured
from cimsolve.study.accuracy.question import Storage, loses_by_rule
from cimsolve.study.names import ACCURACY_METHODS
from cimsolve.weights.factor_file import FactorFile
from cimsolve.weights.folder import FolderWeights, open_weights
from cimsolve.weights.forward import listening, load_reference
from cimsolve.weights.inputs import LinearInputs, heard_in, read_sequences, split_sequences
from cimsolve.weights.monarch import reconstruct
from makers.accuracy_runs import SMALL, question, run
from makers.command_line import Cli
from makers.folders import WEIGHTS
from makers.hardware_specs import SHIPPED
from makers.tiny_configs import BERT, LLAMA
from makers.tiny_models import add_tokenizer, model_folder


@pytest.fixture(autouse=True)
def _in_a_folder_with_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    add_tokenizer(model_folder(Path("tiny"), BERT))


# Figures


@pytest.mark.parametrize("config", [BERT, LLAMA], ids=["bert", "llama"])
def test_answers_that_are_no_numbers_have_no_figure(config: dict[str, Any]) -> None:
    """Least of all 100 % agreement; those of the float model are refused."""
    model_folder(Path("tiny"), config)
    reference = load_reference(load_model("tiny"), open_weights("tiny"))
    sequences = [np.array([1, 2, 3])]
    exact = reference.run(sequences)
    for bad in (np.nan, np.inf):
        assert compare(reference, sequences, exact, np.full_like(exact, bad)) == Accuracy()
        with pytest.raises(InputError, match="tiny: the float model's own"):
            compare(reference, sequences, np.full_like(exact, bad), exact)


@pytest.mark.parametrize("config", [BERT, LLAMA], ids=["bert", "llama"])
def test_dense_steps_are_those_of_one_run_each(config: dict[str, Any]) -> None:
    """One product a setting, with ranges calibrated by the simulator itself, gives what all side by side give."""
    add_tokenizer(model_folder(Path("tiny"), config))
    asked = question(methods=("dense",), bits=(3, 2))
    *_, table = rows_measured(asked)
    source, model = open_weights("tiny"), load_model("tiny")
    reference = load_reference(model, source)
    sequences = read_sequences(["sample"], Path("tiny"), source, reference.context, 300)
    fitted, held_out = split_sequences(sequences)
    test = held_out[: table.test_sequences]
    assert 30 <= sum(map(len, test)) == table.test_tokens < 30 + len(test[-1])
    exact = reference.run(test)
    heard: dict[str, Any] = {}
    calibrating = measure._first_tokens(fitted, 20)
    assert np.concatenate(calibrating).tolist() == np.concatenate(fitted)[:20].tolist()
    assert table.calibration_tokens == 20
    reference.run(calibrating, listening(reference.exact, heard.__setitem__))
    dense = {each.name: Structure.dense() for each in model.linears}
    problem = make_problem(model, "rram256", structure=dense)
    solution = map_model(model, "rram256", structure=dense, strategy="linear")
    figures = table.rows[0].figures
    for name, how in (
        ("lossless", {}),
        ("full 3", {"adc_bits_max": 3}),
        ("full 2", {"adc_bits_max": 2}),
        ("calibrated 3", {"adc_bits_max": 3, "adc_range": "calibrated"}),
        ("calibrated 2", {"adc_bits_max": 2, "adc_range": "calibrated"}),
    ):
        product = ArrayProduct(
            problem,
            solution.pieces,
            solution.activations,
            FolderWeights(source, model),
            heard,
            weight_scale="column",
            input_scale="token",
            **how,
        )
        assert figures[name] == compare(reference, test, exact, reference.run(test, product)), name
    assert figures["float"] == table.float_model == compare(reference, test, exact, exact)
    assert list(figures) == [step.name for step in table.steps]
    if config is BERT:
        assert figures["lossless"].cosine > 0.99 > figures["full 2"].cosine
    else:
        assert figures["lossless"].perplexity == pytest.approx(figures["float"].perplexity, rel=0.05)
        assert figures["full 2"].agreement < figures["lossless"].agreement


def test_factored_rows_are_the_product_of_what_project_writes() -> None:
    """`float` by the dense product of the factors that `project_model` finds from the same text."""
    *_, table = rows_measured(question(methods=ACCURACY_METHODS))
    assert [str(row.storage) for row in table.rows] == ["dense", *(f"{name} 1.5x" for name in ACCURACY_METHODS[1:])]
    source, model = open_weights("tiny"), load_model("tiny")
    reference = load_reference(model, source)
    sequences = read_sequences(["sample"], Path("tiny"), source, reference.context, 300)
    test = split_sequences(sequences)[1][: table.test_sequences]
    exact = reference.run(test)
    # 16 x 16 and 16 x 24 with two blocks: 2 * 16 + 2 * 16 and 2 * 16 + 2 * 24 weights a rank; 256 / 1.5 / 64 -> 3,
    # 384 / 1.5 / 80 -> 3. Low-rank of no more: 192 / 32 -> 6, 240 / 40 -> 6.
    text = "2,2,3"
    stored = 2 * (4 * 3 * 64 + 2 * 3 * 80)
    for row in table.rows[1:]:
        cimsolve.project_model(
            "tiny", structure=text, method=row.storage.method, text=["sample"], samples=300, out="f.safetensors"
        )
        factors = FactorFile("f.safetensors").factors
        hidden = reference.run(test, lambda name, x, of=factors: x @ reconstruct(measure.Monarch(*of[name])))
        found = compare(reference, test, exact, hidden).cosine
        assert row.figures["float"].cosine == pytest.approx(found, abs=1e-5)
        assert row.stored_weights == stored
        assert table.compression(row) == (4 * 256 + 2 * 384) * 2 / stored
        assert row.metrics["arrays"] >= 1
        assert row.figures["lossless"].cosine == pytest.approx(found, abs=0.03)


def test_the_test_is_held_out_of_everything() -> None:
    """The paragraphs tested are those that `heard_in` keeps from fitting."""
    source, model = open_weights("tiny"), load_model("tiny")
    reference = load_reference(model, source)
    sequences = read_sequences(["sample"], Path("tiny"), source, reference.context, 300)
    fitted, held_out = split_sequences(sequences)
    found: dict[str, LinearInputs] = {}
    heard_in(reference, sequences)(found.__setitem__)
    for part, kept in ((held_out, "held_out"), (fitted, "calibration")):
        alone: dict[str, Any] = {}
        reference.run(part, listening(reference.exact, alone.__setitem__))
        for name, inputs in found.items():
            expected = getattr(inputs, kept)
            assert expected.shape == alone[name].shape
            assert np.abs(np.sort(expected, axis=0) - np.sort(alone[name], axis=0)).max() < 1e-4


def test_compression_is_what_the_ranks_give() -> None:
    asked = question(methods=("plain",), compressions=(1.0, 2.0))
    *_, table = rows_measured(asked)
    # T = 4 (256 / 64) and 5 (384 / 80 = 4.8); then 2 (256 / 128) and 2 (2.4)
    assert [row.stored_weights for row in table.rows] == [2 * (4 * 4 * 64 + 2 * 5 * 80), 2 * (4 * 2 * 64 + 2 * 2 * 80)]


@pytest.mark.parametrize(
    ("spec", "changes", "loses"),
    [
        *((spec, {}, spec in ("hermes64", "neurram48", "paper256", "paper256-mesh", "pcm256")) for spec in SHIPPED),
        ("rram256", {"adc.bits_max": "9"}, False),
        ("rram256", {"adc.bits_max": "9", "adc.lossy_allowed": "true"}, True),
    ],
)
def test_rules_that_lose(spec: str, changes: dict[str, str], loses: bool) -> None:
    """rram256: sums of 256 rows of 2-bit cells, a bit at a time, reach 768: 10 bits, which its converters have.

    With 9 it drives as many rows as 9 bits can count, unless it may lose.
    """
    hardware = with_settings(load_hardware(spec), changes)
    assert loses_by_rule(hardware) is loses
    names = [step.name for step in question(hardware=hardware, bits=(8, 6)).steps()]
    rule = ["full rule", "full 8", "full 6", "calibrated rule", "calibrated 8", "calibrated 6"]
    assert names == ["float", "lossless", *(each for each in rule if loses or "rule" not in each)]


# Rows that are kept


def test_an_interrupted_run_goes_on(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = measure_accuracy("tiny", hardware="rram256", compressions=(1.5,), **SMALL)
    honest = measure.fit_factors

    def stop(weight: Any, structure: Any, method: str, *rest: Any) -> Any:
        if method == "als":
            raise KeyboardInterrupt
        return honest(weight, structure, method, *rest)

    monkeypatch.setattr(measure, "fit_factors", stop)
    result = cli(*run("--out", "table.json"))
    assert result.code == 130
    assert "whitened 1.5x" in result.out
    assert "als 1.5x" not in result.out
    assert result.err == (
        "cimsolve: interrupted; 3 of 5 rows are kept in results/cache: the same command goes on from there\n"
    )
    written = json.loads(Path("table.json").read_text())
    assert (written["exit_code"], [row["method"] for row in written["rows"]]) == (130, ["dense", "plain", "whitened"])
    fitted: list[str] = []

    def count(weight: Any, structure: Any, method: str, *rest: Any) -> Any:
        fitted.append(method)
        return honest(weight, structure, method, *rest)

    monkeypatch.setattr(measure, "fit_factors", count)
    result = cli(*run("--json"))
    assert (result.code, result.err) == (0, "")
    assert set(fitted) == {"als", "lowrank"}
    rows = json.loads(result.out)["rows"]
    assert [row["figures"]["lossless"]["cosine"] for row in rows] == [r.figures["lossless"].cosine for r in whole.rows]
    assert [row["figures"]["full 2"]["cosine"] for row in rows] == [r.figures["full 2"].cosine for r in whole.rows]
    assert len(list(Path("results/cache").iterdir())) == 5  # no factors are left


def test_factors_outlive_an_interrupt_between_fit_and_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = question(methods=("als",))
    *_, whole = rows_measured(asked)

    def stop(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(measure, "ArrayProduct", stop)
        with pytest.raises(KeyboardInterrupt):
            list(rows_measured(asked, Path("cache")))
    assert [path.suffix for path in Path("cache").iterdir()] == [".safetensors"]
    monkeypatch.setattr(measure, "fit_factors", stop)
    *_, table = rows_measured(asked, Path("cache"))
    assert table.rows[0].figures == whole.rows[0].figures


def test_only_steps_that_are_missing_are_run(monkeypatch: pytest.MonkeyPatch) -> None:
    first = measure_accuracy("tiny", methods=("dense",), cache="cache", **SMALL)
    asked: list[int] = []
    honest = measure.ArrayProduct

    def product(*arguments: Any, **rest: Any) -> Any:
        asked.append(len(arguments[5]))
        return honest(*arguments, **rest)

    monkeypatch.setattr(measure, "ArrayProduct", product)
    more = measure_accuracy("tiny", methods=("dense",), cache="cache", **{**SMALL, "bits": (2, 3)})
    assert asked == [2]  # 3 bits over both ranges
    assert more.rows[0].figures["calibrated 2"] == first.rows[0].figures["calibrated 2"]
    assert more.rows[0].processor_s > first.rows[0].processor_s
    again = measure_accuracy("tiny", methods=("dense",), cache="cache", **{**SMALL, "bits": (2, 3)})
    assert asked == [2]
    assert again.rows == more.rows
    *_, fresh = rows_measured(question(methods=("dense",)), Path("cache"), fresh=True)
    assert len(asked) == 2
    assert fresh.rows[0].figures == first.rows[0].figures


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model and one row of it."""
    folder = tmp_path_factory.mktemp("measured")
    with contextlib.chdir(folder):
        add_tokenizer(model_folder(Path("tiny"), BERT))
        list(rows_measured(question(methods=("als",)), Path("cache")))
    return folder


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"seed": 1},
        {"blocks": (4, 4)},
        {"hardware": with_settings(load_hardware("rram256"), {"input.bits": "6"})},
        {"calibration_tokens": 21},
        {"test_tokens": 60},
        {"samples": 290},
        {"weight_scale": "tensor"},
        {"input_scale": "tensor"},
    ],
    ids=lambda changes: ",".join(changes) or "none",
)
def test_another_question_is_another_row(
    measured: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    monkeypatch.chdir(measured)
    before = set(Path("cache").iterdir())
    list(rows_measured(question(methods=("als",), **changes), Path("cache")))
    assert len(set(Path("cache").iterdir()) - before) == len(changes)


def test_other_weights_are_another_row() -> None:
    asked = question(methods=("dense",))
    *_, first = rows_measured(asked, Path("cache"))
    add_tokenizer(model_folder(Path("tiny"), BERT, seed=1))
    *_, second = rows_measured(asked, Path("cache"))
    assert first.rows[0].figures != second.rows[0].figures


DAMAGES: dict[str, Callable[[str], str]] = {
    "cut short": lambda text: text[:-3],
    "no row": lambda text: '{"format": "cimsolve-accuracy-row/1", "digest": "0"}',
    "a metric less": lambda text: text.replace('"latency_ns"', '"latency"'),
    "another figure": lambda text: re.sub(r'"cosine": [0-9.]+', '"cosine": 1.0', text),
    "another type": lambda text: re.sub(r'"cosine": [0-9.]+', '"cosine": "1"', text),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_row_is_told_and_measured_again(damage: str) -> None:
    asked = question(methods=("dense",))
    *_, first = rows_measured(asked, Path("cache"))
    (path,) = Path("cache").iterdir()
    path.write_text(DAMAGES[damage](path.read_text()))
    told: list[str] = []
    *_, second = rows_measured(asked, Path("cache"), tell=told.append)
    assert second.rows[0].figures == first.rows[0].figures
    assert second.rows[0].metrics == first.rows[0].metrics
    assert len(told) == 1
    assert path.name in told[0]
    *_, third = rows_measured(asked, Path("cache"), tell=told.append)
    assert (third.rows, len(told)) == (second.rows, 1)


def test_kept_factors_that_are_damaged_are_fitted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    asked = question(methods=("plain",))
    with monkeypatch.context() as patch:
        patch.setattr(measure, "ArrayProduct", stop)
        with pytest.raises(KeyboardInterrupt):
            list(rows_measured(asked, Path("cache")))
    (path,) = Path("cache").iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    told: list[str] = []
    *_, table = rows_measured(asked, Path("cache"), tell=told.append)
    assert [path.name in line for line in told] == [True]
    *_, whole = rows_measured(asked)
    assert table.rows[0].figures == whole.rows[0].figures


def test_answers_that_are_no_numbers_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = measure.Judge.__call__
    calls = 0

    def broken(self: Judge, hidden: Any) -> Accuracy:
        nonlocal calls
        calls += 1
        return honest(self, hidden) if calls <= 2 else Accuracy(cosine=float("nan"))

    monkeypatch.setattr(measure.Judge, "__call__", broken)
    *_, table = rows_measured(question(methods=("dense",)), Path("cache"))
    assert table.rows[0].figures["lossless"].cosine is None
    (path,) = Path("cache").iterdir()
    assert json.loads(path.read_text())["figures"]["lossless"]["cosine"] is None


def test_storages_and_steps_stand_once() -> None:
    asked = question(methods=("als", "dense", "als"), compressions=(2.0, 2.0), bits=(4, 4))
    assert asked.storages() == [Storage("dense"), Storage("als", 2.0)]
    assert [step.name for step in asked.steps()] == ["float", "lossless", "full 4", "calibrated 4"]
    assert isinstance(asked.hardware, Hardware)


# Real weights


@pytest.mark.weights
def test_minilm_step_by_step(cli: Cli) -> None:
    if not (WEIGHTS / "minilm" / "model.safetensors").exists():
        pytest.skip("weights/minilm is absent: run `make weights`")
    words = ["--method", "dense,als", "--compression", "3", "--bits", "8", "--test-tokens", "60", "--json"]
    result = cli("accuracy", "--weights", str(WEIGHTS / "minilm"), *words)
    assert (result.code, result.err) == (0, "")
    dense, als = (row["figures"] for row in json.loads(result.out)["rows"])
    assert dense["float"]["cosine"] == pytest.approx(1)
    assert dense["lossless"]["cosine"] > 0.99
    assert dense["calibrated 8"]["cosine"] > 0.95 > dense["full 8"]["cosine"]
    assert als["float"]["cosine"] == pytest.approx(als["lossless"]["cosine"], abs=0.02)


@pytest.mark.weights
def test_smollm2_step_by_step(cli: Cli) -> None:
    if not (WEIGHTS / "smollm2" / "model.gguf").exists():
        pytest.skip("weights/smollm2 is absent: run `make weights-smollm2`")
    words = ["--method", "dense", "--bits", "8", "--test-tokens", "40", "--json"]
    result = cli("accuracy", "--weights", str(WEIGHTS / "smollm2"), *words)
    assert (result.code, result.err) == (0, "")
    found = json.loads(result.out)["rows"][0]["figures"]
    assert found["float"]["agreement"] == 1
    assert found["lossless"]["perplexity"] == pytest.approx(found["float"]["perplexity"], rel=0.1)
    assert found["calibrated 8"]["agreement"] > 0.6 > found["full 8"]["agreement"]
