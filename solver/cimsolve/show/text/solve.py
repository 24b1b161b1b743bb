"""The report of a run: strategies side by side, bounds, ratios, files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from cimsolve.problem.objective import is_weighted, names_of, terms_of
from cimsolve.prove import objective_units, objective_values
from cimsolve.show.as_json import picked
from cimsolve.show.figures import AREA, ARRAYS, ENERGY, FIGURES, INTERVAL, LATENCY, PREFILL
from cimsolve.show.text.answer import best_rule_words, describe_answer, print_answer
from cimsolve.show.text.breakdown import print_breakdown
from cimsolve.show.text.check import describe_verdict, print_violations, searched_bounds, verdict
from cimsolve.show.text.console import Cell, bad, good, heading, indented, print_table, same_again, verbatim
from cimsolve.show.text.question import print_not_modelled, question_fields
from cimsolve.show.text.sheet import Column, Sheet, print_sheet
from cimsolve.show.units import Kind, choose_unit, number, quantity, share
from cimsolve.solve.names import DENSE, DENSE_RULE
from cimsolve.study.ask import Asked, Outcome, Solved, solved_ones
from cimsolve.study.conclusion import Conclusion, conclude

RUN_FORMAT = "cimsolve-run/1"
VIOLATIONS_SHOWN = 5
SNR_LOW_DB = 20.0
"""Below this the converters' rounding is a tenth of the signal or more, which deserves a word."""
TIMED = (LATENCY, PREFILL, INTERVAL)
MOVES = "network_latency_ns"
"""What moves take of the latency, on a chip with a network."""


def print_run(asked: Asked, outcomes: Sequence[Outcome], verbosity: int) -> None:
    """The end of a run, the answer in words last; with `verbosity` below 0 that alone, above 0 what experts read."""
    solved = solved_ones(outcomes)
    if solved and verbosity >= 0:
        heading(f"One token, prefill of {asked.problem.model.tokens_told}, II (1/II = throughput)")
        _print_figures(asked, outcomes)
        indented(_verdicts(solved))
    for outcome in outcomes:
        _print_trouble(outcome, verbosity)
    _print_rounding(outcomes)
    found = conclude(asked, outcomes)
    if solved and verbosity > 0:
        _print_details(asked, outcomes, solved, found)
    if verbosity >= 0:
        _print_sums(asked, solved)
        _print_files(asked, solved, verbosity)
    print_answer(asked, found, first=verbosity < 0)


def _print_details(asked: Asked, outcomes: Sequence[Outcome], solved: Sequence[Solved], found: Conclusion) -> None:
    heading("Space and energy, one token")
    _print_space(outcomes)
    heading("Time, in total and in the arrays alone")
    _print_time(solved)
    heading("Verdicts")
    _print_verdicts(solved)
    _print_bounds(solved)
    _print_ratios(asked, solved, found)
    print_breakdown(solved)
    print_not_modelled(asked.problem)


def summary_line(outcome: Outcome) -> str:
    """One finished strategy in one line, for the live progress."""
    if outcome.header is None or outcome.check is None:
        return f"{outcome.strategy}: {outcome.state}"
    return (
        f"{outcome.strategy}: {number(ARRAYS.total(outcome.header))} arrays, "
        f"token latency {quantity(LATENCY.total(outcome.header), LATENCY.kind)}, "
        f"check {'ok' if outcome.check.passed else 'FAILED'}, simulation {_simulation_cell(outcome)}"
    )


def _print_figures(asked: Asked, outcomes: Sequence[Outcome]) -> None:
    """What each strategy's answer costs, and how far it is from what no mapping can beat in the objective."""
    columns = [Column("strategy"), *(Column(figure.head, meaning=figure.kind) for figure in FIGURES)]
    wanted = [figure for figure in FIGURES if figure.objective in names_of(asked.objective)]
    columns += [Column(f"gap in\n{figure.head}", meaning="share") for figure in wanted]
    rows: list[list[Any]] = []
    for one in outcomes:
        if one.header is None:
            rows.append([one.strategy, bad(one.state), *[None] * (len(columns) - 2)])
            continue
        header = one.header
        gaps = [good("proved") if figure.gap(header) == 0 else share(figure.gap(header)) for figure in wanted]
        rows.append([one.strategy, *(figure.total(header) for figure in FIGURES), *gaps])
    print_sheet(Sheet(columns, rows), tight=len(wanted) > 1)


def _verdicts(solved: Sequence[Solved]) -> str:
    """What checker and simulation say of all answers, in a sentence."""
    failed = sum(not one.check.passed for one in solved)
    text = "All passed the checker" if not failed else f"{failed} of {len(solved)} FAILED the checker"
    simulated = Counter(_simulation_cell(one.outcome) for one in solved)
    cells = ", ".join(cell if len(simulated) == 1 else f"{cell} ({count})" for cell, count in simulated.items())
    return f"{text}; simulation: {cells}. Bounds, breakdown, sources and what is not modelled: -v."


def _print_space(outcomes: Sequence[Outcome]) -> None:
    shown: Mapping[str, tuple[str, Kind]] = {
        ARRAYS.metric: ("arrays", "count"),
        "occupancy": ("cells\nused", "share"),
        AREA.metric: ("area", "area"),
        ENERGY.metric: ("energy\ntotal", "energy"),
        ENERGY.array_metric: ("energy\narrays", "energy"),
        "adc_bits_max": ("ADC\nbits", "count"),
        "array_busy_share": ("arrays\nbusy", "share"),
        "active_cell_share": ("cells\nactive", "share"),
    }
    columns = [Column("strategy"), *(Column(title, meaning=kind) for title, kind in shown.values())]
    rows = [
        [one.strategy, *(one.header.metrics[name] for name in shown)]
        if one.header
        else [one.strategy, bad(one.state), *[None] * (len(shown) - 1)]
        for one in outcomes
    ]
    print_sheet(Sheet(columns, rows))


def _print_time(solved: Sequence[Solved]) -> None:
    columns = [Column("strategy")]
    for figure in TIMED:
        unit = choose_unit(figure.kind, [figure.in_arrays(one.header) for one in solved])
        columns += [Column(f"{figure.head}\n{part}", meaning=figure.kind, unit=unit) for part in ("total", "arrays")]
    rows = [
        [one.strategy, *(value(one.header) for figure in TIMED for value in (figure.total, figure.in_arrays))]
        for one in solved
    ]
    if any(MOVES in one.header.metrics for one in solved):
        columns.insert(3, Column(f"{LATENCY.head}\nmoves", meaning=LATENCY.kind))
        for row, one in zip(rows, solved, strict=True):
            row.insert(3, one.header.metrics.get(MOVES))
    print_sheet(Sheet(columns, rows))


def _print_verdicts(solved: Sequence[Solved]) -> None:
    rows: list[list[Cell]] = []
    for one in solved:
        simulation, simulated = one.outcome.simulation, _simulation_cell(one.outcome)
        rows.append(
            [
                one.strategy,
                describe_status(one),
                verdict(one.check),
                simulated if simulation is None else good(simulated) if simulation.passed else bad(simulated),
                "-" if simulation is None or simulation.exact else f"{simulation.snr_db:.1f}",
                bad("yes") if one.header.metrics["lossy_activations"] else "no",
                f"{one.outcome.solve_s:.2f}",
            ]
        )
    columns = ["strategy", "status", "check", "simulation", "SNR\ndB", "over\nmax bits", "solve\ns"]
    print_table(columns, rows, text_columns=4)


def describe_status(one: Solved) -> str:
    """`optimal` only where the status claims it and the checker does not object, and in what."""
    if one.header.status != "optimal" or not one.check.passed:
        return "feasible"
    searched = " (by search)" if one.check.unverified else ""
    return f"optimal in {', '.join(one.header.objective)}{searched}"


def _simulation_cell(outcome: Outcome) -> str:
    simulation = outcome.simulation
    if simulation is None:
        return outcome.not_simulated or "not run"
    if not simulation.passed:
        return "FAILED"
    return "exact" if simulation.exact else "ADC rounding only"


def _print_trouble(outcome: Outcome, verbosity: int) -> None:
    """Why a strategy has no answer, and what is wrong with the one it has; with `verbosity` below 0 only the latter."""
    if outcome.reason and verbosity >= 0:
        reason = outcome.reason.removeprefix(f"{outcome.strategy}: ")
        state = outcome.not_simulated if outcome.state == "solved" else outcome.state
        indented(f"{outcome.strategy}: {state}: {reason}")
    if outcome.header is not None and outcome.header.stopped_by is not None:
        indented(
            f"caution: {outcome.strategy} was stopped by the {outcome.header.stopped_by.replace('interrupt', 'user')}; "
            "with more time it may find better, and two runs may differ"
        )
    if outcome.check is not None:
        print_violations(outcome.check, outcome.strategy, VIOLATIONS_SHOWN)
    simulation = outcome.simulation
    if simulation is not None and not simulation.passed:
        indented(bad(f"{outcome.strategy} computes wrong numbers: {simulation.first_mismatch}"))


def _print_rounding(outcomes: Sequence[Outcome]) -> None:
    """A word where mapping and schedule are right and the converters still spoil the result."""
    low = [
        f"{outcome.strategy} {outcome.simulation.snr_db:.1f} dB"
        for outcome in outcomes
        if outcome.simulation is not None and outcome.simulation.passed and outcome.simulation.snr_db < SNR_LOW_DB
    ]
    if low:
        indented(
            "caution: mapping and schedule are right, but the converters have too few bits for these sums; "
            f"signal to noise of {', '.join(low)}"
        )


def _print_bounds(solved: Sequence[Solved]) -> None:
    heading("Bounds: what no mapping can beat, and the gap above it")
    columns = [Column("strategy"), Column("")]
    for figure in FIGURES:
        unit = choose_unit(figure.kind, [figure.lower(one.header) for one in solved])
        title = figure.title if unit.name else f"{figure.title}\n"  # a count has no unit below its title
        columns.append(Column(title, meaning=figure.kind, unit=unit))
    rows: list[list[Any]] = []
    for one in solved:
        gaps = [figure.gap(one.header) for figure in FIGURES]
        rows += [
            [one.strategy, "value", *(figure.total(one.header) for figure in FIGURES)],
            ["", "bound", *(figure.lower(one.header) for figure in FIGURES)],
            ["", "gap", *(share(gap) if gap else good("0%") for gap in gaps)],
        ]
    print_sheet(Sheet(columns, rows))
    arrays_first = solved[0].header.objective[:1] == ["arrays"]
    indented(
        "The bound on arrays holds for any mapping, those on times and energy for any mapping on "
        f"{'the arrays that the strategy uses' if arrays_first else 'all arrays allowed'}; "
        "`linear` and `dense-optimal` are bounded as stored, dense."
    )
    for one in solved:
        if one.check.unverified:
            indented(f"{one.strategy}: {searched_bounds(one.check)}")
    for figure in FIGURES:
        by_proof: dict[str, list[str]] = {}
        for one in solved:
            by_proof.setdefault(one.header.bounds[figure.metric].proof, []).append(one.strategy)
        proofs = "; ".join(f"{proof} ({', '.join(names)})" for proof, names in by_proof.items())
        indented(f"{figure.title} by {proofs}")


def _print_sums(asked: Asked, solved: Sequence[Solved]) -> None:
    sums = [item for item in asked.objective if is_weighted(item)]
    if not sums:
        return
    units = objective_units(asked.problem, sums)
    rows = [[one.strategy, *map(number, objective_values(one.header.metrics, sums, units))] for one in solved]
    least = [number(sum(term.weight for term in terms_of(item))) for item in sums]
    heading("Weighted sums of the objective, each metric in multiples of its bound on all arrays allowed")
    print_table(["strategy", *sums], [*rows, ["no mapping below", *least]])


def _print_ratios(asked: Asked, solved: Sequence[Solved], found: Conclusion) -> None:
    """Every answer beside the baseline and each of those that the best is compared with."""
    if len(solved) == 1 or found.best is None:
        return
    known = {one.strategy: one for one in solved}
    titles = {DENSE_RULE: "", DENSE: ", the solver on dense weights"}
    rule = f", {best_rule_words(found.best)} in {', then '.join(asked.objective)}"
    for name in dict.fromkeys([DENSE_RULE, *(each.strategy for each in found.against)]):
        if name in known:
            title = titles.get(name, rule)
            heading(f"Times better than {name}{title}: 2 means half of its figure")
            _print_times_better(known[name], solved)


def _print_times_better(reference: Solved, solved: Sequence[Solved]) -> None:
    """Figures of the reference over those of each strategy, both in total and in the arrays alone."""
    parts = [("arrays", ARRAYS.total)]
    for figure in (*TIMED, ENERGY):
        parts += [(f"{figure.head}\ntotal", figure.total), (f"{figure.head}\narrays", figure.in_arrays)]
    parts.append(("area", AREA.total))
    rows: list[list[Any]] = []
    for one in solved:
        pairs = [(value(reference.header), value(one.header)) for _, value in parts]
        rows.append([one.strategy, *(theirs / mine if mine else None for theirs, mine in pairs)])
    columns = [Column("strategy"), *(Column(title, meaning="ratio") for title, _ in parts)]
    print_sheet(Sheet(columns, rows), tight=True)


def _print_files(asked: Asked, solved: Sequence[Solved], verbosity: int) -> None:
    paths = [str(path) for one in solved for path in one.outcome.files]
    heading("Written")
    if verbosity > 0 or len(paths) == 1:
        for path in paths:
            verbatim(path)
    elif paths:
        start = os.path.commonprefix(paths)  # noqa: RUF071 the start of their names is meant
        verbatim(f"{start}*, {len(paths)} files")
    for one in solved:
        if not one.outcome.files:
            indented(bad(f"{one.strategy}: not written, as it fails its check"))
    same_again(asked.command)


def describe_run(asked: Asked, outcomes: Sequence[Outcome], exit_code: int) -> dict[str, Any]:
    """The question, and of each strategy its figures, bounds, verdicts and files."""
    units = objective_units(asked.problem, asked.objective)
    return {
        "format": RUN_FORMAT,
        "question": {**question_fields(asked), **picked(asked, "objective", "seed")},
        "strategies": {outcome.strategy: _describe(outcome, asked, units) for outcome in outcomes},
        "answer": describe_answer(asked, conclude(asked, outcomes)),
        "command": asked.command,
        "exit_code": exit_code,
    }


def _describe(outcome: Outcome, asked: Asked, units: Mapping[str, float]) -> dict[str, Any]:
    header, simulation = outcome.header, outcome.simulation
    if header is None or outcome.check is None:
        return picked(outcome, "state", "reason")
    simulated: dict[str, Any] = {"passed": None, "reason": outcome.not_simulated}
    if simulation is not None:
        names = ("passed", "exact", "lossless_expected", "layers", "outputs", "mismatches")
        simulated = picked(simulation, *names, "relative_error", "snr_db", "weight_error", "first_mismatch")
    found = {
        **picked(outcome, "state", "files"),
        **picked(header, "status", "stopped_by", "metrics", "bounds"),
        "runtime_s": round(outcome.solve_s, 3),
        "check": describe_verdict(outcome.check),
        "simulation": simulated,
    }
    sums = [item for item in asked.objective if is_weighted(item)]
    weighted = dict(zip(sums, objective_values(header.metrics, sums, units), strict=True))
    return {**found, "weighted": weighted} if sums else found
