"""Points by two figures as a drawing, by matplotlib, which is optional: of a study, of a front, and of choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from cimsolve.columns import ceil_div
from cimsolve.errors import InputError
from cimsolve.files.whole import written_whole
from cimsolve.problem.solution import Header
from cimsolve.show.figures import FIGURES, CostFigure
from cimsolve.show.text.sweep import Swept
from cimsolve.show.units import Kind, choose_unit, titled
from cimsolve.study.choose import ChoiceFound
from cimsolve.study.front import FrontFound

ENDINGS = (".svg", ".png", ".pdf")
WIDTH_IN, HEIGHT_A_WIDTH = 6.4, 4.4 / 6.4
DPI = 150
LEGEND_HANDLE_IN, LEGEND_LETTER_IN, LEGEND_LINE_IN = 0.45, 0.055, 0.16
"""What entries of a legend below a drawing take, at 8 points."""
MARKERS = "s^vDPX*<>"
WIDE = 20
"""Axes over more than so many times are logarithmic in drawings of fronts: rules stand far from it."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """Points of one colour: those on the front, filled and called `label`, and the others, hollow."""

    label: str
    front: Sequence[Point]
    others: Sequence[Point]
    joined: bool
    """Whether the front is a staircase."""
    others_label: str | None = None


@dataclass(frozen=True)
class Axis:
    """What is drawn along one side."""

    title: str
    kind: Kind


@dataclass(frozen=True)
class Drawing:
    """Groups of points and single ones by name, by two figures in the units that `units` starts from."""

    axes: tuple[Axis, Axis]
    groups: Sequence[Series]
    marks: Mapping[str, Point] = field(default_factory=dict)
    may_be_logarithmic: bool = False


def demand_drawable(file: str) -> None:
    """Raise InputError, before any work, where `file` could not be drawn."""
    if Path(file).suffix.lower() not in ENDINGS:
        raise InputError(f"--plot {file}: expected a name that ends in one of {', '.join(ENDINGS)}")
    _matplotlib()


def drawing_of_study(swept: Swept) -> Drawing:
    """Points by the first two objectives of the front; a group a model."""
    axes = _axes(swept.front)
    models: dict[str, tuple[list[Point], list[Point]]] = {}
    for one, mark in zip(swept.rows, swept.marks(), strict=True):
        if one.record and one.has_figures:
            front, others = models.setdefault(one.record.model_name, ([], []))
            (front if mark else others).append((axes[0].total(one.record), axes[1].total(one.record)))
    # In two figures the front is a staircase; in more its points stand alone.
    label, joined = f"front in {', '.join(swept.front)}", len(swept.front) == 2
    groups = [Series(f"{model}: {label}", *points, joined) for model, points in models.items()]
    return Drawing(_drawn(axes), groups, may_be_logarithmic=True)


def drawing_along(swept: Swept, axis: str) -> Drawing:
    """The first objective of the front along a varied key of numbers, and its bounds, hollow: a curve for all else."""
    figure = next(each for each in FIGURES if each.objective == swept.front[0])
    curves: dict[str, tuple[list[Point], list[Point]]] = {}
    for one in swept.rows:
        if one.record is None or not one.has_figures:
            continue
        values, record = dict(one.row.values), one.record
        at = values.pop(axis)
        if isinstance(at, bool) or not isinstance(at, int | float):
            raise InputError(f"--along {axis}: {at!r} is no number; expected a key of which all values are")
        label = ", ".join(f"{key}={value}" for key, value in values.items()) or record.model_name
        points, bounds = curves.setdefault(label, ([], []))
        points.append((float(at), figure.total(record)))
        if figure.metric in record.bounds:
            bounds.append((float(at), figure.lower(record)))
    groups = [Series(label, *each, joined=True, others_label="no answer is below") for label, each in curves.items()]
    return Drawing((Axis(axis, "count"), Axis(figure.title, figure.kind)), groups, may_be_logarithmic=True)


def drawing_of_front(found: FrontFound, names: Sequence[str]) -> Drawing:
    """Points of a front by two objectives, the staircase of those that none beats in these two, and the rules."""
    axes = _axes(names)

    def place(header: Header) -> Point:
        return axes[0].total(header), axes[1].total(header)

    points = sorted(place(row.header) for row in found.points)
    best = list(accumulate((y for _, y in points), min))
    steps = [i for i in range(len(points)) if i == 0 or best[i] < best[i - 1]]
    others = [point for i, point in enumerate(points) if i not in steps]
    group = Series("front", [points[i] for i in steps], others, joined=True, others_label="better in other figures")
    marks = {rule.strategy: place(rule.header) for rule in found.rules if rule.header is not None}
    return Drawing(_drawn(axes), [group], marks, may_be_logarithmic=True)


def drawing_of_choice(found: ChoiceFound, name: str) -> Drawing:
    """Loss of a front of choices against arrays, latency or energy; the bounds, hollow, against arrays alone."""
    axis = _axes((name, name))[0]
    points = [(float(each.metrics[axis.key]), each.chosen.loss) for each in found.front]
    bounds = [(float(each.chosen.arrays_max), each.chosen.bound) for each in found.front] if name == "arrays" else []
    label = "no choice of the menu loses less" if bounds else None
    axes = (Axis(axis.title, axis.kind), Axis(f"loss, {found.loss}", "count"))
    return Drawing(axes, [Series("chosen", points, bounds, joined=name == "arrays", others_label=label)], {}, True)


def draw(drawing: Drawing, file: str, width_in: float | None = None, dpi: int | None = None) -> None:
    """Draw into a file, so wide where that is given; its height follows, its letters stay as large.

    Raises InputError where the file cannot be written.
    """
    _matplotlib()
    from matplotlib.figure import Figure as Canvas

    everywhere = [*drawing.marks.values(), *(each for one in drawing.groups for each in (*one.front, *one.others))]
    units = [choose_unit(figure.kind, [point[i] for point in everywhere]) for i, figure in enumerate(drawing.axes)]

    def columns(points: Sequence[Point]) -> list[list[float]]:
        return [[point[i] / unit.size for point in points] for i, unit in enumerate(units)]

    width = width_in or WIDTH_IN
    canvas = Canvas(figsize=(width, width * HEIGHT_A_WIDTH), layout="constrained")
    place = canvas.subplots()
    for index, group in enumerate(drawing.groups):
        colour, line = f"C{index}", "-" if group.joined else "none"
        x, y = columns(sorted(group.front))
        place.plot(
            x, y, marker="o", ms=4, color=colour, label=group.label, linestyle=line, drawstyle="steps-post", lw=1
        )
        x, y = columns([*group.front, *group.others])
        others = group.others_label if group.others else None
        place.scatter(x, y, s=18, facecolors="none", edgecolors=colour, label=others)
    for index, (name, point) in enumerate(drawing.marks.items(), len(drawing.groups)):
        x, y = columns([point])
        place.plot(x, y, linestyle="none", marker=MARKERS[index % len(MARKERS)], color=f"C{index}", ms=6, label=name)
    place.set_xlabel(titled(drawing.axes[0].title, units[0]))
    place.set_ylabel(titled(drawing.axes[1].title, units[1]))
    if drawing.may_be_logarithmic:
        for axis, set_scale in enumerate((place.set_xscale, place.set_yscale)):
            values = [point[axis] for point in everywhere]
            if min(values) > 0 and max(values) > WIDE * min(values):
                set_scale("log")
    place.grid(linewidth=0.3)
    if everywhere:
        _add_legend(canvas, place, width)
    _save(canvas, Path(file), dpi or DPI)


def _add_legend(canvas: Any, place: Any, width: float) -> None:
    """Among the points, or below a drawing that is too narrow for that, which grows by it."""
    if width >= WIDTH_IN:
        place.legend(frameon=False)
        return
    handles, labels = place.get_legend_handles_labels()
    columns = max(1, int(width / (LEGEND_HANDLE_IN + LEGEND_LETTER_IN * max(map(len, labels)))))
    canvas.set_figheight(width * HEIGHT_A_WIDTH + LEGEND_LINE_IN * ceil_div(len(labels), columns))
    canvas.legend(handles, labels, loc="outside lower center", frameon=False, fontsize=8, ncols=columns)


def _drawn(figures: Sequence[CostFigure]) -> tuple[Axis, Axis]:
    first, second = (Axis(figure.title, figure.kind) for figure in figures)
    return first, second


def _axes(names: Sequence[str]) -> tuple[CostFigure, CostFigure]:
    first, second = (next(figure for figure in FIGURES if figure.objective == name) for name in names[:2])
    return first, second


def _save(canvas: Any, file: Path, dpi: int) -> None:
    """Write the drawing, whole or not at all."""
    import matplotlib

    # No date and fixed names inside: the same figures give the same file.
    meta = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(file.suffix.lower(), {})
    fixed = matplotlib.rc_context({"svg.hashsalt": "cimsolve", "svg.fonttype": "none"})
    with written_whole(file, f"--plot {file}") as written, fixed:
        canvas.savefig(written, format=file.suffix[1:].lower(), metadata=meta, dpi=dpi)


def _matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401  only whether it is there
    except ImportError:
        raise InputError("--plot: matplotlib is not installed; pip install 'cimsolve[plot]'") from None
