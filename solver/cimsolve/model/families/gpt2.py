"""GPT-2: a pre-norm decoder whose weights are stored (in, out), with Q, K and V in one tensor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cimsolve.model.families.common import (
    Config,
    Count,
    Recorder,
    Width,
    attention,
    check_heads,
    context_tokens,
    normalise_sum,
    read_config,
)
from cimsolve.model.model import Linear, Model, Operation, TensorRef


class Gpt2Config(Config):
    n_embd: Width
    n_layer: Count
    n_head: Count
    n_positions: Width
    n_inner: Width | None = None


def _conv1d(name: str, n_in: int, n_out: int) -> Linear:
    return Linear(name, n_in, n_out, TensorRef(f"{name}.weight", "in_out"))


def build(config: Mapping[str, Any], origin: str, name: str, tokens: int | None) -> Model:
    """The token pass of a GPT-2 model. Raises InputError for a config that is wrong."""
    read = read_config(Gpt2Config, config, origin)
    width, heads = read.n_embd, read.n_head
    inner = read.n_inner or 4 * width
    head_width = check_heads(origin, width, heads, "n_head", "n_embd")
    n = context_tokens(origin, tokens, read.n_positions)
    record = Recorder()
    last: int | None = None
    for layer in range(read.n_layer):
        record.layer = layer
        at = f"h.{layer}."
        last = record.layer_of_transformer(
            f"layer{layer}",
            last,
            width,
            qkv=[
                Linear(
                    f"{at}attn.c_attn.{key}",
                    width,
                    width,
                    TensorRef(f"{at}attn.c_attn.weight", "in_out", i * width, (i + 1) * width),
                )
                for i, key in enumerate("qkv")
            ],
            attention=attention(heads, head_width, n),
            out=_conv1d(at + "attn.c_proj", width, width),
            up=[_conv1d(at + "mlp.c_fc", width, inner)],
            activation=[Operation("activation", inner)],
            down=_conv1d(at + "mlp.c_proj", inner, width),
        )
    return record.model(
        name,
        "gpt2",
        config,
        n,
        {"token": (normalise_sum(width), width)},
        ["embeddings", "attention scores and values", "layer norms and biases", "language-model head"],
    )
