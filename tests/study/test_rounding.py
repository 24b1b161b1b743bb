"""What is rounded in training is what the simulated arrays hold and are driven with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cimsolve import load_hardware
from cimsolve.chip.settings import with_settings
from cimsolve.judge.simulate.encoding import Encoding
from cimsolve.judge.simulate.quantise import quantise_inputs

torch: Any = pytest.importorskip("torch")
from cimsolve.study.finetune.rounding import Rounding  # noqa: E402


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_weights_and_inputs_are_those_of_the_arrays(bits: int) -> None:
    chip = with_settings(load_hardware("rram256"), {"weight.bits": str(bits), "input.bits": str(bits)})
    rng = np.random.default_rng(bits)
    blocks, vectors = rng.standard_normal((2, 5, 3)), rng.standard_normal((4, 6)) + 1.0
    blocks[0, :, 1] = 0
    vectors[0] = np.abs(vectors[0])
    rounding = Rounding(chip)
    values, scales = Encoding.of(chip).quantise(blocks, "w", by_column=True)
    expected = values * scales.reshape(2, 1, 3)
    np.testing.assert_allclose(rounding.weights(torch.tensor(blocks)).numpy(), expected, atol=1e-12)
    driven = quantise_inputs(vectors, bits, "token")
    np.testing.assert_allclose(
        rounding.inputs(torch.tensor(vectors)).numpy(), (driven.values - driven.zero_point) * driven.scale, atol=1e-12
    )


def test_gradients_pass_as_if_nothing_were_rounded() -> None:
    blocks = torch.randn(1, 4, 3, requires_grad=True)
    slopes = torch.arange(12.0).reshape(1, 4, 3)
    (Rounding(load_hardware("rram256")).weights(blocks) * slopes).sum().backward()
    assert torch.equal(blocks.grad, slopes)
    assert Rounding(None).weights(blocks) is blocks
