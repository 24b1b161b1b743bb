"""Columns of integers in an `.npz` file, read with suspicion: nothing is unpickled, nothing unpacks to more.

`np.savez` stores its members as they are, so the size of a file bounds the memory that reading it takes.
"""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from cimsolve.columns import Ints
from cimsolve.errors import InputError
from cimsolve.files.text import told
from cimsolve.files.whole import written_whole

_COLUMN = re.compile(
    rb"\x93NUMPY\x01\x00.."
    rb"\{'descr': '(?P<kind>[<>|]i[1248])', 'fortran_order': False, 'shape': \((?P<rows>[0-9]{1,15}),\), \} *\n",
    re.DOTALL,
)
"""The start of a `.npy` file as numpy writes it for a column of integers."""


def write_columns(path: Path, columns: Mapping[str, Ints]) -> str:
    """Write `columns`, whole or not at all; returns the sha256 of the file.

    Raises InputError where the place cannot be written.
    """
    with written_whole(path, str(path), "choose another place by --out") as written:
        with written.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **{name: _narrow(values) for name, values in columns.items()})
        with written.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return digest


def name_of_columns(columns: Mapping[str, Ints]) -> str:
    """12 hexadecimal digits of what the columns hold, for the name of their file."""
    digest = hashlib.sha256()
    for name, values in columns.items():
        digest.update(f"{name} {len(values)} ".encode() + np.ascontiguousarray(values, dtype="<i8").data)
    return digest.hexdigest()[:12]


def read_columns(path: Path, sha256: str) -> dict[str, Ints]:
    """Every column of the file, by name.

    Raises InputError where the file is missing, is not the one with that hash, or holds no such columns.
    """
    try:
        if not path.is_file():
            raise InputError(f"{path}: there is no such file; the header keeps its tables there, copy both")
        with path.open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != sha256:
                raise InputError(f"{path}: its sha256 is not the {sha256} of the header; write both anew")
            return _members(stream, str(path))
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read as solution tables ({told(error)})") from None


def _members(stream: BinaryIO, where: str) -> dict[str, Ints]:
    size = os.fstat(stream.fileno()).st_size
    columns: dict[str, Ints] = {}
    with zipfile.ZipFile(stream) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > size:
            raise InputError(f"{where}: unpacks to more than its {size} bytes; expected columns as they are")
        for member in members:
            name = member.filename.removesuffix(".npy")
            if name in columns:
                raise InputError(f"{where}: {name!r} stands twice; expected each column once")
            if member.compress_type != zipfile.ZIP_STORED:
                raise InputError(f"{where}: {name!r} is compressed; expected columns as they are")
            columns[name] = _column(archive.read(member), f"{where}: {name!r}")
    return columns


def _column(data: bytes, where: str) -> Ints:
    """The integers of a `.npy` file; what its header announces must be what follows."""
    header = _COLUMN.match(data)
    if header is None:
        raise InputError(f"{where}: expected a column of signed integers in the npy format, version 1.0")
    kind, rows = header["kind"].decode(), int(header["rows"])
    follow = len(data) - header.end()
    if follow != rows * np.dtype(kind).itemsize:
        raise InputError(f"{where}: {rows} integers are announced, {follow} bytes follow")
    return np.frombuffer(data, dtype=kind, offset=header.end()).astype(np.int64)


def _narrow(values: Ints) -> Ints:
    """`values` in the smallest signed integer type that holds them."""
    for kind in (np.int8, np.int16, np.int32):
        if len(values) == 0 or (values.min() >= np.iinfo(kind).min and values.max() <= np.iinfo(kind).max):
            return values.astype(kind)
    return values
