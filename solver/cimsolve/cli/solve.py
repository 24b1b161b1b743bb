"""`cimsolve`: map one model by several strategies; check, write and simulate each answer; compare them."""

from __future__ import annotations

import argparse
import dataclasses
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cimsolve import __version__
from cimsolve.cli import COMMANDS, listed_commands
from cimsolve.cli.parser import Parser, json_switch, output_option, search_option, verbosity
from cimsolve.cli.places import interrupts_held, without_tables, write_checked
from cimsolve.cli.question import (
    QuestionOptions,
    answers_option,
    file_name,
    objective_option,
    problem_of,
    seed_option,
    strategies_option,
    time_limit_option,
)
from cimsolve.cli.values import OneOf, whole
from cimsolve.errors import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, InfeasibleError, InputError
from cimsolve.problem.objective import DEFAULT_OBJECTIVE

if TYPE_CHECKING:
    from cimsolve.judge.simulate import RealFactors, RealWeights
    from cimsolve.problem.problem import Problem
    from cimsolve.problem.solution import Solution
    from cimsolve.problem.tables import Mapping
    from cimsolve.show.text.question import Asked
    from cimsolve.solve.search import Event
    from cimsolve.study.outcome import Outcome

SIMULATED = {"layer": "the first layer", "all": "all layers", "none": "none"}
WORKERS_MAX = 1024

_EPILOG = """\
limits:
  --max-latency and --max-energy take a number in ns and pJ, or one with a unit: 60us, 1.5ms, 12uJ, 0.5mJ

exit codes:
  0    done, and every answer passed the checker and the simulation
  1    an answer failed its check or simulation, or no mapping was found under the limits by `optimal`, or by
       any strategy (a rule that finds none is reported and does not fail the run while others succeed)
  2    a wrong option or a file that cannot be used
  130  interrupted; what was found until then is checked and written

examples:
  cimsolve --hw rram256.json
  cimsolve --hw paper256 --model llama-3-8b --strategy spread,optimal --adcs 4
  cimsolve --model weights/minilm --structure dense --structure '*.query=lowrank:32' --set array.rows=128
"""


def _commands() -> str:
    """What the first word may be; each has a --help of its own."""
    solve = {"[options]": "map a model and compare strategies: the options above"}
    return listed_commands(solve | {f"{name} {words}".strip(): does for name, (words, does) in COMMANDS.items()})


class _Version(argparse._VersionAction):
    """Prints the versions on which results depend; they are looked up only when asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *where: Any) -> None:
        from importlib.metadata import PackageNotFoundError, version

        libraries = [f"python {platform.python_version()}"]
        for name in ("numpy", "scipy", "ortools"):
            try:
                libraries.append(f"{name} {version(name)}")
            except PackageNotFoundError:
                libraries.append(f"{name} missing")
        self.version = f"cimsolve {__version__} ({', '.join(libraries)})"
        super().__call__(parser, *where)


@dataclass(frozen=True, kw_only=True)
class Options(QuestionOptions):
    """`cimsolve`: map a model by some strategies. `time_limit_s`: None for the default."""

    prog = "cimsolve"
    usage = "cimsolve [options] | cimsolve COMMAND ..."
    about = "Place and schedule a language model on compute-in-memory arrays, with a proof or a gap."
    epilog = f"{_commands()}\n{_EPILOG}"
    commands = tuple(COMMANDS)

    strategies: tuple[str, ...] = strategies_option(again=True)
    exact: bool = search_option(
        "--exact", "solve `optimal` by one exact model to the end; refused where the problem is too large for it"
    )
    start: str | None = search_option(
        "--start FILE",
        "a solution of the same question, limits apart, that `optimal` starts from and does not get worse than",
        complete="file",
    )
    objective: tuple[str, ...] = objective_option()
    time_limit_s: float | None = time_limit_option("brake of the search; without it results repeat")
    seed: int = seed_option("default: {default}", again=True)
    workers: int = search_option(
        "--workers N", "search threads (default: {default})", whole(1, WORKERS_MAX), 1, again=True
    )
    out: str = answers_option()
    json: bool = json_switch()
    verbosity: int = verbosity("only the table of strategies", "also breakdowns, proofs and sources")
    simulate: str = output_option(
        "--simulate WHAT",
        "of each answer the first layer, all layers or none: layer, all, none (default: {default})",
        OneOf(tuple(SIMULATED)),
        "layer",
    )
    weights: str | None = output_option(
        "--weights FILE",
        "factors that `cimsolve project --out` wrote: simulated as stored, and the structure is theirs",
        complete="file",
    )

    @classmethod
    def make_parser(cls) -> Parser:
        parser = super().make_parser()
        parser.add_argument(
            "--version", action=_Version, help="show the versions of cimsolve and its libraries and exit"
        )
        return parser

    def settled(self, parser: Parser) -> Self:
        for flag, given in (("--exact", self.exact), ("--start", self.start is not None)):
            if given and "optimal" not in self.strategies:
                parser.error(f"{flag}: of the strategies only optimal searches; expected it in --strategy")
        return self


def run(options: Options) -> int:
    """Answer the question by every strategy asked for; returns the exit code.

    Raises InputError where the question is none, InfeasibleError where no strategy finds a mapping.
    """
    return _answer(options, problem_of(options, options.weights))


def _answer(options: Options, problem: Problem) -> int:
    from cimsolve.api import start_from, weights_beside
    from cimsolve.show.as_json import describe_run
    from cimsolve.show.text.console import print_json, say
    from cimsolve.show.text.solve import print_asked, print_run
    from cimsolve.study.run import joined_reasons
    from cimsolve.weights.project import read_factors

    beside = weights_beside(problem.model, options.model)
    weights: RealWeights | None = beside
    factors: RealFactors | None = None
    if options.weights is not None:
        stored = read_factors(options.weights, problem.model)
        # `linear` stores the dense matrices; without the model's own they are the products of the factors.
        weights, factors = stored.weights if beside is None else stored.weights_over(beside), stored.factors
    start = None if options.start is None else start_from(options.start, problem)
    run = _Run(options, problem, weights, factors, start)
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
        raise InfeasibleError(joined_reasons([(each.strategy, each.reason, each.shortage) for each in outcomes]))
    if run.interrupted:
        without = [outcome.strategy for outcome in outcomes if outcome.state != "solved"]
        say(f"interrupted; without an answer: {', '.join(without) or 'none'}")
    return code


class _Run:
    """One run over all strategies. After Ctrl-C `interrupted` is set and the strategies left are skipped."""

    def __init__(
        self,
        options: Options,
        problem: Problem,
        weights: RealWeights | None,
        factors: RealFactors | None,
        start: Mapping | None,
    ) -> None:
        """Raises InputError where the exact model is insisted on and out of reach."""
        from cimsolve.api import make_search
        from cimsolve.prove import objective_units
        from cimsolve.show.text.progress import Progress
        from cimsolve.solve.plan import demand_exact

        self.interrupted = False
        self._options = options
        self._problem = problem
        self._weights, self._factors = weights, factors
        self._progress = Progress(options.verbosity >= 0, problem.hardware.clock_ps / 1000)
        self._search = make_search(
            options.objective,
            time_limit_s=options.time_limit_s,
            seed=options.seed,
            workers=options.workers,
            exact=options.exact,
            start=start,
            listen=self._listen,
        )
        demand_exact(problem, self._search)
        objective_units(problem, options.objective)  # raises InputError where a sum has no unit

    def map_all(self) -> list[Outcome]:
        """What became of each strategy, in the order asked for."""
        from cimsolve.show.text.solve import summary_line
        from cimsolve.study.outcome import Outcome

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
        from cimsolve.judge.check import check_solution
        from cimsolve.study.outcome import Outcome
        from cimsolve.study.run import question_for, solve

        self._progress.begin(f"{label}: mapping")
        try:
            solution = solve(self._problem, name, self._search)
        except InfeasibleError as error:
            return Outcome(name, "infeasible", str(error), error.shortage)
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
                file = answer_name(self._options, self._problem, name)
                files = write_checked(solution, report, Path(self._options.out), file)
                outcome = Outcome(name, "solved", header=solution.header, check=without_tables(report), files=files)
        except KeyboardInterrupt:
            self.interrupted = True
        if outcome.state != "solved":
            return outcome
        return self._simulate(outcome, question, solution, label)

    def _simulate(self, outcome: Outcome, question: Problem, solution: Solution, label: str) -> Outcome:
        """The outcome with its simulation, or with why there is none."""
        from cimsolve.judge.simulate import simulate

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
                factors=self._factors,
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


def describe_asked(options: Options, problem: Problem, real_weights: bool) -> Asked:
    from cimsolve.show.text.question import Asked

    layers = SIMULATED[options.simulate]
    weights = "the folder's weights" if real_weights else "random weights"
    weights = weights if options.weights is None else f"the factors of {options.weights}"
    return Asked(
        problem=problem,
        strategies=options.strategies,
        objective=options.objective,
        seed=options.seed,
        changes=options.changes,
        simulated=layers if options.simulate == "none" else f"{layers} of each answer, {weights} and inputs",
        command=options.command(),
    )


def answer_name(options: Options, problem: Problem, strategy: str) -> str:
    """The file of a strategy's answer. An answer found from --start takes the place of one found without."""
    search = ["exact"] if options.exact else []
    if options.objective != DEFAULT_OBJECTIVE:
        search += [item.replace(":", "=") for item in options.objective]  # a colon is no part of a file's name
    search += [f"seed{options.seed}"] if options.seed else []
    search += [f"weights-{Path(options.weights).stem}"] if options.weights is not None else []
    return file_name(options, problem, [strategy], search)
