"""What must hold of a command line, whatever its files hold, and a process of its own to hold it in.

No exception leaves `main`; the exit code is 0, 1 or 2; beside notes stderr has with 1 at most one line, with 2 it has
one and nothing but solutions is left in `out`; nothing printed is a control character or turns the direction of text;
JSON that is written has no NaN; no half-written file is left; it takes less than 10 s of processor time and 2 GiB.
"""

from __future__ import annotations

import json
import os
import resource
import select
import shutil
import signal
import sys
import time
import traceback
import unicodedata
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from cimsolve.__main__ import main
from fuzz.kind import Kind

PROCESSOR_S_MAX, WALL_S_MAX, BYTES_MAX = 10, 120, 2 * 2**30
_BYTES_KILLED, _LINE_MAX, _BATCH = 6 * 2**30, 2000, 200
_UNSHOWABLE = ("Cc", "Cf", "Cs", "Zl", "Zp")


@dataclass(frozen=True)
class Outcome:
    """How a command line ended on damaged files; `kind`, `seed` and `number` give the files again."""

    kind: str
    seed: int
    number: int
    argv: Sequence[str]
    code: int | None
    what: str
    """What does not hold; empty where all does."""

    def __str__(self) -> str:
        return f"{self.kind} --seed {self.seed} --only {self.number}: cimsolve {' '.join(self.argv)}\n    {self.what}"


def outcomes(name: str, kind: Kind, seed: int, numbers: Sequence[int], place: Path) -> Iterator[Outcome]:
    """How commands of a kind end on damaged files, one for each number; `place` is a new folder.

    Raises AssertionError for a command that does not end well on sound files.
    """
    sound, work = place / "sound", place / "work"
    sound.mkdir(parents=True)

    def prepare(number: int) -> Sequence[str]:
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(sound, work, symlinks=True)
        os.chdir(work)
        rng = Random(f"{seed}/{name}/{number}")
        argv = rng.choice(list(kind.commands))
        kind.damage(rng, work)
        return argv

    def prepare_sound(number: int) -> Sequence[str]:
        if number == 0:
            os.chdir(sound)
            kind.make(sound)
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(sound, work, symlinks=True)
        os.chdir(work)
        return kind.commands[number]

    for _, argv, code, what in _each(prepare_sound, list(range(len(kind.commands))), place):
        if what or code != 0:
            told = what or (place / "stderr").read_text()
            raise AssertionError(f"{name}: on sound files cimsolve {' '.join(argv)} ends with {code}: {told}")
    for row in _each(prepare, numbers, place):
        yield Outcome(name, seed, *row)


Row = tuple[int, Sequence[str], int | None, str]
"""Number, command line, exit code, and what does not hold."""


def _each(prepare: Callable[[int], Sequence[str]], numbers: Sequence[int], place: Path) -> Iterator[Row]:
    """Each number's command run in a child, which is made anew after a batch and after one that was killed."""
    left = list(numbers)
    while left:
        for row in _batch(prepare, left[:_BATCH], place):
            left = left[left.index(row[0]) + 1 :]
            yield row


def _batch(prepare: Callable[[int], Sequence[str]], numbers: Sequence[int], place: Path) -> Iterator[Row]:
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _serve(prepare, numbers, place, writing)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb", buffering=0) as rows:
            yield from _watched(child, rows, numbers)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _watched(child: int, rows: Any, numbers: Sequence[int]) -> Iterator[Row]:
    """The rows that the child tells of, until it ends or takes too long."""
    pending, argv, left = b"", (), list(numbers)
    begun, used = time.monotonic(), _processor_s(child)
    while left:
        if select.select([rows], [], [], 0.5)[0]:
            part = rows.read(1 << 16)
            if not part:
                yield left[0], argv, None, "the process died"
                return
            *lines, pending = (pending + part).split(b"\n")
            for row in map(json.loads, lines):
                begun, used = time.monotonic(), _processor_s(child)
                argv = row[1]
                if len(row) == 4:
                    left.remove(row[0])
                    yield tuple(row)
        wall, processor = time.monotonic() - begun, _processor_s(child) - used
        if processor > PROCESSOR_S_MAX or wall > WALL_S_MAX:
            yield left[0], argv, None, f"still running after {processor:.0f} s of processor time, {wall:.0f} s"
            return


def _processor_s(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _serve(prepare: Callable[[int], Sequence[str]], numbers: Sequence[int], place: Path, writing: int) -> None:
    """The child: prepares and runs one after the other, tells of each in a line, and ends."""
    resource.setrlimit(resource.RLIMIT_AS, (_BYTES_KILLED, _BYTES_KILLED))
    os.environ["COLUMNS"] = "100"

    def tell(*row: object) -> None:
        os.write(writing, json.dumps(row).encode() + b"\n")

    outputs = [place / name for name in ("stdout", "stderr")]
    number = numbers[0]
    try:
        for number in numbers:
            _catch_outputs(outputs)
            argv = prepare(number)
            tell(number, argv)
            tell(number, argv, *_run(argv, outputs))
    except BaseException:
        tell(number, ["prepare"], None, traceback.format_exc())
    finally:
        os._exit(0)


def _catch_outputs(paths: Sequence[Path]) -> None:
    """Send both outputs to empty files, by their descriptors, as libraries in C write there too."""
    for number, path in enumerate(paths, 1):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))


def _run(argv: Sequence[str], outputs: Sequence[Path]) -> tuple[int | None, str]:
    """Exit code of the command, and what does not hold of it."""
    _catch_outputs(outputs)  # what preparing printed goes
    warnings.resetwarnings()
    for each in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
        warnings.simplefilter("ignore", each)
    warnings.showwarning = lambda message, *_: print("Warning:", message, file=sys.stderr)
    Path("/proc/self/clear_refs").write_text("5")  # the peak of memory begins anew
    try:
        code = main(argv)
    except BaseException as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return None, f"raises {type(error).__name__}: {str(error)[:300]!r} at {frame.filename}:{frame.lineno}"
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    out, err = (path.read_text(encoding="utf-8", errors="surrogateescape") for path in outputs)
    return code, _what_fails(code, out, err)


def _what_fails(code: int, out: str, err: str) -> str:
    lines = [line for line in err.splitlines() if not line.startswith("cimsolve: note: ")]
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
    unshowable = sorted({each for each in out + err if each != "\n" and unicodedata.category(each) in _UNSHOWABLE})
    files = [path for path in Path.cwd().rglob("*") if path.is_file()]
    left = [path for path in files if "out" in path.parts]
    one = len(lines) == 1 and lines[0].startswith("cimsolve: ")
    rules = [
        (code in (0, 1, 2), f"the exit code is {code}"),
        (one if code == 2 else one or not lines if code else not lines, f"stderr is {err[:300]!r}"),
        (len(err) <= _LINE_MAX, f"stderr has {len(err)} characters"),
        (not any(word in err for word in ("Warning", "Traceback", "out of memory")), f"stderr ends in {err[-300:]!r}"),
        (len(out) < 2**20, f"stdout has {len(out)} characters"),
        (not unshowable, f"characters {unshowable[:5]} are printed"),
        (peak < BYTES_MAX, f"{peak >> 20} MiB were used"),
        (not any(path.name.endswith(".tmp") for path in files), "a half-written file is left"),
        (code != 2 or {path.suffix for path in left} <= {".json", ".npz"}, "a file that is no solution is left"),
        (all(map(_is_json, left)), "JSON that is no JSON is written"),
    ]
    return "; ".join(what for holds, what in rules if not holds)


def _is_json(path: Path) -> bool:
    if path.suffix != ".json":
        return True
    try:
        json.loads(path.read_text(), parse_constant=lambda name: float(f"not a number: {name}"))
    except ValueError:
        return False
    return True
