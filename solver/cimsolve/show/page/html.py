"""The page: one HTML file that needs nothing else, not even a network."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from cimsolve import __version__
from cimsolve.problem.problem import Problem
from cimsolve.show.figures import INTERVAL
from cimsolve.show.page.canvas import Chart, inline_svg
from cimsolve.show.page.embed import describe_solution, scale_colours
from cimsolve.show.page.gallery import comparison_charts, cost_charts, floor_charts, schedule_charts
from cimsolve.show.page.palette import DARK, LIGHT, style_sheet
from cimsolve.show.page.runs import describe_plan, plan_charts
from cimsolve.show.seen.comparison import amount, bound_rows, compare, status_of, symbols_in, value_of
from cimsolve.show.seen.judged import Judged, labels_of, title_of
from cimsolve.show.seen.kinds import find_kinds
from cimsolve.show.seen.occupancy import find_arrays
from cimsolve.show.seen.questions import answers_of, by_question, describe_structure
from cimsolve.show.seen.runs import JudgedPlan
from cimsolve.show.text.answer import answer_sentences
from cimsolve.show.text.kept import kept_in_words
from cimsolve.show.text.plan import summary_of
from cimsolve.show.text.question import describe_arrays, describe_converters, describe_sources
from cimsolve.show.units import millions, share
from cimsolve.study.choose.kept import kept_in
from cimsolve.study.conclusion import Conclusion
from cimsolve.study.ladder import find_ladder

PIECES_MAX = 2_000_000
"""Pieces in one page, of all its solutions; of larger ones a part of the arrays can be opened."""


def render_page(judged: Sequence[Judged], pieces_max: int = PIECES_MAX, losses: Path | str | None = None) -> str:
    """The report of some solutions, each question's best first; by the losses of a file, also what is kept.

    All that comes from files is escaped; the script runs by its hash alone.
    """
    questions = by_question(judged)
    judged = [each for group in questions for each in group]
    labels = labels_of(judged)
    solutions = [
        _describe(each, label, number, pieces_max // len(judged), losses)
        for number, (each, label) in enumerate(zip(judged, labels, strict=True))
    ]
    columns = compare(judged)
    return _rendered(
        "report.html",
        title=title_of(judged),
        answers=[_answer(*found) for group in questions for found in answers_of(group)],
        columns=columns,
        marked=any(cell.best for column in columns for cell in column.cells),
        labels=labels,
        compared=[_chart(chart, "all") for chart in comparison_charts(judged, labels)],
        solutions=solutions,
    )


def render_plans(judged: Sequence[JudgedPlan]) -> str:
    """The report of some answers in runs, in their order, each with what else may do."""
    answers = []
    for number, each in enumerate(judged):
        ladder = find_ladder(each.problem)
        told = [
            summary_of(each.plan, each.plan.header.metrics),
            f"Beside it: {ladder.told}." if ladder is not None and ladder.told else "",
        ]
        answers.append(
            {
                **describe_plan(each),
                "sentences": [symbols_in(sentence) for sentence in told if sentence],
                "charts": [_chart(chart, str(number)) for chart in plan_charts(each)],
            }
        )
    titles = dict.fromkeys(f"{each.plan.header.model_name} on {each.plan.header.hw.get('name')}" for each in judged)
    return _rendered("plan.html", title=", ".join(titles), answers=answers)


def _rendered(page: str, **values: Any) -> str:
    """A page of the assets with its styles and its script, which runs by its hash alone; values are escaped."""
    script = _asset("report.js")
    dark = f"@media screen and (prefers-color-scheme: dark) {{\n{style_sheet(':root:not(.printing)', DARK)}\n}}"
    templates = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(_asset),
    )
    return templates.get_template(page).render(
        version=__version__,
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
        styles=Markup(f"{style_sheet(':root', LIGHT)}\n{dark}\n{_asset('report.css')}"),
        scale=_json(scale_colours()),
        **values,
    )


def _answer(problem: Problem, found: Conclusion) -> dict[str, Any]:
    """The answer to a question in words, and on what it rests."""
    return {
        "sentences": [symbols_in(sentence) for sentence in answer_sentences(problem, found)],
        "rests_on": [
            ("chip", describe_arrays(problem.hardware)),
            ("weights stored as k,l,T", describe_structure(problem)),
            ("minimised", f"{', then '.join(problem.objective)}; context of {problem.model.tokens_told}"),
            ("figures", f"{describe_sources(problem.hardware)}; cells and wires are ideal, attention is digital"),
        ],
    }


def _describe(judged: Judged, label: str, number: int, pieces_max: int, losses: Path | str | None) -> dict[str, Any]:
    kinds, table = find_kinds(judged.problem), find_arrays(judged)
    problem, header, metrics = judged.problem, judged.header, judged.costs.metrics
    used, busy = share(metrics["occupancy"]), share(metrics["array_busy_share"])
    in_arrays = amount(metrics["array_energy_pj"], "energy")
    arrays_fire = amount(metrics["array_latency_ns"], "time")
    moving = moved = ""
    if problem.hardware.interconnect is not None:
        moving = f", moves take {amount(metrics['network_latency_ns'], 'time')}"
        moved = f", {amount(metrics['network_energy_pj'], 'energy')} moves"
    allowed = "" if problem.array_limit is None else f" of {problem.array_limit}"
    stored, dense = problem.workload.weight_count, problem.model.weight_count
    return {
        "label": label,
        "name": judged.name,
        "status": status_of(judged),
        "key_figures": [
            ("arrays", f"{metrics['arrays']}{allowed}", f"{used} of their cells used, busy {busy} of the time"),
            ("a token takes", amount(metrics["latency_ns"], "time"), f"arrays fire for {arrays_fire} of it{moving}"),
            ("and costs", amount(metrics["energy_pj"], "energy"), f"{in_arrays} of it in arrays{moved}"),
            ("a new token every", amount(value_of(judged, INTERVAL), "time"), "with many sequences in flight"),
        ],
        "bounds": bound_rows(judged),
        "charts": {chart.name: _chart(chart, str(number)) for chart in cost_charts(judged, kinds)},
        "floor": [_chart(chart, str(number)) for chart in floor_charts(judged, table)],
        "schedule": [_chart(chart, str(number)) for chart in schedule_charts(judged, kinds)],
        "about": [
            ("file", judged.name),
            ("model", f"{header.model_name}: {len(problem.model.linears)} linears"),
            ("stored", f"{millions(stored)} weights, {share(stored / dense)} of dense"),
            *([] if losses is None else kept_in_words(kept_in(problem, losses))),
            ("not mapped", "; ".join(problem.model.unmapped)),
            ("hardware", f"{judged.hardware.name}: {describe_arrays(judged.hardware)}"),
            ("converters", describe_converters(judged.hardware)),
            ("figures", describe_sources(judged.hardware)),
            ("objective", f"{', then '.join(header.objective)}; may cut {problem.cut}; seed {header.seed}"),
            ("made by", ", ".join(f"{name} {version}" for name, version in header.versions.items())),
        ],
        "data": _json(describe_solution(judged, kinds, table, label, pieces_max)),
    }


def _chart(chart: Chart, salt: str) -> dict[str, Any]:
    says = f"{chart.says[:1].upper()}{chart.says[1:]}."
    return {"title": chart.title, "says": says, "svg": Markup(inline_svg(chart, salt))}


def _asset(name: str) -> str:
    return (resources.files("cimsolve.show.page") / "assets" / name).read_text(encoding="utf-8")


def _json(value: object) -> Markup:
    """JSON that may stand in a script element: it can neither end it nor begin a comment."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&'":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
