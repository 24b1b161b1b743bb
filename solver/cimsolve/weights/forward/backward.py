"""Gradients of a decoder's loss at the outputs of its linears, in float32 numpy: what a two-sided fit asks for.

The loss is -ln p(y) of a next token y that is drawn from the model itself, so that the mean of g g^T is the Fisher
matrix. Layers are run again from the last to the first, from the states before each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cimsolve.columns import Ints
from cimsolve.weights.folder import linear_weight
from cimsolve.weights.forward.decoder import STEPS, DecoderReference
from cimsolve.weights.forward.functions import rotate, softmax
from cimsolve.weights.tensors import Floats32

Hear = Callable[[str, Floats32], None]

_TOKENS = 256
"""Tokens whose logits are in memory at a time."""
_STEP = 1e-2
"""Half of the distance over which an activation's slope is taken."""


class DecoderGradients(DecoderReference):
    """A decoder of the Llama form, with its backward pass."""

    @property
    def is_known(self) -> bool:
        """Whether the backward pass knows all that the form has."""
        form, names = self._form, self._names
        norms = (names.query, names.key, names.after_attention, names.after_feed_forward, names.sinks, names.positions)
        strange = (form.shifts, not form.gated, form.clamped, form.parallel, form.score_cap, form.logit_cap, *norms)
        steps = {name.partition(".")[2]: len(linears) for name, linears in self._steps.items()}
        plain = steps == dict(zip(STEPS, (3, 1, 2, 1), strict=True)) and bool(form.rotary)
        return plain and not any(strange) and not any(form.windows)

    def gradients(self, sequences: Sequence[Ints], hear: Hear, seed: int = 0) -> None:
        """Calls `hear(name, g)` for each linear, from the last: g (tokens, n_out) is the gradient at its outputs."""
        states = list(self.states(sequences))
        ends = np.cumsum([len(ids) for ids in sequences]).tolist()
        spans = [slice(end - len(ids), end) for ids, end in zip(sequences, ends, strict=True)]
        slope = self._slope_of_loss(self._finish(states[-1]), seed)
        slope = self._through_norm("", self._names.final, states.pop(), slope)
        for layer in reversed(range(self.layers)):
            slope = self._through_layer(layer, states.pop(), spans, slope, hear)

    def _slope_of_loss(self, hidden: Floats32, seed: int) -> Floats32:
        """The gradient at the last states of -ln p of a token drawn after each."""
        random = np.random.default_rng(seed)
        head = self._source.tensor(self._head)
        found = np.empty_like(hidden)
        for first in range(0, len(hidden), _TOKENS):
            part = slice(first, first + _TOKENS)
            shares = softmax(hidden[part] @ head.T * np.float32(self._logit_scale))
            drawn = (np.cumsum(shares, axis=1) < random.random((len(shares), 1))).sum(axis=1)
            shares[np.arange(len(shares)), np.minimum(drawn, self.vocabulary - 1)] -= 1
            found[part] = shares @ head * np.float32(self._logit_scale)
        return found

    def _through_layer(
        self, layer: int, hidden: Floats32, spans: Sequence[slice], slope: Floats32, hear: Hear
    ) -> Floats32:
        """The gradient before a layer, from that after it."""
        names, at = self._names, self._names.layer.format(layer)
        made: dict[str, Floats32] = {}

        def product(name: str, inputs: Floats32) -> Floats32:
            made[name] = self.exact(name, inputs)
            return made[name]

        def outputs(step: str) -> list[Floats32]:
            linears = self._steps[f"layer{layer}.{step}"]
            return [made[each.name] + (self._bias(each.name) if each.name in self._biased else 0) for each in linears]

        scale = np.float32(self._form.residual_scale)
        mixed = self._attention(layer, self._norm(at, names.before_attention, hidden), spans, product)
        attended = hidden + mixed * scale
        self._feed_forward(layer, self._norm(at, names.before_feed_forward, attended), product)
        gate, partner = outputs("feed_forward_up")
        inner = self._through(layer, "feed_forward_down", [slope * scale], hear)
        step = np.float32(_STEP)
        steep = (self._activation(gate + step) - self._activation(gate - step)) / (2 * step)
        normed = self._through(
            layer, "feed_forward_up", [inner * partner * steep, inner * self._activation(gate)], hear
        )
        slope = slope + self._through_norm(at, names.before_feed_forward, attended, normed)
        heads = self._through(layer, "attention_output", [slope * scale], hear)
        parts = self._through_attention(layer, outputs("qkv"), spans, heads)
        normed = self._through(layer, "qkv", parts, hear)
        return slope + self._through_norm(at, names.before_attention, hidden, normed)

    def _through(self, layer: int, step: str, slopes: Sequence[Floats32], hear: Hear) -> Floats32:
        """The gradient at the inputs of a step's linears, from those at their outputs, which are heard."""
        found: Any = 0
        for linear, slope in zip(self._steps[f"layer{layer}.{step}"], slopes, strict=True):
            hear(linear.name, slope)
            found = found + slope @ linear_weight(self._source, linear.tensor, linear.n_in, linear.n_out).T
        return np.asarray(found, dtype=np.float32)

    def _through_norm(self, at: str, name: str | None, x: Floats32, slope: Floats32) -> Floats32:
        """The gradient before an RMS norm: with r = 1 / rms(x), r s g - x r^3 mean(x s g)."""
        if name is None:
            return slope
        scaled = slope * (self._source.tensor(f"{at}{name}.weight") + np.float32(self._form.scale_from))
        inverse = 1 / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + np.float32(self._form.eps))
        mean = np.mean(x * scaled, axis=-1, keepdims=True)
        return np.asarray(inverse * scaled - x * inverse**3 * mean, dtype=np.float32)

    def _through_attention(
        self, layer: int, parts: Sequence[Floats32], spans: Sequence[slice], slope: Floats32
    ) -> list[Floats32]:
        """The gradients at Q, K and V before they are turned."""
        form, width = self._form, self._form.head_width
        rotary = form.rotary[layer]
        query, key, value = parts
        if rotary is not None:
            angles = rotary.angles(spans)
            query, key = (rotate(each, angles, width, rotary.scale) for each in (query, key))
        factor = np.float32(width**-0.5 if form.score_scale is None else form.score_scale)
        found = [np.empty_like(each) for each in (query, key, value)]
        for span in spans:
            q, k, v, g = (
                each[span].reshape(span.stop - span.start, -1, width).transpose(1, 0, 2)
                for each in (query, key, value, slope)
            )
            share = len(q) // len(k)
            groups = len(k)
            k, v = np.repeat(k, share, axis=0), np.repeat(v, share, axis=0)
            scores = (q @ k.transpose(0, 2, 1)) * factor
            scores[:, np.triu(np.ones(scores.shape[1:], dtype=np.bool_), 1)] = -np.inf
            shares = softmax(scores)
            steep = g @ v.transpose(0, 2, 1)
            steep = shares * (steep - (steep * shares).sum(axis=-1, keepdims=True)) * factor
            of_key, of_value = steep.transpose(0, 2, 1) @ q, shares.transpose(0, 2, 1) @ g
            whole = [
                steep @ k,
                *(each.reshape(groups, share, *each.shape[1:]).sum(axis=1) for each in (of_key, of_value)),
            ]
            for out, each in zip(found, whole, strict=True):
                out[span] = each.transpose(1, 0, 2).reshape(span.stop - span.start, -1)
        if rotary is not None:
            found[:2] = [rotate(each, -angles, width, rotary.scale) for each in found[:2]]
        return found
