"""One run of a front: its points found, each checked and kept, and the rules beside them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cimsolve.errors import InfeasibleError
from cimsolve.judge.check import CheckReport, check_solution
from cimsolve.problem.objective import DEFAULT_OBJECTIVE
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Header, Solution, StoppedBy
from cimsolve.solve.front import FrontPoint, find_front
from cimsolve.solve.names import DEFAULT_RULES, DENSE
from cimsolve.study.ask import SearchRun
from cimsolve.study.interrupts import interrupts_held
from cimsolve.study.solving import make_solution, mapping_of, solve, solve_and_check


@dataclass(frozen=True)
class FrontRow:
    """A point of the front that has been checked; `label` is its number in tables and file names."""

    label: str
    found_by: str
    header: Header
    check: CheckReport
    files: tuple[Path, ...]


@dataclass(frozen=True)
class RuleRow:
    """A rule's answer beside the front; without header and check there is none, and `reason` says why."""

    strategy: str
    reason: str
    header: Header | None = None
    check: CheckReport | None = None


@dataclass(frozen=True)
class FrontFound:
    """The whole front; `stopped_by` says what ended the run before its end."""

    points: Sequence[FrontRow]
    rules: Sequence[RuleRow]
    search_s: float
    stopped_by: StoppedBy | None = None

    @property
    def broken(self) -> bool:
        """Whether the checker refused a point or a rule's answer."""
        checks = [row.check for row in self.points] + [row.check for row in self.rules]
        return any(check is not None and not check.passed for check in checks)


class FrontRun(SearchRun):
    """A search for the front; after Ctrl-C what has been found is checked and kept."""

    def found(self) -> FrontFound:
        """The points, the rules beside them, and whether the search came to its end.

        Raises InfeasibleError, which names what is short, where the limits leave no mapping.
        """
        self.listener.begin("front")
        began = time.monotonic()
        points = self.points()
        seconds = time.monotonic() - began
        rows: list[FrontRow] = []
        rules: list[RuleRow] = []
        try:
            for number, point in enumerate(points, 1):
                label = f"{number:0{len(str(max(10, len(points))))}d}"
                with interrupts_held():
                    self.listener.begin(f"checking point {number} of {len(points)}")
                    solution = solution_of_point(self.problem, point)
                    report = check_solution(solution, self.problem)
                    files = self.keep(solution, report, label)
                    rows.append(FrontRow(label, point.name, solution.header, report.without_tables(), files))
            rules += [] if self.interrupted else [self._rule(name) for name in (*DEFAULT_RULES, DENSE)]
        except KeyboardInterrupt:
            self.interrupted = True
        stopped_by: StoppedBy | None = "time limit" if seconds >= self.effort.time_limit_s else None
        return FrontFound(rows, rules, seconds, "interrupt" if self.interrupted else stopped_by)

    def points(self) -> list[FrontPoint]:
        """The points of the front, at least one; after an interrupt those found until then. Raises as `found` does."""
        points = find_front(self.problem, self.effort)
        if points:
            return points
        if self.interrupted:
            raise KeyboardInterrupt
        # The solver tries more than the front does; where it finds nothing either, it says what is short.
        answer = solve(self.problem, "optimal", self.effort)
        return [FrontPoint("solver", mapping_of(answer, self.problem), answer.header.metrics)]

    def _rule(self, name: str) -> RuleRow:
        self.listener.begin(f"rule {name}")
        try:
            solution, report = solve_and_check(self.problem, name, self.effort)
        except InfeasibleError as error:
            return RuleRow(name, str(error))
        return RuleRow(name, "", solution.header, report.without_tables())


def solution_of_point(problem: Problem, point: FrontPoint) -> Solution:
    """A point of the front with its claims."""
    return make_solution(problem.asking(objective=DEFAULT_OBJECTIVE), point.mapping, strategy="optimal")
