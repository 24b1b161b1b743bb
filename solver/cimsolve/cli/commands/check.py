"""`cimsolve check`: judge solution files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cimsolve.check import check_solution
from cimsolve.cli.options.check import CheckOptions
from cimsolve.errors import InputError
from cimsolve.report.check import print_checked
from cimsolve.report.console import print_json, say
from cimsolve.report.machine import CHECK_FORMAT, describe_check
from cimsolve.report.progress import Progress
from cimsolve.solution import read_solution

EXIT_DONE, EXIT_FAILED = 0, 1


def run(options: CheckOptions) -> int:
    """Judge every file; returns 2 where one cannot be read, else 1 where one fails, else 0."""
    code = EXIT_DONE
    judged: dict[str, Any] = {}
    for name in options.files:
        try:
            with Progress(options.verbosity >= 0) as progress:
                progress.begin(f"checking {name}")
                solution = read_solution(Path(name))
                report = check_solution(solution)
        except InputError as error:
            code = error.exit_code
            judged[name] = {"passed": None, "error": str(error)}
            say(f"error: {error}")
            continue
        if not report.passed:
            code = max(code, EXIT_FAILED)
        metrics = None if report.costs is None else report.costs.metrics
        if options.json:
            judged[name] = describe_check(report, solution.header, metrics)
        else:
            print_checked(name, solution.header, report, metrics, options.verbosity)
    if options.json:
        print_json({"format": CHECK_FORMAT, "files": judged, "exit_code": code})
    return code
