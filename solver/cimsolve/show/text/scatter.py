"""The points of a study as a drawing, by matplotlib, which is optional."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cimsolve.errors import InputError
from cimsolve.files.whole import written_whole
from cimsolve.show.figures import FIGURES
from cimsolve.show.text.sweep import Swept
from cimsolve.show.units import choose_unit, titled

ENDINGS = (".svg", ".png", ".pdf")


def demand_drawable(file: str, front: Sequence[str]) -> None:
    """Raise InputError, before any work, where `file` could not be drawn."""
    if Path(file).suffix.lower() not in ENDINGS:
        raise InputError(f"--plot {file}: expected a name that ends in one of {', '.join(ENDINGS)}")
    if len(front) < 2:
        raise InputError(f"--plot {file}: needs two names in --front, for the two axes; add one")
    _matplotlib()


def draw_swept(swept: Swept, file: str) -> None:
    """Points by the first two objectives of the front, those on the front filled; a colour a model.

    Raises InputError where the file cannot be written.
    """
    _matplotlib()
    from matplotlib.figure import Figure as Canvas

    axes_of = [next(figure for figure in FIGURES if figure.objective == name) for name in swept.front[:2]]
    solved = [(one, mark) for one, mark in zip(swept.rows, swept.marks(), strict=True) if one.has_figures]
    values = [[figure.total(one.record) for one, _ in solved if one.record] for figure in axes_of]
    units = [choose_unit(figure.kind, each) for figure, each in zip(axes_of, values, strict=True)]
    canvas = Canvas(figsize=(6.4, 4.4), layout="constrained")
    place = canvas.subplots()
    models = dict.fromkeys(one.record.model_name for one, _ in solved if one.record)
    for index, model in enumerate(models):
        colour = f"C{index}"
        mine = [i for i, (one, _) in enumerate(solved) if one.record and one.record.model_name == model]
        x, y = ([values[axis][i] / units[axis].size for i in mine] for axis in (0, 1))
        best = sorted((x[n], y[n]) for n, i in enumerate(mine) if solved[i][1])
        place.scatter(x, y, s=18, facecolors="none", edgecolors=colour)
        # In two figures the front is a staircase; in more its points stand alone.
        line = "-" if len(swept.front) == 2 else ""
        label = f"{model}: front in {', '.join(swept.front)}"
        place.plot(
            *zip(*best, strict=True), line, marker="o", drawstyle="steps-post", color=colour, ms=4, lw=1, label=label
        )
    place.set_xlabel(titled(axes_of[0].title, units[0]))
    place.set_ylabel(titled(axes_of[1].title, units[1]))
    place.grid(linewidth=0.3)
    if models:
        place.legend(frameon=False)
    _save(canvas, Path(file))


def _save(canvas: Any, file: Path) -> None:
    """Write the drawing, whole or not at all."""
    import matplotlib

    # No date and fixed names inside: the same figures give the same file.
    meta = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(file.suffix.lower(), {})
    fixed = matplotlib.rc_context({"svg.hashsalt": "cimsolve", "svg.fonttype": "none"})
    with written_whole(file, f"--plot {file}") as written, fixed:
        canvas.savefig(written, format=file.suffix[1:].lower(), metadata=meta, dpi=150)


def _matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401  only whether it is there
    except ImportError:
        raise InputError("--plot: matplotlib is not installed; pip install 'cimsolve[plot]'") from None
