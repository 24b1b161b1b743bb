"""The backward pass of a decoder against differences of its loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cimsolve.model.load import load_model
from cimsolve.weights.folder import open_weights
from cimsolve.weights.forward.backward import DecoderGradients
from cimsolve.weights.forward.forms import form_of
from cimsolve.weights.forward.functions import softmax
from cimsolve.weights.tensors import Floats32
from makers.tiny_configs import LLAMA
from makers.tiny_models import model_folder

SEQUENCES = [np.arange(5), np.array([3, 9, 1])]


def decoder(folder: Path, **changes: object) -> DecoderGradients:
    model_folder(folder, {**LLAMA, **changes})
    model = load_model(folder)
    return DecoderGradients(model, open_weights(folder, model), form_of(model))


def test_gradients_are_those_of_the_loss(tmp_path: Path) -> None:
    """Outputs of one linear moved a little to and fro, tokens drawn as the seed says."""
    reference = decoder(tmp_path)
    assert reference.is_known
    found: dict[str, Floats32] = {}
    reference.gradients(SEQUENCES, found.__setitem__, seed=3)
    assert set(found) == set(reference.linears)
    shares = softmax(reference.logits(reference.run(SEQUENCES)).astype(np.float32))
    drawn = (np.cumsum(shares, axis=1) < np.random.default_rng(3).random((len(shares), 1))).sum(axis=1)
    random = np.random.default_rng(0)
    for name, slope in found.items():
        way = random.standard_normal(slope.shape).astype(np.float32)

        def loss(step: float, name: str = name, way: Floats32 = way) -> float:
            def product(which: str, inputs: Floats32) -> Floats32:
                moved = step * way if which == name else 0
                return (reference.exact(which, inputs) + moved).astype(np.float32)

            logits = reference.logits(reference.run(SEQUENCES, product))
            raised = np.exp(logits - logits.max(axis=1, keepdims=True))
            return float(-np.log(raised[np.arange(len(drawn)), drawn] / raised.sum(axis=1)).sum())

        expected = (loss(2e-3) - loss(-2e-3)) / 4e-3
        assert float((slope * way).sum()) == pytest.approx(expected, rel=5e-3, abs=2e-3), name


def test_forms_whose_backward_pass_is_not_written_are_told_apart(tmp_path: Path) -> None:
    assert not decoder(tmp_path, model_type="mistral", sliding_window=4).is_known
