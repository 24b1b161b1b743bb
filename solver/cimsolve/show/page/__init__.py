"""Solutions as people look at them: a page, charts as files, a trace. Only what passed the checker is drawn.

Needs matplotlib and Jinja2, which `pip install 'cimsolve[plot]'` brings; a trace needs neither.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from cimsolve.errors import InputError
from cimsolve.files.json_file import write_json_atomically, write_text_atomically
from cimsolve.problem.plan import AnyPlan, Plan, read_answer
from cimsolve.problem.solution import Solution
from cimsolve.show.names import FIGURE_FORMATS
from cimsolve.show.seen.judged import Judged, judge
from cimsolve.show.seen.runs import JudgedPlan, judge_plan

EVENTS_MAX = 100_000
"""Most events of a trace; they take about 20 MB."""

Given = Solution | Judged | AnyPlan | JudgedPlan | Path | str


def write_report(solutions: Sequence[Given] | Given, path: Path | str, losses: Path | str | None = None) -> None:
    """Write one HTML page that shows these solutions, and compares them if there are several; or answers in runs.

    `losses` is a file of structures, by whose losses the page tells what is kept and what one more array buys.
    Raises CheckError where one fails its check, InputError where one or the page cannot be read or written.
    """
    demand_plotting()
    from cimsolve.show.page.html import render_page, render_plans

    judged, plans = _apart(judged_ones(solutions))
    if plans and losses is not None:
        raise InputError(f"--losses {losses}: tells of solutions, not of answers in runs; leave it away")
    write_text_atomically(path, [render_plans(plans) if plans else render_page(judged, losses=losses)])


def write_figures(
    solutions: Sequence[Given] | Given,
    folder: Path | str,
    formats: Sequence[str] = ("svg", "png"),
    width_in: float | None = None,
    dpi: int | None = None,
) -> list[Path]:
    """Write every chart of these solutions into a folder, `<solution>--<chart>.<format>`; returns the files.

    Each is `width_in` inches wide with its letters as large as ever, and has `dpi` dots an inch, where these are given.
    Raises as `write_report`, and InputError for a format that is none of `FIGURE_FORMATS`.
    """
    demand_plotting()
    from cimsolve.show.page.gallery import draw_files

    for name in formats:
        if name not in FIGURE_FORMATS:
            raise InputError(f"format {name!r}: there is none of that name; known: {', '.join(FIGURE_FORMATS)}")
    return draw_files(*_apart(judged_ones(solutions)), Path(folder), formats, width_in, dpi)


def write_trace(solutions: Sequence[Given] | Given, path: Path | str, events_max: int = EVENTS_MAX) -> list[str]:
    """Write the schedules as a trace that Perfetto and Chrome's `about:tracing` read.

    Returns a line for each solution of which only a part fits into `events_max` events. Raises as `write_report`.
    """
    from cimsolve.show.page.trace import describe_trace, describe_trace_of_plans

    judged, plans = _apart(judged_ones(solutions))
    trace, notes = (describe_trace_of_plans(plans), []) if plans else describe_trace(judged, events_max)
    write_json_atomically(path, trace)
    return notes


def judged_ones(solutions: Sequence[Given] | Given) -> list[Judged | JudgedPlan]:
    """The solutions, or the answers in runs, read where files are given, and judged.

    Raises InputError, also where there are some of both, and CheckError, in one line with the name of the solution.
    """
    given = solutions if isinstance(solutions, Sequence) and not isinstance(solutions, str) else [solutions]
    if not given:
        raise InputError("report: there is no solution to show; give one file or more")
    found = [_judged(each) for each in given]
    judged, plans = _apart(found)
    if judged and plans:
        raise InputError(
            f"{plans[0].name}: is an answer in runs, and {judged[0].name} a solution; expected a report of either"
        )
    return found


def _apart(found: Sequence[Judged | JudgedPlan]) -> tuple[list[Judged], list[JudgedPlan]]:
    judged = [each for each in found if isinstance(each, Judged)]
    return judged, [each for each in found if isinstance(each, JudgedPlan)]


def demand_plotting() -> None:
    """Raise InputError where the libraries that draw are not installed."""
    missing = [name for name in ("matplotlib", "jinja2") if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"drawing needs {' and '.join(missing)}; install it by: pip install 'cimsolve[plot]'")


def _judged(given: Given) -> Judged | JudgedPlan:
    if isinstance(given, Judged | JudgedPlan):
        return given
    if isinstance(given, Solution):
        return judge(given, given.header.strategy)
    if isinstance(given, Plan):
        return judge_plan(given, given.header.strategy)
    read = read_answer(Path(given))
    return judge(read, str(given)) if isinstance(read, Solution) else judge_plan(read, str(given))
