"""Keys of a config beside its sizes: obeyed, refused by name, or named as not known."""

from __future__ import annotations

from typing import Any

import pytest

from cimsolve.model import families
from cimsolve.model.families.config import keys_of
from cimsolve.model.model import Model
from makers.family_configs import FAMILY_CONFIGS
from makers.model_configs import config_of, parse, refusal

FAMILIES = ["bert-large", "gpt2-medium", "bart-large", "llama-3-8b"]


def keys_read(model: Model) -> list[int]:
    """Tokens that attention reads in each layer."""
    heads = model.config["num_attention_heads"]
    softmax = [o.elements for step in model.steps for o in step.operations if o.name == "softmax"]
    return [elements // heads for elements in softmax]


def windowed(family: str, **changes: Any) -> dict[str, Any]:
    return config_of("llama-3-8b", model_type=family, num_hidden_layers=4, **changes)


QWEN = {"use_sliding_window": True, "sliding_window": 64, "max_window_layers": 1}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (windowed("mistral", sliding_window=64), [64] * 4),
        (windowed("mistral", sliding_window=64, layer_types=["sliding_attention"] * 4), [64] * 4),
        (windowed("mistral", sliding_window=None), [8192] * 4),
        (windowed("mistral", sliding_window=2**20), [8192] * 4),
        (windowed("mistral"), [4096] * 4),  # as transformers has it
        (windowed("qwen2", **QWEN), [8192, 64, 64, 64]),
        (windowed("qwen2", **{**QWEN, "use_sliding_window": False}), [8192] * 4),
        (windowed("qwen2", sliding_window=64), [8192] * 4),
        (
            windowed("qwen2", **QWEN, layer_types=["sliding_attention", "full_attention"] * 2),
            [64, 8192, 64, 8192],
        ),
        (windowed("llama", sliding_window=None, layer_types=["full_attention"] * 4), [8192] * 4),
    ],
)
def test_attention_reads_the_keys_of_its_window(config: dict[str, Any], expected: list[int]) -> None:
    model = parse(config, 8192)
    assert keys_read(model) == expected
    assert [min(8192, window or 8192) for window in model.windows] == expected


@pytest.mark.parametrize(
    ("config", "key"),
    [
        (windowed("llama", sliding_window=64), "sliding_window"),
        (windowed("llama", layer_types=["sliding_attention"] * 4), "layer_types"),
        (windowed("llama", layer_types=["chunked_attention"] * 4), "layer_types"),
        (windowed("mistral", sliding_window=64, layer_types=["full_attention"] * 4), "layer_types"),
        (windowed("mistral", sliding_window=64, layer_types=["sliding_attention"] * 3), "layer_types"),
        (windowed("mistral", sliding_window=64, use_sliding_window=False), "use_sliding_window"),
        (windowed("mistral", sliding_window=0), "sliding_window"),
        (windowed("mistral", sliding_window="64"), "sliding_window"),
        (windowed("qwen2", layer_types=["sliding_attention"] * 4), "layer_types"),
        (windowed("qwen2", **{**QWEN, "max_window_layers": -1}), "max_window_layers"),
        ({**config_of("bert-large"), "sliding_window": 64}, "sliding_window"),
    ],
)
def test_windows_that_cannot_be_obeyed_are_refused(config: dict[str, Any], key: str) -> None:
    assert key in refusal(config)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_local_experts", 8),
        ("num_experts_per_tok", 2),
        ("add_cross_attention", True),
        ("pruned_heads", {"0": [1]}),
        ("attention_chunk_size", 8192),
        ("partial_rotary_factor", 0.5),
        ("attn_logit_softcapping", 50.0),
        ("final_logit_softcapping", 30.0),
        ("use_qk_norm", True),
        ("attention_multiplier", 0.1),
        ("tie_encoder_decoder", True),
        ("position_embedding_type", "relative_key"),
        ("text_config", {"hidden_size": 8}),
    ],
)
def test_keys_of_other_models_are_refused_by_name(name: str, key: str, value: object) -> None:
    assert f"config.json: {key} = " in refusal(config_of(name, **{key: value}))


@pytest.mark.parametrize("name", FAMILIES)
def test_keys_at_values_that_change_nothing_are_taken(name: str) -> None:
    idle = {
        "add_cross_attention": False,
        "pruned_heads": {},
        "num_experts": 0,
        "attention_chunk_size": None,
        "partial_rotary_factor": 1.0,
        "final_logit_softcapping": None,
        "use_qk_norm": False,
        "dtype": "bfloat16",
        "temperature": 0.7,
        "quantization_config": {"bits": 4},  # of the weights, not of the matrices
    }
    model = parse(config_of(name, **idle))
    assert model.steps == parse(config_of(name)).steps
    assert model.unknown_keys == ()


@pytest.mark.parametrize("name", FAMILIES)
def test_unknown_keys_are_named(name: str) -> None:
    assert parse(config_of(name, sparkle=3, is_sparkling=False)).unknown_keys == ("sparkle", "is_sparkling")


@pytest.mark.parametrize(
    "rotary",
    [
        {"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}},
        {"rope_scaling": {"type": "default", "partial_rotary_factor": 0.5}},
        {"rope_parameters": {"full_attention": {"rope_type": "default", "partial_rotary_factor": 0.5}}},
    ],
)
def test_keys_within_rotary_parameters_count_too(rotary: dict[str, Any]) -> None:
    assert "partial_rotary_factor = 0.5" in refusal(config_of("llama-3-8b", **rotary))


@pytest.mark.parametrize("kind", ["llama3", "yarn", "linear", "longrope", "dynamic"])
def test_scaled_rotary_positions_cost_the_same(kind: str) -> None:
    scaled = config_of("llama-3-8b", rope_scaling={"rope_type": kind, "factor": 8.0})
    assert parse(scaled).steps == parse(config_of("llama-3-8b")).steps


def test_a_decoder_of_bart_alone_is_another_model() -> None:
    assert "is_encoder_decoder" in refusal(config_of("bart-large", is_encoder_decoder=False))


def test_long_contexts_are_taken() -> None:
    long = config_of("llama-3-8b", max_position_embeddings=10_485_760)
    assert parse(long).tokens == 512
    assert keys_read(parse(long, 10_485_760)) == [10_485_760] * 32


def needed(label: str) -> list[tuple[str, ...]]:
    """The keys, each by all its names, without which a config of the family says too little."""
    kind = families.FAMILIES[FAMILY_CONFIGS[label]["model_type"]].config
    return [keys_of(kind, name) for name, field in kind.model_fields.items() if field.is_required()]


BUILT = [label for label, config in FAMILY_CONFIGS.items() if config["model_type"] in families.FAMILIES]


@pytest.mark.parametrize("label", BUILT)
def test_every_family_says_which_key_is_missing_or_wrong(label: str) -> None:
    config = FAMILY_CONFIGS[label]
    assert needed(label)
    for names in needed(label):
        rest = {key: value for key, value in config.items() if key not in names}
        assert refusal(rest) == f"config.json: {names[0]} is missing; add it"
        for wrong in ("24", -1, 0, 1.5, True, [24], 2**40):
            assert refusal({**rest, names[0]: wrong}).startswith(f"config.json: {names[0]} = ")
