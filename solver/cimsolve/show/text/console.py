"""The two consoles, and the few ways of laying text out on them."""

from __future__ import annotations

import json
import math
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import IO, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

Cell = str | Text
TABLE_WIDTH_MAX = 10_000


class _Console(Console):
    """A console that shows text as it is: model names may hold what rich would take for markup."""

    def __init__(self, file: IO[str]) -> None:
        super().__init__(file=file, markup=False, highlight=False, emoji=False)

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def results() -> Console:
    """The console on stdout as it is now."""
    return _Console(sys.stdout)


def messages() -> Console:
    """The console on stderr as it is now."""
    return _Console(sys.stderr)


def is_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin is not None and sys.stdin.isatty() and messages().is_terminal


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object on stdout; numbers that are not finite become null."""
    json.dump(_finite(value), sys.stdout, indent=1, allow_nan=False)
    sys.stdout.write("\n")


def say(text: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"cimsolve: {text}\n")


def heading(console: Console, text: str, first: bool = False) -> None:
    """A line in bold, after an empty one unless it is the `first` of all."""
    if not first:
        console.print()
    console.print(Text(text, style="bold"))


def indented(console: Console, text: Cell) -> None:
    """A paragraph, wrapped, two spaces in."""
    style = text.style if isinstance(text, Text) else ""
    for line in textwrap.wrap(str(text), max(20, console.width - 2), break_on_hyphens=False):
        console.print(Text(f"  {line}", style=style), soft_wrap=True)


def verbatim(console: Console, text: str) -> None:
    """A path or command, never broken into lines, two spaces in."""
    console.print(f"  {text}", soft_wrap=True)


def labelled(console: Console, rows: Sequence[tuple[str, str]]) -> None:
    """Labels and what they mean, side by side."""
    indent = 4 + max(len(label) for label, _ in rows)
    for label, text in rows:
        lines = textwrap.wrap(text, max(20, console.width - indent), break_on_hyphens=False) or [""]
        console.print(Text.assemble((f"  {label}".ljust(indent), "bold"), lines[0]), soft_wrap=True)
        for line in lines[1:]:
            console.print(" " * indent + line, soft_wrap=True)


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    text_columns: int = 1,
    tight: bool = False,
    words_last: bool = False,
) -> Table:
    """A plain table: the first `text_columns` columns to the left, numbers to the right.

    `words_last`: the last column is text too, and takes what width is left.
    `tight` leaves one space between columns, for tables that would not fit 80 characters with two.
    """
    padding = (0, 0) if tight else (0, 1, 0, 0)
    found = Table(box=box.SIMPLE_HEAD, padding=padding, pad_edge=False, show_edge=False)
    for index, title in enumerate(columns):
        left = index < text_columns or (words_last and index == len(columns) - 1)
        found.add_column(
            title,
            justify="left" if left else "right",
            overflow="fold",
            no_wrap=not left,
            vertical="top",
        )
    for row in rows:
        found.add_row(*row)
    return found


def show(console: Console, found: Table) -> None:
    """Print a table; where it does not fit, lines get longer than the console rather than numbers shorter."""
    needed = found.__rich_measure__(console, console.options.update(max_width=TABLE_WIDTH_MAX)).minimum
    width = console.width
    console.width = max(width, needed)
    console.print(found, crop=False)
    console.width = width


def good(text: str) -> Text:
    return Text(text, style="green")


def bad(text: str) -> Text:
    return Text(text, style="bold red")


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
