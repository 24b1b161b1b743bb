"""Weights from a folder of safetensors, one tensor at a time, never by pickle.

A model folder holds `config.json` and beside it `model.safetensors`, or shards with their
`model.safetensors.index.json`. Only headers are read when the folder is opened.

Which tensor holds a linear is the model family's knowledge, written down as a `TensorRef`.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from cimsolve.errors import InputError

_Float32 = npt.NDArray[np.float32]

# safetensors' name of a type -> how its bytes are read; bfloat16, which numpy lacks, as its 16 raw bits.
_READ_AS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_SHARD = re.compile(r"(.*)-(\d+)-of-(\d+)\.safetensors")
_LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class TensorRef:
    """Where one linear's weights lie: tensor `name`, its axes, and the part of the output axis taken.

    `out_in`, (n_out, n_in), is what a Hugging Face `Linear` stores; `in_out`, (n_in, n_out), GPT-2's
    `Conv1D`. `start` and `stop` cut the output axis, for tensors such as GPT-2's `c_attn` that hold Q, K
    and V side by side; the default is the whole of it.
    """

    name: str
    layout: Literal["out_in", "in_out"]
    start: int = 0
    stop: int | None = None


@dataclass(frozen=True)
class _Entry:
    """One tensor of a file: type, shape, and where its bytes begin, counted from the start of the file."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    begin: int


class WeightFolder:
    """The tensors of a model folder.

    Opening reads and checks the header of every file. Raises InputError for a folder without safetensors, a
    shard that is missing, and a file that is damaged or cut short.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._entries: dict[str, _Entry] = {}
        files, owner = _files(self.path)
        for file in files:
            for name, entry in _read_header(file).items():
                if owner is not None and owner.get(name) != file.name:
                    continue  # the index is what says which shard counts
                if name in self._entries:
                    other = self._entries[name].file.name
                    raise InputError(f"{self.path}: tensor {name} is both in {other} and in {file.name}")
                self._entries[name] = entry
        for name in owner or ():
            if name not in self._entries:
                raise InputError(f"{self.path}: the index puts tensor {name} in {(owner or {})[name]}, which lacks it")

    def names(self) -> tuple[str, ...]:
        """Names of all stored tensors, sorted."""
        return tuple(sorted(self._entries))

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, without reading it. Finds and raises as `tensor` does."""
        return self._entries[self.find(name)].shape

    def find(self, name: str) -> str:
        """The stored name of tensor `name`: `name` itself, or the one stored name that ends in `.name`.

        The latter because the same tensor is `encoder...` in one file and `bert.encoder...` in another.
        Raises InputError where there is none, or where several end so.
        """
        if name in self._entries:
            return name
        ends = [stored for stored in self.names() if stored.endswith("." + name)]
        if len(ends) == 1:
            return ends[0]
        if ends:
            raise InputError(f"{self.path}: tensor {name} is ambiguous: {_listed(ends)}")
        near = difflib.get_close_matches(name, self.names(), n=3, cutoff=0.4)
        hint = f"near names: {', '.join(near)}" if near else f"it holds {_listed(self.names()) or 'no tensors'}"
        raise InputError(f"{self.path}: no tensor {name}; {hint}")

    def tensor(self, name: str) -> _Float32:
        """One tensor as float32, read now. Raises InputError for a name not found or not of floating type."""
        stored = self.find(name)
        entry = self._entries[stored]
        kind = _READ_AS.get(entry.dtype)
        if kind is None:
            raise InputError(
                f"{entry.file}: tensor {stored} is of type {entry.dtype}, not one of {', '.join(_READ_AS)}"
            )
        count = math.prod(entry.shape)
        try:
            raw: npt.NDArray[Any] = np.fromfile(entry.file, dtype=kind, count=count, offset=entry.begin)
        except OSError as error:
            raise InputError(f"{entry.file}: cannot be read: {error.strerror or error}") from error
        if len(raw) != count:
            raise InputError(f"{entry.file}: cut short while in use: tensor {stored} is not all there")
        raw = raw.reshape(entry.shape)
        if entry.dtype == "BF16":
            # A bfloat16 is the upper half of the float32 of the same value.
            return (raw.astype(np.uint32) << 16).view(np.float32)
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite, which `monarch` refuses
            return raw.astype(np.float32, copy=False)


def linear_weight(folder: WeightFolder, ref: TensorRef, n_in: int, n_out: int) -> _Float32:
    """W of shape (n_in, n_out), contiguous, with y = x W.

    Raises InputError for a tensor that is missing or whose shape is not what the model's config asks for.
    """
    shape = folder.shape(ref.name)
    stored = folder.find(ref.name)
    axes = "(out, in)" if ref.layout == "out_in" else "(in, out)"
    if len(shape) != 2:
        raise InputError(f"{folder.path}: tensor {stored} has shape {shape}, a linear's weight is {axes}")
    have_out, have_in = shape if ref.layout == "out_in" else shape[::-1]
    stop = have_out if ref.stop is None else ref.stop
    if have_in != n_in or not 0 <= ref.start <= stop <= have_out or stop - ref.start != n_out:
        need_out = str(n_out) if ref.stop is None and ref.start == 0 else f"{stop} or more"
        need = f"({need_out}, {n_in})" if ref.layout == "out_in" else f"({n_in}, {need_out})"
        raise InputError(f"{folder.path}: tensor {stored} has shape {shape}, the model needs {need} as {axes}")
    tensor = folder.tensor(stored)
    weight = tensor[ref.start : stop].T if ref.layout == "out_in" else tensor[:, ref.start : stop]
    return np.ascontiguousarray(weight)


def _files(folder: Path) -> tuple[list[Path], Mapping[str, str] | None]:
    """The safetensors files of `folder`, and which file each tensor is in where an index says so."""
    if not folder.is_dir():
        what = "is a file; name the folder it lies in" if folder.exists() else "there is no such folder"
        raise InputError(f"{folder}: {what}")
    single = folder / "model.safetensors"
    if single.exists():
        return [single], None
    index = folder / "model.safetensors.index.json"
    if index.exists():
        owner = _read_index(index)
        files = [folder / name for name in sorted(set(owner.values()))]
        missing = [file.name for file in files if not file.is_file()]
        if missing:
            raise InputError(f"{folder}: {_listed(missing)} named by {index.name} is missing")
        return files, owner
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise InputError(f"{folder}: {_nothing_found(folder)}")
    for file in files:
        _check_all_shards(file)
    return files, None


def _nothing_found(folder: Path) -> str:
    pickles = sorted(file.name for pattern in _PICKLES for file in folder.glob(pattern))
    if pickles:
        return (
            f"holds pickled weights only ({_listed(pickles)}), which can run code and are never loaded; "
            "convert them to safetensors, for example with transformers' save_pretrained"
        )
    return "no *.safetensors file in it"


def _check_all_shards(file: Path) -> None:
    match = _SHARD.fullmatch(file.name)
    if match is None:
        return
    stem, width, count = match[1], len(match[2]), int(match[3])
    names = (f"{stem}-{number:0{width}}-of-{match[3]}.safetensors" for number in range(1, count + 1))
    missing = next((name for name in names if not (file.parent / name).is_file()), None)
    if missing is not None:
        raise InputError(f"{file.parent}: shard {missing} is missing beside {file.name}")


def _read_index(index: Path) -> dict[str, str]:
    try:
        content = json.loads(index.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{index}: is not JSON that can be read: {error}") from error
    owner = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(owner, dict) or not owner:
        raise InputError(f"{index}: has no weight_map of tensor names to files")
    for name, file in owner.items():
        # A downloaded index must not reach for files elsewhere.
        if not isinstance(file, str) or not file.endswith(".safetensors") or re.search(r"[/\\\0]", file):
            raise InputError(f"{index}: weight_map puts {name} in {file!r}, which is no safetensors file beside it")
    return owner


def _read_header(file: Path) -> dict[str, _Entry]:
    """Tensor name -> where it lies. The library judges the header; offsets, which it hides, are read here."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            first = stream.read(len(_LFS_POINTER))
            if first == _LFS_POINTER:
                raise InputError(f"{file}: is a Git LFS pointer, not the weights; fetch them with git lfs pull")
            length = int.from_bytes(first[:8], "little")
            if len(first) < 8 or 8 + length > size:
                raise InputError(f"{file}: is cut short or no safetensors file: {size} bytes do not hold its header")
            stream.seek(8)
            text = stream.read(length)
        header = json.loads(text)
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        promised = 8 + length + max(ends, default=0)
        if promised > size:
            raise InputError(f"{file}: is cut short: its header promises {promised} bytes, it has {size}")
        with safe_open(file, framework="numpy"):
            pass  # refuses overlaps, gaps and sizes that contradict shapes
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror or error}") from error
    except (SafetensorError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise InputError(f"{file}: is no sound safetensors file: {error}") from error
    return {
        name: _Entry(file, entry["dtype"], tuple(entry["shape"]), 8 + length + entry["data_offsets"][0])
        for name, entry in header.items()
        if name != "__metadata__"
    }


def _listed(names: Iterable[str], limit: int = 4) -> str:
    items = list(names)
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more
