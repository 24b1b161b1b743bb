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
from cimsolve.show.text.console import Cell, bad, heading, indented, print_table, same_again, verbatim
from cimsolve.show.text.question import print_not_modelled, question_fields
from cimsolve.show.units import choose_unit, in_unit, millions, number, plural, share
from cimsolve.solve.front import FRONT_METRICS
from cimsolve.study.ask import Asked
from cimsolve.study.front import FrontFound, FrontRow, RuleRow

COMPARED = (ARRAYS, LATENCY, PREFILL, INTERVAL, ENERGY)
FRONT_FORMAT = "cimsolve-front/1"
PROVED = "*"
CUT_NAME = re.compile(r"columns cut for ([a-z ]+), spread over \d+ arrays by ([a-z]+), ([a-z ]+) shelves")
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


def print_front(asked: Asked, found: FrontFound, verbosity: int) -> None:
    """The end of a run; with `verbosity` below 0 the tables and nothing else."""
    tokens = asked.problem.model.tokens
    heading(f"Front: one token, prefill of {tokens} tokens, II (1/II = throughput)", first=verbosity < 0)
    columns, cells = _figures([row.header for row in found.points], mark=True)
    points = [
        [row.label, *values, verdict(row.check), found_by(row.found_by)]
        for row, values in zip(found.points, cells, strict=True)
    ]
    print_table(["", *columns, "check", "found by"], points, words_last=True)
    indented(
        f"{PROVED} proved: no mapping on as many arrays has less; beside arrays: none has fewer. The rest is the "
        "least found that no other point beats in all five figures."
    )
    indented(
        "found by: what columns were cut for (balanced: latency first, then prefill), dealt to whole arrays or to "
        "shelves, and the layout of the shelves; or the rule."
    )
    for row in found.points:
        print_violations(row.check, f"point {row.label}")
    if found.time_limit_s is not None:
        indented(
            f"caution: --time-limit stopped the search after {number(found.time_limit_s)} s; "
            "points are missing, and two runs may differ"
        )
    if found.rules:
        heading("The rules beside it")
        _print_rules(found)
        indented(
            "beaten: by the first point that is no worse in any of the five figures; where there is none, by the "
            "nearest that is worse in one of them, which is named."
        )
        weights = asked.problem.model.weight_count
        if weights != asked.problem.workload.weight_count:
            indented(f"linear stores and multiplies the dense matrices, {millions(weights)} weights.")
    for rule in found.rules:
        if rule.reason:
            indented(f"{rule.strategy}: infeasible: {rule.reason.removeprefix(f'{rule.strategy}: ')}")
        if rule.check is not None:
            print_violations(rule.check, rule.strategy)
    if verbosity < 0:
        return
    print_not_modelled(asked.problem)
    _print_files(asked, found)


def found_by(name: str) -> str:
    """The name of a candidate in few words: the array count has a column of its own."""
    found = CUT_NAME.fullmatch(name)
    if found is None:
        return name
    goal, over, layout = found.groups()
    return f"{goal.replace('balanced latency', 'balanced')}, {over}, {layout}"


def _print_rules(found: FrontFound) -> None:
    solved = [(row, row.header, row.check) for row in found.rules if row.header is not None and row.check is not None]
    columns, cells = _figures([header for _, header, _ in solved], mark=False)
    rows: dict[str, list[Cell]] = {
        row.strategy: [row.strategy, *["-"] * (len(columns) + 1), bad("infeasible")] for row in found.rules
    }
    for (row, header, check), values in zip(solved, cells, strict=True):
        text = _in_words(stand(header, found.points), found.points)
        rows[row.strategy] = [row.strategy, *values, verdict(check), text]
    print_table(["rule", *columns, "check", "beaten"], list(rows.values()), words_last=True)


def _in_words(standing: Standing, points: Sequence[FrontRow]) -> str:
    texts = [f"is point {standing.is_point}"] if standing.is_point else []
    if standing.beaten_by:
        arrays = next(int(ARRAYS.total(row.header)) for row in points if row.label == standing.beaten_by)
        where = f"by {standing.beaten_by} on {plural(arrays, 'array')}"
        texts.append(f"{where} but for {standing.but_for}, +{share(standing.excess)}" if standing.but_for else where)
    return "; ".join(texts) or "by none"


def _figures(headers: Sequence[Header], mark: bool) -> tuple[list[str], list[list[Cell]]]:
    """Titles of the compared figures with the unit that fits all rows, and their cells, row by row.

    With `mark` a place more in each, for a mark where value and bound meet, so that digits line up.
    """
    columns: list[str] = []
    cells: list[list[Cell]] = []
    for figure in COMPARED:
        unit = choose_unit(figure.kind, [figure.total(header) for header in headers])
        columns.append(f"{figure.head}\n{unit.name}".rstrip())
        column: list[Cell] = [in_unit(figure.total(header), unit) for header in headers]
        if mark:  # Rich would strip blanks at the end of what it sets to the right
            width = max([max(map(len, columns[-1].split("\n"))) - 1, *map(len, column)])
            marks = [PROVED if figure.gap(header) == 0 else " " for header in headers]
            column = [
                Text(f"{value:>{width}}{mark}", justify="left") for value, mark in zip(column, marks, strict=True)
            ]
        cells.append(column)
    return columns, [list(row) for row in zip(*cells, strict=True)]


def _print_files(asked: Asked, found: FrontFound) -> None:
    heading("Written")
    paths = [str(path) for row in found.points for path in row.files]
    left_out = len(paths) - FILES_SHOWN
    for path in paths if left_out <= 1 else [*paths[: FILES_SHOWN - 1], f"... {left_out} more ...", paths[-1]]:
        verbatim(path)
    for row in found.points:
        if not row.files:
            indented(bad(f"point {row.label}: not written, as it fails its check"))
    same_again(asked.command)


def _key(header: Header) -> tuple[float, ...]:
    return tuple(header.metrics[name] for name in FRONT_METRICS)


def describe_front(asked: Asked, found: FrontFound, exit_code: int) -> dict[str, Any]:
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
        "stopped_by_time_limit": found.time_limit_s is not None,
        "command": asked.command,
        "exit_code": exit_code,
    }


def _describe(row: RuleRow, found: FrontFound) -> dict[str, Any]:
    if row.header is None or row.check is None:
        return {"state": "infeasible", "reason": row.reason}
    metrics, check = row.header.metrics, describe_verdict(row.check)
    return {"state": "solved", "metrics": metrics, "check": check, **vars(stand(row.header, found.points))}
