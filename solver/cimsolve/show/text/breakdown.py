"""Where time and energy go: what `-v` adds to the report of a run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from cimsolve.problem.solution import Header
from cimsolve.show.figures import ENERGY, INTERVAL, LATENCY, PREFILL, CostFigure, clock_ns
from cimsolve.show.text.console import heading, indented, print_table
from cimsolve.show.text.sheet import Column, Sheet, print_sheet
from cimsolve.show.units import choose_unit, component
from cimsolve.study.ask import Solved

RATES = ("decode", "prefill", "throughput")
ENERGY_OF_RATE = {rate: f"{rate}_energy_pj" for rate in RATES}
FIXED = (LATENCY, PREFILL, INTERVAL, ENERGY)
KINDS_SHOWN = 16
TAIL = "end of the pass"
MOVED = {"transfer": "moves", "network": "moving on links", "bus": "core buses"}
"""What components are called on a chip with a network."""


def print_breakdown(solved: Sequence[Solved]) -> None:
    """Rates, what no mapping can change, and time and energy by component, kind of stage and phase."""
    _print_rates(solved)
    _print_fixed(solved)
    cycles = [_in_words(one.header, _in_ns(one.header, one.header.breakdown.latency_cycles)) for one in solved]
    _print_components("Token latency by component", LATENCY, solved, cycles)
    energies = [_in_words(one.header, one.header.breakdown.energy_pj) for one in solved]
    _print_components("Energy of a token by component", ENERGY, solved, energies)
    times = [_in_ns(one.header, values_by_kind(one.header, "_cycles")) for one in solved]
    _print_components("Token latency by stage, the gap before it included", LATENCY, solved, times)
    _print_components(
        "Energy of a token by stage", ENERGY, solved, [values_by_kind(one.header, "_pj") for one in solved]
    )
    _print_phases(solved)


def _print_rates(solved: Sequence[Solved]) -> None:
    """One sequence decoding, one prefill, and as many sequences as it takes."""
    heading("Tokens a second and energy a token: decoding one sequence, prefill, many sequences at II")
    energies = [[_energy_of(one.header, rate) for rate in RATES] for one in solved]
    unit = choose_unit("energy", [value for row in energies for value in row])
    columns = [Column("strategy"), *(Column(f"{rate}\ntokens/s", meaning="count") for rate in RATES)]
    columns += [Column(rate, meaning="energy", unit=unit) for rate in RATES]
    rows = [
        [one.strategy, *(one.header.metrics[f"{rate}_tokens_per_s"] for rate in RATES), *row]
        for one, row in zip(solved, energies, strict=True)
    ]
    print_sheet(Sheet(columns, rows))


def _energy_of(header: Header, rate: str) -> float:
    pj = float(header.metrics.get(ENERGY_OF_RATE[rate], header.metrics[ENERGY.metric]))
    return pj / header.metrics["prefill_tokens"] if rate == "prefill" else pj


def _print_fixed(solved: Sequence[Solved]) -> None:
    heading("What no mapping can change, and its share of the figure")
    columns = [Column("strategy")]
    for figure in FIXED:
        columns += [Column(figure.title, meaning=figure.kind), Column("\nshare", meaning="share")]
    rows: list[list[Any]] = []
    for one in solved:
        header = one.header
        row: list[Any] = [one.strategy]
        for figure in FIXED:
            name = f"fixed_{figure.metric.replace('latency_cycles', 'latency_ns')}"
            value = header.metrics[name] * (clock_ns(header) if name.endswith("cycles") else 1)
            total = figure.total(header)
            row += [value, value / total if total else None]
        rows.append(row)
    print_sheet(Sheet(columns, rows))
    moves = any(_has_network(one.header) for one in solved)
    what = (
        "Digital operations; moves are what a mapping decides"
        if moves
        else ("Digital operations, transfers and partial sums of cuts that must be")
    )
    indented(
        f"{what}; for energy also the cells, and the leakage of the least arrays by area over that time. A ratio of "
        "totals compares what is left."
    )


def _in_ns(header: Header, cycles: Mapping[str, float]) -> dict[str, float]:
    return {name: value * clock_ns(header) for name, value in cycles.items()}


def _has_network(header: Header) -> bool:
    return header.hw.get("network") is not None


def _in_words(header: Header, components: Mapping[str, float]) -> dict[str, float]:
    words = MOVED if _has_network(header) else {}
    return {words.get(name, name.replace("_", " ")): value for name, value in components.items()}


def values_by_kind(header: Header, ending: str) -> dict[str, float]:
    """Sums over the stages of one name but for the layer's number, and the tail; columns are those so ending."""
    breakdown = header.breakdown
    columns = [name for name in breakdown.tail if name.endswith(ending)]
    numbered = header.model.get("model_type") != "linears"
    found: dict[str, float] = {}
    for stage in header.stages:
        name = re.sub(r"\d+", "", stage.name) if numbered else stage.name
        value = sum(breakdown.stages[column][stage.id] for column in columns)
        found[name] = found.get(name, 0) + value
    if len(found) > KINDS_SHOWN:
        kept = sorted(found, key=found.__getitem__, reverse=True)[: KINDS_SHOWN - 1]
        rest = sum(value for name, value in found.items() if name not in kept)
        found = {**{name: value for name, value in found.items() if name in kept}, "all others": rest}
    return {**found, TAIL: sum(breakdown.tail[column] for column in columns)}


def _print_components(
    title: str, figure: CostFigure, solved: Sequence[Solved], components: Sequence[Mapping[str, float]]
) -> None:
    totals = [figure.total(one.header) for one in solved]
    unit = choose_unit(figure.kind, totals)
    heading(f"{title}, {unit.name}")
    names = dict.fromkeys(name for values in components for name in values)
    if TAIL in names:  # last, also where strategies have stages of different names
        names[TAIL] = names.pop(TAIL)
    pairs = list(zip(components, totals, strict=True))
    rows = [
        [name, *(component(values[name], total, unit) if values.get(name) else "-" for values, total in pairs)]
        for name in names
    ]
    rows.append(["total", *(component(total, total, unit) for total in totals)])
    print_table(["", *(one.strategy for one in solved)], rows, tight=True)


def _print_phases(solved: Sequence[Solved]) -> None:
    """Per strategy, the phases whose tokens are held up by the same unit, added up."""
    heading("Prefill by what sets the pace of a phase: its first token, then all others at its II")
    unit = choose_unit("time", [PREFILL.total(one.header) for one in solved])
    rows: list[list[Any]] = []
    for one in solved:
        phases, clock = one.header.breakdown.phases, clock_ns(one.header)
        moving = "busiest channel" if _has_network(one.header) else "transfer"
        units = {"arrays": "array_ii_cycles", "digital": "digital_cycles", moving: "transfer_cycles"}
        units |= {"memory": "memory_cycles"} if "memory_cycles" in phases else {}
        name = one.strategy
        for binding, members in _by_pace(phases, units).items():
            fill = sum(phases["fill_cycles"][at] for at in members) * clock
            total = sum(phases["prefill_cycles"][at] for at in members) * clock
            share_of_all = component(total, PREFILL.total(one.header), unit)
            rows.append([name, binding, str(len(members)), fill, total - fill, share_of_all])
            name = ""
    columns = [Column("strategy"), Column("set by"), Column("phases", meaning="count")]
    columns += [Column(title, meaning="time", unit=unit) for title in ("first token", "others", "sum")]
    print_sheet(Sheet(columns, rows))


def _by_pace(phases: Mapping[str, Sequence[int]], units: Mapping[str, str]) -> dict[str, list[int]]:
    """Unit -> the phases whose interval it sets; on a tie the first of `units`."""
    found: dict[str, list[int]] = {}
    for at in range(len(phases["phase"])):
        binding = max(units, key=lambda name: phases[units[name]][at])
        found.setdefault(binding, []).append(at)
    return found
