"""`cimsolve replay`: simulate when everything happens, and compare with the equations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cimsolve.cli.options.parser import Parser, add_verbosity
from cimsolve.cli.values import one_of, whole

CONTROLLERS = ("paced", "oldest", "burst")
GAPS = ("apart", "together")


_EPILOG = """\
examples:
  cimsolve replay results/*.json
  cimsolve replay results/bert-large--rram256--optimal.json --tokens 64 --controller oldest
"""


@dataclass(frozen=True)
class ReplayOptions:
    """`cimsolve replay`: simulate when everything happens, and compare with the equations."""

    files: tuple[str, ...]
    tokens: int | None
    stream: int | None
    controller: str
    gaps: str
    json: bool
    verbosity: int


def make_parser() -> Parser:
    parser = Parser(
        prog="cimsolve replay",
        description="Replay solution files by discrete events: one token, a prefill, and a stream of many sequences, "
        "beside what the equations say. Exit codes: 0 one token takes exactly as long as they say, 1 it does not or "
        "a file fails its check, 2 a file cannot be read.",
        epilog=_EPILOG,
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="solutions, as written to results/")
    parser.add_argument(
        "--tokens", type=whole(1), metavar="N", help="of the prefill (default: as many as the solution says)"
    )
    parser.add_argument(
        "--stream",
        type=whole(0),
        metavar="N",
        help="tokens of the stream, each of a sequence of its own, 0 for none (default: what it takes to settle)",
    )
    parser.add_argument(
        "--controller",
        type=one_of(CONTROLLERS),
        metavar="WHICH",
        default="paced",
        help="paced: tokens enter a phase at the pace of its busiest unit, first come, first served; oldest: "
        "likewise, but digital units and interconnect serve the oldest token; burst: all tokens of a prefill enter "
        "at once (default: %(default)s)",
    )
    parser.add_argument(
        "--gaps",
        type=one_of(GAPS),
        metavar="HOW",
        default="apart",
        help="apart: digital units and interconnect serve different tokens at once; together: a gap holds both "
        "(default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout and nothing else")
    add_verbosity(parser, "one line a file", "")
    return parser


def parse(arguments: Sequence[str]) -> ReplayOptions:
    parser = make_parser()
    found = parser.parse_known(arguments)
    return ReplayOptions(
        tuple(found.files),
        found.tokens,
        found.stream,
        found.controller,
        found.gaps,
        found.json,
        found.verbosity,
    )
