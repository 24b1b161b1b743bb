"""Models with experts, and the largest there are: `optimal` beside the rules, on the same routing.

Tokens choose experts by Zipf's law, the ranks of each layer's experts drawn by each seed (`--routing zipf:1.0:SEED`).
`spread` deals whole blocks over all arrays; `greedy-top2` keeps every expert on arrays of its own and places them in
order of load; `optimal` seats them by the routing. Worst is the worst choice of experts, stage by stage, which a bound
stands against; mean is over the routing, its latency of 64 drawn tokens (the standard error is 0.4 us at most). II in
arrays is what the busiest array works a token: by `optimal` all arrays read a little of many experts, each read paid
for, so that on mixtral-8x7b the mean array works 10.7 us in the worst choice, whoever lies where. What limits a whole
token is II, the largest of that and the shared units, beside its bound. Wall and CPU time are of the whole command, its
check included.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from common import BenchmarkError, last_line, log, make_parser, markdown_table, provenance, run_command, write_report

MODELS = ("mixtral-8x7b", "qwen3-30b-a3b")
LARGE = ("deepseek-v3", "llama-3.1-405b")
STRATEGIES = ("spread", "greedy-top2", "optimal")


def solve(model: str, strategy: str, hardware: str, routing: str | None, limit: float) -> list[str]:
    """The cells of one row. Raises BenchmarkError where the command fails."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--hw", hardware, "--model", model, "--strategy", strategy, "--simulate", "none", "--out", folder]
        options += ["--routing", routing] if routing is not None else []
        run = run_command([sys.executable, "-m", "cimsolve", *options, "-q"], limit)
        if run.code != 0:
            raise BenchmarkError(last_line(run.stderr) or f"exit code {run.code}")
        header = json.loads(next(Path(folder).glob("*.json")).read_text())
    metrics, bounds = header["metrics"], header["bounds"]
    clock_ns = header["hw"]["clock_ns"]
    latency, interval = bounds["latency_cycles"], bounds["ii_cycles"]
    mean = [metrics.get(f"mean_{name}_ns") for name in ("latency", "array_ii")]
    return [
        f"{metrics['arrays']}{' (least)' if bounds['arrays']['gap'] == 0 else ''}",
        f"{metrics['pieces'] / 1e6:.2f}",
        f"{metrics['latency_ns'] / 1e3:.1f}",
        f"{latency['lower'] * clock_ns / 1e3:.1f}",
        f"{latency['gap']:.2%}",
        "-" if mean[0] is None else f"{mean[0] / 1e3:.1f}",
        f"{metrics['array_ii_ns'] / 1e3:.2f}",
        "-" if mean[1] is None else f"{mean[1] / 1e3:.2f}",
        f"{metrics['ii_ns'] / 1e3:.2f}",
        f"{interval['lower'] * clock_ns / 1e3:.2f}",
        f"{metrics['energy_pj'] / 1e6:.1f}",
        f"{run.wall_s:.0f}",
        f"{run.cpu_s:.0f}",
        f"{run.peak_mib / 1024:.2f}",
    ]


def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser(__doc__, "experts.md")
    parser.add_argument("--hw", default="paper256", metavar="SPEC", help="the chip (paper256)")
    parser.add_argument("--models", nargs="*", default=MODELS, metavar="MODEL", help="models with experts")
    parser.add_argument(
        "--large", nargs="*", default=LARGE, metavar="MODEL", help="models solved by spread and optimal"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=(1, 2, 3), help="of the routing (1 2 3)")
    parser.add_argument("--limit", type=float, default=1800, metavar="S", help="time limit of each command, s (1800)")
    args = parser.parse_args(argv)
    asked = [
        (model, f"zipf:1.0:{seed}", name) for model in args.models for seed in args.seeds for name in STRATEGIES
    ] + [(model, None, name) for model in args.large for name in ("spread", "optimal")]
    rows: list[list[object]] = []
    for model, routing, name in asked:
        log(f"{model} {routing or ''} {name}")
        try:
            cells = solve(model, name, args.hw, routing, args.limit)
        except BenchmarkError as error:
            cells = [str(error)]
        rows.append([model, routing or "", name, *cells])
    columns = ("model", "routing", "strategy", "arrays", "M pieces", "worst us", "bound us", "gap", "mean us")
    columns += ("II in arrays, worst us", "mean us", "II us", "bound us", "uJ", "wall s", "CPU s", "GiB")
    write_report(
        args.out,
        f"# Models with experts, and the largest, on {args.hw}\n\n{provenance(__file__, argv)}",
        __doc__.partition("\n\n")[2],
        markdown_table(columns, rows),
    )
    return 0 if any(len(row) > 4 for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
