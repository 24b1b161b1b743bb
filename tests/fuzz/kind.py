"""What a kind of input is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from cimsolve.__main__ import main


@dataclass(frozen=True)
class Kind:
    """Sound files, how one of them is damaged, and the command lines that read it, in the folder of the files."""

    make: Callable[[Path], None]
    damage: Callable[[Random, Path], None]
    commands: Sequence[Sequence[str]]
    """Each must end well on the sound files. What they write goes to `out`."""


def run(*words: str) -> None:
    """Run a command line that must end well, as sound files are made."""
    if main([*words, "-q"]) != 0:
        raise AssertionError(f"cimsolve {' '.join(words)} failed on sound files")
