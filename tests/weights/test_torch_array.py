"""The forward passes on torch's tensors are those of numpy, and their gradients are slopes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cimsolve.model.load import load_model
from cimsolve.weights.folder import linear_weight, open_weights
from cimsolve.weights.forward import Reference, load_reference
from cimsolve.weights.forward.language import LanguageModel
from cimsolve.weights.monarch import Monarch, apply
from cimsolve.weights.tensors import Replaced
from makers.published import CASES, RECORDS, SEQUENCES, drawn_folder
from makers.tiny_configs import BERT
from makers.tiny_models import model_folder

torch: Any = pytest.importorskip("torch")
from cimsolve.weights.forward.torch_array import TorchArray  # noqa: E402


def on_torch(folder: Path, change: Callable[[str, Any], Any] = lambda name, tensor: tensor) -> Reference:
    """The reference of a folder whose tensors are torch's, each as `change` has it."""
    model = load_model(folder)
    source = open_weights(folder, model)
    return load_reference(
        model, Replaced(source, lambda name: TorchArray(change(name, torch.from_numpy(source.tensor(name)))))
    )


def product(reference: Reference, folder: Path) -> Callable[[str, Any], Any]:
    source = open_weights(folder, load_model(folder))

    def multiply(name: str, inputs: Any) -> Any:
        linear = reference.linears[name]
        return inputs @ TorchArray(torch.from_numpy(linear_weight(source, linear.tensor, linear.n_in, linear.n_out)))

    return multiply


@pytest.mark.parametrize("case", ["bert", *CASES])
def test_each_family_on_torch_is_its_numpy_pass(tmp_path: Path, case: str) -> None:
    if case == "bert":
        folder = model_folder(tmp_path / case, BERT)
    else:
        record = json.loads((RECORDS / f"{case}.json").read_text())
        folder = drawn_folder(tmp_path / case, record["config"], record["tensors"])
    model = load_model(folder)
    plain, torched = load_reference(model, open_weights(folder, model)), on_torch(folder)
    sequences = [ids % plain.vocabulary for ids in SEQUENCES]
    expected = plain.run(sequences)
    found: Any = torched.run(sequences, product(torched, folder))
    np.testing.assert_allclose(found.tensor.numpy(), expected, atol=1e-4, rtol=1e-4)
    if isinstance(plain, LanguageModel) and isinstance(torched, LanguageModel):
        logits: Any = torched.logits_of(found)
        np.testing.assert_allclose(logits.tensor.numpy(), plain.logits(expected), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("case", ["bert", "llama"])
def test_sequences_of_about_a_length_do_not_read_each_other(tmp_path: Path, case: str) -> None:
    """Nor what they are padded with: lengths that are handled together, and not in their order."""
    record = json.loads((RECORDS / "llama.json").read_text())
    folder = (
        model_folder(tmp_path / case, BERT)
        if case == "bert"
        else drawn_folder(tmp_path / case, record["config"], record["tensors"])
    )
    reference = on_torch(folder)
    rng = np.random.default_rng(0)
    sequences = [rng.integers(reference.vocabulary, size=length) for length in (10, 4, 9, 10, 1, 8, 5)]
    together: Any = reference.run(sequences, product(reference, folder))
    alone: list[Any] = [reference.run([ids], product(reference, folder)) for ids in sequences]
    np.testing.assert_allclose(
        together.tensor.numpy(), np.concatenate([each.tensor.numpy() for each in alone]), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize(("k", "across", "rank"), [(1, 1, 3), (2, 3, 2)])
def test_factors_on_torch_are_those_of_numpy(k: int, across: int, rank: int) -> None:
    rng = np.random.default_rng(0)
    shapes = ((5, 12), (k, 12 // k, rank * across), (across, rank * k, 18 // across))
    x, right, left = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    arrays: list[Any] = [TorchArray(torch.from_numpy(each)) for each in (x, right, left)]
    found: Any = apply(Monarch(*arrays[1:]), arrays[0])
    np.testing.assert_allclose(found.tensor.numpy(), apply(Monarch(right, left), x), atol=1e-5)


def test_gradients_are_slopes(tmp_path: Path) -> None:
    """By a step of one norm's scale in float64 differences."""
    record = json.loads((RECORDS / "llama.json").read_text())
    folder = drawn_folder(tmp_path / "llama", record["config"], record["tensors"])
    name, step = "model.layers.1.input_layernorm.weight", 1e-2
    scale = torch.from_numpy(open_weights(folder, load_model(folder)).tensor(name)).requires_grad_()

    def total(moved: Any) -> Any:
        reference = on_torch(folder, lambda each, tensor: moved if each == name else tensor)
        hidden: Any = reference.run(SEQUENCES, product(reference, folder))
        return (hidden.tensor**2).sum()

    total(scale).backward()
    for place in (0, 7):
        moved = [scale.detach().clone() for _ in range(2)]
        moved[0][place] += step
        moved[1][place] -= step
        slope = (total(moved[0]) - total(moved[1])) / (2 * step)
        assert float(scale.grad[place]) == pytest.approx(float(slope), rel=0.02, abs=0.02)


@pytest.mark.parametrize("rows", [[2, 3, 4], [3, 2, 4], [False, True, True, False, True, True]])
def test_rows_are_those_of_numpy_and_a_run_of_them_is_not_copied(rows: list[int]) -> None:
    numbers = np.arange(12.0, dtype=np.float32).reshape(6, 2)
    found = TorchArray(torch.from_numpy(numbers))[np.array(rows)]
    np.testing.assert_array_equal(found.tensor.numpy(), numbers[np.array(rows)])
    assert np.shares_memory(found.tensor.numpy(), numbers) == (rows == [2, 3, 4])
