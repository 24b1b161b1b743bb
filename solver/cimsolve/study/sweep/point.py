"""One point of a study: a resolved question and how it is answered, as plain data that any process can take.

What a point gives depends on nothing else, so the digest of a point names its result, and the file that keeps it: a
killed sweep has lost only what was being solved.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cimsolve.errors import InfeasibleError, InputError, Shortage
from cimsolve.files.json_file import read_json, write_json_atomically
from cimsolve.problem.problem import Problem
from cimsolve.problem.question import question_from
from cimsolve.problem.solution import BoundEntry
from cimsolve.solve.effort import Effort
from cimsolve.study.solving import library_versions, solve_and_check, whole_answers_only

State = Literal["solved", "infeasible", "refused", "failed"]
"""Solved; no mapping under the limits; no question that makes sense; an answer that broke a rule, or no memory."""
RECORD_BYTES_MAX = 2**26
Kept = TypeVar("Kept", bound="KeptRecord")


@dataclass(frozen=True, kw_only=True)
class Point:
    """A question with nothing left open, and the way to answer it; all JSON."""

    question: Mapping[str, Any]
    """As `Question.to_json` gives it."""
    strategy: str = "optimal"
    seed: int = 0
    time_limit_s: float | None = None

    def digest(self) -> str:
        """32 hexadecimal digits of all of the point and of the code and libraries that answer it."""
        return digest_of({"point": asdict(self)})


class KeptRecord(BaseModel):
    """A result, kept in a file under the digest of all that it depends on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: str
    digest: str


class Record(KeptRecord):
    """What came of a point. Figures are there where `state` is `solved`, else `reason`."""

    format: Literal["cimsolve-point/1"] = "cimsolve-point/1"
    state: State
    reason: str = ""
    shortage: Shortage | None = None
    """What is infeasible for in numbers, where there are such."""
    violations: list[str] = Field(default_factory=list)
    """What the checker found; empty: passed."""
    status: str = ""
    """`optimal` or `feasible`."""
    hw: dict[str, Any]
    model_name: str
    tokens: int
    strategy: str
    objective: list[str]
    metrics: dict[str, int | float] = Field(default_factory=dict)
    bounds: dict[str, BoundEntry] = Field(default_factory=dict)
    unverified: list[str] = Field(default_factory=list)
    adc_bits: list[int] = Field(default_factory=list)
    """Resolutions that its conversions run at."""
    runtime_s: float = 0.0
    """Seconds of solving and checking."""


def solve_point(point: Point, digest: str) -> Record:
    """Solve and check; what cannot be solved is a record too.

    `digest` is that of the process which asks: raises InputError where this one runs other code, as a worker of a
    cluster may, and KeyboardInterrupt where the search was interrupted, so that no half answer is kept.
    """
    if point.digest() != digest:
        raise InputError("a worker runs another version of cimsolve or of its libraries; install the same everywhere")
    began = time.perf_counter()
    state, found = _answer(point)
    asked = point.question
    return Record(
        digest=digest,
        state=state,
        hw=dict(asked["hw"]),
        model_name=asked["model_name"],
        tokens=asked["options"]["tokens"],
        strategy=point.strategy,
        objective=list(asked["objective"]),
        runtime_s=round(time.perf_counter() - began, 3),
        **found,
    )


class Cache(Generic[Kept]):
    """A folder of records of one kind, each in a file named by its digest; `None` keeps nothing."""

    def __init__(self, folder: Path | None, kind: type[Kept], prefix: str = "") -> None:
        self._folder, self._kind, self._prefix = folder, kind, prefix

    def read(self, digest: str) -> Kept | None:
        """The record of this digest; None where there is none that can be read, so that it is made again."""
        if self._folder is None or not (path := self._path(self._folder, digest)).is_file():
            return None
        try:
            record = self._kind.model_validate(read_json(path, RECORD_BYTES_MAX))
        except (InputError, ValidationError):
            return None
        return record if record.digest == digest else None

    def write(self, record: Kept) -> None:
        """Keep a record. Raises InputError where it cannot be written."""
        if self._folder is None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"--cache {self._folder}: cannot be made a folder ({error.strerror})") from None
        write_json_atomically(self._path(self._folder, record.digest), record.model_dump())

    def _path(self, folder: Path, digest: str) -> Path:
        return folder / f"{self._prefix}{digest}.json"


def digest_of(content: Mapping[str, Any]) -> str:
    """32 hexadecimal digits of plain data and of the code and libraries that make something of it."""
    text = json.dumps({**content, "code": code_fingerprint()}, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@cache
def code_fingerprint() -> str:
    """Digest of cimsolve's own source and of the versions of what it computes with."""
    digest = hashlib.sha256(json.dumps(library_versions(), sort_keys=True).encode())
    root = Path(__file__).resolve().parents[2]
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _answer(point: Point) -> tuple[State, dict[str, Any]]:
    try:
        problem = Problem(question_from(point.question))
        effort = Effort(point.time_limit_s or math.inf, point.seed, listen=whole_answers_only())
        solution, report = solve_and_check(problem, point.strategy, effort)
    except InputError as error:
        return "refused", {"reason": str(error)}
    except InfeasibleError as error:
        return "infeasible", {"reason": str(error), "shortage": error.shortage}
    except MemoryError:
        return "failed", {"reason": "out of memory"}
    if not report.passed:
        violations = list(map(str, report.violations))
        return "failed", {"reason": f"breaks {violations[0]}", "violations": violations}
    header = solution.header
    return "solved", {
        "status": header.status,
        "metrics": dict(header.metrics),
        "bounds": dict(header.bounds),
        "unverified": list(report.unverified),
        "adc_bits": np.unique(solution.activations.adc_bits).tolist(),
    }
