"""The checker on a million pieces.

Solves one large case through the command line (llama-3-8b on rram256 by `optimal`: 1.6 million pieces), then reads
and checks its file in another process, several times: seconds for each part, and the peak of resident memory.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import (
    BenchmarkError,
    last_line,
    log,
    make_parser,
    markdown_table,
    provenance,
    run_command,
    run_self,
    write_report,
)

TARGET_S = 30
"""For a million pieces."""


def solve_file(model: str, spec: str, strategy: str, folder: Path, timeout_s: float) -> Path:
    """The solution file of one run of the command line."""
    question = ["--hw", spec, "--model", model, "--strategy", strategy]
    output = ["--simulate", "none", "--out", str(folder), "-q"]
    found = run_command([sys.executable, "-m", "cimsolve", *question, *output], timeout_s)
    if found.code != 0:
        raise BenchmarkError(last_line(found.stderr) or f"exit code {found.code}")
    return next(folder.glob("*.json"))


def measure(path: Path) -> dict[str, Any]:
    """Read and check a solution file in this process."""
    from cimsolve.judge.check import check_solution
    from cimsolve.problem.solution import read_solution

    began = time.perf_counter()
    solution = read_solution(path)
    read = time.perf_counter()
    verdict = check_solution(solution)
    checked = time.perf_counter()
    return {
        "pieces": len(solution.pieces),
        "activations": len(solution.activations),
        "read_s": read - began,
        "check_s": checked - read,
        "violation": str(verdict.violations[0]) if verdict.violations else None,
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser(__doc__ or "", "check.md")
    parser.add_argument("--model", default="llama-3-8b")
    parser.add_argument("--hw", default="rram256", metavar="SPEC")
    parser.add_argument("--strategy", default="optimal")
    parser.add_argument("--repeats", type=int, default=3, metavar="N")
    parser.add_argument("--timeout", type=float, default=900.0, metavar="SECONDS", help="of one process")
    parser.add_argument("--file", type=Path, help="check this solution here and print the figures as JSON")
    options = parser.parse_args(argv)
    if options.file:
        print(json.dumps(measure(options.file)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        try:
            log(f"{options.strategy} on {options.model}, {options.hw}")
            path = solve_file(options.model, options.hw, options.strategy, Path(folder), options.timeout)
            megabytes = sum(file.stat().st_size for file in Path(folder).iterdir()) / 1e6
            runs = []
            for _ in range(options.repeats):
                log("check")
                runs.append(run_self(__file__, ["--file", str(path)], options.timeout))
        except BenchmarkError as error:
            log(f"error: {error}")
            return 1
    read_s, check_s = (statistics.median(run[key] for run in runs) for key in ("read_s", "check_s"))
    million = check_s / runs[0]["pieces"] * 1e6
    violation = next((run["violation"] for run in runs if run["violation"]), None)
    rows = [
        ("pieces", runs[0]["pieces"]),
        ("activations", runs[0]["activations"]),
        ("files, MB", f"{megabytes:.1f}"),
        ("read, s", f"{read_s:.2f}"),
        ("check, s", f"{check_s:.2f}"),
        (f"check of a million pieces, s (target {TARGET_S})", f"{million:.2f}"),
        ("peak of memory, MiB", f"{max(run['peak_mib'] for run in runs):.0f}"),
        ("runs, of which the medians", len(runs)),
        ("verdict", "passed" if violation is None else violation),
    ]
    write_report(
        options.out,
        f"# The checker: {options.strategy} on {options.model}, {options.hw}",
        provenance(__file__, argv),
        "Reading is parsing the header and loading the tables, with their hash; checking is every rule, and all "
        "metrics and bounds computed again. Both in a process of their own that has solved nothing.",
        markdown_table(("what", "figure"), rows),
    )
    return 0 if violation is None else 1


if __name__ == "__main__":
    sys.exit(main())
