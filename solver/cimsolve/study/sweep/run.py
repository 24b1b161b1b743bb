"""All points of a study: those kept from before, the others solved and kept, and which none of the others beats."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cimsolve.study.sweep.execute import cores, solve_points
from cimsolve.study.sweep.grid import Row, SweepStudy, Value, expand, parse_study, read_study
from cimsolve.study.sweep.kept import Answers, Records, Tell, tell_nobody
from cimsolve.study.sweep.point import Infeasible, Point, Record, judged_record


@dataclass
class Progressed:
    """Records by digest, as far as they are there; `kept` had been there before."""

    records: dict[str, Record] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    interrupted: bool = False


@dataclass(frozen=True)
class SolvedRow:
    """A row of the study with what came of it; `record` is None where there is no point, or not yet."""

    row: Row
    record: Record | None
    kept: bool
    command: str
    """Gives the solution as a file."""

    @property
    def state(self) -> str:
        """What became of the row: the state of its record, else `refused` or `not done`."""
        if self.record is None:
            return "refused" if self.row.point is None else "not done"
        return self.record.state

    @property
    def reason(self) -> str:
        return self.row.reason if self.record is None else self.record.reason

    @property
    def status(self) -> str:
        """`optimal` or `feasible` of an answer, empty without one."""
        return "" if self.record is None else self.record.status

    @property
    def has_figures(self) -> bool:
        return self.record is not None and self.record.state == "solved"


@dataclass(frozen=True)
class StudyPoint:
    """One combination of a study. `state` is `solved`, `infeasible`, `refused` or `failed`, with a `reason`.

    `metrics` and `bounds` (metric -> proved lower bound) are there where it is solved; the answer has passed the
    checker.
    """

    values: Mapping[str, Value]
    state: str
    reason: str
    metrics: Mapping[str, int | float]
    bounds: Mapping[str, int | float]


def sweep_study(
    study: SweepStudy | Mapping[str, Any] | Path | str,
    *,
    jobs: int = 1,
    cluster: str | None = None,
    cache: Path | str | None = None,
) -> list[StudyPoint]:
    """Solve every combination of a study: a file, or its content as a dict. With a `cache` none is solved twice.

    `jobs` processes of this machine, or the workers of the Dask scheduler at `cluster`. Raises InputError for what
    is no study, FailedError where processes die; a point without an answer is a point with a reason.
    """
    if not isinstance(study, SweepStudy):
        study = parse_study(study, "the study") if isinstance(study, Mapping) else read_study(study)
    rows = expand(study)
    done = solve_missing([row.point for row in rows if row.point is not None], cache, jobs, cluster)
    if done.interrupted:
        raise KeyboardInterrupt
    return [_study_point(row, done.records) for row in rows]


def solve_missing(
    asked: Iterable[Point],
    cache: Path | str | None,
    jobs: int | None = None,
    cluster: str | None = None,
    fresh: bool = False,
    listen: Callable[[int, int], None] = lambda done, total: None,
    tell: Tell = tell_nobody,
) -> Progressed:
    """Solve the points asked, each once, but for those kept in the folder `cache`; every result is kept as it comes.

    `jobs` None: all cores. `fresh`: solve also what is kept. `listen` is told how many points are done, of how many,
    `tell` of kept answers that do not pass the checker, which are solved again. After Ctrl-C `interrupted` is set and
    what has been finished is there.
    """
    points = {point.digest(): point for point in asked}
    folder = None if cache is None else Path(cache)
    answers, without = Answers(folder, tell), Records(folder, Infeasible, tell, "infeasible-")
    done = Progressed()
    records = done.records
    listen(0, len(points))
    try:
        for digest, point in points.items():
            if fresh:
                break
            if answer := answers.read(digest, partial(judged_record, point, digest)):
                records[digest] = answer
            elif infeasible := without.read(digest):
                records[digest] = infeasible.record(point)
            else:
                continue
            done.kept.add(digest)
            listen(len(records), len(points))
        left = {digest: point for digest, point in points.items() if digest not in records}
        with closing(solve_points(left, jobs or cores(), cluster)) as found:
            for record in found:
                if record.state == "solved":
                    answers.write(record.digest, record.solution)
                elif record.state == "infeasible":  # a failure may not happen again
                    without.write(Infeasible(digest=record.digest, reason=record.reason, shortage=record.shortage))
                records[record.digest] = record.model_copy(update={"solution": None})
                listen(len(records), len(points))
    except KeyboardInterrupt:
        done.interrupted = True
    return done


def _study_point(row: Row, records: Mapping[str, Record]) -> StudyPoint:
    if row.point is None:
        return StudyPoint(row.values, "refused", row.reason, {}, {})
    record = records[row.point.digest()]
    bounds = {name: entry.lower for name, entry in record.bounds.items()}
    return StudyPoint(row.values, record.state, record.reason, record.metrics, bounds)


def on_front(groups: Sequence[Hashable], values: Sequence[Sequence[float] | None]) -> list[bool]:
    """Whether no other row of its group is as good as a row in everything and better in something; less is better.

    `values` has for each row a tuple, all of one length, or None for a row without figures: it is not on the front
    and beats nothing.
    """
    found = [False] * len(groups)
    for group in dict.fromkeys(groups):
        members = [row for row, other in enumerate(groups) if other == group and values[row] is not None]
        figures = np.array([values[row] for row in members], dtype=np.float64)
        for row, mine in zip(members, figures, strict=True):
            beaten = (figures <= mine).all(axis=1) & (figures < mine).any(axis=1)
            found[row] = not beaten.any()
    return found
