"""An answer in rounds: the runs of a model whose weights are written one run after the other; and its file.

A run is a part of the model, some of its steps in a row, with a solution as any other. The file names the runs'
solutions, which lie beside it, by the hash of their content; they are written first, and the header that names them
then takes the place of the old one in one step.
"""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cimsolve.errors import InputError
from cimsolve.files import json_file
from cimsolve.files.kinds import ROUNDS, demand_kind, kind_of
from cimsolve.files.lines import Line
from cimsolve.problem.problem import Problem
from cimsolve.problem.question import Question, question_from
from cimsolve.problem.solution import (
    HEADER_BYTES_MAX,
    TABLES,
    BoundEntry,
    Integer,
    Number,
    Solution,
    Text,
    read_solution,
    write_solution,
)
from cimsolve.problem.terms import Terms

FORMAT = "cimsolve-rounds/1"
RUNS_MAX = 10_000


class _Stated(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RunEntry(_Stated):
    """One run: its steps, from `first` to before `end`, and the file beside this one that maps them."""

    first: Annotated[int, Field(strict=True, ge=0, le=10**6)]
    end: Annotated[int, Field(strict=True, ge=1, le=10**6)]
    write_cycles: Integer
    file: Line = ""
    sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""


class RoundsHeader(_Stated):
    """What the file of an answer in rounds holds."""

    format: Literal["cimsolve-rounds/1"]
    hw: dict[str, Any]
    model_name: Line
    model: dict[str, Any]
    structure: dict[str, Text]
    objective: Annotated[list[Line], Field(min_length=1)]
    options: Terms
    strategy: Line
    seed: Integer
    double: Annotated[bool, Field(strict=True)]
    """Whether a run is written while the one before it computes, on arrays that this one leaves."""
    batch: Annotated[int, Field(strict=True, ge=1, le=10**9)]
    runs: Annotated[list[RunEntry], Field(min_length=1, max_length=RUNS_MAX)]
    metrics: dict[str, Integer | Number]
    bounds: dict[str, BoundEntry]
    versions: dict[Line, Line]


@dataclass(frozen=True)
class Rounds:
    """An answer in rounds: a header, and the solution of each run."""

    header: RoundsHeader
    runs: Sequence[Solution]

    def question(self) -> Question:
        """The question that it claims to answer. Raises InputError where it is unsound."""
        return question_from({name: getattr(self.header, name) for name in Question.KEYS})


def run_problem(problem: Problem, first: int, end: int) -> Problem:
    """What a run of these steps is asked: the question of the whole for a part, on all arrays of the chip.

    Arrays are there whether or not a run uses them, so they are no objective.
    """
    objective = tuple(item for item in problem.objective if item != "arrays") or ("latency",)
    return problem.asking(steps=f"{first}:{end}", objective=objective)


def write_rounds(rounds: Rounds, path: Path) -> list[Path]:
    """Write an answer in rounds, whole or not at all; returns the files written."""
    entries, written = [], []
    for number, (entry, solution) in enumerate(zip(rounds.header.runs, rounds.runs, strict=True), 1):
        name = f"{path.stem}.run{number:0{len(str(len(rounds.runs)))}d}.{_hash_of(solution)}.json"
        files = write_solution(solution, path.with_name(name))
        sha256 = hashlib.sha256(files[0].read_bytes()).hexdigest()
        entries.append(entry.model_copy(update={"file": name, "sha256": sha256}))
        written += files
    header = rounds.header.model_copy(update={"runs": entries})
    json_file.write_json_atomically(path, header.model_dump(by_alias=True))
    ours = f"{glob.escape(path.stem)}.run*.{'[0-9a-f]' * 12}*"
    for other in path.parent.glob(ours):
        if other not in written:
            other.unlink(missing_ok=True)
    return [path, *written]


def _hash_of(solution: Solution) -> str:
    """Twelve digits of what a solution holds: equal ones have equal names."""
    found = hashlib.sha256(json.dumps(solution.header.model_dump(mode="json", by_alias=True), sort_keys=True).encode())
    for name in TABLES:
        for column in vars(getattr(solution, name)).values():
            found.update(column.tobytes())
    return found.hexdigest()[:12]


def is_rounds(path: Path) -> bool:
    """Whether a file says that it is an answer in rounds; whatever else it is, is for its reader to tell."""
    try:
        content = json_file.read_json(path, HEADER_BYTES_MAX)
    except InputError:
        return False
    return isinstance(content, dict) and kind_of(content) == ROUNDS


def read_rounds(path: Path) -> Rounds:
    """Read an answer in rounds with its runs, whether its claims hold or not. Raises InputError where it is none."""
    content = json_file.read_json(path, HEADER_BYTES_MAX)
    demand_kind(content, ROUNDS, str(path))
    try:
        header = RoundsHeader.model_validate(content)
    except ValidationError as error:
        raise InputError(json_file.first_problem(error, str(path), RoundsHeader)) from None
    runs = []
    for number, entry in enumerate(header.runs):
        if Path(entry.file).name != entry.file or not entry.file:
            raise InputError(f"{path}: runs.{number}.file: {entry.file!r}: expected a plain name of a file beside it")
        beside = path.with_name(entry.file)
        try:
            found = hashlib.sha256(beside.read_bytes()).hexdigest()
        except OSError as error:
            raise InputError(f"{beside}: cannot be read ({error.strerror}); {path.name} names it as a run") from None
        if found != entry.sha256:
            raise InputError(f"{beside}: is not the run that {path.name} names: its SHA-256 differs; solve again")
        runs.append(read_solution(beside))
    return Rounds(header, runs)
