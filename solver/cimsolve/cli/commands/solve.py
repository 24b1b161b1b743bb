"""`cimsolve`: map one model by several strategies; check, write and simulate each answer; compare them."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from cimsolve.cli.options.solve import SolveOptions
from cimsolve.cli.question import changes_of, file_name, problem_of, question_words, words_unless_default
from cimsolve.cli.writing import write_checked
from cimsolve.errors import InfeasibleError
from cimsolve.judge.simulate import RealFactors, RealWeights
from cimsolve.problem.objective import DEFAULT_OBJECTIVE
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import solution_of
from cimsolve.show.text.console import print_json, say
from cimsolve.show.text.progress import Progress
from cimsolve.show.text.question import print_question
from cimsolve.show.text.solve import describe_run, print_run, summary_line
from cimsolve.solve.effort import Effort
from cimsolve.study.ask import Asked, Outcome, Run, Simulated
from cimsolve.study.solving import joined_reasons, start_from
from cimsolve.weights.folder import weights_beside
from cimsolve.weights.project import read_factors

EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED = 0, 1, 130


def run(options: SolveOptions) -> int:
    """Answer the question by every strategy asked for; returns the exit code.

    Raises InputError where the question is none, InfeasibleError where no strategy finds a mapping.
    """
    problem = problem_of(options, options.weights, options.objective)
    beside = weights_beside(problem.model, options.model)
    weights: RealWeights | None = beside
    factors: RealFactors | None = None
    if options.weights is not None:
        stored = read_factors(options.weights, problem.model)
        # `linear` stores the dense matrices; without the model's own they are the products of the factors.
        weights, factors = stored.weights if beside is None else stored.weights_over(beside), stored.factors
    start = None if options.start is None else start_from(solution_of(options.start), problem, options.start)
    progress = Progress(options.verbosity >= 0, problem.hardware.clock_ps / 1000)
    run = Run(
        problem,
        Effort(options.time_limit_s or math.inf, options.seed, options.workers, options.exact, start),
        cast(Simulated, options.simulate),
        weights,
        factors,
        lambda answer, report, name: write_checked(
            answer, report, Path(options.out), answer_name(options, problem, name)
        ),
        progress,
    )
    asked = describe_asked(options, problem, weights is not None)
    if not options.json and options.verbosity >= 0:
        print_question(asked, options.verbosity)
    outcomes: list[Outcome] = []
    with progress:
        for outcome in run.outcomes(options.strategies):
            outcomes.append(outcome)
            if outcome.state != "skipped":
                progress.finish(summary_line(outcome))
    code = EXIT_INTERRUPTED if run.interrupted else _exit_code(outcomes)
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


def _exit_code(outcomes: Sequence[Outcome]) -> int:
    """See the help: a rule that finds no mapping fails the run only where nothing else succeeds."""
    without = [outcome.strategy for outcome in outcomes if outcome.state != "solved"]
    broken = any(outcome.broken for outcome in outcomes)
    return EXIT_FAILED if broken or "optimal" in without or len(without) == len(outcomes) else EXIT_DONE


def describe_asked(options: SolveOptions, problem: Problem, real_weights: bool) -> Asked:
    layers = {"layer": "the first layer", "all": "all layers", "none": "none"}[options.simulate]
    weights = "the folder's weights" if real_weights else "random weights"
    weights = weights if options.weights is None else f"the factors of {options.weights}"
    return Asked(
        problem=problem,
        strategies=options.strategies,
        objective=options.objective,
        seed=options.seed,
        changes=changes_of(options),
        simulated=layers if options.simulate == "none" else f"{layers} of each answer, {weights} and inputs",
        command=command_line(options),
    )


def command_line(options: SolveOptions) -> str:
    """The command that asks the same again, to be pasted into a shell."""
    words = ["cimsolve", *question_words(options), "--strategy", ",".join(options.strategies)]
    words += ["--exact"] if options.exact else []
    words += words_unless_default(
        ("--start", options.start, None),
        ("--objective", ",".join(options.objective), ",".join(DEFAULT_OBJECTIVE)),
        ("--time-limit", options.time_limit_s, None),
        ("--simulate", options.simulate, "layer"),
        ("--weights", options.weights, None),
    )
    words += ["--seed", str(options.seed), "--workers", str(options.workers)]
    return shlex.join(words)


def answer_name(options: SolveOptions, problem: Problem, strategy: str) -> str:
    """The file of a strategy's answer. An answer found from --start takes the place of one found without."""
    search = ["exact"] if options.exact else []
    if options.objective != DEFAULT_OBJECTIVE:
        search += [item.replace(":", "=") for item in options.objective]  # a colon is no part of a file's name
    search += [f"seed{options.seed}"] if options.seed else []
    search += [f"weights-{Path(options.weights).stem}"] if options.weights is not None else []
    return file_name(options, problem, [strategy], search)
