"""Where a training stands, in one file written whole: numbers as safetensors, the rest as JSON in its metadata.

Whoever is killed goes on from it with the same bytes; it is gone once the factors are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.numpy import save_file

from cimsolve.errors import InputError
from cimsolve.files.json_file import first_problem, parse_json_text
from cimsolve.files.whole import written_whole
from cimsolve.weights.tensors import Floats32, Tensors, read_header

FORMAT = "cimsolve-finetune/1"


class Look(BaseModel):
    """One look at held-out text."""

    model_config = ConfigDict(frozen=True)
    step: int
    loss: float | None
    """Mean of the steps since the last look; None before the first step."""
    held_out: float
    """How far the answers are from the teacher's."""


class TrainingState(BaseModel):
    """How far a training is."""

    digest: str
    """Of all that it rests on."""
    step: int = 0
    sequences: int = 0
    """Read, each as often as it was."""
    tokens: int = 0
    losses: list[float] = []
    """Of the steps since the last look."""
    looks: list[Look] = []

    @property
    def best(self) -> Look:
        """The look at which answers were nearest, the first of several."""
        return min(self.looks, key=lambda look: look.held_out)


class Checkpoint:
    """The file beside `out` that holds where the training of `out` stands."""

    def __init__(self, out: Path) -> None:
        self.path = out.with_name(f"{out.stem}.checkpoint.safetensors")

    def read(
        self, digest: str, shapes: Mapping[str, tuple[int, ...]]
    ) -> tuple[TrainingState, Mapping[str, Floats32]] | None:
        """Where the training of this digest stands, with tensors of these names and shapes; None where none began.

        Raises InputError for a file that is damaged, or of a training that rests on something else.
        """
        if not self.path.exists():
            return None
        entries, metadata = read_header(self.path)
        advice = "remove it to begin anew"
        try:
            at = TrainingState.model_validate(parse_json_text(metadata.get(FORMAT, "")))
        except ValidationError as error:
            raise InputError(f"{first_problem(error, str(self.path), TrainingState)}; {advice}") from None
        except (ValueError, RecursionError):
            raise InputError(f"{self.path}: is no checkpoint of cimsolve finetune; {advice}") from None
        if at.digest != digest:
            raise InputError(
                f"{self.path}: belongs to a training by other options, text, weights or factors; give those again, "
                f"or {advice}"
            )
        if {name: entry.shape for name, entry in entries.items()} != dict(shapes):
            raise InputError(f"{self.path}: holds other tensors than the training moves; {advice}")
        tensors = Tensors(self.path, entries)
        return at, {name: tensors.tensor(name) for name in shapes}

    def write(self, at: TrainingState, tensors: Mapping[str, Floats32]) -> None:
        """Keep where the training stands. Raises InputError where that cannot be written."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written ({error.strerror}); choose another place") from None
        with written_whole(self.path, str(self.path)) as written:
            save_file(dict(tensors), written, {FORMAT: at.model_dump_json()})

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
