"""`cimsolve sensitivity`: strategies compared on one chip after another; every answer checked, none written."""

from __future__ import annotations

import math
import shlex

from cimsolve.cli.commands.solve import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED
from cimsolve.cli.options.search import STRATEGY_NAMES
from cimsolve.cli.options.sensitivity import SensitivityOptions
from cimsolve.cli.question import changes_of, problem_of, question_words, words_unless_default
from cimsolve.errors import InfeasibleError
from cimsolve.problem.objective import DEFAULT_OBJECTIVE
from cimsolve.problem.problem import Problem
from cimsolve.show.text.console import print_json, say
from cimsolve.show.text.progress import Progress
from cimsolve.show.text.question import print_question
from cimsolve.show.text.sensitivity import Compared, describe_sensitivity, print_sensitivity
from cimsolve.solve.effort import Effort, Event
from cimsolve.study.ask import Asked
from cimsolve.study.sensitivity import VariantAnswers, answer_variants, find_variants
from cimsolve.study.solving import joined_reasons


def run(options: SensitivityOptions) -> int:
    """Answer the question under every variant and compare; returns the exit code.

    Raises InputError where the question is none, InfeasibleError where no strategy finds a mapping at all.
    """
    problem = problem_of(options)
    find_variants(problem.hardware)  # refuses what has no converters before anything is printed
    asked = Asked(
        problem=problem,
        strategies=options.strategies,
        objective=DEFAULT_OBJECTIVE,
        seed=0,
        changes=changes_of(options),
        simulated="none: every answer is checked",
        command=command_line(options),
    )
    if not options.json and options.verbosity >= 0:
        print_question(asked, 0)
    run = _Run(options, problem)
    found = run.answer()
    if not any(answer.metrics for variant in found for answer in variant.answers.values()):
        reasons = [(name, one.reason, one.shortage) for each in found[:1] for name, one in each.answers.items()]
        raise InfeasibleError(joined_reasons(reasons)) if reasons else KeyboardInterrupt
    broken = any(variant.broken for variant in found)
    code = EXIT_INTERRUPTED if run.interrupted else EXIT_FAILED if broken else EXIT_DONE
    compared = Compared(found, options.reference)
    if options.json:
        print_json(describe_sensitivity(asked, compared, code))
    else:
        print_sensitivity(asked, compared, options.verbosity)
    if run.interrupted:
        say("interrupted; changes are missing")
    return code


class _Run:
    """All variants, one after the other. After Ctrl-C `interrupted` is set and the finished ones are left."""

    def __init__(self, options: SensitivityOptions, problem: Problem) -> None:
        self.interrupted = False
        self._options = options
        self._problem = problem
        self._progress = Progress(options.verbosity >= 0, problem.hardware.clock_ps / 1000)

    def answer(self) -> list[VariantAnswers]:
        effort = Effort(self._options.time_limit_s or math.inf, listen=self._listen)
        found: list[VariantAnswers] = []
        with self._progress:
            try:
                for answers in answer_variants(self._problem, effort, self._options.strategies, self._begin):
                    if self.interrupted:
                        break  # its search was cut short
                    found.append(answers)
            except KeyboardInterrupt:
                self.interrupted = True
        return found

    def _begin(self, variant: str, strategy: str) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self._progress.begin(f"{variant}: {strategy}")

    def _listen(self, event: Event) -> None:
        if event.phase == "interrupted":
            self.interrupted = True
        self._progress.listen(event)


def command_line(options: SensitivityOptions) -> str:
    """The command that asks the same again, to be pasted into a shell."""
    words = words_unless_default(
        ("--strategy", ",".join(options.strategies), ",".join(STRATEGY_NAMES)),
        ("--reference", options.reference, options.strategies[0]),
        ("--time-limit", options.time_limit_s, None),
    )
    return shlex.join(["cimsolve", "sensitivity", *question_words(options), *words])
