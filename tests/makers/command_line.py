"""The command line in process, for tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Result(NamedTuple):
    code: int
    out: str
    err: str


Cli = Callable[..., Result]


def assert_refused(result: Result, code: int, *parts: str) -> None:
    """One line on stderr that holds `parts`, no traceback, nothing on stdout."""
    assert result.code == code, result
    assert result.err.startswith("cimsolve: error: ")
    assert result.err.count("\n") == 1
    assert result.err.endswith("\n")
    for part in parts:
        assert part in result.err
    assert result.out == ""
