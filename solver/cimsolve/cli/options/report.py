"""`cimsolve report`: solutions as people look at them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from cimsolve.cli.options.parser import Parser, add_verbosity
from cimsolve.cli.places import Place
from cimsolve.cli.values import names

DEFAULT_PAGE = "report.html"
FORMAT_NAMES = ("svg", "png", "pdf")
"""Those of `draw`, which is too heavy to import; a test compares them."""


_EPILOG = """\
examples:
  cimsolve report results/*.json
  cimsolve report results/bert-large--rram256--optimal.json --figures pictures --trace schedule.json
"""


@dataclass(frozen=True)
class ReportOptions:
    """`cimsolve report`: solutions as people look at them; None for what is not to be written."""

    files: tuple[str, ...]
    out: str | None
    figures: str | None
    formats: tuple[str, ...]
    trace: str | None
    verbosity: int

    @property
    def places(self) -> tuple[Place, ...]:
        written = (("--out", self.out, False), ("--figures", self.figures, True), ("--trace", self.trace, False))
        return tuple(Place(option, path, folder) for option, path, folder in written if path is not None)


def make_parser() -> Parser:
    parser = Parser(
        prog="cimsolve report",
        description="Show solutions: one HTML page that needs nothing else, charts as files, a trace of the schedule. "
        "Every file is judged by the checker first; if one fails nothing is drawn. "
        "Exit codes: 0 written, 1 one fails its check, 2 one cannot be read.",
        epilog=_EPILOG,
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="solutions, as written to results/")
    parser.add_argument(
        "--out",
        metavar="FILE",
        help=f"the page (default: {DEFAULT_PAGE}, and none if only --figures or --trace is given)",
    )
    parser.add_argument("--figures", metavar="FOLDER", help="write every chart there as files")
    parser.add_argument(
        "--format",
        dest="formats",
        type=names("format", FORMAT_NAMES),
        default=("svg", "png"),
        metavar="NAME[,NAME]",
        help=f"of {', '.join(FORMAT_NAMES)} (default: svg,png)",
    )
    parser.add_argument(
        "--trace",
        metavar="FILE",
        help="write the schedule as JSON events for ui.perfetto.dev or Chrome's about:tracing",
    )
    add_verbosity(parser, "print nothing", "")
    return parser


def parse(arguments: Sequence[str]) -> ReportOptions:
    parser = make_parser()
    found = parser.parse_known(arguments)
    page = DEFAULT_PAGE if (found.out, found.figures, found.trace) == (None, None, None) else found.out
    if found.figures is None:
        parser.demand_absent(arguments, ("formats",), "is of the charts; expected --figures FOLDER with it")
    read = {os.path.realpath(name) for name in found.files}
    for option, path in (("--out", page), ("--trace", found.trace)):
        if path and os.path.realpath(path) in read:
            parser.error(f"{option} {path}: is one of the solutions to show; expected a file to write")
    return ReportOptions(tuple(found.files), page, found.figures, tuple(found.formats), found.trace, found.verbosity)
