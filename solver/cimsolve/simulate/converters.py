"""What the converters make of a column's sum.

An activation whose fullest read column has n occupied driven cells has the full scale

    F = n * (2^dac_bits - 1) * (2^cell.bits - 1).

Let b be the bits that the activation claims and e = max(b, the bits that the spec's rule gives n rows). If e
bits count to F, the converter's step is 1; otherwise it is F / (2^e - 1). The code is sum/step, rounded to
the nearest integer and clipped to 0 ... 2^b - 1, and stands for code * step. Hence

- enough bits convert exactly;
- a claim below the rule keeps the rule's step but not its range: it saturates, and wrong numbers come out;
- where the rule itself gives too few bits (log2_rows, or bits_max reached) the error is the rounding's.

The ideal converter has the same range and no rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cimsolve.arrays import Bools, Floats, Ints
from cimsolve.hardware import Hardware

BITS_MEANT = 50
"""Claims above it convert alike: no column's sum has more bits."""


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
    def of(cls, hardware: Hardware, stacked: Ints, claimed_bits: Ints) -> Converters:
        """`stacked` is n of each activation, at least 1."""
        levels = (2**hardware.input.dac_bits - 1) * (2**hardware.cell.bits - 1)
        full = stacked.astype(np.float64) * levels
        claimed = np.clip(claimed_bits, 0, BITS_MEANT)
        effective = np.maximum(claimed, hardware.adc_bits_used(stacked))
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
