"""`cimsolve check`: judge solution files."""

from __future__ import annotations

from pathlib import Path

from cimsolve.cli.each_file import Found, each_file
from cimsolve.cli.options.check import CheckOptions
from cimsolve.judge.check import check_solution
from cimsolve.problem.solution import read_solution
from cimsolve.show.text.check import CHECK_FORMAT, describe_check, print_checked
from cimsolve.show.text.progress import Progress


def run(options: CheckOptions) -> int:
    """Judge every file; returns 2 where one cannot be read, else 1 where one fails, else 0."""

    def judge(name: str, progress: Progress) -> Found:
        progress.begin(f"checking {name}")
        solution = read_solution(Path(name))
        report = check_solution(solution)
        header, metrics = solution.header, None if report.costs is None else report.costs.metrics
        return Found(
            not report.passed,
            lambda: describe_check(report, header, metrics),
            lambda: print_checked(name, header, report, metrics, options.verbosity),
        )

    return each_file(options.files, judge, form=CHECK_FORMAT, json=options.json, progress=options.verbosity >= 0)
