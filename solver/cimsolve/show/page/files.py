"""All charts of some solutions as files in a folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from cimsolve.errors import InputError
from cimsolve.show.page.canvas import Chart, write_chart
from cimsolve.show.page.gallery import array_charts, comparison_charts, cost_charts, schedule_charts
from cimsolve.show.seen.judged import Judged, labels_of, title_of
from cimsolve.show.seen.kinds import find_kinds
from cimsolve.show.seen.occupancy import find_arrays


def draw_files(judged: Sequence[Judged], folder: Path, formats: Sequence[str]) -> list[Path]:
    """Draw and write every chart. Raises InputError where the folder cannot be made or written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--figures {folder}: cannot be made a folder ({error.strerror}); choose another") from None
    labels = labels_of(judged)
    written: list[Path] = []

    def write(charts: Sequence[Chart], stem: str, of: str) -> None:
        for chart in charts:
            for kind in formats:
                path = folder / f"{stem}{chart.name}.{kind}"
                write_chart(chart, path, of)
                written.append(path)

    write(comparison_charts(judged, labels), "", title_of(judged))
    for each, stem in zip(judged, stems_of(judged), strict=True):
        kinds = find_kinds(each.problem)
        charts = [*cost_charts(each, kinds), *schedule_charts(each, kinds)]
        write(
            [*charts, *array_charts(each, kinds, find_arrays(each))],
            f"{stem}--",
            f"{title_of([each])}, {each.header.strategy}",
        )
    return written


def stems_of(judged: Sequence[Judged]) -> list[str]:
    """How the files of each solution begin: its own name without folder and ending, numbered where two are alike."""
    names = [re.sub(r"[^A-Za-z0-9._+=,~-]", "_", Path(each.name).stem).strip(".") or "solution" for each in judged]
    return [f"{name}-{at}" if names.count(name) > 1 else name for at, name in enumerate(names, 1)]
