"""What the converters make of a column's sum.

An activation whose fullest read column has n occupied driven cells has the full scale

    F = n * (2^dac_bits - 1) * (2^cell.bits - 1).

Let b be the bits that the activation claims and e = max(b, the bits that the spec's rule gives n rows). If e
bits count to F, the converter's step is 1; otherwise it is F / (2^e - 1). The code is sum/step, rounded to
the nearest integer and clipped to 0 ... 2^b - 1, and stands for code * step. Hence

- enough bits convert exactly;
- a claim below the rule keeps the rule's step but not its range: it saturates, and wrong numbers come out;
- where the rule itself gives too few bits (log2_rows, or bits_max reached) the error is the rounding's.

The ideal converter has the same range and no rounding. A study may give all converters fewer bits, or a range of
only a share of F, which then takes its place above.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cimsolve.chip.spec import Hardware
from cimsolve.columns import Bools, Floats, Ints

BITS_MEANT = 50
"""Claims above it convert alike: no column's sum has more bits."""


def full_scale(hardware: Hardware, stacked: int) -> int:
    """F of `stacked` rows, the largest sum that they can have."""
    levels: int = (2**hardware.input.dac_bits - 1) * (2**hardware.cell.bits - 1)
    return stacked * levels


@dataclass(frozen=True)
class Converters:
    """The converter settings of each activation, shape (activations,)."""

    exact: Bools
    """The step is 1: nothing is lost unless the claim is below the rule."""
    step: Floats
    code_max: Floats
    value_max: Floats
    """The largest sum that the ideal converter passes on."""

    @classmethod
    def of(
        cls, hardware: Hardware, stacked: Ints, claimed_bits: Ints, bits_max: int = BITS_MEANT, share: float = 1.0
    ) -> Converters:
        """`stacked` is n of each activation, at least 1.

        `bits_max` lowers claim and rule alike; with a `share` below 1 the range is that share of F.
        """
        full = stacked.astype(np.float64) * full_scale(hardware, 1) * share
        claimed = np.clip(claimed_bits, 0, min(bits_max, BITS_MEANT))
        effective = np.maximum(claimed, np.minimum(hardware.adc_bits_used(stacked), bits_max))
        codes = np.ldexp(1.0, effective) - 1
        exact = codes >= full
        step = np.where(exact, 1.0, full / codes)
        code_max = np.ldexp(1.0, claimed) - 1
        # code_max * step would miss F by a rounding error where the claim is the one that sets the step.
        whole_range = ~exact & (claimed == effective)
        value_max = np.where(whole_range, full, np.floor(code_max * step))
        return cls(exact, step, code_max, value_max)

    def convert(self, sums: npt.NDArray[Any], of: Ints, ideal: bool) -> npt.NDArray[Any]:
        """Converted column sums; `sums` has shape (groups, ..., ...), `of` the activation of each group."""
        if ideal or self.exact[of].all():
            return np.asarray(np.minimum(sums, self.value_max[of].astype(sums.dtype)[:, None, None], out=sums))
        step = self.step[of][:, None, None]
        codes = np.rint(sums / step)
        np.minimum(codes, self.code_max[of][:, None, None], out=codes)
        return np.asarray(codes * step)


@dataclass(frozen=True)
class WindowConverters:
    """What the converters of a group of windows do to a sum: code = sum / step, rounded, clipped to `low` ... `high`.

    Without `rounds`, the code is any real number; without `clips`, of any size.
    """

    steps: Floats
    """Step of each of the q physical columns of a weight, shape (q,)."""
    low: float
    high: float
    rounds: bool = True
    clips: bool = True

    @property
    def values(self) -> Floats:
        """What one code of each column stands for, shape (q,)."""
        return self.steps if self.rounds else np.ones_like(self.steps)

    def apply(
        self, sums: npt.NDArray[Any], gain: npt.NDArray[Any] | None, offset: npt.NDArray[Any] | None, whole: bool
    ) -> None:
        """Turn `sums`, (windows, q, c, tokens), into multiples of `values`, in place.

        `gain`, and `offset` in codes, have shape (windows, q, c, 1). `whole` says that sums are whole numbers: those
        of step 1 are codes already, but for clipping.
        """
        # What is clipped is a code, or, where codes are not whole, the sum that it stands for.
        unit = (self.steps / self.values).astype(sums.dtype)[:, None, None]
        if not (whole and (self.steps == 1).all()):
            if gain is not None:
                sums *= gain
            if (self.values != 1).any():
                sums *= (1 / self.values).astype(sums.dtype)[:, None, None]
            if offset is not None:
                sums += offset * unit
            if self.rounds:
                np.rint(sums, out=sums)
        if self.clips:
            np.clip(sums, self.low * unit, self.high * unit, out=sums)
