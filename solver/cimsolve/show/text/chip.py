"""The reports of `cimsolve hw`: a new spec, and what a spec amounts to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.prompt import Prompt

from cimsolve.chip.doubts import Doubt
from cimsolve.chip.draft import Draft
from cimsolve.chip.figures import ArrayFigures, NetworkFigures
from cimsolve.chip.spec import Hardware
from cimsolve.files.text import shown_value
from cimsolve.show.as_json import picked
from cimsolve.show.text.console import bad, good, heading, indented, labelled, messages, print_table, verbatim
from cimsolve.show.text.question import describe_arrays, describe_converters, describe_sources
from cimsolve.show.units import number, plural, quantity, share

SECTIONS = ("sources", "format", "adc.table", "digital.ops")
"""Keys that the summary of a new spec leaves to the file."""
LEFT_OUT = ("read_ns", "energy_pj", "transfer", "macro", "core", "network")
"""Sections, and what is in them, that need no line where a spec has none of them."""


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


def print_chip(
    name: str,
    hardware: Hardware,
    figures: ArrayFigures,
    network: NetworkFigures | None,
    doubts: Sequence[Doubt],
    first: bool,
) -> None:
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
    if network is not None:
        heading("Cores and network")
        labelled(list(_describe_network(hardware, network)))
    heading("What looks wrong")
    if not doubts:
        indented(good("nothing"))
    for doubt in doubts:
        indented(bad(f"{doubt.key}: {doubt.reason}"))


def _describe_network(hardware: Hardware, figures: NetworkFigures) -> Iterator[tuple[str, str]]:
    """What the cores and the network of a chip amount to: label and text."""
    core, network = hardware.core, hardware.network
    assert core is not None
    assert network is not None
    held = f"{figures.places} places of {plural(core.arrays, 'array')}: {plural(figures.arrays, 'array')}"
    count = hardware.array.count
    yield "cores", held if count in (None, figures.arrays) else f"{held}, of which there are {count}"
    yield "bus", f"{number(core.bus.bits_per_ns)} bit/ns, {number(core.bus.pj_per_bit)} pJ a bit"
    if figures.pitch_mm is not None:
        given = "" if network.pitch_mm is None else f" as given; {number(figures.side_mm)} mm"
        yield "pitch", f"{number(figures.pitch_mm)} mm{given} by the areas of a core and its router"
    rates = network.bits_per_ns_level or (network.bits_per_ns or 0.0,)
    hops = network.hop_ns_level or (network.hop_ns or 0.0,)
    by_level = f" at {plural(len(rates), 'level')}, from the leaf up" if network.levels else ""
    yield (
        "links",
        f"{_numbers(rates)} bit/ns each way, {_numbers(hops)} ns and {_numbers(figures.hop_pj_per_bit)} pJ a bit a hop"
        f"{by_level}; multicast by {network.multicast}",
    )
    yield "bisection", f"{number(figures.bisection_bits_per_ns)} bit/ns each way"
    at = {"edge": "along the edge above row 0", None: "at the root"}
    where = f"at {network.hub.at}" if isinstance(network.hub.at, tuple) else at[network.hub.at]
    yield (
        "hub",
        f"{where}: port {number(figures.hub_port_bits_per_ns)} bit/ns each way, links to it "
        f"{number(figures.hub_links_bits_per_ns)}; {number(figures.farthest_ns)} ns to the farthest core",
    )
    areas = [figures.arrays_um2, figures.cores_um2, figures.routers_um2, figures.hub_um2]
    arrays, cores, routers, hub = (number(um2 * 1e-6) for um2 in areas)
    yield (
        "area",
        f"{number(sum(areas) * 1e-6)} mm2 with all places filled: arrays {arrays}, cores beside them {cores}, "
        f"routers {routers}, hub {hub}",
    )


def _numbers(values: Sequence[float]) -> str:
    """Values by level; said once where all are the same."""
    return " ".join(map(number, values[:1] if len(set(values)) == 1 else values))


def describe_chip(
    hardware: Hardware, figures: ArrayFigures, network: NetworkFigures | None, doubts: Sequence[Doubt]
) -> dict[str, Any]:
    """What one spec amounts to, and what looks wrong in it, as plain data."""
    return {
        **picked(hardware, "name", "columns_per_weight", "weights_per_row", "input_phases", "rows_limit"),
        **vars(figures),
        **picked(figures, "tops", "tops_per_w", "tops_per_mm2"),
        **({} if network is None else {"network": network}),
        "warnings": doubts,
    }


def _keys(section: Any, prefix: str = "") -> list[tuple[str, Any, str]]:
    """Dotted key, value and description of every figure."""
    rows: list[tuple[str, Any, str]] = []
    for name, field in type(section).model_fields.items():
        key, value = f"{prefix}{name}", getattr(section, name)
        if key in SECTIONS or (value is None and key.split(".")[0] in LEFT_OUT):
            continue
        if hasattr(type(value), "model_fields"):
            rows += _keys(value, f"{key}.")
        else:
            rows.append((key, value, field.description or ""))
    return rows
