"""Token latency at the least array count and a little above it, where arrays are too few for the model's stages.

`one input` is what no mapping can beat in which every activation reads one input, `bound` what none at all can beat;
both are for that many arrays. Each point is the fastest that `optimal` finds on at most so many arrays, checked, in a
process of its own.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from common import BenchmarkError, log, make_parser, markdown_table, percent, provenance, run_self, write_report

CASES = (
    "minilm-l6/paper256/none",
    "minilm-l6/paper256/columns",
    "minilm-l6/pcm256/none",
    "minilm-l6/pcm256/columns",
    "minilm-l6/rram256/columns",
    "minilm-l6/rram128-isaac/none",
    "smollm2-135m/rram128-isaac/none",
)
"""Cells of the grid that do not stand at the latency bound, without the largest models."""
MORE = (1.0, 1.03, 1.07, 1.15, 1.3, 1.5)
"""Array counts, as multiples of the least."""

Result = Mapping[str, Any]


def counts(case: str, factors: Sequence[float]) -> list[int]:
    """Array counts to allow."""
    from cimsolve.api import make_problem
    from cimsolve.prove.arrays import least_arrays

    model, spec, cut = case.split("/")
    least, _ = least_arrays(make_problem(model, spec, cut=cut), 10**9)
    return sorted({math.ceil(least * factor) for factor in factors})


def measure(case: str, arrays: int) -> dict[str, Any]:
    """One point, in this process."""
    from cimsolve.api import make_problem
    from cimsolve.prove.time import least_latency_cycles
    from cimsolve.study.solving import solve_and_check

    model, spec, cut = case.split("/")
    problem = make_problem(model, spec, cut=cut, max_arrays=arrays)
    began = time.process_time()
    solution, report = solve_and_check(problem.asking(objective=("latency",)), "optimal")
    cpu_s = time.process_time() - began
    if not report.passed:
        raise BenchmarkError(str(report.violations[0]))
    return {
        "allowed": arrays,
        "arrays": solution.header.metrics["arrays"],
        "cycles": solution.header.metrics["latency_cycles"],
        "clock_ps": problem.hardware.clock_ps,
        "one_input": least_latency_cycles(problem, arrays, merging=False),
        "bound": least_latency_cycles(problem, arrays),
        "filled": problem.weight_cells / (arrays * problem.rows * problem.weights_per_row),
        "cpu_s": cpu_s,
    }


def line_of(case: str, result: Result) -> list[object]:
    def us(cycles: int) -> str:
        return f"{cycles * result['clock_ps'] / 1e6:.2f}"

    return [
        *case.split("/"),
        result["allowed"],
        result["arrays"],
        f"{100 * result['filled']:.1f}",
        us(result["cycles"]),
        us(result["one_input"]),
        f"{100 * (result['cycles'] / result['one_input'] - 1):+.2f}",
        us(result["bound"]),
        percent(result["cycles"] / result["bound"] - 1),
        f"{result['cpu_s']:.0f}",
    ]


def summary(results: Mapping[tuple[str, int], Result]) -> str:
    above = {key: result["cycles"] / result["one_input"] - 1 for key, result in results.items()}
    worst = max(above, key=lambda key: above[key])
    best = min(above, key=lambda key: above[key])
    below = sum(share < 0 for share in above.values())
    return "\n".join(
        (
            f"- Furthest above one input an activation: {100 * above[worst]:.2f} % ({worst[0]}, "
            f"{results[worst]['allowed']} arrays).",
            f"- Below it in {below} of {len(above)} points, by up to {-100 * above[best]:.2f} % ({best[0]}, "
            f"{results[best]['allowed']} arrays): inputs fire together around empty cells.",
        )
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser(__doc__ or "", "near-least.md")
    parser.add_argument("--cases", nargs="+", default=CASES, metavar="MODEL/SPEC/CUT")
    parser.add_argument("--more", nargs="+", type=float, default=MORE, metavar="FACTOR")
    parser.add_argument("--limit", type=float, default=1200.0, metavar="SECONDS", help="of a point (default: 1200)")
    parser.add_argument("--case", nargs=2, metavar=("CASE", "ARRAYS"), help="this point, here, as JSON")
    options = parser.parse_args(argv)
    if options.case:
        print(json.dumps(measure(options.case[0], int(options.case[1]))))
        return 0
    results: dict[tuple[str, int], Result] = {}
    for case in options.cases:
        for arrays in counts(case, options.more):
            log(f"{case}, {arrays} arrays")
            results[case, arrays] = run_self(__file__, ["--case", case, str(arrays)], options.limit)
    header = (
        "model",
        "hardware",
        "cut",
        "allowed",
        "arrays",
        "filled %",
        "latency, us",
        "one input, us",
        "above %",
        "bound, us",
        "gap %",
        "CPU, s",
    )
    write_report(
        options.out,
        "# Token latency near the least array count",
        provenance(__file__, argv),
        __doc__ or "",
        summary(results),
        markdown_table(header, [line_of(case, result) for (case, _), result in results.items()]),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
