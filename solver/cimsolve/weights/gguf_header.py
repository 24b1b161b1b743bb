"""What stands in a GGUF file before its tensors: metadata, and where each tensor lies.

Every count and length comes from the file; each is held against the bytes that are left before anything is made of it.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

MAGIC, VERSIONS = b"GGUF", (2, 3)

_SCALARS = {0: "u1", 1: "i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "?", 10: "<u8", 11: "<i8", 12: "<f8"}
_STRING, _ARRAY = 8, 9
_BYTES_MIN = {_STRING: 8, _ARRAY: 12}
_AXES_MAX, _NESTED_MAX, _ALIGNMENT = 4, 4, 32

BlockOf = Callable[[int], tuple[Any, int, int]]
"""Number of a tensor type -> the type, weights of a block, bytes of a block; ValueError for an unknown number."""


@dataclass(frozen=True)
class GgufTensor:
    """Where one tensor lies: its shape, outermost axis first, its first byte, and the bytes of a row."""

    file: Path
    kind: Any
    shape: tuple[int, ...]
    begin: int
    row_bytes: int

    @property
    def rows(self) -> int:
        """Number of rows, over all axes but the innermost."""
        return math.prod(self.shape[:-1])

    def part(self, index: int) -> GgufTensor:
        """One of the tensors that lie side by side along the outermost axis."""
        begin = self.begin + index * math.prod(self.shape[1:-1]) * self.row_bytes
        return replace(self, shape=self.shape[1:], begin=begin)


def read_gguf_header(path: Path, block_of: BlockOf) -> tuple[Mapping[str, Any], Mapping[str, GgufTensor]]:
    """The metadata and the tensors of a GGUF file by name; arrays of numbers are numpy's, of texts are lists.

    Raises ValueError with what is unsound in it, OSError where it cannot be read.
    """
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _Cursor(path, data).header(block_of)


class _Cursor:
    """Reads on from a place in the file, never beyond its end."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self._path, self._data, self._at = path, data, 0

    def header(self, block_of: BlockOf) -> tuple[Mapping[str, Any], Mapping[str, GgufTensor]]:
        if self._take(4) != MAGIC:
            raise ValueError("it does not begin with GGUF")
        version = self._number("<u4")
        if version & 0xFFFF == 0:
            raise ValueError("it is big-endian; expected little-endian, as gguf-convert-endian makes it")
        if version not in VERSIONS:
            raise ValueError(f"it is of version {version}, expected 2 or 3")
        tensors, keys = self._number("<u8"), self._number("<u8")
        metadata: dict[str, Any] = {}
        for _ in range(keys):
            key = self._text()
            if key in metadata:
                raise ValueError(f"the key {key[:60]} stands twice")
            metadata[key] = self._value(self._number("<u4"))
        places: dict[str, tuple[int, tuple[int, ...], int]] = {}
        for _ in range(tensors):
            name, place = self._text(), self._place()
            if name in places:
                raise ValueError(f"tensor {name[:60]} stands twice")
            places[name] = place
        alignment = metadata.get("general.alignment", _ALIGNMENT)
        if type(alignment) is not int or alignment < 1 or alignment & (alignment - 1):
            raise ValueError("general.alignment is no power of two")
        first = -(-self._at // alignment) * alignment
        return metadata, {name: self._tensor(name, first, *place, block_of) for name, place in places.items()}

    def _place(self) -> tuple[int, tuple[int, ...], int]:
        """Type number, shape and offset of a tensor."""
        axes = self._number("<u4")
        if not 1 <= axes <= _AXES_MAX:
            raise ValueError(f"a tensor has {axes} axes, expected 1 to {_AXES_MAX}")
        shape = tuple(self._number("<u8") for _ in range(axes))[::-1]
        return self._number("<u4"), shape, self._number("<u8")

    def _tensor(
        self, name: str, first: int, kind: int, shape: tuple[int, ...], offset: int, block_of: BlockOf
    ) -> GgufTensor:
        type_, weights, size = block_of(kind)
        if shape[-1] % weights:
            raise ValueError(f"tensor {name[:60]} has rows of {shape[-1]}, expected whole blocks of {weights}")
        found = GgufTensor(self._path, type_, shape, first + offset, shape[-1] // weights * size)
        if found.begin + found.rows * found.row_bytes > len(self._data):
            raise ValueError(f"it is cut short: tensor {name[:60]} ends beyond its {len(self._data)} bytes")
        return found

    def _value(self, kind: int, depth: int = 0) -> Any:
        if kind == _STRING:
            return self._text()
        if kind in _SCALARS:
            return self._number(_SCALARS[kind])
        if kind != _ARRAY or depth == _NESTED_MAX:
            raise ValueError(f"a value of type {kind}, nested {depth} deep, is not known")
        of, count = self._number("<u4"), self._number("<u8")
        if of in _SCALARS:
            return np.frombuffer(self._take(count * np.dtype(_SCALARS[of]).itemsize), dtype=_SCALARS[of])
        if count * _BYTES_MIN.get(of, 1) > len(self._data) - self._at:
            raise ValueError("it is cut short")
        return [self._value(of, depth + 1) for _ in range(count)]

    def _text(self) -> str:
        return self._take(self._number("<u8")).decode()

    def _number(self, kind: str) -> Any:
        return np.frombuffer(self._take(np.dtype(kind).itemsize), dtype=kind)[0].item()

    def _take(self, count: int) -> bytes:
        if count > len(self._data) - self._at:
            raise ValueError("it is cut short")
        self._at += count
        return self._data[self._at - count : self._at]
