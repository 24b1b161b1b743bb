"""`cimsolve replay`: simulate when everything happens, and compare with the equations."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from cimsolve.cli.each_file import Found, each_file
from cimsolve.cli.options.replay import ReplayOptions
from cimsolve.judge.check import CheckReport, check_solution
from cimsolve.judge.replay import Controller, Replay, SharedUnits, replay
from cimsolve.problem.solution import Solution, read_solution
from cimsolve.show.as_json import REPLAY_FORMAT, describe_replay
from cimsolve.show.text.progress import Progress
from cimsolve.show.text.replay import print_replayed


def run(options: ReplayOptions) -> int:
    """Replay every file; returns 2 where one cannot be read or replayed, else 1 where one differs, else 0."""

    def look(name: str, progress: Progress) -> Found:
        progress.begin(f"checking {name}")
        solution = read_solution(Path(name))
        report = check_solution(solution)
        progress.begin(f"replaying {name}")
        found = _replay(solution, report, options)
        return Found(
            not (report.passed and found is not None and found.agrees),
            lambda: describe_replay(report, solution.header, found),
            lambda: print_replayed(name, solution.header, report, found, options.verbosity),
        )

    return each_file(options.files, look, form=REPLAY_FORMAT, json=options.json, progress=options.verbosity >= 0)


def _replay(solution: Solution, report: CheckReport, options: ReplayOptions) -> Replay | None:
    """None where the tables break a rule, so that no times follow from them."""
    if report.costs is None:
        return None
    return replay(
        solution.activations,
        report.costs,
        tokens=options.tokens,
        stream=options.stream,
        controller=cast(Controller, options.controller),
        gaps=cast(SharedUnits, options.gaps),
    )
