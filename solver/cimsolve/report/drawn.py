"""The report of `cimsolve report`: what was written where."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cimsolve.report.console import indented, results, verbatim
from cimsolve.report.units import number


def print_drawn(written: Sequence[Path], notes: Sequence[str]) -> None:
    """The files with their sizes, then what they leave out."""
    console = results()
    console.print("written:")
    for path in written:
        size = path.stat().st_size if path.is_file() else 0
        verbatim(console, f"{path} ({size_in_words(size)})")
    for note in notes:
        indented(console, note)


def size_in_words(count: int) -> str:
    """A number of bytes: 1.23 MB."""
    return f"{number(count / 1e6)} MB" if count >= 1e6 else f"{number(round(count / 1e3))} kB"
