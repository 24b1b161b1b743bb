"""The reports of `cimsolve hw`: a new spec, and what a spec amounts to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.prompt import Prompt

from cimsolve.chip.doubts import Doubt
from cimsolve.chip.draft import Draft
from cimsolve.chip.figures import ArrayFigures
from cimsolve.chip.spec import Hardware
from cimsolve.files.text import shown_value
from cimsolve.show.as_json import picked
from cimsolve.show.text.console import bad, good, heading, indented, labelled, messages, print_table, verbatim
from cimsolve.show.text.question import describe_arrays, describe_converters, describe_sources
from cimsolve.show.units import number, plural, quantity, share

SECTIONS = ("sources", "format", "adc.table", "digital.ops")
"""Keys that the summary of a new spec leaves to the file."""


def ask_for(question: str, default: str) -> str:
    """One answer at the terminal."""
    return Prompt.ask(question, default=default, show_default=bool(default), console=messages())


def print_draft(draft: Draft, file: str) -> None:
    """What was written: each key, its value, what it means, and who says so."""
    heading(f"{draft.hardware.name}, from {draft.base}: written to {file}", first=True)
    rows = [
        [key, shown_value(value), "given" if key in draft.given else "fitted" if key in draft.fitted else "-", meaning]
        for key, value, meaning in _keys(draft.hardware)
    ]
    print_table(["key", "value", "by you", "meaning"], rows, words_last=True)
    others = "digital.ops" if draft.hardware.adc.table is None else "adc.table and digital.ops"
    indented(
        f"`-` is taken over from {draft.base} and marked as assumed in `sources`, as are {others}: "
        "put your own figures and their sources there. Every key is explained in docs/hardware.md."
    )
    sources = draft.hardware.sources
    for key in draft.fitted:
        indented(f"fitted, assumed: {key}: {sources[key].origin}")
    if draft.of_other_size:
        indented(bad(f"{', '.join(draft.of_other_size)} are still those of {draft.base}, whose array has another size"))
    heading("Next")
    verbatim(f"cimsolve hw check {file}")
    verbatim(f"cimsolve --hw {file}")


def print_chip(name: str, hardware: Hardware, figures: ArrayFigures, doubts: Sequence[Doubt], first: bool) -> None:
    """What one spec amounts to, and what looks wrong in it."""
    heading(f"{name}: {hardware.name}, a sound spec", first)
    left = f"; {plural(figures.columns_left, 'column')} left over" if figures.columns_left else ""
    labelled(
        [
            ("arrays", describe_arrays(hardware)),
            ("converters", describe_converters(hardware)),
            ("an array", f"{figures.weights} weights{left}"),
            ("sources", describe_sources(hardware).removeprefix("sources ")),
        ]
    )
    heading("Converter bits by stacked rows")
    rows = [[*map(str, row), "" if row[2] >= row[1] else "at a loss, or cut"] for row in figures.bits_by_rows]
    print_table(["rows", "needed", "used", ""], rows, words_last=True)
    heading("One product of a full array and a vector")
    bits = f"{hardware.weight.bits}-bit weights, {hardware.input.bits}-bit inputs"
    firings = "" if figures.firings == 1 else f", in {figures.firings} firings of at most {hardware.rows_limit} rows"
    shares = f", {share(figures.read_ns / figures.product_ns)} of it read pulses" if figures.read_ns else ""
    energy = f"{quantity(figures.product_pj, 'energy')}, and {quantity(figures.leakage_pj, 'energy')} leakage"
    efficiency = "-" if figures.tops_per_w is None else number(figures.tops_per_w)
    labelled(
        [
            ("time", f"{quantity(figures.product_ns, 'time')}{firings}{shares}"),
            ("energy", energy),
            ("area", f"{number(figures.area_um2)} um2 with {plural(hardware.adc.per_array, 'converter')}"),
            (
                "operations",
                f"{number(figures.tops)} TOPS, {efficiency} TOPS/W, {number(figures.tops_per_mm2)} "
                f"TOPS/mm2 at {bits}; array alone, two operations a weight",
            ),
        ]
    )
    heading("What looks wrong")
    if not doubts:
        indented(good("nothing"))
    for doubt in doubts:
        indented(bad(f"{doubt.key}: {doubt.reason}"))


def describe_chip(hardware: Hardware, figures: ArrayFigures, doubts: Sequence[Doubt]) -> dict[str, Any]:
    """What one spec amounts to, and what looks wrong in it, as plain data."""
    return {
        **picked(hardware, "name", "columns_per_weight", "weights_per_row", "input_phases", "rows_limit"),
        **vars(figures),
        **picked(figures, "tops", "tops_per_w", "tops_per_mm2"),
        "warnings": doubts,
    }


def _keys(section: Any, prefix: str = "") -> list[tuple[str, Any, str]]:
    """Dotted key, value and description of every figure."""
    rows: list[tuple[str, Any, str]] = []
    for name, field in type(section).model_fields.items():
        key, value = f"{prefix}{name}", getattr(section, name)
        if key in SECTIONS or (value is None and key in ("macro", "read_ns", "energy_pj")):
            continue
        if hasattr(type(value), "model_fields"):
            rows += _keys(value, f"{key}.")
        else:
            rows.append((key, value, field.description or ""))
    return rows
