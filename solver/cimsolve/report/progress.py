"""Live progress on stderr: what runs now, the best value so far, what cannot be beaten, and the gap."""

from __future__ import annotations

import time
from types import TracebackType

from rich.status import Status

from cimsolve.bounds import relative_gap
from cimsolve.report.console import messages
from cimsolve.report.figures import figure_of_metric
from cimsolve.report.units import number, quantity, share
from cimsolve.strategies import Event

REFRESH_S = 0.1
"""Least time between two texts: a simulation reports thousands of steps a second."""


class Progress:
    """A line that is overwritten while work goes on; silent unless `shown` and stderr is a terminal."""

    def __init__(self, shown: bool, clock_ns: float = 1.0) -> None:
        self._console = messages()
        self._live = shown and self._console.is_terminal
        self._status: Status | None = None
        self._clock_ns = clock_ns
        self._task = ""
        self._told = 0.0

    def __enter__(self) -> Progress:
        if self._live:
            self._status = Status("", console=self._console)
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def begin(self, task: str) -> None:
        """Name what runs now."""
        self._task = task
        self._show("", always=True)

    def listen(self, event: Event) -> None:
        """A step of a search."""
        self._show(describe_event(event, self._clock_ns))

    def count(self, done: int, total: int) -> None:
        """A step of work whose length is known."""
        self._show(f"{done} of {total}")

    def finish(self, line: str) -> None:
        """A line that stays."""
        if self._status is not None:
            self._console.print(line)

    def _show(self, text: str, always: bool = False) -> None:
        now = time.monotonic()
        if self._status is None or (now - self._told < REFRESH_S and not always):
            return
        self._told = now
        self._status.update(f"{self._task}{': ' if text else ''}{text}")


def describe_event(event: Event, clock_ns: float) -> str:
    """An event in one line: phase, incumbent, bound, gap."""
    if event.value is None:
        return event.phase
    figure = figure_of_metric(event.metric)
    if figure is None:
        return f"{event.phase}: {event.metric} {number(event.value)}"
    scale = clock_ns if figure.metric.endswith("_cycles") else 1.0
    text = f"{event.phase}: {figure.title} {quantity(event.value * scale, figure.kind)}"
    if event.lower is None:
        return text
    gap = relative_gap(event.value, event.lower)
    return f"{text}, bound {quantity(event.lower * scale, figure.kind)}, gap {share(gap)}"
