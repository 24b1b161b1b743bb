"""matplotlib figures without global state: made in a theme, written as files or as SVG for a page."""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, Literal, Protocol

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backend_bases import get_registered_canvas_class
from matplotlib.figure import Figure

from cimsolve.columns import ceil_div
from cimsolve.files.whole import written_whole
from cimsolve.show.page.palette import LIGHT, PLACEHOLDERS, Colours, with_properties

DPI = 160
SHAPES_MAX = 2000
"""More shapes than this in one drawing become an image: nobody could tell them apart."""
PIXELS_A_POINT = 1.5
"""Most pixels a point of a chart on a page: its 9.5 points are then as large as the page's text."""
LETTER_EM, HANDLE = 0.58, 0.4
"""The width of a mean letter, in its size; that of the sign in a legend with the space around it, in inches."""
LEGEND_LINES = 2
"""Lines of a legend below that the heights of figures allow for."""
_METADATA: Mapping[str, dict[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
"""No dates: the same solutions give the same files."""


class Draw(Protocol):
    """From colours by role to a figure, so wide in inches or as wide as it is by itself."""

    def __call__(self, colours: Colours, width: float | None = None) -> Figure: ...


@dataclass(frozen=True)
class Chart:
    """How to draw one chart; `says` is its key sentence: what it shows in words, its title apart."""

    name: str
    title: str
    says: str
    draw: Draw
    tips: Mapping[str, str] = field(default_factory=dict)
    """Group id (`gid` of an artist) -> what a page says when it is pointed at."""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure in inches, its background left to the page."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_facecolor("none")
    figure.get_layout_engine().set(w_pad=0.04, h_pad=0.04)  # type: ignore[union-attr, call-arg]
    return figure


def panels(figure: Figure, count: int, columns: int) -> list[Axes]:
    """Axes for `count` drawings, line by line, so many `columns` a line; those left over are hidden."""
    grid = figure.subplots(ceil_div(count, columns), columns, squeeze=False).ravel().tolist()
    for axes in grid[count:]:
        axes.set_visible(False)
    return list(grid[:count])


def letters_in(width: float, points: float = 9.0) -> int:
    """How many letters of a mean text of this size are so wide, in inches."""
    return int(width * 72 / (LETTER_EM * points))


def line_height(points: float) -> float:
    """The height of a line of text of this size with the space around it, in inches."""
    return 1.6 * points / 72


def legend_below(figure: Figure, handles: Sequence[Artist], columns: int, colours: Colours, **style: Any) -> None:
    """A legend under all that is drawn, in at most so many columns, fewer where those would be too wide.

    What has more lines than `LEGEND_LINES` makes the figure higher.
    """
    width = float(figure.get_figwidth())
    for handle in handles:
        handle.set_label(textwrap.fill(str(handle.get_label()), max(20, letters_in(width - HANDLE, 8.5))))
    labels = [str(handle.get_label()).split("\n") for handle in handles]
    widths = [max(map(len, lines)) + letters_in(HANDLE, 8.5) for lines in labels]
    tried = range(min(columns, len(handles)), 1, -1)
    fitting = (n for n in tried if sum(max(part) for part in np.array_split(widths, n)) <= letters_in(width, 8.5))
    columns = next(fitting, 1)
    lines = max(sum(part) for part in np.array_split([len(lines) for lines in labels], columns))
    figure.set_figheight(figure.get_figheight() + max(0, lines - LEGEND_LINES) * line_height(8.5))
    style |= {"ncols": columns, "frameon": False, "labelcolor": colours["ink"]}
    figure.legend(handles=list(handles), loc="outside lower center", **style)


def dress(axes: Axes, colours: Colours, grid: str | None = "x") -> None:
    """Plain axes: no box, a faint grid, text in the colours of the page."""
    axes.set_facecolor("none")
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(colours["faint"])
    axes.tick_params(colors=colours["ink"], labelsize=9)
    axes.xaxis.label.set_color(colours["ink"])
    axes.yaxis.label.set_color(colours["ink"])
    axes.set_axisbelow(True)
    if grid:
        axes.grid(axis=grid, color=colours["grid"], linewidth=0.6)  # type: ignore[arg-type]


def shortened(text: str, most: int = 44) -> str:
    """A label that fits: the middle is left out, as names differ at their ends."""
    return text if len(text) <= most else f"{text[: most // 2 - 1]}…{text[-(most - most // 2) :]}"


def write_chart(chart: Chart, path: Path, of: str, width: float | None = None, dpi: int | None = None) -> None:
    """Write a chart in the format of its suffix, whole or not at all; `of` says of what it is, beside its title.

    So wide in inches, and with so many dots an inch, where these are given: letters stay as large.
    Raises InputError where the place cannot be written.
    """
    kind = path.suffix[1:]
    with written_whole(path, str(path), "choose another place by --figures") as written, _settings("path", chart.name):
        figure = chart.draw(LIGHT, width)
        title = textwrap.fill(f"{chart.title} ({shortened(of)})", letters_in(figure.get_figwidth(), 11))
        figure.set_figheight(figure.get_figheight() + title.count("\n") * line_height(11))
        figure.suptitle(title, fontsize=11, color=LIGHT["ink"])
        figure.patch.set_facecolor(LIGHT["paper"])
        _print(figure, written, kind, dpi or DPI)


def _print(figure: Figure, to: object, kind: str, dpi: int) -> None:
    """The figure in this format; `savefig` would draw all of it twice, first for a layout that is found here too."""
    figure.dpi = dpi
    canvas = get_registered_canvas_class(kind)(figure)
    getattr(canvas, f"print_{kind}")(to, metadata=_METADATA[kind])


def inline_svg(chart: Chart, salt: str) -> str:
    """A chart as an `svg` element of a page; `salt` differs between the charts of one page, and so do their ids."""
    text = io.StringIO()
    with _settings("none", f"{chart.name} {salt}"):
        _print(chart.draw(PLACEHOLDERS), text, "svg", DPI)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    # The style applies to `*`, in a page to all of it, so it stands in the page's own sheet. Space between elements
    # would be half of the nodes.
    svg = re.sub(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    svg = re.sub(r">\s+<", "><", svg)
    # As wide as there is room, but not so wide that its letters outgrow the page's.
    svg = re.sub(
        r'width="([0-9.]+)pt" height="[0-9.]+pt" ',
        lambda found: f'style="--natural: {PIXELS_A_POINT * float(found[1]):.0f}px" ',
        svg,
        count=1,
    )
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(chart.title)}" ', 1)
    svg = re.sub(r'<g id="([^"]+)"([^>]*)>', lambda found: _group(found[1], found[2], chart.tips), svg)
    return with_properties(svg)


def _group(name: str, others: str, tips: Mapping[str, str]) -> str:
    """A group with its tip, and without its id: ids repeat from chart to chart and nothing refers to them."""
    return f"<g{others}>" + (f"<title>{escape(tips[name])}</title>" if name in tips else "")


@contextmanager
def _settings(fonts: Literal["path", "none"], name: str) -> Iterator[None]:
    """matplotlib's own defaults, whatever the user's are; text is shown as it is: a dollar sign begins no formula.

    A page has the fonts of its reader: that matplotlib's own lack a letter is no news.
    """
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from font")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {
                "svg.fonttype": fonts,
                "svg.hashsalt": f"cimsolve {name}",
                "text.parse_math": False,
                "font.sans-serif": ["DejaVu Sans"],  # which matplotlib ships: measures are the same everywhere
                "font.size": 9.5,
                "axes.titlesize": 10,
            }
        )
        yield
