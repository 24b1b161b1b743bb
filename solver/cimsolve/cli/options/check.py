"""`cimsolve check`: judge solution files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cimsolve.cli.options.parser import Parser, add_verbosity


@dataclass(frozen=True)
class CheckOptions:
    """`cimsolve check`: judge solution files."""

    files: tuple[str, ...]
    json: bool
    verbosity: int


def parse(arguments: Sequence[str]) -> CheckOptions:
    parser = Parser(
        prog="cimsolve check",
        description="Verify solution files with an independent checker and recompute their figures. "
        "Exit codes: 0 all hold, 1 one fails, 2 one cannot be read.",
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="solutions, as written to results/")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")
    add_verbosity(parser, "one line a file", "every violation, and the proofs of the bounds")
    found = parser.parse_known(arguments)
    return CheckOptions(tuple(found.files), found.json, found.verbosity)
