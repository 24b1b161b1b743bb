"""The report of `cimsolve replay`."""

from __future__ import annotations

from rich.text import Text

from cimsolve.judge.check import CheckReport
from cimsolve.judge.replay import Figure, Replay
from cimsolve.problem.solution import Header
from cimsolve.show.text.console import Cell, bad, good, indented, results, table
from cimsolve.show.units import choose_unit, in_unit, number, plural, share

VIOLATIONS_SHOWN = 3


def print_replayed(name: str, header: Header, report: CheckReport, found: Replay | None, verbosity: int) -> None:
    """One file: whether a token takes as long as the equations say, and prefill and II beside theirs."""
    console = results()
    what = f"{header.model_name} on {header.hw.get('name')} by {header.strategy}"
    if not report.passed:
        verdict = bad("FAILED its check")
    elif found is None:
        verdict = bad("not replayed")
    else:
        verdict = good("one token agrees") if found.agrees else bad("one token DIFFERS")
    console.print(Text.assemble(f"{name}: ", verdict, f" ({what}{_in_short(found)})"), soft_wrap=True)
    for violation in report.violations[:VIOLATIONS_SHOWN]:
        indented(console, bad(str(violation)))
    if found is None or verbosity < 0:
        return
    rows = [
        _row("token latency", found.token),
        _row(f"prefill of {plural(found.tokens, 'token')}", found.prefill),
    ]
    if found.stream is not None:
        rows.append(_row("II", found.stream.interval))
    console.print(table(["", "analysis", "replayed", "difference"], rows))
    indented(
        console,
        f"Busiest in the prefill: {found.busiest}, at work {share(found.utilisation)} of the time; the busiest unit "
        f"of each phase, one after the other, {share(found.pace_share)}.",
    )
    stream = found.stream
    if stream is not None:
        longer = stream.latency_ns / found.token.replayed_ns
        indented(
            console,
            f"In a stream of {plural(stream.tokens, 'token')} each takes {number(longer)} times as long as one "
            f"alone; {number(stream.in_flight)} are in flight."
            + ("" if stream.settled else " Too few to settle: read its II as a trend."),
        )


def _in_short(found: Replay | None) -> str:
    if found is None:
        return ""
    interval = "" if found.stream is None else f", II {signed(found.stream.interval.difference)}"
    return f"; prefill {signed(found.prefill.difference)}{interval}"


def _row(title: str, figure: Figure) -> list[Cell]:
    unit = choose_unit("time", [figure.analytical_ns])
    return [
        f"  {title}, {unit.name}",
        in_unit(figure.analytical_ns, unit),
        in_unit(figure.replayed_ns, unit),
        signed(figure.difference),
    ]


def signed(difference: float) -> str:
    """A difference in percent with its sign; 0% only where there is none."""
    return f"{'+' if difference > 0 else ''}{share(difference)}"
