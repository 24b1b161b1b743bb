"""Weights that are stored in fewer bits: numbers times scales, or refused by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cimsolve.errors import InputError
from cimsolve.model.load import load_model
from cimsolve.weights.folder import open_weights, weights_beside
from cimsolve.weights.project import project_model
from cimsolve.weights.tensors import Tensors
from makers.command_line import Cli
from makers.quantised_files import write_safetensors
from makers.tiny_configs import LLAMA
from makers.tiny_models import model_folder

FP8 = {"quant_method": "fp8", "weight_block_size": [3, 4]}
NAME = "model.layers.0.mlp.up_proj"  # (24, 16)


def quantised(folder: Path, format_: Mapping[str, Any], tensors: Mapping[str, tuple[str, Any]]) -> Tensors:
    """A model folder with these tensors, name -> type in safetensors and numbers as they lie in the file."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**LLAMA, "quantization_config": format_}))
    write_safetensors(folder / "model.safetensors", tensors)
    return open_weights(folder, load_model(folder))


def codes(*shape: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Codes of FP8 but for the two that are no number."""
    return np.random.default_rng(0).choice([c for c in range(256) if c & 127 != 127], shape).astype(np.uint8)


def fp8(code: int) -> float:
    """By hand: a sign, four bits of exponent with a bias of 7, three of fraction."""
    sign, exponent, fraction = -1 if code >> 7 else 1, code >> 3 & 15, code & 7
    return sign * (2.0 ** (exponent - 7) * (1 + fraction / 8) if exponent else 2.0**-6 * fraction / 8)


def test_fp8_is_what_its_bits_say(tmp_path: Path) -> None:
    every = np.array([code for code in range(256) if code & 127 != 127], dtype=np.uint8)
    one = ("F32", np.ones(1, dtype=np.float32))
    source = quantised(tmp_path, FP8, {"a.weight": ("F8_E4M3", every), "a.weight_scale_inv": one})
    assert source.tensor("a.weight").tolist() == [fp8(code) for code in every.tolist()]
    assert (fp8(0x7E), fp8(0x38), fp8(0x81)) == (448, 1, -(2.0**-9))
    assert source.rows("a.weight", np.array([2])).tolist() == [2.0**-8]


@pytest.mark.parametrize("key", ["weight_scale_inv", "weight_scale"])
@pytest.mark.parametrize("shape", [(), (1,), (7,), (7, 1), (3, 3)])
def test_scales_are_of_a_tensor_a_row_or_a_block(tmp_path: Path, key: str, shape: tuple[int, ...]) -> None:
    """Blocks of 3 x 4 in 7 x 10: those at the ends are smaller."""
    stored = codes(7, 10)
    scales = np.random.default_rng(1).random(shape, dtype=np.float32)
    source = quantised(tmp_path, FP8, {"a.weight": ("F8_E4M3", stored), f"a.{key}": ("F32", scales)})
    found = source.tensor("a.weight")
    for row in range(7):
        for column in range(10):
            place = (row // 3, column // 4) if shape == (3, 3) else (row, 0)[: len(shape)] if scales.size > 1 else ...
            scale = float(scales[place].item()) if place is not ... else float(scales.item())
            assert found[row, column] == np.float32(fp8(int(stored[row, column]))) * np.float32(scale)


def test_fp8_of_compressed_tensors(tmp_path: Path) -> None:
    weights = {"num_bits": 8, "type": "float", "strategy": "block", "block_structure": [3, 4]}
    said = {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": weights}}}
    tensors = {"a.weight": ("F8_E4M3", codes(6, 4)), "a.weight_scale": ("F32", np.array([[2], [3]], dtype=np.float32))}
    found, plain = (quantised(tmp_path / name, each, tensors) for name, each in (("a", said), ("b", FP8)))
    np.testing.assert_array_equal(found.tensor("a.weight"), plain.tensor("a.weight"))


def test_mxfp4_is_numbers_of_four_bits_and_a_power_of_two(tmp_path: Path) -> None:
    """Two experts of 3 rows and 64 columns; columns come first where it is read."""
    rng = np.random.default_rng(2)
    blocks = rng.integers(0, 256, (2, 3, 2, 16), dtype=np.uint8)
    scales = rng.integers(120, 134, (2, 3, 2), dtype=np.uint8)
    source = quantised(tmp_path, {"quant_method": "mxfp4"}, {"up_blocks": ("U8", blocks), "up_scales": ("U8", scales)})
    found = source.tensor("up")
    assert source.shape("up") == found.shape == (2, 64, 3)
    value = [0, 0.5, 1, 1.5, 2, 3, 4, 6]
    value += [-each for each in value]
    for expert, row, column in np.ndindex(2, 3, 64):
        byte = int(blocks[expert, row, column // 32, column % 32 // 2])
        code = byte >> 4 if column % 2 else byte & 15
        scale = 2.0 ** (int(scales[expert, row, column // 32]) - 127)
        assert found[expert, column, row] == value[code] * scale
    np.testing.assert_array_equal(source.rows("up", np.array([1])), found[1:])


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (
            {"a.weight": ("F8_E4M3", codes(7, 10))},
            "tensor a.weight is FP8, and has no weight_scale_inv or weight_scale",
        ),
        (
            {"a.weight": ("F8_E4M3", codes(7, 10)), "a.weight_scale": ("F32", np.ones((2, 3), dtype=np.float32))},
            r"a\.weight_scale has shape \(2, 3\), and a\.weight \(7, 10\); expected one scale, one a row, or \(3, 3\)",
        ),
        (
            {"a.weight": ("F8_E4M3", np.full(4, 127, np.uint8)), "a.weight_scale": ("F32", np.ones(1, np.float32))},
            "a.weight.* NaN or infinite",
        ),
        (
            {"a_blocks": ("U8", codes(1, 2, 2, 8)), "a_scales": ("U8", codes(1, 2, 2))},
            r"a_blocks has shape \(1, 2, 2, 8\), its scales",
        ),
        (
            {"a_blocks": ("U8", codes(1, 2, 2, 16)), "a_scales": ("U8", codes(1, 2, 1))},
            r"a_blocks has shape \(1, 2, 2, 16\), its scales \(1, 2, 1\)",
        ),
    ],
)
def test_scales_that_do_not_fit(tmp_path: Path, tensors: Mapping[str, tuple[str, Any]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        quantised(tmp_path, FP8, tensors).tensor("a.weight")


INT4 = {"num_bits": 4, "type": "int"}


@pytest.mark.parametrize(
    ("format_", "named"),
    [
        ({"quant_method": "awq", "bits": 4}, 'quant_method = "awq"'),
        ({"quant_method": "gptq"}, 'quant_method = "gptq"'),
        ({"bits": 4}, "quant_method = null"),
        ("fp8", 'quantization_config = "fp8"'),
        ({"quant_method": "compressed-tensors", "config_groups": {"a": {"weights": INT4}}}, "compressed-tensors with"),
        ({"quant_method": "compressed-tensors", "config_groups": {"a": {"weights": "x"}}}, "compressed-tensors with"),
        ({"quant_method": "compressed-tensors", "sparsity_config": {"format": "x"}}, "sparsity_config"),
    ],
)
def test_other_formats_are_refused_by_name(tmp_path: Path, format_: Any, named: str) -> None:
    folder = model_folder(tmp_path, {**LLAMA, "quantization_config": format_})
    for use in (lambda: weights_beside(load_model(folder), folder), lambda: project_model(folder)):
        with pytest.raises(InputError, match=named):
            use()


@pytest.mark.parametrize("blocks", [[3], [0, 4], ["a", 4], 5])
def test_blocks_that_are_none(tmp_path: Path, blocks: Any) -> None:
    with pytest.raises(InputError, match="expected rows and columns"):
        quantised(tmp_path, {**FP8, "weight_block_size": blocks}, {})


def test_a_model_whose_weights_are_not_read_can_be_mapped(tmp_path: Path, cli: Cli) -> None:
    folder = model_folder(tmp_path / "m", {**LLAMA, "quantization_config": {"quant_method": "awq"}})
    result = cli("--model", str(folder), "--hw", "paper256", "--strategy", "spread", "--out", str(tmp_path))
    assert result.code == 0
    assert 'quantization_config.quant_method = "awq"' in result.err
    assert "random weights are simulated" in result.err
    refused = cli("simulate", str(next(tmp_path.glob("*.json"))), "--weights", str(folder))
    assert (refused.code, refused.out) == (2, "")
    assert 'quant_method = "awq"' in refused.err


def test_experts_in_mxfp4_are_read_one_at_a_time(tmp_path: Path) -> None:
    """As gpt-oss is published: all experts in one tensor, whose columns are the inputs."""
    config = {
        "model_type": "gpt_oss",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "num_local_experts": 3,
        "num_experts_per_tok": 2,
        "max_position_embeddings": 64,
        "vocab_size": 29,
        "quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert": ["self_attn"]},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = load_model(tmp_path)
    rng = np.random.default_rng(3)
    at = "model.layers.0.mlp.experts."
    tensors: dict[str, tuple[str, Any]] = {
        linear.tensor.name: ("F32", rng.standard_normal((linear.n_out, linear.n_in)).astype(np.float32))
        for linear in model.linears
        if linear.expert is None
    }
    for name, rows, columns in (("gate_up_proj", 128, 32), ("down_proj", 32, 64)):
        blocks = rng.integers(0, 256, (3, rows, columns // 32, 16), dtype=np.uint8)
        scales = rng.integers(124, 130, (3, rows, columns // 32), dtype=np.uint8)
        tensors |= {f"{at}{name}_blocks": ("U8", blocks), f"{at}{name}_scales": ("U8", scales)}
    write_safetensors(tmp_path / "model.safetensors", tensors)
    source, weights = open_weights(tmp_path, model), weights_beside(model, tmp_path)
    assert weights is not None
    for name, shape in (("gate_up_proj", (32, 128)), ("down_proj", (64, 32))):
        whole = source.tensor(f"{at}{name}")
        for expert in range(3):
            assert weights[f"{at}{name}.{expert}"].shape == shape
            np.testing.assert_array_equal(weights[f"{at}{name}.{expert}"], whole[expert])
