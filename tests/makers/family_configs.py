"""A small config of every family, its widths all different: label -> keys of a config.json, `model_type` among them.

A label is a family, and behind a colon what is unlike other models of it.
"""

from __future__ import annotations

from typing import Any

TOKENS = {"vocab_size": 61, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
ENCODER = {
    **TOKENS,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "max_position_embeddings": 32,
}
DECODER = {**ENCODER, "num_key_value_heads": 2}
SEQ2SEQ = {
    **TOKENS,
    "decoder_start_token_id": 2,
    "d_model": 24,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 6,
    "encoder_ffn_dim": 40,
    "decoder_ffn_dim": 44,
    "max_position_embeddings": 32,
}
T5 = {
    **TOKENS,
    "decoder_start_token_id": 0,
    "d_model": 24,
    "d_kv": 5,
    "d_ff": 40,
    "num_layers": 1,
    "num_decoder_layers": 2,
    "num_heads": 4,
}
IMAGES = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "image_size": 12,
    "patch_size": 4,
    "num_channels": 3,
}
ENCODERS: dict[str, dict[str, Any]] = {
    "albert": {**ENCODER, "embedding_size": 20},
    "albert:groups": {**ENCODER, "num_hidden_layers": 4, "num_hidden_groups": 2, "inner_group_num": 2},
    "bert": ENCODER,
    "mpnet": ENCODER,
    "roberta": ENCODER,
    "xlm-roberta": ENCODER,
    "camembert": ENCODER,
    "electra": {**ENCODER, "embedding_size": 20},
    "electra:as wide": {**ENCODER, "embedding_size": 24},
    "distilbert": {
        "vocab_size": 61,
        "dim": 24,
        "n_layers": 2,
        "n_heads": 4,
        "hidden_dim": 40,
        "max_position_embeddings": 32,
    },
    "deberta-v2": {**ENCODER, "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "share_att_key": True},
    "deberta-v2:own keys": {**ENCODER, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "deberta-v2:half": {**ENCODER, "relative_attention": True, "pos_att_type": ["c2p"]},
    "modernbert": {**ENCODER, "num_hidden_layers": 4, "sep_token_id": 2, "cls_token_id": 1},
    "nomic_bert": ENCODER,
    "eurobert": {**DECODER, "head_dim": 10},
}
SEQ2SEQS: dict[str, dict[str, Any]] = {
    "bart": SEQ2SEQ,
    "mbart": SEQ2SEQ,
    "pegasus": SEQ2SEQ,
    "m2m_100": SEQ2SEQ,
    "whisper": {
        **{key: value for key, value in SEQ2SEQ.items() if key != "max_position_embeddings"},
        "num_mel_bins": 5,
        "max_source_positions": 16,
        "max_target_positions": 8,
    },
    "t5": T5,
    "t5:gated": {**T5, "feed_forward_proj": "gated-gelu"},
    "t5:as deep": {**T5, "num_decoder_layers": None},
    "mt5": {**T5, "feed_forward_proj": "gated-gelu"},
}
VISION: dict[str, dict[str, Any]] = {
    "vit": IMAGES,
    "deit": IMAGES,
    "dinov2": {key: value for key, value in {**IMAGES, "mlp_ratio": 3}.items() if key != "intermediate_size"},
    "dinov2:gated": {
        **{key: value for key, value in IMAGES.items() if key != "intermediate_size"},
        "mlp_ratio": 3,
        "use_swiglu_ffn": True,
    },
    "siglip_vision_model": {**IMAGES, "vision_use_head": False},
    "clip_vision_model": IMAGES,
}
DECODERS: dict[str, dict[str, Any]] = {
    "gpt2": {**TOKENS, "n_embd": 24, "n_layer": 2, "n_head": 4, "n_positions": 32, "n_inner": 40},
    "gptj": {**TOKENS, "n_embd": 24, "n_layer": 2, "n_head": 4, "n_positions": 32, "n_inner": 40, "rotary_dim": 4},
    "gpt_neo": {
        **TOKENS,
        "hidden_size": 24,
        "num_layers": 2,
        "num_heads": 4,
        "intermediate_size": 40,
        "max_position_embeddings": 32,
        "attention_types": [[["global", "local"], 1]],
        "window_size": 8,
    },
    "gpt_neox": {**ENCODER, "rotary_pct": 0.34},
    "opt": {**ENCODER, "ffn_dim": 40, "word_embed_proj_dim": 24},
    "opt:narrow words": {**ENCODER, "ffn_dim": 40, "word_embed_proj_dim": 20, "do_layer_norm_before": False},
    "bloom": {**TOKENS, "hidden_size": 24, "n_layer": 2, "n_head": 4},
    "falcon": {**ENCODER, "new_decoder_architecture": True, "num_kv_heads": 2, "ffn_hidden_size": 40},
    "falcon:one key": {**ENCODER, "multi_query": True, "parallel_attn": True},
    "falcon:all keys": {**ENCODER, "multi_query": False, "parallel_attn": False, "alibi": True},
    "phi": {**ENCODER, "partial_rotary_factor": 0.34},
    "phi3": DECODER,
    "starcoder2": DECODER,
    "stablelm": {**DECODER, "partial_rotary_factor": 0.34},
    "llama": DECODER,
    "llama:wide heads": {**DECODER, "head_dim": 10},
    "mistral": {**DECODER, "head_dim": 10},
    "ministral3": {**DECODER, "head_dim": 10},
    "qwen2": DECODER,
    "qwen3": DECODER,
    "qwen3:narrow heads": {**DECODER, "head_dim": 10},
    "smollm3": {**DECODER, "num_hidden_layers": 4},
    "granite": DECODER,
    "exaone4": {**DECODER, "num_hidden_layers": 4, "sliding_window": 8, "sliding_window_pattern": 4},
    "olmo2": DECODER,
    "olmo3": {**DECODER, "num_hidden_layers": 4, "sliding_window": 8},
    "glm4": {**DECODER, "head_dim": 10, "partial_rotary_factor": 0.4},
    "cohere": DECODER,
    "cohere2": {**DECODER, "num_hidden_layers": 4, "sliding_window": 8},
    "gemma": {**DECODER, "head_dim": 10},
    "gemma2": {**DECODER, "head_dim": 10, "sliding_window": 8},
    "gemma3_text": {**DECODER, "num_hidden_layers": 6, "head_dim": 10, "sliding_window": 8},
}
EXPERTS = {**DECODER, "head_dim": 10, "moe_intermediate_size": 28, "num_experts_per_tok": 2}
LATENT = {
    **ENCODER,
    "num_hidden_layers": 3,
    "kv_lora_rank": 14,
    "q_lora_rank": 18,
    "qk_nope_head_dim": 6,
    "qk_rope_head_dim": 4,
    "v_head_dim": 8,
    "moe_intermediate_size": 28,
    "n_routed_experts": 4,
    "n_shared_experts": 2,
    "num_experts_per_tok": 2,
    "first_k_dense_replace": 1,
    "n_group": 2,
    "topk_group": 1,
}
MIXTURES: dict[str, dict[str, Any]] = {
    "mixtral": {**DECODER, "num_local_experts": 4, "num_experts_per_tok": 2},
    "phimoe": {**DECODER, "num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen2_moe": {**DECODER, "moe_intermediate_size": 28, "shared_expert_intermediate_size": 32, "num_experts": 4},
    "qwen2_moe:some dense": {
        **DECODER,
        "num_hidden_layers": 4,
        "moe_intermediate_size": 28,
        "shared_expert_intermediate_size": 32,
        "num_experts": 4,
        "decoder_sparse_step": 2,
        "mlp_only_layers": [1],
    },
    "qwen3_moe": {**EXPERTS, "num_experts": 4},
    "qwen3_moe:some dense": {**EXPERTS, "num_experts": 4, "mlp_only_layers": [1]},
    "olmoe": {**DECODER, "num_experts": 4, "num_experts_per_tok": 2},
    "granitemoe": {**DECODER, "num_local_experts": 4, "num_experts_per_tok": 2},
    "glm4_moe": {
        **EXPERTS,
        "partial_rotary_factor": 0.4,
        "n_routed_experts": 4,
        "n_shared_experts": 1,
        "first_k_dense_replace": 1,
    },
    "deepseek_v2": {**LATENT, "moe_layer_freq": 1},
    "deepseek_v3": LATENT,
    "deepseek_v3:whole queries": {**LATENT, "q_lora_rank": None},
    "gpt_oss": {**DECODER, "head_dim": 10, "num_local_experts": 4, "num_experts_per_tok": 2},
    "llama4_text": {
        **DECODER,
        "head_dim": 10,
        "intermediate_size_mlp": 44,
        "num_local_experts": 4,
        "interleave_moe_layer_step": 2,
    },
}
OTHERS: dict[str, dict[str, Any]] = {
    "mamba": {**TOKENS, "hidden_size": 24, "num_hidden_layers": 2, "state_size": 5, "time_step_rank": 3, "expand": 2},
    "mamba2": {
        **TOKENS,
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "state_size": 5,
        "num_heads": 6,
        "head_dim": 8,
        "n_groups": 2,
        "expand": 2,
    },
    "jamba": {
        **DECODER,
        "num_hidden_layers": 4,
        "num_experts": 4,
        "attn_layer_period": 4,
        "attn_layer_offset": 2,
        "mamba_d_state": 5,
        "mamba_dt_rank": 3,
        "use_mamba_kernels": False,
    },
    "qwen3_next": {
        **EXPERTS,
        "num_hidden_layers": 4,
        "num_experts": 4,
        "shared_expert_intermediate_size": 32,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "linear_key_head_dim": 6,
        "linear_value_head_dim": 7,
    },
    "lfm2": {
        **DECODER,
        "num_hidden_layers": 3,
        "full_attn_idxs": [1],
        "block_multiple_of": 8,
        "block_auto_adjust_ff_dim": True,
    },
}
FAMILY_CONFIGS: dict[str, dict[str, Any]] = {
    label: {"model_type": label.partition(":")[0], **keys}
    for label, keys in {**ENCODERS, **SEQ2SEQS, **VISION, **DECODERS, **MIXTURES, **OTHERS}.items()
}
