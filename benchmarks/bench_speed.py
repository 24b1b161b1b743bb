"""Whole commands on the clock: map, check, write.

Each command runs `python -m cimsolve` in a process of its own, several times: median wall and CPU seconds, the
highest peak of resident memory. Targets stand beside; they are goals for an idle machine and are never asserted.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Command:
    """Arguments of `cimsolve` and what they should take; `code` is the exit code that is right."""

    arguments: str
    target_s: float | None = None
    target_gib: float | None = None
    code: int = 0
    writes: bool = True

    @property
    def name(self) -> str:
        return f"cimsolve {self.arguments}"


def one(model: str, spec: str, strategy: str, target_s: float | None, target_gib: float | None = None) -> Command:
    arguments = f"--hw {spec} --model {model} --strategy {strategy} --simulate none"
    return Command(arguments, target_s, target_gib)


def whole(model: str, target_s: float) -> Command:
    return Command(f"--hw paper256 --model {model} --strategy optimal", target_s)


QUICK = (
    Command("--help", 0.4, writes=False),
    Command("list", 0.4, writes=False),
    Command("--hw paper256 --strategy nonsense", 0.4, code=2, writes=False),
    Command("--hw nonsense", 0.4, code=2, writes=False),
    Command("--hw rram256 --set array.rowz=3", 0.4, code=2, writes=False),
)
BERT = (
    Command("--hw rram256", 8, 2),
    one("bert-large", "paper256", "optimal", 10),
    one("bert-large", "rram256", "optimal", 20),
)
LLAMA_8B = (
    one("llama-3-8b", "paper256", "spread", 60, 4),
    one("llama-3-8b", "paper256", "sparsemap", 60, 4),
    one("llama-3-8b", "paper256", "optimal", 30),
    whole("llama-3-8b", 4),
    one("llama-3-8b", "rram256", "spread", None),
    one("llama-3-8b", "rram256", "sparsemap", None),
    one("llama-3-8b", "rram256", "optimal", 60),
)
LLAMA_70B = (
    one("llama-3-70b", "paper256", "optimal", 120, 6),
    whole("llama-3-70b", 15),
    one("llama-3-70b", "rram256", "optimal", 300, 12),
)
GROUPS = {"quick": QUICK, "bert": BERT, "llama-8b": LLAMA_8B, "llama-70b": LLAMA_70B}


def measure(command: Command, repeats: int, timeout_s: float) -> list[Measured]:
    """Run a command `repeats` times; raises BenchmarkError where it fails."""
    runs = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            writes = ["--out", folder, "-q"] if command.writes else []
            found = run_command([sys.executable, "-m", "cimsolve", *command.arguments.split(), *writes], timeout_s)
        if found.code != command.code:
            raise BenchmarkError(last_line(found.stderr) or f"exit code {found.code}, expected {command.code}")
        runs.append(found)
    return runs


def row(command: Command, repeats: int, timeout_s: float) -> list[object]:
    target_gib = f"{command.target_gib:g}" if command.target_gib else None
    try:
        runs = measure(command, repeats, timeout_s)
    except BenchmarkError as error:
        failed = f"failed: {error}"[:120].replace("|", "/")
        return [f"`{command.name}`", failed, command.target_s, None, None, target_gib, None]
    return [
        f"`{command.name}`",
        f"{statistics.median(run.wall_s for run in runs):.2f}",
        command.target_s,
        f"{statistics.median(run.cpu_s for run in runs):.2f}",
        f"{max(run.peak_mib for run in runs) / 1024:.2f}",
        target_gib,
        len(runs),
    ]


HEADER = ("command", "wall, s", "target, s", "CPU, s", "peak, GiB", "target, GiB", "runs")
NOTES = """\
Commands that write also had `--out` (an empty folder) and `-q`. Each checks every answer; `--simulate none` leaves
out the numeric simulation, which the default run has for the first layer of each of its strategies. Medians of
the runs; the peak of memory is the highest. One thread each."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = make_parser(__doc__ or "", "speed.md")
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="of each command (default: 3)")
    parser.add_argument("--groups", nargs="+", choices=GROUPS, default=["quick", "bert", "llama-8b"])
    parser.add_argument("--timeout", type=float, default=900.0, metavar="SECONDS", help="of one run")
    options = parser.parse_args(argv)
    rows = []
    for group in options.groups:
        for command in GROUPS[group]:
            log(command.name)
            rows.append(row(command, options.repeats, options.timeout))
    write_report(options.out, "# Whole commands", provenance(__file__, argv), NOTES, markdown_table(HEADER, rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
