"""One command for a grid: BERT-large by converters and array sizes, then again, then with one value more.

Times of `cimsolve sweep` as a user starts it, and the table that it gives. The first run begins with an empty cache,
the second finds every point kept, the third solves only what is new; the fourth is killed on its way and goes on.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from common import (
    BenchmarkError,
    Measured,
    last_line,
    log,
    make_parser,
    markdown_table,
    provenance,
    run_command,
    write_report,
)

ADCS = (2, 4, 6, 8, 12, 16, 20, 24, 32, 48, 64, 128)
SIZES = (128, 192, 256, 384, 512)
ONE_MORE = 96
TIMEOUT_S = 3600.0


def sweep(model: str, hardware: str, adcs: Sequence[int], sizes: Sequence[int], jobs: int, *more: str) -> list[str]:
    """The command."""
    axes = [f"adc.per_array={','.join(map(str, adcs))}", f"array.rows+array.cols={','.join(map(str, sizes))}"]
    words = ["--model", model, "--hw", hardware, *(word for axis in axes for word in ("--vary", axis))]
    return [sys.executable, "-m", "cimsolve", "sweep", *words, "--jobs", str(jobs), *more]


def measure(name: str, command: Sequence[str], cores: int) -> list[object]:
    """A row: points, those kept from before, seconds; raises BenchmarkError where the command fails."""
    log(name)
    found: Measured = run_command([*command, "--json"], TIMEOUT_S)
    if found.code != 0:
        raise BenchmarkError(f"{name}: {last_line(found.stderr)}")
    points = json.loads(found.stdout)["points"]
    kept = sum(point["kept"] for point in points)
    solved = sum(point["state"] == "solved" for point in points)
    ideal = f"{found.cpu_s / cores:.1f}"
    return [
        name,
        len(points),
        solved,
        kept,
        f"{found.wall_s:.1f}",
        f"{found.cpu_s:.1f}",
        ideal,
        f"{found.peak_mib:.0f}",
    ]


def kill_on_the_way(command: Sequence[str], cache: Path, after: int) -> int:
    """Start it, kill it with all its processes once `after` results are kept; returns how many are kept then."""
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    began = time.monotonic()
    while process.poll() is None and len(list(cache.glob("*.json"))) < after:
        if time.monotonic() - began > TIMEOUT_S:
            break
        time.sleep(0.1)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return len(list(cache.glob("[0-9a-f]*.json")))


def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser(__doc__ or "", "sweep.md")
    parser.add_argument("--model", default="bert-large")
    parser.add_argument("--hw", default="paper256")
    parser.add_argument("--adcs", type=int, nargs="+", default=ADCS)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args(argv)
    grid = (options.model, options.hw, options.adcs, options.sizes, options.jobs)
    with tempfile.TemporaryDirectory() as folder:
        out = ["--out", folder]
        rows = [
            measure("first run", sweep(*grid, *out), options.jobs),
            measure("the same again", sweep(*grid, *out), options.jobs),
        ]
        wider = (options.model, options.hw, [*options.adcs, ONE_MORE], options.sizes, options.jobs)
        rows.append(measure(f"with adc.per_array={ONE_MORE} added", sweep(*wider, *out), options.jobs))
        table = run_command([*sweep(*grid, *out), "--format", "markdown"], TIMEOUT_S).stdout
        cache = Path(folder) / "killed"
        few = (options.model, options.hw, options.adcs[:3], options.sizes[:2], options.jobs, "--cache", str(cache))
        kept = kill_on_the_way(sweep(*few), cache, 2)
        rows.append(
            measure(f"killed (SIGKILL) with {kept} results kept, then started again", sweep(*few), options.jobs)
        )
    header = ["run", "points", "solved", "kept", "wall, s", "CPU, s", f"CPU / {options.jobs}, s", "peak, MiB"]
    write_report(
        options.out,
        "# A sweep",
        provenance(__file__, argv),
        f"`cimsolve sweep --model {options.model} --hw {options.hw} --vary adc.per_array=... --vary "
        f"array.rows+array.cols=... --jobs {options.jobs}`: {options.model} by converters an array and array size, "
        "strategy `optimal`, every answer checked. CPU seconds are those of all processes; divided by the cores they "
        "are about what a machine with nothing else to do would take. The peak is that of the largest process.",
        markdown_table(header, rows),
        "## The points",
        "`*`: no other point has as little latency, area and energy and less of one. The spec's times and energies of "
        "a row, a column and a conversion, and its area of an array without converters, are taken for every size; real "
        "arrays grow with their cells, and real drivers and wires cost more on larger ones.",
        table,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
