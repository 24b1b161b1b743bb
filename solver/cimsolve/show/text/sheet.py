"""A table of figures in its forms: on the terminal, as Markdown, as CSV and as JSON rows."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.text import Text

from cimsolve.files.text import one_line
from cimsolve.show.text.console import Cell, print_table
from cimsolve.show.units import Kind, Unit, choose_unit, in_unit, ratio, share

Meaning = Literal["text", "mark", "ratio", "gap"] | Kind
EMPTY = "-"


@dataclass(frozen=True)
class Column:
    """A column: `title` for people, its lines broken by newlines; `key` for programs, with the raw values' unit."""

    title: str
    key: str = ""
    meaning: Meaning = "text"
    unit: Unit | None = None
    """The unit of an amount, as people read it; None: the one that fits the column."""


@dataclass(frozen=True)
class Sheet:
    """Rows of raw values, None where there is none: times in ns, energies in pJ, gaps and shares as fractions.

    What is text already may stand in the place of any value.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]

    def records(self) -> list[dict[str, Any]]:
        """A dict a row, by key."""
        return [dict(zip((column.key for column in self.columns), row, strict=True)) for row in self.rows]


def print_sheet(sheet: Sheet, **layout: Any) -> None:
    """On the terminal: texts to the left, one unit a column; `layout` as of `print_table`."""
    texts = next((i for i, column in enumerate(sheet.columns) if column.meaning != "text"), len(sheet.columns))
    print_table(*_shown(sheet), **{"text_columns": max(1, texts), **layout})


def markdown(sheet: Sheet) -> str:
    """A Markdown table, ending in a newline."""
    titles, cells = _shown(sheet)
    heads = [title.replace("\n", " ") for title in titles]
    rows = [[one_line(str(cell).replace("|", "\\|").replace("\n", " ")) for cell in row] for row in cells]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
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
    for row in sheet.rows:
        writer.writerow(
            ["" if value is None else one_line(value) if isinstance(value, str) else value for value in row]
        )


def print_text(text: str) -> None:
    """On stdout as it is."""
    sys.stdout.write(text)


def join(*sheets: Sheet) -> Sheet:
    """The columns of all, side by side."""
    rows = [[value for row in parts for value in row] for parts in zip(*(each.rows for each in sheets), strict=True)]
    return Sheet([column for each in sheets for column in each.columns], rows)


def _shown(sheet: Sheet) -> tuple[list[str], list[list[Cell]]]:
    """Titles with units, and cells as people read them."""
    titles: list[str] = []
    columns: list[list[Cell]] = []
    for index, column in enumerate(sheet.columns):
        values = [row[index] for row in sheet.rows]
        unit = column.unit
        if unit is None and column.meaning in ("count", "time", "energy", "area"):
            unit = choose_unit(column.meaning, [value for value in values if isinstance(value, int | float)])
        titles.append(f"{column.title}\n{unit.name}" if unit and unit.name else column.title)
        columns.append([_cell(value, column.meaning, unit) for value in values])
    return titles, [list(row) for row in zip(*columns, strict=True)]


def _cell(value: Any, meaning: Meaning, unit: Unit | None) -> Cell:
    if isinstance(value, str | Text):
        return value
    if value is None:
        return "" if meaning == "mark" else EMPTY
    if unit is not None:
        return in_unit(value, unit)
    if meaning == "ratio":
        return ratio(value)
    if meaning in ("gap", "share"):
        return share(value)
    return str(value)
