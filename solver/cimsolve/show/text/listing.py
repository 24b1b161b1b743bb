"""The reports of `cimsolve list`: what is shipped; and of `cimsolve report`: what was written where."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cimsolve.chip.converters import CONVERTER_MODELS, OWN_TABLE
from cimsolve.chip.spec import Hardware
from cimsolve.model.model import Model
from cimsolve.problem.objective import EXAMPLE, OBJECTIVES
from cimsolve.show.text.console import heading, indented, labelled, line, verbatim
from cimsolve.show.text.question import describe_arrays, describe_converters
from cimsolve.show.text.sheet import Column, Sheet, print_sheet
from cimsolve.show.units import millions, number
from cimsolve.solve.names import STRATEGY_LINES

FILES_SHOWN = 12
"""Most files of a folder that are named one by one."""


def print_shipped(models: Sequence[Model], hardware: Sequence[Hardware], default: Hardware) -> None:
    """Models, with the arrays that they take dense on the `default` chip, specs, strategies and objectives."""
    heading("Models (--model)", first=True)
    rows = [
        [
            each.name,
            each.family,
            len(each.linears),
            millions(each.weight_count),
            millions(each.active_weight_count),
            sum(default.tiles(linear.n_in, linear.n_out) for linear in each.linears),
            each.tokens,
        ]
        for each in models
    ]
    titles = ("name", "family", "linears", "weights", "a token", "arrays", "tokens")
    print_sheet(Sheet([Column(title) for title in titles], rows), text_columns=2)
    indented(f"a token: weights that one fires; arrays: dense, in tiles, on {default.name}")
    heading("Hardware specs (--hw)")
    labelled([(spec.name, f"{describe_arrays(spec)}; {describe_converters(spec)}") for spec in hardware])
    heading("Converter models (--converter)")
    labelled([(OWN_TABLE, "the spec's own"), *((name, each.origin) for name, each in CONVERTER_MODELS.items())])
    heading("Strategies (--strategy)")
    labelled(list(STRATEGY_LINES.items()))
    heading("Objectives (--objective)")
    indented(f"{', '.join(OBJECTIVES)}; or weighted sums of multiples of their bounds, such as {EXAMPLE}")


def print_drawn(written: Sequence[Path], notes: Sequence[str]) -> None:
    """The files with their sizes, many in one folder as their number; then what they leave out."""
    line("written:")
    folders: dict[Path, list[Path]] = {}
    for path in written:
        folders.setdefault(path.parent, []).append(path)
    for folder, files in folders.items():
        if len(files) > FILES_SHOWN:
            verbatim(f"{folder}/: {len(files)} files ({size_in_words(sum(map(_size, files)))})")
            continue
        for path in files:
            verbatim(f"{path} ({size_in_words(_size(path))})")
    for note in notes:
        indented(note)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def size_in_words(count: int) -> str:
    """A number of bytes: 1.23 MB."""
    return f"{number(count / 1e6)} MB" if count >= 1e6 else f"{number(round(count / 1e3))} kB"
