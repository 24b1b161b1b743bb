"""Encoders of one stack: what their configs say beyond sizes, in steps and in the work between them."""

from __future__ import annotations

from typing import Any

import pytest

from cimsolve.model.model import Model, Operation
from makers.family_configs import FAMILY_CONFIGS
from makers.model_configs import parse, refusal


def changed(label: str, **changes: Any) -> dict[str, Any]:
    return {**FAMILY_CONFIGS[label], **changes}


def attention_work(model: Model, name: str) -> list[int]:
    """Elements of the operations of one name before each layer's attention output."""
    steps = [step for step in model.steps if step.name.endswith("attention_output")]
    return [sum(each.elements for each in step.operations if each.name == name) for step in steps]


ENCODERS = [
    "mpnet",
    "roberta",
    "xlm-roberta",
    "camembert",
    "electra",
    "distilbert",
    "albert",
    "deberta-v2",
    "modernbert",
    "nomic_bert",
]


@pytest.mark.parametrize("family", [*ENCODERS, "eurobert"])
def test_attention_of_an_encoder_waits_for_no_token_before(family: str) -> None:
    model = parse(FAMILY_CONFIGS[family])
    assert not model.is_causal
    assert all(step.cache is not None and step.cache.written for step in model.steps if "attention" in step.name)


@pytest.mark.parametrize("family", ["roberta", "xlm-roberta", "camembert"])
def test_positions_of_roberta_begin_behind_that_of_padding(family: str) -> None:
    config = changed(family, max_position_embeddings=514, pad_token_id=1)
    assert parse(config, 512).tokens == 512
    assert "context of 512" in refusal(config, 513)
    del config["pad_token_id"]
    assert "context of 512" in refusal(config, 513)


def test_mpnet_adds_a_bias_to_each_score_and_counts_positions_as_roberta() -> None:
    config = changed("mpnet", max_position_embeddings=514)
    assert attention_work(parse(config, 512), "add") == [4 * 512] * 2
    assert attention_work(parse(changed("bert", max_position_embeddings=514), 512), "add") == [0] * 2
    assert "context of 512" in refusal(config, 513)


def test_electra_projects_embeddings_of_another_width() -> None:
    first, qkv, *_ = parse(FAMILY_CONFIGS["electra"]).steps
    assert [(linear.name, linear.n_in, linear.n_out) for linear in first.linears] == [("embeddings_project", 20, 24)]
    assert qkv.reads == (0,)
    assert qkv.operations == ()  # no norm and no sum stand between them
    plain = parse(changed("electra", embedding_size=24))
    assert plain.steps[0].name == "layer0.qkv"
    assert parse(changed("electra", embedding_size=None)).steps == plain.steps


def test_deberta_scores_contents_with_positions() -> None:
    def config(**changes: Any) -> Model:
        return parse(changed("deberta-v2", **changes), 16)

    # 4 heads of 6: scores and values over 16 tokens, and of each kind scores with 2 * 32 or 2 * 5 positions
    plain = 2 * 24 * 16
    assert attention_work(config(relative_attention=False), "attention_mac") == [plain] * 2
    assert attention_work(config(), "attention_mac") == [plain + 2 * 24 * 2 * 32] * 2
    assert attention_work(config(position_buckets=5), "attention_mac") == [plain + 2 * 24 * 2 * 5] * 2
    assert attention_work(config(max_relative_positions=7), "attention_mac") == [plain + 2 * 24 * 2 * 7] * 2
    assert attention_work(config(pos_att_type="c2p"), "attention_mac") == [plain + 24 * 2 * 32] * 2
    assert attention_work(config(), "add") == [2 * 4 * 16] * 2
    both = config(pos_att_type="p2c|c2p")
    assert both.steps == config().steps
    assert any("relative positions" in each for each in both.unmapped)


@pytest.mark.parametrize(("key", "value"), [("pos_att_type", "p2p"), ("conv_kernel_size", 3), ("embedding_size", 20)])
def test_other_debertas_are_refused_by_key(key: str, value: object) -> None:
    assert key in refusal(changed("deberta-v2", **{key: value}))


def test_modernbert_sees_all_tokens_every_third_layer() -> None:
    model = parse(changed("modernbert", local_attention=8), 32)
    assert attention_work(model, "softmax") == [4 * seen for seen in (32, 9, 9, 32)]
    assert model.windows == (None, 9, 9, None)
    every_second = parse(changed("modernbert", local_attention=8, global_attn_every_n_layers=2), 32)
    assert attention_work(every_second, "softmax") == [4 * seen for seen in (32, 9, 32, 9)]


@pytest.mark.parametrize("family", ["modernbert", "nomic_bert", "eurobert"])
def test_gated_encoders_multiply_and_turn_positions(family: str) -> None:
    model = parse(FAMILY_CONFIGS[family], 16)
    down = next(step for step in model.steps if step.name == "layer0.feed_forward_down")
    assert down.operations == (Operation("activation", 40), Operation("multiply", 40))
    assert min(attention_work(model, "multiply")) > 0


def test_nomic_bert_is_read_by_the_keys_of_the_hub() -> None:
    ours = FAMILY_CONFIGS["nomic_bert"]
    hub = {
        "model_type": "nomic_bert",
        "n_embd": ours["hidden_size"],
        "n_layer": ours["num_hidden_layers"],
        "n_head": ours["num_attention_heads"],
        "n_inner": ours["intermediate_size"],
        "n_positions": ours["max_position_embeddings"],
        "rotary_emb_fraction": 1.0,
        "qkv_proj_bias": False,
    }
    assert parse(hub).steps == parse(ours).steps
    assert parse(hub).unknown_keys == ()
    assert "rotary_emb_fraction" in refusal({**hub, "rotary_emb_fraction": 0.5})


def test_albert_goes_round_each_of_its_groups() -> None:
    model = parse(FAMILY_CONFIGS["albert:groups"])
    # 2 groups of 2 layers, gone through twice each: 4 * (qkv, out, up, down) steps a lap, after a projection.
    assert [step.name for step in model.steps[:2]] == ["layer0.embeddings_project", "layer0.inner0.qkv"]
    assert len(model.steps) == 1 + 4 * 8
    assert len(model.linears) == 1 + 2 * 2 * 6
    laps = [[step.linears for step in model.steps if step.name.startswith(f"layer{lap}.inner")] for lap in range(4)]
    assert laps[0] == laps[1] != laps[2] == laps[3]
    of_layer = 4 * 24 * 24 + 2 * 24 * 40
    assert model.weight_count == 128 * 24 + 4 * of_layer
    assert model.active_weight_count == 128 * 24 + 8 * of_layer
    message = refusal(changed("albert:groups", num_hidden_groups=5))
    assert "num_hidden_groups: 5 is more than num_hidden_layers = 4" in message


def test_albert_works_as_a_bert_of_as_many_layers() -> None:
    albert, bert = parse(FAMILY_CONFIGS["albert"]), parse(FAMILY_CONFIGS["bert"])
    assert [step.operations for step in albert.steps[2:]] == [step.operations for step in bert.steps[1:]]
    assert [step.cache for step in albert.steps[1:]] == [step.cache for step in bert.steps]
    assert [step.phase for step in albert.steps[1:]] == [step.phase for step in bert.steps]
    assert albert.active_weight_count == 20 * 24 + bert.weight_count
