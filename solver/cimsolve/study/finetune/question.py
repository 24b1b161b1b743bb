"""What is to be tuned, on what text and for how long; and what came of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cimsolve.chip.spec import Hardware
from cimsolve.errors import InputError
from cimsolve.files.text import demand_known
from cimsolve.study.accuracy.answers import Accuracy
from cimsolve.study.finetune.checkpoint import Look
from cimsolve.study.names import (
    BATCH_DEFAULT,
    DEVICES,
    LAYERWISE_DEFAULT,
    RATE_DEFAULT,
    STEPS_DEFAULT,
    TUNE_SAMPLES_DEFAULT,
    TUNE_TEST_TOKENS_DEFAULT,
)

Listen = Callable[[str], None]
"""Told what runs now."""


@dataclass(frozen=True, kw_only=True)
class FinetuneQuestion:
    """A model, its factors and how they are tuned; raises InputError for numbers out of range."""

    folder: Path
    factors: Path
    out: Path
    text: Sequence[Path | str] = ("sample",)
    hardware: Hardware | None = None
    """Weights and inputs are rounded as the arrays of this chip will."""
    test_text: Sequence[Path | str] = ()
    """Kinds of text that nothing is tuned on."""
    self_text: int = 0
    """About so many tokens that the dense model writes, beside the texts."""
    samples: int = TUNE_SAMPLES_DEFAULT
    """Most tokens of all texts."""
    test_tokens: int = TUNE_TEST_TOKENS_DEFAULT
    """About the most tokens of each text that are tested."""
    steps: int = STEPS_DEFAULT
    batch: int = BATCH_DEFAULT
    """About the tokens of a step."""
    layerwise: float = LAYERWISE_DEFAULT
    """Share of the steps in which each layer learns by itself."""
    rate: float = RATE_DEFAULT
    """Of AdamW for factors, at its highest; norms and biases move at `BESIDE_RATE` of it."""
    seed: int = 0
    device: str = DEVICES[0]
    threads: int = 1
    """Of the CPU. Sums depend on how they are shared out: other bytes for another number."""

    def __post_init__(self) -> None:
        demand_known("device", self.device, DEVICES)
        ranges = (
            ("self_text", self.self_text, 0, math.inf),
            ("samples", self.samples, 1, math.inf),
            ("test_tokens", self.test_tokens, 1, math.inf),
            ("steps", self.steps, 1, math.inf),
            ("batch", self.batch, 1, math.inf),
            ("seed", self.seed, 0, math.inf),
            ("threads", self.threads, 1, math.inf),
            ("layerwise", self.layerwise, 0, 1),
        )
        for what, value, least, most in ranges:
            if not least <= value <= most:
                raise InputError(
                    f"{what} = {value:g}: expected a number from {least}" + ("" if most == math.inf else f" to {most}")
                )
        if not 0 < self.rate < math.inf:
            raise InputError(f"rate = {self.rate:g}: expected a number above 0, such as {RATE_DEFAULT:g}")
        if self.out.resolve() == self.factors.resolve():
            raise InputError(f"{self.out}: holds the factors that are tuned; expected another name to write to")
        if not self.text:
            raise InputError("text: none given; expected one or more files, or `sample`")


@dataclass(frozen=True)
class Kind:
    """One kind of text that was only tested: the float model's answers, and those before and after."""

    text: str
    tuned_on: bool
    """Whether other paragraphs of it were learnt from."""
    tokens: int
    exact: Accuracy
    before: Accuracy
    after: Accuracy


@dataclass(frozen=True)
class FinetuneFound:
    """What came of it: kinds of text, and how the training went."""

    model: str
    weights: int
    """Number of weights of all linears, dense."""
    stored_weights: int
    kinds: Sequence[Kind]
    steps: int
    """Steps made, fewer than asked for where held-out text said so."""
    best_step: int
    """The step whose factors were kept."""
    tokens: int
    """Tokens learnt from, each as often as it was read."""
    distinct_tokens: int
    tokens_per_s: float
    """Of the steps of this call, not of those before an interruption."""
    looks: Sequence[Look]
