"""One run of a question: every strategy maps it, each answer is checked, kept and simulated."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from cimsolve.errors import InfeasibleError, InputError, Shortage
from cimsolve.judge.check import CheckReport, check_solution
from cimsolve.judge.simulate import RealFactors, RealWeights, SimulationReport, simulate
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Header, Solution, write_solution
from cimsolve.prove import objective_units
from cimsolve.solve.effort import Effort, Event, Listener
from cimsolve.solve.names import DENSE
from cimsolve.solve.plan import demand_exact
from cimsolve.solve.strategies import STRATEGIES
from cimsolve.study.interrupts import interrupts_held
from cimsolve.study.solving import problem_for, solve

State = Literal["solved", "infeasible", "refused", "interrupted", "skipped"]
Simulated = Literal["layer", "all", "none"]


@dataclass(frozen=True)
class Outcome:
    """One strategy's run, without its tables. Where `state` is `solved`, header and check are there, else `reason`.

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
    solve_s: float = 0.0

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
    """The outcomes that have an answer, in their order."""
    return [
        Solved(outcome.strategy, outcome.header, outcome.check, outcome)
        for outcome in outcomes
        if outcome.header is not None and outcome.check is not None
    ]


@dataclass(frozen=True)
class Asked:
    """The question and how it was put; without an objective the whole front is sought."""

    problem: Problem
    strategies: Sequence[str]
    objective: Sequence[str]
    seed: int
    changes: Sequence[str]
    """Keys of the hardware spec changed by the user, as KEY=VALUE."""
    simulated: str
    """Which layers are simulated, on what weights."""
    command: str
    """The command that repeats this answer."""
    time_limit_s: float | None = None
    """The limit of time of each search; None where there is none."""
    limits: Sequence[str] = ()
    """What is told of limits that were given as a share above the least."""


Keep = Callable[[Solution, CheckReport, str], tuple[Path, ...]]
"""Keeps an answer with its verdict under a name, that of its strategy or point; returns the files written."""


@dataclass
class SearchRun:
    """A search whose answers are checked and kept as they come. After Ctrl-C `interrupted` is set."""

    problem: Problem
    effort: Effort = field(default_factory=Effort)
    keep: Keep = lambda solution, report, name: ()
    listener: Listener = field(default_factory=Listener)
    interrupted: bool = False

    def __post_init__(self) -> None:
        self.effort = replace(self.effort, listen=self._listen)

    def _listen(self, event: Event) -> None:
        self.interrupted |= event.phase == "interrupted"
        self.listener.listen(event)


@dataclass
class Run(SearchRun):
    """A question put to some strategies, one after the other; after Ctrl-C the strategies left are skipped.

    Raises InputError where the exact model is insisted on and out of reach, and where a sum in the objective has no
    unit.
    """

    simulated: Simulated = "layer"
    weights: RealWeights | None = None
    factors: RealFactors | None = None

    def __post_init__(self) -> None:
        demand_exact(self.problem, self.effort)
        objective_units(self.problem, self.problem.objective)
        super().__post_init__()

    def outcomes(self, strategies: Sequence[str] = tuple(STRATEGIES)) -> Iterator[Outcome]:
        """What became of each strategy, in the order asked for."""
        if "optimal" in strategies and self.problem.is_dense:
            strategies = [name for name in strategies if name != DENSE]  # which is the same question again
        for number, name in enumerate(strategies, 1):
            if self.interrupted:
                yield Outcome(name, "skipped", "the run was interrupted before it")
            else:
                yield self._map(name, f"[{number}/{len(strategies)}] {name}")

    def _map(self, name: str, label: str) -> Outcome:
        self.listener.begin(f"{label}: mapping")
        began = time.perf_counter()
        try:
            solution = solve(self.problem, name, self.effort)
        except InfeasibleError as error:
            return Outcome(name, "infeasible", str(error), error.shortage)
        except InputError as error:
            return Outcome(name, "refused", str(error))
        except KeyboardInterrupt:
            self.interrupted = True
            return Outcome(name, "interrupted", "stopped before it had an answer")
        outcome = Outcome(
            name, "interrupted", "stopped before its answer was checked", solve_s=time.perf_counter() - began
        )
        question = problem_for(name, self.problem)
        try:
            # What has been found is worth a moment: the first Ctrl-C waits for check and file.
            with interrupts_held():
                self.listener.begin(f"{label}: checking")
                report = check_solution(solution, question)
                files = self.keep(solution, report, name)
                outcome = replace(
                    outcome,
                    state="solved",
                    reason="",
                    header=solution.header,
                    check=report.without_tables(),
                    files=files,
                )
        except KeyboardInterrupt:
            self.interrupted = True
        return outcome if outcome.state != "solved" else self._simulate(outcome, question, solution, label)

    def _simulate(self, outcome: Outcome, question: Problem, solution: Solution, label: str) -> Outcome:
        """The outcome with its simulation, or with why there is none."""
        if self.simulated == "none":
            return replace(outcome, not_simulated="not asked")
        if outcome.broken:
            return replace(outcome, not_simulated="check failed")
        if self.interrupted:
            return replace(outcome, not_simulated="interrupted")
        self.listener.begin(f"{label}: simulating")
        try:
            report = simulate(
                question,
                solution.pieces,
                solution.activations,
                layers=[question.workload.factors[0].layer] if self.simulated == "layer" else None,
                seed=self.effort.seed,
                weights=self.weights,
                factors=self.factors,
                progress=self.listener.count,
            )
        except KeyboardInterrupt:
            self.interrupted = True
            return replace(outcome, not_simulated="interrupted")
        except InputError as error:
            if self.weights is not None:
                raise  # the weights may be what is wrong
            return replace(outcome, not_simulated="not possible", reason=str(error))
        return replace(outcome, simulation=report)


def write_checked(solution: Solution, report: CheckReport, folder: Path, name: str) -> tuple[Path, ...]:
    """Write an answer that passed its check; returns the files written, none for one that failed.

    Raises InputError where the folder cannot be made.
    """
    if not report.passed:
        return ()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {folder}: cannot be made a folder ({error.strerror})") from None
    return tuple(write_solution(solution, folder / name))
