"""`cimsolve sensitivity`: strategies compared on one chip after another; every answer checked, none written."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from cimsolve.cli.parser import Parser, json_switch, verbosity
from cimsolve.cli.question import ComparedOptions, QuestionOptions, problem_of, strategies_option, time_limit_option
from cimsolve.errors import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, InfeasibleError
from cimsolve.problem.objective import DEFAULT_OBJECTIVE
from cimsolve.solve.names import STRATEGY_NAMES

if TYPE_CHECKING:
    from cimsolve.problem.problem import Problem
    from cimsolve.solve.effort import Event
    from cimsolve.study.sensitivity import VariantAnswers

_EPILOG = """\
examples:
  cimsolve sensitivity --hw paper256
  cimsolve sensitivity --hw rram256 --model minilm-l6 --strategy linear,spread,optimal --reference spread
"""


@dataclass(frozen=True, kw_only=True)
class Options(ComparedOptions, QuestionOptions):
    """`cimsolve sensitivity`: how a comparison of strategies depends on the converters."""

    prog = "cimsolve sensitivity"
    usage = "cimsolve sensitivity [options]"
    about = (
        "Ask the question again with another converter model, other converter wiring, and with or without "
        "sample-and-hold, one change at a time; compare strategies under each and show where their ranking flips. "
        "Every answer is checked, none is written. Exit codes as of cimsolve."
    )
    epilog = _EPILOG

    strategies: tuple[str, ...] = strategies_option(
        help=f"of {', '.join(STRATEGY_NAMES)}; two or more, repeatable (default: all)"
    )
    time_limit_s: float | None = time_limit_option("brake of `optimal` under each change; without it results repeat")
    json: bool = json_switch()
    verbosity: int = verbosity("only the tables", "totals beside the figures in arrays")

    def settled(self, parser: Parser) -> Self:
        if len(self.strategies) < 2:
            parser.error(f"--strategy: {self.strategies[0]} alone: expected two or more to compare")
        return super().settled(parser)


def run(options: Options) -> int:
    """Answer the question under every variant and compare; returns the exit code.

    Raises InputError where the question is none, InfeasibleError where no strategy finds a mapping at all.
    """
    return _answer(options, problem_of(options))


def _answer(options: Options, problem: Problem) -> int:
    from cimsolve.show.text.console import print_json, say
    from cimsolve.show.text.question import print_question
    from cimsolve.show.text.sensitivity import Compared, describe_sensitivity, print_sensitivity
    from cimsolve.study.ask import Asked
    from cimsolve.study.sensitivity import find_variants
    from cimsolve.study.solving import joined_reasons

    find_variants(problem.hardware)  # refuses what has no converters before anything is printed
    asked = Asked(
        problem=problem,
        strategies=options.strategies,
        objective=DEFAULT_OBJECTIVE,
        seed=0,
        changes=options.changes,
        simulated="none: every answer is checked",
        command=options.command(),
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
    compared = Compared(found, options.against)
    if options.json:
        print_json(describe_sensitivity(asked, compared, code))
    else:
        print_sensitivity(asked, compared, options.verbosity)
    if run.interrupted:
        say("interrupted; changes are missing")
    return code


class _Run:
    """All variants, one after the other. After Ctrl-C `interrupted` is set and the finished ones are left."""

    def __init__(self, options: Options, problem: Problem) -> None:
        from cimsolve.show.text.progress import Progress

        self.interrupted = False
        self._options = options
        self._problem = problem
        self._progress = Progress(options.verbosity >= 0, problem.hardware.clock_ps / 1000)

    def answer(self) -> list[VariantAnswers]:
        from cimsolve.solve.effort import Effort
        from cimsolve.study.sensitivity import answer_variants

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
