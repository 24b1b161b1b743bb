"""Llama, Mistral and Qwen2, of one form: grouped K and V, gated feed-forward, rotary positions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cimsolve.errors import InputError
from cimsolve.model.families.config import Config, Count, Width, check_heads, context_tokens, read_config
from cimsolve.model.families.recorder import TransformerLayer, attention, stacked, torch_linear
from cimsolve.model.model import Model, Operation


class LlamaConfig(Config):
    hidden_size: Width
    num_hidden_layers: Count
    num_attention_heads: Count
    num_key_value_heads: Count | None = None
    head_dim: Width | None = None
    intermediate_size: Width
    max_position_embeddings: Width


def build(config: Mapping[str, Any], origin: str, name: str, tokens: int | None) -> Model:
    """The token pass of a Llama, Mistral or Qwen2 model. Raises InputError for a config that is wrong."""
    read = read_config(LlamaConfig, config, origin)
    width, inner, heads = read.hidden_size, read.intermediate_size, read.num_attention_heads
    groups = read.num_key_value_heads or heads
    if heads % groups:
        raise InputError(
            f"{origin}: num_key_value_heads: {groups} does not divide num_attention_heads = {heads}; "
            "expected a divisor of it"
        )
    head_width = read.head_dim or check_heads(origin, width, heads, "num_attention_heads")
    if head_width % 2:
        raise InputError(
            f"{origin}: the head width {head_width} is odd: expected an even one, as rotary positions turn pairs; "
            "correct head_dim, or hidden_size and num_attention_heads"
        )
    n = context_tokens(origin, tokens, read.max_position_embeddings)
    q_width, kv_width = heads * head_width, groups * head_width
    # A rotation of each pair of elements: two products and one sum per element of Q and K.
    rotary = (Operation("multiply", 2 * (q_width + kv_width)), Operation("add", q_width + kv_width))
    layers = [
        TransformerLayer(
            qkv=[
                torch_linear(at + "self_attn.q_proj", width, q_width),
                torch_linear(at + "self_attn.k_proj", width, kv_width),
                torch_linear(at + "self_attn.v_proj", width, kv_width),
            ],
            attention=(*rotary, *attention(heads, head_width, n)),
            out=torch_linear(at + "self_attn.o_proj", q_width, width),
            up=[torch_linear(at + "mlp.gate_proj", width, inner), torch_linear(at + "mlp.up_proj", width, inner)],
            activation=[Operation("activation", inner), Operation("multiply", inner)],
            down=torch_linear(at + "mlp.down_proj", inner, width),
        )
        for at in (f"model.layers.{layer}." for layer in range(read.num_hidden_layers))
    ]
    unmapped = [
        "embeddings",
        "attention scores and values",
        "norms, biases and rotary positions",
        "language-model head",
    ]
    return stacked(name, config, n, width, layers, unmapped)
