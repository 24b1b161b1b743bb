"""Tensors of safetensors files, read one at a time, never by pickle.

Only headers are read when a file is opened. Any source of tensors offers `Tensors`' methods: `GgufFile` does so too.
Names come from files: those that would not show as one line are refused where a file is opened.
"""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from cimsolve.columns import Ints
from cimsolve.errors import InputError
from cimsolve.files.json_file import parse_json_text
from cimsolve.files.text import shown_value, told
from cimsolve.weights.monarch import demand_finite

Floats32: TypeAlias = npt.NDArray[np.float32]

T = TypeVar("T")

# safetensors' name of a type -> how its bytes are read; bfloat16, which numpy lacks, as its 16 raw bits.
_READ_AS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
BYTES = {dtype: np.dtype(kind).itemsize for dtype, kind in _READ_AS.items()}
"""safetensors' name of a type that is read -> bytes of a number."""
_LFS_POINTER = b"version https://git-lfs"
_HEADER_BYTES_MAX = 2**25
_NAME_MAX = 512
_NEAR_AMONG = 4096
"""Names among which near ones are looked for: more would take long."""


@dataclass(frozen=True)
class Entry:
    """One tensor of a file: type, shape, and where its bytes begin, counted from the start of the file."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    begin: int


class Tensors:
    """Tensors by name; `path` is what errors call the place they come from."""

    def __init__(self, path: Path, entries: Mapping[str, Entry]) -> None:
        self.path = path
        self._entries = dict(entries)

    @property
    def entries(self) -> Mapping[str, Entry]:
        """Where each tensor lies."""
        return self._entries

    def names(self) -> tuple[str, ...]:
        """Names of all stored tensors, sorted."""
        return tuple(sorted(self._entries))

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, without reading it. Finds and raises as `tensor` does."""
        return self._entries[self.find(name)].shape

    def find(self, name: str) -> str:
        """The stored name of tensor `name`, as `StoredNames.find` has it. Raises InputError as that does."""
        return self._stored.find(name)

    def holds(self, name: str) -> bool:
        """Whether a stored name is one that `find` takes for `name`."""
        return bool(self._stored.matches(name))

    @cached_property
    def _stored(self) -> StoredNames:
        return StoredNames(self.names(), self.path)

    def tensor(self, name: str) -> Floats32:
        """One tensor as float32, read now.

        Raises InputError for a name not found, a type that is not floating, and for NaN or infinity in it.
        """
        stored = self.find(name)
        entry = self._entries[stored]
        return self._demand_finite(stored, _as_float32(entry, self.raw(stored, self._kind(stored, entry))))

    def rows(self, name: str, index: Ints) -> Floats32:
        """Those rows of a tensor as float32, read alone: an embedding need not fit in memory.

        `index` must lie within it. Raises as `tensor` does.
        """
        stored = self.find(name)
        entry = self._entries[stored]
        return self._demand_finite(
            stored, _as_float32(entry, self.raw(stored, self._kind(stored, entry), index)), index
        )

    def raw(self, stored: str, kind: str, index: Ints | None = None) -> npt.NDArray[Any]:
        """The numbers of a tensor as they lie in its file, read as numpy's `kind`: all, or some places of an axis.

        Raises InputError where they are not all there.
        """
        entry, count = self._entries[stored], math.prod(self._entries[stored].shape)
        try:
            if index is not None:
                table = np.memmap(entry.file, dtype=kind, mode="r", offset=entry.begin, shape=entry.shape)
                return np.asarray(table[index])
            found: npt.NDArray[Any] = np.fromfile(entry.file, dtype=kind, count=count, offset=entry.begin)
        except OSError as error:
            raise InputError(f"{entry.file}: cannot be read: {error.strerror or error}") from error
        except ValueError as error:  # of a memory map that would go beyond the end
            raise InputError(f"{entry.file}: cut short while in use: tensor {stored}: {told(error)}") from error
        if len(found) != count:
            raise InputError(f"{entry.file}: cut short while in use: tensor {stored} is not all there")
        return found.reshape(entry.shape)

    def where(self, name: str) -> str:
        """The file and the stored name of a tensor, for errors. Raises as `find` does."""
        stored = self.find(name)
        return f"{self._entries[stored].file}: tensor {stored}"

    def demand_shape(self, name: str, shape: tuple[int, ...], model: str) -> None:
        """Raise InputError unless the tensor is there, in the shape that the config of `model` asks for."""
        if self.shape(name) != shape:
            raise InputError(
                f"{self.where(name)} has shape {self.shape(name)}; the config of {model} asks for {shape}; "
                "use the config and the weights of one model"
            )

    def _demand_finite(self, stored: str, found: Floats32, rows: Ints | None = None) -> Floats32:
        demand_finite(found, self.where(stored), "numbers", rows)
        return found

    @staticmethod
    def _kind(stored: str, entry: Entry) -> str:
        kind = _READ_AS.get(entry.dtype)
        if kind is None:
            known = ", ".join(_READ_AS)
            raise InputError(f"{entry.file}: tensor {stored} is of type {entry.dtype}; expected one of {known}")
        return kind


class Replaced(Tensors):
    """The tensors of another source, some with other numbers of the same shape."""

    def __init__(self, source: Tensors, read: Callable[[str], Any]) -> None:
        """`read` has the numbers of a stored name, None where they are those of the source."""
        super().__init__(source.path, source.entries)
        self._source, self._read = source, read

    def names(self) -> tuple[str, ...]:
        return self._source.names()

    def shape(self, name: str) -> tuple[int, ...]:
        return self._source.shape(name)

    def find(self, name: str) -> str:
        return self._source.find(name)

    def holds(self, name: str) -> bool:
        return self._source.holds(name)

    def where(self, name: str) -> str:
        return self._source.where(name)

    def tensor(self, name: str) -> Any:
        found = self._read(self._source.find(name))
        return self._source.tensor(name) if found is None else found

    def rows(self, name: str, index: Ints) -> Any:
        found = self._read(self._source.find(name))
        return self._source.rows(name, index) if found is None else found[index]


class OnDemand(Mapping[str, T]):
    """A mapping whose values are read when they are asked for, and not kept."""

    def __init__(self, names: Iterable[str], read: Callable[[str], T]) -> None:
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


class StoredNames:
    """The names of a file's tensors, found by what a model calls them."""

    def __init__(self, names: Iterable[str], path: Path) -> None:
        """`path` is what errors call the place they come from."""
        self._names, self._path = dict.fromkeys(names), path
        self._by_end: dict[str, list[str]] = {}
        for name in self._names:
            for dot in re.finditer(r"\.", name):
                self._by_end.setdefault(name[dot.end() :], []).append(name)

    def matches(self, name: str) -> Sequence[str]:
        """`name` itself; or those that end in `.name`; or one whose first part is another.

        The same tensor is `encoder...` in one file and `bert.encoder...` in another; `model.layers...` of a language
        model is `layers...` where it was saved without its head, and `model.language_model.layers...` within a whole.
        """
        first, _, rest = name.partition(".")
        if name in self._names:
            return (name,)
        others = (rest, f"{first}.language_model.{rest}") if "." in rest else ()
        return self._by_end.get(name) or [each for each in others if each in self._names][:1]

    def find(self, name: str) -> str:
        """The one match of `name`. Raises InputError where there is none, or where several end so."""
        found = self.matches(name)
        if len(found) == 1:
            return found[0]
        if found:
            raise InputError(f"{self._path}: tensor {name} is ambiguous: {listed(found)}")
        near = difflib.get_close_matches(name, list(self._names)[:_NEAR_AMONG], n=3, cutoff=0.4)
        hint = f"near names: {', '.join(near)}" if near else f"it holds {listed(self._names) or 'no tensors'}"
        raise InputError(f"{self._path}: no tensor {name}; {hint}")


def demand_regular(file: Path) -> None:
    """Raise InputError for a pipe or a device, which would be waited for."""
    if os.path.exists(file) and not os.path.isfile(file) and not os.path.isdir(file):
        raise InputError(f"{file}: is no regular file; expected one, copy it there")


def demand_names(names: Iterable[str], where: str) -> None:
    """Raise InputError for a name of a file that cannot be shown: empty, very long, with control characters."""
    for name in names:
        if not 0 < len(name) <= _NAME_MAX or not name.isprintable():
            raise InputError(
                f"{where}: the name {shown_value(name)}: expected 1 to {_NAME_MAX} printable characters; "
                "check that it is the right file"
            )


def read_header(file: Path) -> tuple[dict[str, Entry], dict[str, str]]:
    """Tensor name -> where it lies, and the file's metadata.

    The library judges the header; offsets, which it hides, are read here. Raises InputError for a file that is
    damaged or cut short.
    """
    try:
        demand_regular(file)
        size = file.stat().st_size
        with file.open("rb") as stream:
            first = stream.read(len(_LFS_POINTER))
            if first == _LFS_POINTER:
                raise InputError(f"{file}: is a Git LFS pointer, not the weights; fetch them with git lfs pull")
            length = int.from_bytes(first[:8], "little")
            if len(first) < 8 or 8 + length > size:
                raise InputError(f"{file}: is cut short or no safetensors file: {size} bytes do not hold its header")
            if length > _HEADER_BYTES_MAX:
                raise InputError(f"{file}: its header has {length} bytes; expected at most {_HEADER_BYTES_MAX}")
            stream.seek(8)
            text = stream.read(length)
        header: Any = parse_json_text(text.decode())
        metadata = header.pop("__metadata__", None) or {}
        demand_names(header, str(file))
        ends = [entry["data_offsets"][1] for entry in header.values()]
        promised = 8 + length + max(ends, default=0)
        if promised > size:
            raise InputError(f"{file}: is cut short: its header promises {promised} bytes, it has {size}")
        with safe_open(file, framework="numpy"):
            pass  # refuses overlaps, gaps and sizes that contradict shapes
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror or error}") from error
    except (SafetensorError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise InputError(f"{file}: is no sound safetensors file: {told(error)}") from error
    entries = {
        name: Entry(file, entry["dtype"], tuple(entry["shape"]), 8 + length + entry["data_offsets"][0])
        for name, entry in header.items()
    }
    return entries, metadata


def listed(names: Iterable[str], limit: int = 4) -> str:
    """Names for an error, the first few of many."""
    items = list(names)
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more


def _as_float32(entry: Entry, raw: npt.NDArray[Any]) -> Floats32:
    if entry.dtype == "BF16":
        # A bfloat16 is the upper half of the float32 of the same value.
        return (raw.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # a float64 beyond float32 becomes infinite, and is refused
        return raw.astype(np.float32, copy=False)
