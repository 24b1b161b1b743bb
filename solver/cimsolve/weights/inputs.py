"""What the linears of a model read: from a file, or heard in a forward pass over a text.

Inputs are split by groups of neighbours, as neighbours are alike: sequences of a text by their own tokens, runs of
samples of a file by their place. A fifth of the groups says when to stop fitting and one is held out of it all; errors
on the latter are the honest ones.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from cimsolve.columns import Floats, Ints
from cimsolve.errors import InputError
from cimsolve.files.text import one_line
from cimsolve.model.model import Linear
from cimsolve.weights.forward import Reference, listening
from cimsolve.weights.forward.tokens import SAMPLE, byte_pair_tokenizer, load_tokenizer, read_paragraphs
from cimsolve.weights.gguf import GgufFile
from cimsolve.weights.monarch import demand_finite
from cimsolve.weights.npz import NpzFile
from cimsolve.weights.tensors import Floats32, StoredNames, Tensors, read_header

GROUPS = 50
"""Runs of samples into which the inputs of a file are cut."""
_STOP, _HELD_OUT, _OF = 2, 4, 5
SAMPLES_MIN = 20


@dataclass(frozen=True)
class LinearInputs:
    """Inputs of one linear, (samples, n_in) each, float32."""

    fit: Floats
    stop: Floats
    held_out: Floats

    @property
    def calibration(self) -> Floats:
        """All that may be fitted: `fit` and `stop`."""
        return np.concatenate([self.fit, self.stop])

    @classmethod
    def split(cls, inputs: Floats, group: Ints) -> LinearInputs:
        """`group` (samples,) says which samples belong together."""
        kind = group % _OF
        held, stop = kind == _HELD_OUT, kind == _STOP
        return cls(inputs[~held & ~stop], inputs[stop], inputs[held])


def part_of(ids: Ints) -> int:
    """Which fifth of all texts a sequence is in, by a hash of its own tokens: the same in every command.

    So what one command learnt from tests no other, whatever text stands before it and however much is read.
    """
    digest = hashlib.blake2b(ids.astype("<i8").tobytes(), digest_size=8).digest()
    return int.from_bytes(digest, "little") % _OF


def split_sequences(sequences: Sequence[Ints]) -> tuple[list[Ints], list[Ints]]:
    """The sequences that may be fitted, and those that are held out."""
    parts = [part_of(ids) for ids in sequences]
    fitted, held = (
        [ids for ids, part in zip(sequences, parts, strict=True) if (part == _HELD_OUT) == wanted]
        for wanted in (False, True)
    )
    return fitted, held


def sequences_by_use(sequences: Sequence[Ints]) -> tuple[list[Ints], list[Ints], list[Ints]]:
    """The sequences that are fitted, those that say when to stop or what is lost, and those held out of both."""
    fitted, held = split_sequences(sequences)
    stop = [ids for ids in fitted if part_of(ids) == _STOP]
    return [ids for ids in fitted if part_of(ids) != _STOP], stop, held


Visit: TypeAlias = Callable[[str, LinearInputs], None]
Calibration: TypeAlias = Callable[[Visit], None]
"""Calls its argument with name and inputs of each linear in turn, and keeps none."""


def heard_in(reference: Reference, sequences: Sequence[Ints]) -> Calibration:
    """The inputs of all linears while `reference` runs over `sequences` as published.

    Raises InputError for texts that are too short, and, as it is called, for inputs that are beyond float32.
    """
    demand_parts(sequences)
    group = np.repeat([part_of(ids) for ids in sequences], [len(ids) for ids in sequences])
    _demand_enough(len(group), len(sequences), "the text", "tokens in sequences")

    def run(visit: Visit) -> None:
        def hear(name: str, inputs: Floats32) -> None:
            demand_finite(inputs, f"{reference.model.name}: what {name} reads", "numbers")
            visit(name, LinearInputs.split(inputs, group))

        reference.run(sequences, listening(reference.exact, hear))

    return run


def demand_parts(sequences: Sequence[Ints], name: str = "the text") -> None:
    """Raise InputError where none of the sequences is fitted, or none measured, or none held out."""
    if not all(sequences_by_use(sequences)):
        raise InputError(
            f"{name}: {len(sequences)} paragraphs are too few to fit and to hold some out, which their words decide; "
            f"expected {_OF} or more, of many words: give a longer text"
        )


def read_sequences(texts: Sequence[Path | str], folder: Path, source: Tensors, context: int, most: int) -> list[Ints]:
    """Up to `most` tokens of the texts, as the model in `folder` reads them; `sample` is the text that is shipped.

    As much is read of each, in turns, so that the first of them are of all kinds. The tokenizer is tokenizer.json, or
    what a GGUF file says. Raises InputError for texts that cannot be read, and for a folder without a tokenizer.
    """
    if isinstance(source, GgufFile) and not os.path.exists(folder / "tokenizer.json"):
        tokenizer = byte_pair_tokenizer(source.vocabulary(), context, source.path)
    else:
        tokenizer = load_tokenizer(folder, context)
    found = []
    for text in texts:
        shipped = str(text) == "sample" and not os.path.exists(text)
        paragraphs = read_paragraphs(SAMPLE if shipped else Path(text))
        found.append(tokenizer.sequences(paragraphs, max(1, most // len(texts))))
    return in_turns(found)


def in_turns(texts: Sequence[Sequence[Ints]]) -> list[Ints]:
    """The sequences of some texts, each in its order, so that as many tokens of each come first."""
    begins = [(begin, ids) for text in texts for begin, ids in zip(_begins(text), text, strict=True)]
    return [ids for _, ids in sorted(begins, key=lambda each: each[0])]


def _begins(sequences: Sequence[Ints]) -> list[int]:
    """The tokens before each sequence."""
    lengths = np.array([len(ids) for ids in sequences], dtype=np.int64)
    return (np.cumsum(lengths) - lengths).tolist()  # type: ignore[no-any-return]


class InputFile:
    """Inputs by linear, (samples, n_in): a `.npz` of plain arrays, or safetensors.

    Opening reads headers only. Raises InputError for a file that is missing, damaged or of another kind.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._source: NpzFile | Tensors
        if path.suffix == ".npz":
            self._source = NpzFile(path)
            self._shapes = self._source.shapes
        elif path.suffix == ".safetensors":
            entries = read_header(path)[0]
            self._source = Tensors(path, entries)
            self._shapes = {name: entry.shape for name, entry in entries.items()}
        else:
            raise InputError(f"{one_line(str(path))}: expected a .npz or a .safetensors file with an array a linear")
        self._stored = StoredNames(self._shapes, path)

    def samples(self, linears: Sequence[Linear]) -> int:
        """Most samples of any linear. Raises InputError where one is missing, too short or of another width."""
        most = 0
        for linear in linears:
            stored = self._stored.find(linear.name)
            shape = self._shapes[stored]
            if len(shape) != 2 or shape[1] != linear.n_in:
                raise InputError(
                    f"{self.path}: {stored} has shape {shape}; expected (samples, {linear.n_in}), the inputs of "
                    f"{linear.name}"
                )
            _demand_enough(shape[0], shape[0], f"{self.path}: {stored}", "samples in runs")
            most = max(most, shape[0])
        return most

    def calibration(self, linears: Sequence[Linear]) -> Calibration:
        """The inputs of `linears` one after the other; those without an array were refused by `samples`."""

        def run(visit: Visit) -> None:
            for linear in linears:
                found = self._read(self._stored.find(linear.name))
                group = np.arange(len(found)) * GROUPS // len(found)
                visit(linear.name, LinearInputs.split(found, group.astype(np.int64)))

        return run

    def _read(self, stored: str) -> Floats32:
        if isinstance(self._source, Tensors):
            return self._source.tensor(stored)
        found = self._source.read(stored)
        demand_finite(found, f"{self.path}: {stored}", "numbers")
        return found


def _demand_enough(samples: int, groups: int, what: str, unit: str) -> None:
    if samples < SAMPLES_MIN or groups < _OF:
        raise InputError(
            f"{what}: {samples} {unit} of {groups} are too few to fit and to hold some out; expected {SAMPLES_MIN} "
            f"or more in {_OF} or more"
        )
