"""Groups of windows as bits, for the compiled kernel: when it is taken, for which groups, and how they get to it.

Where sums and codes are whole numbers, it gives the same numbers as `products`, to the last bit: that module's floats
are then whole numbers too, and codes are rounded in the same float type, float32. With noise of cells or reads,
converters with errors of their own and those that clip without rounding, sums are left to that module's matrix
products, and only their conversion is compiled: the same operations on floats in the same order.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from cimsolve.columns import Ints
from cimsolve.errors import InputError
from cimsolve.judge.names import Kernel
from cimsolve.judge.simulate.converters import Conversion
from cimsolve.judge.simulate.products import Operand
from cimsolve.judge.simulate.windows import WindowGroup

WORTH_LOADING = 1 << 29
"""Conversions that save about what loading numba takes: 0.7 s, against 0.5 to 2 ns each."""

PLANE_PAIRS_MAX = 16
"""Most pairs of a bit of a digit and a bit of a cell: beyond, floats need fewer operations."""

SPAN_MAX = 1 << 20
"""Most different sums that are counted one by one."""

_COMPILED = "cimsolve.judge.simulate.compiled"


def demand_kernel(kernel: Kernel) -> None:
    """Raises InputError for numba where it cannot be loaded."""
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

    @cached_property
    def across(self) -> npt.NDArray[np.uint32]:
        """The words with columns side by side, shape (b, planes, words, q * c)."""
        return np.ascontiguousarray(self.words.transpose(0, 2, 3, 1))

    @classmethod
    def of(cls, cells: npt.NDArray[Any]) -> BitPlanes:
        """From whole numbers of shape (b, q * c, h)."""
        base = np.minimum(cells.min(axis=2), 0)
        highest = (cells.max(axis=2) - base).astype(np.int64)
        planes = max(1, int(highest.max()).bit_length())
        depth = sum((highest >= 1 << plane).astype(np.int32) for plane in range(planes))
        kind: np.dtype[np.unsignedinteger[Any]] = np.dtype(np.uint8 if planes <= 8 else np.uint16)
        levels = (cells - base[:, :, None] if base.any() else cells).astype(kind)
        windows, columns, rows = cells.shape
        packed = np.zeros((windows, columns, planes, -(-rows // 32) * 4), dtype=np.uint8)
        for plane in range(planes):
            bits = np.packbits(levels & (1 << plane), axis=2, bitorder="little")
            packed[:, :, plane, : bits.shape[2]] = bits
        return cls(packed.view("<u4").astype(np.uint32, copy=False), base.astype(np.int32), np.asarray(depth))


def suits(operand: Operand, conversion: Conversion, phases: int, dac_bits: int) -> bool:
    """Whether every number up to the shift-add is whole and fits in 32 bits, and bits are the better way."""
    if not operand.whole or operand.gain is not None or operand.offset is not None:
        return False
    lowest = min(float(operand.cells.min()), 0.0)
    levels = int(operand.cells.max() - lowest)
    shifted = operand.cells.shape[2] * levels << (phases * dac_bits)
    pairs = levels.bit_length() * dac_bits
    alike = conversion.rounds and operand.cells.dtype == np.float32
    return pairs <= PLANE_PAIRS_MAX and shifted < 1 << 31 and (alike or _is_idle(operand, conversion))


def _reach(operand: Operand) -> int:
    return int(max(operand.high.max(), operand.low.max()))


def _is_idle(operand: Operand, conversion: Conversion) -> bool:
    """Whether codes are the sums, but for clipping to whole numbers."""
    if (conversion.steps == 1).all():
        return True
    fits = bool(conversion.high * conversion.steps.min() >= _reach(operand))
    return not conversion.rounds and (fits or not conversion.clips)


def multiply_bits(
    planes: BitPlanes,
    operand: Operand,
    windows: WindowGroup,
    values: Ints,
    conversion: Conversion,
    phases: int,
    dac_bits: int,
    out: npt.NDArray[np.float64],
) -> None:
    """Add what the windows make of integer `values` (tokens, n) to `out` (n_out, tokens)."""
    from cimsolve.judge.simulate import compiled

    low, high = conversion.low, conversion.high
    idle = _is_idle(operand, conversion)
    if not conversion.clips or (idle and (conversion.steps != 1).any()):
        low, high = -_reach(operand), _reach(operand)
    # Whatever there is more of runs in the inner loop.
    across = planes.words.shape[1] > phases * len(values)
    (compiled.multiply_across if across else compiled.multiply)(
        values,
        windows.elements,
        planes.across if across else planes.words,
        planes.base,
        planes.depth,
        dac_bits,
        phases,
        idle,
        (1 / conversion.values).astype(np.float32),
        int(low),
        int(min(high, (1 << 31) - 1)),
        operand.factors,
        conversion.values,
        windows.output,
        out,
    )


def convert_floats(
    sums: npt.NDArray[np.float32],
    operand: Operand,
    output: Ints,
    conversion: Conversion,
    dac_bits: int,
    out: npt.NDArray[np.float64],
) -> None:
    """Add to `out` (n_out, tokens) what float32 sums (phases, b, q * c, tokens) of windows convert to."""
    from cimsolve.judge.simulate import compiled

    unit = (conversion.steps / conversion.values).astype(np.float32)
    bounds = (conversion.low, conversion.high) if conversion.clips else (-np.inf, np.inf)
    low, high = (np.float32(bound) * unit for bound in bounds)
    shape = sums.shape[1:3]
    gain = np.ones(shape, np.float32) if operand.gain is None else operand.gain[:, :, 0]
    offset = np.zeros(shape, np.float32)
    if operand.offset is not None:
        offset = operand.offset[:, :, 0] * unit.repeat(shape[1] // len(unit))
    compiled.convert_floats(
        sums,
        gain,
        offset,
        (1 / conversion.values).astype(np.float32),
        conversion.rounds,
        low,
        high,
        dac_bits,
        operand.factors,
        conversion.values,
        output,
        out,
    )


def count_sums(
    planes: BitPlanes, operand: Operand, windows: WindowGroup, values: Ints, phases: int, dac_bits: int
) -> tuple[npt.NDArray[Any], Ints]:
    """The sums there can be, and how often each comes in each of the q columns of a weight: (s), (q, s)."""
    from cimsolve.judge.simulate import compiled

    low, high = int(operand.low.max()), int(operand.high.max())
    counts = np.zeros((len(operand.factors), low + high + 1), dtype=np.int64)
    compiled.count_sums(
        values, windows.elements, planes.words, planes.base, planes.depth, dac_bits, phases, -low, counts
    )
    return np.arange(-low, high + 1, dtype=operand.cells.dtype), counts
