"""One point of a study: a resolved question and how it is answered, as plain data that any process can take.

What a point gives depends on nothing else, so the digest of a point names its result.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from cimsolve.api import make_search
from cimsolve.chip.read import parse_hardware
from cimsolve.chip.spec import Hardware
from cimsolve.errors import InfeasibleError, InputError
from cimsolve.model.families import parse_model
from cimsolve.model.model import Model
from cimsolve.model.structure import Structure
from cimsolve.price.claims import library_versions
from cimsolve.problem.problem import Cut, Problem, build_problem
from cimsolve.problem.solution import BoundEntry
from cimsolve.solve import DEFAULT_OBJECTIVE
from cimsolve.study.run import solve_and_check, whole_answers_only

State = Literal["solved", "infeasible", "refused", "failed"]
"""Solved; no mapping under the limits; no question that makes sense; an answer that broke a rule, or no memory."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A question with nothing left open, and the way to answer it; all JSON."""

    hw: Mapping[str, Any]
    model_name: str
    model: Mapping[str, Any]
    tokens: int
    structure: Mapping[str, str]
    cut: str = "columns"
    max_arrays: int | None = None
    max_latency_ns: float | None = None
    max_energy_pj: float | None = None
    strategy: str = "optimal"
    objective: tuple[str, ...] = DEFAULT_OBJECTIVE
    seed: int = 0
    time_limit_s: float | None = None

    def digest(self) -> str:
        """32 hexadecimal digits of all of the point and of the code and libraries that answer it."""
        content = {"point": asdict(self), "code": code_fingerprint()}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def problem(self) -> Problem:
        """The question. Raises InputError where its parts do not fit together."""
        structures = {name: Structure.parse(text) for name, text in self.structure.items()}
        return build_problem(
            parse_hardware(self.hw, str(self.hw.get("name", "hw"))),
            parse_model(dict(self.model), self.model_name, self.model_name, self.tokens),
            structures,
            cast(Cut, self.cut),
            self.max_arrays,
            self.max_latency_ns,
            self.max_energy_pj,
        )


class Record(BaseModel):
    """What came of a point. Figures are there where `state` is `solved`, else `reason`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["cimsolve-point/1"] = "cimsolve-point/1"
    digest: str
    state: State
    reason: str = ""
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
    runtime_s: float = 0.0
    """Of solving and checking."""


def point_of(hardware: Hardware, model: Model, structures: Mapping[str, Structure], **how: Any) -> Point:
    """The point of loaded parts; `how` are the other fields of Point."""
    return Point(
        hw=hardware.to_json(),
        model_name=model.name,
        model=dict(model.config),
        tokens=model.tokens,
        structure={name: str(structure) for name, structure in structures.items()},
        **how,
    )


def solve_point(point: Point, digest: str) -> Record:
    """Solve and check; what cannot be solved is a record too.

    `digest` is that of the process which asks: raises InputError where this one runs other code, as a worker of a
    cluster may, and KeyboardInterrupt where the search was interrupted, so that no half answer is kept.
    """
    if point.digest() != digest:
        raise InputError("a worker runs another version of cimsolve or of its libraries; install the same everywhere")
    began = time.perf_counter()
    state, found = _answer(point)
    return Record(
        digest=digest,
        state=state,
        hw=dict(point.hw),
        model_name=point.model_name,
        tokens=point.tokens,
        strategy=point.strategy,
        objective=list(point.objective),
        runtime_s=round(time.perf_counter() - began, 3),
        **found,
    )


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
        problem = point.problem()
        search = make_search(
            point.objective, time_limit_s=point.time_limit_s, seed=point.seed, listen=whole_answers_only()
        )
        solution, report = solve_and_check(problem, point.strategy, search)
    except InputError as error:
        return "refused", {"reason": str(error)}
    except InfeasibleError as error:
        return "infeasible", {"reason": str(error)}
    except MemoryError:
        return "failed", {"reason": "out of memory"}
    if not report.passed:
        return "failed", {"reason": f"breaks {report.violations[0]}"}
    header = solution.header
    return "solved", {
        "status": header.status,
        "metrics": dict(header.metrics),
        "bounds": dict(header.bounds),
        "unverified": list(report.unverified),
    }
