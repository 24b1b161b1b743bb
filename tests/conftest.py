"""What every test runs under: quiet BLAS threads, and slow tests only when asked for by mark."""

from __future__ import annotations

import gc
import json
import os

# Threads of OpenBLAS spin: on small products beside another busy process they cost up to 40 times the time.
# numpy reads this when it is first imported, which is after this file.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from pathlib import Path

import hypothesis
import pytest

from cimsolve.__main__ import main
from makers.command_line import Cli, Result
from makers.tiny_runs import TINY

hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")  # a busy machine is no failure

ON_REQUEST = ("slow", "weights", "cluster", "browser")
"""Marks of tests that run only where `-m` names a mark, as in `pytest -m slow`."""


def pytest_sessionstart() -> None:
    """What is imported and collected stays: the garbage collector need not look through it again and again."""
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.markexpr:
        return
    left_out = [item for item in items if any(item.get_closest_marker(mark) for mark in ON_REQUEST)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(autouse=True)
def _no_lines_of_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command says must not depend on how busy this machine is."""
    monkeypatch.setattr("cimsolve.show.text.progress.FIRST_LINE_S", 3600.0)


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs a command line and gives its exit code and what it said."""

    def call(*argv: str) -> Result:
        code = main(list(argv))
        return Result(code, *capsys.readouterr())

    return call


@pytest.fixture
def tiny_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own, with `tiny.json` in it, and a terminal 120 wide."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    Path("tiny.json").write_text(json.dumps(TINY))
