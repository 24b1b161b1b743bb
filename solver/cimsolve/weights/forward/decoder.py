"""Decoders of one form: attention and feed-forward in turn, each with a residual sum and norms about it.

What tells the families apart is in a `Decoder`; which linears there are, in the model's steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cimsolve.columns import Ints
from cimsolve.errors import InputError
from cimsolve.files.text import shown_value
from cimsolve.model.model import Linear, Model
from cimsolve.weights.forward.base import Product, attend, positions
from cimsolve.weights.forward.functions import ACTIVATIONS, layer_norm, rms_norm, rotate
from cimsolve.weights.forward.language import LanguageModel
from cimsolve.weights.forward.rotary import Rotary
from cimsolve.weights.tensors import Floats32, Tensors

STEPS = ("qkv", "attention_output", "feed_forward_up", "feed_forward_down")
"""The steps of a layer, by the ends of their names."""


@dataclass(frozen=True)
class SideNames:
    """Modules that hold no linear; those of a layer follow `layer`, in which `{}` is its number. None: there is none.

    A norm stands before attention or feed-forward, or after it and before the residual sum.
    """

    embedding: str = "model.embed_tokens"
    positions: str | None = None
    layer: str = "model.layers.{}."
    before_attention: str | None = "input_layernorm"
    query: str | None = None
    key: str | None = None
    after_attention: str | None = None
    before_feed_forward: str | None = "post_attention_layernorm"
    after_feed_forward: str | None = None
    final: str = "model.norm"
    head: str = "lm_head"

    def norms(self, layer: int) -> list[str]:
        """The norms of a layer that are as wide as the model."""
        each = (self.before_attention, self.after_attention, self.before_feed_forward, self.after_feed_forward)
        return list(dict.fromkeys(self.layer.format(layer) + name for name in each if name is not None))


@dataclass(frozen=True)
class Decoder:
    """What a family makes of its config, for the forward pass."""

    layers: int
    width: int
    vocabulary: int
    context: int
    head_width: int
    activation: tuple[str, str]
    """Key and value."""
    eps: float
    biases: Mapping[str, tuple[bool, str]]
    """Step -> whether its linears have a bias, and what says so."""
    names: SideNames = field(default_factory=SideNames)
    tied: bool = False
    """Whether the embedding is the head too."""
    shifts: bool = False
    """Whether norms are of the kind that takes the mean away and adds a shift."""
    scale_from: float = 0.0
    """What is added to the stored scales of norms."""
    gated: bool = True
    rotary: Sequence[Rotary | None] = ()
    """Of each layer; empty: positions are an embedding."""
    windows: Sequence[int | None] = ()
    embedding_scale: float = 1.0
    score_scale: float | None = None
    score_cap: float | None = None
    logit_cap: float | None = None


class DecoderReference(LanguageModel):
    """The forward pass of a `Decoder`."""

    def __init__(self, model: Model, source: Tensors, form: Decoder) -> None:
        super().__init__(model, source)
        self._form, self._names = form, form.names
        self.layers, self.width, self.vocabulary, self.context = form.layers, form.width, form.vocabulary, form.context
        key, activation = form.activation
        if activation not in ACTIVATIONS:
            raise InputError(
                f"{model.name}: {key} = {shown_value(activation)}: expected one of {', '.join(ACTIVATIONS)}"
            )
        self._activation = ACTIVATIONS[activation]
        self._head = f"{self._names.embedding if form.tied else self._names.head}.weight"
        self._logit_cap = form.logit_cap
        self._steps: dict[str, Sequence[Linear]] = {step.name: step.linears for step in model.steps}
        self._demand_biases()
        shapes = dict.fromkeys((f"{self._names.embedding}.weight", self._head), (self.vocabulary, self.width))
        if self._names.positions is not None:
            shapes[f"{self._names.positions}.weight"] = (self.context, self.width)
        norms: dict[str, tuple[int, ...]] = {self._names.final: (self.width,)}
        for layer in range(self.layers):
            norms |= dict.fromkeys(self._names.norms(layer), (self.width,))
        parts = ("weight", "bias") if form.shifts else ("weight",)
        self._demand_sound({**shapes, **{f"{at}.{part}": shape for at, shape in norms.items() for part in parts}}, ())

    def _demand_biases(self) -> None:
        """Raise InputError where a bias is stored that the family or the config rules out, or is not that it has."""
        for step, linears in self._steps.items():
            asked, said = self._form.biases[step.partition(".")[2]]
            for linear in linears:
                if asked != self._has_bias(linear.name):
                    raise InputError(
                        f"{self.model.name}: {self._bias_of(linear.name)} is {'not ' if asked else ''}stored, but "
                        f"{said} asks for {'one' if asked else 'none'}; correct the config or the weights"
                    )

    def _embed(self, sequences: Sequence[Ints]) -> Floats32:
        found = self._source.rows(f"{self._names.embedding}.weight", np.concatenate(sequences))
        found = found * np.float32(self._form.embedding_scale)
        if self._names.positions is None:
            return found
        place = positions([slice(0, len(ids)) for ids in sequences])
        return found + self._source.rows(f"{self._names.positions}.weight", place)

    def _layer(self, layer: int, hidden: Floats32, spans: Sequence[slice], multiply: Product) -> Floats32:
        names, at = self._names, self._names.layer.format(layer)
        mixed = self._attention(layer, self._norm(at, names.before_attention, hidden), spans, multiply)
        hidden = hidden + self._norm(at, names.after_attention, mixed)
        inner = self._feed_forward(layer, self._norm(at, names.before_feed_forward, hidden), multiply)
        return hidden + self._norm(at, names.after_feed_forward, inner)

    def _attention(self, layer: int, normed: Floats32, spans: Sequence[slice], multiply: Product) -> Floats32:
        form, width = self._form, self._form.head_width
        q, k, v = self._step(layer, "qkv", normed, multiply)
        rotary = form.rotary[layer] if form.rotary else None
        if rotary is not None:
            angles = rotary.angles(spans)
            q, k = (rotate(each, angles, width, rotary.scale) for each in (q, k))
        window = form.windows[layer] if form.windows else None
        mixed = attend(q, k, v, spans, width, causal=True, window=window, scale=form.score_scale, cap=form.score_cap)
        return self._step(layer, "attention_output", mixed, multiply)[0]

    def _feed_forward(self, layer: int, normed: Floats32, multiply: Product) -> Floats32:
        inner = self._activate(self._step(layer, "feed_forward_up", normed, multiply))
        return self._step(layer, "feed_forward_down", inner, multiply)[0]

    def _activate(self, up: Sequence[Floats32]) -> Floats32:
        """What the activation makes of the outputs of `up`: of a gate and its partner their product."""
        if not self._form.gated:
            return self._activation(up[0])
        return self._activation(up[0]) * up[1]

    def _step(self, layer: int, step: str, inputs: Floats32, multiply: Product) -> list[Floats32]:
        """The outputs of the linears of a step."""
        return [self._linear(multiply, linear.name, inputs) for linear in self._steps[f"layer{layer}.{step}"]]

    def _finish(self, hidden: Floats32) -> Floats32:
        return self._norm("", self._names.final, hidden)

    def _norm(self, at: str, name: str | None, x: Floats32) -> Floats32:
        """The norm `name` below `at`; x itself where there is none."""
        if name is None:
            return x
        scale = self._source.tensor(f"{at}{name}.weight") + np.float32(self._form.scale_from)
        if self._form.shifts:
            return layer_norm(x, scale, self._source.tensor(f"{at}{name}.bias"), self._form.eps)
        return rms_norm(x, scale, self._form.eps)
