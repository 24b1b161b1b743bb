"""A table of figures in four forms: on the terminal, as Markdown, as CSV and as JSON rows."""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import Console

from cimsolve.show.text.console import Cell, show, table
from cimsolve.show.units import Kind, choose_unit, in_unit, ratio, share

Meaning = Literal["text", "mark", "ratio", "gap"] | Kind
EMPTY = "-"


@dataclass(frozen=True)
class Column:
    """`title` for people, its lines broken by newlines; `key` for programs, with the unit of the raw values."""

    title: str
    key: str
    meaning: Meaning = "text"


@dataclass(frozen=True)
class Sheet:
    """Rows of raw values, None where there is none: times in ns, energies in pJ, gaps and shares as fractions."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]

    def records(self) -> list[dict[str, Any]]:
        """A dict a row, by key."""
        return [dict(zip((column.key for column in self.columns), row, strict=True)) for row in self.rows]


def print_sheet(console: Console, sheet: Sheet, words_last: bool = False) -> None:
    """On the terminal: texts to the left, one unit a column."""
    titles, cells = _shown(sheet)
    texts = next((i for i, column in enumerate(sheet.columns) if column.meaning != "text"), len(sheet.columns))
    found = table(titles, cells, text_columns=max(1, texts), words_last=words_last)
    for column in found.columns[: -1 if words_last else None]:
        column.no_wrap = True
    show(console, found)


def markdown(sheet: Sheet) -> str:
    """A Markdown table, ending in a newline."""
    titles, cells = _shown(sheet)
    heads = [title.replace("\n", " ") for title in titles]
    rows = [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in cells]
    widths = [max(len(line[i]) for line in (heads, *rows)) for i in range(len(heads))]
    left = [column.meaning in ("text", "mark") for column in sheet.columns]

    def line(row: Sequence[str]) -> str:
        padded = [cell.ljust(w) if text else cell.rjust(w) for cell, w, text in zip(row, widths, left, strict=True)]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * w if text else "-" * (w - 1) + ":" for w, text in zip(widths, left, strict=True)]
    return "\n".join([line(heads), line(rule), *map(line, rows)]) + "\n"


def print_csv(sheet: Sheet) -> None:
    """On stdout, raw values under their keys; nothing where there is none."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([column.key for column in sheet.columns])
    writer.writerows([["" if value is None else value for value in row] for row in sheet.rows])


def print_text(text: str) -> None:
    """On stdout as it is."""
    sys.stdout.write(text)


def join(first: Sheet, second: Sheet) -> Sheet:
    """The columns of both, side by side."""
    return Sheet([*first.columns, *second.columns], [[*a, *b] for a, b in zip(first.rows, second.rows, strict=True)])


def _shown(sheet: Sheet) -> tuple[list[str], list[list[Cell]]]:
    """Titles with units, and cells as people read them."""
    titles: list[str] = []
    columns: list[list[Cell]] = []
    for index, column in enumerate(sheet.columns):
        values = [row[index] for row in sheet.rows]
        unit = None
        if column.meaning in ("count", "time", "energy", "area"):
            unit = choose_unit(column.meaning, [value for value in values if value is not None])
        titles.append(f"{column.title}\n{unit.name}".rstrip("\n") if unit else column.title)
        columns.append([_cell(value, column.meaning, unit) for value in values])
    return titles, [list(row) for row in zip(*columns, strict=True)] if sheet.rows else []


def _cell(value: Any, meaning: Meaning, unit: Any) -> str:
    if value is None:
        return "" if meaning == "mark" else EMPTY
    if unit is not None:
        return in_unit(value, unit)
    if meaning == "ratio":
        return ratio(value)
    if meaning in ("gap", "share"):
        return share(value)
    if isinstance(value, Mapping | list | tuple):
        return ",".join(map(str, value))
    return str(value)
