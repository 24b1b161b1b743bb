"""Tensors of a GGUF file under the names that Hugging Face gives them, by the `gguf` library.

One tensor at a time is read and made float32 by the library's own function. llama.cpp stores the rows of
Q and K of rotary models in another order, pair (i, i + d/2) of a head next to each other; it is undone here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from cimsolve.columns import Ints
from cimsolve.errors import InputError
from cimsolve.files.text import shown_value, told
from cimsolve.model.model import Model
from cimsolve.weights.gguf_header import GgufTensor, read_gguf_header
from cimsolve.weights.tensors import Floats32, Tensors, demand_names, demand_regular

_BLOCK = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_PLAIN = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_HEADS_MAX = 4096
_NAME = re.compile(r"(?:blk\.(\d+)\.)?(\w+)\.(weight|bias)")


class GgufFile(Tensors):
    """The tensors of one GGUF file of the llama architecture.

    Raises InputError for a file that is missing, damaged or of another architecture, and without the library.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, {})
        try:
            self._library = import_module("gguf")
        except ImportError:
            raise InputError(f"{path}: GGUF needs the gguf library: pip install 'cimsolve[gguf]'") from None
        demand_regular(path)
        try:
            self._metadata, found = read_gguf_header(path, self._block_of)
        except (OSError, ValueError, LookupError, MemoryError) as error:
            raise InputError(f"{path}: is no sound GGUF file: {told(error)}; fetch or write it anew") from None
        demand_names((*self._metadata, *found), str(path))
        self.architecture = self._metadata.get("general.architecture")
        if self.architecture != "llama":
            raise InputError(f"{path}: its architecture is {shown_value(self.architecture)}; expected llama")
        self._tensors: dict[str, GgufTensor] = {}
        for name, tensor in found.items():
            if self._tensors.setdefault(_stored_name(name), tensor) is not tensor:
                raise InputError(f"{path}: {_stored_name(name)} stands twice, once as {name}; expected it once")
        self._heads = self._count("llama.attention.head_count")
        # The format leaves the groups out where there are as many as heads.
        self._groups = self._count("llama.attention.head_count_kv", self._heads)
        for name in self._tensors:
            heads, rows = self._heads_of(name), self.shape(name)[0]
            if heads and rows % (2 * heads):
                raise InputError(
                    f"{self.where(name)} has {rows} rows for {heads} heads; "
                    "expected heads of an even width, as rotary positions need pairs"
                )

    def names(self) -> tuple[str, ...]:
        """Names of all tensors."""
        return tuple(sorted(self._tensors))

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, outermost axis first."""
        return self._tensors[self.find(name)].shape

    def where(self, name: str) -> str:
        """The file and the name of a tensor, for errors."""
        return f"{self.path}: tensor {self.find(name)}"

    def tensor(self, name: str) -> Floats32:
        """One tensor as float32, its heads' rows in the order of Hugging Face. Raises as `Tensors.tensor` does."""
        stored = self.find(name)
        found = self._values(stored).reshape(self.shape(stored))
        heads = self._heads_of(stored)
        if heads is None:
            return found
        # Rows of a head as stored: (d/2, 2); as Hugging Face has them: (2, d/2).
        parts = found.reshape(heads, found.shape[0] // heads // 2, 2, -1)
        return np.ascontiguousarray(parts.swapaxes(1, 2)).reshape(found.shape)

    def rows(self, name: str, index: Ints) -> Floats32:
        """Some rows of a tensor as float32, those of a matrix read alone."""
        stored = self.find(name)
        return self._values(stored, index) if len(self.shape(stored)) == 2 else self.tensor(stored)[index]

    def vocabulary(self) -> Mapping[str, Any]:
        """What the file says of its tokenizer, keys without `tokenizer.ggml.`."""
        prefix = "tokenizer.ggml."
        return {key.removeprefix(prefix): each for key, each in self._metadata.items() if key.startswith(prefix)}

    def demand_heads(self, model: Model) -> None:
        """Raise InputError where the file counts other attention heads than the config: rows would be put wrong."""
        heads = model.config.get("num_attention_heads")
        groups = model.config.get("num_key_value_heads") or heads
        if (self._heads, self._groups) != (heads, groups):
            raise InputError(
                f"{self.path}: has {self._heads} heads, {self._groups} of keys; the config of {model.name} says "
                f"{heads}, {groups}; use the config and the weights of one model"
            )

    def _values(self, stored: str, rows: Ints | None = None) -> Floats32:
        """Rows of a tensor, by default all."""
        place = self._tensors[stored]
        try:
            mapped = np.memmap(self.path, np.uint8, "r", place.begin, (place.rows, place.row_bytes))
            # Quantised blocks run along a row, so rows stay whole.
            data = np.ascontiguousarray(mapped if rows is None else mapped[rows])
            with np.errstate(all="ignore"):
                found = np.asarray(self._library.quants.dequantize(data, place.kind), dtype=np.float32)
        except (OSError, NotImplementedError, KeyError, ValueError) as error:
            raise InputError(f"{self.where(stored)} of type {place.kind.name} cannot be read: {told(error)}") from None
        return self._demand_finite(stored, found, rows)

    def _heads_of(self, stored: str) -> int | None:
        """Heads whose rows a tensor has in pairs; None for one whose rows lie as they are."""
        return {"q_proj": self._heads, "k_proj": self._groups}.get(stored.split(".")[-2]) if "." in stored else None

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
    """The GGUF file of a folder; None without one. Raises InputError where there are several."""
    files = sorted(folder.glob("*.gguf"))
    if len(files) > 1:
        raise InputError(
            f"{folder}: holds {len(files)} GGUF files ({files[0].name}, ...); expected one, move the others"
        )
    return files[0] if files else None


def _stored_name(name: str) -> str:
    """The Hugging Face name of a tensor; names that are not known stay."""
    match = _NAME.fullmatch(name)
    if match is None:
        return name
    block, what, part = match.groups()
    known = _PLAIN.get(what) if block is None else _BLOCK.get(what)
    if known is None:
        return name
    return f"{known}.{part}" if block is None else f"model.layers.{block}.{known}.{part}"
