"""How a weight becomes cells and how column sums become a number again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cimsolve.chip.spec import Hardware
from cimsolve.columns import Floats, Ints
from cimsolve.errors import InputError


@dataclass(frozen=True)
class Encoding:
    """The cells of one weight, side by side: slices of `cell_bits`, least significant first.

    differential: the slices of max(w, 0), then those of max(-w, 0); both hold `bits`, so |w| <= 2^bits - 1.
    offset: the slices of w + 2^(bits-1); an empty cell holds 0, not the offset.
    none: the slices of w >= 0.
    """

    bits: int
    cell_bits: int
    signed: str

    @classmethod
    def of(cls, hardware: Hardware) -> Encoding:
        return cls(hardware.weight.bits, hardware.cell.bits, hardware.weight.signed)

    @property
    def slices(self) -> int:
        return -(-self.bits // self.cell_bits)

    @property
    def columns(self) -> int:
        """Physical columns of one weight."""
        return self.slices * (2 if self.signed == "differential" else 1)

    @property
    def offset(self) -> int:
        """What is added to a weight before it is stored."""
        return 1 << (self.bits - 1) if self.signed == "offset" else 0

    @property
    def low(self) -> int:
        """The least weight that the cells can hold."""
        return -((1 << self.bits) - 1) if self.signed == "differential" else -self.offset

    @property
    def high(self) -> int:
        """The largest weight that the cells can hold."""
        return (1 << self.bits) - 1 - self.offset

    @property
    def weight_dtype(self) -> np.dtype[Any]:
        """The smallest signed integers that hold every weight."""
        return np.result_type(np.min_scalar_type(self.low), np.min_scalar_type(-self.high - 1))

    @property
    def cell_dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint8 if self.cell_bits <= 8 else np.uint16)

    def cells(self, weights: Ints) -> Ints:
        """Cells of `weights` (shape S), shape S + (columns,)."""
        width = np.int16 if self.bits < 15 else np.int32 if self.bits < 31 else np.int64
        wide: npt.NDArray[np.signedinteger[Any]] = weights.astype(width)
        halves = [np.maximum(wide, 0), np.maximum(-wide, 0)] if self.signed == "differential" else [wide + self.offset]
        cells = np.empty((self.columns, *weights.shape), dtype=self.cell_dtype)
        mask = (1 << self.cell_bits) - 1
        for half, stored in enumerate(halves):
            for part in range(self.slices):
                cells[half * self.slices + part] = (stored >> (part * self.cell_bits)) & mask
        return np.moveaxis(cells, 0, -1)

    def column_factors(self) -> Floats:
        """What each physical column of a weight counts in the shift-add, shape (columns,)."""
        powers = np.ldexp(1.0, np.arange(self.slices) * self.cell_bits)
        return np.concatenate([powers, -powers]) if self.signed == "differential" else powers

    def quantise(self, weights: Floats, name: str, by_column: bool) -> tuple[Ints, Floats]:
        """The nearest integers q of blocks (blocks, rows, cols), and the scales with weights ~ q * scale.

        One scale for the whole factor, shape (1,), or `by_column`, shape (blocks * cols,). Signed integers are
        symmetric, |q| <= 2^(bits-1) - 1 (1 for one bit); unsigned ones go to 2^bits - 1. Raises InputError for
        weights that are not finite, and for negative ones in unsigned cells.
        """
        if not np.isfinite(weights).all():
            raise InputError(f"weights of {name}: some are NaN or infinite")
        if self.signed == "none" and (weights < 0).any():
            raise InputError(f"weights of {name}: some are negative, and weight.signed = 'none' stores none such")
        top = (1 << self.bits) - 1 if self.signed == "none" else max(1, (1 << (self.bits - 1)) - 1)
        exact = weights.astype(np.float64)
        scales = np.abs(exact).max(axis=1 if by_column else None, keepdims=True, initial=0.0) / top
        scales[scales == 0] = 1.0
        return np.clip(np.rint(exact / scales).astype(np.int64), self.low, self.high), scales.reshape(-1)
