"""The report of `cimsolve replay`."""

from __future__ import annotations

from typing import Any

from cimsolve.judge.check import CheckReport
from cimsolve.judge.check.plan import PlanReport
from cimsolve.judge.replay import Figure, Replay
from cimsolve.judge.replay.plan import PlanReplay
from cimsolve.problem.plan import AnyPlan
from cimsolve.problem.solution import Header
from cimsolve.show.as_json import picked
from cimsolve.show.figures import subject, subject_text
from cimsolve.show.text.check import describe_verdict, print_violations
from cimsolve.show.text.console import Cell, bad, good, indented, line, print_table
from cimsolve.show.units import choose_unit, in_unit, number, plural, share, titled

REPLAY_FORMAT = "cimsolve-replay/1"


def print_replayed(name: str, header: Header, report: CheckReport, found: Replay | None, verbosity: int) -> None:
    """One file: whether a token takes as long as the equations say, and prefill and II beside theirs."""
    stream = None if found is None else found.stream
    interval = None if stream is None else stream.interval
    line(f"{name}: ", _verdict(report, found), f" ({subject_text(header)}{_differences(found, 'II', interval)})")
    print_violations(report)
    if found is None or verbosity < 0:
        return
    rows = [_row("token latency", found.token), _row(_prefill(found), found.prefill)]
    if stream is not None:
        rows.append(_row("II", stream.interval))
    print_table(["", "analysis", "replayed", "difference"], rows)
    indented(
        f"Busiest in the prefill: {found.busiest}, at work {share(found.utilisation)} of the time; the busiest unit "
        f"of each phase, one after the other, {share(found.pace_share)}."
    )
    if stream is not None:
        longer = stream.latency_ns / found.token.replayed_ns
        indented(
            f"In a stream of {plural(stream.tokens, 'token')} each takes {number(longer)} times as long as one "
            f"alone; {number(stream.in_flight)} are in flight."
            + ("" if stream.settled else " Too few to settle: read its II as a trend.")
        )


def print_replayed_plan(name: str, plan: AnyPlan, report: PlanReport, found: PlanReplay | None, verbosity: int) -> None:
    """One file of an answer in runs: whether a token takes as long as the equations say, and what each unit does."""
    in_rounds = plan.header.kind == "rounds"
    stream = "batch" if in_rounds else "II"
    runs = plural(len(plan.runs), "run" if in_rounds else "chip")
    about = f"{subject_text(plan.header)}, {runs}"
    differences = _differences(found, stream, None if found is None else found.stream)
    line(f"{name}: ", _verdict(report, found), f" ({about}{differences})")
    print_violations(report)
    if found is None or verbosity < 0:
        return
    rows = [_row("token latency", found.token), _row(_prefill(found), found.prefill)]
    if found.stream is not None:
        of = f"batch of {plural(found.stream_tokens, 'token')} after a batch" if in_rounds else "II"
        rows.append(_row(of, found.stream))
    if found.writing is not None:
        rows.append(_row("writing, where rows wait for their weights", found.writing))
    print_table(["", "analysis", "replayed", "difference"], rows)
    told = {"token": "a token", "prefill": "a prefill", "stream": f"a {stream}" if in_rounds else "a stream"}
    for unit, shares in found.busy.items():
        at_work = ", ".join(f"{share(each)} of {told[of]}" for of, each in shares.items())
        indented(f"{unit[0].upper()}{unit[1:]}: at work {at_work}.")
    if not found.settled:
        indented(f"{plural(found.stream_tokens, 'token')} are too few to settle: read II as a trend.")


def _verdict(report: CheckReport | PlanReport, found: Replay | PlanReplay | None) -> Cell:
    if not report.passed:
        return bad("FAILED its check")
    if found is None:
        return bad("not replayed")
    return good("one token agrees") if found.agrees else bad("one token DIFFERS")


def _differences(found: Replay | PlanReplay | None, title: str, stream: Figure | None) -> str:
    if found is None:
        return ""
    of_stream = "" if stream is None else f", {title} {signed(stream.difference)}"
    return f"; prefill {signed(found.prefill.difference)}{of_stream}"


def _prefill(found: Replay | PlanReplay) -> str:
    of_source = "" if found.source_tokens is None else f", {found.source_tokens} of the source"
    return f"prefill of {plural(found.tokens, 'token')}{of_source}"


def _row(title: str, figure: Figure) -> list[Cell]:
    unit = choose_unit("time", [figure.analytical_ns])
    times = (in_unit(value, unit) for value in (figure.analytical_ns, figure.replayed_ns))
    return [f"  {titled(title, unit)}", *times, signed(figure.difference)]


def signed(difference: float) -> str:
    """A difference in percent with its sign; 0% only where there is none."""
    return f"{'+' if difference > 0 else ''}{share(difference)}"


def describe_replay(report: CheckReport, header: Header, found: Replay | None) -> dict[str, Any]:
    """A replayed solution file; `replay` is null where the tables break a rule."""
    return {
        **describe_verdict(report),
        "passed": report.passed and found is not None and found.agrees,
        **subject(header),
        "replay": None if found is None else _describe(found),
    }


def describe_replayed_plan(report: PlanReport, plan: AnyPlan, found: PlanReplay | None) -> dict[str, Any]:
    """A replayed file of an answer in runs; `replay` is null where it breaks a rule."""
    both = ("analytical_ns", "replayed_ns", "difference")
    replayed: dict[str, Any] | None = None
    if found is not None:
        replayed = {
            "latency": picked(found.token, *both),
            "prefill": {**picked(found.prefill, *both), "tokens": found.tokens, "source_tokens": found.source_tokens},
            "stream": None
            if found.stream is None
            else {**picked(found.stream, *both), "tokens": found.stream_tokens, "settled": found.settled},
            "writing": None if found.writing is None else picked(found.writing, *both),
            "busy": found.busy,
        }
    return {
        "passed": report.passed and found is not None and found.agrees,
        "violations": report.violations,
        **subject(plan.header),
        "kind": plan.header.kind,
        "runs": len(plan.runs),
        "replay": replayed,
    }


def _describe(found: Replay) -> dict[str, Any]:
    both, stream = ("analytical_ns", "replayed_ns", "difference"), None
    if found.stream is not None:
        stream = {"ii": picked(found.stream.interval, *both), "tokens_in_flight": found.stream.in_flight}
        stream |= picked(found.stream, "tokens", "settled", "latency_ns")
    names = ("tokens",) if found.source_tokens is None else ("tokens", "source_tokens")
    of_prefill = picked(found, *names, "busiest", "utilisation", "pace_share")
    return {
        "latency": picked(found.token, *both),
        "prefill": {**picked(found.prefill, *both), **of_prefill},
        "stream": stream,
    }
