"""Files of factors: what `cimsolve project` found, stored as it is to be used.

A safetensors file. Of every factored linear it holds `<linear>.R` (k, P, T*l) and `<linear>.L` (l, T*k, S), of
every dense one `<linear>.dense` (n_in, n_out), all float32; its metadata say how each linear is stored. Norms and
biases that were tuned with the factors are there as `beside/<tensor>`. It is read one linear at a time, and written so:
all sizes follow from the structures, so the header comes first.
"""

from __future__ import annotations

import contextlib
import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from cimsolve.columns import Floats
from cimsolve.errors import InputError
from cimsolve.files.json_file import parse_json_text
from cimsolve.files.text import one_line
from cimsolve.files.whole import link_target, written_whole
from cimsolve.model.structure import Structure
from cimsolve.weights.monarch import Monarch, reconstruct
from cimsolve.weights.tensors import OnDemand, Replaced, Tensors, demand_names, listed, read_header

FORMAT = "cimsolve-factors/1"
_BESIDE = "beside/"

Stored: TypeAlias = Monarch | Floats
"""What is kept of a linear: its factors, or the dense matrix."""


class FactorFile:
    """A file of factors; opening reads its header only.

    Raises InputError for a file that is missing or damaged, is no file of factors, or whose tensors do not have the
    shapes of the structures that it states.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        entries, metadata = read_header(self.path)
        if metadata.get("format") != FORMAT:
            raise InputError(
                f"{self.path}: holds no factors of cimsolve: its metadata have no format = {FORMAT}; "
                "expected a file that `cimsolve project` wrote"
            )
        self._tensors = Tensors(self.path, entries)
        self.metadata: Mapping[str, str] = metadata
        self.structures = self._read_structures(metadata.get("structure", ""))
        self.shapes = {name: self._shape(name, structure) for name, structure in self.structures.items()}
        """Linear -> (n_in, n_out)."""
        known = {tensor for name, each in self.structures.items() for tensor in tensor_names(name, each)}
        strange = sorted(name for name in set(entries) - known if not name.startswith(_BESIDE))
        self.beside = [name.removeprefix(_BESIDE) for name in entries if name.startswith(_BESIDE)]
        """Tensors of the model that hold no linear and are others with these factors: norms and biases."""
        if strange:
            raise InputError(f"{self.path}: its metadata name no linear for {listed(strange)}; write it again")

    @property
    def factors(self) -> Mapping[str, tuple[Floats, Floats]]:
        """Factored linear -> (R, L), read each time it is asked for."""
        names = [name for name, structure in self.structures.items() if not structure.is_dense]
        return OnDemand(names, self._pair)

    @property
    def weights(self) -> Mapping[str, Floats]:
        """Linear -> the dense matrix (n_in, n_out): as stored, or the product of its factors."""
        return OnDemand(list(self.structures), self._dense)

    def weights_over(self, others: Mapping[str, Floats]) -> Mapping[str, Floats]:
        """Linear -> the dense matrix stored here, else that of `others`: for those who store factored linears dense."""

        def read(name: str) -> Floats:
            return self._dense(name) if self.structures[name].is_dense else others[name]

        return OnDemand(list(self.structures), read)

    @property
    def operands(self) -> Mapping[str, Floats | Monarch]:
        """Linear -> what is stored of it: the dense matrix, or its factors."""

        def read(name: str) -> Floats | Monarch:
            return self._dense(name) if self.structures[name].is_dense else Monarch(*self._pair(name))

        return OnDemand(list(self.structures), read)

    def over(self, source: Tensors) -> Tensors:
        """The tensors of the model, norms and biases as they are with these factors.

        Raises InputError for those that the model lacks or has in another shape.
        """
        for name in self.beside:
            if self._tensors.shape(_BESIDE + name) != source.shape(name):
                raise InputError(
                    f"{self.path}: {name} has shape {self._tensors.shape(_BESIDE + name)}; expected "
                    f"{source.shape(name)} as in {source.path}"
                )
        here = {source.find(name): _BESIDE + name for name in self.beside}
        return Replaced(source, lambda name: self._tensors.tensor(here[name]) if name in here else None)

    def demand_fits(self, linears: Sequence[tuple[str, int, int]], model: str) -> None:
        """Raise InputError unless these are all `linears` of (name, n_in, n_out) of a model."""
        names = {name for name, _, _ in linears}
        for what, missing, side in (
            ("lacks", names - set(self.shapes), "of the model"),
            ("has", set(self.shapes) - names, "which the model lacks"),
        ):
            if missing:
                which = listed(sorted(missing))
                raise InputError(f"{self.path}: {what} {which} {side}; expected the linears of {model}")
        for name, n_in, n_out in linears:
            if self.shapes[name] != (n_in, n_out):
                have = " x ".join(map(str, self.shapes[name]))
                raise InputError(f"{self.path}: {name} is {have}; expected {n_in} x {n_out} as in {model}")

    def _pair(self, name: str) -> tuple[Floats, Floats]:
        return self._tensors.tensor(f"{name}.R"), self._tensors.tensor(f"{name}.L")

    def _dense(self, name: str) -> Floats:
        if self.structures[name].is_dense:
            return self._tensors.tensor(f"{name}.dense")
        return reconstruct(Monarch(*self._pair(name)))

    def _read_structures(self, text: str) -> dict[str, Structure]:
        try:
            found = parse_json_text(text)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or not found or not all(isinstance(each, str) for each in found.values()):
            raise InputError(
                f"{self.path}: structure in its metadata: expected a JSON object of linears; write it again"
            )
        demand_names(found, f"{self.path}: structure in its metadata")
        try:
            return {name: Structure.parse(each) for name, each in found.items()}
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from None

    def _shape(self, name: str, structure: Structure) -> tuple[int, int]:
        shapes = [self._tensors.shape(tensor) for tensor in tensor_names(name, structure)]
        if structure.is_dense and len(shapes[0]) == 2:
            return shapes[0][0], shapes[0][1]
        if not structure.is_dense and len(shapes[0]) == 3 and len(shapes[1]) == 3:
            n_in, n_out = structure.k * shapes[0][1], structure.l * shapes[1][2]
            if tuple(shapes) == tuple(map(tuple, structure.factors(n_in, n_out))) and 0 not in (n_in, n_out):
                structure.validate(n_in, n_out, name)
                return n_in, n_out
        raise InputError(f"{self.path}: {name} has tensors of shape {listed(map(str, shapes))}, no {structure}")


@contextlib.contextmanager
def write_factors(
    path: Path,
    linears: Sequence[tuple[str, int, int]],
    structures: Mapping[str, Structure],
    told: Mapping[str, str] | None = None,
    beside: Mapping[str, Floats] | None = None,
) -> Iterator[Callable[[str, Stored], None]]:
    """What puts one linear of (name, n_in, n_out) into a file of factors, in any order; all are written, or nothing.

    `told` is what the file says of itself; `beside` are norms and biases that go with its linears, by their tensors.
    Raises InputError where the file cannot be written or has no room, ValueError at the end where linears are left.
    """
    shown = one_line(str(path))
    target = link_target(path, shown)
    if target.is_dir():
        raise InputError(f"{shown}: is a folder; expected the name of a file to write")
    texts = {name: str(structures[name]) for name, _, _ in linears}
    head: dict[str, Any] = {"__metadata__": {"format": FORMAT, "structure": json.dumps(texts), **(told or {})}}
    shapes: dict[str, tuple[int, ...]] = {}
    for name, n_in, n_out in linears:
        structure = structures[name]
        parts = [(n_in, n_out)] if structure.is_dense else structure.factors(n_in, n_out)
        shapes |= zip(tensor_names(name, structure), parts, strict=True)
    aside = {_BESIDE + name: each for name, each in (beside or {}).items()}
    shapes |= {name: each.shape for name, each in aside.items()}
    offsets: dict[str, int] = {}
    end = 0
    for tensor, shape in shapes.items():
        offsets[tensor], end = end, end + 4 * math.prod(shape)
        head[tensor] = {"dtype": "F32", "shape": list(shape), "data_offsets": [offsets[tensor], end]}
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    first = 8 + len(text)
    left = set(offsets)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{shown}: cannot be written ({error.strerror}); choose another place") from None
    with written_whole(target, shown) as written:
        free = shutil.disk_usage(target.parent).free
        if free < first + end:
            raise InputError(
                f"{shown}: needs {first + end} bytes, the disk has {free}; choose another place or store less"
            )
        with written.open("wb") as stream:
            stream.write(len(text).to_bytes(8, "little") + text)
            stream.truncate(first + end)

            def write(tensor: str, numbers: Floats) -> None:
                stream.seek(first + offsets[tensor])
                stream.write(np.ascontiguousarray(numbers, dtype="<f4").data)
                left.discard(tensor)

            def put(name: str, stored: Stored) -> None:
                parts = [stored.R, stored.L] if isinstance(stored, Monarch) else [stored]
                for tensor, part in zip(tensor_names(name, structures[name]), parts, strict=True):
                    write(tensor, part)

            for name, numbers in aside.items():
                write(name, numbers)

            yield put
            if left:
                raise ValueError(f"{shown}: {listed(sorted(left))} were not put")


def tensor_names(linear: str, structure: Structure) -> tuple[str, ...]:
    """The tensors that hold a linear."""
    return (f"{linear}.dense",) if structure.is_dense else (f"{linear}.R", f"{linear}.L")
