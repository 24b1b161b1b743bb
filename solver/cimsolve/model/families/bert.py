"""BERT and MPNet: post-norm encoders; they differ in names only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from cimsolve.model.families.config import Config, Context, Count, Width, check_heads, context_tokens, read_config
from cimsolve.model.families.keys import OFF, Keys
from cimsolve.model.families.recorder import TransformerLayer, attention, kept, stacked, torch_linear
from cimsolve.model.model import Model, Operation


class BertConfig(Config):
    hidden_size: Width
    num_hidden_layers: Count
    num_attention_heads: Count
    intermediate_size: Width
    max_position_embeddings: Context
    keys: ClassVar = Keys(
        forward={"is_decoder": OFF, "is_causal": OFF},
        idle=frozenset({"hidden_act", "layer_norm_eps", "relative_attention_num_buckets", "tie_word_embeddings"}),
    )


BERT_NAMES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "o": "attention.output.dense",
}
MPNET_NAMES = {"q": "attention.attn.q", "k": "attention.attn.k", "v": "attention.attn.v", "o": "attention.attn.o"}


def build(config: Mapping[str, Any], origin: str, name: str, tokens: int | None) -> Model:
    """The token pass of a BERT or MPNet model. Raises InputError for a config that is wrong."""
    read = read_config(BertConfig, config, origin)
    width, inner, heads = read.hidden_size, read.intermediate_size, read.num_attention_heads
    head_width = check_heads(origin, width, heads, "num_attention_heads")
    n = context_tokens(origin, tokens, read.max_position_embeddings)
    names = MPNET_NAMES if config["model_type"] == "mpnet" else BERT_NAMES
    layers = [
        TransformerLayer(
            qkv=[torch_linear(at + names[key], width, width) for key in "qkv"],
            attention=attention(heads, head_width, n),
            cache=kept(heads, head_width, n, is_causal=False),
            out=torch_linear(at + names["o"], width, width),
            up=[torch_linear(at + "intermediate.dense", width, inner)],
            activation=[Operation("activation", inner)],
            down=torch_linear(at + "output.dense", inner, width),
        )
        for at in (f"encoder.layer.{layer}." for layer in range(read.num_hidden_layers))
    ]
    unmapped = ["embeddings", "attention scores and values", "layer norms and biases", "pooler and task head"]
    return stacked(name, config, n, width, layers, unmapped)
