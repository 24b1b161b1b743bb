"""Answers in runs: their figures beside what none goes below, and their runs over time, or chip by chip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from cimsolve.judge.check.plan import Metrics, PlanReport
from cimsolve.price.chips import use_link
from cimsolve.price.rounds import RunTimes, begins_of_runs
from cimsolve.problem.plan import AnyPlan, ChipsHeader, Rounds, RoundsHeader
from cimsolve.problem.problem import Problem
from cimsolve.show.text.check import VIOLATIONS_SHOWN
from cimsolve.show.text.console import Cell, bad, good, heading, indented, line, print_table, verbatim
from cimsolve.show.units import choose_unit, in_unit, millions, number, plural, quantity, share

Answered = tuple[AnyPlan, PlanReport, Sequence[Path]]
TOKEN, PREFILL = ("token latency", "latency_ns", "latency_cycles"), ("prefill", "prefill_ns", "prefill_ns")
FIGURES: Mapping[type[RoundsHeader] | type[ChipsHeader], tuple[tuple[str, str, str], ...]] = {
    RoundsHeader: (TOKEN, PREFILL, ("batch", "batch_ns", "batch_cycles")),
    ChipsHeader: (TOKEN, PREFILL, ("II", "ii_ns", "ii_cycles")),
}
"""Kind of answer -> title, metric in ns and the metric of its bound."""
BAR = 32
RUNS_SHOWN = 24


def print_plans(answers: Sequence[Answered], verbosity: int) -> None:
    """A table of all answers, then the runs of the best."""
    first = answers[0][0].header
    in_rounds = isinstance(first, RoundsHeader)
    about = "in rounds" if in_rounds else "on chips in a row"
    if verbosity >= 0:
        heading(f"{first.model_name} on {first.hw.get('name')}, {about}", first=True)
    ofs = {
        "token latency": ", one token",
        "prefill": f" of {answers[0][0].question().model.tokens_told}",
        "batch": f" of {first.metrics.get('batch')} tokens",
        "II": ", of many sequences",
    }
    for title, metric, bound in FIGURES[type(first)] if verbosity >= 0 else ():
        unit = choose_unit("time", [plan.header.metrics[metric] for plan, _, _ in answers])
        heading(f"{title}{ofs[title]}, {unit.name}")
        rows: list[list[Cell]] = []
        for plan, report, _ in answers:
            header = plan.header
            lower = header.bounds[bound].lower * (header.metrics[metric] / header.bounds[bound].value)
            each = [in_unit(header.metrics[metric], unit), in_unit(lower, unit), share(header.bounds[bound].gap)]
            runs: list[Cell] = [header.strategy, number(len(plan.runs))]
            if isinstance(header, RoundsHeader):
                runs.append("beside" if header.double else "before")
            rows.append([*runs, *each, good("ok") if report.passed else bad("FAILED")])
        print_table(["", *(("runs", "written") if in_rounds else ("chips",)), "value", "bound", "gap", "check"], rows)
    best, judged, _ = min(answers, key=lambda one: one[0].header.metrics["prefill_ns"])
    if verbosity >= 0:
        _print_runs(best) if _is_rounds(best) else _print_chips(best)
    indented(_summary(best, judged.metrics or best.header.metrics))
    for _, report, files in answers:
        for violation in report.violations[:VIOLATIONS_SHOWN]:
            indented(bad(str(violation)))
        if files:
            verbatim(str(files[0]))


def print_checked_plan(name: str, plan: AnyPlan, report: PlanReport, verbosity: int) -> None:
    """One file: the verdict, the first violations, and its figures."""
    header = plan.header
    runs = plural(len(plan.runs), "run" if isinstance(header, RoundsHeader) else "chip")
    about = f"{header.model_name} on {header.hw.get('name')} by {header.strategy}, {runs}"
    line(f"{name}: ", good("ok") if report.passed else bad("FAILED"), f" ({about})")
    for violation in report.violations[: None if verbosity > 0 else VIOLATIONS_SHOWN]:
        indented(bad(str(violation)))
    if report.metrics is None:
        indented("figures are not recomputed, as a run breaks a rule")
    elif verbosity >= 0:
        indented(_summary(plan, report.metrics))


def describe_plans(answers: Sequence[Answered]) -> dict[str, Any]:
    """All answers as plain data."""
    kind = answers[0][0].header.format.partition("/")[0]
    return {
        "format": f"{kind}-run/1",
        "answers": [{**describe_checked_plan(each, report), "files": files} for each, report, files in answers],
    }


def describe_checked_plan(plan: AnyPlan, report: PlanReport) -> Mapping[str, Any]:
    """One answer with its verdict as plain data."""
    header = plan.header
    of_kind: dict[str, Any] = (
        {
            "double": header.double,
            "batch": header.batch,
            "runs": [(run.first, run.end, run.write_cycles) for run in header.runs],
        }
        if isinstance(header, RoundsHeader)
        else {"chips": header.chips, "runs": [(run.first, run.end) for run in header.runs]}
    )
    return {
        "passed": report.passed,
        "violations": report.violations,
        "strategy": header.strategy,
        "model": header.model_name,
        "hardware": header.hw.get("name"),
        **of_kind,
        "metrics": report.metrics,
        "bounds": header.bounds if report.passed else None,
    }


def _is_rounds(plan: AnyPlan) -> TypeGuard[Rounds]:
    return isinstance(plan.header, RoundsHeader)


def _print_chips(plan: AnyPlan) -> None:
    """Chip by chip: its steps, its arrays, its times, and what it sends to the next."""
    problem, clock_ns = Problem(plan.question()), float(plan.header.hw["clock_ns"])
    unit = choose_unit("time", [solution.header.metrics["latency_ns"] for solution in plan.runs])
    rows: list[list[Cell]] = []
    for place, (run, solution) in enumerate(zip(plan.header.runs, plan.runs, strict=True), 1):
        metrics = solution.header.metrics
        link = use_link(problem, run.end) if place < len(plan.runs) else None
        sent = ["", ""] if link is None else [number(link.bits), in_unit(link.latency * clock_ns, unit)]
        times = [in_unit(metrics[name], unit) for name in ("latency_ns", "ii_ns")]
        rows.append([str(place), solution.header.stages[0].name, number(metrics["arrays"]), *times, *sent])
    heading(f"Chips by {plan.header.strategy}, {unit.name}")
    print_table(["chip", "from", "arrays", "token", "II", "bits on", "link"], rows, text_columns=2)


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
    shown = list(enumerate(zip(times, rounds.runs, begins, strict=True), 1))[:RUNS_SHOWN]
    for number_of, (run, solution, (write, compute)) in shown:
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
    if len(times) > RUNS_SHOWN:
        indented(f"and {len(times) - RUNS_SHOWN} runs more")


def _summary(plan: AnyPlan, metrics: Metrics) -> str:
    header = plan.header
    said = _of_rounds(header, metrics) if isinstance(header, RoundsHeader) else _of_chips(header, metrics)
    return "; ".join(said) + "."


def _rates(metrics: Metrics, *names: str) -> list[str]:
    return [millions(metrics[f"{name}_tokens_per_s"]) for name in names]


def _of_chips(header: ChipsHeader, metrics: Metrics) -> Sequence[str]:
    one, prefill, many = _rates(metrics, "decode", "prefill", "throughput")
    return (
        f"{header.strategy}: {plural(int(metrics['chips']), 'chip')} of at most {header.chips}, {metrics['arrays']} "
        f"arrays on the fullest and {metrics['all_arrays']} in all; links take "
        f"{quantity(metrics['link_latency_ns'], 'time')} of a token",
        f"{one} tokens/s one by one, {prefill} in a prefill, {many} of many sequences",
        f"{quantity(metrics['energy_pj'], 'energy')} a token alone, of which links "
        f"{quantity(metrics['link_energy_pj'], 'energy')}",
    )


def _of_rounds(header: RoundsHeader, metrics: Metrics) -> Sequence[str]:
    one, prefill, many = _rates(metrics, "decode", "prefill", "batch")
    kind = "written while the run before computes" if header.double else "written one after the other"
    return (
        f"{header.strategy}: {plural(int(metrics['runs']), 'run')} on {metrics['arrays']} arrays, {kind}; writing "
        f"takes {quantity(metrics['write_ns'], 'time')} in all",
        f"{one} tokens/s one by one, {prefill} in a prefill, {many} in batches of {header.batch}; writing is "
        f"a tenth of the time from batches of {metrics['batch_of_a_tenth']} on",
        f"{quantity(metrics['energy_pj'], 'energy')} a token alone, {quantity(metrics['batch_energy_pj'], 'energy')} "
        f"in a batch; {millions(metrics['cell_writes_per_day'])} writes a cell and day"
        + (f", of which it endures {number(metrics['endurance_days'])} days" if "endurance_days" in metrics else ""),
    )
