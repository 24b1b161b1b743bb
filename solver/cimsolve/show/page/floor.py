"""The floor plan of a chip with a network: cores at their places, and what the links between them carry."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count as count_from
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from cimsolve.chip.htree import HTree
from cimsolve.chip.mesh import WAYS, Mesh
from cimsolve.chip.routes import Topology
from cimsolve.columns import Floats, Ints
from cimsolve.show.page.canvas import SHAPES_MAX, Chart, dress, legend_below, letters_in, line_height, new_figure
from cimsolve.show.page.maps import MAP_WIDTH, SCALE, SMALL
from cimsolve.show.page.palette import LINKS, Colours
from cimsolve.show.seen.comparison import symbol
from cimsolve.show.seen.floor import Floor
from cimsolve.show.units import choose_unit

CORE = 0.56
"""Side of a core where its neighbours are 1 away."""
LANE = 0.18
"""Most that a link is wide there: two lie side by side."""
PLACE_WIDTH, WIDTH_MIN, WIDTH_MAX = 0.56, 4.8, 7.2
"""Inches of a place, and the least and most of the whole."""
HAIR = 0.01
"""Least width of a link that carries anything."""
HEIGHT_MAX, LEVEL = 9.0, 0.42
"""Most inches that a mesh is high, and those of a level of a tree."""


@dataclass(frozen=True)
class _Plan:
    """Boxes by their left, right, top and bottom sides, shape (4, boxes): of places, and of the links that exist."""

    places: Floats
    links: Floats
    link: Ints
    """The number of each link."""
    extent: tuple[float, float, float, float]
    """Left, right, bottom and top of all that is drawn."""
    hub: tuple[float, float, float, float]
    """Left, top, width and height of the hub."""
    is_outline: bool
    """Whether the hub is drawn around a place."""
    joints: list[list[tuple[float, float]]]
    """Lines between the ends of links that meet above a node of a tree."""
    cols: int
    rows: int
    """Places a row, and rows; 0 of a tree, whose leaves stand in one."""


def draw_floor(floor: Floor, colours: Colours, width: float | None = None) -> Figure:
    """Places with their cores, by how long these fire, and links as wide as they carry bits."""
    plan = _plan_of(floor.interconnect.topology, floor.bits)
    across, down = plan.extent[1] - plan.extent[0], plan.extent[2] - plan.extent[3]
    width = width or (min(WIDTH_MAX, max(WIDTH_MIN, PLACE_WIDTH * across)) if plan.rows else MAP_WIDTH)
    side = min((width - 0.5) / across, HEIGHT_MAX / down, 1.5 * PLACE_WIDTH) if plan.rows else LEVEL
    height = side * down
    lines = textwrap.wrap(f"busiest: {floor.describe_channel(floor.busiest)}", letters_in(width - 0.3, 9))
    figure = new_figure(width, height + 2.0 + line_height(9) * len(lines))
    head = line_height(9) * len(lines)
    grid = figure.add_gridspec(3, 2, height_ratios=[head, max(height, 0.6), 0.1])
    unit = choose_unit("time", [float(floor.times_ns.max())])
    fires = ScalarMappable(Normalize(0, 100 * float(floor.busy.max()) or 1.0), colormaps[SCALE])
    times, scale = floor.times_ns / unit.size, LinearSegmentedColormap.from_list("links", LINKS)
    carries = ScalarMappable(Normalize(0, float(times.max()) or 1.0), scale)
    axes = figure.add_subplot(grid[1, :])
    _dress_plan(axes, plan, width, height, colours)
    above = figure.add_subplot(grid[0, :])  # as wide as all, where the plan is narrower
    above.set_axis_off()
    above.text(0, 0.5, "\n".join(lines), va="center", fontsize=9, color=colours["ink"])
    axes.add_collection(LineCollection(plan.joints, colors=colours["faint"], linewidths=0.5))
    carried, fired = carries.to_rgba(times), fires.to_rgba(100 * floor.busy)
    _add_boxes(axes, plan.links, list(carried[plan.link]), [f"link.{link}" for link in plan.link.tolist()])
    shades = [shade if some else colours["empty"] for shade, some in zip(fired, floor.arrays, strict=True)]
    names = [f"place.{place}" for place in range(len(floor.arrays))]
    _add_boxes(axes, plan.places, shades, names, edge=colours["faint"])
    _add_hub(axes, plan, carried[-2:], colours)
    _add_ring(axes, floor, plan, colours)
    labels = (
        (fires, "arrays of a core fire,\n% of a token's latency"),
        (carries, f"links and port carry bits,\n{symbol(unit.name)} a token; width: bits"),
    )
    for column, (shown, label) in enumerate(labels):
        bar = figure.colorbar(shown, cax=figure.add_subplot(grid[2, column]), orientation="horizontal")
        bar.set_label(label, fontsize=8.5, color=colours["ink"])
        bar.ax.tick_params(colors=colours["ink"], labelsize=8)
        bar.outline.set_edgecolor(colours["faint"])
    handles = [
        Patch(facecolor=colours["empty"], edgecolor=colours["faint"], linewidth=0.5, label="empty place"),
        Patch(facecolor="none", edgecolor=colours["ink"], linewidth=1.6, label="hub; in it its port, down and up"),
        Line2D([], [], color=colours["ink"], marker="o", fillstyle="none", linestyle="none", label="busiest channel"),
    ]
    legend_below(figure, handles, 3, colours, **SMALL)
    return figure


def _dress_plan(axes: Axes, plan: _Plan, width: float, height: float, colours: Colours) -> None:
    """Numbers of places along the sides, without axes."""
    dress(axes, colours, grid=None)
    axes.set_xlim(plan.extent[0], plan.extent[1])
    axes.set_ylim(plan.extent[2], plan.extent[3])
    axes.set_xticks(_ticks(plan.cols, width))
    axes.set_yticks(_ticks(plan.rows, height) if plan.rows else [])
    axes.set_xlabel("column" if plan.rows else "leaf")
    if plan.rows:
        axes.set_aspect("equal")
        axes.set_ylabel("row")
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def floor_chart(floor: Floor) -> Chart:
    """The floor plan, with the names of its places and links."""
    places = len(floor.arrays)
    used = int((floor.arrays > 0).sum())
    links = range(floor.interconnect.links)
    tips = {f"place.{place}": floor.describe_place(place) for place in range(places)} if places <= SHAPES_MAX else {}
    if len(links) <= SHAPES_MAX:
        tips |= {f"link.{link}": floor.describe_channel(link) for link in links}
    says = f"cores hold weights at {used} of {places} places; {floor.describe_port()}"
    return Chart("floor", "Floor plan: cores, links and hub", says, partial(draw_floor, floor), tips)


def _ticks(count: int, room: float) -> list[int]:
    """As many of the numbers 0 ... count - 1, evenly spaced, as so many inches hold."""
    steps = (first * 10**power for power in count_from(0) for first in (1, 2, 5))
    return list(range(0, count, next(step for step in steps if count / step <= 3.4 * room)))


def _plan_of(topology: Topology, bits: Ints) -> _Plan:
    if isinstance(topology, Mesh):
        return _plan_of_mesh(topology, bits)
    assert isinstance(topology, HTree)
    return _plan_of_tree(topology, bits)


def _plan_of_mesh(mesh: Mesh, bits: Ints) -> _Plan:
    """Places 1 apart, row 0 above; each way of a link lies to the right of its middle, as one goes."""
    row, col = np.divmod(np.arange(mesh.places), mesh.cols)
    half = CORE / 2
    link = np.flatnonzero(mesh.is_link)
    way, at_row, at_col = np.unravel_index(link, (len(WAYS), mesh.rows, mesh.cols))
    carried = bits[link]
    lane = np.where(carried > 0, np.maximum(LANE * carried / max(1, int(carried.max())), HAIR), 0.0)
    # To the right of east is south, of west north, of south west, of north east; rows grow to the south.
    is_level, is_positive = way < 2, np.isin(way, (0, 3))
    near, far = np.where(is_positive, 0.01, -0.01 - lane), np.where(is_positive, 0.01 + lane, -0.01)
    left = np.where(is_level, at_col + half, at_col + near)
    right = np.where(is_level, at_col + 1 - half, at_col + far)
    top = np.where(is_level, at_row + near, at_row - 1 + half)
    bottom = np.where(is_level, at_row + far, at_row - half)
    hub = (-half, -1 - half, mesh.cols - 1 + CORE, CORE)
    margin = 0.16
    head = -1 - half - margin
    if mesh.hub is not None:
        at = divmod(mesh.hub, mesh.cols)
        frame = half + 0.06
        hub, head = (at[1] - frame, at[0] - frame, 2 * frame, 2 * frame), -half - margin
    return _Plan(
        np.stack([col - half, col + half, row - half, row + half]),
        np.stack([left, right, top, bottom]),
        link,
        (-half - margin, mesh.cols - 1 + half + margin, mesh.rows - 1 + half + margin, head),
        hub,
        mesh.hub is not None,
        [],
        mesh.cols,
        mesh.rows,
    )


def _plan_of_tree(tree: HTree, bits: Ints) -> _Plan:
    """Leaves in a row, the root above them; the way down lies to the left of the way up."""
    leaves, total = tree.places, sum(tree.nodes)
    level = np.repeat(np.arange(tree.levels), tree.nodes)
    node = np.concatenate([np.arange(nodes) for nodes in tree.nodes])
    spacing = tree.fanout**level
    x, y = (node + 0.5) * spacing - 0.5, (tree.levels - level).astype(float)
    both = np.stack([bits[:total], bits[total : 2 * total]])
    # As wide as the narrowest level lets them be, and the eye.
    scale = float((np.minimum(0.4 * spacing, 0.012 * leaves) / np.maximum(1, both)).min())
    lane = np.where(both > 0, np.maximum(scale * both, HAIR * leaves / 16), 0.0)
    gap = 0.002 * leaves
    left = np.concatenate([x - gap - lane[0], x + gap])
    right = np.concatenate([x - gap, x + gap + lane[1]])
    top, bottom = np.tile(y - 1, 2), np.tile(y, 2)
    first = np.arange(0, total - tree.fanout, tree.fanout)  # the root's children end at the hub itself
    first = first[both[:, first].any(axis=0) | both[:, first + tree.fanout - 1].any(axis=0)]
    ends = zip(x[first].tolist(), x[first + tree.fanout - 1].tolist(), (y[first] - 1).tolist(), strict=True)
    joints = [[(low, at), (high, at)] for low, high, at in ends]
    leaf, margin = np.arange(leaves), 0.04 * leaves
    low, high = max(-0.5, float(x[-tree.fanout]) - margin), min(leaves - 0.5, float(x[-1]) + margin)
    height = np.full(leaves, float(tree.levels))
    return _Plan(
        np.stack([leaf - 0.42, leaf + 0.42, height, height + 0.8]),
        np.stack([left, right, top, bottom]),
        np.arange(2 * total),
        (-0.6, leaves - 0.4, tree.levels + 0.9, -1.0),
        (low, -0.7, high - low, 0.7),
        False,
        joints,
        leaves,
        0,
    )


def _add_boxes(axes: Axes, sides: Floats, shades: Sequence[Any], names: list[str], edge: str | None = None) -> None:
    """Boxes in these shades, each with its name."""
    left, right, top, bottom = sides
    line: dict[str, Any] = {"edgecolor": edge, "linewidth": 0.5} if edge else {"linewidth": 0}
    if len(names) > SHAPES_MAX:  # too many to be told apart
        across = np.stack([left, right, right, left], axis=1)
        corners = np.stack([across, np.stack([top, top, bottom, bottom], axis=1)], axis=2)
        axes.add_collection(PolyCollection(list(corners), facecolors=shades, rasterized=True, linewidths=0))
        return
    for name, shade, *box in zip(names, shades, left, top, right - left, bottom - top, strict=True):
        patch = Rectangle((box[0], box[1]), box[2], box[3], facecolor=shade, **line)
        patch.set_gid(name)
        axes.add_patch(patch)


def _port_at(plan: _Plan) -> tuple[tuple[float, float], float]:
    """Where the port's signs are, down and up, from the left; and how far from above."""
    left, top, width, height = plan.hub
    apart = 0.12 if plan.is_outline else 0.02 * width
    return (left + width / 2 - apart, left + width / 2 + apart), top + height / 2


def _add_hub(axes: Axes, plan: _Plan, port: Floats, colours: Colours) -> None:
    """The hub, and in it its port: one sign down, one up."""
    left, top, width, height = plan.hub
    axes.add_patch(Rectangle((left, top), width, height, facecolor="none", edgecolor=colours["ink"], linewidth=1.6))
    signs_at, middle = _port_at(plan)
    for sign, at, shade in zip("v^", signs_at, port, strict=True):
        style: dict[str, Any] = {"marker": sign, "markersize": 5, "markeredgecolor": colours["paper"]}
        axes.plot([at], [middle], color=shade, markeredgewidth=0.6, **style)
    if not plan.is_outline and width > 1:  # else the legend alone names it
        before = 1.5 * signs_at[0] - 0.5 * signs_at[1]
        axes.text(before, middle, "hub", ha="right", va="center", fontsize=9, color=colours["ink"])


def _add_ring(axes: Axes, floor: Floor, plan: _Plan, colours: Colours) -> None:
    """A ring around the busiest channel."""
    links, ports = floor.interconnect.links, len(floor.bits) - 2
    if floor.busiest < links:
        left, right, top, bottom = plan.links[:, int(np.searchsorted(plan.link, floor.busiest))].tolist()
    elif floor.busiest < ports:
        left, right, top, bottom = plan.places[:, floor.busiest - links].tolist()
    else:
        signs_at, top = _port_at(plan)
        left, right, bottom = signs_at[floor.busiest - ports], signs_at[floor.busiest - ports], top
    ring: dict[str, Any] = {"marker": "o", "fillstyle": "none", "markersize": 15, "markeredgewidth": 1.6}
    axes.plot([(left + right) / 2], [(top + bottom) / 2], color=colours["ink"], **ring)
