"""Live progress on stderr: what runs now, the best value so far, what cannot be beaten, and the gap."""

from __future__ import annotations

import textwrap
import threading
import time

from rich.status import Status

from cimsolve.files.text import one_line
from cimsolve.show.text.console import messages, say
from cimsolve.show.units import number, quantity, share
from cimsolve.solve.effort import Event, Listener

REFRESH_S = 0.1
"""Least time between two texts: a simulation reports thousands of steps a second."""
FIRST_LINE_S, LINES_S = 2.0, 10.0
"""Without a terminal: after so long comes a first line, and so often the next."""
MARGIN = 4
"""Columns of a terminal that the text leaves free: the spinner's, and one at the end."""


class Progress(Listener):
    """What a command does, on stderr, with the time elapsed: in a terminal a line that is overwritten while work goes
    on, else a line every LINES_S from FIRST_LINE_S on. Silent unless `shown`."""

    def __init__(self, shown: bool, clock_ns: float = 1.0) -> None:
        self._console = messages()
        self._shown = shown
        self._status: Status | None = None
        self._clock_ns = clock_ns
        self._task = ""
        self._text = ""
        self._told = 0.0
        self._known: dict[str, str] = {}
        self._began = time.monotonic()
        self._over = threading.Event()

    def __enter__(self) -> Progress:
        self._began = time.monotonic()
        if self._shown and self._console.is_terminal:
            self._status = Status("", console=self._console)
            self._status.start()
        elif self._shown:
            threading.Thread(target=self._tell_lines, daemon=True).start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._over.set()
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _tell_lines(self) -> None:
        wait = FIRST_LINE_S
        while not self._over.wait(wait):
            if self._text:
                say(self._text_with_time())
            wait = LINES_S

    def _text_with_time(self) -> str:
        return f"{self._text} ({time.monotonic() - self._began:.0f} s)"

    def begin(self, task: str) -> None:
        """Name what runs now."""
        self._task = task
        self._known = {}
        self._show("", always=True)

    def listen(self, event: Event) -> None:
        """A step of a search; values and bounds told earlier stay in sight."""
        if event.value is not None:
            self._known[event.metric] = describe_value(event, self._clock_ns)
        self._show(", ".join([event.phase, *self._known.values()]))

    def count(self, done: int, total: int) -> None:
        """A step of work whose length is known."""
        self._show(f"{done} of {total}")

    def finish(self, line: str) -> None:
        """A line that stays."""
        if self._status is not None:
            self._console.print(one_line(line))

    def _show(self, text: str, always: bool = False) -> None:
        self._text = f"{self._task}{': ' if text else ''}{text}"
        now = time.monotonic()
        if self._status is None or (now - self._told < REFRESH_S and not always):
            return
        self._told = now
        text = textwrap.shorten(self._text_with_time(), self._console.width - MARGIN, placeholder=" ...")
        self._status.update(one_line(text))


def describe_value(event: Event, clock_ns: float) -> str:
    """What an event tells of a metric: the incumbent, the bound and the gap, where they are known."""
    from cimsolve.prove import relative_gap
    from cimsolve.show.figures import figure_of_metric

    if event.value is None:
        return ""
    figure = figure_of_metric(event.metric)
    scale = clock_ns if figure is not None and figure.metric.endswith("_cycles") else 1.0

    def shown(value: float) -> str:
        return number(value) if figure is None else quantity(value * scale, figure.kind)

    text = f"{event.metric if figure is None else figure.title} {shown(event.value)}"
    if event.lower is None:
        return text
    return f"{text} (bound {shown(event.lower)}, gap {share(relative_gap(event.metric, event.value, event.lower))})"
