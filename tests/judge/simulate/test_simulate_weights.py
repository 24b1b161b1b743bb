"""Real weights and options of the simulator: quantised, or refused."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from cimsolve.errors import InputError
from cimsolve.judge.simulate.operands import prepare_operands
from cimsolve.model.structure import Structure
from cimsolve.weights.monarch import Monarch, project
from makers.small_arrays import CHAIN, run, small_hardware, small_problem, tiles


@pytest.mark.parametrize("signed", ["differential", "offset"])
def test_given_weights_are_quantised_and_exact(signed: str) -> None:
    problem = small_problem(CHAIN, small_hardware(weight__signed=signed))
    random = np.random.default_rng(0)
    dense = random.normal(size=(24, 12))
    factors = project(random.normal(size=(16, 24)), Structure.monarch(4, 4, 1))
    given_weights: dict[str, Any] = {"s0.0": random.normal(size=(16, 16)), "s0.1": factors, "s1.0": dense}
    report = run(problem, tiles(problem), weights=given_weights)
    assert report.exact
    assert sorted(report.weight_scales) == [0, 1, 2, 3, 4]
    assert report.weight_scales[4] == pytest.approx(np.abs(dense).max() / 7)
    operands = prepare_operands(problem, None, 1, 0, given_weights)
    stored = operands.weights(operands.workload.factors[4])[0] * report.weight_scales[4]
    assert np.abs(stored - dense).max() <= report.weight_scales[4] / 2 + 1e-12


def test_zero_weights_are_exact() -> None:
    problem = small_problem(CHAIN)
    weights = {"s0.0": np.zeros((16, 16)), "s1.0": np.zeros((24, 12))}
    report = run(problem, tiles(problem), weights=weights)
    assert report.exact
    assert report.stages[2].deviation.signal_energy == 0
    assert report.stages[2].deviation.snr_db == math.inf


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"nobody": np.ones((2, 2))}, "no linear"),
        ({"s1.0": np.ones((12, 24))}, "shape"),
        ({"s1.0": Monarch(np.ones((1, 24, 1)), np.ones((1, 1, 12)))}, "expected"),
        ({"s0.0": Monarch(np.ones((2, 8, 2)), np.ones((2, 2, 8)))}, "shape"),
        ({"s1.0": np.full((24, 12), np.nan)}, "NaN"),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights: Mapping[str, Any], message: str) -> None:
    problem = small_problem(CHAIN)
    with pytest.raises(InputError, match=message):
        run(problem, tiles(problem), weights=weights)


def test_negative_weights_need_signed_cells() -> None:
    problem = small_problem([[(4, 4, "dense")]], small_hardware(weight__signed="none"))
    assert run(problem, tiles(problem), weights={"s0.0": np.ones((4, 4))}).exact
    with pytest.raises(InputError, match="negative"):
        run(problem, tiles(problem), weights={"s0.0": -np.ones((4, 4))})


@pytest.mark.parametrize("options", [{"layers": [7]}, {"layers": []}, {"vectors": 0}, {"seed": -1}])
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    problem = small_problem(CHAIN)
    with pytest.raises(InputError, match="expected"):
        run(problem, tiles(problem), **options)


def test_sums_beyond_float64_are_refused() -> None:
    hardware = small_hardware(cols=1024, weight__bits=32, input__bits=32, adc__bits_max=9)
    problem = small_problem([[(4, 4, "dense")]], hardware)
    with pytest.raises(InputError, match="not exact"):
        run(problem, tiles(problem))
