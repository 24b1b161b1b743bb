"""The two consoles, and the few ways of laying text out on them."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import IO, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cimsolve.files.text import message_line, one_line

Cell = str | Text
TABLE_WIDTH_MAX = 10_000


class _Console(Console):
    """A console that shows text as it is: model names may hold what rich would take for markup."""

    def __init__(self, file: IO[str]) -> None:
        super().__init__(file=file, markup=False, highlight=False, emoji=False, _environ=_environment())

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def _environment() -> dict[str, str]:
    """The environment without sizes of a terminal that has none: programs and terminals say 0 where they know none."""
    sizes = ("COLUMNS", "LINES")
    return {name: value for name, value in os.environ.items() if name not in sizes or value.strip("0")}


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
    """One JSON object on stdout, records in it by `as_json`."""
    from cimsolve.show.as_json import as_json  # needs numpy, which a list of what is shipped does without

    json.dump(as_json(value), sys.stdout, indent=1, allow_nan=False)
    sys.stdout.write("\n")


def say(text: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"cimsolve: {message_line(text)}\n")


def line(*parts: Cell | tuple[str, str]) -> None:
    """One line on stdout, however long, of texts, some with a style."""
    results().print(Text.assemble(*(_escaped(each) for each in parts)), soft_wrap=True)


def heading(text: str, first: bool = False) -> None:
    """A line in bold, after an empty one unless it is the `first` of all."""
    if not first:
        results().print()
    results().print(Text(one_line(text), style="bold"))


def indented(text: Cell) -> None:
    """A paragraph, wrapped, two spaces in."""
    style = text.style if isinstance(text, Text) else ""
    for each in _wrapped(str(text), 2):
        line(Text(f"  {each}", style=style))


def verbatim(text: str) -> None:
    """A path or command, never broken into lines, two spaces in."""
    line(f"  {text}")


def same_again(command: str) -> None:
    """Print the command that repeats this answer."""
    heading("The same again")
    verbatim(command)


def labelled(rows: Sequence[tuple[str, str]]) -> None:
    """Labels and what they mean, side by side."""
    indent = 4 + max(len(label) for label, _ in rows)
    for label, text in rows:
        first, *others = _wrapped(text, indent) or [""]
        line((f"  {label}".ljust(indent), "bold"), first)
        for other in others:
            line(" " * indent + other)


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    text_columns: int = 1,
    tight: bool = False,
    words_last: bool = False,
    unbroken: bool = False,
) -> None:
    """A plain table: the first `text_columns` columns to the left, numbers to the right.

    `words_last`: the last column is text too, and takes what width is left. `tight` leaves one space between columns
    rather than two, as do tables that would not fit otherwise. `unbroken` texts keep to one line. Where a table does
    not fit, lines get longer than the console rather than numbers shorter.
    """
    console = results()
    found = _table(columns, rows, text_columns, tight, words_last, unbroken)
    if not tight and _least_width(found, console) > console.width:
        found = _table(columns, rows, text_columns, True, words_last, unbroken)
    console.width = max(console.width, _least_width(found, console))
    console.print(found, crop=False)


def _table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    text_columns: int,
    tight: bool,
    words_last: bool,
    unbroken: bool,
) -> Table:
    padding = (0, 0) if tight else (0, 1, 0, 0)
    found = Table(box=box.SIMPLE_HEAD, padding=padding, pad_edge=False, show_edge=False)
    for index, title in enumerate(columns):
        left = index < text_columns or (words_last and index == len(columns) - 1)
        widest = max((len(row[index]) for row in rows), default=0) if unbroken else None
        found.add_column(
            title,
            justify="left" if left else "right",
            overflow="fold",
            no_wrap=not left,
            min_width=widest,
            vertical="top",
        )
    for row in rows:
        found.add_row(*map(escaped, row))
    return found


def _least_width(table: Table, console: Console) -> int:
    return table.__rich_measure__(console, console.options.update(max_width=TABLE_WIDTH_MAX)).minimum


def escaped(cell: Cell) -> Cell:
    """A cell without controls, but for the ends of its lines; texts from files and options come through here."""
    plain = str(cell)
    safe = "\n".join(map(one_line, plain.split("\n")))
    if safe == plain:
        return cell
    return Text(safe, style=cell.style) if isinstance(cell, Text) else safe


def _escaped(part: Cell | tuple[str, str]) -> Cell | tuple[str, str]:
    return (one_line(part[0]), part[1]) if isinstance(part, tuple) else escaped(part)


def good(text: str) -> Text:
    """What is as it should be."""
    return Text(text, style="green")


def bad(text: str) -> Text:
    """What is not as it should be."""
    return Text(text, style="bold red")


def _wrapped(text: str, indent: int) -> list[str]:
    """The lines of a paragraph that stands `indent` spaces in."""
    return textwrap.wrap(text, max(20, results().width - indent), break_on_hyphens=False)
