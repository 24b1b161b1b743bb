"""The report of `cimsolve explain` of an answer in runs: what binds it, and what a change would buy."""

from __future__ import annotations

from typing import Any

from cimsolve.problem.plan import RoundsHeader
from cimsolve.show.as_json import picked
from cimsolve.show.figures import subject
from cimsolve.show.text.console import Cell, heading, indented, labelled, print_json, print_table
from cimsolve.show.text.explain import EXPLAIN_FORMAT
from cimsolve.show.text.plan import summary_of
from cimsolve.show.units import change, plural, quantity, share
from cimsolve.study.explain.runs import PlanExplanation
from cimsolve.study.ladder import find_ladder

FIGURES = {
    True: (
        ("token", "latency_ns"),
        ("prefill", "prefill_ns"),
        ("batch", "batch_tokens_per_s"),
        ("energy", "batch_energy_pj"),
    ),
    False: (("token", "latency_ns"), ("prefill", "prefill_ns"), ("II", "ii_ns"), ("energy", "energy_pj")),
}
"""Whether in rounds -> figures of the table of changes, and their metrics."""


def print_explained_plan(found: PlanExplanation, as_json: bool, verbosity: int) -> None:
    """As text or as JSON; with `verbosity` below 0 only the table of changes."""
    ladder = find_ladder(found.problem)
    beside = "" if ladder is None else ladder.told
    if as_json:
        print_json(_describe(found, beside))
        return
    header = found.plan.header
    heading(f"{found.name}: checked, and explained", first=True)
    if verbosity >= 0:
        indented(summary_of(found.plan, header.metrics))
        labelled(_binds(found))
        if beside:
            indented(f"Beside it: {beside}.")
    if not found.outcomes:
        return
    figures = FIGURES[isinstance(header, RoundsHeader)]
    rows: list[list[Cell]] = []
    for one in found.outcomes:
        if one.metrics:
            changes = [change(float(header.metrics[of]), float(one.metrics[of])) for _, of in figures]
            rows.append([one.what, str(one.metrics["runs" if "runs" in one.metrics else "chips"]), *changes])
        else:
            indented(f"{one.what}: {one.reason}")
    heading("What a change would buy")
    of = "tokens/s in\nbatches" if isinstance(header, RoundsHeader) else "II"
    titles = ["token", "prefill", of, "energy"]
    print_table(["", "runs" if isinstance(header, RoundsHeader) else "chips", *titles], rows)


def _binds(found: PlanExplanation) -> list[tuple[str, str]]:
    """What each figure's time goes to, in words."""
    header, clock_ns = found.plan.header, float(found.plan.header.hw["clock_ns"])
    told = []
    for of, parts in found.parts.items():
        total = sum(parts.values())
        shares = [f"{share(cycles / total)} {_said(part)}" for part, cycles in parts.items() if cycles]
        told.append((of, f"{quantity(total * clock_ns, 'time')}: {', '.join(shares)}"))
    if isinstance(header, RoundsHeader):
        runs, load = len(found.plan.runs), found.bound_by_load
        told.append(
            (
                "writing",
                f"the load link binds that of {load} of {plural(runs, 'run')}, the write drivers that of "
                f"{runs - load}; {found.slowest}, takes longest in a prefill",
            )
        )
        told.append(
            ("batches", f"of {header.metrics['batch_of_a_tenth']} and more, writing is at most a tenth of the time")
        )
    else:
        told.append(("II", f"{quantity(float(header.metrics['ii_ns']), 'time')}, bound by {found.slowest}"))
    return told


def _said(part: str) -> str:
    return {"computing": "computing", "links": "on links"}.get(part, f"waiting for the {part}")


def _describe(found: PlanExplanation, beside: str) -> dict[str, Any]:
    header = found.plan.header
    return {
        "format": EXPLAIN_FORMAT,
        "feasible": True,
        "name": found.name,
        **subject(header),
        "kind": header.kind,
        "metrics": header.metrics,
        "parts_cycles": found.parts,
        "slowest": found.slowest,
        **({"runs_bound_by_load": found.bound_by_load} if isinstance(header, RoundsHeader) else {}),
        "beside": beside,
        "binds": dict(_binds(found)),
        "what_if": [
            {
                **picked(one, "name", "what", "reason"),
                "metrics": one.metrics or None,
                "runtime_s": round(one.seconds, 3),
            }
            for one in found.outcomes
        ],
        "exit_code": 0,
    }
