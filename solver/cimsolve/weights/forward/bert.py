"""BERT: learned positions, normalisation after each sum, attention to all tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from cimsolve.columns import Ints
from cimsolve.errors import InputError
from cimsolve.files.text import shown_value
from cimsolve.model.families.bert import BERT_NAMES, BertConfig
from cimsolve.model.families.config import Width, read_config
from cimsolve.model.model import Model
from cimsolve.weights.forward.base import Product, Reference, attend, positions
from cimsolve.weights.forward.functions import ACTIVATIONS, layer_norm
from cimsolve.weights.tensors import Floats32, Tensors


class _BertReferenceConfig(BertConfig):
    vocab_size: Width
    type_vocab_size: Width = 2
    hidden_act: str = "gelu"
    layer_norm_eps: float = Field(default=1e-12, gt=0)
    position_embedding_type: str = "absolute"


class BertReference(Reference):
    """BERT, and all of its kind by the same tensors: MiniLM among them."""

    def __init__(self, model: Model, source: Tensors) -> None:
        super().__init__(model, source)
        read = read_config(_BertReferenceConfig, model.config, model.name)
        for key, value, known in (
            ("hidden_act", read.hidden_act, tuple(ACTIVATIONS)),
            ("position_embedding_type", read.position_embedding_type, ("absolute",)),
        ):
            if value not in known:
                raise InputError(f"{model.name}: {key} = {shown_value(value)}: expected one of {', '.join(known)}")
        self._activation, self._eps = ACTIVATIONS[read.hidden_act], read.layer_norm_eps
        self.layers, self.width, self.vocabulary = read.num_hidden_layers, read.hidden_size, read.vocab_size
        self.context = read.max_position_embeddings
        self._head_width = read.hidden_size // read.num_attention_heads
        rows = {"word": self.vocabulary, "position": self.context, "token_type": read.type_vocab_size}
        shapes = {f"embeddings.{name}_embeddings.weight": (count, self.width) for name, count in rows.items()}
        places = ["embeddings"]
        for at in (f"encoder.layer.{layer}" for layer in range(self.layers)):
            places += [f"{at}.attention.output", f"{at}.output"]
        self._norms = {at: self._norm_at(at) for at in places}
        norms = {name: (self.width,) for names in self._norms.values() for name in names}
        self._demand_sound({**shapes, **norms}, self.linears)

    @np.errstate(over="ignore", invalid="ignore")  # zero has no direction: NaN
    def embed(self, hidden: Floats32, sequences: Sequence[Ints]) -> Floats32:
        """One vector of length 1 a sequence, (sequences, width): the mean over its tokens, as MiniLM is used."""
        ends = np.cumsum([len(ids) for ids in sequences])
        means = np.stack([part.mean(axis=0) for part in np.split(hidden, ends[:-1])])
        found: Floats32 = (means / np.linalg.norm(means, axis=1, keepdims=True)).astype(np.float32, copy=False)
        return found

    def added_beside(self, name: str) -> str | None:
        for at, beside in ((BERT_NAMES["o"], BERT_NAMES["q"]), ("output.dense", "intermediate.dense")):
            if name.endswith(at):
                return name.removesuffix(at) + beside
        return None

    def _embed(self, sequences: Sequence[Ints]) -> Floats32:
        place = positions([slice(0, len(ids)) for ids in sequences])
        rows = {"word": np.concatenate(sequences), "position": place, "token_type": np.zeros_like(place)}
        word, at, kind = (self._source.rows(f"embeddings.{name}_embeddings.weight", ids) for name, ids in rows.items())
        return self._norm("embeddings", word + at + kind)

    def _layer(self, layer: int, hidden: Floats32, spans: Sequence[slice], multiply: Product) -> Floats32:
        at = f"encoder.layer.{layer}."
        q, k, v = (self._linear(multiply, at + BERT_NAMES[key], hidden) for key in "qkv")
        mixed = attend(q, k, v, spans, self._head_width, causal=False)
        mixed = self._linear(multiply, at + BERT_NAMES["o"], mixed)
        hidden = self._norm(at + "attention.output", hidden + mixed)
        inner = self._activation(self._linear(multiply, at + "intermediate.dense", hidden))
        return self._norm(at + "output", hidden + self._linear(multiply, at + "output.dense", inner))

    def _norm_at(self, at: str) -> tuple[str, str]:
        """The names of a norm's scale and shift; older checkpoints call them gamma and beta."""
        old = self._source.holds(f"{at}.LayerNorm.gamma")
        scale, shift = ("gamma", "beta") if old else ("weight", "bias")
        return f"{at}.LayerNorm.{scale}", f"{at}.LayerNorm.{shift}"

    def _norm(self, at: str, x: Floats32) -> Floats32:
        scale, shift = (self._source.tensor(name) for name in self._norms[at])
        return layer_norm(x, scale, shift, self._eps)
