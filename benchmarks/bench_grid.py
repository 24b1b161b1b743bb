"""Every shipped model on every shipped spec, with and without column cuts: value, bound, time, memory.

Strategy `optimal`, by default for fewest arrays, then token latency. With `--objective arrays,prefill` or
`arrays,throughput` that metric is sought, and its gaps are summed up. Each cell runs in a process of its own, so that
its peak of memory is its own and one that fails does not end the run; the smallest come first. `--resume` keeps each
cell in a file as soon as it is measured, and measures only what is not there.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common import (
    HARDWARE,
    MODELS,
    BenchmarkError,
    log,
    make_parser,
    markdown_table,
    percent,
    provenance,
    run_self,
    write_report,
)

CUTS = ("none", "columns")
GAPS = ("latency_cycles", "prefill_ns", "ii_cycles")
SOUGHT = {"prefill": ("prefill_ns", ((0.05, 0.8), (0.1, 1.0))), "throughput": ("ii_cycles", ((0.02, 0.9),))}
"""Of objectives the metric, and gaps with the share of the spread-out cells that should reach them."""
DEFAULT = "arrays,latency"
CLOSE = 0.05
"""The gap that a cell with fewer arrays than its largest stage has blocks should reach."""

ROUNDING = 1e-12

Cell = tuple[str, str, str]
Result = Mapping[str, Any]


def measure(cell: Cell, seed: int = 0, objective: str = DEFAULT) -> dict[str, Any]:
    """Map and check one cell in this process."""
    from cimsolve.api import make_problem
    from cimsolve.judge.check import check_solution
    from cimsolve.solve.effort import Effort
    from cimsolve.study.solving import solve

    model, hardware, cut = cell
    problem = make_problem(model, hardware, cut=cut, objective=tuple(objective.split(",")))
    began = time.perf_counter()
    solution = solve(problem, "optimal", Effort(seed=seed))
    mapped = time.perf_counter()
    report = check_solution(solution, problem)
    checked = time.perf_counter()
    factors = problem.workload.factors
    header = solution.header
    return {
        "bounds": {
            name: {"value": bound.value, "lower": bound.lower, "gap": bound.gap, "proof": bound.proof}
            for name, bound in header.bounds.items()
        },
        "stage_blocks": max(
            sum(factors[number].blocks for number in members) for members in problem.workload.factors_of_stage
        ),
        "pieces": len(solution.pieces),
        "map_s": mapped - began,
        "check_s": checked - mapped,
        "violation": str(report.violations[0]) if report.violations else None,
    }


def spread_out(result: Result) -> bool:
    """Whether the cell has at least as many arrays as its largest stage has blocks."""
    return bool(result["bounds"]["arrays"]["value"] >= result["stage_blocks"])


def negative_gaps(cells: Mapping[Cell, Result]) -> list[str]:
    """Values below their bound by more than the rounding of floats: bugs."""
    return [
        f"{' / '.join(cell)}: {name} {bound['value']} lies below its bound {bound['lower']}"
        for cell, result in cells.items()
        if "error" not in result
        for name, bound in result["bounds"].items()
        if bound["value"] < bound["lower"] * (1 - ROUNDING)
    ]


def table(cells: Mapping[Cell, Result]) -> str:
    header = (
        "model",
        "hardware",
        "cut",
        "arrays",
        "bound",
        "proof",
        "token gap %",
        "prefill gap %",
        "II gap %",
        "spread out",
        "check",
        "map, s",
        "check, s",
        "pieces",
        "peak, MiB",
    )
    return markdown_table(header, [_line(cell, result) for cell, result in cells.items()])


def _line(cell: Cell, result: Result) -> list[object]:
    if "error" in result:
        return [*cell, *[None] * 7, f"none: {result['error']}"[:120].replace("|", "/"), *[None] * 4]
    bounds = result["bounds"]
    return [
        *cell,
        bounds["arrays"]["value"],
        bounds["arrays"]["lower"],
        bounds["arrays"]["proof"],
        *(percent(bounds[name]["gap"]) for name in GAPS),
        "yes" if spread_out(result) else "no",
        "passed" if result["violation"] is None else result["violation"][:120].replace("|", "/"),
        f"{result['map_s']:.1f}",
        f"{result['check_s']:.1f}",
        result["pieces"],
        f"{result['peak_mib']:.0f}",
    ]


def sought(cells: Mapping[Cell, Result], objective: str) -> str:
    """How many of the spread-out cells come how near to the bound of the metric that is sought."""
    spread = [result for result in cells.values() if "error" not in result and spread_out(result)]
    lines = []
    for name in set(objective.split(",")) & set(SOUGHT) if spread else ():
        metric, targets = SOUGHT[name]
        for gap, share in targets:
            close = sum(result["bounds"][metric]["gap"] <= gap for result in spread)
            lines.append(
                f"- With {objective}, {name} at most {gap:.0%} above its bound where cells are spread out: "
                f"{_share(close, len(spread))}; sought in {share:.0%}."
            )
    return "\n".join(lines)


def summary(cells: Mapping[Cell, Result]) -> str:
    """What the issue asks of the grid, in lines."""
    answered = {cell: result for cell, result in cells.items() if "error" not in result}
    if not answered:
        return f"No cell of {len(cells)} was answered."
    passed = sum(result["violation"] is None for result in answered.values())
    proved = [cell for cell, result in answered.items() if result["bounds"]["arrays"]["gap"] == 0]
    above = {
        cell: (arrays["value"] - arrays["lower"], arrays["gap"])
        for cell, result in answered.items()
        if (arrays := result["bounds"]["arrays"])["gap"] != 0
    }
    lines = [
        f"- {len(answered)} of {len(cells)} cells answered, {passed} passed the checker.",
        f"- Array count proved optimal: {_share(len(proved), len(answered))}.",
    ]
    if above:
        worst = max(above, key=lambda cell: above[cell][1])
        beyond = sum(more > 1 and gap > 0.01 for more, gap in above.values())
        lines.append(
            f"- Elsewhere at most {above[worst][0]} more than the bound, {percent(above[worst][1])} % "
            f"({' / '.join(worst)}); {beyond} cells are both more than 1 array and more than 1 % above it."
        )
    for much, name in ((True, "at least"), (False, "fewer")):
        group = {cell: result for cell, result in answered.items() if spread_out(result) is much}
        if group:
            lines += _latency_lines(group, name, 0.0 if much else CLOSE)
    worst_of = []
    for name in GAPS:
        cell = max(answered, key=lambda cell: answered[cell]["bounds"][name]["gap"])
        worst_of.append(f"{name} {percent(answered[cell]['bounds'][name]['gap'])} % ({' / '.join(cell)})")
    lines.append(f"- Worst gaps: {', '.join(worst_of)}.")
    slowest = max(answered, key=lambda cell: answered[cell]["map_s"] + answered[cell]["check_s"])
    seconds = answered[slowest]["map_s"] + answered[slowest]["check_s"]
    lines.append(f"- Slowest: {seconds:.0f} s, {' / '.join(slowest)}.")
    below = negative_gaps(cells)
    lines.append(f"- Values below their bound: {'none' if not below else '; '.join(below)}.")
    worse = cuts_that_hurt(cells)
    lines.append(f"- Cells where cuts make it worse: {'none' if not worse else '; '.join(worse)}.")
    return "\n".join(lines)


def cuts_that_hurt(cells: Mapping[Cell, Result]) -> list[str]:
    """Where leave to cut columns costs arrays or, at equal arrays, latency: whole blocks would still be allowed."""
    found = []
    for (model, spec, cut), result in cells.items():
        whole = cells.get((model, spec, "none"), {"error": ""})
        if cut == "none" or "error" in result or "error" in whole:
            continue
        with_cuts, without = (
            [of["bounds"][name]["value"] for name in ("arrays", "latency_cycles")] for of in (result, whole)
        )
        if with_cuts > without:
            found.append(f"{model} / {spec}: {with_cuts} for {without}")
    return found


def _latency_lines(group: Mapping[Cell, Result], name: str, limit: float) -> list[str]:
    gaps = {cell: result["bounds"]["latency_cycles"]["gap"] for cell, result in group.items()}
    closed = sum(gap == 0 for gap in gaps.values())
    worst = max(gaps, key=lambda cell: gaps[cell])
    lines = [
        f"- Token latency where there are {name} arrays {'as' if limit == 0 else 'than'} blocks in the largest stage "
        f"({len(group)} cells): gap 0 in {_share(closed, len(group))}; worst {percent(gaps[worst])} % "
        f"({' / '.join(worst)})."
    ]
    if limit:
        close = sum(gap <= limit for gap in gaps.values())
        lines.append(f"  At most {limit:.0%} above the bound: {_share(close, len(group))}.")
    return lines


def _share(part: int, of: int) -> str:
    return f"{part} of {of} ({part / of:.0%})"


NOTES = """\
Gaps are (value - bound) / bound. The array count is bounded for any mapping under the cut, everything else for
mappings on as many arrays as the answer uses; what the objective does not name is only shown. "Spread out": the
answer has at least as many arrays as the largest stage has blocks. Seconds are those inside the process, without
its start; the peak of memory is that of the whole process, mapping and checking."""


def report(
    cells: Mapping[Cell, Result], objective: str, argv: Sequence[str] | None, out: Path | None, dates: Sequence[str]
) -> None:
    spans = sorted(set(dates))
    measured = f"Cells measured from {spans[0]} to {spans[-1]} (UTC)." if len(spans) > 1 else ""
    write_report(
        out,
        "# `optimal` on every shipped model and spec",
        provenance(__file__, argv),
        f"{NOTES} {measured}".strip(),
        sought(cells, objective),
        summary(cells),
        table(cells),
    )


def _key(cell: Cell, objective: str) -> str:
    return "/".join((*cell, *(() if objective == DEFAULT else (objective,))))


def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser(__doc__ or "", "grid.md")
    parser.add_argument("--models", nargs="+", default=MODELS, metavar="MODEL")
    parser.add_argument("--hw", nargs="+", default=HARDWARE, metavar="SPEC")
    parser.add_argument("--cuts", nargs="+", default=CUTS, choices=CUTS)
    parser.add_argument("--objective", default=DEFAULT, metavar="NAMES", help="by default %(default)s")
    parser.add_argument("--timeout", type=float, default=1800.0, metavar="SECONDS", help="of one cell")
    parser.add_argument("--resume", type=Path, metavar="JSON", help="keep measured cells there; measure the others")
    parser.add_argument("--cell", nargs=3, metavar=("MODEL", "SPEC", "CUT"), help="this cell, here, as JSON")
    options = parser.parse_args(argv)
    if options.cell:
        print(json.dumps(measure(tuple(options.cell), objective=options.objective)))
        return 0
    kept: dict[str, Any] = {}
    if options.resume and options.resume.exists():
        kept = json.loads(options.resume.read_text(encoding="utf-8"))
    asked = [(model, spec, cut) for model in options.models for spec in options.hw for cut in options.cuts]
    for cell in asked:
        key = _key(cell, options.objective)
        if "error" not in kept.get(key, {"error": ""}):
            continue
        log(key)
        try:
            kept[key] = run_self(__file__, ["--cell", *cell, "--objective", options.objective], options.timeout)
        except BenchmarkError as error:
            kept[key] = {"error": str(error)}
            log(f"  {error}")
        kept[key]["date"] = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
        if options.resume:
            options.resume.parent.mkdir(parents=True, exist_ok=True)
            options.resume.write_text(json.dumps(kept), encoding="utf-8")
    cells = {cell: kept[_key(cell, options.objective)] for cell in asked}
    report(cells, options.objective, argv, options.out, [result["date"] for result in cells.values()])
    failed = any("error" in result or result["violation"] for result in cells.values())
    return 1 if failed or negative_gaps(cells) else 0


if __name__ == "__main__":
    sys.exit(main())
