"""Models on chips with fewer arrays than they need, in rounds: `optimal` against the rule that fills the chip.

The rule, `linear`, gives every tile an array of its own, fills the chip step after step, writes, computes and goes on.
`optimal` packs, spreads, cuts where it takes least, and writes a run beside the one before where that is faster. Both
are checked, and stand beside the bound of rounds. CPU seconds are those of solving and checking.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from common import BenchmarkError, log, make_parser, markdown_table, percent, provenance, write_report

from cimsolve.chip.read import load_hardware
from cimsolve.chip.settings import with_settings
from cimsolve.problem.plan import RoundsHeader
from cimsolve.problem.problem import Problem
from cimsolve.problem.question import ask
from cimsolve.study.short import solve_short

CASES = (
    "bert-base/dense/paper256/array.rows=512,array.cols=512,array.count=64",
    "bert-base/dense/sram256/array.count=4096",
    "llama-3-8b/dense/hermes64/-",
)
OBJECTIVES = ("latency", "prefill")


def line_of(case: str, objective: str, strategy: str) -> list[object]:
    """One answer, checked, as a row of the table."""
    model, structure, spec, settings = case.split("/")
    changes = {} if settings == "-" else dict(each.split("=") for each in settings.split(","))
    hardware = with_settings(load_hardware(spec), changes)
    problem = Problem(ask(model, hardware, structure=structure, objective=(objective,)))
    log(f"{case}: {objective} by {strategy}")
    began = time.process_time()
    rounds, report = solve_short(problem, "rounds", strategy)
    took = time.process_time() - began
    if not report.passed:
        raise BenchmarkError(str(report.violations[0]))
    assert isinstance(rounds.header, RoundsHeader)
    metrics, bounds = rounds.header.metrics, rounds.header.bounds
    entry = bounds["latency_cycles" if objective == "latency" else "prefill_ns"]
    value = metrics[f"{objective}_ns"] / 1e6
    return [
        f"{model} {structure}",
        f"{spec} {settings}",
        "token" if objective == "latency" else f"prefill of {metrics['prefill_tokens']}",
        strategy,
        metrics["runs"],
        "beside" if rounds.header.double else "before",
        f"{metrics['write_ns'] / 1e6:.4g}",
        f"{value:.4g}",
        f"{value * entry.lower / entry.value:.4g}",
        percent(entry.gap),
        f"{took:.0f}",
    ]


def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser(__doc__ or "", "rounds.md")
    parser.add_argument("--cases", nargs="+", default=CASES, metavar="MODEL/STRUCTURE/SPEC/KEY=VALUE,...")
    parser.add_argument("--strategies", nargs="+", default=("linear", "optimal"), metavar="NAME")
    options = parser.parse_args(argv)
    rows = []
    for case in options.cases:
        # Tiles of factors are as many as blocks: the rule for them is `spread`.
        names = ["spread" if name == "linear" and "/sqrt/" in case else name for name in options.strategies]
        if "llama" in case:  # a tile of its own for every part leaves the rule no cut
            names = [name for name in names if name == "optimal"]
        for objective in OBJECTIVES:
            rows += [line_of(case, objective, name) for name in names]
    header = ("model", "chip", "of", "strategy", "runs", "written", "writing, ms", "ms", "bound, ms", "gap %", "CPU, s")
    write_report(
        options.out,
        "# Fewer arrays than the model needs: rounds",
        provenance(__file__, argv),
        (__doc__ or "").partition("\n\n")[0] + "\n\n" + (__doc__ or "").partition("\n\n")[2].strip(),
        markdown_table(header, rows),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
