"""Tensors of an ONNX file, in it or beside it, never anywhere else.

Those of more than two axes, the kernels of convolutions, are the matrices that they come to: an output a row.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from cimsolve.columns import Ints
from cimsolve.errors import InputError
from cimsolve.files.json_file import read_bytes
from cimsolve.files.text import shown_value, told
from cimsolve.model.onnx.graph import FILE_BYTES_MAX
from cimsolve.weights.tensors import Entry, Tensors, demand_names, demand_regular

_TYPES: dict[int, tuple[str, int]] = {
    TensorProto.FLOAT: ("F32", 4),
    TensorProto.DOUBLE: ("F64", 8),
    TensorProto.FLOAT16: ("F16", 2),
    TensorProto.BFLOAT16: ("BF16", 2),
}


class OnnxFile(Tensors):
    """The tensors of floating-point numbers of one ONNX file.

    Raises InputError for a file that is damaged, and for a tensor that lies elsewhere than in it or beside it.
    """

    def __init__(self, path: Path) -> None:
        model = onnx.ModelProto()
        try:
            model.ParseFromString(read_bytes(path, FILE_BYTES_MAX))
        except DecodeError as error:
            raise InputError(f"{path}: is no sound ONNX file: {told(error)}; export or fetch it anew") from None
        self._inside: dict[str, bytes] = {}
        entries: dict[str, Entry] = {}
        demand_names((held.name for held in model.graph.initializer), str(path))
        for held in model.graph.initializer:
            if held.data_type in _TYPES and len(held.dims) > 1 and (entry := self._entry(path, held)):
                entries[held.name] = entry
        super().__init__(path, entries)

    def _entry(self, path: Path, held: TensorProto) -> Entry | None:
        kind, size = _TYPES[held.data_type]
        shape = (held.dims[0], math.prod(held.dims[1:]))
        wanted = math.prod(shape) * size
        if held.data_location != TensorProto.EXTERNAL:
            if len(held.raw_data) != wanted:  # in a list of numbers, as old files have few
                return None
            self._inside[held.name] = held.raw_data
            return Entry(path, kind, shape, 0)
        said = {each.key: each.value for each in held.external_data}
        place, begin = said.get("location", ""), said.get("offset", "0")
        if not re.fullmatch(r"[^/\\]{1,200}", place) or place in (".", "..") or not place.isprintable():
            raise InputError(
                f"{path}: tensor {held.name} lies in {shown_value(place)}; expected a file beside it; fetch it anew"
            )
        file = path.parent / place
        if not file.exists():  # a graph can be mapped without its weights
            return None
        if file.is_symlink():
            raise InputError(f"{path}: tensor {held.name}: {file} is a link; expected a file")
        demand_regular(file)
        if not re.fullmatch(r"[0-9]{1,18}", begin) or int(begin) + wanted > file.stat().st_size:
            raise InputError(
                f"{path}: tensor {held.name} takes {wanted} bytes from {shown_value(begin)} of {file}, which has "
                f"{file.stat().st_size}; fetch both anew"
            )
        return Entry(file, kind, shape, int(begin))

    def raw(self, stored: str, kind: str, index: Ints | None = None) -> npt.NDArray[Any]:
        """The numbers as they are stored, of some rows or of all."""
        if stored not in self._inside:
            return super().raw(stored, kind, index)
        found = np.frombuffer(self._inside[stored], dtype=kind).reshape(self.entries[stored].shape)
        return found if index is None else found[index]
