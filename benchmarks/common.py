"""What every benchmark needs: where it ran, a Markdown table, a command timed in a process of its own.

Light on purpose: the kernel counts the memory that a process had when it became its command, so the peak of a
measured command is never below that of the script that starts it.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import resource
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LIBRARIES = ("cimsolve", "numpy", "scipy", "ortools")
MIB = 2**20

MODELS = (
    "minilm-l6",
    "smollm2-135m",
    "gpt2-medium",
    "bert-large",
    "bart-large",
    "llama-3-8b",
    "llama-3-70b",
)
"""The shipped models by falling ease; `HARDWARE` likewise, by columns a weight."""
HARDWARE = ("paper256", "pcm256", "rram128-isaac", "sram256", "rram256")


class BenchmarkError(Exception):
    """A measured command failed, or did not end in time."""


# Arguments and reports


def make_parser(doc: str, results: str) -> argparse.ArgumentParser:
    """A parser with the script's docstring as its help, and --out."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help=f"write the report there, such as results/{results}; otherwise it is only printed",
    )
    return parser


def provenance(script: str, argv: Sequence[str] | None, libraries: Iterable[str] = ()) -> str:
    """The head of every report: command, commit, date, machine, versions."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    command = shlex.join(["python", f"benchmarks/{Path(script).name}", *arguments])
    versions = ", ".join(f"{name} {_version(name)}" for name in (*LIBRARIES, *libraries))
    today = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    machine = f"{len(os.sched_getaffinity(0))} cores, {_cpu_model()}, {_memory_gib():.0f} GiB, {platform.system()}"
    return "\n".join(
        (
            f"- Command: `{command}`",
            f"- Commit: {_commit()}",
            f"- Date: {today}",
            f"- Machine: {machine}; shared with other jobs (load {os.getloadavg()[2]:.1f} in the last 15 minutes), "
            "so wall times are upper limits",
            f"- Python {platform.python_version()}, {versions}; {_openblas()}",
        )
    )


def _commit() -> str:
    """The last commit that changed the package, and whether it has changed since."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(ROOT), *arguments, "--", "solver", "models", "hwspecs"]
        try:
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return ""

    found = git("log", "-1", "--format=%h")
    return "unknown" if not found else f"{found}, with changes" if git("status", "--porcelain") else found


def _openblas() -> str:
    """What steers numpy's matrix products; a core type that is not the machine's own makes them slower."""
    settings = {"OPENBLAS_NUM_THREADS": "1"}
    settings |= {name: os.environ[name] for name in ("OPENBLAS_CORETYPE",) if name in os.environ}
    return ", ".join(f"{name}={value}" for name, value in settings.items())


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; None is shown empty, the first column to the left, the others to the right."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in (list(header), *cells)) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        padded = [cell.rjust(w) if i else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))]
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * (w - 1) + ":" if i else "-" * w for i, w in enumerate(widths)]
    return "\n".join([line(header), line(rule), *(line(row) for row in cells)])


def write_report(out: Path | None, *parts: str) -> str:
    """Join the parts of a report, print it and write it to `out`, if there is one."""
    text = "\n\n".join(part.strip("\n") for part in parts if part) + "\n"
    print(text)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    return text


def log(text: str) -> None:
    """Progress goes to stderr: stdout is the report."""
    print(text, file=sys.stderr, flush=True)


def percent(gap: float | None) -> str | None:
    """A gap in per cent: `0` only where it is nothing."""
    if gap is None:
        return None
    shown = f"{100 * gap:.2f}"
    return "0" if gap == 0 else f"{100 * gap:.1e}" if shown in ("0.00", "-0.00") else shown


# Measured commands


@dataclass(frozen=True)
class Measured:
    """What a command took: wall and CPU seconds of it and its children, its peak of resident memory."""

    wall_s: float
    cpu_s: float
    peak_mib: float
    code: int
    stdout: str
    stderr: str


def run_command(command: Sequence[str], timeout_s: float) -> Measured:
    """Run a command to its end and measure it; raises BenchmarkError where it takes longer than `timeout_s`."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=stdout, stderr=stderr, stdin=subprocess.DEVNULL, env=environment)
        late = threading.Event()

        def stop() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(timeout_s, stop)
        timer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        wall_s = time.perf_counter() - began
        if late.is_set():
            raise BenchmarkError(f"no answer within {timeout_s:g} s")
        stdout.seek(0)
        stderr.seek(0)
        return Measured(
            wall_s,
            usage.ru_utime + usage.ru_stime,
            usage.ru_maxrss / 1024,
            process.returncode,
            stdout.read(),
            stderr.read(),
        )


def run_self(script: str, arguments: Sequence[str], timeout_s: float) -> dict[str, Any]:
    """Run one case of `script` in a process of its own; its last line on stdout is a JSON object.

    Raises BenchmarkError where it fails: a broken case is a row of the report, not its end.
    """
    measured = run_command([sys.executable, script, *arguments], timeout_s)
    if measured.code != 0:
        raise BenchmarkError(last_line(measured.stderr) or f"exit code {measured.code}")
    found: dict[str, Any] = json.loads(measured.stdout.splitlines()[-1])
    return {"peak_mib": measured.peak_mib, **found}


def last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else ""


def own_peak_mib() -> float:
    """Peak of resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
