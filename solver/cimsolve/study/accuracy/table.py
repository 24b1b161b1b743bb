"""What was measured: a row for each way of storing, its figures by step; and the rows kept from run to run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from cimsolve.study.accuracy.answers import Accuracy
from cimsolve.study.accuracy.question import AccuracyStep, Storage
from cimsolve.study.sweep.point import KeptRecord


@dataclass(frozen=True)
class AccuracyRow:
    """One way of storing a model's linears."""

    storage: Storage
    stored_weights: int
    metrics: Mapping[str, int | float]
    """Metrics of the mapping, by their names in solutions: `arrays`, `adc_bits_max`, `latency_ns`, `energy_pj`."""
    figures: Mapping[str, Accuracy]
    """Name of a step -> what it loses, for the steps that have been run."""
    processor_s: float
    """Time of one processor for fitting and running."""


@dataclass(frozen=True)
class AccuracyTable:
    """All that was measured of a model on a chip."""

    model: str
    hardware: str
    linears: int
    weights: int
    """Number of weights of all linears, dense."""
    weight_bits: int
    input_bits: int
    steps: Sequence[AccuracyStep]
    float_model: Accuracy
    rows: Sequence[AccuracyRow]
    test_sequences: int
    test_tokens: int
    fitted_tokens: int
    calibration_tokens: int
    vocabulary: int

    @property
    def embeds(self) -> bool:
        """Whether the figure is a cosine of embeddings; else it is a perplexity and a share of next tokens."""
        return self.float_model.cosine is not None

    def compression(self, row: AccuracyRow) -> float:
        """Dense weights per stored weight."""
        return self.weights / row.stored_weights


class KeptRow(KeptRecord):
    """A row in a file; what its digest stands for is not in it."""

    format: Literal["cimsolve-accuracy-row/1"] = "cimsolve-accuracy-row/1"
    stored_weights: int
    metrics: dict[str, int | float]
    figures: dict[str, Accuracy]
    processor_s: float

    @classmethod
    def of(cls, digest: str, row: AccuracyRow) -> KeptRow:
        """The row, to be kept under a digest of all that its figures depend on."""
        return cls(digest=digest, **{name: value for name, value in vars(row).items() if name != "storage"})

    def row(self, storage: Storage) -> AccuracyRow:
        """The row of this way of storing."""
        return AccuracyRow(storage, self.stored_weights, self.metrics, self.figures, self.processor_s)


def with_figures(row: AccuracyRow, found: Mapping[str, Accuracy], processor_s: float) -> AccuracyRow:
    """More figures of a row; what is not a finite number is None."""
    checked = {
        name: Accuracy(**{key: value if math.isfinite(value or 0.0) else None for key, value in vars(each).items()})
        for name, each in found.items()
    }
    return replace(row, figures={**row.figures, **checked}, processor_s=round(row.processor_s + processor_s, 3))
