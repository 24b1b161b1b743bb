"""Converters of fewer bits behind the array simulator, over full and calibrated ranges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cimsolve.errors import InputError
from cimsolve.judge.simulate import ArraySimulator, Noise
from makers.small_arrays import CHAIN, build, small_hardware, small_problem, tiles


def _width(simulator: ArraySimulator, name: str) -> int:
    first = simulator.factors_of(name)[0]
    return first.blocks * first.block_rows


def test_calibrated_ranges_lose_less_than_full_ones() -> None:
    """Random sums cluster at a fraction of the full range, which few bits should not be spent on."""
    problem = small_problem([[(32, 32, "dense")]], small_hardware(cols=512, weight__bits=8, input__bits=8))
    random = np.random.default_rng(0)
    weight, x = random.normal(size=(32, 32)), random.normal(size=(60, 32))
    errors = {}
    for name, options in {
        "lossless": {},
        "full": {"adc_bits_max": 4},
        "calibrated": {"adc_bits_max": 4, "adc_range": "calibrated"},
    }.items():
        simulator = build(problem, tiles(problem), weights={"s0.0": weight}, **options)
        assert simulator.lossy == (name != "lossless") or name == "calibrated"
        if simulator.calibrates:
            with pytest.raises(InputError, match="calibrate"):
                simulator.linear("s0.0", x)
            simulator.calibrate("s0.0", x)
            assert max(simulator.range_shares(0)) < 1
        errors[name] = np.linalg.norm(simulator.linear("s0.0", x) - x @ weight)
    assert errors["lossless"] < errors["calibrated"] < errors["full"]


def test_calibrated_share_by_hand() -> None:
    """One row of one 2-bit weight of 3, unsigned, driven by 0 ... 3 in two phases: sums are 0 or 3 = F.

    Half of the sums are 0. The range that holds 40 % of them is the least there is, 1 / 4096; for 60 % it is F.
    """
    hardware = small_hardware(weight__bits=2, weight__signed="none", cell__bits=2, input__bits=2)
    problem = small_problem([[(1, 1, "dense")]], hardware)
    simulator = build(problem, tiles(problem), weights={"s0.0": np.ones((1, 1))}, adc_range="calibrated")
    values = np.arange(4)[:, None]
    simulator.calibrate_factor(0, values, 0.4)
    assert simulator.range_shares(0) == (1 / 4096,)
    simulator.calibrate_factor(0, values, 0.6)
    assert simulator.range_shares(0) == (1.0,)
    assert simulator.integers(0, values)[:, 0].tolist() == [0, 3, 6, 9]


@pytest.mark.parametrize("noise", [None, Noise(programming=0.05, read=0.02, adc_offset=0.5)])
@pytest.mark.parametrize(
    "converters",
    [{}, {"adc_bits_max": 2}, {"adc_bits_max": 3, "adc_range": "calibrated"}, {"rounds": False, "clips": False}],
    ids=str,
)
def test_other_converters_behind_the_same_arrays(converters: dict[str, Any], noise: Noise | None) -> None:
    """As if built anew with them, whatever the first ones are and have run; those stay as they are."""
    problem = small_problem(CHAIN, small_hardware())
    pieces = tiles(problem)
    options: dict[str, Any] = {"noise": noise, "seed": 3}
    first, anew = build(problem, pieces, adc_bits_max=1, **options), build(problem, pieces, **converters, **options)
    random = np.random.default_rng(1)
    inputs = {name: random.normal(size=(20, _width(first, name))) for name in first.linears}
    before = build(problem, pieces, adc_bits_max=1, **options)
    kept = {name: before.linear(name, x) for name, x in inputs.items()}
    other = first.with_converters(**converters)
    for name, x in inputs.items():
        if anew.calibrates:
            for each in (other, anew):
                each.calibrate(name, x)
    for name, x in inputs.items():
        assert other.linear(name, x).tolist() == anew.linear(name, x).tolist()
    for name, x in inputs.items():
        assert first.linear(name, x).tolist() == kept[name].tolist()
    assert not first.calibrates
    assert other.lossy == anew.lossy


def test_calibrated_ranges_go_with_other_converters() -> None:
    problem = small_problem([[(8, 8, "dense")]], small_hardware())
    first = build(problem, tiles(problem))
    (name,) = first.linears
    x = np.random.default_rng(0).normal(size=(9, 8))
    first.calibrate(name, x)
    second = first.with_converters(adc_range="calibrated", adc_bits_max=2)
    factor = first.factors_of(name)[0].id
    assert second.range_shares(factor) == first.with_converters(adc_range="calibrated").range_shares(factor) != (1.0,)
    second.calibrate(name, 0 * x)
    assert first.with_converters(adc_range="calibrated").range_shares(factor) != second.range_shares(factor)
    with pytest.raises(InputError, match="adc_bits_max = 0"):
        first.with_converters(adc_bits_max=0)


def test_fewer_bits_by_hand() -> None:
    """Four rows of weight 3, unsigned: F = 12 with one-bit phases; two bits give steps of 4.

    Ones on 1, 2, 3 rows: sums 3, 6, 9, over the step 0.75, 1.5, 2.25: codes 1, 2, 2, values 4, 8, 8.
    """
    hardware = small_hardware(weight__bits=2, weight__signed="none", cell__bits=2, input__bits=1)
    problem = small_problem([[(4, 1, "dense")]], hardware)
    simulator = build(problem, tiles(problem), weights={"s0.0": np.ones((4, 1))}, adc_bits_max=2)
    assert simulator.lossy
    values = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]])
    assert simulator.integers(0, values)[:, 0].tolist() == [4, 8, 8, 12]
    exact = build(problem, tiles(problem), weights={"s0.0": np.ones((4, 1))}, adc_bits_max=2, rounds=False)
    assert exact.integers(0, values)[:, 0].tolist() == [3, 6, 9, 12]


def test_clipping_by_hand() -> None:
    """The same, calibrated on single rows: the range is 3 of 12, so 2 bits have a step of 1 and clip at 3."""
    hardware = small_hardware(weight__bits=2, weight__signed="none", cell__bits=2, input__bits=1)
    problem = small_problem([[(4, 1, "dense")]], hardware)
    options: dict[str, Any] = {"weights": {"s0.0": np.ones((4, 1))}, "adc_bits_max": 2, "adc_range": "calibrated"}
    values = np.array([[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1]])
    for clips, want in ((True, [0, 3, 3, 3]), (False, [0, 3, 6, 12])):
        simulator = build(problem, tiles(problem), clips=clips, **options)
        simulator.calibrate_factor(0, values[:2])
        assert simulator.range_shares(0) == (0.25,)
        assert simulator.integers(0, values)[:, 0].tolist() == want


def test_converters_change_without_programming_again() -> None:
    """As a simulator of its own; the first one keeps its converters and its ranges."""
    problem = small_problem([[(30, 4, "dense")]])
    options: dict[str, Any] = {"adc_bits_max": 2, "adc_range": "calibrated", "noise": Noise(programming=0.1)}
    values = np.random.default_rng(0).integers(0, 64, (20, 30))
    first = build(problem, tiles(problem), **options)
    first.calibrate_factor(0, values, 0.8)
    before = first.integers(0, values).tolist()
    for rounds, clips in ((True, False), (False, True), (False, False)):
        changed = first.with_converters(adc_bits_max=2, adc_range="calibrated", rounds=rounds, clips=clips)
        fresh = build(problem, tiles(problem), rounds=rounds, clips=clips, **options)
        assert changed.range_shares(0) == first.range_shares(0) != (1.0,) * 4
        for each in (changed, fresh):
            each.calibrate_factor(0, values, 0.9)
        assert changed.integers(0, values).tolist() == fresh.integers(0, values).tolist() != before
        assert changed.kernels
    assert first.integers(0, values).tolist() == before


def test_subtracted_pairs_convert_with_a_sign_by_hand() -> None:
    """Weights +3 and -3 on four rows of one-bit inputs; F = 12, two bits and a sign: steps of 4.

    Rows 0 and 1 are positive. Sums 3, 6, -3, -6, 0: codes 1, 2, -1, -2, 0 (0.75 and 1.5 round to even and away).
    Converted apart, the last, 6 - 6, is 8 - 8.
    """
    hardware = small_hardware(weight__bits=2, cell__bits=2, input__bits=1)
    problem = small_problem([[(4, 1, "dense")]], hardware)
    weights = {"s0.0": np.array([[1.0], [1.0], [-1.0], [-1.0]])}
    simulator = build(problem, tiles(problem), weights=weights, adc_bits_max=2, pairs="subtracted")
    # Symmetric quantisation to two bits gives weights of 1, not 3: F stays 12.
    values = np.array([[1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1]])
    plain = build(problem, tiles(problem), weights=weights, pairs="subtracted")
    assert plain.integers(0, values)[:, 0].tolist() == [1, 2, -2, 0]
    # Over the step of 4: 0.25, 0.5, -0.5, 0; halves go to even.
    assert simulator.integers(0, values)[:, 0].tolist() == [0, 0, 0, 0]
    many = small_problem([[(4, 1, "dense")]], small_hardware(weight__bits=3, cell__bits=3, input__bits=1))
    # |w| = 3 in cells of up to 7: F = 28, three bits: steps of 4; 3 / 4 and 6 / 4 round to 1 and 2.
    signed = build(many, tiles(many), weights=weights, adc_bits_max=3, pairs="subtracted")
    assert signed.integers(0, values)[:, 0].tolist() == [4, 8, -8, 0]
