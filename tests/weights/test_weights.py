"""Model folders: what is read right, and what is refused with the reason."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from cimsolve.columns import Floats
from cimsolve.errors import InputError
from cimsolve.model.model import TensorRef
from cimsolve.model.structure import Structure
from cimsolve.weights.folder import WeightFolder, linear_weight
from cimsolve.weights.projection import project_linear

RNG = np.random.default_rng(0)


def write_raw(file: Path, tensors: Mapping[str, tuple[str, tuple[int, ...], bytes]]) -> None:
    """A safetensors file from raw bytes: for types numpy has no name for."""
    header: dict[str, Any] = {}
    data = b""
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + data)


def matrix(rows: int, cols: int) -> Floats:
    return RNG.standard_normal((rows, cols)).astype(np.float32)


def one(folder: Path, **tensors: Floats) -> WeightFolder:
    save_file({name.replace("__", "."): value for name, value in tensors.items()}, folder / "model.safetensors")
    return WeightFolder(folder)


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.float16])
def test_floating_types_come_as_float32(tmp_path: Path, kind: type[np.floating[Any]]) -> None:
    weight = matrix(3, 5).astype(kind)
    read = one(tmp_path, before=matrix(2, 2), w=weight, x_after=matrix(1, 7)).tensor("w")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, weight.astype(np.float32))


def test_bfloat16(tmp_path: Path) -> None:
    values = np.array([[1.0, -2.5, 3.140625], [0.0, 1e30, -(2.0**-120)]], dtype=np.float32)
    bits = (values.view(np.uint32) >> 16).astype("<u2")
    expected = (bits.astype(np.uint32) << 16).view(np.float32)
    write_raw(
        tmp_path / "model.safetensors",
        {"a": ("F32", (1,), b"abcd"), "w": ("BF16", (2, 3), bits.tobytes())},
    )
    read = WeightFolder(tmp_path).tensor("w")
    np.testing.assert_array_equal(read, expected)
    np.testing.assert_allclose(read, values, rtol=2**-7)
    assert read.dtype == np.float32


@pytest.mark.parametrize("dtype", ["I8", "U8", "F8_E4M3"])
def test_other_types_are_refused_when_asked_for(tmp_path: Path, dtype: str) -> None:
    write_raw(tmp_path / "model.safetensors", {"w": (dtype, (2, 2), b"abcd")})
    folder = WeightFolder(tmp_path)
    assert folder.names() == ("w",)
    with pytest.raises(InputError, match=f"tensor w is of type {dtype}; expected one of F64, F32, F16, BF16"):
        folder.tensor("w")


def test_a_float64_beyond_float32_is_refused(tmp_path: Path) -> None:
    folder = one(tmp_path, w=np.full((2, 2), 1e300))
    with pytest.raises(InputError, match="tensor w: 4 of 4 numbers are NaN or infinite, first in row 0"):
        linear_weight(folder, TensorRef("w", "out_in"), 2, 2)


def test_names_with_and_without_a_prefix(tmp_path: Path) -> None:
    weight = matrix(2, 2)
    folder = one(tmp_path, bert__encoder__0__q=weight, bert__encoder__10__q=matrix(2, 2), q=matrix(3, 3))
    assert folder.names() == ("bert.encoder.0.q", "bert.encoder.10.q", "q")
    np.testing.assert_array_equal(folder.tensor("encoder.0.q"), weight)
    np.testing.assert_array_equal(folder.tensor("bert.encoder.0.q"), weight)
    assert folder.shape("q") == (3, 3)  # the exact name, though others end in it
    assert folder.find("0.q") == "bert.encoder.0.q"


def test_ambiguous_and_missing_names(tmp_path: Path) -> None:
    folder = one(tmp_path, encoder__0__query=matrix(2, 2), decoder__0__query=matrix(2, 2))
    with pytest.raises(InputError, match=r"0\.query is ambiguous: decoder\.0\.query, encoder\.0\.query"):
        folder.tensor("0.query")
    with pytest.raises(InputError, match=r"no tensor encoder\.0\.qery; near names: encoder\.0\.query"):
        folder.tensor("encoder.0.qery")
    with pytest.raises(InputError, match=r"no tensor zzz; it holds decoder"):
        folder.tensor("zzz")


def shards(folder: Path) -> dict[str, Floats]:
    weights = {"a": matrix(2, 3), "b": matrix(4, 4), "c": matrix(1, 5)}
    save_file({"a": weights["a"]}, folder / "model-00001-of-00002.safetensors")
    save_file({"b": weights["b"], "c": weights["c"]}, folder / "model-00002-of-00002.safetensors")
    return weights


def write_index(folder: Path, owner: object) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": owner}))


INDEX = {
    "a": "model-00001-of-00002.safetensors",
    "b": "model-00002-of-00002.safetensors",
    "c": "model-00002-of-00002.safetensors",
}


@pytest.mark.parametrize("indexed", [True, False])
def test_shards(tmp_path: Path, indexed: bool) -> None:
    weights = shards(tmp_path)
    if indexed:
        write_index(tmp_path, INDEX)
    folder = WeightFolder(tmp_path)
    assert folder.names() == ("a", "b", "c")
    for name, value in weights.items():
        np.testing.assert_array_equal(folder.tensor(name), value)


@pytest.mark.parametrize("indexed", [True, False])
def test_missing_shard(tmp_path: Path, indexed: bool) -> None:
    shards(tmp_path)
    if indexed:
        write_index(tmp_path, INDEX)
    (tmp_path / "model-00001-of-00002.safetensors").unlink()
    with pytest.raises(InputError, match=r"model-00001-of-00002\.safetensors.* is missing"):
        WeightFolder(tmp_path)


def test_index_decides_which_shard_counts(tmp_path: Path) -> None:
    weights = shards(tmp_path)
    save_file({"a": matrix(2, 3), "b": weights["b"]}, tmp_path / "model-00002-of-00002.safetensors")
    with pytest.raises(InputError, match="tensor a is both in"):
        WeightFolder(tmp_path)
    write_index(tmp_path, {"a": INDEX["a"], "b": INDEX["b"]})
    np.testing.assert_array_equal(WeightFolder(tmp_path).tensor("a"), weights["a"])
    write_index(tmp_path, INDEX)
    with pytest.raises(InputError, match="the index puts tensor c in model-00002"):
        WeightFolder(tmp_path)


@pytest.mark.parametrize(
    "owner", [{"a": "../elsewhere.safetensors"}, {"a": "/tmp/x.safetensors"}, {"a": "x.bin"}, {"a": 3}]
)
def test_index_may_name_only_files_beside_it(tmp_path: Path, owner: object) -> None:
    write_index(tmp_path, owner)
    with pytest.raises(InputError, match="no safetensors file beside it"):
        WeightFolder(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the JSON breaks off"),
        ("[]", "no weight_map"),
        ("{}", "no weight_map"),
        ('{"weight_map": {}}', "no weight_map"),
    ],
)
def test_broken_index(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(InputError, match=message):
        WeightFolder(tmp_path)


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    one(tmp_path, a=matrix(2, 3), b=matrix(2, 2))
    file = tmp_path / "model.safetensors"
    whole = file.read_bytes()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(InputError, match="is cut short") as caught:
            WeightFolder(tmp_path)
        assert "\n" not in str(caught.value)


def test_file_cut_after_it_was_opened(tmp_path: Path) -> None:
    folder = one(tmp_path, a=matrix(20, 30))
    file = tmp_path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(InputError, match="tensor a is not all there"):
        folder.tensor("a")
    file.unlink()
    with pytest.raises(InputError, match="cannot be read: No such file"):
        folder.tensor("a")


@pytest.mark.parametrize(
    "header",
    [
        b'{"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, "w": 1}',
        b'{"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, NaN]}}',
        b'{"__metadata__": [1]}',
        b"not json",
        b"[]",
        b'"text"',
        b'{"w": 1}',
        b'{"w": {"dtype": "F32"}}',
        b'{"w": {"dtype": "F32", "shape": [1], "data_offsets": "xy"}}',
        b'{"w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 4]}}',
        b'{"w": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}',
        b'{"w": {"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}}',
        b'{"w": {"dtype": "Q9", "shape": [1], "data_offsets": [0, 4]}}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_damaged_headers(tmp_path: Path, header: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"abcd")
    with pytest.raises(InputError, match="is no sound safetensors file"):
        WeightFolder(tmp_path)


@pytest.mark.parametrize("name", ["\\u001b[31m", "a\\u202eb", "a\\nb", "\\ud800", "", "x" * 10_000])
def test_names_that_cannot_be_shown(tmp_path: Path, name: str) -> None:
    header = f'{{"{name}": {{"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}}}'.encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"abcd")
    with pytest.raises(InputError, match=r"model\.safetensors: the name .* expected 1 to") as refused:
        WeightFolder(tmp_path)
    assert str(refused.value).isprintable()


def test_what_would_be_waited_for_or_fill_the_memory(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    os.mkfifo(file)
    with pytest.raises(InputError, match="is no regular file"):
        WeightFolder(tmp_path)
    file.unlink()
    with file.open("wb") as stream:
        stream.write(struct.pack("<Q", 2**40))
        stream.truncate(2**40 + 8)
    with pytest.raises(InputError, match="its header has 1099511627776 bytes; expected at most"):
        WeightFolder(tmp_path)


def test_one_file_of_any_name_will_do_and_a_folder_will_not(tmp_path: Path) -> None:
    save_file({"a": matrix(2, 2)}, tmp_path / "weights.safetensors")
    assert WeightFolder(tmp_path).names() == ("a",)
    (tmp_path / "model.safetensors").mkdir()
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        WeightFolder(tmp_path)


def test_git_lfs_pointer(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(InputError, match="Git LFS pointer"):
        WeightFolder(tmp_path)


def test_folders_without_safetensors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such folder"):
        WeightFolder(tmp_path / "absent")
    with pytest.raises(InputError, match=r"no \*\.safetensors or \*\.gguf file"):
        WeightFolder(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(InputError, match=r"pickled weights only \(pytorch_model\.bin\).*convert them"):
        WeightFolder(tmp_path)
    with pytest.raises(InputError, match="is a file; name the folder"):
        WeightFolder(tmp_path / "pytorch_model.bin")
    one(tmp_path, a=matrix(2, 2)).tensor("a")  # with safetensors beside it the pickle is ignored


def test_layouts(tmp_path: Path) -> None:
    weight = matrix(4, 6)
    folder = one(tmp_path, out_in=weight.T.copy(), in_out=weight)
    for ref in (TensorRef("out_in", "out_in"), TensorRef("in_out", "in_out")):
        read = linear_weight(folder, ref, 4, 6)
        np.testing.assert_array_equal(read, weight)
        assert read.flags.c_contiguous


def test_gpt2_holds_query_key_and_value_side_by_side(tmp_path: Path) -> None:
    parts = [matrix(4, 4) for _ in range(3)]
    folder = one(tmp_path, transformer__h__0__c_attn__weight=np.hstack(parts))
    x = matrix(2, 4)
    joint = np.split(x @ folder.tensor("h.0.c_attn.weight"), 3, axis=1)
    for index, (part, answer) in enumerate(zip(parts, joint, strict=True)):
        ref = TensorRef("h.0.c_attn.weight", "in_out", 4 * index, 4 * index + 4)
        weight = linear_weight(folder, ref, 4, 4)
        np.testing.assert_array_equal(weight, part)
        np.testing.assert_allclose(x @ weight, answer, rtol=1e-5)


def test_slices_of_out_in_tensors(tmp_path: Path) -> None:
    stored = matrix(6, 3)
    folder = one(tmp_path, qkv=stored)
    np.testing.assert_array_equal(linear_weight(folder, TensorRef("qkv", "out_in", 2, 4), 3, 2), stored[2:4].T)
    np.testing.assert_array_equal(linear_weight(folder, TensorRef("qkv", "out_in", 4), 3, 2), stored[4:].T)
    rows = TensorRef("qkv", "in_out", 1, 3, cut="in")
    np.testing.assert_array_equal(linear_weight(folder, rows, 2, 3), stored[1:3])


def test_a_matrix_is_an_entry_of_a_tensor_of_experts(tmp_path: Path) -> None:
    stored = RNG.standard_normal((4, 3, 2)).astype(np.float32)
    folder = one(tmp_path, experts=stored)
    for index in range(4):
        ref = TensorRef("experts", "out_in", index=index)
        np.testing.assert_array_equal(linear_weight(folder, ref, 2, 3), stored[index].T)
        ref = TensorRef("experts", "in_out", index=index)
        np.testing.assert_array_equal(linear_weight(folder, ref, 3, 2), stored[index])


@pytest.mark.parametrize("shape", [(4, 2, 3), (4, 3, 2, 1)])
def test_a_convolution_is_a_matrix_of_all_its_inputs(shape: tuple[int, ...], tmp_path: Path) -> None:
    stored = np.arange(24, dtype=np.float32).reshape(shape)
    save_file({"conv": stored}, tmp_path / "model.safetensors")
    folder = WeightFolder(tmp_path)
    np.testing.assert_array_equal(linear_weight(folder, TensorRef("conv", "out_in"), 6, 4), stored.reshape(4, 6).T)
    with pytest.raises(InputError, match="conv"):
        linear_weight(folder, TensorRef("conv", "out_in"), 12, 2)


@pytest.mark.parametrize(
    ("ref", "n_in", "n_out", "message"),
    [
        (TensorRef("w", "out_in"), 6, 4, r"w has shape \(6, 4\), the model needs \(4, 6\) as \(out, in\)"),
        (TensorRef("w", "in_out"), 4, 6, r"needs \(4, 6\) as \(in, out\)"),
        (TensorRef("w", "in_out", 2, 6), 6, 4, r"needs \(6, 6 or more\) as \(in, out\)"),
        (TensorRef("w", "in_out", 0, 2), 6, 4, "needs"),
        (TensorRef("w", "in_out", 4, 8, "in"), 4, 4, r"needs \(8 or more, 4\) as \(in, out\)"),
        (TensorRef("w", "out_in", index=0), 4, 6, r"a linear's weight is \(expert, out, in\)"),
        (TensorRef("w", "in_out", -2), 6, 2, "needs"),
        (TensorRef("v", "out_in"), 5, 1, r"v has shape \(5,\), a linear's weight is \(out, in\)"),
    ],
)
def test_wrong_shapes(tmp_path: Path, ref: TensorRef, n_in: int, n_out: int, message: str) -> None:
    folder = one(tmp_path, w=matrix(6, 4), v=matrix(1, 5)[0])
    with pytest.raises(InputError, match=message):
        linear_weight(folder, ref, n_in, n_out)


def test_project_linear(tmp_path: Path) -> None:
    weight = matrix(8, 12)
    folder = one(tmp_path, m__up=weight.T.copy(), m__down=matrix(12, 8))
    read = linear_weight(folder, TensorRef("up", "out_in"), 8, 12)
    up, _ = project_linear("up", read, Structure.monarch(4, 4, 1))
    down, _ = project_linear("down", linear_weight(folder, TensorRef("m.down", "in_out"), 12, 8), Structure.dense())
    assert (up.linear, up.n_in, up.n_out, up.stored_weights) == ("up", 8, 12, 80)
    assert up.compression == pytest.approx(96 / 80)
    assert up.lowrank_rank == 4
    size = np.linalg.svd(weight, compute_uv=False)
    assert up.lowrank_error == pytest.approx(np.sqrt((size[4:] ** 2).sum() / (size**2).sum()), rel=1e-5)
    assert 0 < up.relative_error < 1
    assert (down.relative_error, down.lowrank_rank, down.lowrank_error, down.compression) == (
        0.0,
        None,
        None,
        1.0,
    )
