"""An answer in runs: parts of a model, mapped one by one, that follow each other on one chip or on chips in a row.

A run is some of the steps in a row, with a solution as any other. The file names the runs' solutions, which lie beside
it, by the hash of their content; they are written first, and the header that names them then takes the place of the
old one in one step.
"""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeAlias, TypeVar

from pydantic import Field, ValidationError

from cimsolve.errors import InputError
from cimsolve.files import json_file
from cimsolve.files.kinds import CHIPS, ROUNDS, demand_kind, kind_of
from cimsolve.files.lines import Line
from cimsolve.model.model import SOURCE
from cimsolve.model.part import kept_elements
from cimsolve.problem.problem import Problem, found_once
from cimsolve.problem.question import Question, question_from
from cimsolve.problem.solution import (
    HEADER_BYTES_MAX,
    TABLES,
    BoundEntry,
    Integer,
    Number,
    Part,
    Solution,
    Text,
    read_solution,
    write_solution,
)
from cimsolve.problem.terms import Terms, is_absent

ROUNDS_FORMAT = "cimsolve-rounds/1"
CHIPS_FORMAT = "cimsolve-chips/1"
RUNS_MAX = 100_000


class RunEntry(Part):
    """One run: its steps, from `first` to before `end`, and the file beside this one that maps them.

    Or `like`: the number of an earlier run of equal steps, whose file maps these too.
    """

    first: Annotated[int, Field(strict=True, ge=0, le=10**6)]
    end: Annotated[int, Field(strict=True, ge=1, le=10**6)]
    file: Annotated[Line | None, Field(exclude_if=is_absent)] = None
    sha256: Annotated[str | None, Field(pattern="^[0-9a-f]{64}$", exclude_if=is_absent)] = None
    like: Annotated[int | None, Field(strict=True, ge=0, exclude_if=is_absent)] = None


class WrittenRun(RunEntry):
    """A run whose weights are written before it."""

    write_cycles: Integer


class _PlanHeader(Part):
    """What the file of any answer in runs holds beside the runs."""

    format: Line
    hw: dict[str, Any]
    model_name: Line
    model: dict[str, Any]
    structure: dict[str, Text]
    objective: Annotated[list[Line], Field(min_length=1)]
    options: Terms
    strategy: Line
    seed: Integer
    metrics: dict[str, Integer | Number]
    bounds: dict[str, BoundEntry]
    versions: dict[Line, Line]

    @property
    def kind(self) -> str:
        """`rounds` or `chips`."""
        return self.format.removeprefix("cimsolve-").partition("/")[0]


class RoundsHeader(_PlanHeader):
    """What the file of an answer in rounds holds: runs of one chip, whose weights are written one after the other."""

    format: Literal["cimsolve-rounds/1"]
    double: Annotated[bool, Field(strict=True)]
    """Whether a run is written while the one before it computes, on arrays that this one leaves."""
    batch: Annotated[int, Field(strict=True, ge=1, le=10**9)]
    runs: Annotated[list[WrittenRun], Field(min_length=1, max_length=RUNS_MAX)]


class ChipsHeader(_PlanHeader):
    """What the file of an answer on chips in a row holds: each run lies on a chip of its own."""

    format: Literal["cimsolve-chips/1"]
    chips: Annotated[int, Field(strict=True, ge=1, le=RUNS_MAX)]
    """Most chips that were allowed."""
    runs: Annotated[list[RunEntry], Field(min_length=1, max_length=RUNS_MAX)]


AnyHeader: TypeAlias = RoundsHeader | ChipsHeader
HeaderOf = TypeVar("HeaderOf", bound=AnyHeader, covariant=True)
HEADERS: Mapping[str, type[AnyHeader]] = {ROUNDS: RoundsHeader, CHIPS: ChipsHeader}
"""Kind of file -> what it holds."""


@dataclass(frozen=True)
class Plan(Generic[HeaderOf]):
    """An answer in runs: a header, and the solution of each run; equal runs have one."""

    header: HeaderOf
    runs: Sequence[Solution]

    def question(self) -> Question:
        """The question that it claims to answer. Raises InputError where it is unsound."""
        return question_from({name: getattr(self.header, name) for name in Question.KEYS})


Rounds: TypeAlias = Plan[RoundsHeader]
Chips: TypeAlias = Plan[ChipsHeader]
AnyPlan: TypeAlias = Plan[AnyHeader]


def run_problem(problem: Problem, first: int, end: int) -> Problem:
    """What a run of these steps is asked: the question of the whole for a part, on all arrays of the chip.

    Arrays are there whether or not a run uses them, so they are no objective.
    """
    objective = tuple(item for item in problem.objective if item != "arrays") or ("latency",)
    return problem.asking(steps=f"{first}:{end}", objective=objective)


@found_once
def kept_between(problem: Problem) -> tuple[int, ...]:
    """Elements that a token keeps before each step, where a run may end."""
    return kept_elements(problem.model)


def first_decoding(problem: Problem, ends: Sequence[int]) -> int:
    """The first of the runs, which end before the steps `ends`, that a sequence passes for each token it decodes.

    The source of an encoder-decoder has been there once.
    """
    return next(number for number, end in enumerate(ends) if problem.model.steps[end - 1].pass_name != SOURCE)


def decoding_cycles(problem: Problem, latency: int, metrics: Mapping[str, int | float]) -> int:
    """What a run of this `latency` takes in a sequence that decodes: what it has of the source's pass left out."""
    decoding_ns = metrics.get("decode_latency_ns")
    return latency if decoding_ns is None else round(decoding_ns * 1000 / problem.hardware.clock_ps)


def write_plan(plan: AnyPlan, path: Path) -> list[Path]:
    """Write an answer in runs, whole or not at all; returns the files written."""
    entries, written = [], []
    for number, (entry, solution) in enumerate(zip(plan.header.runs, plan.runs, strict=True), 1):
        if entry.like is not None:
            entries.append(entry)
            continue
        name = f"{path.stem}.run{number:0{len(str(len(plan.runs)))}d}.{_hash_of(solution)}.json"
        files = write_solution(solution, path.with_name(name))
        sha256 = hashlib.sha256(files[0].read_bytes()).hexdigest()
        entries.append(entry.model_copy(update={"file": name, "sha256": sha256}))
        written += files
    header = plan.header.model_copy(update={"runs": entries})
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


def is_plan(path: Path) -> bool:
    """Whether a file says that it is an answer in runs; whatever else it is, is for its reader to tell."""
    try:
        return kind_of(json_file.read_json(path, HEADER_BYTES_MAX)) in HEADERS
    except InputError:
        return False


def read_plan(path: Path) -> AnyPlan:
    """Read an answer in runs with its runs, whether its claims hold or not. Raises InputError where it is none."""
    content = json_file.read_json(path, HEADER_BYTES_MAX)
    kind = kind_of(content)
    if kind not in HEADERS:
        demand_kind(content, ROUNDS, str(path))
    form = HEADERS.get(kind or ROUNDS, RoundsHeader)
    try:
        header = form.model_validate(content)
    except ValidationError as error:
        raise InputError(json_file.first_problem(error, str(path), form)) from None
    runs: list[Solution] = []
    for number, entry in enumerate(header.runs):
        if entry.like is not None:
            if entry.file is not None or entry.like >= number:
                raise InputError(f"{path}: runs.{number}.like: {entry.like}: expected an earlier run, and no file")
            runs.append(runs[entry.like])
            continue
        if not entry.file or Path(entry.file).name != entry.file:
            raise InputError(f"{path}: runs.{number}.file: {entry.file!r}: expected a plain name of a file beside it")
        beside = path.with_name(entry.file)
        try:
            found = hashlib.sha256(beside.read_bytes()).hexdigest()
        except OSError as error:
            raise InputError(f"{beside}: cannot be read ({error.strerror}); {path.name} names it as a run") from None
        if found != entry.sha256:
            raise InputError(f"{beside}: is not the run that {path.name} names: its SHA-256 differs; solve again")
        runs.append(read_solution(beside))
    return Plan(header, runs)


def read_answer(path: Path) -> Solution | AnyPlan:
    """The solution or the answer in runs of a file. Raises InputError where it is neither."""
    return read_plan(path) if is_plan(path) else read_solution(path)


def answer_of(answer: Solution | AnyPlan | Path | str) -> Solution | AnyPlan:
    """A solution or an answer in runs, read where it is given by its file; raises InputError for another file."""
    return read_answer(Path(answer)) if isinstance(answer, (Path, str)) else answer


def write_answer(answer: Solution | AnyPlan, path: Path) -> list[Path]:
    """Write either, whole or not at all; returns the files written."""
    return write_solution(answer, path) if isinstance(answer, Solution) else write_plan(answer, path)
