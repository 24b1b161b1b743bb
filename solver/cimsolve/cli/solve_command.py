"""`cimsolve`: map one model by several strategies; check, write and simulate each answer; compare them."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import re
import shlex
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import cast

from cimsolve.api import FolderWeights, load_model, make_problem, make_search, weights_beside
from cimsolve.check import CheckReport, check_solution
from cimsolve.cli.arguments import DEFAULT_OBJECTIVE, DEFAULT_OUT, SolveOptions
from cimsolve.errors import InfeasibleError, InputError
from cimsolve.hardware import load_hardware, with_settings
from cimsolve.jsonfile import one_line
from cimsolve.problem import Cut, Problem
from cimsolve.report.console import print_json, say
from cimsolve.report.machine import describe_run
from cimsolve.report.outcome import Outcome
from cimsolve.report.progress import Progress
from cimsolve.report.question import Asked
from cimsolve.report.solve import print_asked, print_run, summary_line
from cimsolve.run import question_for, solve
from cimsolve.simulate import simulate
from cimsolve.solution import Solution, write_solution
from cimsolve.strategies import Event

EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED = 0, 1, 130
NAME_MAX = 60
"""Most characters of a file name that one thing the user gave may take."""


def run_solve(options: SolveOptions) -> int:
    """Answer the question by every strategy asked for; returns the exit code.

    Raises InputError where the question is none, InfeasibleError where no strategy finds a mapping.
    """
    hardware = with_settings(load_hardware(options.hardware), dict(options.settings))
    model = load_model(options.model, tokens=options.tokens)
    problem = make_problem(
        model,
        hardware,
        structure=options.structures,
        cut=cast(Cut, options.cut),
        max_arrays=options.max_arrays,
    )
    weights = weights_beside(model, options.model)
    demand_writable(Path(options.out))
    run = _Run(options, problem, weights)
    asked = describe_asked(options, problem, weights is not None)
    if not options.json and options.verbosity >= 0:
        print_asked(asked, options.verbosity)
    outcomes = run.map_all()
    code = run.exit_code(outcomes)
    hopeless = all(outcome.state == "infeasible" for outcome in outcomes)
    if options.json:
        print_json(describe_run(asked, outcomes, code))
    elif not hopeless:
        print_run(asked, outcomes, options.verbosity)
    if hopeless:
        raise InfeasibleError("; ".join(outcome.reason for outcome in outcomes))
    if run.interrupted:
        without = [outcome.strategy for outcome in outcomes if outcome.state != "solved"]
        say(f"interrupted; without an answer: {', '.join(without) or 'none'}")
    return code


class _Run:
    """One run over all strategies. After Ctrl-C `interrupted` is set and the strategies left are skipped."""

    def __init__(self, options: SolveOptions, problem: Problem, weights: FolderWeights | None) -> None:
        self.interrupted = False
        self._options = options
        self._problem = problem
        self._weights = weights
        self._progress = Progress(options.verbosity >= 0, problem.hardware.clock_ps / 1000)
        self._search = make_search(
            options.objective,
            time_limit_s=options.time_limit_s,
            seed=options.seed,
            workers=options.workers,
            listen=self._listen,
        )

    def map_all(self) -> list[Outcome]:
        """What became of each strategy, in the order asked for."""
        outcomes: list[Outcome] = []
        names = self._options.strategies
        with self._progress:
            for number, name in enumerate(names, 1):
                if self.interrupted:
                    outcomes.append(Outcome(name, "skipped", "the run was interrupted before it"))
                    continue
                outcomes.append(self._map(name, f"[{number}/{len(names)}] {name}"))
                self._progress.finish(summary_line(outcomes[-1]))
        return outcomes

    def exit_code(self, outcomes: list[Outcome]) -> int:
        """See the help: a rule that finds no mapping fails the run only where nothing else succeeds."""
        if self.interrupted:
            return EXIT_INTERRUPTED
        without = [outcome.strategy for outcome in outcomes if outcome.state != "solved"]
        broken = any(outcome.broken for outcome in outcomes)
        return EXIT_FAILED if broken or "optimal" in without or len(without) == len(outcomes) else EXIT_DONE

    def _listen(self, event: Event) -> None:
        if event.phase == "interrupted":
            self.interrupted = True
        self._progress.listen(event)

    def _map(self, name: str, label: str) -> Outcome:
        self._progress.begin(f"{label}: mapping")
        try:
            solution = solve(self._problem, name, self._search)
        except InfeasibleError as error:
            return Outcome(name, "infeasible", str(error))
        except KeyboardInterrupt:
            self.interrupted = True
            return Outcome(name, "interrupted", "stopped before it had an answer")
        question = question_for(name, self._problem)
        outcome = Outcome(name, "interrupted", "stopped before its answer was checked")
        try:
            # What has been found is worth a moment: the first Ctrl-C waits for check and file.
            with interrupts_held():
                self._progress.begin(f"{label}: checking")
                report = check_solution(solution, question)
                files = self._write(solution, report)
                outcome = Outcome(
                    name, "solved", header=solution.header, check=without_tables(report), files=files
                )
        except KeyboardInterrupt:
            self.interrupted = True
        if outcome.state != "solved":
            return outcome
        return self._simulate(outcome, question, solution, label)

    def _write(self, solution: Solution, report: CheckReport) -> tuple[Path, ...]:
        """Only checked answers are written."""
        if not report.passed:
            return ()
        folder = Path(self._options.out)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"--out {folder}: cannot be made a folder ({error.strerror})") from None
        name = file_name(self._options, self._problem, solution.header.strategy)
        return tuple(write_solution(solution, folder / name))

    def _simulate(self, outcome: Outcome, question: Problem, solution: Solution, label: str) -> Outcome:
        """The outcome with its simulation, or with why there is none."""
        if self._options.simulate == "none":
            return dataclasses.replace(outcome, not_simulated="not asked")
        if outcome.broken:
            return dataclasses.replace(outcome, not_simulated="check failed")
        if self.interrupted:
            return dataclasses.replace(outcome, not_simulated="interrupted")
        self._progress.begin(f"{label}: simulating")
        try:
            report = simulate(
                question,
                solution.pieces,
                solution.activations,
                layers=first_layer(question) if self._options.simulate == "layer" else None,
                seed=self._options.seed,
                weights=self._weights,
                progress=self._progress.count,
            )
        except KeyboardInterrupt:
            self.interrupted = True
            return dataclasses.replace(outcome, not_simulated="interrupted")
        except InputError as error:
            if self._weights is not None:
                raise  # the weights may be what is wrong
            return dataclasses.replace(outcome, not_simulated="not possible", reason=str(error))
        return dataclasses.replace(outcome, simulation=report)


def first_layer(problem: Problem) -> list[int]:
    return [problem.workload.factors[0].layer]


def without_tables(report: CheckReport) -> CheckReport:
    """The verdict alone: five strategies' tables need not be in memory at once."""
    return dataclasses.replace(report, problem=None, costs=None, bounds=None)


def describe_asked(options: SolveOptions, problem: Problem, real_weights: bool) -> Asked:
    layers = {"layer": "the first layer", "all": "all layers", "none": "none"}[options.simulate]
    weights = "the folder's weights" if real_weights else "random weights"
    return Asked(
        problem=problem,
        strategies=options.strategies,
        objective=options.objective,
        seed=options.seed,
        changes=[f"{key}={value}" for key, value in options.settings],
        simulated=layers if options.simulate == "none" else f"{layers} of each answer, {weights} and inputs",
        command=command_line(options),
    )


def command_line(options: SolveOptions) -> str:
    """The command that asks the same again, to be pasted into a shell."""
    words = ["cimsolve", "--hw", options.hardware, "--model", options.model]
    words += ["--strategy", ",".join(options.strategies)]
    for structure in options.structures:
        words += ["--structure", structure]
    for key, value in options.settings:
        words += ["--set", f"{key}={value}"]
    for flag, given, default in (
        ("--tokens", options.tokens, None),
        ("--max-arrays", options.max_arrays, None),
        ("--cut", options.cut, "columns"),
        ("--objective", ",".join(options.objective), ",".join(DEFAULT_OBJECTIVE)),
        ("--time-limit", options.time_limit_s, None),
        ("--simulate", options.simulate, "layer"),
        ("--out", options.out, DEFAULT_OUT),
    ):
        if given != default:
            words += [flag, str(given)]
    words += ["--seed", str(options.seed), "--workers", str(options.workers)]
    return shlex.join(words)


def file_name(options: SolveOptions, problem: Problem, strategy: str) -> str:
    """`<model>--<hardware>--<strategy>.json` and what was asked beyond the defaults: no run hides another."""
    model = [problem.model.name, *options.structures]
    model += [f"tokens{options.tokens}"] if options.tokens is not None else []
    hardware = [problem.hardware.name]
    for key, value in options.settings:
        hardware.append(f"adcs{value}" if key == "adc.per_array" else f"{key}{value}")
    how = [strategy]
    how += [f"max{options.max_arrays}"] if options.max_arrays is not None else []
    how += [f"cut-{options.cut}"] if options.cut != "columns" else []
    how += list(options.objective) if options.objective != DEFAULT_OBJECTIVE else []
    how += [f"seed{options.seed}"] if options.seed else []
    return "--".join("-".join(map(plain_name, parts)) for parts in (model, hardware, how)) + ".json"


def plain_name(text: str) -> str:
    """`text` as a part of a file name; what must be replaced or cut leaves a short hash, so names differ."""
    plain = re.sub(r"-{2,}", "-", re.sub(r"[^A-Za-z0-9._+=,-]", "_", text)).strip("-.")[:NAME_MAX]
    if text and plain == text:
        return text
    digest = hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()
    return f"{plain}~{digest[:6]}"


def demand_writable(folder: Path) -> None:
    """Raise InputError where nothing can be written in `folder`, before any work is done for it."""
    if not str(folder).isprintable():
        raise InputError(f"--out {one_line(str(folder))}: is no printable name of a folder; choose another")
    there = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    if not there.is_dir():
        raise InputError(f"--out {folder}: {there} is no folder; choose another place")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"--out {folder}: {there} cannot be written to; choose another place")


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Within, the first Ctrl-C waits for the end; a second one is raised at once."""
    previous = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(previous):
        yield  # signals reach the main thread only; where they are ignored they stay so
        return
    held = False

    def hold(number: int, frame: FrameType | None) -> None:
        nonlocal held
        if held:
            raise KeyboardInterrupt
        held = True

    signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
    if held:
        raise KeyboardInterrupt
