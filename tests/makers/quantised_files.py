"""Safetensors files of types that numpy has no name for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def write_safetensors(path: Path, tensors: Mapping[str, tuple[str, Any]]) -> None:
    """`tensors`: name -> the type as safetensors calls it, and the numbers as they lie in the file."""
    header, data = {}, b""
    for name, (kind, values) in tensors.items():
        array = np.asarray(values)
        begin, data = len(data), data + array.tobytes()
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
