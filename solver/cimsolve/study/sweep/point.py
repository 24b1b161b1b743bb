"""One point of a study: a resolved question and how it is answered, as plain data that any process can take.

What a point gives depends on nothing else, so the digest of a point names its result.
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
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from cimsolve.errors import InfeasibleError, InputError, Shortage
from cimsolve.files.text import one_line
from cimsolve.judge.check import CheckReport, check_solution
from cimsolve.judge.check.plan import PlanReport, check_plan
from cimsolve.problem.plan import AnyPlan
from cimsolve.problem.problem import Problem
from cimsolve.problem.question import question_from
from cimsolve.problem.solution import BoundEntry, Solution
from cimsolve.problem.terms import OF_MODEL
from cimsolve.solve.effort import Effort
from cimsolve.study.names import REFUSE, WhenShort
from cimsolve.study.short import is_short_of_arrays, solve_short
from cimsolve.study.solving import library_versions, problem_for, solve_and_check, whole_answers_only
from cimsolve.study.sweep.kept import KeptRecord

State = Literal["solved", "infeasible", "refused", "failed"]
"""Solved; no mapping under the limits; no question that makes sense; an answer that broke a rule, or no memory."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """A question with nothing left open, and the way to answer it; all JSON."""

    question: Mapping[str, Any]
    """As `Question.to_json` gives it."""
    strategy: str = "optimal"
    seed: int = 0
    time_limit_s: float | None = None
    when_short: WhenShort = REFUSE
    batch: int | None = None
    """Tokens of a batch in rounds."""
    chips: int | None = None
    """Most chips in a row."""

    def digest(self) -> str:
        """32 hexadecimal digits of all of the point and of the code and libraries that answer it."""
        return digest_of({"point": asdict(self)})


class Infeasible(KeptRecord):
    """Why a point has no answer, as that is kept."""

    format: Literal["cimsolve-infeasible/1"] = "cimsolve-infeasible/1"
    reason: str
    shortage: Shortage | None

    def record(self, point: Point) -> Record:
        """The record of the point without an answer."""
        found = {"reason": one_line(self.reason), "shortage": self.shortage}
        return _record(point, self.digest, time.perf_counter(), "infeasible", found)


class Record(BaseModel):
    """What came of a point. Figures are there where `state` is `solved`, else `reason`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str
    state: State
    reason: str = ""
    shortage: Shortage | None = None
    """What is infeasible for in numbers, where there are such."""
    violations: list[str] = Field(default_factory=list)
    """What the checker found; empty: passed."""
    status: str = ""
    """`optimal` or `feasible`; of an answer in runs `rounds` or `chips`."""
    hw: dict[str, Any]
    model_name: str
    tokens: int
    source_tokens: int | None = None
    strategy: str
    objective: list[str]
    metrics: dict[str, int | float] = Field(default_factory=dict)
    bounds: dict[str, BoundEntry] = Field(default_factory=dict)
    unverified: list[str] = Field(default_factory=list)
    adc_bits: list[int] = Field(default_factory=list)
    """Resolutions that its conversions run at."""
    runtime_s: float = 0.0
    """Seconds of solving and checking; of checking alone for an answer that was kept."""
    solution: Any = None
    """The answer itself, until it is kept."""


def solve_point(point: Point, digest: str) -> Record:
    """Solve and check; what cannot be solved is a record too.

    `digest` is that of the process which asks: raises InputError where this one runs other code, as a worker of a
    cluster may, and KeyboardInterrupt where the search was interrupted, so that no half answer is kept.
    """
    if point.digest() != digest:
        raise InputError("a worker runs another version of cimsolve or of its libraries; install the same everywhere")
    began = time.perf_counter()
    return _record(point, digest, began, *_answer(point))


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


def judged_record(point: Point, digest: str, answer: Solution | AnyPlan, origin: str) -> Record:
    """The record of an answer that was found before. Raises InputError where it is none to this point that passes."""
    began = time.perf_counter()
    if (answer.header.strategy, answer.header.seed) != (point.strategy, point.seed):
        raise InputError(f"{origin}: it is the answer of another strategy or seed")
    problem = problem_for(point.strategy, Problem(question_from(point.question)))
    report = check_solution(answer, problem) if isinstance(answer, Solution) else check_plan(answer, problem)
    if not report.passed:
        raise InputError(f"{origin}: {report.violations[0]}")
    return _record(point, digest, began, "solved", _figures(answer, report))


def _answer(point: Point) -> tuple[State, dict[str, Any]]:
    try:
        problem = Problem(question_from(point.question))
        effort = Effort(point.time_limit_s or math.inf, point.seed, listen=whole_answers_only())
        answer, report = _solved(point, problem, effort)
    except InputError as error:
        return "refused", {"reason": str(error)}
    except InfeasibleError as error:
        return "infeasible", {"reason": str(error), "shortage": error.shortage}
    except MemoryError:
        return "failed", {"reason": "out of memory"}
    if not report.passed:
        violations = list(map(str, report.violations))
        return "failed", {"reason": f"breaks {violations[0]}", "violations": violations}
    return "solved", {**_figures(answer, report), "solution": answer}


def _solved(
    point: Point, problem: Problem, effort: Effort
) -> tuple[Solution, CheckReport] | tuple[AnyPlan, PlanReport]:
    if point.when_short == REFUSE or not is_short_of_arrays(problem_for(point.strategy, problem)):
        return solve_and_check(problem, point.strategy, effort)
    return solve_short(problem, point.when_short, point.strategy, effort, batch=point.batch, chips=point.chips)


def _figures(answer: Solution | AnyPlan, report: CheckReport | PlanReport) -> dict[str, Any]:
    """What a record has of an answer that passed."""
    solutions = (answer,) if isinstance(answer, Solution) else answer.runs
    metrics = dict(answer.header.metrics)
    if not isinstance(answer, Solution):
        metrics["adc_bits_max"] = max(each.header.metrics["adc_bits_max"] for each in solutions)
        metrics["lossy_activations"] = sum(each.header.metrics["lossy_activations"] for each in solutions)
    return {
        "status": answer.header.status if isinstance(answer, Solution) else answer.header.kind,
        "metrics": metrics,
        "bounds": dict(answer.header.bounds),
        "unverified": list(report.unverified) if isinstance(report, CheckReport) else [],
        "adc_bits": np.unique(np.concatenate([each.activations.adc_bits for each in solutions])).tolist(),
    }


def _record(point: Point, digest: str, began: float, state: State, found: dict[str, Any]) -> Record:
    asked = point.question
    return Record(
        digest=digest,
        state=state,
        hw=dict(asked["hw"]),
        model_name=asked["model_name"],
        **{name: asked["options"].get(name) for name in OF_MODEL},
        strategy=point.strategy,
        objective=list(asked["objective"]),
        runtime_s=round(time.perf_counter() - began, 3),
        **found,
    )
