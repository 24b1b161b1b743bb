"""Functions of the models' layers, in float32 as the models are run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np

from cimsolve.columns import Floats
from cimsolve.weights.tensors import Floats32

F = TypeVar("F", bound=Callable[..., Floats32])


def replaceable(function: F) -> F:
    """Arrays of another kind may have a function of this name of their own, among their `kernels`.

    One that returns NotImplemented leaves it to this.
    """

    @wraps(function)
    def call(x: Any, *args: Any, **named: Any) -> Floats32:
        kernels = getattr(x, "kernels", None)
        found: Any = NotImplemented if kernels is None else kernels[function.__name__](x, *args, **named)
        own: Floats32 = function(x, *args, **named) if found is NotImplemented else found
        return own

    return cast(F, call)


@replaceable
def layer_norm(x: Floats32, scale: Floats32, shift: Floats32, eps: float) -> Floats32:
    """`(x - mean) / sqrt(variance + eps) * scale + shift` over the last axis."""
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.mean(centred * centred, axis=-1, keepdims=True)
    return _single(centred / np.sqrt(variance + np.float32(eps)) * scale + shift)


@replaceable
def rms_norm(x: Floats32, scale: Floats32, eps: float) -> Floats32:
    """`x / sqrt(mean(x^2) + eps) * scale` over the last axis."""
    return _single(x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + np.float32(eps)) * scale)


@replaceable
def softmax(x: Floats32) -> Floats32:
    """Over the last axis."""
    raised = np.exp(x - x.max(axis=-1, keepdims=True))
    return _single(raised / raised.sum(axis=-1, keepdims=True))


@replaceable
def gelu(x: Floats32) -> Floats32:
    """`x * Phi(x)` with the normal distribution's Phi, exactly."""
    from scipy.special import erf  # slow to load, and most commands run no model

    return _single(x * (erf(x * np.float32(0.5**0.5)) + 1) * np.float32(0.5))


@replaceable
def gelu_tanh(x: Floats32) -> Floats32:
    """GELU by its approximation with tanh."""
    inner = np.float32((2 / np.pi) ** 0.5) * (x + np.float32(0.044715) * x**3)
    return _single(np.float32(0.5) * x * (1 + np.tanh(inner)))


def sigmoid(x: Floats32) -> Floats32:
    """`1 / (1 + exp(-x))`."""
    from scipy.special import expit

    return _single(expit(x))


@replaceable
def silu(x: Floats32) -> Floats32:
    """`x / (1 + exp(-x))`."""
    return x * sigmoid(x)


def relu(x: Floats32) -> Floats32:
    return np.maximum(x, np.float32(0))


ACTIVATIONS: Mapping[str, Callable[[Floats32], Floats32]] = {
    "gelu": gelu,
    "gelu_new": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "silu": silu,
    "swish": silu,
    "relu": relu,
}
"""By the name that a config calls them."""


def soft_cap(x: Floats32, cap: float | None) -> Floats32:
    """`cap * tanh(x / cap)`, nearly x where that is small and never beyond the cap; x itself without one."""
    return x if cap is None else _single(np.float32(cap) * np.tanh(x / np.float32(cap)))


def rotate(x: Floats32, angle: Floats, head_width: int, scale: float = 1.0) -> Floats32:
    """Rotary positions: in each head of x (tokens, heads * head_width) pair (i, i + pairs) turns by `angle[:, i]`.

    `angle` is (tokens, pairs), in radians; elements of a head beyond its pairs stay. What turns is times `scale`.
    """
    pairs = angle.shape[1]
    cosine, sine = ((f(angle) * scale).astype(np.float32)[:, None, :] for f in (np.cos, np.sin))
    heads = x.reshape(len(x), -1, head_width)
    first, second, rest = heads[..., :pairs], heads[..., pairs : 2 * pairs], heads[..., 2 * pairs :]
    turned = (first * cosine - second * sine, second * cosine + first * sine, rest)
    return _single(np.concatenate(turned, axis=-1).reshape(x.shape))


def _single(x: Floats) -> Floats32:
    return x.astype(np.float32, copy=False)
