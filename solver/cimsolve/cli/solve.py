"""`cimsolve`: map one model by several strategies; check, write and simulate each answer; compare them."""

from __future__ import annotations

import argparse
import math
import platform
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cimsolve import __version__
from cimsolve.cli import COMMANDS, listed_commands
from cimsolve.cli.limits import settle_limits
from cimsolve.cli.parser import Parser, json_switch, output_option, search_option, verbosity
from cimsolve.cli.question import (
    GraphOptions,
    answers_option,
    file_name,
    objective_option,
    problem_of,
    seed_option,
    strategies_option,
    time_limit_option,
)
from cimsolve.cli.short import (
    answer_in_runs,
    batch_option,
    chips_option,
    demand_way,
    told_ladder,
    when_short_option,
)
from cimsolve.cli.values import OneOf, whole
from cimsolve.errors import EXIT_DONE, EXIT_FAILED, InfeasibleError, InputError, UnreadFormatError
from cimsolve.problem.objective import DEFAULT_OBJECTIVE
from cimsolve.solve.names import DEFAULT_NAMES, OF_EXPERTS, STRATEGY_NAMES
from cimsolve.study.interrupts import interrupted_exit_code
from cimsolve.study.names import REFUSE

if TYPE_CHECKING:
    from cimsolve.judge.simulate import RealWeights
    from cimsolve.problem.problem import Problem
    from cimsolve.solve.effort import Effort
    from cimsolve.study.ask import Asked, Outcome, Simulated

SIMULATED = {"layer": "the first layer", "all": "all layers", "none": "none"}
WORKERS_MAX = 1024


class _Version(argparse._VersionAction):
    """Prints the versions on which results depend; they are looked up only when asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *where: Any) -> None:
        from importlib.metadata import PackageNotFoundError, version

        libraries = [f"python {platform.python_version()}"]
        for name in ("numpy", "scipy", "highspy", "ortools"):
            try:
                libraries.append(f"{name} {version(name)}")
            except PackageNotFoundError:
                libraries.append(f"{name} missing")
        self.version = f"cimsolve {__version__} ({', '.join(libraries)})"
        super().__call__(parser, *where)


class Options(GraphOptions):
    """`cimsolve`: map a model by some strategies. `time_limit_s`: None for the default."""

    prog = "cimsolve"
    usage = "cimsolve [options] | cimsolve COMMAND ..."
    about = "Place and schedule a language model on compute-in-memory arrays, with a proof or a gap."
    epilog = f"""\
{listed_commands({"": ("[options]", "map a model and compare strategies: the options above")} | COMMANDS)}
limits:
  --max-latency and --max-energy take a number in ns and pJ, or one with a unit: 60us, 1.5ms, 12uJ, 0.5mJ; or, as
  --max-arrays does, a share above the least, such as +20%: the least of it that `optimal` finds for this question,
  searched for first (arrays, then latency, then energy, each under the limits before it); +0% is the least itself

exit codes:
  0    done, and every answer passed the checker and the simulation
  1    an answer failed its check or simulation, or no mapping was found under the limits by `optimal`, or by
       any strategy (a rule that finds none is reported and does not fail the run while others succeed)
  2    a wrong option or a file that cannot be used
  130  interrupted (by SIGTERM: 143); what was found until then is checked and written

examples:
  cimsolve --hw rram256.json
  cimsolve --hw paper256 --model llama-3-8b --strategy spread,optimal --adcs 4
  cimsolve --model minilm-l6 --hw paper256 --max-arrays 100 --max-latency +20% --objective energy
  cimsolve --model weights/minilm --structure dense --structure '*.query=lowrank:32' --set array.rows=128
"""
    commands = tuple(COMMANDS)

    strategies: tuple[str, ...] = strategies_option(
        again=True,
        help=f"of {', '.join(STRATEGY_NAMES)}; repeatable (default: all, {OF_EXPERTS} for models with experts)",
    )
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
    when_short: str = when_short_option()
    batch: int | None = batch_option()
    chips: int | None = chips_option()
    out: str = answers_option()
    json: bool = json_switch()
    verbosity: int = verbosity("only the answer in words", "also bounds, breakdowns, proofs and sources")
    simulate: Simulated = output_option(
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
        if self.when_short != REFUSE:
            without = ("--exact", "--start", "--weights", "--max-latency", "--max-energy", "--steps")
            parser.demand_absent(without, f"is not obeyed in {self.when_short}; leave it or --when-short out")
        demand_way(parser, self.when_short, self.batch, self.chips)
        return self


def run(options: Options) -> int:
    """Answer the question by every strategy asked for; returns the exit code.

    Raises InputError where the question is none, InfeasibleError where no strategy finds a mapping.
    """
    command, shown = options.command(), options.verbosity >= 0
    settled = settle_limits(options, _problem, lambda: _effort(options), shown)
    options, problem, start = settled.options, settled.problem, settled.start
    if options.strategies is DEFAULT_NAMES and problem.workload.has_experts:
        options = replace(options, strategies=STRATEGY_NAMES)
    if options.when_short != REFUSE and _is_short(options, problem):
        return answer_in_runs(
            problem,
            options.when_short,
            options.strategies,
            _effort(options),
            lambda name: Path(options.out, answer_name(options, problem, name)),
            batch=options.batch,
            chips=options.chips,
            simulated=options.simulate,
            json=options.json,
            verbosity=options.verbosity,
        )

    from cimsolve.problem.solution import solution_of
    from cimsolve.show.text.console import print_json, say
    from cimsolve.show.text.progress import Progress
    from cimsolve.show.text.question import print_question
    from cimsolve.show.text.solve import describe_run, print_run, summary_line
    from cimsolve.study.ask import Run, write_checked
    from cimsolve.study.solving import joined_reasons, start_from
    from cimsolve.weights.folder import weights_beside

    beside = None
    try:
        beside = weights_beside(problem.model, options.model)
    except UnreadFormatError as error:  # a mapping asks for no weights
        say(f"note: {error}; random weights are simulated")
    weights: RealWeights | None = beside
    factors = None
    if options.weights is not None:
        from cimsolve.weights.project import read_factors  # loads what projections need

        stored = read_factors(options.weights, problem.model)
        # Some strategies store the dense matrices; without the model's own they are the products of the factors.
        weights, factors = stored.weights if beside is None else stored.weights_over(beside), stored.factors
    if options.start is not None:
        start = start_from(solution_of(options.start), problem, options.start)
    progress = Progress(shown, problem.hardware.clock_ps / 1000)
    run = Run(
        problem,
        replace(_effort(options), exact=options.exact, start=start),
        lambda answer, report, name: write_checked(
            answer, report, Path(options.out), answer_name(options, problem, name)
        ),
        progress,
        simulated=options.simulate,
        weights=weights,
        factors=factors,
    )
    asked = replace(describe_asked(options, problem, weights is not None), command=command, limits=settled.told)
    if not options.json and shown:
        print_question(asked, options.verbosity)
    outcomes = []
    with progress:
        for outcome in run.outcomes(options.strategies):
            outcomes.append(outcome)
            if outcome.state != "skipped":
                progress.finish(summary_line(outcome))
    code = interrupted_exit_code() if run.interrupted else _exit_code(outcomes)
    hopeless = {outcome.state for outcome in outcomes} <= {"infeasible", "refused"}
    if options.json:
        print_json(describe_run(asked, outcomes, code))
    elif not hopeless:
        print_run(asked, outcomes, options.verbosity)
    if hopeless:
        reasons = joined_reasons([(each.strategy, each.reason, each.shortage) for each in outcomes])
        if outcomes[0].state == "refused":
            raise InputError(reasons)
        raise InfeasibleError(reasons + (told_ladder(problem) if _is_short(options, problem) else ""))
    if run.interrupted:
        without = [outcome.strategy for outcome in outcomes if outcome.state != "solved"]
        say(f"interrupted; without an answer: {', '.join(without) or 'none'}")
    return code


def _is_short(options: Options, problem: Problem) -> bool:
    """Whether arrays are too few for every strategy asked for, as bounds show."""
    from cimsolve.study.short import is_short_of_arrays
    from cimsolve.study.solving import problem_for

    return all(is_short_of_arrays(problem_for(name, problem)) for name in options.strategies)


def _problem(options: Options) -> Problem:
    return problem_of(options, options.objective, options.weights)


def _effort(options: Options) -> Effort:
    """How hard any search of this command is, the exact model and a given start apart."""
    from cimsolve.solve.effort import Effort

    return Effort(options.time_limit_s or math.inf, options.seed, options.workers)


def _exit_code(outcomes: Sequence[Outcome]) -> int:
    """See the help: a rule that finds no mapping fails the run only where nothing else succeeds."""
    without = [outcome.strategy for outcome in outcomes if outcome.state != "solved"]
    broken = any(outcome.broken for outcome in outcomes)
    return EXIT_FAILED if broken or "optimal" in without or len(without) == len(outcomes) else EXIT_DONE


def describe_asked(options: Options, problem: Problem, real_weights: bool) -> Asked:
    """The question and how it was put, for the report of a run."""
    from cimsolve.study.ask import Asked

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
        time_limit_s=options.time_limit_s,
    )


def answer_name(options: Options, problem: Problem, strategy: str) -> str:
    """The file of a strategy's answer. An answer found from --start takes the place of one found without."""
    search = ["exact"] if options.exact else []
    if options.objective != DEFAULT_OBJECTIVE:
        search += [item.replace(":", "=") for item in options.objective]  # a colon is no part of a file's name
    search += [f"seed{options.seed}"] if options.seed else []
    search += [f"weights-{Path(options.weights).stem}"] if options.weights is not None else []
    return file_name(options, problem, [strategy], search)
