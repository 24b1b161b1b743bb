"""Which charts a solution, and several together, are drawn in, on a page or all as files in a folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from cimsolve.errors import InputError
from cimsolve.show.page.canvas import Chart, write_chart
from cimsolve.show.page.charts import draw_bounds, draw_comparison, draw_waterfall, total_in_words
from cimsolve.show.page.floor import floor_chart
from cimsolve.show.page.maps import draw_arrays, draw_map, draw_one_of_each, draw_slots, stage_group
from cimsolve.show.page.runs import draw_plan_files
from cimsolve.show.seen.comparison import BoundRow, amount, bound_rows, comparable
from cimsolve.show.seen.floor import find_floor
from cimsolve.show.seen.judged import Judged, labels_of, title_of
from cimsolve.show.seen.kinds import Kinds, find_kinds
from cimsolve.show.seen.occupancy import ArrayTable, find_arrays, find_pieces, representatives, typical_array
from cimsolve.show.seen.questions import by_question
from cimsolve.show.seen.runs import JudgedPlan
from cimsolve.show.seen.slots import find_firings, find_slots, one_layer, whole_pass
from cimsolve.show.seen.waterfall import (
    Waterfall,
    energy_by_component,
    energy_by_stage,
    latency_by_component,
    latency_by_stage,
)
from cimsolve.show.units import Kind, plural, share

ARRAYS_DRAWN = 8
FIRINGS_DRAWN, ARRAYS_WITH_FIRINGS = 4000, 40
"""Up to so many firings on so many arrays are drawn one by one; beyond, shares of time."""


def comparison_charts(judged: Sequence[Judged], labels: Sequence[str]) -> list[Chart]:
    """The charts that several solutions share; none for one alone."""
    if len(judged) < 2:
        return []
    bounds = [bound_rows(each) for each in judged]
    least = _least(labels, bounds) if comparable(judged) else "of different questions, so none is the best"
    draw = partial(draw_comparison, labels, bounds)
    charts = [Chart("comparison", "Values and their bounds, side by side", least, draw)]
    kinds = [find_kinds(each.problem) for each in judged]
    if all(each.names == kinds[0].names for each in kinds[1:]) and len(judged) <= ARRAYS_DRAWN:
        arrays = [typical_array(find_arrays(each)) for each in judged]
        used = "of the cells of all arrays are used: " + ", ".join(
            f"{label} {share(each.costs.metrics['occupancy'])}" for each, label in zip(judged, labels, strict=True)
        )
        draw = partial(draw_one_of_each, judged, labels, arrays, kinds)
        charts.append(Chart("comparison-arrays", "One array of each, of its most frequent layout", used, draw))
    return charts


def _least(labels: Sequence[str], bounds: Sequence[Sequence[BoundRow]]) -> str:
    """Which solutions have the least of which metrics; those that read the same have it together."""
    metrics: dict[tuple[str, ...], list[str]] = {}
    for rows in zip(*bounds, strict=True):
        texts = [amount(row.value, row.kind) for row in rows]
        least = texts[min(range(len(rows)), key=lambda i: rows[i].value)]
        if len(set(texts)) > 1:
            winners = tuple(label for label, text in zip(labels, texts, strict=True) if text == least)
            metrics.setdefault(winners, []).append(rows[0].title)
    told = [f"least {', '.join(titles)}: {' and '.join(winners)}" for winners, titles in metrics.items()]
    return "; ".join(told) or "all have the same values"


def _gaps(rows: Sequence[BoundRow]) -> str:
    """What is proved least, and what lies furthest above its bound."""
    proved = [row.title for row in rows if row.proved]
    told = [f"proved least: {', '.join(proved)}"] if proved else []
    if len(proved) < len(rows):
        most = max(rows, key=lambda row: row.gap)
        told.append(f"furthest above its bound: {most.title}, by {most.gap_text}")
    return "; ".join(told)


def cost_charts(judged: Judged, kinds: Kinds) -> list[Chart]:
    """The charts of costs: bounds beside values, then where latency and energy go."""
    rows = bound_rows(judged)
    charts = [Chart("bounds", "How far from what no mapping can beat", _gaps(rows), partial(draw_bounds, rows))]
    tables: tuple[tuple[Kind, str, Waterfall, Waterfall], ...] = (
        ("time", "latency", latency_by_component(judged), latency_by_stage(judged, kinds)),
        ("energy", "energy", energy_by_component(judged), energy_by_stage(judged, kinds)),
    )
    for kind, what, by_component, by_stage in tables:
        of = f"{what} of a token"
        for name, title, table in (
            ("components", f"{of.capitalize()} by component", by_component),
            ("stages", f"{of.capitalize()} by stage, all layers", by_stage),
        ):
            if table.total:  # on a chip without energies nothing is spent
                draw = partial(draw_waterfall, table, kind, of)
                charts.append(Chart(f"{what}-{name}", title, total_in_words(table, kind), draw))
    return charts


def schedule_charts(judged: Judged, kinds: Kinds) -> list[Chart]:
    """The charts of arrays over time: the whole pass, and one layer where layers repeat."""
    start, end = whole_pass(judged)
    stages = judged.costs.stages
    tips = {
        stage_group(stage.id): f"{stage.name}, layer {stage.layer}: "
        f"{amount(float(stages.start[stage.id]) * judged.clock_ns, 'time')} to "
        f"{amount(float(stages.end[stage.id]) * judged.clock_ns, 'time')}, "
        f"{plural(int(stages.activations[stage.id]), 'firing')}"
        for stage in judged.problem.workload.stages
    }
    windows = [("schedule", "Which arrays work when: one token's pass", start, end)]
    layer = one_layer(judged, kinds)
    if layer is not None:
        number, start, end = layer
        windows.append(("schedule-layer", f"Which arrays work when: layer {number}, counted from 0", start, end))
    charts = []
    for name, title, low, high in windows:
        slots = find_slots(judged, low, high)
        firings = None
        if len(slots.members) <= ARRAYS_WITH_FIRINGS:
            found = find_firings(judged, low, high)
            firings = found if len(found) <= FIRINGS_DRAWN else None
        used = 100 * slots.converters_in_all.mean()
        busy = f"{plural(len(slots.members), 'array')} {'fires' if len(slots.members) == 1 else 'fire'}"
        says = f"{busy}; on average {used:.3g}% of all converters are in use"
        charts.append(Chart(name, title, says, partial(draw_slots, judged, slots, kinds, firings), tips))
    return charts


def floor_charts(judged: Judged, table: ArrayTable) -> list[Chart]:
    """The floor plan of a chip with a network."""
    floor = find_floor(judged, table)
    return [] if floor is None else [floor_chart(floor)]


def array_charts(judged: Judged, kinds: Kinds, table: ArrayTable) -> list[Chart]:
    """The charts of arrays: all as a map, and some with their pieces; the page has a map of its own."""
    chosen = representatives(table, ARRAYS_DRAWN)
    pieces = find_pieces(judged, chosen)
    layouts = int(table.layout.max()) + 1
    says = f"{len(chosen)} of {len(table)} arrays, which have {layouts} different layouts"
    draw = partial(draw_arrays, judged, pieces, kinds, table)
    return [
        Chart("map", "All arrays", f"{len(table)} arrays", partial(draw_map, judged, table)),
        Chart("arrays", "Arrays and their pieces, by stage", says, draw),
    ]


def draw_files(
    judged: Sequence[Judged],
    plans: Sequence[JudgedPlan],
    folder: Path,
    formats: Sequence[str],
    width: float | None = None,
    dpi: int | None = None,
) -> list[Path]:
    """Draw and write every chart, as `write_chart` does. Raises InputError where it cannot write to the folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--figures {folder}: cannot be made a folder ({error.strerror}); choose another") from None
    if plans:
        return draw_plan_files(plans, stems_of([each.name for each in plans]), folder, formats, width, dpi)
    judged = [each for group in by_question(judged) for each in group]
    labels = labels_of(judged)
    written: list[Path] = []

    def write(charts: Sequence[Chart], stem: str, of: str) -> None:
        for chart in charts:
            for kind in formats:
                path = folder / f"{stem}{chart.name}.{kind}"
                write_chart(chart, path, of, width, dpi)
                written.append(path)

    write(comparison_charts(judged, labels), "", title_of(judged))
    for each, stem in zip(judged, stems_of([each.name for each in judged]), strict=True):
        kinds, of = find_kinds(each.problem), f"{title_of([each])}, {each.header.strategy}"
        table = find_arrays(each)
        charts = [*cost_charts(each, kinds), *schedule_charts(each, kinds)]
        write([*charts, *floor_charts(each, table), *array_charts(each, kinds, table)], f"{stem}--", of)
    return written


def stems_of(solutions: Sequence[str]) -> list[str]:
    """How the files of each solution begin: its own name without folder and ending, numbered where two are alike."""
    names = [re.sub(r"[^A-Za-z0-9._+=,~-]", "_", Path(name).stem).strip(".") or "solution" for name in solutions]
    return [f"{name}-{at}" if names.count(name) > 1 else name for at, name in enumerate(names, 1)]
