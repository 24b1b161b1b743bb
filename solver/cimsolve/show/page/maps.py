"""Charts of arrays: pieces where they lie, a field an array, and arrays over time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from cimsolve.columns import Floats, Ints, ceil_div
from cimsolve.show.page.canvas import SHAPES_MAX, dress, legend_below, letters_in, new_figure, panels, shortened
from cimsolve.show.page.palette import KINDS, Colours
from cimsolve.show.seen.comparison import amount, symbol
from cimsolve.show.seen.judged import Judged
from cimsolve.show.seen.kinds import Kinds
from cimsolve.show.seen.occupancy import ArrayPieces, ArrayTable, find_pieces
from cimsolve.show.seen.slots import Slots
from cimsolve.show.units import choose_unit, plural, share

SCALE = "cividis"
MAP_WIDTH = 10.4
"""Inches of what is drawn over all arrays."""
PANEL_WIDTH_MIN = 1.7
SMALL: Mapping[str, Any] = {"fontsize": 8, "handlelength": 1.2}
"""How a legend of kinds is set."""
LEGEND_MAX = 32
"""Most characters of an entry."""
IDLE: Mapping[str, Any] = {"hatch": "/////", "linewidth": 0}
"""How time is drawn in which an array does nothing, so that it is no value of a scale."""


def stage_colours(kinds: Kinds) -> list[str]:
    """The colour of each stage."""
    return [KINDS[kind][second] for kind, second in zip(kinds.of_stage.tolist(), kinds.second.tolist(), strict=True)]


def legend_of(kinds: Kinds) -> list[tuple[str, str]]:
    """Labels and colours of the kinds in order, `R` before `L`."""
    return [
        (kinds.label(kind, second), KINDS[kind][second])
        for kind, both in enumerate(kinds.has_both.tolist())
        for second in ((False, True) if both else (False,))
    ]


def kind_handles(kinds: Kinds, first: str = "R") -> list[Patch]:
    """A legend's entries, one a kind; `first`: what stages of `R` factors are called."""
    return [
        Patch(color=colour, label=shortened(re.sub(" R$", f" {first}", label), LEGEND_MAX))
        for label, colour in legend_of(kinds)
    ]


def _empty_handle(colours: Colours) -> Patch:
    return Patch(facecolor=colours["empty"], edgecolor=colours["faint"], linewidth=0.5, label="empty cells")


def draw_arrays(
    judged: Judged,
    pieces: ArrayPieces,
    kinds: Kinds,
    table: ArrayTable,
    colours: Colours,
    width: float | None = None,
) -> Figure:
    """Some arrays side by side, each piece in the colour of its stage; rows from the top."""
    count = len(pieces.arrays)
    columns = _panels_a_line(min(4, count), width)
    lines = ceil_div(count, columns)
    width = width or max(4.6, 2.9 * columns)
    figure = new_figure(width, _panel_height(width / columns, 3.05, 2) * lines + 0.75)
    cells = judged.hardware.array.rows * judged.hardware.array.cols
    sizes = np.bincount(table.layout)
    for index, axes in enumerate(panels(figure, count, columns)):
        draw_one_array(axes, judged, pieces, index, kinds, colours)
        array = int(pieces.arrays[index])
        alike = int(sizes[table.layout[array]])
        like = f"{alike} of this layout" if alike > 1 else plural(int(table.pieces[array]), "piece")
        axes.set_title(
            f"array {int(table.number[array])}: {share(float(table.cells[array]) / cells)} full\n{like}",
            fontsize=9,
            color=colours["ink"],
        )
    handles = [*kind_handles(kinds), _empty_handle(colours)]
    legend_below(figure, handles, columns + 1 if columns > 2 else 2, colours, **SMALL)
    return figure


def draw_one_of_each(
    judged: Sequence[Judged],
    labels: Sequence[str],
    arrays: Sequence[int],
    kinds: Sequence[Kinds],
    colours: Colours,
    width: float | None = None,
) -> Figure:
    """One array of each solution side by side, all of one model; `arrays`: which, as index into its numbers."""
    lines = ceil_div(len(judged), _panels_a_line(min(5, len(judged)), width))
    columns = ceil_div(len(judged), lines)
    width = width or max(5.0, 2.5 * columns)
    of_title = letters_in(width / columns - 0.35, 9.5)
    between = "\n" if of_title < 24 else ", "
    figure = new_figure(width, _panel_height(width / columns, 3.1, 3 + (between == "\n")) * lines + 0.55)
    for index, (each, axes) in enumerate(zip(judged, panels(figure, len(judged), columns), strict=True)):
        pieces = find_pieces(each, np.array([arrays[index]]))
        draw_one_array(axes, each, pieces, 0, kinds[index], colours)
        metrics = each.costs.metrics
        axes.set_title(
            f"{shortened(labels[index], min(26, of_title))}\n"
            f"{metrics['arrays']} arrays{between}{share(metrics['occupancy'])} full\n"
            f"{amount(metrics['latency_ns'], 'time')} a token",
            fontsize=9.5,
            color=colours["ink"],
        )
    most = max(kinds, key=lambda each: len(legend_of(each)))
    dense = any(len(legend_of(each)) < len(legend_of(most)) for each in kinds)
    handles = kind_handles(most, "R or dense" if dense else "R")
    legend_below(figure, [*handles, _empty_handle(colours)], columns + 1 if columns > 2 else 2, colours, **SMALL)
    return figure


def _panels_a_line(most: int, width: float | None) -> int:
    """How many arrays stand side by side, at most so many; their titles need some room."""
    return most if width is None else max(1, min(most, int(width / PANEL_WIDTH_MIN)))


def _panel_height(width: float, most: float, lines: int) -> float:
    """The height of a panel of this width with so many lines of title: arrays are square where they can be."""
    return min(most, width + 0.2 * lines)


def draw_one_array(axes: Axes, judged: Judged, pieces: ArrayPieces, index: int, kinds: Kinds, colours: Colours) -> None:
    """The pieces of the array at `index` among `pieces`, each in the colour of its stage."""
    part = pieces.pieces.take(np.arange(pieces.first[index], pieces.first[index + 1]))
    rows, columns = judged.hardware.array.rows, judged.hardware.array.cols
    shades = np.array(stage_colours(kinds))[judged.problem.table.stage[part.factor]].tolist()
    dress(axes, colours, grid=None)
    axes.set_facecolor(colours["empty"])
    width = judged.hardware.columns_per_weight
    left, right = part.array_col * width, (part.array_col + part.cols) * width
    _add_rectangles(
        axes,
        (left, right, part.array_row, part.array_row + part.rows),
        facecolors=shades,
        edgecolors=colours["paper"],
        linewidths=0.15 if len(part) > 300 else 0.4,
        rasterized=len(part) > SHAPES_MAX,
    )
    axes.set_xlim(0, columns)
    axes.set_ylim(rows, 0)
    axes.set_aspect("equal" if 0.25 < rows / columns < 4 else "auto")
    for spine in axes.spines.values():
        spine.set_visible(True)
    axes.set_xticks([0, columns // 2, columns])
    axes.set_yticks([0, rows // 2, rows])
    place = axes.get_subplotspec()
    if place is None or place.is_first_col():
        axes.set_ylabel("row")
    if place is None or place.is_last_row():
        axes.set_xlabel("physical column")


def _add_rectangles(axes: Axes, sides: Sequence[Ints | Floats], **style: Any) -> None:
    """Rectangles by their left, right, top and bottom sides, each of shape (rectangles,)."""
    left, right, top, bottom = sides
    across = np.stack([left, right, right, left], axis=1)
    corners = np.stack([across, np.stack([top, top, bottom, bottom], axis=1)], axis=2).astype(np.float64)
    axes.add_collection(PolyCollection(list(corners), **style))


def _draw_scale(
    figure: Figure,
    axes: Axes,
    values: Floats,
    top: float,
    extent: tuple[float, float, float, float],
    colours: Colours,
    **bar: Any,
) -> Colorbar:
    """Values from 0 to `top` as colours of a scale, and the scale beside them."""
    image = axes.imshow(
        values, cmap=SCALE, norm=Normalize(0, top), aspect="auto", interpolation="nearest", extent=extent
    )
    found = figure.colorbar(image, ax=axes, **bar)
    found.ax.tick_params(colors=colours["ink"], labelsize=8)
    found.outline.set_edgecolor(colours["faint"])
    return found


def draw_map(judged: Judged, table: ArrayTable, colours: Colours, width: float | None = None) -> Figure:
    """A field an array, in order of number, line by line: how full, and how long it fires."""
    count = len(table)
    columns = int(np.ceil(np.sqrt(count * 1.5)))
    lines = ceil_div(count, columns)
    side_by_side = (width or MAP_WIDTH) > MAP_WIDTH / 2
    field_width = (width or MAP_WIDTH) / (2 if side_by_side else 1)
    height = min(7.0, max(1.6, 4.4 * lines / columns * min(1.0, field_width / 5)))
    figure = new_figure(width or MAP_WIDTH, (height + 1.0) * (1 if side_by_side else 2))
    cells = judged.hardware.array.rows * judged.hardware.array.cols
    latency = int(judged.costs.metrics["latency_cycles"])
    measures = (
        ("cells occupied, % of the array", 100 * table.cells / cells),
        ("time it fires, % of a token's latency", 100 * table.busy_cycles / latency),
    )
    for axes, (title, values) in zip(figure.subplots(*((1, 2) if side_by_side else (2, 1))), measures, strict=True):
        dress(axes, colours, grid=None)
        field = np.full(lines * columns, np.nan)
        field[:count] = values
        top = 100.0 if values.max() > 50 else float(values.max()) or 1.0
        extent = (0, columns, lines * columns, 0)
        _draw_scale(figure, axes, field.reshape(lines, columns), top, extent, colours, pad=0.02, aspect=30)
        axes.set_title(title, loc="left", color=colours["ink"])
        axes.set_xlabel("array, counted along the line")
        axes.set_ylabel("first array of the line")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def draw_slots(
    judged: Judged,
    slots: Slots,
    kinds: Kinds,
    firings: Ints | None,
    colours: Colours,
    width: float | None = None,
) -> Figure:
    """Stages above, arrays below, the converters in use between; one firing a bar where there are few enough."""
    count = len(slots.members) if firings is not None else len(slots.busy)
    height = min(4.2, max(1.1, 0.2 * count))
    figure = new_figure(width or MAP_WIDTH, height + 2.7)
    strip, line, field = figure.subplots(3, 1, sharex=True, gridspec_kw={"height_ratios": [0.3, 1.0, height]})
    unit = choose_unit("time", [slots.edges[-1] * judged.clock_ns])
    scale = judged.clock_ns / unit.size
    edges = slots.edges * scale
    _draw_stages(strip, judged, kinds, scale, (edges[0], edges[-1]), colours)
    dress(line, colours, grid="both")
    line.stairs(100 * slots.converters_in_all, edges, fill=True, color=colours["arrays"], linewidth=0)
    line.set_ylabel("converters\nin use, %", fontsize=8.5)
    line.set_ylim(0, max(1e-9, 100 * float(slots.converters_in_all.max())) * 1.1)
    line.tick_params(labelbottom=False)
    dress(field, colours, grid=None)
    if firings is None:
        _draw_field(figure, field, slots, edges, colours)
    else:
        _draw_firings(field, judged, firings, slots, kinds, scale, colours)
    ticks = np.arange(0, len(slots.members), ceil_div(len(slots.members), 12))
    numbers = judged.array_numbers[slots.members[ticks]].tolist()
    field.set_yticks((ticks + 0.5).tolist(), [str(number) for number in numbers])
    field.set_ylim(len(slots.members), 0)
    of_all = len(judged.array_numbers)
    some = "" if len(slots.members) == of_all else f"the {len(slots.members)} of {of_all} that fire"
    each = f"{slots.arrays_per_row} a line" if firings is None and slots.arrays_per_row > 1 else ""
    field.set_ylabel("array" + "".join(f", {text}" for text in (some, each) if text))
    field.set_xlim(float(edges[0]), float(edges[-1]))
    field.set_xlabel(f"time in a token's pass, {symbol(unit.name)}")
    field.patch.set(facecolor=colours["paper"], edgecolor=colours["grid"], **IDLE)
    idle = Patch(facecolor=colours["paper"], edgecolor=colours["grid"], label="idle: does not fire", **IDLE)
    legend_below(figure, [*kind_handles(kinds), idle], 5, colours, **SMALL)
    return figure


def _draw_stages(
    axes: Axes, judged: Judged, kinds: Kinds, scale: float, window: tuple[float, float], colours: Colours
) -> None:
    stages = judged.costs.stages
    shades = np.array(stage_colours(kinds))
    inside = np.flatnonzero((stages.start * scale < window[1]) & (stages.end * scale > window[0]))
    left, right = stages.start[inside] * scale, stages.end[inside] * scale
    if len(inside) > SHAPES_MAX:
        sides = (left, right, np.zeros(len(inside)), np.ones(len(inside)))
        _add_rectangles(axes, sides, facecolors=shades[inside].tolist(), linewidths=0, rasterized=True)
    else:
        for stage, low, high in zip(inside.tolist(), left.tolist(), right.tolist(), strict=True):
            box = Rectangle((low, 0), high - low, 1, facecolor=shades[stage], linewidth=0)
            box.set_gid(stage_group(stage))
            axes.add_patch(box)
    dress(axes, colours, grid=None)
    axes.set_ylim(0, 1)
    axes.set_yticks([0.5], ["stage"])
    axes.tick_params(labelbottom=False, bottom=False, left=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlim(*window)


def stage_group(stage: int) -> str:
    """The id of a stage's bar, for what a page says when it is pointed at."""
    return f"stage.{stage}"


def _draw_field(figure: Figure, axes: Axes, slots: Slots, edges: Floats, colours: Colours) -> None:
    shares = np.where(slots.busy > 0, 100 * slots.converters, np.nan)
    top = float(np.nanmax(shares, initial=0.0)) or 1.0
    extent = (float(edges[0]), float(edges[-1]), len(slots.members), 0)
    bar = _draw_scale(figure, axes, shares, top, extent, colours, pad=0.01, aspect=24)
    bar.set_label("converters in use, %", fontsize=8.5, color=colours["ink"])


def _draw_firings(
    axes: Axes, judged: Judged, firings: Ints, slots: Slots, kinds: Kinds, scale: float, colours: Colours
) -> None:
    activations = judged.solution.activations
    shades = np.array(stage_colours(kinds))[judged.costs.fired.stage[firings]]
    low = np.searchsorted(slots.members, judged.array_of_activation[firings]) + 0.1
    left, right = activations.start[firings] * scale, activations.end[firings] * scale
    sides = (left, right, low, low + 0.8)
    _add_rectangles(axes, sides, facecolors=shades.tolist(), edgecolors=colours["paper"], linewidths=0.2)
