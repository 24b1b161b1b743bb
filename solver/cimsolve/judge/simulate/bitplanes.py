"""Groups of windows as bits, for the compiled kernel: when it is taken, for which groups, and how they get to it.

Where sums and codes are whole numbers, it gives the same numbers as `products`, to the last bit: that module's floats
are then whole numbers too, and codes are rounded in the same float type, float32. With noise, and converters that
clip without rounding, all is left to that module.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cimsolve.columns import Ints
from cimsolve.errors import InputError
from cimsolve.judge.names import Kernel
from cimsolve.judge.simulate.converters import WindowConverters
from cimsolve.judge.simulate.products import Operand
from cimsolve.judge.simulate.windows import WindowGroup

WORTH_LOADING = 1 << 29
"""Conversions that save about what loading numba takes: 0.7 s, against 1 to 2 ns each."""

PLANE_PAIRS_MAX = 16
"""Most pairs of a bit of a digit and a bit of a cell: beyond, floats need fewer operations."""

_COMPILED = "cimsolve.judge.simulate.compiled"


def demand_kernel(kernel: Kernel) -> None:
    """Raise InputError for numba where it cannot be loaded."""
    if kernel == "numba" and (reason := why_not_loaded()):
        raise InputError(f"kernel = 'numba': {reason}; pip install 'cimsolve[fast]', or expected 'auto' or 'numpy'")


def why_not_loaded() -> str | None:
    """Load the compiled kernel; what is wrong where numba is missing, or does not know this numpy."""
    try:
        importlib.import_module(_COMPILED)
    except ImportError as error:
        return (str(error) or "numba cannot be imported").splitlines()[0]
    return None


def is_worth_loading(conversions: int) -> bool:
    """Whether so many pay for it, or it is loaded already."""
    return conversions >= WORTH_LOADING or _COMPILED in sys.modules


@dataclass(frozen=True)
class BitPlanes:
    """The cells of a group of b windows of h rows and q * c physical columns."""

    words: npt.NDArray[np.uint32]
    """Shape (b, q * c, planes, ceil(h / 32)): bit p of the cell in row r is bit r % 32 of word r // 32 of plane p."""
    base: npt.NDArray[np.int32]
    """What every cell of a column holds more than its bits say: its least cell, if below 0; shape (b, q * c)."""
    depth: npt.NDArray[np.int32]
    """How many planes a column has, the rest being 0; shape (b, q * c)."""

    @classmethod
    def of(cls, cells: npt.NDArray[Any]) -> BitPlanes:
        """The planes of whole numbers of shape (b, q * c, h)."""
        base = np.minimum(cells.min(axis=2), 0)
        highest = (cells.max(axis=2) - base).astype(np.int64)
        planes = max(1, int(highest.max()).bit_length())
        depth = sum((highest >= 1 << plane).astype(np.int32) for plane in range(planes))
        levels = (cells - base[:, :, None]).astype(np.uint8 if planes <= 8 else np.uint16)
        windows, columns, rows = cells.shape
        packed = np.zeros((windows, columns, planes, -(-rows // 32) * 4), dtype=np.uint8)
        for plane in range(planes):
            bits = np.packbits(levels & (1 << plane), axis=2, bitorder="little")
            packed[:, :, plane, : bits.shape[2]] = bits
        return cls(packed.view("<u4").astype(np.uint32, copy=False), base.astype(np.int32), np.asarray(depth))


def suits(operand: Operand, converters: WindowConverters, phases: int, dac_bits: int) -> bool:
    """Whether every number up to the shift-add is whole and fits in 32 bits, and bits are the better way."""
    if not operand.whole or operand.gain is not None:
        return False
    levels = int(operand.cells.max() - min(float(operand.cells.min()), 0.0))
    shifted = operand.cells.shape[2] * levels << (phases * dac_bits)
    pairs = levels.bit_length() * dac_bits
    alike = converters.rounds and operand.cells.dtype == np.float32
    return pairs <= PLANE_PAIRS_MAX and shifted < 1 << 31 and (alike or _is_idle(operand, converters))


def _is_idle(operand: Operand, converters: WindowConverters) -> bool:
    """Whether codes are the sums, but for clipping to whole numbers."""
    if (converters.steps == 1).all():
        return True
    fits = bool(converters.high * converters.steps.min() >= operand.reach)
    return not converters.rounds and (fits or not converters.clips)


def multiply_bits(
    planes: BitPlanes,
    operand: Operand,
    windows: WindowGroup,
    values: Ints,
    converters: WindowConverters,
    phases: int,
    dac_bits: int,
    out: npt.NDArray[np.float64],
    counts: Ints | None = None,
) -> None:
    """Add what the windows make of integer `values` (tokens, n) to `out` (n_out, tokens).

    With `counts`, shape (q, low + high + 1), the sums from -low to high are counted there instead, by column of a
    weight.
    """
    from cimsolve.judge.simulate import compiled

    low, high = converters.low, converters.high
    idle = _is_idle(operand, converters)
    if not converters.clips or (idle and (converters.steps != 1).any()):
        low, high = -operand.reach, operand.reach
    compiled.multiply_planes(
        values,
        windows.elements,
        planes.words,
        planes.base,
        planes.depth,
        dac_bits,
        phases,
        idle,
        (1 / converters.values).astype(np.float32),
        int(low),
        int(min(high, (1 << 31) - 1)),
        operand.factors * converters.values,
        windows.output,
        out,
        np.zeros((len(operand.factors), 0), dtype=np.int64) if counts is None else counts,
        -operand.low,
    )
