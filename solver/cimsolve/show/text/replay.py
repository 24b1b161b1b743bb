"""The report of `cimsolve replay`."""

from __future__ import annotations

from typing import Any

from cimsolve.judge.check import CheckReport
from cimsolve.judge.replay import Figure, Replay
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
    differences = "" if found is None else f"; prefill {signed(found.prefill.difference)}"
    differences += "" if stream is None else f", II {signed(stream.interval.difference)}"
    if not report.passed:
        verdict = bad("FAILED its check")
    elif found is None:
        verdict = bad("not replayed")
    else:
        verdict = good("one token agrees") if found.agrees else bad("one token DIFFERS")
    line(f"{name}: ", verdict, f" ({subject_text(header)}{differences})")
    print_violations(report)
    if found is None or verbosity < 0:
        return
    of_source = "" if found.source_tokens is None else f", {found.source_tokens} of the source"
    prefill = f"prefill of {plural(found.tokens, 'token')}{of_source}"
    rows = [_row("token latency", found.token), _row(prefill, found.prefill)]
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
