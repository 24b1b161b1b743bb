"""The report of a run: strategies side by side, bounds, ratios, files."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table

from cimsolve.problem.objective import is_weighted, terms_of
from cimsolve.problem.solution import Header
from cimsolve.prove import objective_units, objective_values
from cimsolve.show.figures import AREA, ARRAYS, ENERGY, FIGURES, INTERVAL, LATENCY, PREFILL, Figure, clock_ns
from cimsolve.show.text.breakdown import print_breakdown
from cimsolve.show.text.console import Cell, bad, good, heading, indented, results, table, verbatim
from cimsolve.show.text.question import Asked, print_not_modelled, print_question
from cimsolve.show.units import choose_unit, in_unit, number, quantity, ratio, share
from cimsolve.solve.strategies import RULES
from cimsolve.study.outcome import Outcome, Solved, solved_ones

VIOLATIONS_SHOWN = 5
SNR_LOW_DB = 20.0
"""Below this the converters' rounding is a tenth of the signal or more, which deserves a word."""
TIMED = (LATENCY, PREFILL, INTERVAL)
BASELINE = "linear"


def print_asked(asked: Asked, verbosity: int) -> None:
    """What is about to be mapped."""
    print_question(results(), asked, verbosity)


def print_run(asked: Asked, outcomes: Sequence[Outcome], verbosity: int) -> None:
    """The end of a run; with `verbosity` below 0 the strategies' figures and nothing else."""
    console = results()
    solved = solved_ones(outcomes)
    if solved:
        _print_strategies(console, asked, outcomes, solved, first=verbosity < 0)
    for outcome in outcomes:
        _print_trouble(console, outcome)
    _print_rounding(console, outcomes)
    if verbosity < 0 or not solved:
        return
    _print_bounds(console, solved, verbosity)
    _print_sums(console, asked, solved)
    _print_ratios(console, asked, solved)
    if verbosity > 0:
        print_breakdown(console, solved)
    print_not_modelled(console, asked.problem)
    _print_files(console, asked, solved)


def summary_line(outcome: Outcome) -> str:
    """One finished strategy in one line, for the live progress."""
    if outcome.header is None or outcome.check is None:
        return f"{outcome.strategy}: {outcome.state}"
    return (
        f"{outcome.strategy}: {number(ARRAYS.total(outcome.header))} arrays, "
        f"token latency {quantity(LATENCY.total(outcome.header), LATENCY.kind)}, "
        f"check {'ok' if outcome.check.passed else 'FAILED'}, simulation {_simulation_cell(outcome)}"
    )


def _print_strategies(
    console: Console, asked: Asked, outcomes: Sequence[Outcome], solved: Sequence[Solved], first: bool
) -> None:
    heading(console, "Space and energy, one token", first)
    console.print(_space_table(outcomes, solved))
    heading(console, f"Time: one token, prefill of {asked.problem.model.tokens} tokens, II (1/II = throughput)")
    console.print(_time_table(solved))
    heading(console, "Verdicts")
    console.print(_verdict_table(solved))


def _space_table(outcomes: Sequence[Outcome], solved: Sequence[Solved]) -> Table:
    by_name = {one.strategy: one.header for one in solved}
    energy = choose_unit("energy", [ENERGY.total(one.header) for one in solved])
    in_arrays = choose_unit("energy", [ENERGY.in_arrays(one.header) for one in solved])
    rows: list[list[Cell]] = []
    for outcome in outcomes:
        header = by_name.get(outcome.strategy)
        if header is None:
            rows.append([outcome.strategy, bad(outcome.state), *["-"] * 7])
            continue
        metrics = header.metrics
        rows.append(
            [
                outcome.strategy,
                number(ARRAYS.total(header)),
                share(metrics["occupancy"]),
                number(AREA.total(header)),
                in_unit(ENERGY.total(header), energy),
                in_unit(ENERGY.in_arrays(header), in_arrays),
                number(metrics["adc_bits_max"]),
                share(metrics["array_busy_share"]),
                share(metrics["active_cell_share"]),
            ]
        )
    columns = [
        "strategy",
        "arrays",
        "cells\nused",
        "area\nmm2",
        f"energy\ntotal\n{energy.name}",
        f"energy\narrays\n{in_arrays.name}",
        "ADC\nbits",
        "arrays\nbusy",
        "cells\nactive",
    ]
    return table(columns, rows)


def _time_table(solved: Sequence[Solved]) -> Table:
    columns = ["strategy"]
    cells: list[list[str]] = []
    for figure, title in zip(TIMED, ("token", "prefill", "II"), strict=True):
        unit = choose_unit(figure.kind, [figure.in_arrays(one.header) for one in solved])
        for part, value in (("total", figure.total), ("arrays", figure.in_arrays)):
            columns.append(f"{title}\n{part}\n{unit.name}")
            cells.append([in_unit(value(one.header), unit) for one in solved])
    unit = choose_unit("time", [clock_ns(one.header) for one in solved])
    rows = [[one.strategy, *values] for one, values in zip(solved, zip(*cells, strict=True), strict=True)]
    return table(columns, rows)


def _verdict_table(solved: Sequence[Solved]) -> Table:
    rows: list[list[Cell]] = []
    for one in solved:
        header, simulation = one.header, one.outcome.simulation
        lossy = int(header.metrics["lossy_activations"])
        passed = one.check.passed
        snr = "-" if simulation is None or simulation.exact else f"{simulation.snr_db:.1f}"
        rows.append(
            [
                one.strategy,
                describe_status(one),
                good("ok") if passed else bad("FAILED"),
                _simulation_text(one.outcome),
                snr,
                bad("yes") if lossy else "no",
                f"{header.runtime_s:.2f}",
            ]
        )
    columns = ["strategy", "status", "check", "simulation", "SNR\ndB", "over\nmax bits", "solve\ns"]
    return table(columns, rows, text_columns=4)


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


def _simulation_text(outcome: Outcome) -> Cell:
    text = _simulation_cell(outcome)
    if outcome.simulation is None:
        return text
    return good(text) if outcome.simulation.passed else bad(text)


def _print_trouble(console: Console, outcome: Outcome) -> None:
    """Why a strategy has no answer, or what is wrong with the one it has."""
    if outcome.reason:
        reason = outcome.reason.removeprefix(f"{outcome.strategy}: ")
        state = outcome.not_simulated if outcome.state == "solved" else outcome.state
        indented(console, f"{outcome.strategy}: {state}: {reason}")
    if outcome.check is not None:
        for violation in outcome.check.violations[:VIOLATIONS_SHOWN]:
            indented(console, bad(f"{outcome.strategy} breaks {violation}"))
    simulation = outcome.simulation
    if simulation is not None and not simulation.passed:
        indented(console, bad(f"{outcome.strategy} computes wrong numbers: {simulation.first_mismatch}"))


def _print_rounding(console: Console, outcomes: Sequence[Outcome]) -> None:
    """A word where mapping and schedule are right and the converters still spoil the result."""
    low = [
        f"{outcome.strategy} {outcome.simulation.snr_db:.1f} dB"
        for outcome in outcomes
        if outcome.simulation is not None and outcome.simulation.passed and outcome.simulation.snr_db < SNR_LOW_DB
    ]
    if low:
        indented(
            console,
            "caution: mapping and schedule are right, but the converters have too few bits for these sums; "
            f"signal to noise of {', '.join(low)}",
        )


def _print_bounds(console: Console, solved: Sequence[Solved], verbosity: int) -> None:
    heading(console, "Bounds: what no mapping can beat, and the gap above it")
    units = [choose_unit(figure.kind, [figure.lower(one.header) for one in solved]) for figure in FIGURES]
    columns = ["strategy", ""]
    columns += [f"{figure.title}\n{unit.name}" for figure, unit in zip(FIGURES, units, strict=True)]
    rows: list[list[Cell]] = []
    for one in solved:
        header = one.header
        values = [in_unit(f.total(header), unit) for f, unit in zip(FIGURES, units, strict=True)]
        lowers = [in_unit(f.lower(header), unit) for f, unit in zip(FIGURES, units, strict=True)]
        gaps: list[Cell] = [good("0%") if f.gap(header) == 0 else share(f.gap(header)) for f in FIGURES]
        rows += [[one.strategy, "value", *values], ["", "bound", *lowers], ["", "gap", *gaps]]
    console.print(table(columns, rows, text_columns=2))
    indented(
        console,
        "The bound on arrays holds for any mapping, those on times and energy for any mapping on "
        f"{_bounded_on(solved[0].header)}; `linear` is bounded as stored, dense.",
    )
    for one in solved:
        if one.check.unverified:
            indented(
                console,
                f"{one.strategy}: the bounds on {', '.join(one.check.unverified)} rest on an exhaustive "
                "search, which only another search can confirm.",
            )
    if verbosity > 0:
        for figure in FIGURES:
            by_proof: dict[str, list[str]] = {}
            for one in solved:
                by_proof.setdefault(one.header.bounds[figure.metric].proof, []).append(one.strategy)
            proofs = "; ".join(f"{proof} ({', '.join(names)})" for proof, names in by_proof.items())
            indented(console, f"{figure.title} by {proofs}")


def _print_sums(console: Console, asked: Asked, solved: Sequence[Solved]) -> None:
    sums = [item for item in asked.objective if is_weighted(item)]
    if not sums:
        return
    units = objective_units(asked.problem, sums)
    rows: list[list[Cell]] = []
    for one in solved:
        rows.append([one.strategy, *map(number, objective_values(one.header.metrics, sums, units))])
    least = [number(sum(term.weight for term in terms_of(item))) for item in sums]
    heading(console, "Weighted sums of the objective, each metric in multiples of its bound on all arrays allowed")
    console.print(table(["strategy", *sums], [*rows, ["no mapping below", *least]]))


def _print_ratios(console: Console, asked: Asked, solved: Sequence[Solved]) -> None:
    rules = [one for one in solved if one.strategy in RULES]
    baseline = next((one for one in solved if one.strategy == BASELINE), None)
    units = objective_units(asked.problem, asked.objective)
    best = min(rules, key=lambda one: objective_values(one.header.metrics, asked.objective, units), default=None)
    if baseline is not None and len(solved) > 1:
        heading(console, f"Times better than {BASELINE}: 2 means half of its figure")
        console.print(_ratio_table(baseline, solved))
    if best is not None and best is not baseline and len(solved) > 1:
        heading(console, f"Times better than {best.strategy}, the best rule in {', then '.join(asked.objective)}")
        console.print(_ratio_table(best, solved))


def _ratio_table(reference: Solved, solved: Sequence[Solved]) -> Table:
    columns, parts = ["strategy"], _parts()
    columns += [title for title, _ in parts]
    rows = []
    for one in solved:
        row = [one.strategy]
        for _, value in parts:
            mine = value(one)
            row.append(ratio(value(reference) / mine) if mine else "-")
        rows.append(row)
    return table(columns, rows, tight=True)


def _parts() -> list[tuple[str, Callable[[Solved], float]]]:
    """The compared quantities: title, value; times both in total and in the arrays alone."""

    def total(figure: Figure) -> Callable[[Solved], float]:
        return lambda one: figure.total(one.header)

    def in_arrays(figure: Figure) -> Callable[[Solved], float]:
        return lambda one: figure.in_arrays(one.header)

    parts = [("arrays", total(ARRAYS))]
    for figure, title in ((LATENCY, "token"), (PREFILL, "prefill"), (INTERVAL, "II"), (ENERGY, "energy")):
        parts += [(f"{title}\ntotal", total(figure)), (f"{title}\narrays", in_arrays(figure))]
    return [*parts, ("area", total(AREA))]


def _print_files(console: Console, asked: Asked, solved: Sequence[Solved]) -> None:
    heading(console, "Written")
    for one in solved:
        for path in one.outcome.files:
            verbatim(console, str(path))
        if not one.outcome.files:
            indented(console, bad(f"{one.strategy}: not written, as it fails its check"))
    heading(console, "The same again")
    verbatim(console, asked.command)


def _bounded_on(header: Header) -> str:
    """For which array counts the bounds on times and energy hold, by the first objective."""
    return "the arrays that the strategy uses" if header.objective[:1] == ["arrays"] else "all arrays allowed"
