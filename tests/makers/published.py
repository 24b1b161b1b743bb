"""Small models of published families with drawn weights, and the logits that transformers gives for them.

`cd tests; python -m makers.published [CASE ...]` records them anew; it needs `cimsolve[hf]`. A record holds the config,
the names and shapes of the tensors as transformers writes them, and a few logits: the weights are drawn from a seed.
"""

from __future__ import annotations

import copy
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from safetensors.numpy import save_file

from makers.folders import TESTS

RECORDS = TESTS / "weights" / "published"
SEQUENCES = [np.array([3, 1, 4, 1, 5, 9, 2, 6, 5, 3]), np.array([9, 2, 6, 5, 3, 5, 8])]
PLACES = ([0, 4, 9, 13, 16], [0, 7, 28])
"""Tokens and words of the logits that are recorded."""

_COMMON = {"vocab_size": 29, "max_position_embeddings": 32, "tie_word_embeddings": False, "pad_token_id": 0}
_LLAMA = {
    **_COMMON,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "rope_theta": 100.0,
}

_EXPERTS = {**_LLAMA, "num_experts": 5, "num_experts_per_tok": 2, "moe_intermediate_size": 8}
_GEMMA = {**_LLAMA, "head_dim": 6, "sliding_window": 4, "query_pre_attn_scalar": 9, "tie_word_embeddings": True}
_NEOX = {
    **_COMMON,
    "model_type": "gpt_neox",
    "hidden_size": 32,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "rotary_emb_base": 100,
    "rotary_pct": 0.25,
}


def _rope(kind: str, **keys: Any) -> dict[str, Any]:
    if kind in ("llama3", "yarn"):
        keys["original_max_position_embeddings"] = 8
    scaled = {"rope_type": kind, "rope_theta": 100.0, **keys}
    return {**_LLAMA, "model_type": "llama", "rope_parameters": scaled}


CASES: Mapping[str, dict[str, Any]] = {
    "gpt2": {
        "model_type": "gpt2",
        "vocab_size": 29,
        "n_positions": 32,
        "n_embd": 16,
        "n_layer": 2,
        "n_head": 4,
        "n_inner": 24,
    },
    "llama": {**_LLAMA, "model_type": "llama", "attention_bias": True, "mlp_bias": True, "head_dim": 6},
    "llama-linear": _rope("linear", factor=4.0),
    "llama-dynamic": _rope("dynamic", factor=4.0),
    "llama-llama3": _rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0),
    "llama-yarn": _rope("yarn", factor=4.0),
    "llama-yarn-mscale": _rope("yarn", factor=4.0, mscale=0.7, mscale_all_dim=1.3, beta_fast=2.0, truncate=False),
    "mistral": {**_LLAMA, "model_type": "mistral", "sliding_window": 4},
    "qwen3": {**_LLAMA, "model_type": "qwen3", "head_dim": 6, "attention_bias": True},
    "smollm3": {**_LLAMA, "model_type": "smollm3", "num_hidden_layers": 4, "tie_word_embeddings": True},
    "granite": {
        **_LLAMA,
        "model_type": "granite",
        "embedding_multiplier": 3.0,
        "residual_multiplier": 0.6,
        "attention_multiplier": 0.3,
        "logits_scaling": 2.0,
    },
    "olmo2": {**_LLAMA, "model_type": "olmo2"},
    "phi3": {**_LLAMA, "model_type": "phi3", "sliding_window": 4},
    "phi3-longrope": {
        **_LLAMA,
        "model_type": "phi3",
        "num_attention_heads": 2,
        "partial_rotary_factor": 0.5,
        "original_max_position_embeddings": 8,
        "rope_scaling": {"type": "longrope", "short_factor": [1.1, 1.5], "long_factor": [1.5, 3.0]},
    },
    "mixtral": {**_LLAMA, "model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen2_moe": {**_EXPERTS, "model_type": "qwen2_moe", "shared_expert_intermediate_size": 12},
    "qwen3_moe": {**_EXPERTS, "model_type": "qwen3_moe", "head_dim": 6, "norm_topk_prob": True},
    "qwen3_moe-sparse": {**_EXPERTS, "model_type": "qwen3_moe", "head_dim": 6, "decoder_sparse_step": 2},
    "olmoe": {**_LLAMA, "model_type": "olmoe", "num_experts": 5, "num_experts_per_tok": 2},
    "gpt_oss": {
        **_LLAMA,
        "model_type": "gpt_oss",
        "head_dim": 6,
        "num_local_experts": 5,
        "num_experts_per_tok": 2,
        "sliding_window": 4,
        "swiglu_limit": 1.5,
        "rope_scaling": {
            "rope_type": "yarn",
            "factor": 4.0,
            "original_max_position_embeddings": 8,
            "beta_fast": 2.0,
            "truncate": False,
        },
    },
    "granitemoe": {
        **_LLAMA,
        "model_type": "granitemoe",
        "num_local_experts": 5,
        "num_experts_per_tok": 2,
        "residual_multiplier": 0.6,
        "attention_multiplier": 0.3,
    },
    "gemma": {**_LLAMA, "model_type": "gemma", "head_dim": 6, "hidden_act": "gelu", "tie_word_embeddings": True},
    "gemma2": {**_GEMMA, "model_type": "gemma2", "attn_logit_softcapping": 1.5, "final_logit_softcapping": 2.5},
    "gemma3": {**_GEMMA, "model_type": "gemma3_text", "num_hidden_layers": 3, "sliding_window_pattern": 3},
    "gemma3-scaled": {
        **_GEMMA,
        "model_type": "gemma3_text",
        "layer_types": ["full_attention", "sliding_attention"],
        "rope_scaling": {"rope_type": "linear", "factor": 4.0},
        "rope_local_base_freq": 30.0,
    },
    "opt": {
        **_COMMON,
        "model_type": "opt",
        "hidden_size": 16,
        "ffn_dim": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "word_embed_proj_dim": 16,
        "tie_word_embeddings": True,
    },
    "gpt_neox": {**_NEOX, "use_parallel_residual": True},
    "gpt_neox-serial": {**_NEOX, "use_parallel_residual": False, "rotary_pct": 1.0},
    "starcoder2": {**_LLAMA, "model_type": "starcoder2", "sliding_window": 4},
    "qwen2": {**_LLAMA, "model_type": "qwen2", "use_sliding_window": True, "sliding_window": 3, "max_window_layers": 1},
}


def drawn_folder(folder: Path, config: Mapping[str, Any], shapes: Mapping[str, Sequence[int]], seed: int = 0) -> Path:
    """A model folder of this config, its weights drawn in the order of their names."""
    rng = np.random.default_rng(seed)
    tensors = {}
    for name, shape in sorted(shapes.items()):
        drawn = 0.4 * rng.standard_normal(shape) + (len(shape) == 1 and name.endswith("weight"))
        tensors[name] = drawn.astype(np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def published_shapes(config: Mapping[str, Any]) -> dict[str, list[int]]:
    """Names and shapes of the tensors that transformers writes for this config."""
    import transformers

    keys = {key: value for key, value in copy.deepcopy(config).items() if key != "model_type"}
    model = transformers.AutoModelForCausalLM.from_config(
        transformers.AutoConfig.for_model(config["model_type"], **keys)
    )
    with tempfile.TemporaryDirectory() as place:
        model.save_pretrained(place)
        with safe_open(Path(place) / "model.safetensors", "numpy") as file:
            return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118


def published_logits(folder: Path) -> npt.NDArray[np.float32]:
    """Logits (tokens of all sequences, words) by transformers."""
    import torch
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    with torch.no_grad():
        return np.concatenate([model(torch.tensor(ids[None])).logits[0].numpy() for ids in SEQUENCES])


def record(case: str) -> None:
    config = CASES[case]
    shapes = published_shapes(config)
    with tempfile.TemporaryDirectory() as place:
        logits = published_logits(drawn_folder(Path(place), config, shapes))
    found = [[round(float(value), 5) for value in row] for row in logits[np.ix_(*PLACES)]]
    text = json.dumps({"config": config, "tensors": shapes, "logits": found})
    (RECORDS / f"{case}.json").write_text(text + "\n")


if __name__ == "__main__":
    for each in sys.argv[1:] or CASES:
        record(each)
