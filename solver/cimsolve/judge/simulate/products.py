"""One group of windows times a batch of inputs: phase by phase, column by column, conversion by conversion.

The inputs' phases of `dac_bits` are driven one after the other, here side by side in one matrix product; each column's
sum passes its converter; codes are shifted and added.

Where sums are whole numbers of k bits at most, known from the programmed cells, floor(24 / k) phases are packed into
one float32 operand as digits to the base 2^k. No product then needs more than 24 bits, so it is exact, its digits are
the sums of the phases, and each is taken out and converted: the arithmetic shrinks, the conversions stay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from cimsolve.columns import Ints
from cimsolve.judge.simulate.converters import WindowConverters

Numbers = npt.NDArray[Any]

FLOAT32_BITS = 24
"""Whole numbers up to 2^24 are exact in float32."""


@dataclass(frozen=True)
class Packing:
    """How phases are put together: `count` digits of `bits` bits each in one operand; 1 is one phase alone."""

    count: int = 1
    bits: int = 0
    signed: bool = False

    @classmethod
    def of(cls, low: int, high: int, phases: int) -> Packing:
        """The most phases that fit, for sums from -`low` to `high`."""
        # Digits with a sign are below half of the base: what follows a digit is then less than a half.
        bits = max(low, high).bit_length() + 1 if low else max(1, high.bit_length())
        count = min(FLOAT32_BITS // bits, phases)
        if count < 2:
            return cls()
        # As many operands, filled evenly.
        return cls(-(-phases // -(-phases // count)), bits, low > 0)

    def take_digit(self, total: Numbers) -> Numbers:
        """The first digit of `total`, which is left with those that follow."""
        digit: Numbers = np.rint(total) if self.signed else np.floor(total)
        total -= digit
        total *= 2.0**self.bits
        return digit


class DrivenPhases:
    """The phases of one batch of inputs, packed as asked for; unsigned integers of shape (tokens, elements)."""

    def __init__(self, values: Ints, phases: int, dac_bits: int) -> None:
        self.phases, self.dac_bits = phases, dac_bits
        self.tokens = len(values)
        shifts = np.arange(0, phases * dac_bits, dac_bits, dtype=np.uint32)[:, None, None]
        digits = (np.ascontiguousarray(values.T, dtype=np.uint32) >> shifts) & np.uint32((1 << dac_bits) - 1)
        self._digits: Numbers = digits.astype(np.float32)
        self._made: dict[tuple[Packing, np.dtype[Any]], Numbers] = {}

    def packed(self, packing: Packing, dtype: np.dtype[Any]) -> Numbers:
        """Operands, shape (operands, elements, tokens): the first phase of each counts 1, the next 2^-bits, ..."""
        if packing.count == 1:
            return self._digits.astype(dtype, copy=False)
        made = self._made.get((packing, dtype))
        if made is None:
            made = np.zeros((-(-self.phases // packing.count), *self._digits.shape[1:]), dtype=dtype)
            for phase in range(self.phases):
                operand, place = divmod(phase, packing.count)
                made[operand] += self._digits[phase] * dtype.type(2.0 ** (-packing.bits * place))
            self._made[packing, dtype] = made
        return made

    @cached_property
    def squares(self) -> Numbers:
        """Squared digits, shape (phases, elements, tokens)."""
        return np.square(self._digits)


@dataclass(frozen=True)
class Operand:
    """The cells of a group of windows, ready to be multiplied."""

    cells: Numbers
    """Conductances in cell levels, shape (b, q * c, h): q physical columns a weight, each for all c columns."""
    factors: Numbers
    """What each of the q columns counts in the shift-add: powers of two, with a sign."""
    low: int
    """No sum of one phase is below -`low`, or above `high`, if the cells are whole."""
    high: int
    whole: bool
    gain: Numbers | None = None
    """Of each column's converter, shape (b, q, c, 1); None: 1 everywhere."""
    offset: Numbers | None = None
    """In codes; None with `gain`."""

    @property
    def reach(self) -> int:
        """The largest absolute sum of one phase that whole cells can give."""
        return max(self.low, self.high)


@dataclass(frozen=True)
class ReadNoise:
    """Noise of every read of a cell; `sigma` in cell levels, of all cells in a row of one column."""

    sigma: float
    random: np.random.Generator

    def add_to(self, sums: Numbers, squares: Numbers) -> None:
        """Add noise of the driven cells to the sums of one phase, inputs squared and summed being `squares`."""
        lot = self.random.standard_normal(sums.shape, dtype=np.float32)
        lot *= np.sqrt(squares)
        lot *= np.float32(self.sigma)
        sums += lot


def multiply(
    operand: Operand,
    some: slice,
    elements: Ints,
    inputs: DrivenPhases,
    converters: WindowConverters,
    *,
    read: ReadNoise | None = None,
    observe: Callable[[Numbers], None] | None = None,
) -> Numbers:
    """What `some` windows of a group give, (windows, c, tokens), in units of weight level times input level.

    `elements` of shape (windows, h) are what drives their rows. `observe` sees the sums of each phase before they are
    converted, shape (windows, q, c, tokens).
    """
    cells = operand.cells[some]
    exact = operand.whole and read is None and operand.gain is None
    packing = Packing()
    if exact and cells.dtype == np.float32:
        packing = Packing.of(operand.low, operand.high, inputs.phases)
    driven = inputs.packed(packing, cells.dtype)[:, elements]
    if inputs.tokens > 1:
        sums = cells @ driven
    else:  # all phases are one product, which is slim enough
        sums = np.moveaxis(cells @ np.moveaxis(driven[..., 0], 0, -1), -1, 0)
    sums = sums.reshape(len(sums), len(cells), len(operand.factors), -1, inputs.tokens)
    squares = None if read is None else inputs.squares[:, elements].sum(axis=2)
    gain, offset = (None if each is None else each[some] for each in (operand.gain, operand.offset))
    gathered: Numbers | None = None
    for phase in range(inputs.phases):
        number, place = divmod(phase, packing.count)
        part = sums[number]
        if place + 1 < min(packing.count, inputs.phases - number * packing.count):
            part = packing.take_digit(part)
        if read is not None and squares is not None:
            read.add_to(part, squares[phase][:, None, None])
        if observe is not None:
            observe(part)
        converters.apply(part, gain, offset, whole=exact)
        if gathered is None:
            gathered = part
        else:
            part *= 2.0 ** (phase * inputs.dac_bits)
            gathered += part
    assert gathered is not None
    total = np.zeros((len(gathered), *gathered.shape[2:]))
    for part, factor, value in zip(gathered.swapaxes(0, 1), operand.factors.tolist(), converters.values, strict=True):
        part *= factor  # a power of two: exact in any float type; only the sum needs more bits
        total += part if value == 1 else part * value
    return total
