"""When a search must end: a limit of time for a block of code, kept whatever that is busy with."""

from __future__ import annotations

import ctypes
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

MARGIN = 0.1
"""Share of the time left that a solver in C++, which nothing interrupts, leaves to those who take its answer."""

ARRIVAL_STEPS = 100
"""Steps of a loop within which the interpreter raises what another thread has set."""

_ends_at: ContextVar[float] = ContextVar("ends_at", default=math.inf)


class TimeIsUp(BaseException):
    """The limit of time struck; like KeyboardInterrupt no Exception, which code on the way might take for its own."""


def seconds_left() -> float:
    """Seconds until the limit of time around this call, infinite where there is none, negative where it has struck."""
    return _ends_at.get() - time.monotonic()


def seconds_for_a_solver() -> float:
    """Seconds that one call of a solver may take, at least some hundredths."""
    return max(0.05, seconds_left() * (1 - MARGIN))


@contextmanager
def ends_within(seconds: float) -> Iterator[None]:
    """Tell code inside, by `seconds_left`, that it has so many seconds from now."""
    token = _ends_at.set(min(_ends_at.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _ends_at.reset(token)


@contextmanager
def stopped_in_time() -> Iterator[None]:
    """Raise TimeIsUp inside, at any line of Python of this thread, when `seconds_left` comes to 0.

    Searches spend their time in dozens of loops; a question in each would be forgotten in the next.
    """
    if not math.isfinite(seconds_left()):
        yield
        return
    thread, lock = ctypes.c_ulong(threading.get_ident()), threading.Lock()
    over = struck = False

    def strike() -> None:
        nonlocal struck
        with lock:
            if not over:
                struck = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(TimeIsUp))

    timer = threading.Timer(max(0.0, seconds_left()), strike)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        with lock:
            over = True
        # Struck after the last line inside, it is still on its way, and arrives here. To call it off by a NULL would
        # leave the interpreter looking for it at every step.
        for _ in range(ARRIVAL_STEPS if struck else 0):
            pass
