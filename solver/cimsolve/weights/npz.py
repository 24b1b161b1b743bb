"""Floating-point arrays in an `.npz` file, read one at a time and with suspicion: nothing is unpickled."""

from __future__ import annotations

import math
import struct
import warnings
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from cimsolve.errors import InputError
from cimsolve.files.text import told
from cimsolve.weights.tensors import demand_names, demand_regular

_READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""What `np.savez` and `np.savez_compressed` write."""
_MEMBERS_MAX = 1 << 16
_UNSOUND = (
    ValueError,
    EOFError,
    RuntimeError,
    LookupError,
    OverflowError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
)
"""What zipfile raises of files that are none, beside OSError."""


@dataclass(frozen=True)
class _Member:
    file: str
    shape: tuple[int, ...]
    by_columns: bool
    dtype: np.dtype[Any]


class NpzFile:
    """The arrays of an `.npz` file by name. Opening reads headers only; raises InputError for any other file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._members: dict[str, _Member] = {}
        demand_regular(path)
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
                if len(members) > _MEMBERS_MAX:
                    raise InputError(f"{path}: holds {len(members)} arrays; expected at most {_MEMBERS_MAX}")
                demand_names([member.filename for member in members], str(path))
                for member in members:
                    name = member.filename.removesuffix(".npy")
                    if name in self._members:
                        raise InputError(f"{path}: {name} stands twice; expected each array once, write it anew")
                    self._members[name] = self._opened(archive, member)
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror or told(error)}); check the path") from None
        except _UNSOUND as error:
            raise InputError(f"{path}: is no sound .npz file: {told(error)}; write it anew") from None

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name of each array -> its shape."""
        return {name: member.shape for name, member in self._members.items()}

    def read(self, name: str) -> npt.NDArray[np.float32]:
        """One array as float32. Raises InputError where it is damaged."""
        member = self._members[name]
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(member.file) as stream:
                _header_of(stream)
                found = np.frombuffer(stream.read(), dtype=member.dtype)
                with np.errstate(over="ignore", invalid="ignore"):
                    return found.reshape(member.shape, order="F" if member.by_columns else "C").astype(np.float32)
        except (OSError, *_UNSOUND) as error:
            raise InputError(f"{self.path}: {name} cannot be read: {told(error)}; write it anew") from None

    def _opened(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> _Member:
        where = f"{self.path}: {member.filename}"
        if member.compress_type not in _READABLE:
            raise InputError(f"{where} is compressed in an unusual way; expected np.savez or np.savez_compressed")
        with archive.open(member) as stream:
            shape, by_columns, dtype = _header_of(stream)
            follow = member.file_size - stream.tell()
        if dtype.kind != "f":
            raise InputError(f"{where} holds {told(dtype)}; expected floating-point inputs")
        if min(shape, default=0) < 0 or follow != math.prod(shape) * dtype.itemsize:
            raise InputError(f"{where}: {shape} of {dtype} are announced, {follow} bytes follow; write it anew")
        return _Member(member.filename, shape, by_columns, dtype)


def _header_of(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns come first, and type of the array that follows. Raises ValueError for any other text."""
    version = npy.read_magic(stream)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    try:
        with warnings.catch_warnings():  # numpy would tell of headers that Python 2 wrote
            warnings.simplefilter("ignore")
            shape, by_columns, dtype = read(stream)
    except Exception as error:  # numpy parses the text as Python: nothing narrower covers what it raises
        raise ValueError(f"its header cannot be read: {told(error)}") from None
    return tuple(map(int, shape)), by_columns, dtype
