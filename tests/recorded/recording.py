"""What the commands print and write for fixed questions, as text.

`cd tests; python -m recorded.recording [NAME ...]` records anew.

A record is the text of all that a user meets: exit codes, both outputs, the content of files. Left out are the times
that a run took, the versions it ran on, and digests of both; the clocks of `time` stand still meanwhile, so that the
columns of seconds hold zeros and no limit of time strikes. Nothing of the package is imported but `main`.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when numpy is first imported

import contextlib
import hashlib
import io
import json
import platform
import re
import shlex
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from safetensors import safe_open

from cimsolve.__main__ import main
from recorded.inputs import write_inputs

RECORDED = Path(__file__).parent / "answers"
VERSIONS = RECORDED / "versions.txt"
WIDTH = 110
LINES_MAX = 1200
"""Of one output; a longer one is recorded by its digest."""
PART_LINES_MAX = 16
"""Of one key of a solution file; likewise."""
PARTS_SHOWN = ("objective", "options", "status", "bounds", "metrics")
"""Keys of a solution file that are recorded whole however long they are."""
DIGITS = 9
"""Of numbers that are no integers, as sums of floats differ between machines."""
FEW_DIGITS = 5
"""Of those that come out of float32 arithmetic."""
OF_THE_RUN = ("versions", "runtime_s", "processor_s", "digest", "sha256")
"""Keys that say how a run went, or are digests of what does, and are left out of every JSON."""
RUN_LINE = re.compile(r'^"(versions|runtime_s)": .*\n', re.MULTILINE)
DIGEST = re.compile(r"\b([0-9a-f]{32}|[0-9a-f]{64})\b")
LONG_NUMBER = re.compile(r"\b\d+\.\d{10,}(e-?\d+)?\b")
VERSION = re.compile(r"\b(cimsolve|python|numpy|scipy|highspy|ortools) \d+(\.\d+)+")
SIZE = re.compile(r"\(\d+ kB\)")
CLOCKS = ("monotonic", "perf_counter", "process_time", "thread_time")


@dataclass(frozen=True)
class Question:
    """Command lines without their `cimsolve`; `edit FILE OLD NEW` replaces the one place in a file that is OLD.

    `rests_on`: names of `current_versions` with which the answer may change. `needs`: modules that must be there.
    """

    lines: tuple[str, ...]
    rests_on: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    slow: bool = False


def current_versions() -> dict[str, str]:
    """What answers depend on beside cimsolve. `arithmetic`: what random draws and float sums come out as here."""
    rng = np.random.default_rng(0)
    matrix, vectors = rng.standard_normal((48, 48)), rng.standard_normal((9, 48)).astype(np.float32)
    parts = (vectors @ matrix.astype(np.float32), matrix @ matrix, np.linalg.svd(matrix).S, matrix.sum(axis=1))
    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "ortools": version("ortools"),
        "shtab": version("shtab"),
        "numpy": version("numpy"),
        "arithmetic": hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:12],
    }


def recorded_versions() -> dict[str, str]:
    return dict(line.split() for line in VERSIONS.read_text().splitlines())


def record(question: Question, folder: Path) -> str:
    """Ask the question in `folder`, an empty one, and give all that came of it."""
    for name in question.needs:
        import_module(name)  # before, as the first import of some of them prints
    write_inputs(folder)
    given = contents(folder)
    digits = FEW_DIGITS if "arithmetic" in question.rests_on else DIGITS
    blocks = []
    with quiet_surroundings(folder), mock.patch("cimsolve.show.text.progress.FIRST_LINE_S", 3600.0):
        for line in question.lines:
            blocks.append(f"$ cimsolve {line}\n" if not line.startswith("edit ") else f"$ {line}\n")
            words = shlex.split(line)
            if words[:1] == ["edit"]:
                edit(*words[1:])
                continue
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = main(words)
            blocks.append(f"exit {code}\n")
            for stream, text in (("stdout", out.getvalue()), ("stderr", err.getvalue())):
                if text:
                    shown = shown_output(text.replace(str(folder), "<folder>"), digits)
                    blocks.append(f"--- {stream}\n{shown}")
    written = {name: content for name, content in contents(folder).items() if given.get(name) != content}
    cached = [name for name in written if "/cache/" in f"/{name}"]
    for name in sorted(set(written) - set(cached)):
        blocks.append(f"--- {name}\n{shown_file(folder / name, digits)}")
    if cached:
        blocks.append(f"--- files in caches: {len(cached)}\n")
    return "".join(block if block.endswith("\n") else f"{block}\n" for block in blocks)


@contextlib.contextmanager
def quiet_surroundings(folder: Path) -> Iterator[None]:
    """In `folder`, with 100 columns, no colours, nobody to ask, and clocks that stand still."""
    loud = ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
    kept = {name: value for name, value in os.environ.items() if name not in loud}
    clocks: dict[str, Any] = {name: lambda: 0.0 for name in CLOCKS} | {f"{name}_ns": lambda: 0 for name in CLOCKS}
    with (
        contextlib.chdir(folder),
        mock.patch.dict(os.environ, {**kept, "COLUMNS": "100", "LINES": "40", "TERM": "xterm"}, clear=True),
        mock.patch.multiple(time, **clocks),
        mock.patch.object(sys, "stdin", io.StringIO()),
    ):
        yield


def edit(name: str, old: str, new: str) -> None:
    text = Path(name).read_text()
    assert text.count(old) == 1, f"{name} has {old!r} {text.count(old)} times; expected one"
    Path(name).write_text(text.replace(old, new))


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def shown_output(text: str, digits: int) -> str:
    """An output as it is, but for JSON, which is laid out, and what differs from run to run."""
    with contextlib.suppress(ValueError):
        text = f"{laid_out(without_run(json.loads(text), digits))}\n"
    return by_digest(steady(text), LINES_MAX)


def steady(text: str) -> str:
    """A text without digests, versions and sizes of pictures, its long numbers rounded."""
    text = SIZE.sub("(<size>)", VERSION.sub(r"\1 <version>", DIGEST.sub("<digest>", text)))
    return LONG_NUMBER.sub(lambda found: f"{float(found[0]):.{DIGITS}g}", text)


def by_digest(text: str, lines_max: int) -> str:
    """The text, or what is held of it where it is too long to read."""
    lines = text.count("\n") + 1
    return text if lines <= lines_max else f"{lines} lines, sha256 {hashlib.sha256(text.encode()).hexdigest()}"


def shown_file(path: Path, digits: int) -> str:
    """What the file says, by its kind; pictures are only named."""
    if path.suffix == ".json":
        return shown_json(path.read_text(), digits)
    if path.suffix == ".npz":
        with np.load(path) as columns:
            return "".join(f"{name} {values.shape} {digest_of(values)}\n" for name, values in sorted(columns.items()))
    if path.suffix == ".safetensors":
        return shown_tensors(path)
    if path.suffix == ".html":
        return by_digest(text_of_page(path.read_text()), LINES_MAX)
    return "" if path.suffix in (".svg", ".png", ".pdf") else path.read_text()


def shown_json(text: str, digits: int) -> str:
    content = json.loads(text)
    if "pieces" not in content and "tables" not in content:
        return by_digest(laid_out(without_run(content, digits)), LINES_MAX)
    # Solutions: each key apart, long ones by their digest, and one over the bytes of the file.
    parts = []
    for key, value in without_run(content, digits).items():
        part = laid_out(value)
        parts.append(f"{key}: {part if key in PARTS_SHOWN else by_digest(part, PART_LINES_MAX)}\n")
    held = DIGEST.sub("", RUN_LINE.sub("", text))
    return f"{''.join(parts)}bytes: sha256 {hashlib.sha256(held.encode()).hexdigest()}\n"


def digest_of(values: Any) -> str:
    return f"{values.dtype} {hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()}"


def shown_tensors(path: Path) -> str:
    """The metadata, and of each tensor its shape and norm."""
    with safe_open(path, "np") as found:
        metadata = "".join(f"{key}: {value}\n" for key, value in sorted(found.metadata().items()))
        tensors = {name: found.get_tensor(name) for name in sorted(found.keys())}
    norms = {name: np.linalg.norm(tensor.astype(np.float64)) for name, tensor in tensors.items()}
    return metadata + "".join(f"{name} {tensors[name].shape} norm {norm:.4g}\n" for name, norm in norms.items())


def text_of_page(html: str) -> str:
    """What is read on a page, without its pictures, style and code."""
    for tag in ("head", "style", "script", "svg"):
        html = re.sub(rf"<{tag}\b.*?</{tag}>", "", html, flags=re.DOTALL)
    lines = (" ".join(line.split()) for line in steady(re.sub(r"<[^>]*>", "\n", html)).splitlines())
    return "\n".join(textwrap.fill(line, WIDTH) for line in lines if line)


def without_run(value: Any, digits: int) -> Any:
    """JSON without what differs from run to run, its floats rounded."""
    if isinstance(value, dict):
        return {key: without_run(each, digits) for key, each in value.items() if key not in OF_THE_RUN}
    if isinstance(value, list):
        return [without_run(each, digits) for each in value]
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value


def laid_out(value: Any, indent: int = 0) -> str:
    """JSON that is read and compared by lines: what fits a line stays on one, lists of numbers fill theirs."""
    text = json.dumps(value, ensure_ascii=False)
    if len(text) + indent <= WIDTH or not isinstance(value, dict | list):
        return text
    space = " " * (indent + 1)
    if isinstance(value, dict):
        parts = [f"{space}{json.dumps(key)}: {laid_out(each, indent + 1)}" for key, each in value.items()]
        return "{\n" + ",\n".join(parts) + f"\n{' ' * indent}}}"
    if any(isinstance(each, dict | list | str) for each in value):
        return "[\n" + ",\n".join(f"{space}{laid_out(each, indent + 1)}" for each in value) + f"\n{' ' * indent}]"
    filled = textwrap.fill(text[1:-1], WIDTH, initial_indent=space, subsequent_indent=space)
    return f"[\n{filled}\n{' ' * indent}]"


def record_all(names: list[str]) -> None:
    from recorded.questions import QUESTIONS

    for name in names or list(QUESTIONS):
        began = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            text = record(QUESTIONS[name], Path(folder).resolve())
        (RECORDED / f"{name}.txt").write_text(text)
        print(f"{time.process_time() - began:6.2f} s  {len(text):7}  {name}")
    if not names:
        for path in RECORDED.glob("*.txt"):
            if path.stem not in QUESTIONS:
                path.unlink()
        VERSIONS.write_text("".join(f"{name} {value}\n" for name, value in current_versions().items()))


if __name__ == "__main__":
    record_all(sys.argv[1:])
