"""BERT and MPNet: post-norm encoders; they differ in names only."""

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
from cimsolve.model.model import Model, Operation


class BertConfig(Config):
    hidden_size: Width
    num_hidden_layers: Count
    num_attention_heads: Count
    intermediate_size: Width
    max_position_embeddings: Width


BERT_NAMES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "o": "attention.output.dense",
}
MPNET_NAMES = {"q": "attention.attn.q", "k": "attention.attn.k", "v": "attention.attn.v", "o": "attention.attn.o"}


def build_bert(config: Mapping[str, Any], origin: str, name: str, tokens: int | None) -> Model:
    """The token pass of a BERT model. Raises InputError for a config that is wrong."""
    return _build("bert", BERT_NAMES, config, origin, name, tokens)


def build_mpnet(config: Mapping[str, Any], origin: str, name: str, tokens: int | None) -> Model:
    """The token pass of an MPNet model. Raises InputError for a config that is wrong."""
    return _build("mpnet", MPNET_NAMES, config, origin, name, tokens)


def _build(
    family: str,
    names: Mapping[str, str],
    config: Mapping[str, Any],
    origin: str,
    name: str,
    tokens: int | None,
) -> Model:
    read = read_config(BertConfig, config, origin)
    width, inner, heads = read.hidden_size, read.intermediate_size, read.num_attention_heads
    head_width = check_heads(origin, width, heads, "num_attention_heads")
    n = context_tokens(origin, tokens, read.max_position_embeddings)
    record = Recorder()
    last: int | None = None
    for layer in range(read.num_hidden_layers):
        record.layer = layer
        at = f"encoder.layer.{layer}."
        last = record.layer_of_transformer(
            f"layer{layer}",
            last,
            width,
            qkv=[torch_linear(at + names[key], width, width) for key in "qkv"],
            attention=attention(heads, head_width, n),
            out=torch_linear(at + names["o"], width, width),
            up=[torch_linear(at + "intermediate.dense", width, inner)],
            activation=[Operation("activation", inner)],
            down=torch_linear(at + "output.dense", inner, width),
        )
    return record.model(
        name,
        family,
        config,
        n,
        {"token": (normalise_sum(width), width)},
        ["embeddings", "attention scores and values", "layer norms and biases", "pooler and task head"],
    )
