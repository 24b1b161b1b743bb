"""The reports of `cimsolve compare`: a grid of strategies, specs and models; two solutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cimsolve.show.text.console import heading, indented, labelled, print_json, results, show, table, verbatim
from cimsolve.show.text.question import stage_kind
from cimsolve.show.text.sheet import Column, Sheet, join, markdown, print_csv, print_sheet, print_text
from cimsolve.show.text.sweep import COMPARED, describe_row, figure_columns, figure_values, state_columns, state_values
from cimsolve.show.units import Kind, change, choose_unit, in_unit, number, plural, ratio, share
from cimsolve.study.sweep.run import SolvedRow
from cimsolve.study.two import Comparison, Moves, StageTimes

COMPARE_FORMAT = "cimsolve-compare/1"
TWO_FORMAT = "cimsolve-compare-two/1"
KINDS: dict[str, Kind] = {"_ns": "time", "_pj": "energy", "_mm2": "area"}


@dataclass(frozen=True)
class Compared:
    """Rows of models, specs and strategies, and the strategy that ratios are to."""

    rows: Sequence[SolvedRow]
    reference: str
    command: str


def print_compared(compared: Compared, form: str, verbosity: int, exit_code: int) -> None:
    """In the form asked for; with `verbosity` below 0 only the tables."""
    names, values = _names(compared), _values(compared)
    ratios, gaps = _ratios(compared), _gaps(compared)
    if form == "json":
        keys = [key for _, _, key in COMPARED]
        rows = [
            {
                **describe_row(one),
                **asked,
                "times_better": dict(zip(keys, better, strict=True)),
                "command": one.command,
            }
            for one, asked, better in zip(compared.rows, names.records(), ratios.rows, strict=True)
        ]
        about = {"format": COMPARE_FORMAT, "reference": compared.reference, "rows": rows}
        print_json({**about, "command": compared.command, "exit_code": exit_code})
        return
    if form == "csv":
        print_csv(join(join(join(join(names, _states(compared)), values), ratios), gaps))
        return
    parts = {
        "Figures: one token, prefill, II (1/II = throughput)": values,
        f"Times better than {compared.reference}: 2 means half of its figure": ratios,
        "Gaps above the bounds": gaps,
    }
    if form == "markdown":
        print_text("\n".join(f"**{title}**\n\n{markdown(join(names, part))}" for title, part in parts.items()))
        return
    console = results()
    for index, (title, part) in enumerate(parts.items()):
        heading(console, title, first=index == 0)
        print_sheet(console, join(names, part))
    for one in compared.rows:
        if one.reason:
            where = f"{one.row.asked.model} on {one.row.asked.hw}, {one.row.asked.strategy}"
            indented(console, f"{where}: {one.state}: {one.reason.removeprefix(f'{one.row.asked.strategy}: ')}")
    indented(
        console,
        "The bound on arrays holds for any mapping, those on times and energy for any mapping on the arrays that the "
        "strategy uses; `linear` stores the dense matrices and is bounded so. Every answer shown passed the checker.",
    )
    if verbosity >= 0:
        heading(console, "The same again")
        verbatim(console, compared.command)


def print_two(found: Comparison, files: Sequence[str], form: str, verbosity: int, stages: int) -> None:
    """Two solutions in the form asked for."""
    metrics = Sheet(
        [Column("metric", "metric"), Column("first", "first"), Column("second", "second"), Column("ratio", "ratio")],
        [[name, first, second, second / first if first else None] for name, (first, second) in found.metrics.items()],
    )
    by_kind = [] if found.stages is None else _by_kind(found.stages)
    if form == "json":
        print_json(
            {
                "format": TWO_FORMAT,
                "files": list(files),
                "differences": list(found.differences),
                "metrics": {
                    row[0]: dict(zip(("first", "second", "ratio"), row[1:], strict=True)) for row in metrics.rows
                },
                "moves": None if found.moves is None else asdict(found.moves),
                "stages": [] if found.stages is None else _stage_records(found.stages),
                "exit_code": 0,
            }
        )
    elif form == "csv":
        print_csv(metrics)
    elif form == "markdown":
        shown = [
            [name, *map(number, values[:2]), None if values[2] is None else f"x{ratio(values[2])}"]
            for name, *values in metrics.rows
        ]
        print_text(markdown(Sheet(metrics.columns, shown)))
    else:
        _print_two(found, files, verbosity, by_kind[:stages], len(by_kind))


def _print_two(
    found: Comparison, files: Sequence[str], verbosity: int, kinds: Sequence[Sequence[Any]], all_kinds: int
) -> None:
    console = results()
    heading(console, "Two solutions, both checked", first=True)
    labelled(console, [("first", files[0]), ("second", files[1])])
    if found.differences:
        indented(console, "The questions differ: " + "; ".join(found.differences))
    heading(console, "What it bought")
    rows = []
    for name, (first, second) in found.metrics.items():
        cells = [_metric(name, first, [first, second]), _metric(name, second, [first, second])]
        rows.append(
            [
                _title(name, [first, second]),
                *cells,
                f"x{ratio(second / first)}" if first and second else "-",
                change(first, second),
            ]
        )
    show(console, table(["", "first", "second", "ratio", "change"], rows))
    heading(console, "What moved")
    if found.moves is None:
        indented(console, f"Not comparable, as the two do not store the same blocks: {found.unlike}.")
        return
    labelled(console, describe_moves(found.moves))
    if verbosity < 0:
        return
    heading(console, "Time of stages by kind, in arrays and in the gaps before them, ns")
    if not kinds:
        indented(console, "None differs." if not all_kinds else f"{all_kinds} kinds differ.")
        return
    show(
        console,
        table(
            ["kind", "stages", "arrays\nfirst", "arrays\nsecond", "differ\nence", "gap\nfirst", "gap\nsecond"],
            [[kind, str(count), *map(number, values)] for kind, count, *values in kinds],
        ),
    )
    if all_kinds > len(kinds):
        indented(console, f"{all_kinds - len(kinds)} kinds more differ: --stages {all_kinds}, or --json for each stage")


def describe_moves(moves: Moves) -> list[tuple[str, str]]:
    """Label and text, one line each."""
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


def _names(compared: Compared) -> Sheet:
    columns = [Column("model", "model"), Column("spec", "hardware"), Column("strategy", "strategy")]
    return Sheet(columns, [[o.row.asked.model, o.row.asked.hw, o.row.asked.strategy] for o in compared.rows])


def _values(compared: Compared) -> Sheet:
    return Sheet(figure_columns(), [figure_values(one.record) for one in compared.rows])


def _states(compared: Compared) -> Sheet:
    return Sheet(state_columns(), [state_values(one) for one in compared.rows])


def _ratios(compared: Compared) -> Sheet:
    """Each figure of the reference on the same spec and model over the row's own."""
    references = {
        (one.row.asked.model, one.row.asked.hw): figure_values(one.record)
        for one in compared.rows
        if one.row.asked.strategy == compared.reference
    }
    columns = [Column(title, f"times_better_{key}", "ratio") for _, title, key in COMPARED]
    rows = []
    for one in compared.rows:
        theirs = references[one.row.asked.model, one.row.asked.hw]
        own = figure_values(one.record)
        rows.append([a / b if a is not None and b else None for a, b in zip(theirs, own, strict=True)])
    return Sheet(columns, rows)


def _gaps(compared: Compared) -> Sheet:
    return Sheet(figure_columns(gaps=True), [figure_values(one.record, gaps=True) for one in compared.rows])


def _by_kind(stages: StageTimes) -> list[list[Any]]:
    """Kind, stages, array ns of both and their difference, gap ns of both; where they differ, most first."""
    kinds: dict[str, list[int]] = {}
    for index, name in enumerate(stages.names):
        kinds.setdefault(stage_kind(name), []).append(index)
    rows = []
    for kind, members in kinds.items():
        arrays = [float(times[members].sum()) for times in stages.arrays_ns]
        gaps = [float(times[members].sum()) for times in stages.gaps_ns]
        if arrays[0] != arrays[1] or gaps[0] != gaps[1]:
            rows.append([kind, len(members), *arrays, arrays[1] - arrays[0], *gaps])
    return sorted(rows, key=lambda row: -max(abs(row[4]), abs(row[6] - row[5])))


def _stage_records(stages: StageTimes) -> list[dict[str, Any]]:
    columns = np.stack([*stages.arrays_ns, *stages.gaps_ns], axis=1).tolist()
    keys = ("arrays_first_ns", "arrays_second_ns", "gap_first_ns", "gap_second_ns")
    return [
        {"stage": name, **dict(zip(keys, row, strict=True))} for name, row in zip(stages.names, columns, strict=True)
    ]


def _kind(name: str) -> Kind:
    return next((kind for ending, kind in KINDS.items() if name.endswith(ending)), "count")


def _title(name: str, values: Sequence[float]) -> str:
    unit = choose_unit(_kind(name), values)
    plain = name.replace("_ns", "").replace("_pj", "").replace("_mm2", "").replace("_", " ")
    plain = plain.replace("ii", "II").replace("adc", "ADC")
    return f"{plain}, {unit.name}" if unit.name else plain


def _metric(name: str, value: float, both: Sequence[float]) -> str:
    return share(value) if name == "occupancy" else in_unit(value, choose_unit(_kind(name), both))
