"""Writing answers: where they may go, and that Ctrl-C does not come between check and file."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from cimsolve.check import CheckReport
from cimsolve.errors import InputError
from cimsolve.jsonfile import one_line
from cimsolve.solution import Solution, write_solution


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


def demand_writable(folder: Path) -> None:
    """Raise InputError where nothing can be written in `folder`, before any work is done for it."""
    if not str(folder).isprintable():
        raise InputError(f"--out {one_line(str(folder))}: is no printable name of a folder; choose another")
    there = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    if not there.is_dir():
        raise InputError(f"--out {folder}: {there} is no folder; choose another place")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"--out {folder}: {there} cannot be written to; choose another place")


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
