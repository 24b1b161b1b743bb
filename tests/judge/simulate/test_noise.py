"""Non-idealities: each against its closed form or by hand; seeds repeat; what is off changes nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from cimsolve.errors import InputError
from cimsolve.judge.simulate import ArraySimulator, Noise, study
from cimsolve.judge.simulate.effects import CLIPPING, ROUNDING, TOGETHER
from cimsolve.judge.simulate.noise import EFFECTS, converter_errors, disturb, noise_from
from cimsolve.problem.problem import Problem
from makers.small_arrays import CHAIN, placed, scheduled, shelves, small_hardware, small_problem, tiles

L = 3


def disturbed(noise: Noise, level: int, seed: int = 0, occupied: bool = True) -> Any:
    """40,000 cells of 2 bits on each of two arrays, all written to `level`."""
    levels = np.full((2, 200, 200), level, dtype=np.uint8)
    return disturb(noise, seed, np.array([4, 9]), levels, np.full(levels.shape, occupied), L)


def near(values: Any, mean: float, deviation: float) -> None:
    """Mean and standard deviation of normal draws, to five standard errors."""
    count = values.size
    assert abs(values.mean() - mean) < 5 * deviation / math.sqrt(count)
    assert abs(values.std() - deviation) < 5 * deviation / math.sqrt(2 * count)


# Cells


def test_programming_noise_has_the_stated_size() -> None:
    near(disturbed(Noise(programming=0.05), 2), 2.0, 0.05 * L)
    near(disturbed(Noise(programming_relative=0.05), 2), 2.0, 0.05 * 2)
    assert (disturbed(Noise(programming_relative=0.05), 0) == 0).all()


def test_no_conductance_is_negative() -> None:
    """A cell at 0 keeps the upper half of a normal draw: mean s / sqrt(2 pi), variance s^2 (1/2 - 1/(2 pi))."""
    cells = disturbed(Noise(programming=0.1), 0)
    s = 0.1 * L
    assert cells.min() == 0
    assert cells.mean() == pytest.approx(s / math.sqrt(2 * math.pi), rel=0.02)
    assert cells.var() == pytest.approx(s**2 * (0.5 - 0.5 / math.pi), rel=0.03)


def test_drift_is_a_power_of_the_age() -> None:
    same = disturbed(Noise(drift=1000, drift_nu=0.05), 2)
    assert np.allclose(same, 2 * 1000**-0.05, rtol=1e-6)
    # r^-nu of a normal nu is log-normal: its mean is r^-mean * exp((sigma ln r)^2 / 2).
    spread = disturbed(Noise(drift=1000, drift_nu=0.05, drift_nu_sigma=0.01), 2)
    sigma = 0.01 * math.log(1000)
    mean = 2 * 1000**-0.05 * math.exp(sigma**2 / 2)
    assert spread.mean() == pytest.approx(mean, rel=5 * sigma / math.sqrt(80_000))
    assert np.log(spread).std() == pytest.approx(sigma, rel=0.02)


def test_stuck_cells_have_the_stated_shares() -> None:
    cells = disturbed(Noise(stuck_off=0.03, stuck_on=0.01), 2)
    assert set(np.unique(cells)) == {0, 2, L}
    assert (cells == 0).mean() == pytest.approx(0.03, abs=5 * math.sqrt(0.03 / 80_000))
    assert (cells == L).mean() == pytest.approx(0.01, abs=5 * math.sqrt(0.01 / 80_000))


def test_empty_cells_are_stuck_at_most() -> None:
    noise = Noise(programming=0.1, drift=10, drift_nu=0.1, stuck_on=0.01)
    cells = disturbed(noise, 0, occupied=False)
    assert set(np.unique(cells)) == {0, L}


def test_stuck_cells_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights (1 2; 3 0), draws (.9 .1; .9 .3), below .2 off, below .4 on: cells (1 0; 3 3).

    Inputs (1, 2) then give 1 + 6 and 0 + 6.
    """
    hardware = small_hardware(rows=2, cols=4, weight__bits=2, weight__signed="none", cell__bits=2, input__bits=2)
    problem = small_problem([[(2, 2, "dense")]], hardware)
    draws = np.array([[0.9, 0.1, 0.9, 0.9], [0.9, 0.3, 0.9, 0.9]], dtype=np.float32)
    monkeypatch.setattr("cimsolve.judge.simulate.noise._uniform", lambda *_: draws)
    # Unsigned weights are scaled so that the largest is 3.
    weights = {"s0.0": np.array([[1.0, 2.0], [3.0, 0.0]])}
    simulator = ArraySimulator(
        problem, *scheduled(problem, tiles(problem)), weights=weights, noise=Noise(stuck_off=0.2, stuck_on=0.2)
    )
    assert simulator.integers(0, np.array([[1, 2]])).tolist() == [[7, 6]]


def test_all_cells_stuck() -> None:
    problem = small_problem([[(2, 2, "dense")]], small_hardware(weight__bits=2, weight__signed="none", cell__bits=2))
    tables = scheduled(problem, tiles(problem))
    values = np.array([[1, 2]])
    assert ArraySimulator(problem, *tables, noise=Noise(stuck_on=1)).integers(0, values).tolist() == [[9, 9]]
    assert ArraySimulator(problem, *tables, noise=Noise(stuck_off=1)).integers(0, values).tolist() == [[0, 0]]


def test_stuck_empty_cells_are_driven_by_the_rows_of_other_blocks() -> None:
    """Two blocks of 2 x 2, every cell on at 3: alone a column sums the two inputs of its block.

    On a diagonal, fired together, it sums all four: 9 in the low phase (1, 3 and 1), 6 in the high one. Converters
    of 3 bits, enough for two rows, clip the 9 to 7.
    """
    hardware = small_hardware(rows=4, cols=4, weight__bits=2, weight__signed="none", cell__bits=2, input__bits=2)
    problem = small_problem([[(4, 2, "2,2,1")]], hardware)
    pieces = tiles(problem)
    of_r = pieces.factor == 0
    assert (of_r.sum(), pieces.rows[0], pieces.cols[0]) == (2, 2, 2)
    values, noise = np.array([[1, 2, 3, 1]]), Noise(stuck_on=1)
    alone = ArraySimulator(problem, *scheduled(problem, pieces), noise=noise)
    assert alone.integers(0, values).tolist() == [[9, 9, 12, 12]]
    array = np.where(of_r, 0, np.arange(len(pieces)))
    corner = np.where(of_r, 2 * pieces.block, 0)
    tables = scheduled(problem, placed(pieces, array, corner, corner), array)
    for clips, sum_of_phases in ((True, 7 + 2 * 6), (False, 9 + 2 * 6)):
        diagonal = ArraySimulator(problem, *tables, noise=noise, clips=clips)
        assert diagonal.integers(0, values).tolist() == [[sum_of_phases] * 4]


# What a column makes of it


def column_problem(rows: int, outputs: int, **changes: Any) -> Problem:
    changes = {"weight__bits": 4, "weight__signed": "none", "cell__bits": 2, "input__bits": 3, **changes}
    columns = 2 * outputs * (2 if changes["weight__signed"] == "differential" else 1)
    hardware = small_hardware(rows=rows, cols=columns, adc__per_array=columns, **changes)
    return small_problem([[(rows, outputs, "dense")]], hardware)


WEIGHT_10 = 10 / 15
"""Of the largest, 15: integer 10, which is 2 in either slice of two bits."""


def errors(problem: Problem, noise: Noise, values: Any, **options: Any) -> Any:
    """What noise adds to outputs of weights 10, converters neither rounding nor clipping; (tokens, outputs)."""
    factor = problem.workload.factors[0]
    weights = np.full((factor.block_rows, factor.block_cols), WEIGHT_10)
    weights[0, 0] = 1.0  # sets the scale
    tables = scheduled(problem, tiles(problem))
    options = {"weights": {"s0.0": weights}, "rounds": False, "clips": False, **options}
    exact = ArraySimulator(problem, *tables, **options).integers(0, values)
    return ArraySimulator(problem, *tables, noise=noise, **options).integers(0, values) - exact


def test_programming_noise_of_an_output() -> None:
    """Var y = (s L)^2 * sum of squared column factors (1 and 4) * sum of squared inputs."""
    x = np.array([[7, 1, 0, 5]])
    found = errors(column_problem(4, 4000), Noise(programming=0.02), x)
    near(found, 0.0, 0.02 * L * math.sqrt((1 + 16) * (49 + 1 + 25)))


def test_read_noise_of_an_output() -> None:
    """Each phase is a read of its own: Var y = (s L)^2 * (1 + 16) * sum over phases p and driven rows of 4^p."""
    x = np.array([[7, 1, 0, 5]] * 20)
    found = errors(column_problem(4, 500), Noise(read=0.02), x)
    near(found, 0.0, 0.02 * L * math.sqrt((1 + 16) * (21 + 1 + 0 + 17)))
    # Fresh at every call, unlike programming noise.
    same = errors(column_problem(4, 500), Noise(programming=0.02), x)
    assert np.abs(same - same[0]).max() < 1e-3
    assert np.abs(found - found[0]).max() > 0.1


def test_read_noise_of_a_subtracted_pair_is_that_of_two_cells() -> None:
    x = np.array([[1, 1, 1, 1]] * 20)
    problem = column_problem(4, 500, weight__signed="differential", input__bits=1)
    apart = errors(problem, Noise(read=0.02), x)
    subtracted = errors(problem, Noise(read=0.02), x, pairs="subtracted")
    near(apart, 0.0, 0.02 * L * math.sqrt(2 * (1 + 16) * 4))
    near(subtracted, 0.0, 0.02 * L * math.sqrt(2 * (1 + 16) * 4))


def test_converter_offset_of_an_output() -> None:
    """The same in every phase: 1 + 2 + 4 = 7 times, in either slice; one converter a column here."""
    found = errors(column_problem(4, 4000), Noise(adc_offset=0.5), np.zeros((1, 4), dtype=np.int64))
    near(found, 0.0, 0.5 * 7 * math.sqrt(1 + 16))


def test_converter_gain_of_an_output() -> None:
    """Each slice's sum of 2 * (7 + 1 + 0 + 5) is off by its converter's gain."""
    found = errors(column_problem(4, 4000), Noise(adc_gain=0.02), np.array([[7, 1, 0, 5]]))
    near(found[:, 1:], 0.0, 0.02 * 2 * 13 * math.sqrt(1 + 16))


@pytest.mark.parametrize(("wiring", "same"), [("interleaved", [0, 4, 8]), ("adjacent", [0, 1, 2])])
def test_columns_of_one_converter_share_its_offset(wiring: str, same: list[int]) -> None:
    """Four converters for 16 columns of one cell a weight."""
    hardware = small_hardware(
        rows=4, cols=16, weight__bits=2, weight__signed="none", cell__bits=2, adc__wiring=wiring, adc__per_array=4
    )
    problem = small_problem([[(4, 16, "dense")]], hardware)
    simulator = ArraySimulator(
        problem, *scheduled(problem, tiles(problem)), noise=Noise(adc_offset=0.5), rounds=False, clips=False
    )
    found = simulator.integers(0, np.zeros((1, 4), dtype=np.int64))[0]
    assert len(np.unique(found)) == 4
    assert len(np.unique(found[same])) == 1


def test_noise_below_half_a_level_is_rounded_away() -> None:
    """Lossless converters have a step of one level: a column off by less than half keeps its code."""
    problem = column_problem(4, 50)
    found = errors(problem, Noise(programming=0.001), np.array([[7, 1, 0, 5]]), rounds=True, clips=True)
    assert (found == 0).all()


# Seeds


def test_draws_depend_on_seed_effect_and_array_alone() -> None:
    noise = Noise(programming=0.1, stuck_on=0.1)
    assert (disturbed(noise, 2) == disturbed(noise, 2)).all()
    assert (disturbed(noise, 2) != disturbed(noise, 2, seed=1)).any()
    assert (disturbed(noise, 2)[0] != disturbed(noise, 2)[1]).any()
    levels, full = np.full((1, 200, 200), 2, dtype=np.uint8), np.ones((1, 200, 200), dtype=np.bool_)
    assert (disturb(noise, 0, np.array([9]), levels, full, L)[0] == disturbed(noise, 2)[1]).all()
    gain, offset = converter_errors(Noise(adc_gain=0.1, adc_offset=0.2), 0, np.array([9]), 8)
    both = converter_errors(Noise(adc_gain=0.1, adc_offset=0.2), 0, np.array([4, 9]), 8)
    assert (both[0][1] == gain[0]).all()
    assert (both[1][1] == offset[0]).all()


def test_equal_seeds_give_equal_outputs_whatever_else_is_simulated() -> None:
    problem = small_problem(CHAIN)
    tables = scheduled(problem, shelves(problem, tiles(problem)))
    noise = Noise(programming=0.1, read=0.05, stuck_off=0.1, adc_offset=0.3)
    x = np.random.default_rng(0).normal(size=(5, 24))
    first, again, alone, other = (
        ArraySimulator(problem, *tables, noise=noise, **options).linear("s1.0", x)
        for options in ({"seed": 1}, {"seed": 1}, {"seed": 1, "layers": [1]}, {"seed": 2})
    )
    assert first.tolist() == again.tolist() == alone.tolist()
    assert first.tolist() != other.tolist()


def test_noise_that_is_off_changes_nothing() -> None:
    problem = small_problem(CHAIN)
    tables = scheduled(problem, shelves(problem, tiles(problem)))
    x = np.random.default_rng(0).normal(size=(5, 16))
    plain, off = (ArraySimulator(problem, *tables, **o).linear("s0.0", x) for o in ({}, {"noise": Noise()}))
    assert plain.tolist() == off.tolist()
    # Read noise of no size takes the noisy path and must give the same.
    tiny = ArraySimulator(problem, *tables, noise=Noise(read=1e-30)).linear("s0.0", x)
    assert plain.tolist() == tiny.tolist()


# Studies


def test_a_study_tells_what_takes_the_signal() -> None:
    problem = small_problem(CHAIN, small_hardware(adc__bits_max=5, adc__lossy_allowed=True))
    tables = scheduled(problem, tiles(problem))
    found = study(problem, *tables, vectors=20, noise=Noise(programming=0.05, stuck_off=0.02, stuck_on=0.02))
    assert list(found.stages) == [TOGETHER, ROUNDING, CLIPPING, "programming", "stuck"]
    assert [stage.name for stage in found.stages[TOGETHER]] == ["s0.R", "s0.L", "s1"]
    assert not found.lossless
    assert found.overall(CLIPPING).mismatches == 0
    for effect in (ROUNDING, "programming", "stuck"):
        assert 0 < found.overall(effect).relative_error < math.inf
        assert found.overall(effect).relative_error < found.overall(TOGETHER).relative_error
    worst = found.worst_stage()
    assert worst.deviation.snr_db == min(stage.deviation.snr_db for stage in found.stages[TOGETHER])


def test_a_lossless_study_loses_nothing() -> None:
    problem = small_problem(CHAIN)
    found = study(problem, *scheduled(problem, tiles(problem)), vectors=3)
    assert found.lossless
    assert all(found.overall(effect).mismatches == 0 for effect in found.stages)
    assert found.overall().snr_db == math.inf


def test_more_noise_loses_more() -> None:
    problem = small_problem(CHAIN)
    tables = scheduled(problem, tiles(problem))
    found = [study(problem, *tables, vectors=20, noise=Noise(programming=s)).overall() for s in (0.02, 0.05, 0.2)]
    assert found[0].relative_error < found[1].relative_error < found[2].relative_error


def test_calibrated_studies_clip_and_round() -> None:
    problem = small_problem(CHAIN)
    tables = scheduled(problem, tiles(problem))
    full, calibrated = (
        study(problem, *tables, vectors=40, adc_bits_max=3, adc_range=each) for each in ("full", "calibrated")
    )
    assert full.overall(CLIPPING).mismatches == 0
    assert calibrated.overall(ROUNDING).relative_error < full.overall(ROUNDING).relative_error


def test_studies_count_their_progress() -> None:
    problem = small_problem(CHAIN)
    seen: list[tuple[int, int]] = []
    study(problem, *scheduled(problem, tiles(problem)), progress=lambda *at: seen.append(at))
    assert seen[-1] == (9, 9)  # three runs of three linears
    assert seen == sorted(seen)


# Values


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"programming": -0.1}, "programming = -0.1: expected a number from 0 to 10"),
        ({"read": float("nan")}, "read = nan"),
        ({"stuck_on": 1.5}, "stuck_on = 1.5: expected a number from 0 to 1"),
        ({"stuck_on": 0.6, "stuck_off": 0.6}, "expected 1 or less in all"),
        ({"stuck": 0.1, "stuck_on": 0.1}, "expected stuck alone"),
        ({"drift": 0.5, "drift_nu": 0.1}, "drift = 0.5: expected a number from 1"),
        ({"drift": 100}, "expected both"),
        ({"drift_nu": 0.1}, "expected both"),
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        noise_from(values)


def test_stuck_is_half_off_half_on() -> None:
    assert noise_from({"stuck": 0.01}) == Noise(stuck_off=0.005, stuck_on=0.005)


def test_every_field_belongs_to_one_effect() -> None:
    named = [field for fields in EFFECTS.values() for field in fields]
    assert sorted(named) == sorted(Noise.__dataclass_fields__)
