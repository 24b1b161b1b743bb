"""Writing answers: only checked ones, and that Ctrl-C does not come between check and file."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

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


def without_tables(report: CheckReport) -> CheckReport:
    """The verdict alone: the tables of many answers need not be in memory at once."""
    return dataclasses.replace(report, problem=None, costs=None, bounds=None)


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Within, the first Ctrl-C waits for the end; a second one is raised at once."""
    previous = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(previous):
        yield  # signals reach the main thread only; where they are ignored they stay so
        return
    held = False

    def hold(number: int, frame: FrameType | None) -> None:
        nonlocal held
        if held:
            raise KeyboardInterrupt
        held = True

    signal.signal(signal.SIGINT, hold)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
    if held:
        raise KeyboardInterrupt
