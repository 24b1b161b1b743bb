"""GGUF files of small models: other names, another order of rows, fewer bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from cimsolve.weights.folder import WeightFolder
from makers.tiny_configs import LLAMA

CONFIG = {**LLAMA, "hidden_size": 32, "intermediate_size": 64}
"""Widths that blocks of 32 weights divide."""

NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def gguf_name(name: str) -> str:
    stem = name.removesuffix(".weight")
    plain = {"model.embed_tokens": "token_embd", "model.norm": "output_norm"}
    if stem in plain:
        return f"{plain[stem]}.weight"
    layer, _, part = stem.removeprefix("model.layers.").partition(".")
    return f"blk.{layer}.{NAMES[part]}.weight"


def pairs_together(weight: npt.NDArray[np.float32], heads: int) -> npt.NDArray[np.float32]:
    """llama.cpp's order of the rows of Q and K, as its converter writes it, row by row."""
    out = np.empty_like(weight)
    width = len(weight) // heads
    for head in range(heads):
        for i in range(width // 2):
            out[head * width + 2 * i] = weight[head * width + i]
            out[head * width + 2 * i + 1] = weight[head * width + width // 2 + i]
    return out


def write_gguf(
    path: Path,
    folder: Path,
    kind: str = "F32",
    architecture: str = "llama",
    endian: str = "LITTLE",
    groups: int | None = 2,
    part: tuple[int, int] = (1, 1),
    **extra: Any,
) -> Path:
    """The model of `folder`, of the config above, as llama.cpp's converter writes it; `part`: number and count."""
    gguf = pytest.importorskip("gguf")
    source = WeightFolder(folder)
    writer = gguf.GGUFWriter(path, architecture, endianess=gguf.GGUFEndian[endian])
    number, count = part
    if number == 1:
        writer.add_head_count(CONFIG["num_attention_heads"])
        if groups is not None:
            writer.add_head_count_kv(groups)
        for key, value in extra.items():
            getattr(writer, key)(value)
    if count > 1:
        writer.add_uint16("split.no", number - 1)
        writer.add_uint16("split.count", count)
    for name in source.names()[number - 1 :: count]:
        tensor = source.tensor(name)
        for part, heads in (("q_proj", "num_attention_heads"), ("k_proj", "num_key_value_heads")):
            if part in name:
                tensor = pairs_together(tensor, CONFIG[heads])
        if tensor.ndim == 1 or kind == "F32":
            writer.add_tensor(gguf_name(name), tensor)
        else:
            quantised = getattr(gguf.GGMLQuantizationType, kind)
            writer.add_tensor(gguf_name(name), gguf.quants.quantize(tensor, quantised), raw_dtype=quantised)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
