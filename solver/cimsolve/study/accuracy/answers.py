"""How near a model's answers are to those of the float model; the table of that, a row for each way of storing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from cimsolve.columns import Floats, Ints
from cimsolve.errors import InputError
from cimsolve.study.accuracy.question import AccuracyStep, Storage
from cimsolve.study.sweep.kept import KeptRecord
from cimsolve.weights.forward import Reference
from cimsolve.weights.forward.bert import BertReference
from cimsolve.weights.forward.language import LanguageModel
from cimsolve.weights.tensors import Floats32


@dataclass(frozen=True)
class Accuracy:
    """How near a model's answers are to the float model's; None where the family has no such answer, or no number."""

    cosine: float | None = None
    """Mean cosine between sentence embeddings, means over tokens (BERT)."""
    perplexity: float | None = None
    """exp of the mean of -ln p(next token)."""
    agreement: float | None = None
    """Share of tokens after which the most probable next token is the float model's."""
    error: float | None = None
    """Standard error of the cosine, over sequences, or of ln(perplexity / the float model's), over tokens.

    None for a single one.
    """


class Judge:
    """Compares hidden states by other products with those of the float model, which it has read once."""

    def __init__(self, reference: Reference, sequences: Sequence[Ints], exact: Floats32) -> None:
        """`exact`: hidden states (tokens, width) by the float product.

        Raises InputError for a language model and sequences of single tokens, and for answers that are no numbers.
        """
        self._reference, self._sequences = reference, sequences
        if isinstance(reference, BertReference):
            self._embeddings = reference.embed(exact, sequences).astype(np.float64)
            sound = np.isfinite(self._embeddings).all()
        else:
            assert isinstance(reference, LanguageModel)
            self._losses, self._next_tokens = reference.predictions(exact, sequences)
            sound = np.isfinite(self._losses).all()
        if not sound:
            what = "embeddings" if isinstance(reference, BertReference) else "logits"
            raise InputError(
                f"{reference.model.name}: the float model's own {what} are zero, NaN or infinite; check its weights"
            )

    def __call__(self, hidden: Floats32) -> Accuracy:
        if not np.isfinite(hidden).all():
            return Accuracy()  # the first of next tokens that are all NaN would agree by chance
        if isinstance(self._reference, BertReference):
            found = self._reference.embed(hidden, self._sequences).astype(np.float64)
            cosines = np.einsum("sd,sd->s", found, self._embeddings)
            return Accuracy(cosine=float(cosines.mean()), error=standard_error(cosines))
        assert isinstance(self._reference, LanguageModel)
        losses, next_tokens = self._reference.predictions(hidden, self._sequences)
        if not np.isfinite(losses).all():
            return Accuracy()
        with np.errstate(over="ignore"):  # infinite is what it is then
            perplexity = float(np.exp(losses.mean()))
        same = next_tokens == self._next_tokens
        return Accuracy(None, perplexity, float(same.mean()), standard_error(losses - self._losses))


def standard_error(values: Floats) -> float | None:
    """Standard error of the mean of `values`; None for a single value."""
    return None if len(values) < 2 else float(values.std(ddof=1) / len(values) ** 0.5)


def compare(reference: Reference, sequences: Sequence[Ints], exact: Floats32, hidden: Floats32) -> Accuracy:
    """`exact` and `hidden`: hidden states (tokens, width) by the float product and by another. Raises as `Judge`."""
    return Judge(reference, sequences, exact)(hidden)


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
    left_dense: Sequence[str] = ()
    """Linears that are dense in every row, as the blocks do not divide a side of theirs."""

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
