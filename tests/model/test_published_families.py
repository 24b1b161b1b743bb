"""A published model of each family that ships none: its config loads, and its parameters are as many as published."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from makers.model_configs import parse


class Published(NamedTuple):
    """A model of the hub: its config, its parameters, and those of tables, poolers and heads, by hand."""

    config: dict[str, Any]
    parameters: int
    beside: int


def bert(model_type: str, width: int, inner: int, layers: int, heads: int, positions: int, **others: Any) -> Any:
    return {
        "model_type": model_type,
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "max_position_embeddings": positions,
        **others,
    }


ROBERTA_KEYS = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "type_vocab_size": 1, "hidden_act": "gelu"}
DEBERTA_KEYS = {
    "relative_attention": True,
    "position_buckets": 256,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": "p2c|c2p",
    "max_relative_positions": -1,
    "position_biased_input": False,
    "type_vocab_size": 0,
}
MODELS = {
    "roberta-base": Published(
        bert("roberta", 768, 3072, 12, 12, 514, **ROBERTA_KEYS), 124_645_632, (50265 + 514 + 1) * 768 + 768**2
    ),
    "xlm-roberta-base": Published(
        bert("xlm-roberta", 768, 3072, 12, 12, 514, **ROBERTA_KEYS), 278_043_648, (250002 + 514 + 1) * 768 + 768**2
    ),
    "camembert-base": Published(
        bert("camembert", 768, 3072, 12, 12, 514, **ROBERTA_KEYS), 110_621_952, (32005 + 514 + 1) * 768 + 768**2
    ),
    "distilbert-base-uncased": Published(
        {
            "model_type": "distilbert",
            "activation": "gelu",
            "dim": 768,
            "hidden_dim": 3072,
            "n_layers": 6,
            "n_heads": 12,
            "max_position_embeddings": 512,
            "sinusoidal_pos_embds": False,
            "tie_weights_": True,
        },
        66_362_880,
        (30522 + 512) * 768,
    ),
    "albert-base-v2": Published(
        bert("albert", 768, 3072, 12, 12, 512, embedding_size=128), 11_683_584, (30000 + 512 + 2) * 128 + 768**2
    ),
    "electra-small": Published(
        bert("electra", 256, 1024, 12, 4, 512, embedding_size=128), 13_483_008, (30522 + 512 + 2) * 128
    ),
    "electra-base": Published(
        bert("electra", 768, 3072, 12, 12, 512, embedding_size=768), 108_891_648, (30522 + 512 + 2) * 768
    ),
    "deberta-v3-base": Published(
        bert("deberta-v2", 768, 3072, 12, 12, 512, **DEBERTA_KEYS), 183_831_552, (128100 + 512) * 768
    ),
    "ModernBERT-base": Published(
        bert("modernbert", 768, 1152, 22, 12, 8192, local_attention=128, global_attn_every_n_layers=3),
        149_014_272,
        50368 * 768,
    ),
    "nomic-embed-text-v1.5": Published(
        {
            "model_type": "nomic_bert",
            "activation_function": "swiglu",
            "n_embd": 768,
            "n_head": 12,
            "n_inner": 3072,
            "n_layer": 12,
            "n_positions": 8192,
            "qkv_proj_bias": False,
            "rotary_emb_fraction": 1.0,
            "prenorm": False,
        },
        136_731_648,
        (30528 + 2) * 768,
    ),
    "EuroBERT-210m": Published(
        bert("eurobert", 768, 3072, 12, 12, 8192, num_key_value_heads=12, head_dim=64), 211_770_624, 128256 * 768
    ),
}


def bart(model_type: str, width: int, inner: int, layers: int, heads: int, **others: Any) -> Any:
    sides = {
        f"{side}_{key}": value
        for side in ("encoder", "decoder")
        for key, value in (("layers", layers), ("attention_heads", heads), ("ffn_dim", inner))
    }
    return {"model_type": model_type, "d_model": width, "max_position_embeddings": 1024, **sides, **others}


def t5(width: int, inner: int, layers: int, heads: int, **others: Any) -> Any:
    sizes = {"d_model": width, "d_ff": inner, "d_kv": 64, "num_layers": layers, "num_heads": heads}
    return {"model_type": "t5", "is_encoder_decoder": True, **sizes, **others}


GATED = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
MODELS |= {
    "mbart-large-cc25": Published(
        bart("mbart", 1024, 4096, 12, 16, normalize_before=True, add_final_layer_norm=True, scale_embedding=True),
        610_851_840,
        (250027 + 2 * 1026) * 1024,
    ),
    "pegasus-large": Published(
        bart("pegasus", 1024, 4096, 16, 16, static_position_embeddings=True, normalize_before=True),
        570_797_056,
        (96103 + 2 * 1024) * 1024,
    ),
    "m2m100_418M": Published(bart("m2m_100", 1024, 4096, 12, 16, scale_embedding=True), 483_905_536, 128112 * 1024),
    "t5-11b": Published({**t5(1024, 65536, 24, 128, n_positions=512), "d_kv": 128}, 11_307_321_344, 32128 * 1024),
    "flan-t5-base": Published(t5(768, 2048, 12, 12, **GATED), 247_577_856, 2 * 32128 * 768),
    "mt5-small": Published({**t5(512, 1024, 8, 6, **GATED), "model_type": "mt5"}, 300_176_768, 2 * 250112 * 512),
}


def images(model_type: str, width: int, layers: int, heads: int, size: int, patch: int, **others: Any) -> Any:
    return {
        "model_type": model_type,
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "image_size": size,
        "patch_size": patch,
        "num_channels": 3,
        **others,
    }


WIDE = {"intermediate_size": 3072}
MODELS |= {
    "deit-base-distilled-patch16-224": Published(
        images("deit", 768, 12, 12, 224, 16, **WIDE), 87_338_192, (198 + 2 + 2 * 1000) * 768
    ),
    "dinov2-base": Published(images("dinov2", 768, 12, 12, 518, 14, mlp_ratio=4), 86_580_480, (1370 + 2) * 768),
    "dinov2-giant": Published(
        images("dinov2", 1536, 40, 24, 518, 14, mlp_ratio=4, use_swiglu_ffn=True), 1_136_480_768, (1370 + 2) * 1536
    ),
    "siglip-base-patch16-224": Published(  # with a head that is an attention and a feed-forward
        images("siglip_vision_model", 768, 12, 12, 224, 16, **WIDE),
        92_884_224,
        196 * 768 + 4 * 768**2 + 2 * 768 * 3072,
    ),
    "clip-vit-base-patch32": Published(
        images("clip_vision_model", 768, 12, 12, 224, 32, projection_dim=512, **WIDE), 87_456_000, (50 + 1) * 768
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_parameters_are_as_many_as_published(name: str) -> None:
    config, parameters, beside = MODELS[name]
    model = parse(config)
    assert model.unknown_keys == ()
    counted = model.weight_count + beside
    assert counted <= parameters
    assert counted == pytest.approx(parameters, rel=0.006)
