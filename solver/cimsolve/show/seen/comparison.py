"""Solutions side by side: each metric in one unit, its bound beside it, and which is least."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cimsolve.prove import relative_gap
from cimsolve.show.figures import ENERGY, FIGURES, INTERVAL, LATENCY, PREFILL, CostFigure
from cimsolve.show.seen.judged import Judged
from cimsolve.show.units import Kind, choose_unit, in_unit, share

SYMBOLS = {"us": "µs", "uJ": "µJ", "mm2": "mm²"}
"""Units as they are written where Unicode can be relied on."""

TITLES = {INTERVAL: "interval between tokens (II)", ENERGY: "energy of a token"}
"""Titles of figures whose own title is too short for a page."""


@dataclass(frozen=True)
class Cell:
    """One value: as text, as a share of the largest in its column or of 1, and whether no other reads better."""

    text: str
    share: float
    best: bool


@dataclass(frozen=True)
class ComparedMetric:
    """One metric of all solutions; `unit` may be empty."""

    title: str
    unit: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class BoundRow:
    """A value beside what no mapping can beat; the texts are in `unit`."""

    title: str
    unit: str
    kind: Kind
    value: float
    """In the unit that `units` starts from, as `lower`: ns, pJ, mm2."""
    lower: float
    value_text: str
    lower_text: str
    gap: float
    gap_text: str
    proof: str
    note: str
    """What a bound claims beyond what the checker recomputed, or nothing."""

    @property
    def proved(self) -> bool:
        """Whether value and bound meet: no mapping has less."""
        return self.gap == 0


def symbol(unit: str) -> str:
    """The unit as it is written where Unicode can be relied on."""
    return SYMBOLS.get(unit, unit)


def symbols_in(text: str) -> str:
    """A text in which the units behind numbers are written as by `symbol`."""
    return re.sub(rf"(?<=\d )({'|'.join(SYMBOLS)})\b", lambda unit: symbol(unit[0]), text)


def value_of(judged: Judged, figure: CostFigure) -> float:
    """A figure as the checker recomputed it, in the unit that `units` starts from: ns, pJ, mm2."""
    return figure.base(judged.header, judged.costs.metrics[figure.metric])


def compare(judged: Sequence[Judged]) -> list[ComparedMetric]:
    """The columns of the comparison; the best are marked where all answer one question on one chip."""
    lengths = {each.problem.model.tokens_told for each in judged}
    prefill = f"prefill of {min(lengths)}" if len(lengths) == 1 else "prefill"

    def values(of: str | CostFigure) -> list[float]:
        return [float(each.costs.metrics[of]) if isinstance(of, str) else value_of(each, of) for each in judged]

    marked = len(judged) > 1 and comparable(judged)
    measures: tuple[tuple[str, Kind, str | CostFigure], ...] = (
        ("arrays", "count", "arrays"),
        ("cells used", "share", "occupancy"),
        ("area", "area", "area_mm2"),
        ("token latency", "time", LATENCY),
        ("of it, arrays fire", "time", "array_latency_ns"),
        (prefill, "time", PREFILL),
        ("interval between tokens", "time", INTERVAL),
        ("energy of a token", "energy", ENERGY),
        ("of it, arrays", "energy", "array_energy_pj"),
        ("converter bits", "count", "adc_bits_max"),
        ("arrays busy", "share", "array_busy_share"),
    )
    if all("network_latency_ns" in each.costs.metrics for each in judged):
        measures += (("of the latency, moves", "time", "network_latency_ns"),)
        measures += (("of the energy, moves", "energy", "network_energy_pj"),)
    return [_compared(title, kind, values(of), marked) for title, kind, of in measures]


def bound_rows(judged: Judged) -> list[BoundRow]:
    """Every bounded figure of one solution, all numbers as the checker recomputed them."""
    rows = []
    for figure in FIGURES:
        bound = judged.bounds.lower[figure.metric]
        value, lower = value_of(judged, figure), figure.base(judged.header, bound.value)
        gap = relative_gap(figure.metric, judged.costs.metrics[figure.metric], bound.value)
        note = ""
        if figure.metric in judged.unverified:
            note = f"a search claims {amount(figure.lower(judged.header), figure.kind)}, which is not checked"
        unit = choose_unit(figure.kind, [value, lower])
        rows.append(
            BoundRow(
                title=TITLES.get(figure, figure.title),
                unit=symbol(unit.name),
                kind=figure.kind,
                value=value,
                lower=lower,
                value_text=in_unit(value, unit),
                lower_text=in_unit(lower, unit),
                gap=gap,
                gap_text=share(gap),
                proof=bound.proof,
                note=note,
            )
        )
    return rows


def status_of(judged: Judged) -> str:
    """The verdict in words: optimal only as far as the checker can say so."""
    header = judged.header
    if header.status != "optimal":
        return "feasible"
    claim = f"optimal in {', then '.join(header.objective)}"
    return f"{claim}, by a search that is not checked" if "status" in judged.unverified else claim


def comparable(judged: Sequence[Judged]) -> bool:
    """Whether one may be best: all on one chip, of one model and context; storage may differ, as of `linear`."""
    models = [each.problem.model for each in judged]
    chips = (each.hardware.to_json() for each in judged)
    asked = [(chip, of.config, of.tokens, of.source_tokens) for chip, of in zip(chips, models, strict=True)]
    return all(each == asked[0] for each in asked)


def _compared(title: str, kind: Kind, values: Sequence[float], marked: bool) -> ComparedMetric:
    """One metric; the least is best, with all that read the same, but of shares none is."""
    unit, top = choose_unit(kind, values), 1.0 if kind == "share" else max(values)
    texts = [share(value) if kind == "share" else in_unit(value, unit) for value in values]
    least = texts[values.index(min(values))]
    differ = marked and kind != "share" and len(set(texts)) > 1
    cells = [
        Cell(text, value / top if top > 0 else 0.0, differ and text == least)
        for text, value in zip(texts, values, strict=True)
    ]
    return ComparedMetric(title, "" if kind == "share" else symbol(unit.name), tuple(cells))


def amount(value: float, kind: Kind) -> str:
    """A value with the unit that fits it."""
    unit = choose_unit(kind, [abs(value)])
    return f"{in_unit(value, unit)} {symbol(unit.name)}".rstrip()
