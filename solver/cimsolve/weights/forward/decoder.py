"""Decoders of one form: attention and feed-forward in turn, each with a residual sum and norms about it.

What tells the families apart is in a `Decoder`; which linears there are, in the model's steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from cimsolve.columns import Ints
from cimsolve.errors import InputError
from cimsolve.files.text import shown_value
from cimsolve.model.model import Linear, Model
from cimsolve.weights.forward.base import Product, attend, positions
from cimsolve.weights.forward.functions import ACTIVATIONS, layer_norm, rms_norm, rotate, sigmoid, softmax
from cimsolve.weights.forward.language import LanguageModel
from cimsolve.weights.forward.rotary import Rotary
from cimsolve.weights.tensors import Floats32, Tensors

STEPS = ("qkv", "attention_output", "feed_forward_up", "feed_forward_down")
"""The steps of a layer, by the ends of their names."""
EXPERT_STEPS = ("router", "experts_up", "experts_down")
"""Those that a mixture of experts has in the place of a feed-forward."""


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
    """Of Q as wide as its norm: each head alone, or all of them together."""
    key: str | None = None
    sinks: str | None = None
    """A further score of each head, in the place of a norm's scale."""
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
    biases: Mapping[str, tuple[bool, str]] = field(default_factory=dict)
    """Step -> whether its linears have a bias, and what says so; those of other steps have none."""
    names: SideNames = field(default_factory=SideNames)
    tied: bool = False
    """Whether the embedding is the head too."""
    shifts: bool = False
    """Whether norms are of the kind that takes the mean away and adds a shift."""
    scale_from: float = 0.0
    """What is added to the stored scales of norms."""
    gated: bool = True
    clamped: tuple[float, float] | None = None
    """Of gates that alternate with their partners, the limit of both and the steepness of the sigmoid."""
    parallel: bool = False
    """Whether attention and feed-forward read the same sum."""
    heads_of_fused: int | None = None
    """Heads by which Q, K and V of one tensor alternate; None: all of Q, then of K, then of V."""
    query_norm: int = 0
    """Width of the norm of Q; 0: there is none."""
    key_norm: int = 0
    first_position: int = 0
    """The row of the embedding of positions that the first token has."""
    chosen: int = 0
    """Experts that a token fires."""
    shares_sum_to_one: bool = True
    """Whether the shares of the chosen experts do, or those of all."""
    rotary: Sequence[Rotary | None] = ()
    """Of each layer; empty: positions are an embedding."""
    windows: Sequence[int | None] = ()
    embedding_scale: float = 1.0
    residual_scale: float = 1.0
    """Of what attention and feed-forward add to the sum."""
    score_scale: float | None = None
    score_cap: float | None = None
    logit_scale: float = 1.0
    logit_cap: float | None = None


class DecoderReference(LanguageModel):
    """The forward pass of a `Decoder`."""

    _earlier = 0
    """Tokens of each sequence that were read before."""

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
        self._logit_scale, self._logit_cap = form.logit_scale, form.logit_cap
        self._steps: dict[str, Sequence[Linear]] = {step.name: step.linears for step in model.steps}
        self._demand_biases()
        table = (self.vocabulary, self.width)
        shapes: dict[str, tuple[int, ...]] = {f"{self._names.embedding}.weight": table, self._head: table}
        if self._names.positions is not None:
            shapes[f"{self._names.positions}.weight"] = (self.context + form.first_position, self.width)
        norms: dict[str, tuple[int, ...]] = {self._names.final: (self.width,)}
        for layer in range(self.layers):
            norms |= dict.fromkeys(self._names.norms(layer), (self.width,))
            at = self._names.layer.format(layer)
            if self._names.sinks is not None:
                shapes[at + self._names.sinks] = (
                    self._steps[f"layer{layer}.attention_output"][0].n_in // form.head_width,
                )
            for name, width in ((self._names.query, form.query_norm), (self._names.key, form.key_norm)):
                if name is not None:
                    norms[at + name] = (width,)
        parts = ("weight", "bias") if form.shifts else ("weight",)
        self._demand_sound({**shapes, **{f"{at}.{part}": shape for at, shape in norms.items() for part in parts}}, ())

    def is_added(self, name: str) -> bool:
        return name in self._added

    @cached_property
    def _added(self) -> frozenset[str]:
        """The last linears of halves; of experts, which are weighed before, none."""
        names, last = self._names, (STEPS[1], STEPS[3])
        if self._form.residual_scale != 1 or (names.after_attention, names.after_feed_forward) != (None, None):
            return frozenset()
        ending = (linears for step, linears in self._steps.items() if step.partition(".")[2] in last)
        return frozenset(linear.name for linears in ending for linear in linears)

    def _demand_biases(self) -> None:
        """Raise InputError for a step that is not known, and for a bias too many or too few by family and config."""
        for step, linears in self._steps.items():
            if step.partition(".")[2] not in (*STEPS, *EXPERT_STEPS):
                raise InputError(
                    f"{self.model.name}: the forward pass knows no step like {step}; give `project` the inputs of its "
                    "linears as a file instead"
                )
            asked, said = self._form.biases.get(step.partition(".")[2], (False, f"model_type {self.model.family}"))
            for linear in linears:
                if asked != self._has_bias(linear.name):
                    raise InputError(
                        f"{self.model.name}: {self._bias_of(linear.name)} is {'not ' if asked else ''}stored, but "
                        f"{said} asks for {'one' if asked else 'none'}; correct the config or the weights"
                    )

    def _embed(self, sequences: Sequence[Ints]) -> Floats32:
        found = self._source.rows(f"{self._names.embedding}.weight", np.concatenate(sequences))
        found *= np.float32(self._form.embedding_scale)
        if self._names.positions is None:
            return found
        place = positions([slice(0, len(ids)) for ids in sequences]) + self._earlier + self._form.first_position
        return found + self._source.rows(f"{self._names.positions}.weight", place)

    def _layer(self, layer: int, hidden: Floats32, spans: Sequence[slice], multiply: Product) -> Floats32:
        names, at = self._names, self._names.layer.format(layer)
        mixed = self._attention(layer, self._norm(at, names.before_attention, hidden), spans, multiply)
        attended = hidden + self._scaled(self._norm(at, names.after_attention, mixed))
        read = hidden if self._form.parallel else attended
        inner = self._feed_forward(layer, self._norm(at, names.before_feed_forward, read), multiply)
        found: Floats32 = attended + self._scaled(self._norm(at, names.after_feed_forward, inner))
        return found

    def _scaled(self, added: Floats32) -> Floats32:
        """What is added to the residual sum."""
        scale = self._form.residual_scale
        return added if scale == 1 else added * np.float32(scale)

    def _attention(self, layer: int, normed: Floats32, spans: Sequence[slice], multiply: Product) -> Floats32:
        form, width = self._form, self._form.head_width
        q, k, v = self._parts(self._step(layer, "qkv", normed, multiply), layer)
        at = self._names.layer.format(layer)
        q, k = (self._head_norm(at, name, each) for name, each in ((self._names.query, q), (self._names.key, k)))
        rotary = form.rotary[layer] if form.rotary else None
        if rotary is not None:
            angles = rotary.angles(spans, self._earlier)
            q, k = (rotate(each, angles, width, rotary.scale) for each in (q, k))
        mixed = attend(
            *(q, *self._with_earlier(layer, k, v), spans, width),
            causal=True,
            earlier=self._earlier,
            window=form.windows[layer] if form.windows else None,
            scale=form.score_scale,
            cap=form.score_cap,
            sinks=None if self._names.sinks is None else self._source.tensor(at + self._names.sinks),
        )
        return self._step(layer, "attention_output", mixed, multiply)[0]

    def _with_earlier(self, layer: int, key: Floats32, value: Floats32) -> tuple[Floats32, Floats32]:
        """Keys and values, each sequence's after those of its `_earlier` tokens."""
        return key, value

    def _parts(self, found: Sequence[Floats32], layer: int) -> Sequence[Floats32]:
        """Q, K and V, which may be side by side in the outputs of one linear."""
        if len(found) != 1:
            return found
        form, (both,) = self._form, found
        if form.heads_of_fused is not None:
            parts = both.reshape(len(both), form.heads_of_fused, 3, -1).transpose(2, 0, 1, 3)
            return [part.reshape(len(both), -1) for part in parts]
        width = self._steps[f"layer{layer}.attention_output"][0].n_in
        return np.split(both, [width, (width + both.shape[1]) // 2], axis=1)

    def _feed_forward(self, layer: int, normed: Floats32, multiply: Product) -> Floats32:
        if f"layer{layer}.router" in self._steps:
            return self._mixture(layer, normed, multiply)
        inner = self._activate(self._step(layer, "feed_forward_up", normed, multiply))
        return self._step(layer, "feed_forward_down", inner, multiply)[0]

    def _mixture(self, layer: int, normed: Floats32, multiply: Product) -> Floats32:
        """The sum of what the experts make that each token fires, by their shares.

        An expert reads zeros in the place of other tokens: whoever listens hears as many rows of every linear.
        """
        scores, *weight = self._step(layer, "router", normed, multiply)
        shares = self._shares(scores)
        ups, downs = (self._steps[f"layer{layer}.experts_{way}"] for way in ("up", "down"))
        # The expert that every token fires may be weighted by a score of its own.
        always = sigmoid(weight[0]) if weight else np.ones_like(shares[:, :1])
        total = np.zeros_like(normed)
        for down in downs:
            share = always if down.expert is None else shares[:, [down.expert]]
            read = np.where(share > 0, normed, np.float32(0))
            up = [self._linear(multiply, each.name, read) for each in ups if each.expert == down.expert]
            total += share * self._linear(multiply, down.name, self._activate(up))
        return total

    def _shares(self, scores: Floats32) -> Floats32:
        """Share of each expert (tokens, experts) by the router's scores; 0 of those that a token does not fire."""
        shares = softmax(scores)
        left_out = np.argsort(-shares, axis=1, kind="stable")[:, self._form.chosen :]
        np.put_along_axis(shares, left_out, np.float32(0), axis=1)
        return shares / shares.sum(axis=1, keepdims=True) if self._form.shares_sum_to_one else shares

    def _activate(self, up: Sequence[Floats32]) -> Floats32:
        """What the activation makes of the outputs of `up`: of a gate and its partner their product."""
        if not self._form.gated:
            return self._activation(up[0])
        if self._form.clamped is not None:
            limit, steepness = map(np.float32, self._form.clamped)
            gate = np.minimum(up[0][:, ::2], limit)
            return (np.clip(up[0][:, 1::2], -limit, limit) + 1) * gate * sigmoid(gate * steepness)
        gate, partner = up if len(up) == 2 else np.split(up[0], 2, axis=1)
        return self._activation(gate) * partner

    def _step(self, layer: int, step: str, inputs: Floats32, multiply: Product) -> list[Floats32]:
        """The outputs of the linears of a step."""
        return [self._linear(multiply, linear.name, inputs) for linear in self._steps[f"layer{layer}.{step}"]]

    def _finish(self, hidden: Floats32) -> Floats32:
        return self._norm("", self._names.final, hidden)

    def _head_norm(self, at: str, name: str | None, x: Floats32) -> Floats32:
        """The norm of Q or K, over as many elements as it has scales."""
        if name is None:
            return x
        width = self._source.shape(f"{at}{name}.weight")[0]
        return self._norm(at, name, x.reshape(len(x), -1, width)).reshape(x.shape)

    def _norm(self, at: str, name: str | None, x: Floats32) -> Floats32:
        """The norm `name` below `at`; x itself where there is none."""
        if name is None:
            return x
        scale = self._source.tensor(f"{at}{name}.weight") + np.float32(self._form.scale_from)
        if self._form.shifts:
            return layer_norm(x, scale, self._source.tensor(f"{at}{name}.bias"), self._form.eps)
        return rms_norm(x, scale, self._form.eps)
