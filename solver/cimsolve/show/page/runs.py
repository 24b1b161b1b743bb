"""The page and the charts of answers in runs: which run is written and computes when, and how near to its bounds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Patch

from cimsolve.problem.plan import RoundsHeader
from cimsolve.show.page.canvas import Chart, dress, legend_below, letters_in, new_figure, shortened, write_chart
from cimsolve.show.page.charts import WIDTH, draw_bounds
from cimsolve.show.page.palette import Colours
from cimsolve.show.seen.comparison import amount, symbol
from cimsolve.show.seen.runs import JudgedPlan, OverTime, Role, first_steps, over_time
from cimsolve.show.units import choose_unit, number

ROLES: dict[Role, tuple[str, str]] = {
    "write": ("beside", "weights are written"),
    "wait": ("wait", "written, waits for the run before"),
    "compute": ("arrays", "computes"),
    "link": ("moves", "on the link to the next chip"),
}
"""Role -> colour, and what it is in words."""
ROW = 0.2


def plan_charts(judged: JudgedPlan) -> list[Chart]:
    """The charts of an answer: its figures beside their bounds, then its runs over time."""
    rows = judged.bounds
    most = max(rows, key=lambda row: row.gap)
    says = f"furthest above its bound: {most.title}, by {most.gap_text}" if most.gap else "all are proved least"
    charts = [Chart("bounds", "How far from what no answer can beat", says, partial(draw_bounds, rows))]
    what = "run" if isinstance(judged.plan.header, RoundsHeader) else "chip"
    for each in over_time(judged):
        tips = {f"line-{line}": tip for line, tip in enumerate(each.tips)}
        title = f"Which {what} does what when: {each.of}"
        charts.append(Chart(f"runs-{each.name}", title, each.says, partial(draw_over_time, each), tips))
    return charts


def draw_over_time(table: OverTime, colours: Colours, width: float | None = None) -> Figure:
    """A line a run, or some: bars of what it does from the begin of the first to the end of the last."""
    width = width or WIDTH
    figure = new_figure(width, 1.1 + ROW * max(4, len(table.labels)))
    axes = figure.subplots()
    dress(axes, colours)
    unit = choose_unit("time", [table.end_ns])
    roles = [role for role in ROLES if any(spell.role == role for spell in table.spells)]
    for line in range(len(table.labels)):
        for role in roles:
            bars = [
                (spell.begin_ns / unit.size, (spell.end_ns - spell.begin_ns) / unit.size)
                for spell in table.spells
                if spell.run // table.runs_a_line == line and spell.role == role
            ]
            if bars:
                drawn = axes.broken_barh(bars, (line - 0.36, 0.72), facecolors=colours[ROLES[role][0]], linewidth=0)
                drawn.set_gid(f"line-{line}")
    most = min(28, letters_in(0.3 * width))
    axes.set_yticks(range(len(table.labels)), [shortened(label, most) for label in table.labels])
    axes.set_ylim(len(table.labels) - 0.4, -0.6)
    axes.set_xlim(0, table.end_ns / unit.size)
    axes.set_xlabel(f"time of {table.of}, {symbol(unit.name)}" if width >= WIDTH else symbol(unit.name))
    handles = [Patch(color=colours[ROLES[role][0]], label=ROLES[role][1]) for role in roles]
    legend_below(figure, handles, len(handles), colours, fontsize=8.5, handlelength=1.4)
    return figure


def describe_plan(judged: JudgedPlan) -> dict[str, Any]:
    """One answer for the page's template: figures in words, bounds, and a line a run; its charts apart."""
    header, metrics = judged.plan.header, judged.plan.header.metrics
    in_rounds = isinstance(header, RoundsHeader)
    stream = f"in batches of {header.batch}" if isinstance(header, RoundsHeader) else "of many sequences"
    rate = metrics["batch_tokens_per_s" if in_rounds else "throughput_tokens_per_s"]
    energy = metrics["batch_energy_pj" if in_rounds else "energy_pj"]
    used = "runs on one chip" if in_rounds else f"chips of at most {getattr(header, 'chips', '')}"
    return {
        "label": f"{header.strategy}: {header.model_name} on {header.hw.get('name')}",
        "name": judged.name,
        "key_figures": [
            ("runs" if in_rounds else "chips", str(len(judged.plan.runs)), used),
            ("a token takes", amount(float(metrics["latency_ns"]), "time"), "alone"),
            ("a prefill", amount(float(metrics["prefill_ns"]), "time"), f"of {judged.problem.model.tokens_told}"),
            ("tokens a second", number(float(rate)), stream),
            ("a token costs", amount(float(energy), "energy"), stream),
        ],
        "bounds": judged.bounds,
        "columns": ["run" if in_rounds else "chip", "from", "steps", "arrays", "a token", "a prefill"]
        + (["written in"] if in_rounds else []),
        "runs": [_row(judged, run, first) for run, first in enumerate(first_steps(judged.problem, judged.plan))],
    }


def _row(judged: JudgedPlan, run: int, first: str) -> list[str]:
    entry, metrics = judged.plan.header.runs[run], judged.plan.runs[run].header.metrics
    times = [amount(float(metrics[name]), "time") for name in ("latency_ns", "prefill_ns")]
    written = getattr(entry, "write_cycles", None)
    clock_ns = float(judged.plan.header.hw["clock_ns"])
    last = [] if written is None else [amount(written * clock_ns, "time")]
    return [str(run + 1), first, str(entry.end - entry.first), str(metrics["arrays"]), *times, *last]


def draw_plan_files(
    judged: Sequence[JudgedPlan],
    stems: Sequence[str],
    folder: Path,
    formats: Sequence[str],
    width: float | None,
    dpi: int | None,
) -> list[Path]:
    """Draw and write every chart of answers in runs into a folder that is there, as `write_chart` does."""
    written = []
    for each, stem in zip(judged, stems, strict=True):
        header = each.plan.header
        of = f"{header.model_name} on {header.hw.get('name')}, {header.strategy}"
        for chart in plan_charts(each):
            for kind in formats:
                path = folder / f"{stem}--{chart.name}.{kind}"
                write_chart(chart, path, of, width, dpi)
                written.append(path)
    return written
