"""The forward pass of each family against transformers' own, on small models with drawn weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file, save_file

from cimsolve.errors import InputError
from cimsolve.weights.forward import FAMILIES, listening
from cimsolve.weights.forward.language import LanguageModel
from makers.published import CASES, PLACES, RECORDS, SEQUENCES, drawn_folder, published_logits, published_shapes
from makers.tiny_models import reference_of


def logits_of(folder: Path) -> npt.NDArray[np.float64]:
    reference = reference_of(folder)
    assert isinstance(reference, LanguageModel)
    return reference.logits(reference.run(SEQUENCES))


@pytest.mark.parametrize("case", CASES)
def test_logits_recorded_from_transformers(tmp_path: Path, case: str) -> None:
    record = json.loads((RECORDS / f"{case}.json").read_text())
    assert record["config"] == CASES[case], "record it anew: python -m makers.published"
    found = logits_of(drawn_folder(tmp_path, record["config"], record["tensors"]))
    np.testing.assert_allclose(found[np.ix_(*PLACES)], record["logits"], atol=1e-4)


def test_every_language_model_is_compared() -> None:
    assert {config["model_type"] for config in CASES.values()} == set(FAMILIES) - {"bert"}


@pytest.mark.parametrize("prefix", ["", "language_model.model.", "model.language_model.", "text."])
@pytest.mark.parametrize("is_whole", [False, True])
def test_a_language_model_by_itself_or_within_a_whole(tmp_path: Path, prefix: str, is_whole: bool) -> None:
    """The names of its tensors begin as they do in files of either, and beside it other models have theirs."""
    record = json.loads((RECORDS / "gemma3.json").read_text())
    folder = drawn_folder(tmp_path, record["config"], record["tensors"])
    expected = logits_of(folder)
    if is_whole:
        (folder / "config.json").write_text(json.dumps({"model_type": "gemma3", "text_config": record["config"]}))
    tensors = load_file(folder / "model.safetensors")
    renamed = {prefix + name.removeprefix("model."): tensor for name, tensor in tensors.items()}
    beside = {"vision_tower.encoder.layers.0.mlp.fc1.weight": np.ones((2, 2), dtype=np.float32)}
    save_file({**renamed, **beside}, folder / "model.safetensors")
    if prefix == "text.":
        with pytest.raises(InputError, match=r"no tensor model\."):
            logits_of(folder)
    else:
        np.testing.assert_array_equal(logits_of(folder), expected)


@pytest.mark.parametrize("case", ["qwen3_moe", "mixtral"])
def test_experts_in_one_tensor_are_the_same_model(tmp_path: Path, case: str) -> None:
    """As transformers 5 has them: gates before their partners, mixtral's by the names of others."""
    record = json.loads((RECORDS / f"{case}.json").read_text())
    folder = drawn_folder(tmp_path, record["config"], record["tensors"])
    expected = logits_of(folder)
    file = folder / "model.safetensors"
    tensors = load_file(file)
    for layer in range(2):
        at = f"model.layers.{layer}."
        moe, (gate, up, down) = at + "mlp.", ("gate_proj", "up_proj", "down_proj")
        if case == "mixtral":
            moe, (gate, up, down) = at + "block_sparse_moe.", ("w1", "w3", "w2")
        experts = [
            [tensors.pop(f"{moe}experts.{number}.{part}.weight") for part in (gate, up, down)]
            for number in range(record["config"].get("num_experts", 4))
        ]
        tensors[f"{at}mlp.gate.weight"] = tensors.pop(f"{moe}gate.weight")
        tensors[f"{at}mlp.experts.gate_up_proj"] = np.stack([np.concatenate(each[:2]) for each in experts])
        tensors[f"{at}mlp.experts.down_proj"] = np.stack([each[2] for each in experts])
    save_file(tensors, file)
    np.testing.assert_array_equal(logits_of(folder), expected)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("case", CASES)
def test_logits_are_those_of_transformers(tmp_path: Path, case: str) -> None:
    pytest.importorskip("transformers")
    folder = drawn_folder(tmp_path, CASES[case], published_shapes(CASES[case]), seed=1)
    np.testing.assert_allclose(logits_of(folder), published_logits(folder), atol=1e-4)


def test_an_expert_hears_zeros_where_a_token_does_not_fire_it(tmp_path: Path) -> None:
    """Of every linear as many rows are heard; of two of five experts a token is heard, the shared one by all."""
    record = json.loads((RECORDS / "qwen2_moe.json").read_text())
    reference = reference_of(drawn_folder(tmp_path, record["config"], record["tensors"]))
    heard: dict[str, npt.NDArray[np.float32]] = {}
    found = reference.run(SEQUENCES, listening(reference.exact, heard.__setitem__))
    np.testing.assert_array_equal(found, reference.run(SEQUENCES))
    assert set(heard) == set(reference.linears)
    assert {len(inputs) for inputs in heard.values()} == {17}
    fired = [np.abs(heard[f"model.layers.1.mlp.experts.{each}.up_proj"]).sum(axis=1) > 0 for each in range(5)]
    assert np.sum(fired, axis=0).tolist() == [2] * 17
    assert np.abs(heard["model.layers.1.mlp.shared_expert.up_proj"]).min() > 0
