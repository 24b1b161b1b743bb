"""`cimsolve check`: judge solution files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cimsolve.cli.options.parser import Parser, add_verbosity

_EPILOG = """\
Taken as the question are the file's hardware, model, structure and limits; all else is a claim: placement, schedule,
durations, metrics, bounds and status are worked out again without any strategy or solver.

examples:
  cimsolve check results/*.json
  cimsolve check results/bert-large--rram256--optimal.json -v
  cimsolve check results/*.json --json
"""


@dataclass(frozen=True)
class CheckOptions:
    """`cimsolve check`: judge solution files."""

    files: tuple[str, ...]
    json: bool
    verbosity: int


def make_parser() -> Parser:
    parser = Parser(
        prog="cimsolve check",
        description="Verify solution files with an independent checker and recompute their figures. "
        "Exit codes: 0 all hold, 1 one fails, 2 one cannot be read.",
        epilog=_EPILOG,
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="solutions, as written to results/")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")
    add_verbosity(parser, "one line a file", "every violation, and the proofs of the bounds")
    return parser


def parse(arguments: Sequence[str]) -> CheckOptions:
    found = make_parser().parse_known(arguments)
    return CheckOptions(tuple(found.files), found.json, found.verbosity)
