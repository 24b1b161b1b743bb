"""The reports of `cimsolve compare`: a grid of strategies, specs and models; two solutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cimsolve.show.figures import FIGURES
from cimsolve.show.text.console import heading, indented, labelled, print_json, print_table, same_again
from cimsolve.show.text.distance import TOTALS, distance_in_words, distance_sheet
from cimsolve.show.text.question import sums_by_kind
from cimsolve.show.text.sheet import DOCUMENTS, Column, Sheet, join, print_csv, print_document, print_sheet, said_once
from cimsolve.show.text.sweep import STATE_COLUMNS, describe_row, figure_columns, figure_values
from cimsolve.show.units import change, choose_unit, in_unit, kind_of_amount, number, plural, ratio, share, titled
from cimsolve.study.sweep.run import SolvedRow
from cimsolve.study.two import Comparison, Moves, StageTimes

COMPARE_FORMAT = "cimsolve-compare/1"
TWO_FORMAT = "cimsolve-compare-two/1"
STAGE_KEYS = ("arrays_first_ns", "arrays_second_ns", "gap_first_ns", "gap_second_ns")


@dataclass(frozen=True)
class ComparedRows:
    """Rows of models, specs and strategies, and the strategy that ratios are to."""

    rows: Sequence[SolvedRow]
    reference: str
    command: str


def print_compared(compared: ComparedRows, form: str, verbosity: int, exit_code: int) -> None:
    """In the form asked for; with `verbosity` below 0 only the tables."""
    names, states, values, ratios, gaps = _sheets(compared)
    distance = distance_sheet(compared.rows)
    if form == "json":
        keys = [column.key.removeprefix("times_better_") for column in ratios.columns]
        rows = [
            {**describe_row(one), **asked, "times_better": dict(zip(keys, better, strict=True)), "command": one.command}
            for one, asked, better in zip(compared.rows, names.records(), ratios.rows, strict=True)
        ]
        about = {"format": COMPARE_FORMAT, "reference": compared.reference, "rows": rows}
        print_json({**about, "command": compared.command, "exit_code": exit_code})
        return
    if form == "csv":
        print_csv(join(names, states, values, ratios, gaps, *([] if distance is None else [distance.without(TOTALS)])))
        return
    parts = {
        "Figures: one token, prefill, II (1/II = throughput)": values,
        f"Times better than {compared.reference}: 2 means half of its figure": ratios,
        "Gaps above the bounds": gaps,
        **({} if distance is None else {"What distance costs a token: moves apart": distance}),
    }
    if form in DOCUMENTS:
        print_document(form, {title: join(names, part) for title, part in parts.items()}, compared.command)
        return
    names, alike = said_once(names)
    for index, (title, part) in enumerate(parts.items()):
        heading(title, first=index == 0)
        if alike and index == 0:
            indented(f"all rows: {alike}")
        print_sheet(join(names, part), unbroken=True)
    for sentence in distance_in_words(compared.rows):
        indented(sentence)
    for one in compared.rows:
        if one.reason:
            where = f"{one.row.asked.model} on {one.row.asked.hw}, {one.row.asked.strategy}"
            indented(f"{where}: {one.state}: {one.reason.removeprefix(f'{one.row.asked.strategy}: ')}")
    indented(
        "The bound on arrays holds for any mapping, those on times and energy for any mapping on the arrays that the "
        "strategy uses; `linear` and `dense-optimal` store the dense matrices and are bounded so. Every answer shown "
        "passed the checker."
    )
    if verbosity >= 0:
        same_again(compared.command)


def print_two(found: Comparison, files: Sequence[str], command: str, form: str, verbosity: int, stages: int) -> None:
    """Two solutions in the form asked for; `command` sets them side by side again."""
    metrics = Sheet(
        [Column("metric", "metric"), *(Column(name, name, "ratio") for name in ("first", "second", "ratio"))],
        [[name, first, second, second / first if first else None] for name, (first, second) in found.metrics.items()],
    )
    if form == "json":
        print_json(
            {
                "format": TWO_FORMAT,
                "files": files,
                "differences": found.differences,
                "metrics": {record.pop("metric"): record for record in metrics.records()},
                "moves": found.moves,
                "stages": [] if found.stages is None else _stage_records(found.stages),
                "exit_code": 0,
            }
        )
    elif form == "csv":
        print_csv(metrics)
    elif form in DOCUMENTS:
        shown = [
            [name, *map(number, values[:2]), None if values[2] is None else f"x{ratio(values[2])}"]
            for name, *values in metrics.rows
        ]
        print_document(form, {"": Sheet(metrics.columns, shown)}, command)
    else:
        _print_two(found, files, verbosity, stages)


def _print_two(found: Comparison, files: Sequence[str], verbosity: int, stages: int) -> None:
    heading("Two answers, both checked", first=True)
    labelled([("first", files[0]), ("second", files[1])])
    if found.differences:
        indented("The questions differ: " + "; ".join(found.differences))
    heading("What it bought")
    rows = []
    for name, (first, second) in found.metrics.items():
        unit = choose_unit(kind_of_amount(name), [first, second])
        cells = [share(each) if name == "occupancy" else in_unit(each, unit) for each in (first, second)]
        better = f"x{ratio(second / first)}" if first and second else "-"
        rows.append([titled(_title(name), unit), *cells, better, change(first, second)])
    print_table(["", "first", "second", "ratio", "change"], rows)
    heading("What moved")
    if found.moves is None:
        indented(f"Not comparable: {found.unlike}.")
        return
    labelled(describe_moves(found.moves))
    if verbosity < 0:
        return
    heading("Time of stages by kind, in arrays and in the gaps before them, ns")
    kinds = [] if found.stages is None else _by_kind(found.stages)
    if not kinds[:stages]:
        indented(f"{len(kinds)} kinds differ." if kinds else "None differs.")
        return
    columns = ["kind", "stages", "arrays\nfirst", "arrays\nsecond", "differ\nence", "gap\nfirst", "gap\nsecond"]
    print_table(columns, [[kind, str(count), *map(number, values)] for kind, count, *values in kinds[:stages]])
    if len(kinds) > stages:
        indented(f"{len(kinds) - stages} kinds more differ: --stages {len(kinds)}, or --json for each stage")


def describe_moves(moves: Moves) -> list[tuple[str, str]]:
    """What moved in words: label and text, one line each."""
    gone, come = moves.pieces[0] - moves.common, moves.pieces[1] - moves.common
    return [
        (
            "weights",
            f"{number(moves.weights_in_place)} of {number(moves.weights)} "
            f"({share(moves.weights_in_place / moves.weights)}) lie where they lay",
        ),
        (
            "pieces",
            f"{plural(moves.common, 'piece')} in both: {moves.in_place} in place, {moves.shifted} elsewhere on the "
            f"same array, {moves.to_another_array} on another; {gone} only in the first, {come} only in the second",
        ),
        ("cuts", f"{moves.blocks_cut_otherwise} of {plural(moves.blocks, 'block')} cut otherwise"),
        ("firing", f"{moves.fired_with_others} of the pieces in both fire in other company"),
        (
            "arrays",
            f"{moves.arrays[0]} and {moves.arrays[1]}; {moves.arrays_matched} matched by what lies on them, "
            f"{moves.arrays_equal} of them equal",
        ),
    ]


def _sheets(compared: ComparedRows) -> tuple[Sheet, Sheet, Sheet, Sheet, Sheet]:
    """What was asked, what became of it, its figures, how many times better they are, and their gaps.

    Times better: each figure of the reference on the same spec and model over the row's own.
    """
    asked = [(one.row.asked.model, one.row.asked.hw, one.row.asked.strategy) for one in compared.rows]
    names = [Column("model", "model"), Column("spec", "hardware"), Column("strategy", "strategy")]
    values = [figure_values(one.record) for one in compared.rows]
    references = {row[:2]: own for row, own in zip(asked, values, strict=True) if row[2] == compared.reference}
    better = [
        [a / b if a is not None and b else None for a, b in zip(references[row[:2]], own, strict=True)]
        for row, own in zip(asked, values, strict=True)
    ]
    return (
        Sheet(names, asked),
        Sheet(STATE_COLUMNS, [[one.state, one.status] for one in compared.rows]),
        Sheet(figure_columns(), values),
        Sheet([Column(figure.head, f"times_better_{figure.key}", "ratio") for figure in FIGURES], better),
        Sheet(figure_columns(gaps=True), [figure_values(one.record, gaps=True) for one in compared.rows]),
    )


def _by_kind(stages: StageTimes) -> list[list[Any]]:
    """Kind, stages, array ns of both and their difference, gap ns of both; where they differ, most first."""
    times = dict(zip(STAGE_KEYS, (*stages.arrays_ns, *stages.gaps_ns), strict=True))
    rows = []
    for kind, count, first, second, gap_first, gap_second in map(dict.values, sums_by_kind(stages.names, times)):
        if first != second or gap_first != gap_second:
            rows.append([kind, count, first, second, second - first, gap_first, gap_second])
    return sorted(rows, key=lambda row: -max(abs(row[4]), abs(row[6] - row[5])))


def _stage_records(stages: StageTimes) -> list[dict[str, Any]]:
    columns = np.stack([*stages.arrays_ns, *stages.gaps_ns], axis=1).tolist()
    return [
        {"stage": name, **dict(zip(STAGE_KEYS, row, strict=True))}
        for name, row in zip(stages.names, columns, strict=True)
    ]


def _title(name: str) -> str:
    """A metric's name in words."""
    plain = name.replace("_ns", "").replace("_pj", "").replace("_mm2", "").replace("_", " ")
    return plain.replace("ii", "II").replace("adc", "ADC")
