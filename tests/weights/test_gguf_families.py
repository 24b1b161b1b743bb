"""GGUF files of other architectures than Llama: the same model as its safetensors, tensor by tensor and run."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from cimsolve.model.load import load_model
from cimsolve.weights.folder import WeightFolder, open_weights
from cimsolve.weights.forward import load_reference
from makers.gguf_files import pairs_together
from makers.published import RECORDS, SEQUENCES, drawn_folder

gguf = pytest.importorskip("gguf")

Tensor = npt.NDArray[np.float32]


class Written(NamedTuple):
    """How llama.cpp's converter writes a family: its architecture, the names of modules, and what it changes."""

    architecture: str
    names: Mapping[str, str]
    change: Callable[[str, Tensor], Tensor] = lambda name, tensor: tensor


LLAMA = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
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
GPT2 = {
    "wte": "token_embd",
    "wpe": "position_embd",
    "ln_f": "output_norm",
    "ln_1": "attn_norm",
    "attn.c_attn": "attn_qkv",
    "attn.c_proj": "attn_output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "ffn_up",
    "mlp.c_proj": "ffn_down",
}


SANDWICH = {
    **LLAMA,
    "post_attention_layernorm": "post_attention_norm",
    "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}
HEAD_NORMS = {"self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm"}
NEOX = {
    "gpt_neox.embed_in": "token_embd",
    "gpt_neox.final_layer_norm": "output_norm",
    "embed_out": "output",
    "input_layernorm": "attn_norm",
    "attention.query_key_value": "attn_qkv",
    "attention.dense": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.dense_h_to_4h": "ffn_up",
    "mlp.dense_4h_to_h": "ffn_down",
}


MIXTRAL = {
    "block_sparse_moe.gate": "ffn_gate_inp",
    "block_sparse_moe.experts.w1": "ffn_gate_exps",
    "block_sparse_moe.experts.w2": "ffn_down_exps",
    "block_sparse_moe.experts.w3": "ffn_up_exps",
}
EXPERTS = {
    "mlp.gate": "ffn_gate_inp",
    "mlp.experts.gate_proj": "ffn_gate_exps",
    "mlp.experts.down_proj": "ffn_down_exps",
    "mlp.experts.up_proj": "ffn_up_exps",
}


def one_more(name: str, tensor: Tensor) -> Tensor:
    return tensor + 1 if name.endswith("norm.weight") else tensor


def by_part(name: str, tensor: Tensor) -> Tensor:
    """Of each head its Q, K and V, put after those of the heads before: row by row."""
    if "query_key_value" not in name:
        return tensor
    rows = [(head * 3 + part) * 8 + i for part in range(3) for head in range(4) for i in range(8)]
    return tensor[rows]


def pairs(name: str, tensor: Tensor) -> Tensor:
    heads = 4 if "q_proj" in name else 2 if "k_proj" in name else 0
    return pairs_together(tensor, heads) if heads else tensor


def turned(name: str, tensor: Tensor) -> Tensor:
    return tensor.T if ".c_" in name and tensor.ndim == 2 else tensor


WRITTEN: Mapping[str, Written] = {
    "gpt2": Written("gpt2", GPT2, turned),
    "gemma3": Written("gemma3", {**SANDWICH, **HEAD_NORMS}, one_more),
    "gpt_neox": Written("gptneox", NEOX, by_part),
    "granite": Written("granite", LLAMA, pairs),
    "mixtral": Written("llama", {**LLAMA, **MIXTRAL}, pairs),
    "qwen3_moe": Written("qwen3moe", {**LLAMA, **HEAD_NORMS, **EXPERTS}),
    "olmo2": Written("olmo2", {**LLAMA, **SANDWICH, **HEAD_NORMS}),
    "phi3": Written("phi3", {**LLAMA, "self_attn.qkv_proj": "attn_qkv", "mlp.gate_up_proj": "ffn_up"}),
    "qwen2": Written("qwen2", LLAMA),
    "qwen3": Written("qwen3", {**LLAMA, **HEAD_NORMS}),
    "starcoder2": Written("starcoder2", {**LLAMA, "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down"}),
}


def stacked(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of experts one upon the other, in the order of their numbers."""
    found: dict[str, Any] = {}
    for name, tensor in tensors.items():
        whole = re.sub(r"\.experts\.\d+\.", ".experts.", name)
        found[whole] = tensor if whole == name else [*found.get(whole, []), tensor]
    return {name: np.stack(each) if isinstance(each, list) else each for name, each in found.items()}


def write(path: Path, written: Written, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    writer = gguf.GGUFWriter(path, written.architecture)
    for key, add in (("num_attention_heads", "add_head_count"), ("num_key_value_heads", "add_head_count_kv")):
        if key in config:
            getattr(writer, add)(config[key])
    for name, tensor in stacked(tensors).items():
        stem, _, part = name.removeprefix("transformer.").rpartition(".")
        layer = re.match(r".*?(?:layers|h)\.(\d+)\.(.*)", stem)
        stored = written.names[stem] if layer is None else f"blk.{layer[1]}.{written.names[layer[2]]}"
        writer.add_tensor(f"{stored}.{part}", np.ascontiguousarray(written.change(name, tensor)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("case", WRITTEN)
def test_the_file_is_the_model(tmp_path: Path, case: str) -> None:
    record = json.loads((RECORDS / f"{case}.json").read_text())
    folder = drawn_folder(tmp_path / "m", record["config"], record["tensors"])
    expected, model = WeightFolder(folder), load_model(folder)
    place = tmp_path / "gguf"
    place.mkdir()
    write(place / "m.gguf", WRITTEN[case], {name: expected.tensor(name) for name in expected.names()}, model.config)
    found = open_weights(place, model)
    rounded = 2e-7 if WRITTEN[case].change is one_more else 0
    for name in expected.names():
        np.testing.assert_allclose(found.tensor(name), expected.tensor(name), atol=rounded, rtol=0, err_msg=name)
        last = np.array([len(expected.tensor(name)) - 1])
        np.testing.assert_array_equal(found.rows(name, last), found.tensor(name)[last], err_msg=name)
    runs = (load_reference(model, source).run(SEQUENCES) for source in (found, expected))
    np.testing.assert_allclose(*runs, atol=100 * rounded, rtol=0)
