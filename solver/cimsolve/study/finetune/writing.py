"""Text that the teacher writes itself: what it was trained on, as far as it remembers it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from cimsolve.columns import Ints
from cimsolve.errors import InputError
from cimsolve.files.json_file import parse_json_text, read_bytes, write_json_atomically
from cimsolve.weights.tensors import Floats32

AT_ONCE = 32
"""Sequences that are written side by side."""
FORMAT = "cimsolve-written-text/1"
FILE_BYTES_MAX = 2**30


class WrittenText:
    """The file beside `out` that holds the text until the factors are written: writing takes long."""

    def __init__(self, out: Path) -> None:
        self.path = out.with_name(f"{out.stem}.written.json")

    def read(self, digest: str) -> list[Ints] | None:
        """What was written before for the same question; None where there is none such."""
        try:
            found = parse_json_text(read_bytes(self.path, FILE_BYTES_MAX).decode())
        except (InputError, ValueError, RecursionError):
            return None
        if not isinstance(found, dict) or (found.get("format"), found.get("digest")) != (FORMAT, digest):
            return None
        try:
            return [np.array(ids, dtype=np.int64).reshape(-1) for ids in found["sequences"]]
        except (KeyError, TypeError, ValueError, OverflowError):
            return None

    def write(self, digest: str, sequences: Sequence[Ints]) -> None:
        """Keep it. Raises InputError where that cannot be written."""
        lists = [ids.tolist() for ids in sequences]
        write_json_atomically(self.path, {"format": FORMAT, "digest": digest, "sequences": lists})

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def written_by(
    write: Callable[[Ints, int, Callable[[Floats32], Ints]], list[Ints]],
    read: Sequence[Ints],
    tokens: int,
    length: int,
    seed: int,
    tell: Callable[[int], None],
) -> list[Ints]:
    """About `tokens` tokens in sequences of `length`, as `write` writes them; `tell` is told how many there are.

    Each begins as a sequence that was `read` does, and goes on as the model would, at temperature 1.
    """
    random = np.random.default_rng((seed, tokens))

    def draw(logits: Floats32) -> Ints:
        raised = np.exp(logits - logits.max(axis=1, keepdims=True)).astype(np.float64).cumsum(axis=1)
        return np.asarray((raised < random.random((len(logits), 1)) * raised[:, -1:]).sum(axis=1))

    found: list[Ints] = []
    left = -(-tokens // length)
    while left > 0:
        count = min(left, AT_ONCE)
        firsts = np.array([read[place][0] for place in random.integers(len(read), size=count)], dtype=np.int64)
        found += write(firsts, length, draw)
        left -= count
        tell(len(found) * length)
    return found
