"""The report of `cimsolve explain`: why a mapping costs what it does, or which limits are short and what would do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cimsolve.columns import ceil_div
from cimsolve.problem.problem import Problem
from cimsolve.show.as_json import picked
from cimsolve.show.figures import FIGURES, clock_ns, subject
from cimsolve.show.text.console import Cell, heading, indented, labelled, print_json, print_table
from cimsolve.show.text.kept import describe_kept, print_exchanges, print_kinds
from cimsolve.show.text.question import sums_by_kind
from cimsolve.show.text.sheet import Column, Sheet, print_sheet
from cimsolve.show.units import (
    bits_in_words,
    change,
    choose_unit,
    common_prefix,
    flag_of,
    in_unit,
    kind_of_amount,
    number,
    plural,
    quantity,
    share,
)
from cimsolve.study.explain.answer import Explanation
from cimsolve.study.explain.limits import Relief, Short
from cimsolve.study.explain.moved import Moved

EXPLAIN_FORMAT = "cimsolve-explain/1"
TAIL = "tail"
"""What the time after the last stage is called."""
PARTS = ("read", "convert", "idle", "partial_sums", "digital", "transfer", "memory", "wait")
"""Parts of a link of the chain: the first three in arrays, the others before it. Not every chip has a memory."""
MEANT: Mapping[str, str] = {
    "read": "read pulses of the last array",
    "convert": "its conversions",
    "idle": "the last array busy with another stage",
    "partial_sums": "adding partial sums",
    "digital": "digital operations",
    "transfer": "moving vectors",
    "memory": "reading keys and values, beyond attention",
    "wait": "units or arrays taken by others",
}
WAITED: Mapping[str, str] = {"latency": "latency", "links": "links", "buses": "buses of cores", "port": "hub port"}
"""What moves wait for."""
WAYS: Mapping[str, str] = {"up": "up to the hub", "over": "from core to core", "down": "down from the hub"}
"""Ways of moves."""


def print_explained(found: Explanation, as_json: bool, verbosity: int, kinds: int) -> None:
    """As text or as JSON; with `verbosity` below 0 only the tables, above 0 every stage."""
    if as_json:
        print_json(_describe(found))
        return
    clock = clock_ns(found.header)
    heading(f"{found.name}: checked, and explained", first=True)
    if verbosity >= 0:
        labelled(summary(found))
    _print_latency(found, clock)
    _print_chain(found, clock, verbosity, kinds)
    _print_load(found, clock, kinds)
    if found.kept is not None:
        heading(f"What is stored of each kind, most kept first; loss {found.kept.loss:.4g}")
        print_kinds(found.kept)
        print_exchanges(found.kept)
    if found.outcomes:
        _print_changes(found)


def summary(found: Explanation) -> list[tuple[str, str]]:
    """What binds each figure, in words."""
    header, load, hardware = found.header, found.load, found.problem.hardware
    metrics, clock = header.metrics, clock_ns(found.header)
    parts = found.chain.components()
    first = max(parts, key=parts.__getitem__)
    arrays, bound = int(metrics["arrays"]), header.bounds["arrays"]
    cells = found.problem.rows * found.problem.weights_per_row
    full = ceil_div(found.problem.weight_cells, cells)
    left = hardware.array.cols - hardware.columns_per_weight * found.problem.weights_per_row
    why = (
        f"proved the fewest ({bound.proof} bound)" if bound.gap == 0 else f"the bound is {bound.lower} ({bound.proof})"
    )
    text = (
        f"{arrays}, {why}; {number(found.problem.weight_cells)} weights would fill {full} arrays of {cells}; "
        f"{share(metrics['occupancy'])} of the cells are in use"
    )
    text += f"; {plural(left, 'column')} of each array fit no weight" if left else ""
    latency = header.bounds["latency_cycles"]
    moved = found.moved
    by, other = load.interval_binds, f"transfer {quantity(load.transfer_cycles * clock, 'time')}"
    if moved is not None:
        by, other = (moved.channel if by == "transfer" else by), _busiest_channel(moved)
    return [
        ("arrays", text),
        (
            "token",
            f"{quantity(metrics['latency_ns'], 'time')}, {share(latency.gap)} above the bound; most of it, "
            f"{share(parts[first] / metrics['latency_cycles'])}, is {MEANT[first]}",
        ),
        (
            "II",
            f"{quantity(metrics['ii_ns'], 'time')}, bound by {by}: the busiest array fires "
            f"{quantity(load.busy_cycles * clock, 'time')} a token, the mean one "
            f"{quantity(load.mean_busy_cycles * clock, 'time')}; digital units "
            f"{quantity(load.digital_cycles * clock, 'time')}, {other}{_memory(found, clock)}",
        ),
        *([("moves", _moves_in_words(moved, clock))] if moved is not None else []),
    ]


def _busiest_channel(moved: Moved) -> str:
    """The channel that is busy for the longest, and for how long."""
    more = f", and {moved.as_busy - 1} more to 1 %" if moved.as_busy > 1 else ""
    return f"{moved.channel} {quantity(moved.channel_ns, 'time')}{more}"


def _moves_in_words(moved: Moved, clock: float) -> str:
    """What moves take along the chain, by what binds them and by way."""

    def told(words: Mapping[str, str], cycles: Mapping[str, int]) -> str:
        return ", ".join(f"{words[name]} {quantity(cycles[name] * clock, 'time')}" for name in words if cycles[name])

    total = quantity(sum(moved.parts_cycles.values()) * clock, "time")
    return (
        f"{total} along the chain, each its latency and then its busiest channel: {told(WAITED, moved.parts_cycles)}; "
        f"{told(WAYS, moved.ways_cycles)}; the busiest channel of a pass carries {bits_in_words(moved.channel_bits)}"
    )


def _memory(found: Explanation, clock: float) -> str:
    """For how long the memory of keys and values holds up II, where there is one."""
    if found.problem.hardware.memory is None:
        return ""
    load = found.load
    return (
        f", memory {quantity(load.memory_cycles * clock, 'time')}; it has room for a token every "
        f"{quantity(load.room_cycles * clock, 'time')}"
    )


def _print_latency(found: Explanation, clock: float) -> None:
    heading("Token latency along the critical chain")
    parts, total = found.chain.components(), found.header.metrics["latency_cycles"]
    unit = choose_unit("time", [total * clock])
    rows = [
        [part.replace("_", " "), in_unit(cycles * clock, unit), share(cycles / total), MEANT[part]]
        for part, cycles in parts.items()
        if cycles
    ]
    rows.append(["total", in_unit(total * clock, unit), "100%", "as the cost model says"])
    print_table(["", unit.name, "share", "what it is"], rows, words_last=True)


def _print_chain(found: Explanation, clock: float, verbosity: int, kinds: int) -> None:
    links = _links(found)
    rows = links if verbosity > 0 else _by_kind(links)
    heading("The chain by kind of stage, the longest first" if verbosity <= 0 else "The chain, stage by stage")
    shown = rows if verbosity > 0 else rows[:kinds]
    unit = choose_unit("time", [row["arrays"] * clock for row in shown])
    names = [part for part in PARTS if any(row.get(part) for row in shown)]
    prefix = common_prefix([row["stage"] for row in shown if row["stage"] != TAIL])
    columns = [f"stages\n{prefix}", "arrays", "bound", *(part.replace("_", "\n") for part in names), "binds"]
    cells = [
        [
            f"{row['count']} {row['stage'].removeprefix(prefix)}" if verbosity <= 0 else row["stage"],
            *(in_unit(row[key] * clock, unit) if row[key] else "-" for key in ("arrays", "bound", *names)),
            _binds(row),
        ]
        for row in shown
    ]
    print_table(columns, cells, words_last=True)
    summed = ", summed over the stages of a kind" if verbosity <= 0 else ""
    indented(
        f"Times in {unit.name}{summed}; binds: the largest part of them. arrays: from a "
        "stage's first start to its last end, which is read, convert and idle of the array that ends last; bound: no "
        "mapping on as many arrays does it faster, stage by stage; the others come before the stage."
    )
    if len(rows) > len(shown):
        indented(f"{len(rows) - len(shown)} kinds more: --kinds {len(rows)}")


def _print_load(found: Explanation, clock: float, kinds: int) -> None:
    load = found.load
    heading(f"The busiest array: number {load.array}")
    capacity = found.problem.rows * found.problem.weights_per_row
    indented(
        f"Fires {quantity(load.busy_cycles * clock, 'time')} a token, "
        f"{number(load.busy_cycles / load.mean_busy_cycles)} times the mean; {plural(load.as_busy, 'array')} as busy "
        f"to 1 %; {share(load.cells / capacity)} of its {capacity} weights in use."
    )
    rows = _load_rows(found)
    counts = {"activa\ntions": "activations", "pieces": "pieces", "weights": "cells", "columns\nread": "conversions"}
    columns = [Column("stages"), Column("fires", meaning="time"), Column("share", meaning="share")]
    columns += [Column(title, meaning="count") for title in counts]
    shown = [
        [row["stage"], row["cycles"] * clock, row["cycles"] / load.busy_cycles, *(row[key] for key in counts.values())]
        for row in rows[:kinds]
    ]
    print_sheet(Sheet(columns, shown))
    if len(rows) > kinds:
        indented(f"{len(rows) - kinds} kinds more: --kinds {len(rows)}")


def _print_changes(found: Explanation) -> None:
    heading("What if: solved again, checked, and set against the answer as it is")
    base = found.header.metrics
    answered = [outcome for outcome in found.outcomes if outcome.metrics]
    columns = [Column("what if"), *(Column(figure.head, meaning=figure.kind) for figure in FIGURES), Column("s")]
    rows: list[list[Any]] = [["as it is", *(base[figure.key] for figure in FIGURES), ""]]
    for outcome in answered:
        pairs = [(base[figure.key], outcome.metrics[figure.key]) for figure in FIGURES]
        rows.append([outcome.name, *(after for _, after in pairs), f"{outcome.seconds:.1f}"])
        rows.append(["", *(change(before, after) for before, after in pairs), ""])
    print_sheet(Sheet(columns, rows))
    for outcome in found.outcomes:
        if outcome.reason:
            indented(f"{outcome.name}: {outcome.reason}")
    names = [f"{outcome.name}: {outcome.what}" for outcome in answered if outcome.what != outcome.name]
    if names:
        indented("; ".join(names) + ".")
    indented(
        f"By {found.header.strategy}, objective {', then '.join(found.header.objective)}; more arrays are used for "
        f"what comes after arrays in it. All in {sum(outcome.seconds for outcome in found.outcomes):.1f} s."
    )


def _links(found: Explanation) -> list[dict[str, Any]]:
    chain, stages = found.chain, found.problem.workload.stages
    rows = []
    for index, stage in enumerate(chain.stage.tolist()):
        row: dict[str, Any] = {"stage": stages[stage].name, "count": 1}
        row |= {part: int(getattr(chain, part)[index]) for part in (*chain.components(), "bound")}
        rows.append({**row, "array": int(chain.array[index]), "arrays": row["read"] + row["convert"] + row["idle"]})
    tail = chain.tail
    if tail.cycles:
        zeros = dict.fromkeys((*chain.components(), "bound", "arrays"), 0)
        rows.append({**zeros, "stage": TAIL, "count": 1, "array": None, **tail.parts_cycles})
    return rows


def _by_kind(links: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    keys = [key for key in (*PARTS, "bound", "arrays") if key in links[0]]
    columns = {key: np.array([link[key] for link in links]) for key in keys}
    rows = sums_by_kind([link["stage"] for link in links], columns)
    return sorted(rows, key=lambda row: -sum(row.get(part, 0) for part in PARTS))


def _binds(row: Mapping[str, Any]) -> str:
    """The largest part of a stage's time."""
    part = max(PARTS, key=lambda name: row.get(name, 0))
    return {"convert": "ADCs", "read": "reads", "partial_sums": "sums"}.get(part, part)


def _load_rows(found: Explanation) -> list[dict[str, Any]]:
    """What lies on the busiest array, by kind of stage, the longest first."""
    load, stages = found.load, found.problem.workload.stages
    columns = picked(load, "cycles", "activations", "pieces")
    columns |= {"cells": load.stage_cells, "conversions": load.conversions}
    rows = sums_by_kind([stages[number].name for number in load.stage.tolist()], columns)
    return sorted(({"stages": row.pop("count"), **row} for row in rows), key=lambda row: -row["cycles"])


def _describe(found: Explanation) -> dict[str, Any]:
    load, base = found.load, found.header.metrics
    return {
        "format": EXPLAIN_FORMAT,
        "feasible": True,
        "name": found.name,
        **subject(found.header),
        "metrics": base,
        "latency_cycles": found.chain.components(),
        "chain": _links(found),
        "busiest_array": {
            **picked(load, "array", "busy_cycles", "mean_busy_cycles", "as_busy"),
            "weights": load.cells,
            "kinds": _load_rows(found),
        },
        "ii": {
            "bound_by": load.interval_binds,
            "arrays_cycles": load.busy_cycles,
            **picked(load, "digital_cycles", "transfer_cycles"),
            **(picked(load, "memory_cycles", "room_cycles") if found.problem.hardware.memory is not None else {}),
        },
        **({} if found.moved is None else {"moves": vars(found.moved)}),
        **({} if found.kept is None else {"kept": describe_kept(found.kept)}),
        "binds": {{"token": "latency", "II": "ii"}.get(label, label): text for label, text in summary(found)},
        "what_if": [
            {
                **picked(one, "name", "what", "reason"),
                "metrics": one.metrics or None,
                "change": _changes(base, one.metrics) if one.metrics else None,
                "runtime_s": round(one.seconds, 3),
            }
            for one in found.outcomes
        ],
        "exit_code": 0,
    }


def _changes(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """The change of each figure, as a share of what it was."""
    return {figure.key: after[figure.key] / before[figure.key] - 1 for figure in FIGURES if before[figure.key]}


def print_short(found: Short, as_json: bool) -> None:
    """What is short, and what would do."""
    if as_json:
        names = ("limit", "given", "least", "lower", "reason")
        limits = [{**picked(one, *names), "metrics": one.header and one.header.metrics} for one in found.relief]
        about = {"format": EXPLAIN_FORMAT, "feasible": False, "reason": found.reason, "limits": limits}
        ended = {"runtime_s": round(found.seconds, 3), "exit_code": 1}
        print_json({**about, "without_limits": found.together and found.together.metrics, **ended})
        return
    problem = found.problem
    heading(f"{problem.model.name} on {problem.hardware.name} by {found.strategy}: no mapping found", first=True)
    indented(found.reason)
    heading("The least change of one limit, the others kept")
    rows: list[list[Cell]] = []
    for one in found.relief:
        values = (one.given, one.least, one.lower)
        unit = choose_unit(kind_of_amount(one.limit), [value for value in values if value is not None])
        shown = ["-" if value is None else in_unit(value, unit) for value in values]
        more = "-" if one.least is None else change(one.given, one.least)
        rows.append([flag_of(one.limit), unit.name, *shown, more, _say(problem, one)])
    columns = ["limit", "", "given", "would\ndo", "proved\nleast", "change", "say"]
    print_table(columns, rows, text_columns=2, words_last=True)
    for one in found.relief:
        if one.least is None:
            indented(f"{flag_of(one.limit)}: raising it alone does not help: {one.reason}")
        elif one.lower is not None and one.least <= one.lower * (1 + 1e-12):
            indented(f"{flag_of(one.limit)}: proved: no mapping under the other limits does with less")
    if found.together is not None:
        metrics = found.together.metrics
        indented(
            f"Without any limit, on the fewest arrays found: {metrics['arrays']} arrays, "
            f"{quantity(metrics['latency_ns'], 'time')} and {quantity(metrics['energy_pj'], 'energy')} a token."
        )
    indented(
        "would do: an answer was found and checked; proved least: no mapping under the other limits goes below. "
        f"Searched for {found.seconds:.1f} s."
    )


def _say(problem: Problem, one: Relief) -> str:
    """The options that raise a limit far enough; the chip's own number of arrays is one of the spec."""
    if one.least is None:
        return "-"
    whole = kind_of_amount(one.limit) == "count" or float(one.least).is_integer()
    enough, count = str(int(one.least)) if whole else repr(float(one.least)), problem.hardware.array.count
    words = [f"--set array.count={enough}"] if one.limit == "max_arrays" and count and count < one.least else []
    core, network = problem.hardware.core, problem.hardware.network
    if one.limit == "max_arrays" and core and network and network.cols and network.places * core.arrays < one.least:
        words.append(f"--set network.rows={-(-int(one.least) // (core.arrays * network.cols))}")
    given = {"max_arrays": problem.terms.max_arrays}.get(one.limit, one.given)
    words += [f"{flag_of(one.limit)} {enough}"] if given is not None and given < one.least else []
    return " ".join(words)
