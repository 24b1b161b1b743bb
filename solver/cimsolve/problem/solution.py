"""One answer to one question: a `Solution`, and its file. docs/file-formats.md describes the format.

A JSON header carries the question (hardware, model, structure) and the claims about the answer; the tables
`pieces` and `activations` stand inline while they are small, else in an `.npz` file beside it, bound by its
hash. Two files cannot be replaced at once, so a table's name follows from what it holds: it is written beside the old
one, the header that names it takes the place of the old header in one step, and then the old table goes. Whatever ends
this on its way leaves the old answer or the new one, whole, and at most a table that no header names, which the next
answer of that name removes.
"""

from __future__ import annotations

import glob
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cimsolve.columns import Ints
from cimsolve.errors import InputError
from cimsolve.files import json_file, table_file
from cimsolve.files.kinds import SOLUTION, demand_kind
from cimsolve.files.lines import Line, Visible
from cimsolve.files.text import shown_value
from cimsolve.files.whole import folder_locked
from cimsolve.problem.question import Question, question_from
from cimsolve.problem.tables import Activations, Pieces, Sites
from cimsolve.problem.terms import Terms, is_absent

FORMAT = "cimsolve-solution/1"
INLINE_PIECES_MAX = 100_000
HEADER_BYTES_MAX = 2**28
TABLES = ("pieces", "activations")
SITES = "sites"
"""The table of chips with a network."""

Status = Literal["optimal", "feasible"]
StoppedBy = Literal["interrupt", "time limit"]
"""What ended a search before its end."""
Integer = Annotated[int, Field(strict=True, ge=-(2**62), le=2**62)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Text = Annotated[str, Field(max_length=4096), Visible]


class Part(BaseModel):
    """Some of what a file of answers holds: no other keys, and nothing that changes."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class BoundEntry(Part):
    """`lower`: what no mapping can beat; `gap` = (value - lower) / lower; `proof`: what shows it."""

    value: Integer | Number
    lower: Integer | Number
    gap: Number
    proof: Line


class AfterEntry(Part):
    stage: Integer
    gap_cycles: Integer


class StageEntry(Part):
    id: Integer
    name: Text
    layer: Integer
    pass_name: Text = Field(alias="pass")
    phase: Integer
    after: list[AfterEntry]
    tail_cycles: Integer
    experts_chosen: Annotated[Integer | None, Field(exclude_if=is_absent)] = None
    """Of a stage with experts: so many of them a token fires."""
    positions: Annotated[Integer | None, Field(exclude_if=is_absent)] = None
    """Of a stage that fires more than once in a pass: how many times."""


class FactorEntry(Part):
    id: Integer
    linear: Text
    kind: Literal["dense", "R", "L"]
    layer: Integer
    stage: Integer
    blocks: Integer
    block_rows: Integer
    block_cols: Integer
    cols_per_weight: Integer
    input: Integer
    output: Integer
    expert: Annotated[Integer | None, Field(exclude_if=is_absent)] = None
    """Of a factor of an expert: which of its stage."""
    repeats: Annotated[Integer | None, Field(exclude_if=is_absent)] = None
    """Of a factor that fires weights again: the factor that stores them."""


class Breakdown(Part):
    """The metrics again, by component, by stage and by phase; each sums to its total, exactly.

    `tail` is what stands after the last stage: the same keys as those of `stages` in cycles and pJ.
    """

    latency_cycles: dict[str, Integer]
    energy_pj: dict[str, Number]
    stages: dict[str, list[Integer] | list[Number]]
    tail: dict[str, Integer | Number]
    phases: dict[str, list[Integer]]


class TablesEntry(Part):
    file: Line
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Header(Part):
    """Everything in the JSON file except inline tables."""

    format: Literal["cimsolve-solution/1"]
    hw: dict[str, Any]
    model_name: Line
    model: dict[str, Any]
    structure: dict[str, Text]
    strategy: Line
    objective: Annotated[list[Line], Field(min_length=1)]
    options: Terms
    seed: Integer
    versions: dict[Line, Line]
    status: Status
    bounds: dict[str, BoundEntry]
    stages: list[StageEntry]
    factors: list[FactorEntry]
    metrics: dict[str, Integer | Number]
    breakdown: Breakdown
    stopped_by: StoppedBy | None = None
    tables: TablesEntry | None = None


class _InlineTables(Part):
    pieces: dict[str, list[Integer]]
    activations: dict[str, list[Integer]]
    sites: dict[str, list[Integer]] | None = None


@dataclass(frozen=True)
class Solution:
    """A placed and scheduled model with its claims; what every strategy yields and the checker judges."""

    header: Header
    pieces: Pieces
    activations: Activations
    sites: Sites | None = None
    """Of a chip with a network."""

    def question(self) -> Question:
        """The question that the header claims to answer. Raises InputError where it is unsound."""
        return question_from({name: getattr(self.header, name) for name in Question.KEYS})


def solution_of(answer: Solution | Path | str) -> Solution:
    """A solution, read where it is given by its file; raises InputError for another file."""
    return answer if isinstance(answer, Solution) else read_solution(Path(answer))


Table = TypeVar("Table", Pieces, Activations, Sites)


def write_solution(solution: Solution, path: Path) -> list[Path]:
    """Write a solution, whole or not at all; returns the files written.

    Raises InputError where the place cannot be written.
    """
    if path.suffix == ".npz":
        raise InputError(f"{path}: .npz is the tables' own ending; choose another, such as .json")
    ended = {"stopped_by"} if solution.header.stopped_by is None else set()
    header = solution.header.model_dump(by_alias=True, exclude={"tables", *ended})
    tables: dict[str, dict[str, Ints]] = {name: vars(getattr(solution, name)) for name in TABLES}
    tables |= {} if solution.sites is None else {SITES: vars(solution.sites)}
    with folder_locked(path.parent, str(path)):
        replaced = _old_tables(path)
        if len(solution.pieces) < INLINE_PIECES_MAX:
            for name, table in tables.items():
                header[name] = {column: values.tolist() for column, values in table.items()}
            json_file.write_json_atomically(path, header)
            written = [path]
        else:
            columns = {f"{name}.{column}": values for name, table in tables.items() for column, values in table.items()}
            beside = path.with_name(f"{path.stem}.{table_file.name_of_columns(columns)}.npz")
            is_new = not beside.exists()
            header["tables"] = {"file": beside.name, "sha256": table_file.write_columns(beside, columns)}
            try:
                json_file.write_json_atomically(path, header)
            except BaseException:
                if is_new:
                    beside.unlink(missing_ok=True)
                raise
            written = [path, beside]
        ours = f"{glob.escape(path.stem)}.{'[0-9a-f]' * 12}.npz"
        for other in (*replaced, *path.parent.glob(ours), *path.parent.glob(f".{ours}.tmp")):
            if other not in written:
                other.unlink(missing_ok=True)
    return written


def _old_tables(path: Path) -> list[Path]:
    """The table of the solution that lies at `path`, where it bears the name of version 0.1.0: no digits."""
    table = path.with_name(f"{path.stem}.npz")
    if not (table.is_file() and path.is_file()):
        return []
    try:
        header = json_file.read_json(path, HEADER_BYTES_MAX)
    except InputError:
        return []
    tables = header.get("tables") if isinstance(header, dict) and header.get("format") == FORMAT else None
    return [table] if isinstance(tables, dict) and tables.get("file") == table.name else []


def read_solution(path: Path) -> Solution:
    """Read a solution file, whether its claims hold or not. Raises InputError where it is not one."""
    content = json_file.read_json(path, HEADER_BYTES_MAX)
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a JSON object with a solution, got {shown_value(content)}")
    demand_kind(content, SOLUTION, str(path))
    if content.get("format") != FORMAT:
        raise InputError(f"{path}: format: {shown_value(content.get('format'))}: expected {FORMAT!r}")
    content.pop("runtime_s", None)  # files of version 0.1.0 hold the seconds that their search took
    inline = {name: content.pop(name) for name in (*TABLES, SITES) if name in content}
    try:
        header = Header.model_validate(content)
        if header.tables is None:
            columns = {
                name: {column: np.array(values, dtype=np.int64) for column, values in table.items()}
                for name, table in _InlineTables.model_validate(inline)
                if table is not None
            }
        elif inline:
            raise InputError(f"{path}: tables: the file has inline tables too; expected one of the two")
        else:
            columns = _read_tables(path, header.tables)
    except ValidationError as error:
        raise InputError(json_file.first_problem(error, str(path), Header)) from None
    return Solution(
        header,
        _table(Pieces, columns["pieces"], f"{path}: pieces"),
        _table(Activations, columns["activations"], f"{path}: activations"),
        _table(Sites, columns[SITES], f"{path}: {SITES}") if SITES in columns else None,
    )


def _read_tables(path: Path, entry: TablesEntry) -> dict[str, dict[str, Ints]]:
    if Path(entry.file).name != entry.file:
        raise InputError(f"{path}: tables.file: {entry.file!r} is not beside the header; expected a plain file name")
    columns: dict[str, dict[str, Ints]] = {name: {} for name in (*TABLES, SITES)}
    for key, values in table_file.read_columns(path.parent / entry.file, entry.sha256).items():
        name, _, column = key.partition(".")
        if name not in columns:
            raise InputError(f"{path.parent / entry.file}: {key!r}: expected columns of {', '.join(columns)}")
        columns[name][column] = values
    if not columns[SITES]:
        del columns[SITES]
    return columns


def _table(kind: type[Table], columns: Mapping[str, Ints], origin: str) -> Table:
    known = [field.name for field in fields(kind)]
    for column in columns:
        if column not in known:
            raise InputError(f"{origin}.{column}: unknown column; expected {', '.join(known)}")
    for column in known:
        if column not in columns:
            raise InputError(f"{origin}.{column}: the column is missing")
    table = kind(**columns)
    lengths = {column: len(values) for column, values in columns.items() if column != "piece"}
    if len(set(lengths.values())) != 1:
        raise InputError(f"{origin}: its columns differ in length: {lengths}")
    if not min(lengths.values()):
        raise InputError(f"{origin}: the table is empty; expected at least one row")
    return table
