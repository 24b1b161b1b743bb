"""The report of `cimsolve sweep`: a row a point, the front marked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cimsolve.chip.read import parse_hardware
from cimsolve.chip.settings import left_behind
from cimsolve.show.as_json import picked
from cimsolve.show.figures import FIGURES, subject
from cimsolve.show.text.console import bad, heading, indented, print_json, same_again
from cimsolve.show.text.sheet import DOCUMENTS, Column, Sheet, join, print_csv, print_document, print_sheet
from cimsolve.show.units import plural
from cimsolve.study.sweep.grid import Value
from cimsolve.study.sweep.point import Record
from cimsolve.study.sweep.run import SolvedRow, on_front

SWEEP_FORMAT = "cimsolve-sweep/1"
MARK = "*"
REASONS_SHOWN = 8
STATE_COLUMNS = (Column("state", "state"), Column("status", "status"))
"""What became of a row, for programs: `state` as of `Solved`, and `status` of its answer."""
CHANGES_ANSWERS = ("structure", "weight.bits", "input.bits", "cell.bits", "weight.signed", "adc.bits_max")
"""Keys that also change what the model computes, of which no figure here speaks."""


@dataclass(frozen=True)
class Swept:
    """The whole study; `axes` are its varied keys, `front` the objectives that the front is of."""

    axes: Sequence[str]
    rows: Sequence[SolvedRow]
    front: Sequence[str]
    seconds: float
    command: str
    plot: str | None = None
    """The file that the points are drawn in, ..."""
    along: str | None = None
    """... along this key; by the first two of `front` where there is none."""

    def marks(self) -> list[bool]:
        """Which rows are on the front: no other row of the same model and length of sequence beats them."""
        figures = [figure for name in self.front for figure in FIGURES if figure.objective == name]
        records = [solved.record for solved in self.rows]
        groups = [(each.model_name, each.tokens, each.source_tokens) if each else None for each in records]
        values = [[f.total(s.record) for f in figures] if s.record and s.has_figures else None for s in self.rows]
        return on_front(groups, values)


def print_swept(swept: Swept, form: str, verbosity: int, exit_code: int) -> None:
    """In the form asked for; with `verbosity` below 0 only the table."""
    if form == "json":
        print_json(_describe(swept, exit_code))
    elif form == "csv":
        print_csv(_full_sheet(swept))
    elif form in DOCUMENTS:
        print_document(form, {"": _sheet(swept)}, swept.command)
    else:
        _print_table(swept, verbosity)


def figure_columns(gaps: bool = False) -> list[Column]:
    """The compared figures as columns; with `gaps` their gaps to the bounds."""
    if gaps:
        return [Column(figure.head, f"gap_{figure.key}", "gap") for figure in FIGURES]
    return [Column(figure.head, figure.key, figure.kind) for figure in FIGURES]


def figure_values(record: Record | None, gaps: bool = False) -> list[Any]:
    """Raw values under `figure_columns`; None where there are none."""
    if record is None or record.state != "solved":
        return [None] * len(FIGURES)
    if gaps:
        return [figure.gap(record) if figure.metric in record.bounds else None for figure in FIGURES]
    return [record.metrics["arrays"], *(figure.total(record) for figure in FIGURES[1:])]


def _figures_sheet(swept: Swept) -> Sheet:
    # Titles in short lines, so that columns stay narrow.
    columns = [Column(axis.replace("+", "+\n").replace(".", ".\n"), axis) for axis in swept.axes]
    rows = [[_text(one.row.values[axis]) for axis in swept.axes] + figure_values(one.record) for one in swept.rows]
    return Sheet(columns + figure_columns(), rows)


def _sheet(swept: Swept) -> Sheet:
    """What people look for in each row; `optimal` and `feasible` say that it is solved."""
    rows = [
        [one.status if one.has_figures else one.state, MARK if mark else None]
        for one, mark in zip(swept.rows, swept.marks(), strict=True)
    ]
    return join(_figures_sheet(swept), Sheet([Column("state", "state"), Column("", "on_front", "mark")], rows))


def _full_sheet(swept: Swept) -> Sheet:
    """All that is known of each row, for programs."""
    columns = [
        *STATE_COLUMNS,
        Column("", "on_front", "mark"),
        *figure_columns(gaps=True),
        *(Column(name, name) for name in ("adc_bits_max", "reason", "runtime_s", "digest")),
    ]
    rows = []
    for solved, mark in zip(swept.rows, swept.marks(), strict=True):
        record = solved.record
        more: list[Any] = [None, solved.reason, None, None]
        if record and solved.has_figures:
            more = [record.metrics["adc_bits_max"], "", record.runtime_s, record.digest]
        rows.append([solved.state, solved.status, MARK if mark else None, *figure_values(record, gaps=True), *more])
    return join(_figures_sheet(swept), Sheet(columns, rows))


def _describe(swept: Swept, exit_code: int) -> dict[str, Any]:
    return {
        "format": SWEEP_FORMAT,
        **picked(swept, "axes", "front", "plot", "command"),
        "points": [
            {"values": solved.row.values, **describe_row(solved), "on_front": mark, **picked(solved, "kept", "command")}
            for solved, mark in zip(swept.rows, swept.marks(), strict=True)
        ],
        "runtime_s": round(swept.seconds, 3),
        "exit_code": exit_code,
    }


def describe_row(solved: SolvedRow) -> dict[str, Any]:
    """What is known of a row, by the names of a run's strategies; figures where there is an answer."""
    found, record = picked(solved, "state", "status", "reason"), solved.record
    if record is None:
        return found
    figures = picked(record, "tokens", "objective", "metrics", "bounds", "runtime_s", "digest")
    return {**found, **subject(record), **figures, "unverified_bounds": record.unverified}


def _print_table(swept: Swept, verbosity: int) -> None:
    count = Counter(solved.state for solved in swept.rows)
    states = ", ".join(f"{number} {state}" for state, number in count.items())
    heading(f"Sweep: {plural(len(swept.rows), 'point')}, {states}", first=True)
    print_sheet(_sheet(swept), unbroken=True)
    indented(
        f"{MARK} on the front: no other point of the same model is as good in {', '.join(swept.front)} and better in "
        "one of them. State optimal: value and bound meet in the objective. Every answer shown passed the checker."
    )
    changing = [axis for axis in swept.axes if any(key in CHANGES_ANSWERS for key in axis.split("+"))]
    if changing:
        indented(f"caution: {', '.join(changing)} also changes what the model computes; cost alone is compared")
    first = next((one for one in swept.rows if one.record), None)
    held = left_behind(parse_hardware(first.record.hw, "hw"), first.row.asked.set) if first and first.record else []
    if held:
        indented(f"caution: {', '.join(held)} stay those of the spec's own size of array")
    lossy = sum(bool(s.record.metrics["lossy_activations"]) for s in swept.rows if s.record and s.has_figures)
    if lossy:
        indented(f"caution: in {plural(lossy, 'point')} converters have too few bits for some sums")
    _print_reasons(swept)
    if verbosity < 0:
        return
    if swept.plot is not None:
        axes = f"{swept.front[0]} along {swept.along}" if swept.along else f"{swept.front[0]} and {swept.front[1]}"
        filled = "its bounds hollow" if swept.along else "those on the front filled"
        indented(f"drawn by {axes}, {filled}: {swept.plot}")
    kept = sum(solved.kept for solved in swept.rows)
    same_again(swept.command)
    indented(f"{kept} of {len(swept.rows)} points were kept from before; {swept.seconds:.1f} s")


def _print_reasons(swept: Swept) -> None:
    """Why points have no figures, each reason once."""
    reasons = Counter(
        (solved.state, solved.reason) for solved in swept.rows if not solved.has_figures and solved.reason
    )
    for (state, reason), count in list(reasons.items())[:REASONS_SHOWN]:
        text = f"{state}, {plural(count, 'point')}: {reason}"
        indented(bad(text) if state == "failed" else text)
    if len(reasons) > REASONS_SHOWN:
        indented(f"and {len(reasons) - REASONS_SHOWN} reasons more: --format csv has them all")


def _text(value: Value) -> str:
    return "null" if value is None else str(value)
