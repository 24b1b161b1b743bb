"""Configs that are none, refused by key; any graph of linears."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cimsolve.files.library import resolve_model
from cimsolve.model.families import FAMILIES
from cimsolve.model.load import load_model
from cimsolve.model.model import Linear, Operation
from cimsolve.model.structure import Structure
from cimsolve.model.workload import build_workload
from makers.folders import ROOT
from makers.model_configs import DELETE, config_of, parse, refusal, shipped

# Bad configs


@pytest.mark.parametrize(("written", "near"), [("gpt-2", "gpt2"), ("Bart", "bart"), ("QWEN_2", "qwen2")])
def test_architectures_written_otherwise_are_named_as_they_are_written(written: str, near: str) -> None:
    message = refusal(config_of("bert-large", model_type=written))
    assert repr(written) in message
    assert f"did you mean {near!r}?" in message
    assert near in FAMILIES
    assert "docs/file-formats.md" in message


def test_the_page_that_is_named_lists_every_family() -> None:
    page = (ROOT / "docs" / "file-formats.md").read_text()
    assert [family for family in FAMILIES if f"`{family}`" not in page] == []


@pytest.mark.parametrize("other", ["mixtrall", "qwen2_vl", "qwen33", "bertt", "lama", "rwkv", "gptk"])
def test_other_architectures_are_never_taken_for_known_ones(other: str) -> None:
    message = refusal(config_of("llama-3-8b", model_type=other))
    assert repr(other) in message
    assert "did you mean" not in message
    assert '"model_type": "linears"' in message


def test_of_a_whole_that_is_not_known_the_part_that_is_can_be_had() -> None:
    whole = {"model_type": "clip", "text_config": {"model_type": "clip_text_model"}, "vision_config": {}}
    assert "its " not in refusal(whole)
    found = refusal({**whole, "vision_config": {"model_type": "clip_vision_model"}})
    assert "its vision_config is of clip_vision_model: give that as a config.json of its own" in found


def test_an_architecture_like_no_other_is_refused_without_a_guess() -> None:
    message = refusal({"model_type": "xyzzy"})
    assert "did you mean" not in message
    assert "expected a family" in message


@pytest.mark.parametrize("config", [[], "bert", 3, None, {}, {"model_type": 3}, {"model_type": None}])
def test_what_is_no_config_is_refused(config: object) -> None:
    assert refusal(config).startswith("config.json: ")


NEEDED = {
    "bert-large": [
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "max_position_embeddings",
    ],
    "gpt2-medium": ["n_embd", "n_layer", "n_head", "n_positions"],
    "bart-large": [
        "d_model",
        "encoder_layers",
        "decoder_layers",
        "encoder_attention_heads",
        "decoder_attention_heads",
        "encoder_ffn_dim",
        "decoder_ffn_dim",
        "max_position_embeddings",
    ],
    "llama-3-8b": [
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "max_position_embeddings",
    ],
}
KEYS = [(name, key) for name, keys in NEEDED.items() for key in keys]


@pytest.mark.parametrize(("name", "key"), KEYS)
def test_needed_keys_are_missed(name: str, key: str) -> None:
    message = refusal(config_of(name, **{key: DELETE}))
    assert message == f"config.json: {key} is missing; add it"


@pytest.mark.parametrize("value", ["1024", 1024.5, 0, -1, True, None, [1024], 2**31, float("nan")])
@pytest.mark.parametrize(("name", "key"), KEYS)
def test_wrong_values_are_refused_by_key(name: str, key: str, value: object) -> None:
    message = refusal(config_of(name, **{key: value}))
    assert message.startswith(f"config.json: {key} = ")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("bert-large", "num_attention_heads"),
        ("gpt2-medium", "n_head"),
        ("bart-large", "encoder_attention_heads"),
        ("bart-large", "decoder_attention_heads"),
        ("llama-3-8b", "num_attention_heads"),
    ],
)
def test_heads_must_divide_the_width(name: str, key: str) -> None:
    changes: dict[str, Any] = {key: 7}
    if name == "llama-3-8b":
        changes["num_key_value_heads"] = 7
    message = refusal(config_of(name, **changes))
    assert f"{key}: 7 does not divide" in message


def test_groups_must_divide_the_heads() -> None:
    message = refusal(config_of("llama-3-8b", num_key_value_heads=5))
    assert "num_key_value_heads: 5 does not divide num_attention_heads = 32" in message


def test_a_config_in_a_folder_is_named_by_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config_of("minilm-l6")))
    assert load_model(resolve_model(str(folder))).name == "mine"
    assert load_model(folder / "config.json").weight_count == shipped("minilm-l6").weight_count


# Any graph of linears


def chain(**changes: Any) -> dict[str, Any]:
    """Two steps, the second of which reads the first; `changes` go into the second."""
    second = {"name": "b", "linears": [{"name": "b.w", "n_in": 16, "n_out": 8}], **changes}
    second = {key: value for key, value in second.items() if value is not DELETE}
    first = {"name": "a", "linears": [{"name": "a.w", "n_in": 8, "n_out": 16}]}
    return {"model_type": "linears", "steps": [first, second]}


def test_linears_chain_by_default() -> None:
    model = parse(chain(operations=[{"name": "activation", "elements": 16}]))
    assert [step.reads for step in model.steps] == [(), (0,)]
    assert model.linears == (
        Linear("a.w", 8, 16, model.linears[0].tensor),
        Linear("b.w", 16, 8, model.linears[1].tensor),
    )
    assert model.steps[1].operations == (Operation("activation", 16),)
    assert model.tails["token"] == ((), 8, None)
    assert model.tokens == 512
    assert {step.phase for step in model.steps} == {0}
    dense = {"a.w": Structure.dense(), "b.w": Structure.dense()}
    assert [stage.after for stage in build_workload(model, dense).stages] == [(), (0,)]


def test_linears_may_stand_side_by_side_and_have_barriers() -> None:
    assert [step.reads for step in parse(chain(reads=[])).steps] == [(), ()]
    assert [step.phase for step in parse(chain(barrier=True)).steps] == [0, 1]
    assert parse({**chain(), "context": 64}).tokens == 64


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"model_type": "linears"}, "steps is missing"),
        ({"model_type": "linears", "steps": []}, "steps = a list: expected at least 1"),
        (chain(linears=[]), "steps.1.linears = a list: expected at least 1"),
        (chain(linears=DELETE), "steps.1.linears is missing"),
        (chain(name="a"), "steps.1.name: 'a' is used twice"),
        (chain(name=""), "steps.1.name"),
        (chain(linears=[{"name": "a.w", "n_in": 16, "n_out": 8}]), "steps.1.linears: 'a.w' is used twice"),
        (chain(linears=[{"name": "b.w", "n_in": 0, "n_out": 8}]), "steps.1.linears.0.n_in = 0"),
        (chain(linears=[{"name": "b.w", "n_in": "16", "n_out": 8}]), 'steps.1.linears.0.n_in = "16"'),
        (chain(linears=[{"name": "b.w", "n_in": 16}]), "steps.1.linears.0.n_out is missing"),
        (
            chain(linears=[{"name": "b.w", "n_in": 16, "n_out": 8}, {"name": "c.w", "n_in": 8, "n_out": 8}]),
            "n_in [8, 16] differ",
        ),
        (chain(reads=["c"]), "'c': expected an earlier step"),
        (chain(reads=["b"]), "'b': expected an earlier step"),
        (chain(reads=[], operations=[{"name": "add", "elements": 8}]), "expected none"),
        (chain(operations=[{"name": "gelu", "elements": 8}]), "steps.1.operations.0.name"),
        (chain(operations=[{"name": "add", "elements": -8}]), "steps.1.operations.0.elements"),
        (chain(bariier=True), "steps.1.bariier"),
    ],
)
def test_bad_graphs_of_linears_are_refused(config: object, expected: str) -> None:
    message = refusal(config)
    assert message.startswith("config.json: ")
    assert expected in message
