"""The report of `cimsolve pareto`: the points of the front, what of them is proved, and where the rules stand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.text import Text

from cimsolve.problem.solution import Header
from cimsolve.show.as_json import picked
from cimsolve.show.figures import ARRAYS, ENERGY, INTERVAL, LATENCY, PREFILL
from cimsolve.show.text.check import describe_verdict, print_violations, verdict
from cimsolve.show.text.console import Cell, bad, heading, indented, print_json, same_again, verbatim
from cimsolve.show.text.question import print_not_modelled, question_fields
from cimsolve.show.text.sheet import DOCUMENTS, Column, Sheet, join, print_csv, print_document, print_sheet
from cimsolve.show.units import choose_unit, in_unit, millions, number, share
from cimsolve.solve.front import FRONT_METRICS
from cimsolve.solve.names import DENSE, DENSE_RULE
from cimsolve.study.ask import Asked
from cimsolve.study.front import FrontFound, FrontRow, RuleRow

COMPARED = (ARRAYS, LATENCY, PREFILL, INTERVAL, ENERGY)
FRONT_FORMAT = "cimsolve-front/1"
PROVED = "*"
CUT_NAME = re.compile(
    r"columns cut for ([a-z ]+), spread over \d+ arrays by ([a-z]+), ([a-z ]+) shelves((?:, [a-z ]+)?)"
)
"""How candidates that cut columns are called; other names are short enough."""
FILES_SHOWN = 4


@dataclass(frozen=True)
class Standing:
    """How a mapping stands to the front, by labels of points.

    It is a point itself, or one is no worse in any figure and better in one, or one is so `but_for` a single figure,
    in which it is worse by `excess`, a share.
    """

    is_point: str | None = None
    beaten_by: str | None = None
    but_for: str | None = None
    excess: float = 0.0


def stand(header: Header, points: Sequence[FrontRow]) -> Standing:
    """The first point that beats a mapping, or else the one that comes nearest to it."""
    mine = _key(header)
    itself = next((row.label for row in points if _key(row.header) == mine), None)
    nearest = Standing(is_point=itself)
    for row in points:
        worse = [
            (figure.total(row.header) / figure.total(header) - 1, figure.head)
            for figure, theirs, own in zip(COMPARED, _key(row.header), mine, strict=True)
            if theirs > own
        ]
        if not worse and row.label != itself:
            return Standing(beaten_by=row.label)
        if len(worse) == 1 and (nearest.beaten_by is None or worse[0][0] < nearest.excess):
            nearest = Standing(itself, row.label, worse[0][1], worse[0][0])
    return nearest


def print_front(asked: Asked, found: FrontFound, plot: str | None, form: str, verbosity: int, exit_code: int) -> None:
    """The end of a run in the form asked for; with `verbosity` below 0 the tables and nothing else.

    `plot` is the file in which it is drawn.
    """
    if form == "json":
        print_json(_describe_front(asked, found, plot, exit_code))
    elif form == "csv":
        print_csv(_full_sheet(found))
    elif form in DOCUMENTS:
        parts = {_title(asked): _points_sheet(found, named=True)}
        rules = {"The rules beside it": _rules_sheet(found)} if found.rules else {}
        print_document(form, parts | rules, asked.command)
    else:
        _print_tables(asked, found, verbosity)
        if verbosity >= 0:
            print_not_modelled(asked.problem)
            _print_files(asked, found, plot)


def _title(asked: Asked) -> str:
    return f"Front: one token, prefill of {asked.problem.model.tokens_told}, II (1/II = throughput)"


def _print_tables(asked: Asked, found: FrontFound, verbosity: int) -> None:
    heading(_title(asked), first=verbosity < 0)
    print_sheet(_points_sheet(found, named=verbosity > 0), words_last=verbosity > 0)
    indented(
        f"{PROVED} proved: no mapping on as many arrays has less; beside arrays: none has fewer. The rest is the "
        "least found that no other point beats in all five figures."
    )
    if verbosity > 0:
        heading("Gaps above the bounds of mappings on as many arrays")
        print_sheet(_gaps_sheet(found))
        indented(
            "found by: what columns were cut for (balanced: latency first, then prefill), dealt to whole arrays or to "
            "shelves, and the layout of the shelves; or the rule; exchanged: with activations in each other's places."
        )
    for row in found.points:
        print_violations(row.check, f"point {row.label}")
    if found.stopped_by == "time limit" and asked.time_limit_s is not None:
        indented(
            f"caution: --time-limit stopped the search after {number(asked.time_limit_s)} s; "
            "points are missing, and two runs may differ"
        )
    if found.rules:
        heading("The rules beside it")
        print_sheet(_rules_sheet(found), words_last=True, tight=True)
        indented(
            "beaten: by the first point that is no worse in any of the five figures; where there is none, by the "
            "nearest that is worse in one of them, which is named."
        )
        weights = asked.problem.model.weight_count
        if weights != asked.problem.workload.weight_count:
            indented(f"{DENSE_RULE} and {DENSE} store and multiply the dense matrices, {millions(weights)} weights.")
    for rule in found.rules:
        if rule.reason:
            indented(f"{rule.strategy}: infeasible: {rule.reason.removeprefix(f'{rule.strategy}: ')}")
        if rule.check is not None:
            print_violations(rule.check, rule.strategy)


def found_by(name: str) -> str:
    """The name of a candidate in few words: the array count has a column of its own."""
    found = CUT_NAME.fullmatch(name)
    if found is None:
        return name
    goal, over, layout, exchanged = found.groups()
    return f"{goal.replace('balanced latency', 'balanced')}, {over}, {layout}{exchanged}"


def _points_sheet(found: FrontFound, named: bool) -> Sheet:
    """A row a point; `named`: with what found it."""
    figures = _figures([row.header for row in found.points], mark=True)
    points = Sheet([Column("", "point")], [[row.label] for row in found.points])
    more = [[verdict(row.check), found_by(row.found_by)] for row in found.points]
    checks = Sheet([Column("check"), Column("found by")], more)
    if not named:
        checks = Sheet(checks.columns[:1], [row[:1] for row in more])
    return join(points, figures, checks)


def _gaps_sheet(found: FrontFound) -> Sheet:
    """How far each point lies above its bounds, a row a point."""
    columns = [Column("", "point"), *(Column(figure.head, f"gap_{figure.key}", "gap") for figure in COMPARED)]
    return Sheet(columns, [[row.label, *(figure.gap(row.header) for figure in COMPARED)] for row in found.points])


def _rules_sheet(found: FrontFound) -> Sheet:
    """A row a rule, those without an answer too."""
    figures = _figures([row.header for row in found.rules], mark=False)
    names = Sheet([Column("rule", "rule")], [[row.strategy] for row in found.rules])
    more: list[list[Any]] = [
        [verdict(row.check), _in_words(stand(row.header, found.points))]
        if row.header is not None and row.check is not None
        else [None, bad("infeasible")]
        for row in found.rules
    ]
    return join(names, figures, Sheet([Column("check"), Column("beaten")], more))


def _full_sheet(found: FrontFound) -> Sheet:
    """A row a point and a rule, for programs."""
    columns = [
        *(Column(key, key) for key in ("mapping", "state", "on_front")),
        *(Column(figure.head, figure.key, figure.kind) for figure in COMPARED),
        *(Column(figure.head, f"gap_{figure.key}", "gap") for figure in COMPARED),
        *(Column(key, key) for key in ("passed", "found_by", "beaten_by", "reason")),
    ]
    answers = [(row.label, row.header, row.check, row.found_by, "") for row in found.points]
    rules = [(row.strategy, row.header, row.check, row.strategy, row.reason) for row in found.rules]
    rows: list[list[Any]] = []
    for name, header, check, by, reason in [*answers, *rules]:
        if header is None or check is None:
            rows.append([name, "infeasible", None, *[None] * (2 * len(COMPARED)), None, by, None, reason])
            continue
        where = stand(header, found.points)
        figures = [header.metrics["arrays"], *(figure.total(header) for figure in COMPARED[1:])]
        gaps = [figure.gap(header) for figure in COMPARED]
        mark, beaten = "*" if where.is_point else None, None if where.but_for else where.beaten_by
        rows.append([name, "solved", mark, *figures, *gaps, str(check.passed).lower(), by, beaten, None])
    return Sheet(columns, rows)


def _in_words(standing: Standing) -> str:
    if standing.is_point:
        return f"is {standing.is_point}"
    if standing.beaten_by is None:
        return "by none"
    but = f", but {standing.but_for} +{share(standing.excess)}" if standing.but_for else ""
    return f"by {standing.beaten_by}{but}"


def _figures(headers: Sequence[Header | None], mark: bool) -> Sheet:
    """The compared figures in the unit that fits all rows, as text.

    With `mark` a place more in each, for a mark where value and bound meet, so that digits line up.
    """
    columns: list[Column] = []
    cells: list[list[Cell | None]] = []
    for figure in COMPARED:
        unit = choose_unit(figure.kind, [figure.total(header) for header in headers if header is not None])
        columns.append(Column(figure.head, figure.key, figure.kind, unit))
        column: list[Cell | None] = [
            None if header is None else in_unit(figure.total(header), unit) for header in headers
        ]
        if mark:  # Rich would strip blanks at the end of what it sets to the right
            width = max([len(figure.head) - 1, *(len(value or "") for value in column)])
            marks = [PROVED if header and figure.gap(header) == 0 else " " for header in headers]
            column = [
                Text(f"{value:>{width}}{mark}", justify="left") for value, mark in zip(column, marks, strict=True)
            ]
        cells.append(column)
    return Sheet(columns, list(zip(*cells, strict=True)))


def _print_files(asked: Asked, found: FrontFound, plot: str | None) -> None:
    heading("Written")
    paths = [str(path) for row in found.points for path in row.files]
    left_out = len(paths) - FILES_SHOWN
    for path in paths if left_out <= 1 else [*paths[: FILES_SHOWN - 1], f"... {left_out} more ...", paths[-1]]:
        verbatim(path)
    for row in found.points:
        if not row.files:
            indented(bad(f"point {row.label}: not written, as it fails its check"))
    if plot is not None:
        indented(f"drawn: {plot}")
    same_again(asked.command)


def _key(header: Header) -> tuple[float, ...]:
    return tuple(header.metrics[name] for name in FRONT_METRICS)


def _describe_front(asked: Asked, found: FrontFound, plot: str | None, exit_code: int) -> dict[str, Any]:
    """The question, every point of the front, and how each rule stands to them."""
    points = [
        {
            "point": row.label,
            **picked(row, "found_by", "files"),
            **picked(row.header, "metrics", "bounds"),
            "proved": [name for name, entry in row.header.bounds.items() if entry.gap == 0],
            "check": describe_verdict(row.check),
        }
        for row in found.points
    ]
    return {
        "format": FRONT_FORMAT,
        "question": question_fields(asked),
        "points": points,
        "rules": {row.strategy: _describe(row, found) for row in found.rules},
        "runtime_s": found.search_s,
        "stopped_by": found.stopped_by,
        "plot": plot,
        "command": asked.command,
        "exit_code": exit_code,
    }


def _describe(row: RuleRow, found: FrontFound) -> dict[str, Any]:
    if row.header is None or row.check is None:
        return {"state": "infeasible", "reason": row.reason}
    metrics, check = row.header.metrics, describe_verdict(row.check)
    return {"state": "solved", "metrics": metrics, "check": check, **vars(stand(row.header, found.points))}
