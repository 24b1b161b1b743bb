"""`cimsolve pareto`: what each further array buys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cimsolve.cli.options.parser import Parser, add_output
from cimsolve.cli.options.question import QuestionOptions, add_question, question_options
from cimsolve.cli.values import seconds

FRONT_TIME_LIMIT_S = 600.0


@dataclass(frozen=True, kw_only=True)
class FrontOptions(QuestionOptions):
    """`cimsolve pareto`: what each further array buys."""

    time_limit_s: float


def parse(arguments: Sequence[str]) -> FrontOptions:
    parser = Parser(
        prog="cimsolve pareto",
        usage="cimsolve pareto [options]",
        description="Find the mappings that none found beats in arrays, token latency, prefill, II and energy at "
        "once; check and write each, and compare the rules with them. Exit codes as of cimsolve.",
    )
    add_question(parser)
    search = parser.add_argument_group("search")
    search.add_argument(
        "--time-limit",
        type=seconds,
        default=FRONT_TIME_LIMIT_S,
        metavar="SECONDS",
        help="brake of the search; where it strikes, two runs may differ (default: %(default)g)",
    )
    add_output(parser, "only the tables", "")
    found = parser.parse_known(arguments)
    return FrontOptions(**question_options(found), time_limit_s=found.time_limit)
