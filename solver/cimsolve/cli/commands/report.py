"""`cimsolve report`: a page, charts and a trace of solutions that pass the checker."""

from __future__ import annotations

from pathlib import Path

from cimsolve.cli.options.report import ReportOptions
from cimsolve.show.page import demand_plotting, judged_ones, write_figures, write_report, write_trace
from cimsolve.show.text.listing import print_drawn
from cimsolve.show.text.progress import Progress

EXIT_DONE = 0


def run(options: ReportOptions) -> int:
    """Judge all files, then write what is asked for.

    Raises InputError where one cannot be read or written, CheckError where one fails its check.
    """
    if options.out or options.figures:
        demand_plotting()
    written: list[Path] = []
    notes: list[str] = []
    with Progress(options.verbosity >= 0) as progress:
        progress.begin(f"checking {len(options.files)} files" if len(options.files) > 1 else "checking")
        judged = judged_ones(options.files)
        progress.begin("drawing")
        if options.out:
            write_report(judged, options.out)
            written.append(Path(options.out))
        if options.figures:
            written += write_figures(judged, options.figures, options.formats)
        if options.trace:
            notes += write_trace(judged, options.trace)
            written.append(Path(options.trace))
    if options.verbosity >= 0:
        print_drawn(written, notes)
    return EXIT_DONE
