"""Schedules in the Chrome trace format, which Perfetto reads too: of a solution its stages, and an array a thread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from cimsolve.show.as_json import picked
from cimsolve.show.seen.judged import Judged, labels_of
from cimsolve.show.seen.runs import JudgedPlan, first_steps, over_time
from cimsolve.show.seen.trace import Trace, find_moves, find_trace, gap_starts, lanes_of_stages

GAPS_THREAD = 0
WAYS = {"up": "moves: up to the hub", "over": "moves: from core to core", "down": "moves: down from the hub"}
"""Way of a move -> the name of its thread."""


def describe_trace(judged: Sequence[Judged], events_max: int) -> tuple[dict[str, Any], list[str]]:
    """The content of a trace file, and a line for each solution that is there in part only.

    A solution is two processes: its stages with the gaps between them, and its arrays.
    """
    events: list[dict[str, Any]] = []
    notes: list[str] = []
    for process, (each, label) in enumerate(zip(judged, labels_of(judged), strict=True)):
        trace = find_trace(each, events_max // len(judged))
        if trace.arrays < trace.arrays_in_all:
            notes.append(
                f"{label}: {trace.arrays} of {trace.arrays_in_all} arrays are in the trace, evenly spaced, as it is "
                f"limited to {events_max} events"
            )
        title = f"{each.header.model_name} on {each.hardware.name}, {label}"
        events += _stages(each, 2 * process + 1, title)
        events += _arrays(each, trace, 2 * process + 2, title)
    return {
        "traceEvents": events,
        "displayTimeUnit": "ns",
        "otherData": {"made by": "cimsolve report --trace", "limits": notes},
    }, notes


def describe_trace_of_plans(plans: Sequence[JudgedPlan]) -> dict[str, Any]:
    """The content of a trace file of answers in runs: a process for all that passes the runs, a thread for what each
    does.
    """
    events: list[dict[str, Any]] = []
    process = 0
    for each in plans:
        header, names = each.plan.header, first_steps(each.problem, each.plan)
        for table in over_time(each):
            process += 1
            told = f"{header.model_name} on {header.hw.get('name')}, {header.strategy}: {table.of}"
            events.append(_name("process_name", process, 0, told))
            roles = list(dict.fromkeys(spell.role for spell in table.spells))
            events += [_name("thread_name", process, thread, role) for thread, role in enumerate(roles)]
            for spell in table.spells:
                times = {"ts": spell.begin_ns / 1000, "dur": (spell.end_ns - spell.begin_ns) / 1000}
                thread, name = roles.index(spell.role), f"{spell.run + 1} {names[spell.run]}"
                events.append(
                    {"ph": "X", "pid": process, "tid": thread, "name": name, "cat": spell.role, "args": {}, **times}
                )
    return {"traceEvents": events, "displayTimeUnit": "ns", "otherData": {"made by": "cimsolve report --trace"}}


def _stages(judged: Judged, process: int, title: str) -> Iterator[dict[str, Any]]:
    """Every stage, side by side where they overlap, and the gaps, each as late as it may be."""
    costs = judged.costs
    lanes = lanes_of_stages(judged)
    yield _name("process_name", process, 0, f"{title}: stages")
    yield _name("thread_name", process, GAPS_THREAD, "gaps: digital units and interconnect")
    for lane in sorted(set(lanes.tolist())):
        yield _name("thread_name", process, lane + 1, "stages")
    for stage, begins in zip(judged.problem.workload.stages, gap_starts(judged).tolist(), strict=True):
        start, end = int(costs.stages.start[stage.id]), int(costs.stages.end[stage.id])
        gap = costs.gaps.before[stage.id]
        if gap.cycles:
            name = f"gap before {stage.name}"
            parts = picked(gap, "partial_sum_cycles", "digital_cycles", "transfer_cycles")
            parts |= {} if gap.memory is None else picked(gap, "memory_cycles")
            yield _event(judged, process, GAPS_THREAD, name, "gap", begins, begins + gap.cycles, parts)
        told = {"layer": stage.layer, "firings": int(costs.stages.activations[stage.id])}
        yield _event(judged, process, int(lanes[stage.id]) + 1, stage.name, "stage", start, end, told)
    last, tail = int(costs.stages.end.max()), costs.gaps.last_tail
    if tail.cycles:
        yield _event(judged, process, GAPS_THREAD, "end of pass", "gap", last, last + tail.cycles, {})
    if judged.hardware.interconnect is not None:
        yield from _moves(judged, process, int(lanes.max()) + 2)


def _moves(judged: Judged, process: int, first_thread: int) -> Iterator[dict[str, Any]]:
    """What is moved in the gaps, a thread a way."""
    threads = dict(zip(WAYS, range(first_thread, first_thread + len(WAYS)), strict=True))
    for way, thread in threads.items():
        yield _name("thread_name", process, thread, WAYS[way])
    for move in find_moves(judged):
        told = {"latency_ns": move.latency_ns, "bits": move.bits, "binds": move.binds}
        yield _event(judged, process, threads[move.way], move.name, "move", move.start, move.end, told)


def _arrays(judged: Judged, trace: Trace, process: int, title: str) -> Iterator[dict[str, Any]]:
    stages = judged.problem.workload.stages
    some = "" if trace.arrays == trace.arrays_in_all else f", {trace.arrays} of {trace.arrays_in_all}"
    yield _name("process_name", process, 0, f"{title}: arrays{some}")
    for index in dict.fromkeys(trace.array.tolist()):
        number = int(judged.array_numbers[index])
        yield _name("thread_name", process, number, f"array {number}")
    columns = (trace.array, trace.stage, trace.start, trace.end, trace.firings, trace.pieces, trace.bits)
    for array, stage, start, end, firings, pieces, bits in zip(*(column.tolist() for column in columns), strict=True):
        told = {"firings": firings, "pieces": pieces, "adc_bits": bits, "layer": stages[stage].layer}
        number = int(judged.array_numbers[array])
        yield _event(judged, process, number, stages[stage].name, "array", start, end, told)


def _name(what: str, process: int, thread: int, value: str) -> dict[str, Any]:
    return {"ph": "M", "pid": process, "tid": thread, "name": what, "args": {"name": value}}


def _event(
    judged: Judged, process: int, thread: int, name: str, kind: str, start: int, end: int, told: dict[str, Any]
) -> dict[str, Any]:
    """A complete event; its times are in microseconds."""
    return {
        "ph": "X",
        "pid": process,
        "tid": thread,
        "name": name,
        "cat": kind,
        "ts": start * judged.clock_ns / 1000,
        "dur": (end - start) * judged.clock_ns / 1000,
        "args": told,
    }
