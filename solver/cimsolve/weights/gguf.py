"""Tensors of GGUF files by the names that Hugging Face gives them, by the `gguf` library.

One tensor at a time is read and made float32 by the library's own function, and found by its own map of names. What
llama.cpp stores in another order than Hugging Face is put back here, by architecture.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from cimsolve.columns import Ints
from cimsolve.errors import InputError
from cimsolve.files.text import shown_value, told
from cimsolve.model.model import Model
from cimsolve.weights.gguf_header import GgufTensor, read_gguf_header
from cimsolve.weights.tensors import Floats32, Tensors, demand_names, demand_regular

_Order: TypeAlias = Literal["as is", "pairs", "by part", "in_out", "one more"]


class Architecture(NamedTuple):
    """The `model_type` of models that a GGUF architecture is for, and how it stores some tensors.

    `pairs`: rows of Q and K of a head with what rotary positions turn, (i, i + d/2), next to each other. `by part`: all
    rows of Q, then of K, then of V, which in Hugging Face's tensor alternate by head. `in_out`: matrices are (in, out)
    in Hugging Face's. `one more`: scales of norms with the 1 that is added to them.
    """

    families: tuple[str, ...]
    order: _Order = "as is"


ARCHITECTURES: Mapping[str, Architecture] = {
    "bert": Architecture(("bert",)),
    "gemma": Architecture(("gemma",), "one more"),
    "gemma2": Architecture(("gemma2",), "one more"),
    "gemma3": Architecture(("gemma3", "gemma3_text"), "one more"),
    "gpt2": Architecture(("gpt2",), "in_out"),
    "gptneox": Architecture(("gpt_neox",), "by part"),
    "granite": Architecture(("granite",), "pairs"),
    "llama": Architecture(("llama", "mistral", "mixtral"), "pairs"),
    "olmo2": Architecture(("olmo2",)),
    "olmoe": Architecture(("olmoe",)),
    "phi2": Architecture(("phi",)),
    "phi3": Architecture(("phi3",)),
    "qwen2": Architecture(("qwen2",)),
    "qwen2moe": Architecture(("qwen2_moe",)),
    "qwen3": Architecture(("qwen3",)),
    "qwen3moe": Architecture(("qwen3_moe",)),
    "smollm3": Architecture(("smollm3",), "pairs"),
    "starcoder2": Architecture(("starcoder2",)),
}
"""By the name that a file gives; of others it is not known what they store in another order."""

_HEADS_MAX = _EXPERTS_MAX = 4096
_LINEARS = ("attn_qkv", "attn_output", "ffn_up", "ffn_down")
_PART = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf")
_EXPERT = re.compile(r"(.*\.experts)\.(\d+)\.(.*)")


class GgufFile(Tensors):
    """The tensors of a GGUF file, or of all parts of one that is split, whose first is `path`.

    Raises InputError for a file that is missing, damaged or of an architecture that is not known, for a missing part,
    and without the library.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, {})
        try:
            self._library = import_module("gguf")
        except ImportError:
            raise InputError(f"{path}: GGUF needs the gguf library: pip install 'cimsolve[gguf]'") from None
        self._metadata: Mapping[str, Any] = {}
        self._tensors: dict[str, GgufTensor] = {}
        self._read_headers()
        said = self._metadata.get("general.architecture")
        if not isinstance(said, str) or said not in ARCHITECTURES:
            raise InputError(
                f"{path}: its architecture is {shown_value(said)}; expected one of {', '.join(ARCHITECTURES)}; "
                "give the weights as safetensors"
            )
        self.architecture = said
        self._order = ARCHITECTURES[self.architecture].order
        self._heads = self._groups = 1
        if self._order in ("pairs", "by part"):
            self._heads = self._count(f"{self.architecture}.attention.head_count")
            # The format leaves the groups out where there are as many as heads.
            self._groups = self._count(f"{self.architecture}.attention.head_count_kv", self._heads)
        for name in self._tensors:
            heads, rows = self._heads_of(name), self._tensors[name].shape[0]
            if heads and rows % (2 * heads):
                raise InputError(
                    f"{self.where(name)} has {rows} rows for {heads} heads; "
                    "expected heads of an even width, as rotary positions need pairs"
                )

    def _read_headers(self) -> None:
        """Read the metadata of the first part and the tensors of all."""
        parts = _parts(self.path)
        for part in parts:
            demand_regular(part)
            try:
                metadata, found = read_gguf_header(part, self._block_of)
            except (OSError, ValueError, LookupError, MemoryError) as error:
                raise InputError(f"{part}: is no sound GGUF file: {told(error)}; fetch or write it anew") from None
            demand_names((*metadata, *found), str(part))
            count = metadata.get("split.count", 1)
            if count != len(parts):
                raise InputError(
                    f"{part}: is one of {shown_value(count)} parts, and lies beside {len(parts) - 1} others by its "
                    "name; put all parts in one folder, called as they were written, name-00001-of-00003.gguf"
                )
            self._metadata = self._metadata or metadata
            for name, tensor in found.items():
                if name in self._tensors:
                    raise InputError(f"{part}: tensor {name} stands twice; expected it once among the parts")
                self._tensors[name] = tensor
                if name.endswith("_exps.weight") and len(tensor.shape) == 3 and tensor.shape[0] <= _EXPERTS_MAX:
                    self._tensors |= {f"{name}[{each}]": tensor.part(each) for each in range(tensor.shape[0])}

    def names(self) -> tuple[str, ...]:
        """Names of all tensors, as GGUF has them."""
        return tuple(sorted(self._tensors))

    def find(self, name: str) -> str:
        """The stored name of a tensor, given as Hugging Face has it or as stored. Raises InputError for no such one."""
        found = self._candidates(name)
        return next((each for each in found if each in self._tensors), None) or self._stored.find(found[-1])

    def holds(self, name: str) -> bool:
        """Whether `find` finds it."""
        return any(each in self._tensors for each in self._candidates(name))

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, outermost axis first."""
        stored = self.find(name)
        shape = self._tensors[stored].shape
        return shape[::-1] if self._is_turned(stored) else shape

    def where(self, name: str) -> str:
        """The file and the name of a tensor, for errors."""
        stored = self.find(name)
        return f"{self._tensors[stored].file}: tensor {stored}"

    def tensor(self, name: str) -> Floats32:
        """One tensor as float32, in the order of Hugging Face. Raises as `Tensors.tensor` does."""
        stored = self.find(name)
        found = self._values(stored).reshape(self._tensors[stored].shape)
        if heads := self._heads_of(stored):
            # Rows of a head as stored: (d/2, 2); as Hugging Face has them: (2, d/2).
            parts = found.reshape(heads, found.shape[0] // heads // 2, 2, -1)
            return np.ascontiguousarray(parts.swapaxes(1, 2)).reshape(found.shape)
        if self._order == "by part" and _kind(stored) == "attn_qkv":
            parts = found.reshape(3, self._heads, found.shape[0] // self._heads // 3, -1)
            return np.ascontiguousarray(parts.swapaxes(0, 1)).reshape(found.shape)
        if self._is_turned(stored):
            return np.ascontiguousarray(found.T)
        return found - np.float32(1) if self._order == "one more" and _kind(stored).endswith("norm") else found

    def rows(self, name: str, index: Ints) -> Floats32:
        """Some rows of a tensor as float32, those of an embedding read alone."""
        stored = self.find(name)
        if _kind(stored) in ("token_embd", "output", "position_embd", "token_types"):
            return self._values(stored, index)
        return self.tensor(stored)[index]

    def vocabulary(self) -> Mapping[str, Any]:
        """What the file says of its tokenizer, keys without `tokenizer.ggml.`."""
        prefix = "tokenizer.ggml."
        return {key.removeprefix(prefix): each for key, each in self._metadata.items() if key.startswith(prefix)}

    def demand_model(self, model: Model) -> None:
        """Raise InputError where the file is of another family, or counts other attention heads, than the config."""
        families = ARCHITECTURES[self.architecture].families
        if model.family not in families:
            raise InputError(
                f"{self.path}: its architecture is {self.architecture}, of model_type {' or '.join(families)}; the "
                f"config of {model.name} says {model.family}; use the config and the weights of one model"
            )
        heads = model.config.get("num_attention_heads")
        groups = model.config.get("num_key_value_heads") or heads
        # Rows of heads are put in order by them: other heads would give other weights.
        if self._order in ("pairs", "by part") and (self._heads, self._groups) != (heads, groups):
            raise InputError(
                f"{self.path}: has {self._heads} heads, {self._groups} of keys; the config of {model.name} says "
                f"{heads}, {groups}; use the config and the weights of one model"
            )

    @cached_property
    def _map(self) -> Any:
        """The library's map of names, of a model of one layer."""
        constants = self._library.constants
        numbers = {name: number for number, name in constants.MODEL_ARCH_NAMES.items()}
        return self._library.get_tensor_name_map(numbers[self.architecture], 1)

    def _candidates(self, name: str) -> list[str]:
        """The name itself, and what GGUF calls it."""
        stem, _, end = name.rpartition(".")
        if end not in ("weight", "bias"):
            return [name]
        expert = _EXPERT.fullmatch(stem)
        if expert is not None:
            stem, end = f"{expert[1]}.{expert[3]}", f"{end}[{expert[2]}]"
        layer = re.search(r"\.(\d+)\.", stem) or re.match(r"h\.(\d+)\.", stem)
        if layer is not None:
            stem = f"{stem[: layer.start(1)]}0{stem[layer.end(1) :]}"
        found = self._map.get_name(stem)
        if found is None:
            return [name]
        return [name, f"{found.replace('blk.0.', f'blk.{layer[1]}.') if layer else found}.{end}"]

    def _values(self, stored: str, rows: Ints | None = None) -> Floats32:
        """Rows of a tensor, by default all."""
        place = self._tensors[stored]
        try:
            mapped = np.memmap(place.file, np.uint8, "r", place.begin, (place.rows, place.row_bytes))
            # Quantised blocks run along a row, so rows stay whole.
            data = np.ascontiguousarray(mapped if rows is None else mapped[rows])
            with np.errstate(all="ignore"):
                found = np.asarray(self._library.quants.dequantize(data, place.kind), dtype=np.float32)
        except (OSError, NotImplementedError, KeyError, ValueError) as error:
            raise InputError(f"{self.where(stored)} of type {place.kind.name} cannot be read: {told(error)}") from None
        return self._demand_finite(stored, found, rows)

    def _heads_of(self, stored: str) -> int | None:
        """Heads whose rows a tensor has in pairs; None for one whose rows lie as they are."""
        return {"attn_q": self._heads, "attn_k": self._groups}.get(_kind(stored)) if self._order == "pairs" else None

    def _is_turned(self, stored: str) -> bool:
        """Whether a matrix is (out, in) here and (in, out) in Hugging Face's files."""
        return self._order == "in_out" and _kind(stored) in _LINEARS and stored.endswith(".weight")

    def _count(self, key: str, default: int | None = None) -> int:
        found = self._metadata.get(key, default)
        if type(found) is not int or not 1 <= found <= _HEADS_MAX:
            value = "it is missing" if found is None else shown_value(found)
            raise InputError(f"{self.path}: {key}: {value}; expected a whole number from 1 to {_HEADS_MAX}")
        return found

    def _block_of(self, number: int) -> tuple[Any, int, int]:
        kind = self._library.GGMLQuantizationType(number)
        return (kind, *self._library.GGML_QUANT_SIZES[kind])


def find_gguf(folder: Path) -> Path | None:
    """The GGUF file of a folder, of a split one the first part; None without one.

    Raises InputError where there are several.
    """
    files = sorted(folder.glob("*.gguf"))
    if len({_PART.sub(r"\1-of-\3", file.name) for file in files}) > 1:
        raise InputError(
            f"{folder}: holds {len(files)} GGUF files ({files[0].name}, ...); expected one, move the others"
        )
    return files[0] if files else None


def _parts(path: Path) -> list[Path]:
    """The parts of the file, by its name. Raises InputError where one is missing."""
    split = _PART.fullmatch(path.name)
    if split is None:
        return [path]
    parts = [path.with_name(f"{split[1]}-{each:05}-of-{split[3]}.gguf") for each in range(1, int(split[3]) + 1)]
    for part in parts:
        if not part.exists():
            raise InputError(f"{path.parent}: {part.name} is missing beside {path.name}; fetch it too")
    return parts


def _kind(stored: str) -> str:
    """What a tensor is within its layer: `attn_q` of `blk.3.attn_q.weight`."""
    return stored.rpartition(".")[0].rpartition(".")[2]
