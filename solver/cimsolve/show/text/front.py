"""The report of `cimsolve pareto`: the points of the front, what of them is proved, and where the rules stand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from cimsolve.judge.check import CheckReport
from cimsolve.problem.solution import Header
from cimsolve.show.figures import ARRAYS, ENERGY, INTERVAL, LATENCY, PREFILL, Figure
from cimsolve.show.text.console import Cell, bad, good, heading, indented, results, table, verbatim
from cimsolve.show.text.question import print_not_modelled
from cimsolve.show.units import Unit, choose_unit, in_unit, millions, number, plural, share
from cimsolve.solve.front import FRONT_METRICS
from cimsolve.study.ask import Asked
from cimsolve.study.front import FrontFound, FrontRow

COMPARED = ((ARRAYS, "arrays"), (LATENCY, "token"), (PREFILL, "prefill"), (INTERVAL, "II"), (ENERGY, "energy"))
PROVED = "*"
CUT_NAME = re.compile(r"columns cut for ([a-z ]+), spread over \d+ arrays by ([a-z]+), ([a-z ]+) shelves")
"""How candidates that cut columns are called; other names are short enough."""
VIOLATIONS_SHOWN = 3
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
            (figure.total(row.header) / figure.total(header) - 1, title)
            for (figure, title), theirs, own in zip(COMPARED, _key(row.header), mine, strict=True)
            if theirs > own
        ]
        if not worse and row.label != itself:
            return Standing(beaten_by=row.label)
        if len(worse) == 1 and (nearest.beaten_by is None or worse[0][0] < nearest.excess):
            nearest = Standing(itself, row.label, worse[0][1], worse[0][0])
    return nearest


def print_front(asked: Asked, found: FrontFound, verbosity: int) -> None:
    """The end of a run; with `verbosity` below 0 the tables and nothing else."""
    console = results()
    tokens = asked.problem.model.tokens
    heading(console, f"Front: one token, prefill of {tokens} tokens, II (1/II = throughput)", first=verbosity < 0)
    console.print(_points_table(found.points))
    indented(
        console,
        f"{PROVED} proved: no mapping on as many arrays has less; beside arrays: none has fewer. The rest is the "
        "least found that no other point beats in all five figures.",
    )
    indented(
        console,
        "found by: what columns were cut for (balanced: latency first, then prefill), dealt to whole arrays or to "
        "shelves, and the layout of the shelves; or the rule.",
    )
    for row in found.points:
        _print_violations(console, f"point {row.label}", row.check)
    if found.time_limit_s is not None:
        indented(
            console,
            f"caution: --time-limit stopped the search after {number(found.time_limit_s)} s; "
            "points are missing, and two runs may differ",
        )
    if found.rules:
        heading(console, "The rules beside it")
        console.print(_rules_table(found))
        indented(
            console,
            "beaten: by the first point that is no worse in any of the five figures; where there is none, by the "
            "nearest that is worse in one of them, which is named.",
        )
        weights = asked.problem.model.weight_count
        if weights != asked.problem.workload.weight_count:
            indented(console, f"linear stores and multiplies the dense matrices, {millions(weights)} weights.")
    for rule in found.rules:
        if rule.reason:
            indented(console, f"{rule.strategy}: infeasible: {rule.reason.removeprefix(f'{rule.strategy}: ')}")
        if rule.check is not None:
            _print_violations(console, rule.strategy, rule.check)
    if verbosity < 0:
        return
    print_not_modelled(console, asked.problem)
    _print_files(console, asked, found)


def found_by(name: str) -> str:
    """The name of a candidate in few words: the array count has a column of its own."""
    found = CUT_NAME.fullmatch(name)
    if found is None:
        return name
    goal, over, layout = found.groups()
    return f"{goal.replace('balanced latency', 'balanced')}, {over}, {layout}"


def _points_table(points: Sequence[FrontRow]) -> Table:
    headers = [row.header for row in points]
    columns, cells = _figures(headers, mark=True)
    rows: list[list[Cell]] = [
        [row.label, *values, _verdict(row.check), found_by(row.found_by)]
        for row, values in zip(points, cells, strict=True)
    ]
    return table(["", *columns, "check", "found by"], rows, words_last=True)


def _rules_table(found: FrontFound) -> Table:
    solved = [(row, row.header, row.check) for row in found.rules if row.header is not None and row.check is not None]
    columns, cells = _figures([header for _, header, _ in solved], mark=False)
    by_rule: dict[str, list[Cell]] = {}
    for (row, header, check), values in zip(solved, cells, strict=True):
        text = _describe(stand(header, found.points), found.points)
        by_rule[row.strategy] = [row.strategy, *values, _verdict(check), text]
    rows = [
        by_rule.get(row.strategy, [row.strategy, *["-"] * (len(columns) + 1), bad("infeasible")]) for row in found.rules
    ]
    return table(["rule", *columns, "check", "beaten"], rows, words_last=True)


def _describe(standing: Standing, points: Sequence[FrontRow]) -> str:
    texts = [f"is point {standing.is_point}"] if standing.is_point else []
    if standing.beaten_by:
        arrays = next(int(ARRAYS.total(row.header)) for row in points if row.label == standing.beaten_by)
        where = f"by {standing.beaten_by} on {plural(arrays, 'array')}"
        texts.append(f"{where} but for {standing.but_for}, +{share(standing.excess)}" if standing.but_for else where)
    return "; ".join(texts) or "by none"


def _figures(headers: Sequence[Header], mark: bool) -> tuple[list[str], list[list[Cell]]]:
    """Titles of the compared figures with the unit that fits all rows, and their cells, row by row."""
    columns: list[str] = []
    cells: list[list[Cell]] = []
    for figure, title in COMPARED:
        unit = choose_unit(figure.kind, [figure.total(header) for header in headers])
        columns.append(f"{title}\n{unit.name}".rstrip())
        cells.append(_column(figure, unit, headers, max(map(len, columns[-1].split("\n"))), mark))
    return columns, [list(row) for row in zip(*cells, strict=True)]


def _column(figure: Figure, unit: Unit, headers: Sequence[Header], width: int, mark: bool) -> list[Cell]:
    """The values; with `mark` one place more, for a mark where value and bound meet, so that digits line up."""
    values = [in_unit(figure.total(header), unit) for header in headers]
    if not mark:
        return list(values)
    width = max([width - 1, *map(len, values)])
    # Rich would strip blanks at the end of what it sets to the right.
    return [
        Text(f"{value:>{width}}{PROVED if figure.gap(header) == 0 else ' '}", justify="left")
        for value, header in zip(values, headers, strict=True)
    ]


def _verdict(check: CheckReport) -> Text:
    return good("ok") if check.passed else bad("FAILED")


def _print_violations(console: Console, what: str, check: CheckReport) -> None:
    for violation in check.violations[:VIOLATIONS_SHOWN]:
        indented(console, bad(f"{what} breaks {violation}"))


def _print_files(console: Console, asked: Asked, found: FrontFound) -> None:
    heading(console, "Written")
    paths = [str(path) for row in found.points for path in row.files]
    left_out = len(paths) - FILES_SHOWN
    for path in paths if left_out <= 1 else [*paths[: FILES_SHOWN - 1], f"... {left_out} more ...", paths[-1]]:
        verbatim(console, path)
    for row in found.points:
        if not row.files:
            indented(console, bad(f"point {row.label}: not written, as it fails its check"))
    heading(console, "The same again")
    verbatim(console, asked.command)


def _key(header: Header) -> tuple[float, ...]:
    return tuple(header.metrics[name] for name in FRONT_METRICS)
