"""Llama, Mistral and Qwen2, of one form: rotary positions, grouped K and V, gated feed-forward, causal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import Field

from cimsolve.columns import Floats, Ints
from cimsolve.errors import InputError
from cimsolve.files.text import shown_value
from cimsolve.model.families.config import Width, read_config
from cimsolve.model.families.llama import LlamaConfig, attention_windows
from cimsolve.model.model import Model
from cimsolve.weights.forward.base import Product, Reference, attend, positions
from cimsolve.weights.forward.functions import ACTIVATIONS, rms_norm, rotate
from cimsolve.weights.tensors import Floats32, Tensors

_LOGIT_ROWS = 1 << 13
"""Rows of the language-model head that are in memory at a time."""


class _LlamaReferenceConfig(LlamaConfig):
    vocab_size: Width
    hidden_act: str = "silu"
    rms_norm_eps: float = Field(default=1e-6, gt=0)
    rope_theta: float = Field(default=10000.0, gt=0)
    rope_scaling: Mapping[str, Any] | None = None
    rope_parameters: Mapping[str, Any] | None = None
    tie_word_embeddings: bool = False
    attention_bias: bool | None = False
    mlp_bias: bool | None = False


class LlamaReference(Reference):
    """A causal language model; `loss` says how well it foretells a text."""

    def __init__(self, model: Model, source: Tensors) -> None:
        super().__init__(model, source)
        read = read_config(_LlamaReferenceConfig, model.config, model.name)
        if read.hidden_act not in ACTIVATIONS:
            raise InputError(
                f"{model.name}: hidden_act = {shown_value(read.hidden_act)}: expected one of {', '.join(ACTIVATIONS)}"
            )
        self._theta, self._windows = _rotary_base(read, model.name), attention_windows(model.config, model.name)
        self._demand_biases(read)
        self._activation, self._eps = ACTIVATIONS[read.hidden_act], read.rms_norm_eps
        self.layers, self.width, self.vocabulary = read.num_hidden_layers, read.hidden_size, read.vocab_size
        self.context = read.max_position_embeddings
        self._head_width = read.head_dim or read.hidden_size // read.num_attention_heads
        self._head = "model.embed_tokens.weight" if read.tie_word_embeddings else "lm_head.weight"
        norms = ["model.norm"]
        for at in (f"model.layers.{layer}" for layer in range(self.layers)):
            norms += [f"{at}.input_layernorm", f"{at}.post_attention_layernorm"]
        tables = dict.fromkeys(("model.embed_tokens.weight", self._head), (self.vocabulary, self.width))
        self._demand_sound({**tables, **{f"{at}.weight": (self.width,) for at in norms}}, _biased(model))

    def _demand_biases(self, read: _LlamaReferenceConfig) -> None:
        """Raise InputError where a bias is stored that the config rules out, or is not that it asks for."""
        keys = {"llama": ("attention_bias", "mlp_bias")}.get(self.model.family)
        for name in self.linears:
            if keys is not None:
                key = keys[".mlp." in name]
                asked, said = bool(getattr(read, key)), f"{key} = {shown_value(getattr(read, key))}"
            else:  # of their own Qwen2 has biases of Q, K and V, and Mistral none
                free = self.model.family == "qwen2" and name.rpartition(".")[2] != "o_proj" and ".mlp." not in name
                asked, said = free and self._has_bias(name), f"model_type {self.model.family}"
            if asked != self._has_bias(name):
                raise InputError(
                    f"{self.model.name}: {name}.bias is {'not ' if asked else ''}stored, but {said} asks for "
                    f"{'one' if asked else 'none'}; correct the config or the weights"
                )

    def loss(self, hidden: Floats32, sequences: Sequence[Ints]) -> float:
        """Mean of -ln p(next token) over all tokens that have a next one; its exp is the perplexity.

        Raises InputError where none has.
        """
        return float(self.predictions(hidden, sequences)[0].mean())

    def next_tokens(self, hidden: Floats32) -> Ints:
        """The most probable next token after each token, the lowest number on ties; shape (tokens,)."""
        return self._read_logits(hidden, np.zeros(len(hidden), dtype=np.int64))[1]

    def predictions(self, hidden: Floats32, sequences: Sequence[Ints]) -> tuple[Floats, Ints]:
        """-ln p(next token) of each token that has a next one, and `next_tokens`, the head read once."""
        ends = np.cumsum([len(ids) for ids in sequences])
        has_next = np.ones(len(hidden), dtype=np.bool_)
        has_next[ends - 1] = False
        if not has_next.any():
            raise InputError(f"{self.model.name}: no sequence has two tokens; expected a longer text")
        losses, best = self._read_logits(hidden, np.roll(np.concatenate(sequences), -1))
        return losses[has_next], best

    @np.errstate(over="ignore", invalid="ignore")
    def _read_logits(self, hidden: Floats32, target: Ints) -> tuple[Floats, Ints]:
        """-ln p(target) and the most probable token, after each token; NaN where logits are beyond float32."""
        top = np.full(len(hidden), -np.inf)
        best = np.zeros(len(hidden), dtype=np.int64)
        total, wanted = np.zeros(len(hidden)), np.zeros(len(hidden))
        for first, logits in self._logits(hidden):
            here = (target >= first) & (target < first + logits.shape[1])
            wanted[here] = logits[here, target[here] - first]
            highest = logits.max(axis=1)
            best = np.where(highest > top, first + logits.argmax(axis=1), best)
            # A running log of the sum of exponentials, so that no logit overflows.
            higher = np.maximum(top, highest)
            total = total * np.exp(top - higher) + np.exp(logits - higher[:, None]).sum(axis=1)
            top = higher
        return top + np.log(total) - wanted, best

    def _logits(self, states: Floats32) -> Iterator[tuple[int, Floats]]:
        """Logits of some tokens of the vocabulary at a time: the first one's number, and (states, tokens)."""
        for first in range(0, self.vocabulary, _LOGIT_ROWS):
            rows = np.arange(first, min(first + _LOGIT_ROWS, self.vocabulary), dtype=np.int64)
            yield first, (states @ self._source.rows(self._head, rows).T).astype(np.float64)

    def _embed(self, sequences: Sequence[Ints]) -> Floats32:
        return self._source.rows("model.embed_tokens.weight", np.concatenate(sequences))

    def _layer(self, layer: int, hidden: Floats32, spans: Sequence[slice], multiply: Product) -> Floats32:
        at = f"model.layers.{layer}."
        normed = self._norm(at + "input_layernorm", hidden)
        q, k, v = (self._linear(multiply, f"{at}self_attn.{key}_proj", normed) for key in "qkv")
        place = positions(spans)
        q, k = (rotate(each, place, self._head_width, self._theta) for each in (q, k))
        mixed = attend(q, k, v, spans, self._head_width, causal=True, window=self._windows[layer])
        hidden = hidden + self._linear(multiply, at + "self_attn.o_proj", mixed)
        normed = self._norm(at + "post_attention_layernorm", hidden)
        gate = self._activation(self._linear(multiply, at + "mlp.gate_proj", normed))
        inner = gate * self._linear(multiply, at + "mlp.up_proj", normed)
        return hidden + self._linear(multiply, at + "mlp.down_proj", inner)

    def _finish(self, hidden: Floats32) -> Floats32:
        return self._norm("model.norm", hidden)

    def _norm(self, at: str, x: Floats32) -> Floats32:
        return rms_norm(x, self._source.tensor(f"{at}.weight"), self._eps)


def _biased(model: Model) -> list[str]:
    """The linears that have a bias by the family: Q, K and V of Qwen2."""
    parts = ("q_proj", "k_proj", "v_proj") if model.family == "qwen2" else ()
    return [linear.name for linear in model.linears if linear.name.endswith(parts)]


def _rotary_base(read: _LlamaReferenceConfig, origin: str) -> float:
    """The base of the rotary angles. Raises InputError for angles that are scaled, which is not implemented."""
    base: object = read.rope_theta
    for key, scaling in (("rope_scaling", read.rope_scaling), ("rope_parameters", read.rope_parameters)):
        for name, value in (scaling or {}).items():
            if name == "rope_theta":
                base = value
            elif name in ("rope_type", "type"):
                if value != "default":
                    raise InputError(
                        f"{origin}: {key}.{name} = {shown_value(value)}: rotary positions of this type are not known; "
                        "expected default"
                    )
            elif name != "partial_rotary_factor":  # the family has seen to it
                raise InputError(
                    f"{origin}: {key}.{name} = {shown_value(value)}: rotary positions with it are not known; expected "
                    "rope_type default and rope_theta alone"
                )
    if not isinstance(base, int | float) or not base > 0:
        raise InputError(f"{origin}: rope_theta = {shown_value(base)}: expected a number above 0")
    return float(base)
