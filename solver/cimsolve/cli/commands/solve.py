"""`cimsolve`: map one model by several strategies; check, write and simulate each answer; compare them."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

from cimsolve.api import make_search, start_from, weights_beside
from cimsolve.cli.options.solve import SolveOptions
from cimsolve.cli.question import changes_of, file_name, problem_of, question_words, words_unless_default
from cimsolve.cli.writing import interrupts_held, without_tables, write_checked
from cimsolve.errors import InfeasibleError, InputError
from cimsolve.judge.check import check_solution
from cimsolve.judge.simulate import RealFactors, RealWeights, simulate
from cimsolve.problem.objective import DEFAULT_OBJECTIVE
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Solution
from cimsolve.problem.tables import Mapping
from cimsolve.prove import objective_units
from cimsolve.show.text.console import print_json, say
from cimsolve.show.text.progress import Progress
from cimsolve.show.text.question import Asked, print_question
from cimsolve.show.text.solve import describe_run, print_run, summary_line
from cimsolve.solve import Event
from cimsolve.solve.plan import demand_exact
from cimsolve.study.outcome import Outcome
from cimsolve.study.run import joined_reasons, question_for, solve
from cimsolve.weights.project import read_factors

EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED = 0, 1, 130


def run(options: SolveOptions) -> int:
    """Answer the question by every strategy asked for; returns the exit code.

    Raises InputError where the question is none, InfeasibleError where no strategy finds a mapping.
    """
    problem = problem_of(options, options.weights)
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
        print_question(asked, options.verbosity)
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
        options: SolveOptions,
        problem: Problem,
        weights: RealWeights | None,
        factors: RealFactors | None,
        start: Mapping | None,
    ) -> None:
        """Raises InputError where the exact model is insisted on and out of reach."""
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
