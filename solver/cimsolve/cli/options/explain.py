"""`cimsolve explain`: why an answer is as it is, or why there is none."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from cimsolve.cli.options.parser import DEFAULT_OUT, Parser, add_verbosity, flat
from cimsolve.cli.options.question import QUESTION_NAMES, QuestionOptions, add_question, question_options
from cimsolve.cli.options.search import STRATEGY_NAMES, add_objective, add_seed
from cimsolve.cli.values import near, one_of, seconds, whole

# The names of `explain.change`, which is too heavy to import; a test compares them.
WHAT_IF_NAMES = ("again", "adc+1", "array+1", "arrays+1%", "bit+1", "bit-1", "sample-hold", "digital-x2", "transfer-x2")
DEFAULT_WHAT_IFS = ("again", "adc+1", "array+1", "arrays+1%", "bit+1", "bit-1", "sample-hold", "digital-x2")
DEFAULT_KINDS = 10

_EPILOG = """\
names of --what-if:
  again         the same question solved again: what a new search finds by itself
  adc+1         one more converter an array
  array+1       one more array; arrays+1%: a hundredth more
  bit+1, bit-1  converters of one bit more, or less
  sample-hold   conversions of a phase overlap the next phase's read
  digital-x2    twice the digital units; transfer-x2: twice the transfer rate
  KEY=VALUE     any key of the hardware spec; none: nothing

Every change is solved again by the strategy of the answer, and checked. Without a FILE the question given by the
options is solved first; where it has no answer, the least limits that would do are searched for.

exit codes:
  0    explained
  1    the file fails its check, or the question has no answer under its limits (what would do is shown)
  2    a wrong option or a file that cannot be used

examples:
  cimsolve explain results/bert-large--rram256--optimal.json
  cimsolve explain results/bert-large--rram256--spread.json --what-if adc+1,read_ns=5 --what-if array.rows=128
  cimsolve explain --hw paper256 --model bert-large --max-arrays 100
  cimsolve explain --hw paper256 --model minilm-l6 --max-arrays 12 --max-latency 20us
"""


@dataclass(frozen=True, kw_only=True)
class ExplainOptions(QuestionOptions):
    """`cimsolve explain`: a solution `file`, or a question."""

    file: str | None
    strategy: str
    objective: tuple[str, ...]
    seed: int
    time_limit_s: float | None
    what_ifs: tuple[str, ...]
    kinds: int
    """Most kinds of stages shown in a table."""


def make_parser() -> Parser:
    parser = Parser(
        prog="cimsolve explain",
        usage="cimsolve explain FILE [options] | cimsolve explain [options]",
        description="Say why an answer takes its time and its arrays: the critical chain of stages, the busiest "
        "array, what binds each, and what a change would buy. Of a question without an answer, say which limits "
        "are short and what would do.",
        epilog=_EPILOG,
    )
    parser.add_argument("file", nargs="?", metavar="FILE", help="a solution, as written to results/")
    add_question(parser)
    search = parser.add_argument_group("search")
    search.add_argument(
        "--strategy", type=one_of(STRATEGY_NAMES), default="optimal", metavar="NAME", help="default: %(default)s"
    )
    add_objective(search)
    add_seed(search)
    search.add_argument("--time-limit", type=seconds, metavar="SECONDS", help="brake of the first search")
    listed = ",".join(DEFAULT_WHAT_IFS).replace("%", "%%")  # argparse fills in what stands after a single one
    search.add_argument(
        "--what-if",
        action="append",
        type=what_ifs,
        metavar="NAME[,NAME]",
        help=f"changes to solve again, listed below; repeatable (default: {listed})",
    )
    output = parser.add_argument_group("output")
    output.add_argument(
        "--kinds",
        type=whole(1, 10_000),
        default=DEFAULT_KINDS,
        metavar="N",
        help="kinds of stages shown, the longest first (default: %(default)s)",
    )
    output.add_argument("--json", action="store_true", help="one JSON object on stdout, every stage in it")
    add_verbosity(output, "only the tables", "every stage of the chain, not only kinds")
    parser.set_defaults(out=DEFAULT_OUT)
    return parser


def parse(arguments: Sequence[str]) -> ExplainOptions:
    parser = make_parser()
    found = parser.parse_known(arguments)
    if found.file is not None:
        why = f"{found.file} states its own question; leave one of them out"
        parser.demand_absent(arguments, (*QUESTION_NAMES, "strategy", "objective", "seed", "time_limit"), why)
    chosen = DEFAULT_WHAT_IFS if found.what_if is None else flat(found.what_if)
    return ExplainOptions(
        **question_options(found),
        file=found.file,
        strategy=found.strategy,
        objective=tuple(found.objective),
        seed=found.seed,
        time_limit_s=found.time_limit,
        what_ifs=tuple(name for name in chosen if name != "none"),
        kinds=found.kinds,
    )


def what_ifs(text: str) -> tuple[str, ...]:
    """Names of changes, or KEY=VALUE, between commas."""
    found = tuple(name.strip() for name in text.split(","))
    for name in found:
        if name not in (*WHAT_IF_NAMES, "none") and "=" not in name:
            raise argparse.ArgumentTypeError(
                f"{name!r}: there is no such change{near(name, WHAT_IF_NAMES)}; known: {', '.join(WHAT_IF_NAMES)}, "
                "none, KEY=VALUE"
            )
    return found
