"""A model folder's weights: which files count, and the matrix of each linear.

A model folder holds `config.json` and beside it `model.safetensors`, or shards with their
`model.safetensors.index.json`. Only headers are read when the folder is opened.

Which tensor holds a linear is the model family's knowledge, written down as a `TensorRef`.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from cimsolve.columns import Floats
from cimsolve.errors import InputError, UnreadFormatError
from cimsolve.files.json_file import read_json
from cimsolve.files.text import shown_value
from cimsolve.model.model import Model, TensorRef
from cimsolve.weights.gguf import GgufFile, find_gguf
from cimsolve.weights.quantised import QuantisedTensors
from cimsolve.weights.tensors import (
    BYTES,
    Entry,
    Floats32,
    OnDemand,
    Tensors,
    demand_names,
    demand_regular,
    listed,
    read_header,
)

_SINGLE, _INDEX = "model.safetensors", "model.safetensors.index.json"
_INDEX_BYTES_MAX = 2**26
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_FUSED = re.compile(r"(.*\.)mlp\.experts\.(gate_up_proj|down_proj)")
_PARTS = {"gate_up_proj": {"gate_proj": "w1", "up_proj": "w3"}, "down_proj": {"down_proj": "w2"}}
"""What a tensor of all experts holds, and Mixtral's older names of it."""
_EXPERTS_MAX = 4096
_SHARD = re.compile(r"(.*)-(\d+)-of-(\d+)\.safetensors")


class WeightFolder(Tensors):
    """The tensors of a model folder.

    Opening reads and checks the header of every file. Raises InputError for a folder without safetensors, a
    shard that is missing, and a file that is damaged or cut short.
    """

    def __init__(self, path: Path | str) -> None:
        folder = Path(path)
        entries: dict[str, Entry] = {}
        files, owner = _files(folder)
        for file in files:
            for name, entry in read_header(file)[0].items():
                if owner is not None and owner.get(name) != file.name:
                    continue  # the index is what says which shard counts
                if name in entries:
                    raise InputError(f"{folder}: tensor {name} is both in {entries[name].file.name} and in {file.name}")
                entries[name] = entry
        for name in owner or ():
            if name not in entries:
                raise InputError(f"{folder}: the index puts tensor {name} in {(owner or {})[name]}, which lacks it")
        super().__init__(folder, entries | _parts_of_fused(entries))


def _parts_of_fused(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """The tensors of each expert, under their names on the hub, where one tensor holds those of all.

    transformers 5 has them so in memory, (experts, out, in) with gates before their partners, and can write them so.
    """
    found: dict[str, Entry] = {}
    for name, entry in entries.items():
        fused = _FUSED.fullmatch(name)
        if fused is None or len(entry.shape) != 3 or entry.dtype not in BYTES or not 0 < entry.shape[0] <= _EXPERTS_MAX:
            continue
        stored, rows, width = entry.shape
        parts = _PARTS[fused[2]]
        size = rows // len(parts)
        for number in range(stored):
            for place, (part, old) in enumerate(parts.items()):
                begin = entry.begin + (number * rows + place * size) * width * BYTES[entry.dtype]
                one = replace(entry, shape=(size, width), begin=begin)
                found[f"{fused[1]}mlp.experts.{number}.{part}.weight"] = one
                found[f"{fused[1]}block_sparse_moe.experts.{number}.{old}.weight"] = one
        router = entries.get(f"{fused[1]}mlp.gate.weight")
        if router is not None:
            found[f"{fused[1]}block_sparse_moe.gate.weight"] = router
    return {name: entry for name, entry in found.items() if name not in entries}


def open_weights(folder: Path | str, model: Model | None = None) -> Tensors:
    """The tensors of a model folder: its safetensors, or its GGUF file.

    Raises InputError where it has neither, and where a GGUF file is of another model than `model`. Safetensors of
    other names than Hugging Face's own do not come before a GGUF file: they may be factors.
    """
    place = Path(folder)
    if not any(os.path.exists(place / name) for name in (_SINGLE, _INDEX)):
        found = find_gguf(place)
        if found is not None:
            opened = GgufFile(found)
            if model is not None:
                opened.demand_model(model)
            return opened
    opened_folder = WeightFolder(place)
    if model is None or not model.config.get("quantization_config"):
        return opened_folder
    return QuantisedTensors(opened_folder, model)


def stamps_of(folder: Path) -> list[list[str | int]]:
    """Name, size and time of each file of weights: another list where the weights may be others."""
    files = [each for suffix in ("safetensors", "gguf") for each in sorted(folder.glob(f"*.{suffix}"))]
    return [[each.name, each.stat().st_size, each.stat().st_mtime_ns] for each in files]


def linear_weight(folder: Tensors, ref: TensorRef, n_in: int, n_out: int) -> Floats32:
    """W of shape (n_in, n_out), contiguous, with y = x W.

    Raises InputError for a tensor that is missing, whose shape is not what the model's config asks for, or that holds
    NaN or infinity.
    """
    stored, part = _stored_as(folder, ref, n_in, n_out)
    # Of the experts of one tensor the one alone is read.
    tensor = folder.tensor(stored) if ref.index is None else folder.rows(stored, np.array([ref.index]))[0]
    matrix = tensor[part]
    # All axes of a convolution but the first are its inputs.
    return np.ascontiguousarray(matrix.reshape(n_out, n_in).T if ref.layout == "out_in" else matrix)


def _stored_as(folder: Tensors, ref: TensorRef, n_in: int, n_out: int) -> tuple[str, tuple[slice, slice]]:
    """The stored name of a linear's tensor and its part of the axes; raises by the header as `linear_weight`."""
    shape = folder.shape(ref.name)
    stored = folder.find(ref.name)
    axes, need = ["out", "in"], [n_out, n_in]
    if ref.layout == "in_out":
        axes, need = axes[::-1], need[::-1]
    cut = axes.index(ref.cut)
    leading = [] if ref.index is None else ["expert"]
    named = f"({', '.join([*leading, *axes])})"
    if ref == TensorRef(ref.name, "out_in") and len(shape) > 2 and math.prod(shape[1:]) == n_in:
        shape = (shape[0], n_in)
    if len(shape) != len(leading) + 2:
        raise InputError(f"{folder.where(stored)} has shape {shape}, a linear's weight is {named}")
    have = list(shape[-2:])
    stop = have[cut] if ref.stop is None else ref.stop
    fits = have[1 - cut] == need[1 - cut] and stop - ref.start == need[cut] and 0 <= ref.start <= stop <= have[cut]
    if not fits or (ref.index is not None and ref.index >= shape[0]):
        wanted = [str(size) for size in need]
        if ref.stop is not None or ref.start:
            wanted[cut] = f"{stop} or more"
        if ref.index is not None:
            wanted.insert(0, f"{ref.index + 1} or more")
        raise InputError(f"{folder.where(stored)} has shape {shape}, the model needs ({', '.join(wanted)}) as {named}")
    part = [slice(None), slice(None)]
    part[cut] = slice(ref.start, stop)
    return stored, (part[0], part[1])


def _files(folder: Path) -> tuple[list[Path], Mapping[str, str] | None]:
    """The safetensors files of `folder`, and which file each tensor is in where an index says so."""
    if not os.path.isdir(folder):
        what = "is a file; name the folder it lies in" if os.path.exists(folder) else "there is no such folder"
        raise InputError(f"{folder}: {what}")
    single = folder / _SINGLE
    if os.path.exists(single):
        return [single], None
    index = folder / _INDEX
    if os.path.exists(index):
        demand_regular(index)
        owner = _read_index(index)
        files = [folder / name for name in sorted(set(owner.values()))]
        missing = [file.name for file in files if not os.path.isfile(file)]
        if missing:
            raise InputError(f"{folder}: {listed(missing)} named by {index.name} is missing")
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
            f"holds pickled weights only ({listed(pickles)}), which can run code and are never loaded; "
            "convert them to safetensors, for example with transformers' save_pretrained"
        )
    return "no *.safetensors or *.gguf file in it"


def _check_all_shards(file: Path) -> None:
    match = _SHARD.fullmatch(file.name)
    if match is None:
        return
    stem, width, count = match[1], len(match[2]), int(match[3])
    names = (f"{stem}-{number:0{width}}-of-{match[3]}.safetensors" for number in range(1, count + 1))
    missing = next((name for name in names if not os.path.isfile(file.parent / name)), None)
    if missing is not None:
        raise InputError(f"{file.parent}: shard {missing} is missing beside {file.name}")


def _read_index(index: Path) -> dict[str, str]:
    content = read_json(index, _INDEX_BYTES_MAX)
    owner = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(owner, dict) or not owner:
        raise InputError(f"{index}: has no weight_map of tensor names to files; fetch it anew")
    demand_names(owner, str(index))
    for name, file in owner.items():
        # A downloaded index must not reach for files elsewhere.
        if not isinstance(file, str) or not re.fullmatch(r"[^/\\]{1,200}\.safetensors", file) or not file.isprintable():
            raise InputError(
                f"{index}: weight_map puts {name} in {shown_value(file)}, which is no safetensors file beside it; "
                "fetch it anew"
            )
    return owner


def weights_beside(model: Model, path_or_name: Path | str) -> FolderWeights | None:
    """The real weights of a model given as a folder; None where it is no folder or holds none.

    Raises InputError where they are damaged, do not fit the config or are quantised in a way that is not read; only
    headers are read.
    """
    folder = Path(path_or_name)
    if folder.suffix.lower() == ".onnx" and os.path.isfile(folder):
        return _weights_of_graph(model, folder)
    if not (os.path.isdir(folder) and any(any(folder.glob(f"*{suffix}")) for suffix in (".safetensors", ".gguf"))):
        return None
    return FolderWeights(open_weights(folder, model), model)


class FolderWeights(OnDemand[Floats]):
    """Linear name -> its weight matrix, (n_in, n_out), read from disk each time it is asked for.

    Of one in groups its blocks, (groups, n_in / groups, n_out / groups).
    """

    def __init__(self, folder: Tensors, model: Model) -> None:
        """Raises InputError where a tensor is missing or its shape is not what the model's config says."""
        linears = {linear.name: linear for linear in model.linears}
        for linear in model.linears:
            _stored_as(folder, linear.tensor, linear.block[1], linear.n_out)

        def read(name: str) -> Floats:
            linear = linears[name]
            groups, rows, cols = linear.block
            found = linear_weight(folder, linear.tensor, rows, linear.n_out).astype(np.float64)
            return found if groups == 1 else found.reshape(rows, groups, cols).swapaxes(0, 1)

        super().__init__(linears, read)


def _weights_of_graph(model: Model, path: Path) -> FolderWeights:
    """The weights that an ONNX file holds, or has beside it; raises UnreadFormatError where some are not there."""
    from cimsolve.weights.onnx_file import OnnxFile  # needs `onnx`

    tensors = OnnxFile(path)
    for linear in model.linears:
        if linear.tensor.name not in tensors.entries:
            raise UnreadFormatError(f"{path}: the weights of {linear.name} are not there as plain numbers")
    return FolderWeights(tensors, model)
