"""Real inputs as the unsigned integers that rows are driven with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from cimsolve.columns import Floats, Ints
from cimsolve.judge.names import Scale

Float64s: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Quantised:
    """Real inputs as x ~ (values - zero_point) * scale; `values` has shape (tokens, n)."""

    values: Ints
    scale: Float64s
    """Shape (1, 1) or (tokens, 1), as `zero_point`."""
    zero_point: Ints


def quantise_inputs(inputs: Floats, bits: int, scale: Scale) -> Quantised:
    """Unsigned integers over the range of the data and 0, of the whole tensor or of each token.

    scale = (max(x, 0) - min(x, 0)) / (2^bits - 1),  zero_point = rint(-min(x, 0) / scale)
    """
    axis = 1 if scale == "token" else None
    exact = inputs.astype(np.float64)
    low = np.minimum(exact.min(axis=axis, keepdims=True), 0.0)
    high = np.maximum(exact.max(axis=axis, keepdims=True), 0.0)
    top = (1 << bits) - 1
    step = (high - low) / top
    step[step == 0] = 1.0
    zero_point = np.rint(-low / step)
    values = np.clip(np.rint(exact / step + zero_point), 0, top)
    return Quantised(values.astype(np.int64), step, zero_point.astype(np.int64))
