"""The report of `cimsolve report`: what was written where."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cimsolve.show.text.console import indented, line, verbatim
from cimsolve.show.units import number

FILES_SHOWN = 12
"""Most files of a folder that are named one by one."""


def print_drawn(written: Sequence[Path], notes: Sequence[str]) -> None:
    """The files with their sizes, many in one folder as their number; then what they leave out."""
    line("written:")
    folders: dict[Path, list[Path]] = {}
    for path in written:
        folders.setdefault(path.parent, []).append(path)
    for folder, files in folders.items():
        if len(files) > FILES_SHOWN:
            verbatim(f"{folder}/: {len(files)} files ({size_in_words(sum(map(_size, files)))})")
            continue
        for path in files:
            verbatim(f"{path} ({size_in_words(_size(path))})")
    for note in notes:
        indented(note)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def size_in_words(count: int) -> str:
    """A number of bytes: 1.23 MB."""
    return f"{number(count / 1e6)} MB" if count >= 1e6 else f"{number(round(count / 1e3))} kB"
