"""`cimsolve replay`: simulate when everything happens, and compare with the equations."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from cimsolve.check import CheckReport, check_solution
from cimsolve.cli.options.replay import ReplayOptions
from cimsolve.errors import InputError
from cimsolve.replay import Controller, Replay, SharedUnits, replay
from cimsolve.report.console import print_json, say
from cimsolve.report.machine import REPLAY_FORMAT, describe_replay
from cimsolve.report.progress import Progress
from cimsolve.report.replay import print_replayed
from cimsolve.solution import Solution, read_solution

EXIT_DONE, EXIT_FAILED = 0, 1


def run(options: ReplayOptions) -> int:
    """Replay every file; returns 2 where one cannot be read or replayed, else 1 where one differs, else 0."""
    code = EXIT_DONE
    told: dict[str, Any] = {}
    for name in options.files:
        try:
            with Progress(options.verbosity >= 0) as progress:
                progress.begin(f"checking {name}")
                solution = read_solution(Path(name))
                report = check_solution(solution)
                progress.begin(f"replaying {name}")
                found = _replay(solution, report, options)
        except InputError as error:
            code = max(code, error.exit_code)
            told[name] = {"passed": None, "error": str(error)}
            say(f"error: {error}")
            continue
        if not (report.passed and found is not None and found.agrees):
            code = max(code, EXIT_FAILED)
        if options.json:
            told[name] = describe_replay(report, solution.header, found)
        else:
            print_replayed(name, solution.header, report, found, options.verbosity)
    if options.json:
        print_json({"format": REPLAY_FORMAT, "files": told, "exit_code": code})
    return code


def _replay(solution: Solution, report: CheckReport, options: ReplayOptions) -> Replay | None:
    """None where the tables break a rule, so that no times follow from them."""
    if report.problem is None or report.costs is None:
        return None
    return replay(
        report.problem,
        solution.pieces,
        solution.activations,
        report.costs,
        tokens=options.tokens,
        stream=options.stream,
        controller=cast(Controller, options.controller),
        gaps=cast(SharedUnits, options.gaps),
    )
