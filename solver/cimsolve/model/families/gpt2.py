"""GPT-2: a pre-norm decoder whose weights are stored (in, out), with Q, K and V in one tensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from cimsolve.model.families.config import Config, Context, Count, Width, check_heads, context_tokens, read_config
from cimsolve.model.families.keys import Keys, named
from cimsolve.model.families.recorder import TransformerLayer, attention, kept, stacked
from cimsolve.model.model import Linear, Model, Operation, TensorRef


class Gpt2Config(Config):
    n_embd: Width
    n_layer: Count
    n_head: Count
    n_positions: Context
    n_inner: Width | None = None
    keys: ClassVar = Keys(
        idle=named(
            "activation_function is_decoder layer_norm_epsilon n_ctx scale_attn_by_inverse_layer_idx "
            "scale_attn_weights tie_word_embeddings"
        )
    )


def _conv1d(name: str, n_in: int, n_out: int) -> Linear:
    return Linear(name, n_in, n_out, TensorRef(f"{name}.weight", "in_out"))


def build(config: Mapping[str, Any], origin: str, name: str, tokens: int | None) -> Model:
    """The token pass of a GPT-2 model. Raises InputError for a config that is wrong."""
    read = read_config(Gpt2Config, config, origin)
    width, heads = read.n_embd, read.n_head
    inner = read.n_inner or 4 * width
    head_width = check_heads(origin, width, heads, "n_head", "n_embd")
    n = context_tokens(origin, tokens, read.n_positions)

    def part(tensor: str, key: str, start: int) -> Linear:
        ref = TensorRef(f"{tensor}.weight", "in_out", start, start + width)
        return Linear(f"{tensor}.{key}", width, width, ref)

    layers = [
        TransformerLayer(
            qkv=[part(at + "attn.c_attn", key, i * width) for i, key in enumerate("qkv")],
            attention=attention(heads, head_width, n),
            cache=kept(heads, head_width, n, is_causal=True),
            out=_conv1d(at + "attn.c_proj", width, width),
            up=[_conv1d(at + "mlp.c_fc", width, inner)],
            activation=[Operation("activation", inner)],
            down=_conv1d(at + "mlp.c_proj", inner, width),
        )
        for at in (f"h.{layer}." for layer in range(read.n_layer))
    ]
    unmapped = ["embeddings", "attention scores and values", "layer norms and biases", "language-model head"]
    return stacked(name, config, n, width, layers, unmapped)
