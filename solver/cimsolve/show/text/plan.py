"""Answers in runs: their figures beside what none goes below, and their runs over time, or chip by chip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from cimsolve.judge.check.plan import Metrics, PlanReport
from cimsolve.judge.simulate import SimulationReport
from cimsolve.price.chips import use_link
from cimsolve.price.rounds import begins_of_runs
from cimsolve.problem.plan import AnyPlan, ChipsHeader, Rounds, RoundsHeader
from cimsolve.problem.problem import Problem
from cimsolve.show.as_json import picked
from cimsolve.show.figures import subject, subject_text
from cimsolve.show.seen.runs import FIGURES, times_of_runs
from cimsolve.show.text.check import VIOLATIONS_SHOWN
from cimsolve.show.text.console import Cell, bad, good, heading, indented, line, print_table, verbatim
from cimsolve.show.units import choose_unit, in_unit, millions, number, plural, quantity, share


@dataclass(frozen=True)
class Answered:
    """An answer in runs with its verdict, and what the arrays make of the whole model; None where it was not run."""

    plan: AnyPlan
    report: PlanReport
    files: Sequence[Path]
    simulation: SimulationReport | None

    @property
    def passed(self) -> bool:
        """Whether neither the checker nor the simulation found it wrong."""
        return self.report.passed and (self.simulation is None or self.simulation.passed)


BAR = 32
RUNS_SHOWN = 24


def print_plans(answers: Sequence[Answered], verbosity: int) -> None:
    """A table of all answers, then the runs of the best."""
    first = answers[0].plan.header
    in_rounds = isinstance(first, RoundsHeader)
    about = "in rounds" if in_rounds else "on chips in a row"
    if verbosity >= 0:
        heading(f"{first.model_name} on {first.hw.get('name')}, {about}", first=True)
    ofs = {
        "token latency": ", one token",
        "prefill": f" of {answers[0].plan.question().model.tokens_told}",
        "batch": f" of {first.metrics.get('batch')} tokens",
        "II": ", of many sequences",
    }
    for title, metric, bound in FIGURES[type(first)] if verbosity >= 0 else ():
        unit = choose_unit("time", [each.plan.header.metrics[metric] for each in answers])
        heading(f"{title}{ofs[title]}, {unit.name}")
        rows: list[list[Cell]] = []
        for answer in answers:
            plan, header = answer.plan, answer.plan.header
            lower = header.bounds[bound].lower * (header.metrics[metric] / header.bounds[bound].value)
            each = [in_unit(header.metrics[metric], unit), in_unit(lower, unit), share(header.bounds[bound].gap)]
            runs: list[Cell] = [header.strategy, number(len(plan.runs))]
            if isinstance(header, RoundsHeader):
                runs.append("beside" if header.double else "before")
            rows.append([*runs, *each, good("ok") if answer.report.passed else bad("FAILED")])
        print_table(["", *(("runs", "written") if in_rounds else ("chips",)), "value", "bound", "gap", "check"], rows)
    chosen = min(answers, key=lambda one: one.plan.header.metrics["prefill_ns"])
    best = chosen.plan
    if verbosity >= 0:
        _print_runs(best) if _is_rounds(best) else _print_chips(best)
    indented(summary_of(best, chosen.report.metrics or best.header.metrics))
    for answer in answers:
        for violation in answer.report.violations[:VIOLATIONS_SHOWN]:
            indented(bad(str(violation)))
        if answer.simulation is not None:
            print_simulated(answer.plan, answer.simulation)
        if answer.files:
            verbatim(str(answer.files[0]))


def print_simulated(plan: AnyPlan, found: SimulationReport) -> None:
    """Whether the arrays, programmed anew for each run, give the numbers of the whole model."""
    runs = "run" if isinstance(plan.header, RoundsHeader) else "chip"
    layers = plural(len(found.layers), "layer")
    about = f"{plan.header.strategy}: the arrays of each {runs}, what one makes handed on to the next"
    if not found.passed:
        indented(bad(f"{about}, compute wrong numbers: {found.first_mismatch}"))
        return
    made = "all numbers" if found.exact else f"all numbers but for the converters' rounding ({found.snr_db:.1f} dB)"
    indented(f"{about}, give {made} of the whole model; {layers}, {found.outputs} outputs.")


def print_checked_plan(name: str, plan: AnyPlan, report: PlanReport, verbosity: int) -> None:
    """One file: the verdict, the first violations, and its figures."""
    header = plan.header
    runs = plural(len(plan.runs), "run" if isinstance(header, RoundsHeader) else "chip")
    line(f"{name}: ", good("ok") if report.passed else bad("FAILED"), f" ({subject_text(header)}, {runs})")
    for violation in report.violations[: None if verbosity > 0 else VIOLATIONS_SHOWN]:
        indented(bad(str(violation)))
    if report.metrics is None:
        indented("figures are not recomputed, as a run breaks a rule")
    elif verbosity >= 0:
        indented(summary_of(plan, report.metrics))


def describe_plans(answers: Sequence[Answered]) -> dict[str, Any]:
    """All answers as plain data."""
    kind = answers[0].plan.header.format.partition("/")[0]
    return {
        "format": f"{kind}-run/1",
        "answers": [
            {
                **describe_checked_plan(each.plan, each.report),
                "simulation": None if each.simulation is None else describe_simulated(each.simulation),
                "files": each.files,
            }
            for each in answers
        ],
    }


def describe_simulated(found: SimulationReport) -> dict[str, Any]:
    """What the arrays of all runs make of the whole model, as plain data."""
    names = ("passed", "exact", "layers", "vectors", "outputs", "mismatches", "snr_db", "first_mismatch")
    return picked(found, *names)


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
        **subject(header),
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
    clock_ns, times = float(header.hw["clock_ns"]), times_of_runs(rounds)
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


def summary_of(plan: AnyPlan, metrics: Metrics) -> str:
    """The answer in words: runs or chips, arrays, rates, energy and wear."""
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
