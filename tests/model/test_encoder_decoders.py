"""Encoder-decoders: what each reads of the source, widths of heads, gates, and Whisper's convolutions."""

from __future__ import annotations

from typing import Any

import pytest

from cimsolve.errors import InputError
from cimsolve.model.families import parse_model
from cimsolve.model.model import Model, Operation, Step
from cimsolve.model.structure import StructurePolicy
from cimsolve.model.workload import build_workload
from makers.family_configs import FAMILY_CONFIGS
from makers.model_configs import parse, refusal

FAMILIES = ["bart", "mbart", "pegasus", "m2m_100", "whisper", "t5", "mt5"]


def changed(label: str, **changes: Any) -> dict[str, Any]:
    return {**FAMILY_CONFIGS[label], **changes}


def step_of(model: Model, name: str) -> Step:
    (found,) = [step for step in model.steps if step.name == name]
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_keys_and_values_of_the_source_are_made_once_and_read_by_each_layer(family: str) -> None:
    model = parse(FAMILY_CONFIGS[family], 8)
    prepared = step_of(model, "decoder.cross_kv")
    assert prepared.pass_name == "source"
    assert len(prepared.linears) == 2 * 2  # K and V of two decoder layers
    written = sum(linear.n_out for linear in prepared.linears)
    kept = model.tails["source"].cache
    assert kept is not None
    assert (kept.read, kept.written) == (0, written)
    seen = 16 if family == "whisper" else 8
    for layer in range(2):
        over_source = step_of(model, f"decoder{layer}.cross_output").cache
        assert over_source is not None
        assert over_source == (written // 2, seen, 0, False)
        own = step_of(model, f"decoder{layer}.attention_output").cache
        assert own is not None
        assert own.is_causal
        assert own.tokens == 8


@pytest.mark.parametrize("family", FAMILIES)
def test_an_encoder_alone_or_a_decoder_alone_is_another_model(family: str) -> None:
    assert "is_encoder_decoder" in refusal(changed(family, is_encoder_decoder=False))


def test_heads_of_t5_have_a_width_of_their_own() -> None:
    model = parse(FAMILY_CONFIGS["t5"], 8)
    (out,) = step_of(model, "encoder0.attention_output").linears
    assert (out.n_in, out.n_out) == (4 * 5, 24)
    work = step_of(model, "encoder0.attention_output").operations
    # scores and values of 4 heads of 5 over 8 tokens, a softmax, and a bias on each score
    assert work == (Operation("attention_mac", 2 * 20 * 8), Operation("softmax", 4 * 8), Operation("add", 4 * 8))
    assert Operation("add", 4 * 8) not in step_of(model, "decoder0.cross_output").operations


@pytest.mark.parametrize(
    ("label", "changes", "gated"),
    [
        ("t5", {}, False),
        ("t5", {"feed_forward_proj": "gated-gelu"}, True),
        ("t5", {"feed_forward_proj": "gated-silu"}, True),
        ("mt5", {"feed_forward_proj": "relu"}, False),
    ],
)
def test_t5_is_gated_where_it_says_so(label: str, changes: dict[str, Any], gated: bool) -> None:
    model = parse(changed(label, **changes))
    assert len(step_of(model, "decoder1.feed_forward_up").linears) == (2 if gated else 1)
    multiplies = Operation("multiply", 40) in step_of(model, "decoder1.feed_forward_down").operations
    assert multiplies == gated


def test_mt5_is_gated_by_default_and_t5_is_not() -> None:
    for family, tensors in (("t5", 1), ("mt5", 2)):
        config = changed(family)
        config.pop("feed_forward_proj", None)
        assert len(step_of(parse(config), "encoder0.feed_forward_up").linears) == tensors
    assert "feed_forward_proj" in refusal(changed("t5", feed_forward_proj="gated gelu"))


def test_t5_has_as_many_decoder_layers_unless_it_says_how_many() -> None:
    deep = parse(changed("t5", num_layers=3, num_decoder_layers=None))
    assert sum(step.name.endswith("cross_q") for step in deep.steps) == 3


def test_whisper_convolves_before_its_encoder() -> None:
    model = parse(FAMILY_CONFIGS["whisper"], 8)
    even, odd, second, qkv, *_ = model.steps
    # 3 taps of 5 bins; two positions of the first convolution a token, of which the second leaves one
    assert [(step.linears[0].n_in, step.linears[0].n_out) for step in (even, odd, second)] == [
        (15, 24),
        (15, 24),
        (72, 24),
    ]
    assert even.linears[0].tensor == odd.linears[0].tensor
    assert (even.reads, odd.reads, second.reads, qkv.reads) == ((), (), (0, 1), (2,))
    assert second.operations == (Operation("activation", 48),)
    assert qkv.operations == (Operation("activation", 24), Operation("add", 24), Operation("layer_norm", 24))
    assert any("stored twice" in note for note in model.notes)
    policy = StructurePolicy.parse(["dense"])
    workload = build_workload(model, policy.resolve([(x.name, x.n_in, x.n_out) for x in model.linears]))
    assert [stage.after for stage in workload.stages[:3]] == [(), (), (0, 1)]


def test_whisper_attends_to_all_positions_of_the_sound_and_to_the_text_so_far() -> None:
    model = parse(FAMILY_CONFIGS["whisper"], 8)
    seen = {
        name: step_of(model, f"{name}_output").operations[0].elements // (2 * 24)
        for name in ("encoder0.attention", "decoder0.attention", "decoder0.cross")
    }
    assert seen == {"encoder0.attention": 16, "decoder0.attention": 8, "decoder0.cross": 16}
    assert "--tokens" in refusal(FAMILY_CONFIGS["whisper"], 9)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_source_may_have_other_tokens_than_the_target(family: str) -> None:
    config = FAMILY_CONFIGS[family]
    model = parse_model(config, "config.json", "test", 8, 5)
    assert (model.tokens, model.source_tokens) == (8, 5)
    assert (model.tokens_of("source"), model.tokens_of("target")) == (5, 8)
    kept = {
        name: step_of(model, f"{name}_output").cache
        for name in ("encoder0.attention", "decoder1.attention", "decoder1.cross")
    }
    assert [of.tokens for of in kept.values() if of is not None] == [5, 8, 5]
    assert parse_model(config, "config.json", "test", 8).source_tokens == (16 if family == "whisper" else 8)


def test_a_source_is_of_encoder_decoders_and_no_longer_than_they_read() -> None:
    for family, tokens, told in (("whisper", 17, "context of 16"), ("bart", 0, "1 to"), ("bert", 4, "no encoder")):
        with pytest.raises(InputError, match=told) as refused:
            parse_model(FAMILY_CONFIGS[family], "config.json", "test", None, tokens)
        assert "--source-tokens" in str(refused.value)
