"""Families of today: published models by their parameters, what differs from layer to layer, what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from cimsolve.model.model import Model
from makers.model_configs import parse, refusal
from makers.published_configs import DENSE, Published
from makers.published_mixtures import MIXTURES
from makers.published_states import STATES


def text_config(published: Published) -> dict[str, Any]:
    inner: dict[str, Any] = published.config.get("text_config", published.config)
    return inner


def elements(model: Model, step: int, operation: str) -> list[int]:
    return [each.elements for each in model.steps[step].operations if each.name == operation]


def shapes(model: Model, step: int) -> dict[str, tuple[int, int]]:
    return {linear.name.partition("layers.0.")[2]: (linear.n_in, linear.n_out) for linear in model.steps[step].linears}


PUBLISHED = {**DENSE, **MIXTURES, **STATES}


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_published_models_have_their_parameters(name: str) -> None:
    published = PUBLISHED[name]
    model, text = parse(published.config), text_config(published)
    width = text.get("hidden_size", text.get("n_embd"))
    assert width == model.steps[0].linears[0].n_in
    embeddings = published.tables * text["vocab_size"] * width
    # Norms, biases and learned positions are no more than this.
    assert model.weight_count + embeddings + published.others == pytest.approx(published.parameters, rel=0.006)
    assert model.unknown_keys == ()
    assert len({linear.name for linear in model.linears}) == len(model.linears)
    assert "embeddings" in model.unmapped


def test_embeddings_may_be_narrower_than_layers() -> None:
    # OPT-350m
    config = {**DENSE["opt-1.3b"].config, "hidden_size": 1024, "ffn_dim": 4096, "num_attention_heads": 16}
    model = parse({**config, "word_embed_proj_dim": 512, "do_layer_norm_before": False})
    assert model.weight_count + (50272 + 2) * 512 + 2050 * 1024 == pytest.approx(331.2e6, rel=0.006)
    first, last = model.steps[0], model.steps[-1]
    assert [(each.name, each.n_in, each.n_out) for each in first.linears] == [("decoder.project_in", 512, 1024)]
    assert [(each.name, each.n_in, each.n_out) for each in last.linears] == [("decoder.project_out", 1024, 512)]
    assert model.tails["token"] == ((), 512, None)


def test_tensors_side_by_side_are_one_linear() -> None:
    phi3, glm4 = parse(DENSE["phi-4-mini"].config), parse(DENSE["glm-4-9b"].config)
    assert shapes(phi3, 0) == {"self_attn.qkv_proj": (3072, (24 + 2 * 8) * 128)}
    assert shapes(phi3, 2) == {"mlp.gate_up_proj": (3072, 2 * 8192)}
    assert elements(phi3, 3, "activation") == elements(phi3, 3, "multiply") == [8192]
    assert set(shapes(glm4, 0)) == {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"}
    assert shapes(glm4, 2) == {"mlp.gate_up_proj": (4096, 2 * 13696)}


@pytest.mark.parametrize(
    ("name", "fused"),
    [
        ("falcon-7b", 4544 + 2 * 64),  # one key and one value
        ("falcon-40b", (128 + 2 * 8) * 64),  # a key and a value for each group of heads
        ("falcon-rw-1b", 3 * 2048),
        ("pythia-1b", 3 * 2048),
        ("bloom-560m", 3 * 1024),
    ],
)
def test_layouts_of_fused_projections(name: str, fused: int) -> None:
    linear = parse(DENSE[name].config).linears[0]
    assert linear.name.endswith("query_key_value")
    assert linear.n_out == fused


HEAD_WIDTHS = [("qwen3-0.6b", 128), ("gemma-2b", 256), ("gemma-3-1b", 256), ("glm-4-9b", 128), ("command-r", 128)]


@pytest.mark.parametrize(("name", "width"), HEAD_WIDTHS)
@pytest.mark.parametrize("absent", [True, False])
def test_heads_have_their_family_s_width(name: str, width: int, absent: bool) -> None:
    config = {key: value for key, value in DENSE[name].config.items() if key != "head_dim"}
    model = parse(config if absent else {**config, "head_dim": None})
    assert model.linears[0].n_out == config["num_attention_heads"] * width
    assert parse({**config, "head_dim": 64}).linears[0].n_out == config["num_attention_heads"] * 64


@pytest.mark.parametrize(
    ("name", "groups"),
    [("mistral-7b-v0.1", 8), ("gemma-2-2b", 4), ("glm-4-9b", 2), ("phi-4-mini", 24), ("command-r", 64)],
)
def test_heads_of_keys_left_out_are_as_many_as_in_transformers(name: str, groups: int) -> None:
    config = {key: value for key, value in DENSE[name].config.items() if key != "num_key_value_heads"}
    width = 256 if name.startswith("gemma") else 128
    layers = config["num_hidden_layers"]
    assert parse(config, 1).cached_elements == layers * 2 * groups * width
    all_heads = parse({**config, "num_key_value_heads": None}, 1)
    assert all_heads.cached_elements == layers * 2 * config["num_attention_heads"] * width


# Order of steps and the work between them


def test_parallel_halves_of_one_norm_begin_as_one_step() -> None:
    model = parse(DENSE["phi-2"].config)
    assert len(model.steps) == 3 * 32
    assert [step.name for step in model.steps[:3]] == [
        "layer0.qkv_feed_forward_up",
        "layer0.feed_forward_down",
        "layer0.attention_output",
    ]
    assert [step.reads for step in model.steps[:4]] == [(), (0,), (0,), (1, 2)]
    assert [step.phase for step in model.steps[:4]] == [0, 0, 1, 1]
    # Both outputs and the residual are added, then one norm.
    assert elements(model, 3, "add") == [2560, 2560]
    assert elements(model, 3, "layer_norm") == [2560]
    assert [each.name for each in model.tails["token"].operations] == ["add", "add", "layer_norm"]


def test_parallel_halves_of_two_norms_begin_as_two_steps() -> None:
    model = parse(DENSE["pythia-1b"].config)
    assert [step.reads for step in model.steps[:6]] == [(), (), (1,), (0,), (2, 3), (2, 3)]
    assert elements(model, 4, "add") == [2048, 2048]
    assert elements(model, 4, "layer_norm") == elements(model, 5, "layer_norm") == [2048]
    assert elements(model, 5, "add") == []  # the sum is made once
    one_after_the_other = parse({**DENSE["pythia-1b"].config, "use_parallel_residual": False})
    assert [step.reads for step in one_after_the_other.steps[:5]] == [(), (0,), (1,), (2,), (3,)]


def test_four_norms_are_two_more_in_each_layer() -> None:
    model = parse(DENSE["gemma-2-2b"].config)
    assert elements(model, 2, "layer_norm") == elements(model, 4, "layer_norm") == [2304, 2304]
    assert elements(parse(DENSE["gemma-2b"].config), 2, "layer_norm") == [2048]


def test_q_and_k_are_normalised_where_the_family_does() -> None:
    assert elements(parse(DENSE["qwen3-0.6b"].config), 1, "layer_norm") == [16 * 128, 8 * 128]
    assert elements(parse(DENSE["qwen2-0.5b"].config), 1, "layer_norm") == []
    assert elements(parse({**DENSE["command-r"].config, "use_qk_norm": True}), 1, "layer_norm") == []
    assert elements(parse({**DENSE["command-r"].config, "use_qk_norm": True}), 2, "layer_norm") == [8192, 8192]


@pytest.mark.parametrize(
    ("name", "step", "turned"),
    [
        ("phi-2", 2, 2 * 32 * 32),  # 0.4 of heads of 80
        ("pythia-1b", 3, 2 * 8 * 64),  # a quarter of heads of 256
        ("gpt-j-6b", 2, 2 * 16 * 64),
        ("glm-4-9b", 1, (32 + 2) * 64),
        ("falcon-7b", 2, (71 + 1) * 64),
        ("command-r7b", 2, (32 + 8) * 128),  # a layer with a window
        ("command-r7b", 11, 0),  # one without
        ("smollm3-3b", 1, (16 + 4) * 128),
        ("smollm3-3b", 13, 0),
    ],
)
def test_rotary_positions_cost_what_they_turn(name: str, step: int, turned: int) -> None:
    model = parse(DENSE[name].config)
    assert sum(elements(model, step, "add")) == turned
    assert sum(elements(model, step, "multiply")) == 2 * turned


def test_a_share_of_rotary_positions_may_stand_with_their_parameters() -> None:
    keys = {key: value for key, value in DENSE["phi-4-mini"].config.items() if key != "partial_rotary_factor"}
    within = {**keys, "rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.75}}
    assert elements(parse(within), 1, "add") == elements(parse(DENSE["phi-4-mini"].config), 1, "add")
    assert elements(parse(keys), 1, "add") == [(24 + 8) * 128]


def test_positions_added_to_the_scores_cost_a_sum_each() -> None:
    assert elements(parse(DENSE["bloom-560m"].config, 100), 1, "add") == [16 * 100]
    assert elements(parse(DENSE["falcon-rw-1b"].config, 100), 1, "add") == [32 * 100]


def test_capped_scores_pass_a_tanh() -> None:
    capped = parse(DENSE["gemma-2-2b"].config, 100)
    assert elements(capped, 1, "activation") == [8 * 100]
    assert elements(parse({**DENSE["gemma-2-2b"].config, "attn_logit_softcapping": None}), 1, "activation") == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gemma-2-2b", [4096, None] * 13),
        ("gemma-3-1b", ([*[512] * 5, None] * 5)[:26]),
        ("olmo-3-7b", [4096, 4096, 4096, None] * 8),
        ("exaone-4.0-32b", [4096, 4096, 4096, None] * 16),
        ("command-r7b", [4096, 4096, 4096, None] * 8),
        ("gpt-neo-1.3b", [None, 256] * 12),
        ("mistral-7b-v0.1", [4096] * 32),
        ("starcoder2-3b", [4096] * 30),
        ("qwen3-0.6b", [None] * 28),
    ],
)
def test_windows_by_layer(name: str, expected: list[int | None]) -> None:
    assert list(parse(DENSE[name].config).windows) == expected


def test_types_of_layers_come_before_the_rule() -> None:
    types = ["full_attention"] * 25 + ["sliding_attention"]
    model = parse({**DENSE["gemma-3-1b"].config, "layer_types": types}, 2048)
    assert list(model.windows) == [None] * 25 + [512]
    assert [step.cache.tokens for step in model.steps if step.cache is not None] == [2048] * 25 + [512]


# Models within models


def test_a_language_model_is_found_within_a_whole() -> None:
    whole, text = DENSE["gemma-3-4b"].config, DENSE["gemma-3-4b"].config["text_config"]
    model = parse(whole)
    assert model.family == "gemma3"
    assert model.config == whole
    assert model.steps == parse(text).steps
    assert set(model.unmapped) - set(parse(text).unmapped) == {"vision model and its projection"}
    odd = parse({**whole, "sparkle": 1, "text_config": {**text, "glitter": 2}})
    assert odd.unknown_keys == ("sparkle", "text_config.glitter")


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("gemma-3-4b", {"text_config": None}, "text_config = null"),
        ("gemma-3-4b", {"text_config": {"model_type": "llama"}}, 'text_config.model_type = "llama"'),
        ("gemma-3-4b", {"text_config": {"hidden_size": 8}}, "config.json: text_config: num_hidden_layers is missing"),
        ("gpt-neo-1.3b", {"attention_types": [[["global"], 3]]}, "attention_types: lists 3 layers of num_layers = 24"),
        ("gpt-neo-1.3b", {"num_hidden_layers": 3}, "num_layers and num_hidden_layers"),
        ("gpt-j-6b", {"rotary_dim": 63}, "63 is odd"),
        ("gpt-j-6b", {"n_head": 7}, "n_head: 7 does not divide n_embd = 4096"),
        ("smollm3-3b", {"no_rope_layers": [1, 0]}, "no_rope_layers: 2 of"),
        ("bloom-560m", {"n_inner": 1024}, "n_inner: 1024: expected 4 * hidden_size"),
        ("falcon-40b", {"num_ln_in_parallel_attn": 3}, "num_ln_in_parallel_attn: 3"),
        ("falcon-40b", {"num_kv_heads": 7}, "num_kv_heads: 7 does not divide"),
        ("gemma-3-1b", {"layer_types": ["full_attention"]}, "layer_types: 1, of which 0"),
        ("gemma-3-1b", {"use_bidirectional_attention": True}, "use_bidirectional_attention = true"),
        ("phi-2", {"partial_rotary_factor": 1.5}, "partial_rotary_factor = 1.5"),
    ],
)
def test_what_a_family_cannot_obey_is_refused(name: str, changes: dict[str, Any], expected: str) -> None:
    assert expected in refusal({**DENSE[name].config, **changes})
