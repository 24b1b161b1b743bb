"""Converters that lose something, and the parts that the simulator is made of."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cimsolve.judge.simulate.converters import Converters
from cimsolve.judge.simulate.crossbar import first_writers
from cimsolve.judge.simulate.encoding import Encoding
from makers.small_arrays import CHAIN, placed, run, shelves, small_hardware, small_problem, tiles


@pytest.mark.parametrize("signed", ["differential", "offset"])
def test_lossy_rule_passes_with_its_error_reported(signed: str) -> None:
    problem = small_problem(CHAIN, small_hardware(adc__bits_rule="log2_rows", weight__signed=signed))
    report = run(problem, shelves(problem, tiles(problem)), vectors=4)
    assert not report.lossless_expected
    assert not report.exact
    assert report.ideal.mismatches == 0
    assert report.passed
    assert 0 < report.relative_error < math.inf
    assert report.snr_db == pytest.approx(-20 * math.log10(report.relative_error))
    assert report.first_mismatch is not None


def test_bits_max_reached_loses_and_mapping_is_still_checked() -> None:
    hardware = small_hardware(adc__bits_max=4, adc__lossy_allowed=True)
    problem = small_problem([[(8, 4, "dense"), (8, 4, "dense")]], hardware)
    pieces = placed(tiles(problem), [0, 0], [0, 8], [0, 0])
    assert run(problem, pieces).passed
    assert not run(problem, pieces, [0, 0]).passed


def test_more_bits_lose_less() -> None:
    errors = []
    for bits in (4, 5, 6, 7):
        hardware = small_hardware(adc__bits_max=bits, adc__lossy_allowed=True)
        problem = small_problem([[(32, 32, "dense")]], hardware)
        errors.append(run(problem, tiles(problem)).relative_error)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == 0  # 32 rows of 2-bit cells: 97 levels, 7 bits


def test_converters_follow_the_stated_model() -> None:
    hardware = small_hardware(adc__bits_rule="log2_rows", cell__bits=1, input__dac_bits=1)
    converters = Converters.of(hardware, np.array([16, 16, 16]), np.array([4, 5, 2]))
    assert converters.exact.tolist() == [False, True, False]
    sums = np.arange(17.0)
    for activation, step, top in [(0, 16 / 15, 15), (1, 1.0, 31), (2, 16 / 15, 3)]:
        got = converters.convert(sums.copy()[None, None, :], np.array([activation]), ideal=False)[0, 0]
        assert got == pytest.approx([min(round(s / step), top) * step for s in sums.tolist()])
    ideal = converters.convert(sums.copy()[None, None, :], np.array([0]), ideal=True)[0, 0]
    assert ideal.tolist() == sums.tolist()


# Parts


@pytest.mark.parametrize("signed", ["differential", "offset", "none"])
@pytest.mark.parametrize(("bits", "cell_bits"), [(1, 1), (4, 4), (5, 2), (8, 3), (12, 12)])
def test_cells_stand_for_their_weight(signed: str, bits: int, cell_bits: int) -> None:
    encoding = Encoding(bits, cell_bits, signed)
    weights = np.arange(encoding.low, encoding.high + 1)
    cells = encoding.cells(weights.astype(encoding.weight_dtype))
    assert cells.shape == (len(weights), encoding.columns)
    assert cells.max() < 2**cell_bits
    assert (cells @ encoding.column_factors() - encoding.offset).tolist() == weights.tolist()


def test_shared_columns_count_once() -> None:
    counts = first_writers(
        np.array([0, 0, 0, 1]), np.array([3, 3, 3, 3]), np.array([2, 2, 1, 2]), np.array([7, 7, 9, 7])
    )
    assert counts.tolist() == [True, True, False, False, True, True, True]
