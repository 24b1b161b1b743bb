"""`cimsolve sensitivity`: how a comparison of strategies depends on the converters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cimsolve.cli.options.parser import DEFAULT_OUT, Parser, add_verbosity, flat
from cimsolve.cli.options.question import QuestionOptions, add_question, question_options
from cimsolve.cli.options.search import STRATEGY_NAMES, add_reference, reference_of
from cimsolve.cli.values import names, seconds

_EPILOG = """\
examples:
  cimsolve sensitivity --hw paper256
  cimsolve sensitivity --hw rram256 --model minilm-l6 --strategy linear,spread,optimal --reference spread
"""


@dataclass(frozen=True, kw_only=True)
class SensitivityOptions(QuestionOptions):
    """`cimsolve sensitivity`: how a comparison of strategies depends on the converters."""

    strategies: tuple[str, ...]
    reference: str
    time_limit_s: float | None


def make_parser() -> Parser:
    parser = Parser(
        prog="cimsolve sensitivity",
        usage="cimsolve sensitivity [options]",
        description="Ask the question again with another converter model, other converter wiring, and with or without "
        "sample-and-hold, one change at a time; compare strategies under each and show where their ranking flips. "
        "Every answer is checked, none is written. Exit codes as of cimsolve.",
        epilog=_EPILOG,
    )
    add_question(parser)
    comparison = parser.add_argument_group("comparison")
    comparison.add_argument(
        "--strategy",
        action="append",
        type=names("strategy", STRATEGY_NAMES),
        metavar="NAME[,NAME]",
        help=f"of {', '.join(STRATEGY_NAMES)}; two or more, repeatable (default: all)",
    )
    add_reference(comparison)
    comparison.add_argument(
        "--time-limit",
        type=seconds,
        metavar="SECONDS",
        help="brake of `optimal` under each change; without it results repeat",
    )
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")
    add_verbosity(output, "only the tables", "totals beside the figures in arrays")
    return parser


def parse(arguments: Sequence[str]) -> SensitivityOptions:
    parser = make_parser()
    found = parser.parse_known(arguments)
    found.out = DEFAULT_OUT
    strategies = flat(found.strategy) or STRATEGY_NAMES
    if len(strategies) < 2:
        parser.error(f"--strategy: {strategies[0]} alone: expected two or more to compare")
    return SensitivityOptions(
        **question_options(found),
        strategies=strategies,
        reference=reference_of(parser, found.reference, strategies),
        time_limit_s=found.time_limit,
    )
