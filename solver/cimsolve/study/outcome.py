"""What became of each strategy, without its tables: a report needs the header and the verdicts only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cimsolve.errors import Shortage
from cimsolve.judge.check import CheckReport
from cimsolve.judge.simulate import SimulationReport
from cimsolve.problem.solution import Header

State = Literal["solved", "infeasible", "interrupted", "skipped"]


@dataclass(frozen=True)
class Outcome:
    """One strategy's run. Where `state` is `solved`, header and check are there, else `reason`.

    An answer that cannot be simulated has a `reason` too.
    """

    strategy: str
    state: State
    reason: str = ""
    shortage: Shortage | None = None
    """What is infeasible for in numbers, where there are such."""
    header: Header | None = None
    check: CheckReport | None = None
    simulation: SimulationReport | None = None
    not_simulated: str = ""
    """Why there is no simulation, in two words."""
    files: tuple[Path, ...] = ()

    @property
    def broken(self) -> bool:
        """Whether the checker or the simulation found the answer wrong."""
        return (self.check is not None and not self.check.passed) or (
            self.simulation is not None and not self.simulation.passed
        )


@dataclass(frozen=True)
class Solved:
    """An Outcome that has an answer."""

    strategy: str
    header: Header
    check: CheckReport
    outcome: Outcome


def solved_ones(outcomes: Sequence[Outcome]) -> list[Solved]:
    return [
        Solved(outcome.strategy, outcome.header, outcome.check, outcome)
        for outcome in outcomes
        if outcome.header is not None and outcome.check is not None
    ]
