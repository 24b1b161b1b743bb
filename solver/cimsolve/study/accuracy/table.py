"""What was measured: a row for each way of storing, its figures by step; and the rows kept from run to run."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from cimsolve.errors import InputError
from cimsolve.files.json_file import read_json, write_json_atomically
from cimsolve.study.accuracy.answers import Accuracy
from cimsolve.study.accuracy.question import AccuracyStep, Storage
from cimsolve.study.sweep.point import code_fingerprint

ROW_BYTES_MAX = 2**20


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


class _Answers(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    cosine: float | None
    perplexity: float | None
    agreement: float | None
    error: float | None


class _Record(BaseModel):
    """A row in a file; what its digest stands for is not in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["cimsolve-accuracy-row/1"] = "cimsolve-accuracy-row/1"
    digest: str
    stored_weights: int
    metrics: dict[str, int | float]
    figures: dict[str, _Answers]
    processor_s: float


class KeptRows:
    """A folder of rows, each named by the digest of all that its figures depend on; None keeps nothing."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def read(self, digest: str, storage: Storage) -> AccuracyRow | None:
        """The row of this digest; None where there is none that can be read, so that it is measured again."""
        if self._folder is None or not (path := self._path(self._folder, digest)).is_file():
            return None
        try:
            found = _Record.model_validate(read_json(path, ROW_BYTES_MAX))
        except (InputError, ValidationError):
            return None
        if found.digest != digest:
            return None
        figures = {name: Accuracy(**each.model_dump()) for name, each in found.figures.items()}
        return AccuracyRow(storage, found.stored_weights, found.metrics, figures, found.processor_s)

    def write(self, digest: str, row: AccuracyRow) -> None:
        """Raises InputError where it cannot be written."""
        if self._folder is None:
            return
        found = _Record(
            digest=digest,
            stored_weights=row.stored_weights,
            metrics=dict(row.metrics),
            figures={name: _Answers(**asdict(each)) for name, each in row.figures.items()},
            processor_s=row.processor_s,
        )
        write_json_atomically(self._path(self._folder, digest), found.model_dump())

    @staticmethod
    def _path(folder: Path, digest: str) -> Path:
        return folder / f"accuracy-{digest}.json"


def with_figures(row: AccuracyRow, found: Mapping[str, Accuracy], processor_s: float) -> AccuracyRow:
    """More figures of a row; what is not a finite number is None."""
    checked = {
        name: Accuracy(**{key: value if value is not None and math.isfinite(value) else None for key, value in all_of})
        for name, all_of in ((name, asdict(each).items()) for name, each in found.items())
    }
    return replace(row, figures={**row.figures, **checked}, processor_s=round(row.processor_s + processor_s, 3))


def digest_of(content: Mapping[str, Any]) -> str:
    """32 hexadecimal digits of plain data and of the code and libraries that measure."""
    text = json.dumps({**content, "code": code_fingerprint()}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
