"""The report of `cimsolve explain` for a question without an answer: which limits are short, and what would do."""

from __future__ import annotations

from collections.abc import Mapping

from cimsolve.problem.problem import Problem
from cimsolve.show.as_json import picked
from cimsolve.show.text.console import Cell, heading, indented, print_json, print_table
from cimsolve.show.units import Kind, Unit, change, choose_unit, in_unit, quantity
from cimsolve.study.explain.limits import Relief, Short

EXPLAIN_FORMAT = "cimsolve-explain/1"
LIMITS: Mapping[str, tuple[str, Kind]] = {
    "max_arrays": ("--max-arrays", "count"),
    "max_latency_ns": ("--max-latency", "time"),
    "max_energy_pj": ("--max-energy", "energy"),
}


def print_short(found: Short, as_json: bool) -> None:
    """What is short, and what would do."""
    if as_json:
        print_json(
            {
                "format": EXPLAIN_FORMAT,
                "feasible": False,
                "reason": found.reason,
                "limits": [
                    {
                        **picked(one, "limit", "given", "least", "lower", "reason"),
                        "metrics": one.header.metrics if one.header else None,
                    }
                    for one in found.relief
                ],
                "without_limits": found.together.metrics if found.together else None,
                "runtime_s": round(found.seconds, 3),
                "exit_code": 1,
            }
        )
        return
    problem = found.problem
    heading(f"{problem.model.name} on {problem.hardware.name} by {found.strategy}: no mapping found", first=True)
    indented(found.reason)
    heading("The least change of one limit, the others kept")
    rows: list[list[Cell]] = []
    for one in found.relief:
        option, kind = LIMITS[one.limit]
        values = [value for value in (one.given, one.least, one.lower) if value is not None]
        unit = choose_unit(kind, values)
        shown = [_value(value, unit) for value in (one.given, one.least, one.lower)]
        more = "-" if one.least is None else change(one.given, one.least)
        rows.append([option, unit.name, *shown, more, _say(problem, one)])
    columns = ["limit", "", "given", "would\ndo", "proved\nleast", "change", "say"]
    print_table(columns, rows, text_columns=2, words_last=True)
    for one in found.relief:
        if one.least is None:
            indented(f"{LIMITS[one.limit][0]}: raising it alone does not help: {one.reason}")
        elif one.lower is not None and one.least <= one.lower * (1 + 1e-12):
            indented(f"{LIMITS[one.limit][0]}: proved: no mapping under the other limits does with less")
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


def _value(value: float | None, unit: Unit) -> str:
    return "-" if value is None else in_unit(value, unit)


def _say(problem: Problem, one: Relief) -> str:
    """The options that raise a limit far enough; the chip's own number of arrays is one of the spec."""
    if one.least is None:
        return "-"
    option, kind = LIMITS[one.limit]
    enough, count = _enough(one.least, kind), problem.hardware.array.count
    words = [f"--set array.count={enough}"] if one.limit == "max_arrays" and count and count < one.least else []
    given = {"max_arrays": problem.terms.max_arrays}.get(one.limit, one.given)
    words += [f"{option} {enough}"] if given is not None and given < one.least else []
    return " ".join(words)


def _enough(value: float, kind: Kind) -> str:
    """A limit as an option takes it, no less than `value`."""
    if kind == "count":
        return str(int(value))
    return str(int(value)) if float(value).is_integer() else repr(float(value))
