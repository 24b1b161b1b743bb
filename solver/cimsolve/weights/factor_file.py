"""Files of factors: what `cimsolve project` found, stored as it is to be used.

A safetensors file. Of every factored linear it holds `<linear>.R` (k, P, T*l) and `<linear>.L` (l, T*k, S), of
every dense one `<linear>.dense` (n_in, n_out), all float32; its metadata say how each linear is stored. It is read
one linear at a time, and written so: all sizes follow from the structures, so the header comes first.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from cimsolve.columns import Floats
from cimsolve.errors import InputError
from cimsolve.files.json_file import parse_json_text
from cimsolve.files.text import one_line
from cimsolve.model.structure import Structure
from cimsolve.weights.monarch import Monarch, reconstruct
from cimsolve.weights.tensors import Tensors, listed, read_header

FORMAT = "cimsolve-factors/1"

T = TypeVar("T")


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
                f"{self.path}: its metadata have no format = {FORMAT}; expected a file that `cimsolve project` wrote"
            )
        self._tensors = Tensors(self.path, entries)
        self.metadata: Mapping[str, str] = metadata
        self.structures = self._read_structures(metadata.get("structure", ""))
        self.shapes = {name: self._shape(name, structure) for name, structure in self.structures.items()}
        """Linear -> (n_in, n_out)."""
        known = {tensor for name, each in self.structures.items() for tensor in tensor_names(name, each)}
        strange = sorted(set(entries) - known)
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

    def demand_fits(self, linears: Sequence[tuple[str, int, int]], model: str) -> None:
        """Raise InputError unless these are all `linears` of (name, n_in, n_out) of a model."""
        names = {name for name, _, _ in linears}
        for what, missing in (("lacks", names - set(self.shapes)), ("has", set(self.shapes) - names)):
            if missing:
                side = "of the model" if what == "lacks" else "which the model lacks"
                raise InputError(
                    f"{self.path}: {what} {listed(sorted(missing))} {side}; expected the linears of {model}"
                )
        for name, n_in, n_out in linears:
            if self.shapes[name] != (n_in, n_out):
                have = " x ".join(map(str, self.shapes[name]))
                raise InputError(f"{self.path}: {name} is {have}; expected {n_in} x {n_out} as in {model}")

    def _pair(self, name: str) -> tuple[Floats, Floats]:
        return self._finite(f"{name}.R"), self._finite(f"{name}.L")

    def _dense(self, name: str) -> Floats:
        if self.structures[name].is_dense:
            return self._finite(f"{name}.dense")
        return reconstruct(Monarch(*self._pair(name)))

    def _finite(self, tensor: str) -> Floats:
        found = self._tensors.tensor(tensor)
        bad = found.size - int(np.count_nonzero(np.isfinite(found)))
        if bad:
            raise InputError(f"{self.path}: {bad} of {found.size} numbers of {tensor} are NaN or infinite")
        return found

    def _read_structures(self, text: str) -> dict[str, Structure]:
        try:
            found = parse_json_text(text)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or not found or not all(isinstance(each, str) for each in found.values()):
            raise InputError(
                f"{self.path}: structure in its metadata: expected a JSON object of linears; write it again"
            )
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


class OnDemand(Mapping[str, T]):
    """A mapping whose values are read when they are asked for, and not kept."""

    def __init__(self, names: Sequence[str], read: Callable[[str], T]) -> None:
        self._names, self._read = dict.fromkeys(names), read

    def __getitem__(self, name: str) -> T:
        if name not in self._names:
            raise KeyError(name)
        return self._read(name)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class FactorWriter:
    """Writes a file of factors linear by linear, in any order; whole or not at all. A context manager."""

    def __init__(
        self,
        path: Path,
        linears: Sequence[tuple[str, int, int]],
        structures: Mapping[str, Structure],
        **metadata: str,
    ) -> None:
        """`linears` of (name, n_in, n_out). Raises InputError where the file cannot be written or has no room."""
        self._target = path.resolve()
        self._shown = one_line(str(path))
        self._structures = {name: structures[name] for name, _, _ in linears}
        texts = {name: str(each) for name, each in self._structures.items()}
        head: dict[str, Any] = {
            "__metadata__": {"format": FORMAT, "structure": json.dumps(texts), **metadata},
        }
        end = 0
        for name, n_in, n_out in linears:
            structure = structures[name]
            shapes = [(n_in, n_out)] if structure.is_dense else structure.factors(n_in, n_out)
            for tensor, shape in zip(tensor_names(name, structure), shapes, strict=True):
                begin, end = end, end + 4 * math.prod(shape)
                head[tensor] = {"dtype": "F32", "shape": list(shape), "data_offsets": [begin, end]}
        text = json.dumps(head).encode()
        text += b" " * (-len(text) % 8)
        self._first = 8 + len(text)
        self._offsets = {tensor: entry["data_offsets"][0] for tensor, entry in head.items() if tensor[:2] != "__"}
        self._size = self._first + end
        self._left = set(self._offsets)
        self._written = self._target.with_name(f".{self._target.name}.{os.getpid()}.tmp")
        self._begin(len(text).to_bytes(8, "little") + text)

    def put(self, name: str, stored: Monarch | Floats) -> None:
        """One linear: its factors, or its dense matrix. Raises InputError where the disk does not take it."""
        structure = self._structures[name]
        parts = [stored.R, stored.L] if isinstance(stored, Monarch) else [stored]
        try:
            with self._written.open("r+b") as stream:
                for tensor, part in zip(tensor_names(name, structure), parts, strict=True):
                    stream.seek(self._first + self._offsets[tensor])
                    stream.write(np.ascontiguousarray(part, dtype="<f4").data)
                    self._left.discard(tensor)
        except OSError as error:
            raise self._refused(error) from None

    def __enter__(self) -> FactorWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._left:
                raise ValueError(f"{self._shown}: {listed(sorted(self._left))} were not put")
            if kind is None:
                with self._written.open("r+b") as stream:
                    os.fsync(stream.fileno())
                self._written.replace(self._target)
        except OSError as failed:
            raise self._refused(failed) from None
        finally:
            self._written.unlink(missing_ok=True)

    def _begin(self, head: bytes) -> None:
        if self._target.is_dir():
            raise InputError(f"{self._shown}: is a folder; expected the name of a file to write")
        try:
            self._target.parent.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self._target.parent).free
            if free < self._size:
                raise InputError(
                    f"{self._shown}: needs {self._size} bytes, the disk has {free}; choose another place or store less"
                )
            with self._written.open("wb") as stream:
                stream.write(head)
                stream.truncate(self._size)
        except OSError as error:
            with contextlib.suppress(OSError):
                self._written.unlink()
            raise self._refused(error) from None

    def _refused(self, error: OSError) -> InputError:
        return InputError(f"{self._shown}: cannot be written ({error.strerror or error}); choose another place")


def tensor_names(linear: str, structure: Structure) -> tuple[str, ...]:
    """The tensors that hold a linear."""
    return (f"{linear}.dense",) if structure.is_dense else (f"{linear}.R", f"{linear}.L")
