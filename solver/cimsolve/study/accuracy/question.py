"""What is measured: a model's real weights, ways of storing them, a chip, converters, a text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cimsolve.chip.spec import Hardware
from cimsolve.errors import InputError
from cimsolve.files.text import demand_known, plain_name
from cimsolve.judge.names import CONVERTER_BITS_MAX, Range, Scale, WeightScale
from cimsolve.judge.simulate.converters import full_scale
from cimsolve.study import names
from cimsolve.study.names import ACCURACY_METHODS, DENSE, FACTORS
from cimsolve.weights.names import SAMPLES_DEFAULT


@dataclass(frozen=True)
class Storage:
    """One way of storing all linears; `compression`, times fewer weights as asked for, is None for dense.

    So it is where `file` has the factors.
    """

    method: str
    compression: float | None = None
    file: str | None = None

    def __str__(self) -> str:
        if self.file is not None:
            return plain_name(Path(self.file).stem)
        return self.method if self.compression is None else f"{self.method} {self.compression:g}x"


@dataclass(frozen=True)
class AccuracyStep:
    """One run of the model: on the way from float weights to few-bit converters each loses something of its own.

    `float`: as stored, without arrays. `lossless`: weights and inputs quantised, converters that lose nothing. `full`
    and `calibrated`: converters of at most `bits` bits over that range; None: the bits that the spec's rule gives.
    """

    kind: Literal["float", "lossless", "full", "calibrated"]
    bits: int | None = None

    @property
    def name(self) -> str:
        if self.kind in ("float", "lossless"):
            return self.kind
        return f"{self.kind} {'rule' if self.bits is None else self.bits}"

    def converters(self) -> dict[str, Any]:
        """Options as of `ArraySimulator.with_converters`. Raises ValueError for `float`, which has none."""
        if self.kind == "float":
            raise ValueError("no converters without arrays")
        if self.kind == "lossless":
            return {"rounds": False, "clips": False}
        wide: Range = "full" if self.kind == "full" else "calibrated"
        return {"adc_bits_max": self.bits, "adc_range": wide}


@dataclass(frozen=True, kw_only=True)
class AccuracyQuestion:
    """What is measured of a model on a chip; raises InputError for unknown methods and numbers out of range."""

    folder: Path
    hardware: Hardware
    methods: Sequence[str] = ACCURACY_METHODS
    compressions: Sequence[float] = names.COMPRESSIONS_DEFAULT
    """Times fewer weights than dense; each method but `dense` is run at each."""
    blocks: tuple[int, int] = names.BLOCKS_DEFAULT
    """k and l of all factors; the rank T of each linear follows from the compression."""
    factors: Sequence[Path | str] = ()
    """Files of factors, each of which is run too."""
    bits: Sequence[int] = names.BITS_DEFAULT
    text: Sequence[Path | str] = ("sample",)
    samples: int = SAMPLES_DEFAULT
    """Most tokens of the text."""
    test_tokens: int = names.TEST_TOKENS_DEFAULT
    """About the most of those held out that the model is tested on."""
    calibration_tokens: int = names.CALIBRATION_TOKENS_DEFAULT
    """How many tokens that are not tested set the ranges of converters."""
    weight_scale: WeightScale = "column"
    input_scale: Scale = "token"
    seed: int = 0

    def __post_init__(self) -> None:
        for method in self.methods:
            demand_known("method", method, ACCURACY_METHODS)
        ranges: tuple[tuple[str, Sequence[int], int, float], ...] = (
            ("bits", self.bits, 1, CONVERTER_BITS_MAX),
            ("blocks", self.blocks, 1, math.inf),
            ("samples", (self.samples,), 1, math.inf),
            ("test_tokens", (self.test_tokens,), 1, math.inf),
            ("calibration_tokens", (self.calibration_tokens,), 1, math.inf),
            ("seed", (self.seed,), 0, math.inf),
        )
        for what, values, least, most in ranges:
            for value in values:
                if not least <= value <= most:
                    upper = "" if most == math.inf else f" to {most}"
                    raise InputError(f"{what} = {value}: expected a whole number from {least}{upper}")
        for times in self.compressions:
            if not 1 <= times < math.inf:
                raise InputError(f"compression = {times:g}: expected a number from 1, times fewer weights")
        if not self.methods and not self.factors:
            raise InputError(f"methods: none given; expected some of {', '.join(ACCURACY_METHODS)}")
        if {*self.methods} - {DENSE} and not self.compressions:
            raise InputError("compressions: none given; expected a number from 1, times fewer weights")

    def storages(self) -> list[Storage]:
        """All ways of storing, dense first, then by compression; each once."""
        factored = [method for method in self.methods if method != DENSE]
        found = [Storage(DENSE)] if DENSE in self.methods else []
        found += [Storage(method, compression) for compression in self.compressions for method in factored]
        found += [Storage(FACTORS, file=str(file)) for file in self.factors]
        return list(dict.fromkeys(found))

    def steps(self) -> list[AccuracyStep]:
        """What is run of each, in order; the bits of the spec's own rule are among them where they lose something."""
        bits = [None, *self.bits] if loses_by_rule(self.hardware) else list(self.bits)
        limited = [AccuracyStep(kind, each) for kind in ("full", "calibrated") for each in bits]
        return list(dict.fromkeys([AccuracyStep("float"), AccuracyStep("lossless"), *limited]))


def loses_by_rule(hardware: Hardware) -> bool:
    """Whether the spec's rule gives converters too few bits for the sums of some number of rows that it drives."""
    rows = np.arange(1, hardware.rows_limit + 1, dtype=np.int64)
    codes = np.ldexp(1.0, hardware.adc_bits_used(rows)) - 1
    return bool((codes < rows * full_scale(hardware, 1)).any())
