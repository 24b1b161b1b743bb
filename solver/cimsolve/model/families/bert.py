"""BERT and MPNet: post-norm encoders; they differ in names only."""

from __future__ import annotations

from typing import ClassVar

from cimsolve.model.families.keys import OFF, Keys
from cimsolve.model.families.layers import LayerNames, Traits, transformer
from cimsolve.model.families.sizes import InnerConfig


class BertConfig(InnerConfig):
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


def _names(of: dict[str, str]) -> LayerNames:
    return LayerNames(
        "encoder.layer.{}.", {of[part]: part for part in "qkv"}, of["o"], {"intermediate.dense": "up"}, "output.dense"
    )


FAMILIES = {
    name: transformer(BertConfig, _names(of), Traits(is_causal=False), "layer norms and biases", "pooler and task head")
    for name, of in (("bert", BERT_NAMES), ("mpnet", MPNET_NAMES))
}
