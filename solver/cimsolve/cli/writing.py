"""Writing answers that passed their check."""

from __future__ import annotations

from pathlib import Path

from cimsolve.errors import InputError
from cimsolve.judge.check import CheckReport
from cimsolve.problem.solution import Solution, write_solution


def write_checked(solution: Solution, report: CheckReport, folder: Path, name: str) -> tuple[Path, ...]:
    """Write an answer that passed its check; returns the files written, none for one that failed."""
    if not report.passed:
        return ()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {folder}: cannot be made a folder ({error.strerror})") from None
    return tuple(write_solution(solution, folder / name))
