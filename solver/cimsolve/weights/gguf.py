"""Tensors of a GGUF file under the names that Hugging Face gives them, by the `gguf` library.

The file is mapped, and one tensor at a time made float32 by the library's own function. llama.cpp stores the rows of
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
from cimsolve.files.text import one_line
from cimsolve.weights.tensors import Floats32, Tensors

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
_NAME = re.compile(r"(?:blk\.(\d+)\.)?(\w+)\.(weight|bias)")


class GgufFile(Tensors):
    """The tensors of one GGUF file of the llama architecture.

    Raises InputError for a file that is missing, damaged or of another architecture, and without the library.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, {})
        try:
            library = import_module("gguf")
        except ImportError:
            raise InputError(f"{path}: GGUF needs the gguf library: pip install 'cimsolve[gguf]'") from None
        self._dequantize = library.quants.dequantize
        try:
            self._reader = library.GGUFReader(path)
            tensors = {_stored_name(tensor.name): tensor for tensor in self._reader.tensors}
            self.architecture = str(self._field("general.architecture"))
            if self.architecture == "llama":
                self._heads = int(self._field("llama.attention.head_count"))
                self._groups = int(self._field("llama.attention.head_count_kv"))
        except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, MemoryError) as error:
            raise InputError(f"{path}: is no sound GGUF file: {one_line(str(error))}") from None
        if self.architecture != "llama":
            raise InputError(f"{path}: its architecture is {one_line(self.architecture)}; expected llama")
        self._tensors: dict[str, Any] = tensors

    def names(self) -> tuple[str, ...]:
        """Names of all tensors."""
        return tuple(sorted(self._tensors))

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor, outermost axis first."""
        return tuple(int(size) for size in reversed(self._tensors[self.find(name)].shape))

    def tensor(self, name: str) -> Floats32:
        """One tensor as float32, its heads' rows in the order of Hugging Face."""
        stored = self.find(name)
        found = self._values(stored, self._tensors[stored].data).reshape(self.shape(stored))
        heads = {"q_proj": self._heads, "k_proj": self._groups}.get(stored.split(".")[-2])
        if heads is None:
            return found
        # Rows of a head as stored: (d/2, 2); as Hugging Face has them: (2, d/2).
        parts = found.reshape(heads, found.shape[0] // heads // 2, 2, -1)
        return np.ascontiguousarray(parts.swapaxes(1, 2)).reshape(found.shape)

    def rows(self, name: str, index: Ints) -> Floats32:
        """Some rows of a matrix as float32, read alone."""
        stored = self.find(name)
        # Quantised blocks run along a row, so rows stay whole.
        return self._values(stored, np.asarray(self._tensors[stored].data[index]))

    def vocabulary(self) -> Mapping[str, Any]:
        """What the file says of its tokenizer, keys without `tokenizer.ggml.`."""
        prefix = "tokenizer.ggml."
        return {key.removeprefix(prefix): self._field(key) for key in self._reader.fields if key.startswith(prefix)}

    def _values(self, stored: str, data: Any) -> Floats32:
        kind = self._tensors[stored].tensor_type
        try:
            return np.asarray(self._dequantize(data, kind), dtype=np.float32)
        except (NotImplementedError, KeyError, ValueError) as error:
            raise InputError(f"{self.path}: tensor {stored} of type {kind.name} cannot be read: {error}") from None

    def _field(self, key: str) -> Any:
        field = self._reader.fields.get(key)
        if field is None:
            raise ValueError(f"it has no {key}")
        return field.contents()


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
