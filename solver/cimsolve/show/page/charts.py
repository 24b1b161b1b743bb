"""The charts of a report, each from its own table of `view`. Colours come by role."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from cimsolve.columns import Floats, ceil_div
from cimsolve.show.page.canvas import dress, legend_below, letters_in, new_figure, panels, shortened
from cimsolve.show.page.palette import Colours
from cimsolve.show.seen.comparison import BoundRow, amount, symbol
from cimsolve.show.seen.waterfall import Waterfall
from cimsolve.show.units import Kind, choose_unit, number

ROLES = {
    "arrays": "arrays fire",
    "between": "between stages: digital work, transfers, waiting",
    "moves": "moves",
    "buses": "core buses",
    "beside": "digital work, waiting",
    "digital": "digital work",
    "transfer": "transfers",
    "memory": "keys and values",
    "leakage": "leakage",
    "wait": "waiting",
}
WIDTH = 7.2
"""Inches of a chart as wide as the page."""
ROW = 0.27
DOT: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 6.5}
"""How a value is drawn where its length would mean nothing."""


def draw_waterfall(table: Waterfall, kind: Kind, of: str, colours: Colours, width: float | None = None) -> Figure:
    """Bars that follow on each other down to the total."""
    width = width or WIDTH
    figure = new_figure(width, 1.1 + ROW * (len(table.labels) + 1))
    axes = figure.subplots()
    dress(axes, colours)
    unit = choose_unit(kind, [table.total])
    lengths, total, count = table.lengths / unit.size, table.total / unit.size, len(table.labels)
    begin = np.concatenate([[0.0], np.cumsum(lengths)[:-1]])
    at = begin
    for role, values in table.parts.items():
        shown = values / unit.size
        axes.barh(range(count), shown, left=at, height=0.72, color=colours[role], linewidth=0)
        at = at + shown
    axes.barh([count], [total], height=0.72, color=colours["faint"], linewidth=0)
    for row, (left, length) in enumerate(zip(begin.tolist(), lengths.tolist(), strict=True)):
        if row:
            axes.plot([left, left], [row - 1, row], color=colours["faint"], linewidth=0.6)
        share = f" ({in_percent(length / total)})" if total else ""
        _write_beside(axes, f"{number(length)}{share}", (max(left, left + length), row), 4, colours)
    _write_beside(axes, number(total), (total, count), 4, colours)
    most = min(44, letters_in(0.42 * width))
    axes.set_yticks(range(count + 1), [*(shortened(label, most) for label in table.labels), "total"])
    axes.set_ylim(count + 0.6, -0.6)
    room = 1.22 if width >= WIDTH else 1.0 + 4.0 / width
    axes.set_xlim(min(0.0, float(begin.min())), max(total, float(np.max(begin + lengths))) * room)
    if width < WIDTH:
        axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.set_xlabel(f"{of}, {symbol(unit.name)}")
    handles = [Patch(color=colours[role], label=ROLES[role]) for role in table.parts]
    if len(handles) > 1:
        _add_legend(axes, handles, colours)
    return figure


def draw_bounds(rows: Sequence[BoundRow], colours: Colours, width: float | None = None) -> Figure:
    """Each value as a multiple of its bound: a bar, or a dot where only a logarithmic axis holds them all."""
    narrow = (width or WIDTH) < WIDTH  # what is said of a value stands above it
    figure = new_figure(width or WIDTH, 1.25 + (0.55 if narrow else 0.34) * len(rows))
    axes = figure.subplots()
    dress(axes, colours)
    ratios = np.array([row.value / row.lower if row.lower > 0 else np.nan for row in rows])
    places = np.arange(len(rows))
    widest = float(np.nanmax(ratios, initial=1.0))
    logarithmic = widest > 10
    left = 0.9 if logarithmic else 0.0
    _draw_values(axes, ratios, logarithmic, 0.4 if narrow else 0.6, colours)
    axes.axvline(1.0, color=colours["bound"], linewidth=2)
    for place, row, ratio in zip(places.tolist(), rows, ratios.tolist(), strict=True):
        unit = f" {row.unit}" if row.unit else ""
        text = "" if narrow else f"{row.value_text}{unit}: "
        text += "proved, none has less" if row.proved else f"bound {row.lower_text}{unit}, gap {row.gap_text}"
        edge = ratio if np.isfinite(ratio) else left
        ground = (
            {"facecolor": colours["paper"], "linewidth": 0, "pad": 0.8} if narrow else None
        )  # over the bound's line
        at = (left, place - 0.36) if narrow else (max(edge, 1.0), place)
        _write_beside(axes, text, at, 8, colours, bbox=ground)
    titles = [f"{textwrap.fill(row.title, 18)}\n{row.value_text} {row.unit}" if narrow else row.title for row in rows]
    axes.set_yticks(places.tolist(), titles)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    if logarithmic:
        axes.set_xscale("log")
        axes.set_xlim(left, widest ** (1.2 if narrow else 2.1))
        _plain_numbers(axes)
    else:
        axes.set_xlim(0, widest * (1.1 if narrow else 1.95))
    said = f"value as a multiple of its bound{', logarithmic' if logarithmic else ''}"
    axes.set_xlabel(textwrap.fill(said, 32) if narrow else said)
    said = "bound: what no mapping can beat"
    _add_legend(axes, _value_and_bound(colours, {logarithmic}, said, linewidth=2), colours)
    return figure


def draw_comparison(
    labels: Sequence[str], bounds: Sequence[Sequence[BoundRow]], colours: Colours, width: float | None = None
) -> Figure:
    """One panel a metric, a line a solution; `bounds[solution][metric]`.

    Values are bars, their bounds marks. Where values span decades the axis is logarithmic and they are dots: on it a
    length would mean nothing.
    """
    count, width = len(bounds[0]), width or 10.4
    columns = max(1, min(3, count, int(width / 3.4)))
    lines = ceil_div(count, columns)
    figure = new_figure(width, lines * (0.95 + 0.26 * len(labels)) + 0.3)
    figure.get_layout_engine().set(hspace=0.06)  # type: ignore[union-attr, call-arg]
    places = np.arange(len(labels))
    mark: dict[str, Any] = {"linestyle": "none", "marker": "|", "markersize": 12, "markeredgewidth": 2.4}
    scales: set[bool] = set()
    for index, axes in enumerate(panels(figure, count, columns)):
        dress(axes, colours)
        unit = choose_unit(bounds[0][index].kind, [row[index].value for row in bounds])
        shown = np.array([row[index].value for row in bounds]) / unit.size
        lower = np.array([row[index].lower for row in bounds]) / unit.size
        logarithmic = bool(shown.min() > 0 and shown.max() / shown.min() > 30)
        scales.add(logarithmic)
        _draw_values(axes, shown, logarithmic, 0.66, colours)
        axes.plot(lower, places, color=colours["bound"], **mark)
        if logarithmic:
            axes.set_xscale("log")
            axes.set_xlim(min(shown.min(), lower[lower > 0].min(initial=shown.min())) / 2, shown.max() * 12)
            _plain_numbers(axes)
        else:
            axes.set_xlim(0, shown.max() * 1.3 if shown.max() else 1)
            axes.xaxis.set_major_locator(MaxNLocator(4))
        for place, value in zip(places.tolist(), shown.tolist(), strict=True):
            _write_beside(axes, number(value), (value, place), 8 if logarithmic else 5, colours)
        title = f"{bounds[0][index].title}{f', {symbol(unit.name)}' if unit.name else ''}"
        axes.set_title(f"{title}{', logarithmic' if logarithmic else ''}", loc="left", color=colours["ink"])
        axes.set_yticks(places.tolist(), [] if index % columns else [shortened(label, 24) for label in labels])
        axes.set_ylim(len(labels) - 0.4, -0.6)
    said = "its bound: what no mapping can beat (times and energy: on as many arrays)"
    legend_below(figure, _value_and_bound(colours, scales, said, **mark), 3, colours, fontsize=8.5)
    return figure


def _draw_values(axes: Axes, values: Floats, logarithmic: bool, height: float, colours: Colours) -> None:
    """A value a line from the top: bars from 0, or dots on a logarithmic axis."""
    if logarithmic:
        axes.plot(values, range(len(values)), color=colours["arrays"], **DOT)
    else:
        axes.barh(range(len(values)), values, height=height, color=colours["arrays"], linewidth=0)


def _value_and_bound(colours: Colours, scales: Collection[bool], said: str, **mark: Any) -> list[Artist]:
    """Entries of a legend: what values are on these scales, and the mark of a bound with what is `said` of it."""
    bound = Line2D([], [], color=colours["bound"], label=said, **mark)
    handles: list[Artist] = []
    if False in scales:
        handles.append(Patch(color=colours["arrays"], label="value"))
    if True in scales:
        handles.append(Line2D([], [], color=colours["arrays"], label="value, on a logarithmic axis", **DOT))
    return [*handles, bound]


def in_percent(share: float) -> str:
    """A share of a total, with one decimal."""
    return f"{100 * share:.1f}%" if abs(share) >= 0.001 or share == 0 else "<0.1%"


def _write_beside(axes: Axes, text: str, point: tuple[float, float], gap: int, colours: Colours, **style: Any) -> None:
    """A text that begins `gap` points to the right of a point."""
    style |= {"va": "center", "fontsize": 8.5, "color": colours["ink"]}
    axes.annotate(text, point, xytext=(gap, 0), textcoords="offset points", **style)


def _plain_numbers(axes: Axes) -> None:
    """Powers of ten of a logarithmic axis as numbers, few enough to stand apart."""
    axes.xaxis.set_major_locator(LogLocator(numticks=5))
    axes.xaxis.set_major_formatter(lambda value, _: number(value))
    axes.xaxis.set_minor_locator(NullLocator())


def _add_legend(axes: Axes, handles: Sequence[Artist], colours: Colours) -> None:
    """A legend in one line above the axes, or below a figure that is too narrow for it."""
    figure = axes.get_figure(root=True)
    if figure is not None and figure.get_figwidth() < WIDTH:
        legend_below(figure, handles, len(handles), colours, fontsize=8.5, handlelength=1.4)
        return
    place: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1.0), "borderpad": 0, "borderaxespad": 0.3}
    style: dict[str, Any] = {"frameon": False, "labelcolor": colours["ink"], "fontsize": 8.5, "handlelength": 1.4}
    axes.legend(handles=list(handles), ncols=len(handles), **place, **style)


def total_in_words(table: Waterfall, kind: Kind) -> str:
    """The key sentence of a waterfall: its total and its two largest rows."""
    total = table.total
    order = np.argsort(-table.lengths, kind="stable")[:2].tolist() if total else []
    largest = [
        f"{table.labels[i]}, {amount(float(table.lengths[i]), kind)} ({in_percent(float(table.lengths[i]) / total)})"
        for i in order
    ]
    return f"{amount(total, kind)} in all{'; largest: ' if largest else ''}{'; then '.join(largest)}"
