"""The report of `cimsolve check`."""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text

from cimsolve.judge.check import CheckReport
from cimsolve.problem.solution import Header
from cimsolve.show.figures import FIGURES
from cimsolve.show.text.console import Cell, bad, good, indented, results, table
from cimsolve.show.units import choose_unit, in_unit, share

VIOLATIONS_SHOWN = 3


def print_checked(
    name: str,
    header: Header,
    report: CheckReport,
    metrics: Mapping[str, int | float] | None,
    verbosity: int,
) -> None:
    """One file: the verdict, the first violations, and what it claims beside what its tables give."""
    console = results()
    verdict = good("ok") if report.passed else bad("FAILED")
    claim = f"optimal in {', '.join(header.objective)}" if header.status == "optimal" else header.status
    what = f"{header.model_name} on {header.hw.get('name')} by {header.strategy}, claims {claim}"
    console.print(Text.assemble(f"{name}: ", verdict, f" ({what})"), soft_wrap=True)
    shown = report.violations if verbosity > 0 else report.violations[:VIOLATIONS_SHOWN]
    for violation in shown:
        indented(console, bad(str(violation)))
    if len(report.violations) > len(shown):
        indented(console, f"and {len(report.violations) - len(shown)} more; -v shows all")
    if verbosity < 0:
        return
    if report.unverified:
        indented(
            console,
            f"not verified: the bounds on {', '.join(report.unverified)} claim an exhaustive search, which "
            "only another search can confirm",
        )
    if metrics is None or report.bounds is None:
        indented(console, "figures are not recomputed, as the tables break a rule")
        return
    columns = ["", "claimed", "recomputed", "bound", "gap"]
    rows: list[list[Cell]] = []
    for figure in FIGURES:
        again, bound = metrics[figure.metric], report.bounds.lower[figure.metric]
        claimed = header.metrics.get(figure.metric)
        entry = header.bounds.get(figure.metric)
        unit = choose_unit(figure.kind, [figure.base(header, again)])
        row: list[Cell] = [
            f"  {figure.title}{', ' if unit.name else ''}{unit.name}",
            "-" if claimed is None else in_unit(figure.base(header, claimed), unit),
            in_unit(figure.base(header, again), unit),
            "-" if entry is None else in_unit(figure.base(header, entry.lower), unit),
            "-" if entry is None else share(entry.gap),
        ]
        if verbosity > 0:
            row.append(bound.proof if entry is None else entry.proof)
        rows.append(row)
    console.print(table(columns + (["proof"] if verbosity > 0 else []), rows))
