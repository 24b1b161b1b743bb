"""One group of windows times a batch of inputs: phase by phase, column by column, conversion by conversion.

The inputs' phases of `dac_bits` are driven one after the other; each column's sum passes its converter; codes
are shifted and added. Two ways to the same numbers:

- **plain**: one matrix product a phase.
- **packed**: where sums are whole numbers of k bits at most, known from the programmed cells, floor(24 / k) phases
  go into one float32 operand as digits to the base 2^k. No product then needs more than 24 bits, so it is exact,
  its digits are the sums of the phases, and each is taken out and converted. The arithmetic shrinks, the
  conversions stay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from cimsolve.columns import Ints
from cimsolve.judge.simulate.converters import Conversion

Numbers = npt.NDArray[Any]

FLOAT32_BITS = 24
"""Whole numbers up to 2^24 are exact in float32."""

TOKENS = 256
"""Most tokens of one product; twice as many where inputs have a single phase."""

SUMS = 1 << 16
"""About as many sums of one phase are held at once; suits the cache."""

FEW_TOKENS = 16
"""Up to here the phases are multiplied side by side: the product is too slim otherwise."""


@dataclass
class Scratch:
    """Buffers that are kept from call to call: fresh memory costs more than what is computed in it."""

    kept: dict[tuple[str, np.dtype[Any]], Numbers] = field(default_factory=dict)

    def take(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Numbers:
        size = int(np.prod(shape))
        buffer = self.kept.get((name, dtype))
        if buffer is None or len(buffer) < size:
            buffer = self.kept[name, dtype] = np.empty(size, dtype=dtype)
        return buffer[:size].reshape(shape)


@dataclass(frozen=True)
class Packing:
    """How phases are put together: `count` digits of `bits` bits each in one operand; 1 is plain."""

    count: int = 1
    bits: int = 0

    @classmethod
    def of(cls, span: int, phases: int) -> Packing:
        """The most phases that fit, for sums that take `span` + 1 whole values."""
        bits = max(1, span.bit_length())
        count = min(FLOAT32_BITS // bits, phases)
        if count < 2:
            return cls()
        # As many operands, filled evenly.
        return cls(-(-phases // -(-phases // count)), bits)


class Inputs:
    """The phases of one batch of inputs, packed as asked for; unsigned integers of shape (tokens, elements)."""

    def __init__(self, values: Ints, phases: int, dac_bits: int) -> None:
        self.phases, self.dac_bits = phases, dac_bits
        bits = phases * dac_bits
        small = values.astype(np.uint8 if bits <= 8 else np.uint32 if bits <= 32 else np.int64)
        self.values: Numbers = small.T if phases == 1 else np.ascontiguousarray(small.T)
        """Shape (elements, tokens)."""
        self._made: dict[tuple[Packing, np.dtype[Any]], Numbers] = {}
        self._squares: Numbers | None = None

    @cached_property
    def _digits(self) -> list[Numbers]:
        """The digits of each phase, shape (elements, tokens)."""
        if self.phases == 1:
            return [self.values]
        mask = self.values.dtype.type((1 << self.dac_bits) - 1)
        return [(self.values >> (phase * self.dac_bits)) & mask for phase in range(self.phases)]

    def packed(self, packing: Packing, dtype: np.dtype[Any]) -> Numbers:
        """Operands, shape (operands, elements, tokens): of their digits the first phase comes last.

        A digit of the first place counts 1, one of the next 2^-bits, and so on.
        """
        made = self._made.get((packing, dtype))
        if made is None and self.phases == 1:
            made = self._made[packing, dtype] = self.values.astype(dtype, order="C")[None]
        if made is None:
            operands = -(-self.phases // packing.count)
            made = np.zeros((operands, *self.values.shape), dtype=dtype)
            for phase, digits in enumerate(self._digits):
                operand, place = divmod(phase, packing.count)
                if packing.count == 1:
                    made[operand] = digits
                else:
                    made[operand] += digits * dtype.type(2.0 ** (-packing.bits * place))
            self._made[packing, dtype] = made
        return made

    def squares(self, elements: Ints) -> Numbers:
        """Sums over each window's rows of squared inputs, shape (phases, windows, 1, tokens)."""
        if self._squares is None:
            self._squares = np.square(np.stack(self._digits), dtype=np.float32)
        return np.asarray(self._squares[:, elements].sum(axis=2)[:, :, None, :])


@dataclass(frozen=True)
class Operand:
    """The cells of a group of windows, ready to be multiplied."""

    cells: Numbers
    """Conductances in cell levels, shape (b, q * c, h): q physical columns a weight, each for all c columns."""
    factors: Numbers
    """What each of the q columns counts in the shift-add: powers of two, with a sign."""
    low: Ints
    """No sum of one phase in a window is below -`low`, or above `high`, if the cells are whole; shape (b,)."""
    high: Ints
    whole: bool
    gain: Numbers | None = None
    """Gain of each column's converter, shape (b, q * c, 1); None: 1 everywhere."""
    offset: Numbers | None = None

    def part(self, some: slice) -> Operand:
        """The operand of some of the windows."""
        if len(self.cells) == 1:
            return self
        gain = None if self.gain is None else self.gain[some]
        offset = None if self.offset is None else self.offset[some]
        return replace(self, cells=self.cells[some], low=self.low[some], high=self.high[some], gain=gain, offset=offset)


@dataclass(frozen=True)
class ReadNoise:
    """Noise of every read of a cell; `sigma` in cell levels, of all cells in a row of one column."""

    sigma: float
    random: np.random.Generator

    def add_to(self, sums: Numbers, squares: Numbers) -> None:
        """Noise of the cells that inputs of these `squares` drive, on the sums of one phase."""
        lot = self.random.standard_normal(sums.shape, dtype=np.float32)
        lot *= np.sqrt(squares)
        lot *= np.float32(self.sigma)
        sums += lot


def multiply(
    operand: Operand,
    elements: Ints,
    inputs: Inputs,
    conversion: Conversion,
    scratch: Scratch,
    *,
    in_a_row: bool = False,
    packs: bool = True,
    read: ReadNoise | None = None,
    observe: Callable[[Numbers], None] | None = None,
) -> Numbers:
    """What the windows give, floats of shape (b, c, tokens), in units of weight level times input level.

    `elements` of shape (b, h) are what drives the rows; `in_a_row` says that they count up in every window. The
    result is a buffer of `scratch`: use it before the next call.
    """
    windows, columns, _ = operand.cells.shape
    tokens = inputs.values.shape[1]
    per_weight = len(operand.factors)
    disturbed = not operand.whole or read is not None or operand.gain is not None or operand.offset is not None
    packing = Packing()
    if packs and tokens >= FEW_TOKENS and not disturbed and observe is None and operand.cells.dtype == np.float32:
        packing = Packing.of(int(operand.low.max() + operand.high.max()), inputs.phases)
    sums = _products(operand, elements, inputs.packed(packing, operand.cells.dtype), scratch, in_a_row)
    least = int(operand.low.max())
    if packing.count > 1 and least:
        # No digit is negative.
        for number, total in enumerate(sums):
            places = min(packing.count, inputs.phases - number * packing.count)
            total += least * sum(2.0 ** (-packing.bits * place) for place in range(places))
    gathered = sums[0] if inputs.phases == 1 else scratch.take("gathered", sums[0].shape, sums.dtype)
    digit = scratch.take("digit", gathered.shape, gathered.dtype)
    # Rounding to steps of 1 leaves whole numbers as they are.
    idle = not disturbed and bool((conversion.steps == 1).all())
    squares = None if read is None else inputs.squares(elements)
    for phase in range(inputs.phases):
        number, place = divmod(phase, packing.count)
        part = total = sums[number]
        if place + 1 < min(packing.count, inputs.phases - number * packing.count):
            # total = the sum of this phase, a whole number, plus less than 1 for those that follow.
            part = np.floor(total, out=digit)
            total -= part
            total *= 2.0**packing.bits
        if packing.count > 1 and least:
            part -= least
        if read is not None and squares is not None:
            read.add_to(part, squares[phase])
        if observe is not None:
            observe(part)
        conversion.apply(part, operand.gain, operand.offset, whole=idle)
        if inputs.phases == 1:
            break
        if phase == 0:
            gathered[...] = part
        else:
            part *= 2.0 ** (phase * inputs.dac_bits)
            gathered += part
    return _join(gathered.reshape(windows, per_weight, -1), operand.factors, conversion, scratch).reshape(
        windows, columns // per_weight, tokens
    )


def phase_sums(
    operand: Operand, elements: Ints, inputs: Inputs, scratch: Scratch, in_a_row: bool, read: ReadNoise | None
) -> Numbers:
    """Column sums with read noise, before they are converted; shape (phases, b, q * c, tokens), in `scratch`."""
    sums = _products(operand, elements, inputs.packed(Packing(), operand.cells.dtype), scratch, in_a_row)
    if read is not None:
        for part, squares in zip(sums, inputs.squares(elements), strict=True):
            read.add_to(part, squares)
    return sums


def _products(operand: Operand, elements: Ints, packed: Numbers, scratch: Scratch, in_a_row: bool) -> Numbers:
    """Sums of every phase or operand, shape (operands, b, q * c, tokens)."""
    windows, columns, rows = operand.cells.shape
    operands, _, tokens = packed.shape
    shape = (operands, windows, columns, tokens)
    sums = scratch.take("sums", shape, operand.cells.dtype)
    if tokens >= FEW_TOKENS:
        if windows == 1 and in_a_row:
            first = int(elements[0, 0])
            np.matmul(operand.cells, packed[:, None, first : first + rows], out=sums)
        else:
            np.matmul(operand.cells, packed[:, elements], out=sums)
    else:
        beside = packed[:, elements].transpose(1, 2, 0, 3).reshape(windows, rows, operands * tokens)
        product = operand.cells @ beside
        sums[...] = product.reshape(windows, columns, operands, tokens).transpose(2, 0, 1, 3)
    return sums


def _join(gathered: Numbers, factors: Numbers, conversion: Conversion, scratch: Scratch) -> Numbers:
    """Add the physical columns of each weight: (b, q, numbers) to (b, numbers)."""
    if len(factors) == 1 and conversion.values[0] == factors[0] == 1:
        return gathered[:, 0]
    result = scratch.take("result", (len(gathered), gathered.shape[2]), np.dtype(np.float64))
    result[...] = 0
    for place, factor in enumerate(factors.tolist()):
        # A power of two: exact in any float type; only the sum needs more bits.
        scaled = gathered[:, place]
        scaled *= factor
        value = conversion.values[place]
        result += scaled if value == 1 else scaled * np.float64(value)
    return result
