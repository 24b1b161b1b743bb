"""`cimsolve sensitivity`: strategies compared on one chip after another."""

from __future__ import annotations

from functools import partial
from typing import Self

from cimsolve.cli.parser import Parser, verbosity
from cimsolve.cli.question import ComparedOptions, GraphOptions, problem_of, strategies_option, time_limit_option
from cimsolve.cli.studying import TableOptions, exit_code, solve_all, tell_interrupted
from cimsolve.errors import InfeasibleError
from cimsolve.problem.objective import DEFAULT_OBJECTIVE
from cimsolve.solve.names import OF_EXPERTS, STRATEGY_NAMES


class Options(TableOptions, ComparedOptions, GraphOptions):
    usage = "cimsolve sensitivity [options]"
    about = (
        "Ask the question again with another converter model, other converter wiring, and with or without "
        "sample-and-hold, one change at a time; compare strategies under each and show where their ranking flips. "
        "Every answer is checked; results are kept by content, as those of compare. Exit codes as of cimsolve."
    )
    epilog = """\
examples:
  cimsolve sensitivity --hw paper256
  cimsolve sensitivity --hw rram256 --model minilm-l6 --strategy linear,spread,optimal --reference spread
"""

    strategies: tuple[str, ...] = strategies_option(
        help=f"of {', '.join(STRATEGY_NAMES)}; two or more, repeatable (default: all but {OF_EXPERTS})"
    )
    time_limit_s: float | None = time_limit_option("brake of `optimal` under each change; without it results repeat")
    verbosity: int = verbosity("only the tables", "totals beside the figures in arrays")

    def settled(self, parser: Parser) -> Self:
        if len(self.strategies) < 2:
            parser.error(f"--strategy: {self.strategies[0]} alone: expected two or more to compare")
        return super().settled(parser)


def run(options: Options) -> int:
    """Answer the question under every variant and compare; returns the exit code.

    Raises InputError where the question is none, InfeasibleError where no strategy finds a mapping at all, FailedError
    where processes die.
    """
    problem = problem_of(options)

    from cimsolve.show.text.question import print_question
    from cimsolve.show.text.sensitivity import Compared, print_compared
    from cimsolve.study.ask import Asked
    from cimsolve.study.changes import answer_variants, find_variants
    from cimsolve.study.solving import joined_reasons

    variants = find_variants(problem.hardware)  # refuses what has no converters before anything is printed
    asked = Asked(
        problem=problem,
        strategies=options.strategies,
        objective=DEFAULT_OBJECTIVE,
        seed=0,
        changes=options.changes,
        simulated="none: every answer is checked",
        command=options.command(),
    )
    if options.format == "table" and options.verbosity >= 0:
        print_question(asked, 0)
    solve = partial(solve_all, options=options)
    found, done = answer_variants(problem, variants, options.strategies, solve, time_limit_s=options.time_limit_s)
    states = {answer.state for each in found for answer in each.answers.values()}
    if states == {"infeasible"}:
        given = found[0].answers
        raise InfeasibleError(joined_reasons([(name, one.reason, one.shortage) for name, one in given.items()]))
    code = exit_code(done, states)
    if found:
        print_compared(asked, Compared(found, options.against), options.format, options.verbosity, code)
    tell_interrupted(done, options)
    return code
