"""`cimsolve pareto`: what each further array buys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cimsolve.cli.options.parser import Parser, add_output
from cimsolve.cli.options.question import QuestionOptions, add_question, question_options
from cimsolve.cli.places import Place
from cimsolve.cli.values import seconds

FRONT_TIME_LIMIT_S = 600.0

_EPILOG = """\
A point marked * in a column is proved: no mapping on as many arrays has less. Every point is written to --out as
a solution of its own.

examples:
  cimsolve pareto --hw paper256
  cimsolve pareto --hw rram256 --model minilm-l6 --adcs 16 --max-arrays 400
  cimsolve pareto --model gpt2-medium --max-latency 60us --time-limit 120 --json
"""


@dataclass(frozen=True, kw_only=True)
class FrontOptions(QuestionOptions):
    """`cimsolve pareto`: what each further array buys."""

    time_limit_s: float

    @property
    def places(self) -> tuple[Place, ...]:
        return (Place("--out", self.out, folder=True),)


def make_parser() -> Parser:
    parser = Parser(
        prog="cimsolve pareto",
        usage="cimsolve pareto [options]",
        description="Find the mappings that none found beats in arrays, token latency, prefill, II and energy at "
        "once; check and write each, and compare the rules with them. Exit codes as of cimsolve.",
        epilog=_EPILOG,
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
    return parser


def parse(arguments: Sequence[str]) -> FrontOptions:
    found = make_parser().parse_known(arguments)
    return FrontOptions(**question_options(found), time_limit_s=found.time_limit)
