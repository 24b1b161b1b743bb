"""What ends a command early: Ctrl-C, the SIGTERM of batch systems and containers, the SIGHUP of a lost terminal.

Each comes as KeyboardInterrupt, so that whatever keeps its best answer at Ctrl-C does so for all of them.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))

AGAIN_S = 0.02
"""Until a signal whose exception was ignored is sent again: what ignored it has ended by then."""


class _Stop:
    """The handler while a command runs; remembers which signal came first."""

    first: int | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.first = self.first or number
        raise KeyboardInterrupt


@contextlib.contextmanager
def signals_heard() -> Iterator[None]:
    """Within, each of SIGNALS is raised as KeyboardInterrupt; those that are ignored, as by nohup, stay so."""
    stop = _Stop()
    with _handled(stop, lambda present: present not in (signal.SIG_IGN, None)), _none_lost(stop):
        yield


@contextlib.contextmanager
def _none_lost(stop: _Stop) -> Iterator[None]:
    """Within, a KeyboardInterrupt that came where Python ignores exceptions, as in a destructor, comes once more."""
    report, heard_by, again = sys.unraisablehook, threading.get_ident(), []

    def ignored(unraisable: sys.UnraisableHookArgs) -> None:
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            report(unraisable)
            return
        later = threading.Timer(AGAIN_S, signal.pthread_kill, (heard_by, stop.first or signal.SIGINT))
        later.daemon = True
        again.append(later)
        later.start()

    sys.unraisablehook = ignored
    try:
        yield
    finally:
        sys.unraisablehook = report
        for later in again:
            later.cancel()


def interrupted_exit_code() -> int:
    """What shells report for the signal that came: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP."""
    handlers = map(signal.getsignal, SIGNALS)
    first = (handler.first for handler in handlers if isinstance(handler, _Stop) and handler.first)
    return 128 + next(first, signal.SIGINT)


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Within, the first of SIGNALS waits for the end; a second one is raised at once."""
    came: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) > 1:
            raise KeyboardInterrupt

    try:
        with _handled(hold, callable):
            yield
    except KeyboardInterrupt:
        if not came:
            raise
    if came:
        signal.raise_signal(came[0])


@contextlib.contextmanager
def signals_blocked() -> Iterator[None]:
    """Within, SIGNALS wait, and processes that are started never hear them: a mask is handed on to them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _handled(handler: Callable[[int, FrameType | None], None], replaces: Callable[[Any], bool]) -> Iterator[None]:
    """Within, `handler` stands in place of each handler of SIGNALS that it `replaces`."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread only
        return
    before = {number: present for number in SIGNALS if replaces(present := signal.getsignal(number))}
    try:
        for number in before:
            signal.signal(number, handler)
        yield
    finally:
        for number, present in before.items():
            signal.signal(number, present)
