"""BART: an encoder, and a decoder with cross-attention; two passes.

The source pass runs the encoder on one source token and prepares its cross-attention keys and values for every
decoder layer; the target pass runs the decoder on one target token.
"""

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
    torch_linear,
)
from cimsolve.model.model import Linear, Model, Operation


class BartConfig(Config):
    d_model: Width
    encoder_layers: Count
    decoder_layers: Count
    encoder_attention_heads: Count
    decoder_attention_heads: Count
    encoder_ffn_dim: Width
    decoder_ffn_dim: Width
    max_position_embeddings: Width


def build(config: Mapping[str, Any], origin: str, name: str, tokens: int | None) -> Model:
    """The source pass and the target pass of a BART model. Raises InputError for a config that is wrong."""
    read = read_config(BartConfig, config, origin)
    width = read.d_model
    n = context_tokens(origin, tokens, read.max_position_embeddings)
    source_heads, target_heads = read.encoder_attention_heads, read.decoder_attention_heads
    source_head = check_heads(origin, width, source_heads, "encoder_attention_heads", "d_model")
    target_head = check_heads(origin, width, target_heads, "decoder_attention_heads", "d_model")
    record = Recorder()

    def project(at: str, *keys: str) -> list[Linear]:
        return [torch_linear(f"{at}{key}", width, width) for key in keys]

    def widen(at: str, inner: int) -> tuple[list[Linear], list[Operation], Linear]:
        up, down = torch_linear(at + "fc1", width, inner), torch_linear(at + "fc2", inner, width)
        return [up], [Operation("activation", inner)], down

    record.pass_name = "source"
    last: int | None = None
    for layer in range(read.encoder_layers):
        record.layer = layer
        at = f"encoder.layers.{layer}."
        up, activation, down = widen(at, read.encoder_ffn_dim)
        last = record.layer_of_transformer(
            f"encoder{layer}",
            last,
            width,
            qkv=project(at + "self_attn.", "q_proj", "k_proj", "v_proj"),
            attention=attention(source_heads, source_head, n),
            out=project(at + "self_attn.", "out_proj")[0],
            up=up,
            activation=activation,
            down=down,
        )
    # Keys and values of all decoder layers read the same vector, so all of them may run at once.
    record.layer = read.encoder_layers
    record.step(
        "decoder.cross_kv",
        [
            linear
            for layer in range(read.decoder_layers)
            for linear in project(f"decoder.layers.{layer}.encoder_attn.", "k_proj", "v_proj")
        ],
        [] if last is None else [last],
        normalise_sum(width),
    )

    record.pass_name = "target"
    record.barrier()
    last = None
    for layer in range(read.decoder_layers):
        record.layer = read.encoder_layers + layer
        at, label = f"decoder.layers.{layer}.", f"decoder{layer}"
        qkv = record.step(
            f"{label}.qkv",
            project(at + "self_attn.", "q_proj", "k_proj", "v_proj"),
            [] if last is None else [last],
            () if last is None else normalise_sum(width),
        )
        record.barrier()
        out = record.step(
            f"{label}.attention_output",
            project(at + "self_attn.", "out_proj"),
            [qkv],
            attention(target_heads, target_head, n),
        )
        cross_q = record.step(f"{label}.cross_q", project(at + "encoder_attn.", "q_proj"), [out], normalise_sum(width))
        record.barrier()
        cross_out = record.step(
            f"{label}.cross_output",
            project(at + "encoder_attn.", "out_proj"),
            [cross_q],
            attention(target_heads, target_head, n),
        )
        last = record.feed_forward(label, cross_out, width, *widen(at, read.decoder_ffn_dim))
    return record.model(
        name,
        "bart",
        config,
        n,
        {
            "source": ((), 2 * read.decoder_layers * width),
            "target": (normalise_sum(width), width),
        },
        ["embeddings", "attention scores and values", "layer norms and biases", "language-model head"],
    )
