"""Answers in rounds: their figures beside what none goes below, and their runs over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cimsolve.judge.check.rounds import RoundsReport
from cimsolve.price.rounds import RunTimes, begins_of_runs
from cimsolve.problem.rounds import Rounds
from cimsolve.show.text.check import VIOLATIONS_SHOWN
from cimsolve.show.text.console import Cell, bad, good, heading, indented, line, print_table, verbatim
from cimsolve.show.units import choose_unit, in_unit, number, plural, quantity, share

Answered = tuple[Rounds, RoundsReport, Sequence[Path]]
FIGURES: tuple[tuple[str, str, str], ...] = (
    ("token latency", "latency_ns", "latency_cycles"),
    ("prefill", "prefill_ns", "prefill_ns"),
    ("batch", "batch_ns", "batch_cycles"),
)
"""Title, metric in ns and the metric of its bound."""
BAR = 32


def print_rounds(answers: Sequence[Answered], verbosity: int) -> None:
    """A table of all answers, then the runs of the best."""
    first = answers[0][0].header
    problem_batch, source = first.batch, first.options.source_tokens
    tokens = f"{first.metrics['prefill_tokens']} tokens{f' and {source} of the source' if source else ''}"
    heading(f"{first.model_name} on {first.hw.get('name')}, in rounds", first=True)
    for title, metric, bound in FIGURES:
        values = [rounds.header.metrics[metric] for rounds, _, _ in answers]
        unit = choose_unit("time", values)
        of = {"prefill": f" of {tokens}", "batch": f" of {problem_batch} tokens"}.get(title, ", one token")
        heading(f"{title}{of}, {unit.name}")
        rows: list[list[Cell]] = []
        for rounds, report, _ in answers:
            header = rounds.header
            lower = header.bounds[bound].lower * (header.metrics[metric] / header.bounds[bound].value)
            each = [in_unit(header.metrics[metric], unit), in_unit(lower, unit), share(header.bounds[bound].gap)]
            about = [number(header.metrics["runs"]), "beside" if header.double else "before"]
            rows.append([header.strategy, *about, *each, good("ok") if report.passed else bad("FAILED")])
        print_table(["", "runs", "written", "value", "bound", "gap", "check"], rows)
    best = min(answers, key=lambda one: one[0].header.metrics["prefill_ns"])[0]
    if verbosity >= 0:
        _print_runs(best)
    indented(_summary(best))
    for _, report, files in answers:
        for violation in report.violations[:VIOLATIONS_SHOWN]:
            indented(bad(str(violation)))
        if files:
            verbatim(str(files[0]))


def print_checked_rounds(name: str, rounds: Rounds, report: RoundsReport, verbosity: int) -> None:
    """One file: the verdict, the first violations, and its figures."""
    header = rounds.header
    about = f"{header.model_name} on {header.hw.get('name')} by {header.strategy}, {plural(len(rounds.runs), 'run')}"
    line(f"{name}: ", good("ok") if report.passed else bad("FAILED"), f" ({about})")
    for violation in report.violations[: None if verbosity > 0 else VIOLATIONS_SHOWN]:
        indented(bad(str(violation)))
    if verbosity >= 0 and report.metrics is not None:
        indented(_summary(rounds))


def describe_rounds(answers: Sequence[Answered]) -> dict[str, Any]:
    """All answers as plain data."""
    return {
        "format": "cimsolve-rounds-run/1",
        "answers": [{**describe_checked_rounds(each, report), "files": files} for each, report, files in answers],
    }


def describe_checked_rounds(rounds: Rounds, report: RoundsReport) -> Mapping[str, Any]:
    """One answer with its verdict as plain data."""
    header = rounds.header
    return {
        "passed": report.passed,
        "violations": report.violations,
        "strategy": header.strategy,
        "model": header.model_name,
        "hardware": header.hw.get("name"),
        "double": header.double,
        "batch": header.batch,
        "runs": [(run.first, run.end, run.write_cycles) for run in header.runs],
        "metrics": header.metrics,
        "bounds": header.bounds,
    }


def _print_runs(rounds: Rounds) -> None:
    """The runs over the time of a prefill: writing `w`, computing `c`, both at once `#`."""
    header = rounds.header
    clock_ns = float(header.hw["clock_ns"])
    times = [
        RunTimes(
            run.write_cycles,
            int(solution.header.metrics["latency_cycles"]),
            int(solution.header.metrics["ii_cycles"]),
            round(float(solution.header.metrics["prefill_ns"]) / clock_ns),
        )
        for run, solution in zip(header.runs, rounds.runs, strict=True)
    ]
    begins = begins_of_runs(times, header.double, "prefill")
    end = begins[-1][1] + times[-1].prefill
    unit = choose_unit("time", [run.write * clock_ns for run in times])
    rows: list[list[Cell]] = []
    for number_of, (run, solution, (write, compute)) in enumerate(zip(times, rounds.runs, begins, strict=True), 1):
        bar = ["."] * BAR
        for sign, start, cycles in (("w", write, run.write), ("c", compute, run.prefill)):
            for at in range(BAR * start // end, max(BAR * start // end + 1, BAR * (start + cycles) // end)):
                bar[min(at, BAR - 1)] = sign
        figures = [in_unit(cycles * clock_ns, unit) for cycles in (run.write, run.latency, run.prefill)]
        rows.append(
            [
                str(number_of),
                solution.header.stages[0].name,
                number(solution.header.metrics["arrays"]),
                *figures,
                "".join(bar),
            ]
        )
    heading(f"Runs by {header.strategy}, {unit.name}")
    print_table(
        ["run", "from", "arrays", "write", "token", "prefill", "over time"], rows, text_columns=2, words_last=True
    )


def _summary(rounds: Rounds) -> str:
    header, metrics = rounds.header, rounds.header.metrics
    kind = "written while the run before computes" if header.double else "written one after the other"
    parts = [
        f"{header.strategy}: {plural(int(metrics['runs']), 'run')} on {metrics['arrays']} arrays, {kind}; writing "
        f"takes {quantity(metrics['write_ns'], 'time')} in all",
        f"{number(metrics['decode_tokens_per_s'])} tokens/s one by one, {number(metrics['prefill_tokens_per_s'])} in a "
        f"prefill, {number(metrics['batch_tokens_per_s'])} in batches of {header.batch}; writing is a tenth of the "
        f"time from batches of {metrics['batch_of_a_tenth']} on",
        f"{quantity(metrics['energy_pj'], 'energy')} a token alone, {quantity(metrics['batch_energy_pj'], 'energy')} "
        f"in a batch; {number(metrics['cell_writes_per_day'])} writes a cell and day"
        + (f", of which it endures {number(metrics['endurance_days'])} days" if "endurance_days" in metrics else ""),
    ]
    return "; ".join(parts) + "."
