"""A tiny model on a shipped chip, run by the command line in a folder of its own: what its tests share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cimsolve.solve.effort import Answer
from cimsolve.study import solving as run_module
from makers.command_line import Result, assert_refused
from makers.hardware_specs import spec

TINY = {
    "model_type": "linears",
    "context": 16,
    "steps": [
        {"name": "a", "linears": [{"name": n, "n_in": 16, "n_out": 16} for n in ("a.query", "a.key")]},
        {"name": "b", "linears": [{"name": "b.out", "n_in": 16, "n_out": 64}]},
    ],
}
TINY_RUN = ["--model", "tiny.json", "--hw", "paper256"]
ONE = ["--strategy", "spread"]
OPTIMAL = ["--strategy", "optimal", "--simulate", "none"]
NARROW = ["--set", "array.rows=16", "--set", "array.cols=16"]


def written() -> list[str]:
    return sorted(path.name for path in Path("results").glob("*")) if Path("results").exists() else []


def header(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("results", name).read_text())
    return found


def refused(result: Result, code: int, *parts: str) -> None:
    """One line on stderr, no traceback, nothing on stdout, nothing written."""
    assert_refused(result, code, *parts)
    assert not Path("results").exists()


def hardware_file(**changes: Any) -> str:
    Path("chip.json").write_text(json.dumps(spec("paper256", **changes)))
    return "chip.json"


def answer_with(monkeypatch: pytest.MonkeyPatch, name: str, strategy: Callable[..., Answer]) -> None:
    monkeypatch.setitem(run_module.STRATEGIES, name, strategy)  # type: ignore[arg-type]
