"""The report of `cimsolve sweep`: a row a point, the front marked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cimsolve.chip.read import parse_hardware
from cimsolve.chip.settings import left_behind
from cimsolve.show.figures import AREA, ARRAYS, ENERGY, FIGURES, INTERVAL, LATENCY, PREFILL, Figure
from cimsolve.show.text.console import bad, heading, indented, print_json, results, verbatim
from cimsolve.show.text.sheet import Column, Sheet, join, markdown, print_csv, print_sheet, print_text
from cimsolve.show.units import plural
from cimsolve.study.sweep.front import on_front
from cimsolve.study.sweep.grid import Row, Value
from cimsolve.study.sweep.point import Record

SWEEP_FORMAT = "cimsolve-sweep/1"
MARK = "*"
REASONS_SHOWN = 8
COMPARED: tuple[tuple[Figure, str, str], ...] = (
    (ARRAYS, "arrays", "arrays"),
    (LATENCY, "token", "latency_ns"),
    (PREFILL, "prefill", "prefill_ns"),
    (INTERVAL, "II", "ii_ns"),
    (ENERGY, "energy", "energy_pj"),
    (AREA, "area", "area_mm2"),
)
"""Figure, its title, and its key with the unit of its raw values."""
CHANGES_ANSWERS = ("structure", "weight.bits", "input.bits", "cell.bits", "weight.signed", "adc.bits_max")
"""Keys that also change what the model computes, of which no figure here speaks."""


@dataclass(frozen=True)
class Solved:
    """A row of the study with what came of it; `record` is None where there is no point, or not yet."""

    row: Row
    record: Record | None
    kept: bool
    command: str
    """Gives the solution as a file."""

    @property
    def state(self) -> str:
        if self.record is None:
            return "refused" if self.row.point is None else "not done"
        return self.record.state

    @property
    def reason(self) -> str:
        return self.row.reason if self.record is None else self.record.reason

    @property
    def status(self) -> str:
        """`optimal` or `feasible` of an answer, empty without one."""
        return "" if self.record is None else self.record.status

    @property
    def has_figures(self) -> bool:
        return self.record is not None and self.record.state == "solved"


@dataclass(frozen=True)
class Swept:
    """The whole study; `axes` are its varied keys, `front` the objectives that the front is of."""

    axes: Sequence[str]
    rows: Sequence[Solved]
    front: Sequence[str]
    seconds: float
    command: str
    plot: str | None = None
    """The file that the points are drawn in."""

    def marks(self) -> list[bool]:
        """Which rows are on the front: no other row of the same model and length of sequence beats them."""
        figures = [figure for name in self.front for figure in FIGURES if figure.objective == name]
        groups = [(solved.record.model_name, solved.record.tokens) if solved.record else None for solved in self.rows]
        values = [[f.total(s.record) for f in figures] if s.record and s.has_figures else None for s in self.rows]
        return on_front(groups, values)


def print_swept(swept: Swept, form: str, verbosity: int, exit_code: int) -> None:
    """In the form asked for; with `verbosity` below 0 only the table."""
    if form == "json":
        print_json(_describe(swept, exit_code))
    elif form == "csv":
        print_csv(_full_sheet(swept))
    elif form == "markdown":
        print_text(markdown(_sheet(swept)))
    else:
        _print_table(swept, verbosity)


def figure_columns(gaps: bool = False) -> list[Column]:
    """The compared figures as columns; with `gaps` their gaps to the bounds."""
    if gaps:
        return [Column(title, f"gap_{key}", "gap") for _, title, key in COMPARED]
    return [Column(title, key, figure.kind) for figure, title, key in COMPARED]


def figure_values(record: Record | None, gaps: bool = False) -> list[Any]:
    """Raw values of these columns; None where there are none."""
    if record is None or record.state != "solved":
        return [None] * len(COMPARED)
    if gaps:
        return [figure.gap(record) for figure, _, _ in COMPARED]
    return [record.metrics["arrays"], *(figure.total(record) for figure, _, _ in COMPARED[1:])]


def state_columns() -> list[Column]:
    """What became of a row, for programs: `state` as of `Solved`, and `status` of its answer."""
    return [Column("state", "state"), Column("status", "status")]


def state_values(solved: Solved) -> list[Any]:
    """Values of these columns."""
    return [solved.state, solved.status]


def state_text(solved: Solved) -> str:
    """Both in one word, for people: `optimal` and `feasible` are solved."""
    return solved.status if solved.has_figures else solved.state


def _figures_sheet(swept: Swept) -> Sheet:
    columns = [*(Column(_short(axis), axis) for axis in swept.axes), *figure_columns()]
    rows = [
        [*(_text(solved.row.values[axis]) for axis in swept.axes), *figure_values(solved.record)]
        for solved in swept.rows
    ]
    return Sheet(columns, rows)


def _sheet(swept: Swept) -> Sheet:
    """For people."""
    marks = [MARK if mark else None for mark in swept.marks()]
    rows = [[state_text(solved), mark] for solved, mark in zip(swept.rows, marks, strict=True)]
    return join(_figures_sheet(swept), Sheet([Column("state", "state"), Column("", "on_front", "mark")], rows))


def _full_sheet(swept: Swept) -> Sheet:
    """All that is known of each row, for programs."""
    columns = [
        *state_columns(),
        Column("", "on_front", "mark"),
        *figure_columns(gaps=True),
        *(Column(name, name) for name in ("adc_bits_max", "reason", "runtime_s", "digest")),
    ]
    rows = []
    for solved, mark in zip(swept.rows, swept.marks(), strict=True):
        record = solved.record
        more = (
            [record.metrics["adc_bits_max"], "", record.runtime_s, record.digest]
            if record and solved.has_figures
            else [None, solved.reason, None, None]
        )
        rows.append([*state_values(solved), MARK if mark else None, *figure_values(record, gaps=True), *more])
    return join(_figures_sheet(swept), Sheet(columns, rows))


def _describe(swept: Swept, exit_code: int) -> dict[str, Any]:
    return {
        "format": SWEEP_FORMAT,
        "axes": list(swept.axes),
        "front": list(swept.front),
        "points": [
            {
                "values": dict(solved.row.values),
                **describe_row(solved),
                "on_front": mark,
                "kept": solved.kept,
                "command": solved.command,
            }
            for solved, mark in zip(swept.rows, swept.marks(), strict=True)
        ],
        "plot": swept.plot,
        "runtime_s": round(swept.seconds, 3),
        "command": swept.command,
        "exit_code": exit_code,
    }


def describe_row(solved: Solved) -> dict[str, Any]:
    """What is known of a row, by the names of a run's strategies; figures where there is an answer."""
    record = solved.record
    found: dict[str, Any] = {"state": solved.state, "status": solved.status, "reason": solved.reason}
    if record is None:
        return found
    return {
        **found,
        "model": record.model_name,
        "hardware": record.hw.get("name"),
        "tokens": record.tokens,
        "strategy": record.strategy,
        "objective": list(record.objective),
        "metrics": dict(record.metrics),
        "bounds": {name: entry.model_dump() for name, entry in record.bounds.items()},
        "unverified_bounds": list(record.unverified),
        "runtime_s": record.runtime_s,
        "digest": record.digest,
    }


def _print_table(swept: Swept, verbosity: int) -> None:
    console = results()
    count = Counter(solved.state for solved in swept.rows)
    states = ", ".join(f"{number} {state}" for state, number in count.items())
    heading(console, f"Sweep: {plural(len(swept.rows), 'point')}, {states}", first=True)
    print_sheet(console, _sheet(swept))
    indented(
        console,
        f"{MARK} on the front: no other point of the same model is as good in {', '.join(swept.front)} and better in "
        "one of them. State optimal: value and bound meet in the objective. Every answer shown passed the checker.",
    )
    changing = [axis for axis in swept.axes if any(key in CHANGES_ANSWERS for key in axis.split("+"))]
    if changing:
        indented(
            console, f"caution: {', '.join(changing)} also changes what the model computes; cost alone is compared"
        )
    for text in _sizes(swept):
        indented(console, f"caution: {text}")
    lossy = sum(bool(s.record.metrics["lossy_activations"]) for s in swept.rows if s.record and s.has_figures)
    if lossy:
        indented(console, f"caution: in {plural(lossy, 'point')} converters have too few bits for some sums")
    _print_reasons(console, swept)
    if verbosity < 0:
        return
    if swept.plot is not None:
        indented(console, f"drawn by {swept.front[0]} and {swept.front[1]}, those on the front filled: {swept.plot}")
    kept = sum(solved.kept for solved in swept.rows)
    heading(console, "The same again")
    verbatim(console, swept.command)
    indented(console, f"{kept} of {len(swept.rows)} points were kept from before; {swept.seconds:.1f} s")


def _sizes(swept: Swept) -> list[str]:
    """Which figures do not follow a size of the array that is varied."""
    first = next((one for one in swept.rows if one.record), None)
    if first is None or first.record is None:
        return []
    held = left_behind(parse_hardware(first.record.hw, "hw"), first.row.asked.set)
    return [f"{', '.join(held)} stay those of the spec's own size of array"] if held else []


def _print_reasons(console: Any, swept: Swept) -> None:
    """Why points have no figures, each reason once."""
    reasons = Counter(
        (solved.state, solved.reason) for solved in swept.rows if not solved.has_figures and solved.reason
    )
    for (state, reason), count in list(reasons.items())[:REASONS_SHOWN]:
        text = f"{state}, {plural(count, 'point')}: {reason}"
        indented(console, bad(text) if state == "failed" else text)
    if len(reasons) > REASONS_SHOWN:
        indented(console, f"and {len(reasons) - REASONS_SHOWN} reasons more: --format csv has them all")


def _text(value: Value) -> str:
    return value if isinstance(value, str) else "null" if value is None else str(value)


def _short(axis: str) -> str:
    """Titles in short lines, so that columns stay narrow."""
    return axis.replace("+", "+\n").replace(".", ".\n")
