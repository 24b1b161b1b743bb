"""GGUF files: the same model by other names, in another order, in fewer bits."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from cimsolve.errors import InputError
from cimsolve.model.load import load_model
from cimsolve.weights.folder import WeightFolder, open_weights
from cimsolve.weights.forward import load_reference
from cimsolve.weights.forward.llama import LlamaReference
from cimsolve.weights.forward.tokens import byte_pair_tokenizer
from cimsolve.weights.gguf import GgufFile, find_gguf
from cimsolve.weights.inputs import read_sequences
from makers.folders import WEIGHTS
from makers.tiny_configs import LLAMA
from makers.tiny_models import model_folder, reference_of

gguf = pytest.importorskip("gguf")

SMOLLM2 = WEIGHTS / "smollm2"
SEQUENCES = [np.array([3, 1, 4, 1, 5]), np.array([9, 2, 6, 5, 3, 5, 8])]
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


def write_gguf(path: Path, folder: Path, kind: str = "F32", architecture: str = "llama", **extra: Any) -> Path:
    source = WeightFolder(folder)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_head_count(CONFIG["num_attention_heads"])
    writer.add_head_count_kv(CONFIG["num_key_value_heads"])
    for key, value in extra.items():
        getattr(writer, key)(value)
    for name in source.names():
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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return model_folder(tmp_path / "model", CONFIG)


def test_tensors_are_those_of_the_model(tmp_path: Path, folder: Path) -> None:
    found, expected = GgufFile(write_gguf(tmp_path / "m.gguf", folder)), WeightFolder(folder)
    assert found.names() == expected.names()
    for name in expected.names():
        assert found.shape(name) == expected.shape(name)
        np.testing.assert_array_equal(found.tensor(name), expected.tensor(name))
    rows = np.array([5, 0, 5])
    embedding = "model.embed_tokens.weight"
    np.testing.assert_array_equal(found.rows(embedding, rows), expected.rows(embedding, rows))


def test_the_model_runs_the_same(tmp_path: Path, folder: Path) -> None:
    model = load_model(folder / "config.json")
    found = load_reference(model, GgufFile(write_gguf(tmp_path / "m.gguf", folder)))
    np.testing.assert_array_equal(found.run(SEQUENCES), reference_of(folder).run(SEQUENCES))


@pytest.mark.parametrize(("kind", "tolerance"), [("F16", 1e-3), ("Q8_0", 0.02), ("Q4_1", 0.2)])
def test_fewer_bits_come_back_near(tmp_path: Path, folder: Path, kind: str, tolerance: float) -> None:
    found, expected = GgufFile(write_gguf(tmp_path / "m.gguf", folder, kind)), WeightFolder(folder)
    for name in expected.names():
        np.testing.assert_allclose(found.tensor(name), expected.tensor(name), atol=tolerance)
    rows = np.array([28, 3])
    embedding = "model.embed_tokens.weight"
    np.testing.assert_array_equal(found.rows(embedding, rows), found.tensor(embedding)[rows])


def test_missing_names_are_told_with_near_ones(tmp_path: Path, folder: Path) -> None:
    found = GgufFile(write_gguf(tmp_path / "m.gguf", folder))
    with pytest.raises(InputError, match=r"no tensor lm_head\.weight"):
        found.tensor("lm_head.weight")
    with pytest.raises(InputError, match=r"near names: model\.layers\.1\.mlp\.up_proj\.weight"):
        found.tensor("model.layers.2.mlp.up_proj.weight")


def test_a_folder_is_opened_by_what_it_holds(tmp_path: Path, folder: Path) -> None:
    assert isinstance(open_weights(folder), WeightFolder)
    place = tmp_path / "gguf"
    place.mkdir()
    with pytest.raises(InputError, match=r"no \*\.safetensors or \*\.gguf file"):
        open_weights(place)
    write_gguf(place / "m.gguf", folder)
    assert isinstance(open_weights(place), GgufFile)
    (place / "factors.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    assert isinstance(open_weights(place), GgufFile)
    (place / "n.gguf").write_bytes(b"")
    with pytest.raises(InputError, match=r"holds 2 GGUF files \(m\.gguf, \.\.\.\); expected one"):
        find_gguf(place)


def test_damaged_files(tmp_path: Path, folder: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", folder)
    data = path.read_bytes()
    for size in (0, 3, 20, 100, len(data) // 2, len(data) - 1000):
        path.write_bytes(data[:size])
        with pytest.raises(InputError, match="is no sound GGUF file"):
            GgufFile(path)
    path.write_bytes(b"no" + data)
    with pytest.raises(InputError, match="is no sound GGUF file"):
        GgufFile(path)
    with pytest.raises(InputError, match="is no sound GGUF file"):
        GgufFile(tmp_path / "nowhere.gguf")


def test_other_architectures_are_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(InputError, match="its architecture is qwen2; expected llama"):
        GgufFile(write_gguf(tmp_path / "m.gguf", folder, architecture="qwen2"))


def test_without_the_library(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_gguf(tmp_path / "m.gguf", folder)
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(InputError, match=r"GGUF needs the gguf library: pip install 'cimsolve\[gguf\]'"):
        GgufFile(path)


def test_the_vocabulary_in_the_file(tmp_path: Path, folder: Path) -> None:
    """Letters, digits apart, and one merge: `ab` is one token, `12` two."""
    pytest.importorskip("tokenizers")
    tokens = ["a", "b", "1", "2", "Ġ", "ab"]
    extra = {"add_tokenizer_model": "gpt2", "add_tokenizer_pre": "smollm", "add_token_list": tokens}
    path = write_gguf(tmp_path / "m.gguf", folder, **extra, add_token_merges=["a b"])
    source = GgufFile(path)
    text = tmp_path / "t.txt"
    text.write_text("ab b12\n\naab")
    found = [ids.tolist() for ids in read_sequences([text], tmp_path, source, 32, 100)]
    assert found == [[5, 4, 1, 2, 3], [0, 5]]
    for change in ({"model": "llama"}, {"pre": "other"}):
        with pytest.raises(InputError, match="expected gpt2 with default, gpt-2 or smollm"):
            byte_pair_tokenizer({**source.vocabulary(), **change}, 32, path)


@pytest.mark.weights
def test_smollm2_foretells_plain_english() -> None:
    """Rows of Q and K in the wrong order would leave a loss near ln(49152) = 10.8."""
    if find_gguf(SMOLLM2) is None:
        pytest.skip("weights/smollm2 is absent: run `make weights-smollm2`")
    source = GgufFile(find_gguf(SMOLLM2) or SMOLLM2)
    reference = load_reference(load_model(SMOLLM2 / "config.json"), source)
    assert isinstance(reference, LlamaReference)
    texts = [
        "The capital of France is Paris, which lies on the river Seine.",
        "Once upon a time there was a little girl who lived in 1984 with her grandmother in a small house near the "
        "forest.",
    ]
    sequences = byte_pair_tokenizer(source.vocabulary(), 256, source.path).sequences(texts, 1000)
    # Token numbers and loss by transformers 5 and torch 2.13 from the same file; the hidden states agree to 6e-5.
    assert sequences[0].tolist() == [504, 3575, 282, 4649, 314, 7042, 28, 527, 5721, 335, 260, 4626, 1268, 462, 30]
    assert len(sequences[1]) == 28
    assert reference.loss(reference.run(sequences), sequences) == pytest.approx(2.54496, abs=1e-4)
