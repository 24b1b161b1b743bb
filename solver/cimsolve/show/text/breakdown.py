"""Where time and energy go: what `-v` adds to the report of a run."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from rich.console import Console

from cimsolve.problem.solution import Header
from cimsolve.show.figures import ENERGY, INTERVAL, LATENCY, PREFILL, Figure, clock_ns
from cimsolve.show.text.console import Cell, heading, indented, table
from cimsolve.show.units import choose_unit, component, in_unit, number, share
from cimsolve.study.ask import Solved

RATES = ("decode", "prefill", "throughput")
ENERGY_OF_RATE = {"prefill": "prefill_energy_pj", "throughput": "throughput_energy_pj"}
FIXED = (LATENCY, PREFILL, INTERVAL, ENERGY)
KINDS_SHOWN = 16
TAIL = "end of the pass"


def print_breakdown(console: Console, solved: Sequence[Solved]) -> None:
    """Rates, what no mapping can change, and time and energy by component, kind of stage and phase."""
    _print_rates(console, solved)
    _print_fixed(console, solved)
    cycles = [_in_words(_in_ns(one.header, one.header.breakdown.latency_cycles)) for one in solved]
    _print_components(console, "Token latency by component", LATENCY, solved, cycles)
    energies = [_in_words(one.header.breakdown.energy_pj) for one in solved]
    _print_components(console, "Energy of a token by component", ENERGY, solved, energies)
    times = [_in_ns(one.header, _by_kind(one.header, "_cycles")) for one in solved]
    _print_components(console, "Token latency by stage, the gap before it included", LATENCY, solved, times)
    _print_components(
        console, "Energy of a token by stage", ENERGY, solved, [_by_kind(one.header, "_pj") for one in solved]
    )
    _print_phases(console, solved)


def _print_rates(console: Console, solved: Sequence[Solved]) -> None:
    """One sequence decoding, one prefill, and as many sequences as it takes."""
    heading(console, "Tokens a second and energy a token: decoding one sequence, prefill, many sequences at II")
    energies = [[_energy_of(one.header, rate) for rate in RATES] for one in solved]
    unit = choose_unit("energy", [value for row in energies for value in row])
    rows = [
        [
            one.strategy,
            *(number(one.header.metrics[f"{rate}_tokens_per_s"]) for rate in RATES),
            *(in_unit(value, unit) for value in row),
        ]
        for one, row in zip(solved, energies, strict=True)
    ]
    columns = [f"{rate}\ntokens/s" for rate in RATES] + [f"{rate}\n{unit.name}" for rate in RATES]
    console.print(table(["strategy", *columns], rows))


def _energy_of(header: Header, rate: str) -> float:
    pj = float(header.metrics[ENERGY_OF_RATE.get(rate, ENERGY.metric)])
    return pj / header.metrics["prefill_tokens"] if rate == "prefill" else pj


def _print_fixed(console: Console, solved: Sequence[Solved]) -> None:
    heading(console, "What no mapping can change, and its share of the figure")
    columns, cells = ["strategy"], []
    for figure in FIXED:
        name = f"fixed_{figure.metric.replace('latency_cycles', 'latency_ns')}"
        values = [one.header.metrics[name] * (clock_ns(one.header) if name.endswith("cycles") else 1) for one in solved]
        unit = choose_unit(figure.kind, values)
        columns += [f"{figure.title}\n{unit.name}", "\nshare"]
        cells.append([in_unit(value, unit) for value in values])
        cells.append([share(value / figure.total(one.header)) for value, one in zip(values, solved, strict=True)])
    rows = [[one.strategy, *row] for one, row in zip(solved, zip(*cells, strict=True), strict=True)]
    console.print(table(columns, rows))
    indented(
        console,
        "Digital operations, transfers and partial sums of cuts that must be; for energy also the cells, and the "
        "leakage of the least arrays by area over that time. A ratio of totals compares what is left.",
    )


def _in_ns(header: Header, cycles: Mapping[str, float]) -> dict[str, float]:
    return {name: value * clock_ns(header) for name, value in cycles.items()}


def _in_words(components: Mapping[str, float]) -> dict[str, float]:
    return {name.replace("_", " "): value for name, value in components.items()}


def _by_kind(header: Header, ending: str) -> dict[str, float]:
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
    console: Console,
    title: str,
    figure: Figure,
    solved: Sequence[Solved],
    components: Sequence[Mapping[str, float]],
) -> None:
    totals = [figure.total(one.header) for one in solved]
    unit = choose_unit(figure.kind, totals)
    heading(console, f"{title}, {unit.name}")
    names = dict.fromkeys(name for values in components for name in values)
    if TAIL in names:  # last, also where strategies have stages of different names
        names[TAIL] = names.pop(TAIL)
    rows = [
        [
            name,
            *(
                component(values[name], total, unit) if values.get(name) else "-"
                for values, total in zip(components, totals, strict=True)
            ),
        ]
        for name in names
    ]
    rows.append(["total", *(component(total, total, unit) for total in totals)])
    console.print(table(["", *(one.strategy for one in solved)], rows, tight=True))


def _print_phases(console: Console, solved: Sequence[Solved]) -> None:
    """Per strategy, the phases whose tokens are held up by the same unit, added up."""
    heading(console, "Prefill by what sets the pace of a phase: its first token, then all others at its II")
    unit = choose_unit("time", [PREFILL.total(one.header) for one in solved])
    rows: list[list[Cell]] = []
    for one in solved:
        phases, clock = one.header.breakdown.phases, clock_ns(one.header)
        units = {"arrays": "array_ii_cycles", "digital": "digital_cycles", "transfer": "transfer_cycles"}
        name = one.strategy
        for binding, members in _by_pace(phases, units).items():
            fill = sum(phases["fill_cycles"][at] for at in members) * clock
            total = sum(phases["prefill_cycles"][at] for at in members) * clock
            rows.append(
                [
                    name,
                    binding,
                    str(len(members)),
                    in_unit(fill, unit),
                    in_unit(total - fill, unit),
                    component(total, PREFILL.total(one.header), unit),
                ]
            )
            name = ""
    columns = ["strategy", "set by", "phases", f"first token\n{unit.name}", f"others\n{unit.name}", f"sum\n{unit.name}"]
    console.print(table(columns, rows, text_columns=2))


def _by_pace(phases: Mapping[str, Sequence[int]], units: Mapping[str, str]) -> dict[str, list[int]]:
    """Unit -> the phases whose interval it sets; on a tie the first of `units`."""
    found: dict[str, list[int]] = {}
    for at in range(len(phases["phase"])):
        binding = max(units, key=lambda name: phases[units[name]][at])
        found.setdefault(binding, []).append(at)
    return found
