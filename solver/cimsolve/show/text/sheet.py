"""A table of figures in its forms: on the terminal, as Markdown, as LaTeX, as CSV and as JSON rows."""

from __future__ import annotations

import csv
import math
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.text import Text

from cimsolve.files.text import one_line
from cimsolve.show.text.console import Cell, print_table
from cimsolve.show.units import Kind, Unit, choose_unit, in_unit, ratio, share

Meaning = Literal["text", "mark", "ratio", "gap"] | Kind
EMPTY = "-"
DOCUMENTS = ("markdown", "latex")
"""Forms that stand in a document, as `print_document` writes them."""
CSV_DIGITS = 4
"""Significant digits of figures in CSV; whole numbers and texts are whole."""
LATEX_SIGNS = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    # Behind the end of a row these two would be its arguments.
    "[": "{[}",
    "*": "{*}",
}
LATEX_UNITS = {"us": r"$\mu$s", "uJ": r"$\mu$J", "mm2": "mm$^2$"}


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

    def without(self, keys: Collection[str]) -> Sheet:
        """The sheet without the columns of these keys."""
        kept = [index for index, column in enumerate(self.columns) if column.key not in keys]
        return Sheet([self.columns[i] for i in kept], [[row[i] for i in kept] for row in self.rows])


def print_sheet(sheet: Sheet, **layout: Any) -> None:
    """On the terminal: texts to the left, one unit a column; `layout` as of `print_table`."""
    texts = next((i for i, column in enumerate(sheet.columns) if column.meaning != "text"), len(sheet.columns))
    units, cells = _shown(sheet)
    titles = [
        f"{column.title}\n{unit}" if unit else column.title for column, unit in zip(sheet.columns, units, strict=True)
    ]
    print_table(titles, cells, **{"text_columns": max(1, texts), **layout})


def markdown(sheet: Sheet) -> str:
    """A Markdown table, ending in a newline."""
    units, cells = _shown(sheet)
    heads = [f"{title} {unit}".strip() for title, unit in zip(_titles(sheet), units, strict=True)]
    rows = [[one_line(str(cell).replace("|", "\\|").replace("\n", " ")) for cell in row] for row in cells]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    left = [column.meaning in ("text", "mark") for column in sheet.columns]

    def line(row: Sequence[str]) -> str:
        padded = [cell.ljust(w) if text else cell.rjust(w) for cell, w, text in zip(row, widths, left, strict=True)]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * w if text else "-" * (w - 1) + ":" for w, text in zip(widths, left, strict=True)]
    return "\n".join([line(heads), line(rule), *map(line, rows)]) + "\n"


def latex(sheet: Sheet) -> str:
    """A LaTeX table by the package booktabs, ending in a newline."""
    units, cells = _shown(sheet)
    left = [column.meaning in ("text", "mark") for column in sheet.columns]
    heads = [
        f"{_latex_text(title)} ({LATEX_UNITS.get(unit, unit)})" if unit else _latex_text(title)
        for title, unit in zip(_titles(sheet), units, strict=True)
    ]
    rows = [
        [_latex_text(str(cell)) if text else _latex_number(str(cell)) for cell, text in zip(row, left, strict=True)]
        for row in cells
    ]

    def line(row: Sequence[str]) -> str:
        return f"  {' & '.join(row)} \\\\"

    begin = rf"\begin{{tabular}}{{{''.join('l' if text else 'r' for text in left)}}}"
    lines = [begin, r"  \toprule", line(heads), r"  \midrule", *map(line, rows), r"  \bottomrule", r"\end{tabular}"]
    return "\n".join(lines) + "\n"


def print_csv(sheet: Sheet) -> None:
    """On stdout, values under their keys, in the unit of the key and rounded; nothing where there is none."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([column.key for column in sheet.columns])
    for row in sheet.rows:
        values = ["" if value is None else rounded(value) for value in row]
        writer.writerow([one_line(value) if isinstance(value, str) else value for value in values])


def print_text(text: str) -> None:
    """On stdout as it is."""
    sys.stdout.write(text)


def rounded(value: Any) -> Any:
    """A figure with four significant digits, whole where it then is; what is no float as it is."""
    if not isinstance(value, float) or not math.isfinite(value):
        return value
    near = float(f"{value:.{CSV_DIGITS}g}")
    return int(near) if near.is_integer() else near


def print_document(form: str, parts: Mapping[str, Sheet], command: str) -> None:
    """On stdout as Markdown or LaTeX: tables below their titles, which may be empty; `command` makes them again."""
    if form == "latex":
        made = [f"% {each}" for each in f"{command} --format latex".splitlines()]
        print_text("\n".join([r"% needs \usepackage{booktabs}; made by:", *made, ""]))
        tables = [f"% {title}\n{latex(part)}" if title else latex(part) for title, part in parts.items()]
    else:
        tables = [f"**{title}**\n\n{markdown(part)}" if title else markdown(part) for title, part in parts.items()]
    print_text("\n".join(tables))


def join(*sheets: Sheet) -> Sheet:
    """The columns of all, side by side."""
    rows = [[value for row in parts for value in row] for parts in zip(*(each.rows for each in sheets), strict=True)]
    return Sheet([column for each in sheets for column in each.columns], rows)


def said_once(sheet: Sheet) -> tuple[Sheet, str]:
    """The sheet without the columns in which all of several rows are alike, and what they say, but for the last."""
    alike = [len(sheet.rows) > 1 and len({row[i] for row in sheet.rows}) == 1 for i in range(len(sheet.columns) - 1)]
    kept = [i for i in range(len(sheet.columns)) if not (i < len(alike) and alike[i])]
    said = [f"{column.title} {sheet.rows[0][i]}" for i, column in enumerate(sheet.columns) if i not in kept]
    return Sheet([sheet.columns[i] for i in kept], [[row[i] for i in kept] for row in sheet.rows]), ", ".join(said)


def _titles(sheet: Sheet) -> list[str]:
    """Each title in one line: words that were broken behind a sign are whole again."""
    return [re.sub(r"(?<=[.+])\n", "", column.title).replace("\n", " ").strip() for column in sheet.columns]


def _shown(sheet: Sheet) -> tuple[list[str], list[list[Cell]]]:
    """The unit of each column, empty where it has none, and cells as people read them."""
    units: list[str] = []
    columns: list[list[Cell]] = []
    for index, column in enumerate(sheet.columns):
        values = [row[index] for row in sheet.rows]
        unit = column.unit
        if unit is None and column.meaning in ("count", "time", "energy", "area"):
            unit = choose_unit(column.meaning, [value for value in values if isinstance(value, int | float)])
        units.append(unit.name if unit else "")
        columns.append([_cell(value, column.meaning, unit) for value in values])
    return units, [list(row) for row in zip(*columns, strict=True)]


def _latex_text(text: str) -> str:
    text = "".join(LATEX_SIGNS.get(sign, sign) for sign in text.replace("\n", " "))
    return text.replace("--", "-{}-")  # two hyphens would become a dash


def _latex_number(text: str) -> str:
    """A minus sign for a hyphen, and room for the mark that others in the column have."""
    sign, room = "$-$" if text.startswith("-") and text != EMPTY else "", r"\phantom{*}" if text.endswith(" ") else ""
    return sign + _latex_text(text.removeprefix("-").strip() if sign else text.strip()) + room


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
