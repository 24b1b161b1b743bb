"""Published models: the keys of their config.json that say their sizes, and how many parameters they have."""

from __future__ import annotations

from typing import Any, NamedTuple


class Published(NamedTuple):
    """A model as published."""

    parameters: float
    """As its publisher counts them; of a multimodal one those of its language model."""
    config: dict[str, Any]
    tables: int = 1
    """Embeddings of the vocabulary: 1 where the head is tied to them, else 2."""
    others: float = 0
    """Parameters of what else is counted and not mapped."""


def grouped(
    family: str, width: int, inner: int, layers: int, heads: tuple[int, int], vocabulary: int, context: int, **own: Any
) -> dict[str, Any]:
    """Keys under the names that most families have; `heads` of queries, and of keys and values."""
    return {
        "model_type": family,
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads[0],
        "num_key_value_heads": heads[1],
        "vocab_size": vocabulary,
        "max_position_embeddings": context,
        **own,
    }


DENSE: dict[str, Published] = {
    "mistral-7b-v0.1": Published(
        7.242e9, grouped("mistral", 4096, 14336, 32, (32, 8), 32000, 32768, sliding_window=4096), 2
    ),
    "ministral-3-14b-text": Published(
        13.5e9,
        grouped("ministral3", 5120, 16384, 40, (32, 8), 131072, 262144, head_dim=128, sliding_window=None),
        2,
    ),
    "mistral-small-3.1-24b": Published(
        23.57e9,
        {
            "model_type": "mistral3",
            "image_token_index": 10,
            "spatial_merge_size": 2,
            "text_config": grouped(
                "mistral", 5120, 32768, 40, (32, 8), 131072, 131072, head_dim=128, sliding_window=None
            ),
            "vision_config": {"model_type": "pixtral", "hidden_size": 1024},
        },
        2,
    ),
    "qwen2-0.5b": Published(
        0.494e9,
        grouped(
            "qwen2",
            896,
            4864,
            24,
            (14, 2),
            151936,
            131072,
            use_sliding_window=False,
            sliding_window=131072,
            max_window_layers=24,
        ),
    ),
    "qwen3-0.6b": Published(
        0.596e9,
        grouped(
            "qwen3",
            1024,
            3072,
            28,
            (16, 8),
            151936,
            40960,
            head_dim=128,
            use_sliding_window=False,
            sliding_window=None,
            max_window_layers=28,
        ),
    ),
    "smollm3-3b": Published(
        3.075e9,
        grouped(
            "smollm3",
            2048,
            11008,
            36,
            (16, 4),
            128256,
            65536,
            no_rope_layers=[1, 1, 1, 0] * 9,
            no_rope_layer_interval=4,
            layer_types=["full_attention"] * 36,
            use_sliding_window=False,
            sliding_window=None,
        ),
    ),
    "granite-3.1-8b": Published(
        8.171e9,
        grouped(
            "granite",
            4096,
            12800,
            40,
            (32, 8),
            49155,
            131072,
            attention_multiplier=0.0078125,
            embedding_multiplier=12.0,
            logits_scaling=16.0,
            residual_multiplier=0.22,
        ),
    ),
    "olmo-2-1b": Published(1.485e9, grouped("olmo2", 2048, 8192, 16, (16, 16), 100352, 4096), 2),
    "olmo-3-7b": Published(
        7.298e9,
        grouped(
            "olmo3",
            4096,
            11008,
            32,
            (32, 32),
            100278,
            65536,
            sliding_window=4096,
            layer_types=[*["sliding_attention"] * 3, "full_attention"] * 8,
        ),
        2,
    ),
    "exaone-4.0-32b": Published(
        32.0e9,
        grouped(
            "exaone4",
            5120,
            27392,
            64,
            (40, 8),
            102400,
            131072,
            head_dim=128,
            sliding_window=4096,
            sliding_window_pattern="LLLG",
        ),
        2,
    ),
    "gemma-2b": Published(
        2.506e9,
        grouped("gemma", 2048, 16384, 18, (8, 1), 256000, 8192, head_dim=256, hidden_activation="gelu_pytorch_tanh"),
    ),
    "gemma-2-2b": Published(
        2.614e9,
        grouped(
            "gemma2",
            2304,
            9216,
            26,
            (8, 4),
            256000,
            8192,
            head_dim=256,
            attn_logit_softcapping=50.0,
            final_logit_softcapping=30.0,
            query_pre_attn_scalar=256,
            sliding_window=4096,
            cache_implementation="hybrid",
        ),
    ),
    "gemma-3-1b": Published(
        1.0e9,
        grouped(
            "gemma3_text",
            1152,
            6912,
            26,
            (4, 1),
            262144,
            32768,
            head_dim=256,
            attn_logit_softcapping=None,
            final_logit_softcapping=None,
            query_pre_attn_scalar=256,
            rope_local_base_freq=10000,
            sliding_window=512,
            sliding_window_pattern=6,
        ),
    ),
    "gemma-3-4b": Published(
        3.88e9,
        {
            "model_type": "gemma3",
            "mm_tokens_per_image": 256,
            "boi_token_index": 255999,
            "text_config": {
                "model_type": "gemma3_text",
                "hidden_size": 2560,
                "intermediate_size": 10240,
                "num_hidden_layers": 34,
                "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
                "sliding_window": 1024,
                "vocab_size": 262208,
            },
            "vision_config": {"hidden_size": 1152, "model_type": "siglip_vision_model"},
        },
    ),
    "phi-2": Published(
        2.78e9,
        grouped("phi", 2560, 10240, 32, (32, 32), 51200, 2048, partial_rotary_factor=0.4, qk_layernorm=False),
        2,
    ),
    "phi-4-mini": Published(
        3.836e9,
        grouped(
            "phi3",
            3072,
            8192,
            32,
            (24, 8),
            200064,
            131072,
            partial_rotary_factor=0.75,
            sliding_window=262144,
            original_max_position_embeddings=4096,
            full_attn_mod=1,
            interpolate_factor=1,
        ),
    ),
    "glm-4-9b": Published(
        9.4e9,
        grouped(
            "glm4",
            4096,
            13696,
            40,
            (32, 2),
            151552,
            32768,
            head_dim=128,
            partial_rotary_factor=0.5,
            attention_bias=True,
        ),
        2,
    ),
    "starcoder2-3b": Published(
        3.03e9,
        grouped(
            "starcoder2", 3072, 12288, 30, (24, 2), 49152, 16384, sliding_window=4096, use_bias=True, norm_epsilon=1e-5
        ),
    ),
    "command-r": Published(
        34.98e9,
        grouped("cohere", 8192, 22528, 40, (64, 64), 256000, 131072, logit_scale=0.0625, use_qk_norm=False),
    ),
    "command-r7b": Published(
        8.028e9,
        grouped(
            "cohere2",
            4096,
            14336,
            32,
            (32, 8),
            256000,
            132096,
            head_dim=128,
            sliding_window=4096,
            sliding_window_pattern=4,
            logit_scale=0.25,
            position_embedding_type="rope_gptj",
            use_parallel_block=True,
            use_gated_activation=True,
            rotary_pct=1.0,
            layer_switch=4,
        ),
    ),
    "stablelm-2-1.6b": Published(
        1.645e9,
        grouped(
            "stablelm",
            2048,
            5632,
            24,
            (32, 32),
            100352,
            4096,
            partial_rotary_factor=0.25,
            use_parallel_residual=False,
            qk_layernorm=False,
            use_qkv_bias=True,
        ),
        2,
    ),
    "pythia-1b": Published(
        1.012e9,
        {
            "model_type": "gpt_neox",
            "hidden_size": 2048,
            "intermediate_size": 8192,
            "num_hidden_layers": 16,
            "num_attention_heads": 8,
            "max_position_embeddings": 2048,
            "vocab_size": 50304,
            "rotary_pct": 0.25,
            "rotary_emb_base": 10000,
            "use_parallel_residual": True,
        },
        2,
    ),
    "bloom-560m": Published(
        0.559e9,
        {
            "model_type": "bloom",
            "hidden_size": 1024,
            "n_layer": 24,
            "n_head": 16,
            "vocab_size": 250880,
            "seq_length": 2048,
            "n_inner": None,
            "slow_but_exact": False,
        },
    ),
    "falcon-7b": Published(
        6.92e9,
        {
            "model_type": "falcon",
            "hidden_size": 4544,
            "num_hidden_layers": 32,
            "num_attention_heads": 71,
            "vocab_size": 65024,
            "alibi": False,
            "bias": False,
            "multi_query": True,
            "new_decoder_architecture": False,
            "parallel_attn": True,
        },
    ),
    "falcon-40b": Published(
        41.3e9,
        {
            "model_type": "falcon",
            "hidden_size": 8192,
            "num_hidden_layers": 60,
            "num_attention_heads": 128,
            "num_kv_heads": 8,
            "vocab_size": 65024,
            "alibi": False,
            "multi_query": True,
            "new_decoder_architecture": True,
            "parallel_attn": True,
        },
    ),
    "falcon-rw-1b": Published(
        1.311e9,
        {
            "model_type": "falcon",
            "hidden_size": 2048,
            "num_hidden_layers": 24,
            "num_attention_heads": 32,
            "vocab_size": 50304,
            "alibi": True,
            "bias": True,
            "multi_query": False,
            "new_decoder_architecture": False,
            "parallel_attn": False,
        },
    ),
    "gpt-j-6b": Published(
        6.05e9,
        {
            "model_type": "gptj",
            "n_embd": 4096,
            "n_layer": 28,
            "n_head": 16,
            "n_positions": 2048,
            "n_inner": None,
            "rotary": True,
            "rotary_dim": 64,
            "vocab_size": 50400,
        },
        2,
    ),
    "gpt-neo-1.3b": Published(
        1.316e9,
        {
            "model_type": "gpt_neo",
            "hidden_size": 2048,
            "num_layers": 24,
            "num_heads": 16,
            "intermediate_size": None,
            "max_position_embeddings": 2048,
            "attention_types": [[["global", "local"], 12]],
            "attention_layers": ["global", "local"] * 12,
            "window_size": 256,
            "vocab_size": 50257,
        },
    ),
    "opt-1.3b": Published(
        1.316e9,
        {
            "model_type": "opt",
            "hidden_size": 2048,
            "ffn_dim": 8192,
            "num_hidden_layers": 24,
            "num_attention_heads": 32,
            "max_position_embeddings": 2048,
            "word_embed_proj_dim": 2048,
            "do_layer_norm_before": True,
            "vocab_size": 50272,
        },
    ),
}
