"""`cimsolve report`: a page, charts and a trace of solutions that pass the checker."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Self

from cimsolve.cli.drawing import SizeOptions, losses_option
from cimsolve.cli.parser import Parser, option, solution_files, verbosity
from cimsolve.cli.values import Names
from cimsolve.errors import EXIT_DONE
from cimsolve.show.names import FIGURE_FORMATS

DEFAULT_PAGE = "report.html"


class Options(SizeOptions):
    """`cimsolve report`: solutions as people look at them; None for what is not to be written."""

    about = (
        "Show solutions: one HTML page that needs nothing else, charts as files, a trace of the schedule. Every file "
        "is judged by the checker first; if one fails nothing is drawn. "
        "Exit codes: 0 written, 1 one fails its check, 2 one cannot be read."
    )
    epilog = """\
examples:
  cimsolve report results/*.json
  cimsolve report results/bert-large--rram256--optimal.json --figures pictures --trace schedule.json
  cimsolve report results/*.json --figures pictures --format pdf,png --width 3.5in --dpi 300
"""

    files: tuple[str, ...] = solution_files()
    out: str | None = option(
        "--out FILE",
        f"the page (default: {DEFAULT_PAGE}, and none if only --figures or --trace is given)",
        writes="file",
    )
    figures: str | None = option("--figures FOLDER", "write every chart there as files", writes="folder")
    formats: tuple[str, ...] = option(
        "--format NAME[,NAME]",
        f"of {', '.join(FIGURE_FORMATS)} (default: {{default}})",
        Names("format", FIGURE_FORMATS),
        ("svg", "png"),
    )
    trace: str | None = option(
        "--trace FILE", "write the schedule as JSON events for ui.perfetto.dev or Chrome's about:tracing", writes="file"
    )
    losses: str | None = losses_option()
    verbosity: int = verbosity("print nothing", group="")

    def settled(self, parser: Parser) -> Self:
        page = DEFAULT_PAGE if (self.out, self.figures, self.trace) == (None, None, None) else self.out
        if page is None:
            parser.demand_absent(["--losses"], "is told on the page; expected --out FILE with it")
        if self.figures is None:
            parser.demand_absent(["--format"], "is of the charts; expected --figures FOLDER with it")
        self.demand_drawing(parser, self.figures, "--figures FOLDER")
        read = {os.path.realpath(name) for name in self.files}
        for flag, path in (("--out", page), ("--trace", self.trace)):
            if path and os.path.realpath(path) in read:
                parser.error(f"{flag} {path}: is one of the solutions to show; expected a file to write")
        return replace(self, out=page)


def run(options: Options) -> int:
    """Judge all files, then write what is asked for.

    Raises InputError where one cannot be read or written, CheckError where one fails its check.
    """
    from cimsolve.show.page import demand_plotting, judged_ones, write_figures, write_report, write_trace
    from cimsolve.show.text.drawn import print_drawn
    from cimsolve.show.text.progress import Progress

    if options.out or options.figures:
        demand_plotting()
    written: list[Path] = []
    notes: list[str] = []
    with Progress(options.verbosity >= 0) as progress:
        progress.begin(f"checking {len(options.files)} files" if len(options.files) > 1 else "checking")
        judged = judged_ones(options.files)
        progress.begin("drawing")
        if options.out:
            write_report(judged, options.out, options.losses)
            written.append(Path(options.out))
        if options.figures:
            written += write_figures(judged, options.figures, options.formats, options.width_in, options.dpi)
        if options.trace:
            notes += write_trace(judged, options.trace)
            written.append(Path(options.trace))
    if options.verbosity >= 0:
        print_drawn(written, notes)
    return EXIT_DONE
