"""The report of `cimsolve check`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cimsolve.judge.check import CheckReport
from cimsolve.judge.check.plan import PlanReport
from cimsolve.problem.solution import Header
from cimsolve.show.figures import FIGURES, subject, subject_text
from cimsolve.show.text.console import Cell, bad, good, indented, line
from cimsolve.show.text.sheet import Column, Sheet, print_sheet
from cimsolve.show.units import choose_unit, in_unit, titled

CHECK_FORMAT = "cimsolve-check/1"
VIOLATIONS_SHOWN = 3


def verdict(report: CheckReport) -> Cell:
    """The verdict in a word."""
    return good("ok") if report.passed else bad("FAILED")


def print_violations(report: CheckReport | PlanReport, what: str = "", most: int | None = VIOLATIONS_SHOWN) -> None:
    """The first violations, a paragraph each; `what` says what they are of."""
    for violation in report.violations[:most]:
        indented(bad(f"{what} breaks {violation}" if what else str(violation)))


def describe_verdict(report: CheckReport) -> dict[str, Any]:
    """The verdict as plain data."""
    return {"passed": report.passed, "violations": report.violations, "unverified_bounds": report.unverified}


def searched_bounds(report: CheckReport) -> str:
    """Which claims of a solution a search alone has shown, and how to have it repeated."""
    claims = [f"the bound on {figure.title}" for figure in FIGURES if figure.metric in report.unverified]
    claims += ["that the answer is optimal"] if "status" in report.unverified else []
    return (
        f"{' and '.join(claims)}: a search through all mappings showed it, which no equation repeats; "
        "`cimsolve check --prove FILE` searches again."
    )


def print_checked(
    name: str, header: Header, report: CheckReport, metrics: Mapping[str, int | float] | None, verbosity: int
) -> None:
    """One file: the verdict, the first violations, and what it claims beside what its tables give."""
    claim = f"optimal in {', '.join(header.objective)}" if header.status == "optimal" else header.status
    line(f"{name}: ", verdict(report), f" ({subject_text(header)}, claims {claim})")
    print_violations(report, most=None if verbosity > 0 else VIOLATIONS_SHOWN)
    hidden = 0 if verbosity > 0 else len(report.violations) - VIOLATIONS_SHOWN
    if hidden > 0:
        indented(f"and {hidden} more; -v shows all")
    if verbosity < 0:
        return
    if report.unverified and report.passed:
        indented(f"not verified: {searched_bounds(report)}")
    if metrics is None or report.bounds is None:
        indented("figures are not recomputed, as the tables break a rule")
        return
    rows = []
    for figure in FIGURES:
        again, entry = metrics[figure.metric], header.bounds.get(figure.metric)
        unit = choose_unit(figure.kind, [figure.base(header, again)])
        given = (header.metrics.get(figure.metric), again, None if entry is None else entry.lower)
        amounts = [None if value is None else in_unit(figure.base(header, value), unit) for value in given]
        proof = (entry or report.bounds.lower[figure.metric]).proof
        rows.append([f"  {titled(figure.title, unit)}", *amounts, entry and entry.gap, proof])
    columns = [*map(Column, ("", "claimed", "recomputed", "bound")), Column("gap", meaning="gap"), Column("proof")]
    shown = slice(None if verbosity > 0 else -1)
    print_sheet(Sheet(columns[shown], [row[shown] for row in rows]), text_columns=1)


def describe_check(report: CheckReport, header: Header, metrics: Mapping[str, int | float] | None) -> dict[str, Any]:
    """A judged solution file: the verdict, what it claims and what its tables give."""
    return {
        **describe_verdict(report),
        **subject(header),
        "status": header.status,
        "claimed": header.metrics,
        "recomputed": metrics,
    }
