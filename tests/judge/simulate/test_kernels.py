"""The compiled kernel beside numpy: the same numbers to the last bit, and numpy wherever it cannot be taken."""

from __future__ import annotations

import sys
from typing import Any

import numba.core.caching
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsolve.chip.read import load_hardware
from cimsolve.errors import InputError
from cimsolve.judge.simulate import ArraySimulator, Noise, bitplanes, compiled, study
from cimsolve.judge.simulate.bitplanes import BitPlanes
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Pieces
from cimsolve.study.solving import solve
from makers.hardware_specs import FLAT
from makers.small_arrays import (
    CHAIN,
    build,
    drawn_converters,
    drawn_hardware,
    drawn_pieces,
    drawn_shape,
    scheduled,
    shelves,
    small_hardware,
    small_problem,
    tiles,
)


def both(problem: Problem, pieces: Pieces, **options: Any) -> tuple[ArraySimulator, ArraySimulator]:
    return build(problem, pieces, kernel="numpy", **options), build(problem, pieces, kernel="numba", **options)


def assert_same(plain: ArraySimulator, fast: ArraySimulator, tokens: int, seed: int = 0) -> None:
    """Every factor on random inputs, calibrated first where that is asked for."""
    random = np.random.default_rng(seed)
    bits = plain.problem.hardware.input.bits
    for name in plain.linears:
        for factor in plain.factors_of(name):
            values = random.integers(0, 1 << bits, (tokens, factor.blocks * factor.block_rows))
            if plain.calibrates:
                for each in (plain, fast):
                    each.calibrate_factor(factor.id, values, 0.9)
                assert plain.range_shares(factor.id) == fast.range_shares(factor.id)
            assert plain.integers(factor.id, values).tolist() == fast.integers(factor.id, values).tolist()
    assert plain.kernels == {"numpy"}


@settings(max_examples=30)
@given(st.data())
def test_kernels_agree(data: st.DataObject) -> None:
    """All encodings, cell and phase widths, converters and readings of a pair; blocks that share rows or do not."""
    draw = data.draw
    hardware = drawn_hardware(draw, rows_max=150, adc__bits_rule=draw(st.sampled_from(["lossless", "log2_rows"])))
    k, rows = draw(st.integers(1, 3)), draw(st.integers(1, 140))
    problem = small_problem([[drawn_shape(draw, k, rows, 3, 5)]], hardware)
    pieces = drawn_pieces(draw, problem, rows_max=150)
    options = drawn_converters(draw, hardware) | {
        "adc_range": draw(st.sampled_from(["full", "calibrated"])),
        "rounds": draw(st.sampled_from([True, True, True, False])),
        "clips": draw(st.sampled_from([True, True, True, False])),
    }
    plain, fast = both(problem, pieces, **options)
    assert_same(plain, fast, draw(st.sampled_from([1, 40])))
    assert fast.kernels == {"numba"} or not options["rounds"]


@pytest.mark.parametrize("strategy", ["linear", "sparsemap", "densemap", "spread"])
@pytest.mark.parametrize("name", FLAT)
def test_kernels_agree_on_every_shipped_spec(strategy: str, name: str) -> None:
    hardware = load_hardware(name)
    shapes = [[(64, 64, "8,8,1"), (64, 64, "8,8,1")], [(192, 32, "2,8,2")]]
    solution = solve(small_problem(shapes, hardware), strategy)
    dense = [[(n_in, n_out, "dense") for n_in, n_out, _ in step] for step in shapes]
    question = small_problem(dense if strategy == "linear" else shapes, hardware)
    plain, fast = (
        ArraySimulator(question, solution.pieces, solution.activations, kernel=kernel)  # type: ignore[arg-type]
        for kernel in ("numpy", "numba")
    )
    assert_same(plain, fast, 17)
    # 8-bit digits by 8-bit cells are 64 pairs of bits: a product of floats is the better way.
    assert fast.kernels == ({"numpy"} if name == "pcm256" else {"numba"})


@pytest.mark.parametrize("rows", [31, 32, 33, 127, 128, 129, 161])
@pytest.mark.parametrize("tokens", [1, 31, 32, 33, 300])
def test_rows_and_tokens_at_the_edges_of_words_and_batches(rows: int, tokens: int) -> None:
    """Words hold 32 rows and are taken four at a time; 300 tokens are more than one batch."""
    problem = small_problem([[(rows, 3, "dense")]], small_hardware(rows=256, input__bits=8))
    assert_same(*both(problem, tiles(problem)), tokens)
    assert_same(*both(problem, tiles(problem), pairs="subtracted", adc_bits_max=3), tokens)


@pytest.mark.parametrize("tokens", [1, 40, 300])
@pytest.mark.parametrize("options", [{}, {"adc_bits_max": 3}, {"pairs": "subtracted", "adc_bits_max": 3}])
def test_windows_driven_alike_and_otherwise(tokens: int, options: dict[str, Any]) -> None:
    """Rows are cut into 32, 32 and 6; the 1200 physical columns of each cut are windows of the same inputs."""
    problem = small_problem([[(70, 300, "dense")]], small_hardware(cols=256))
    plain, fast = both(problem, tiles(problem), **options)
    assert sum(len(group.windows) for group in fast._groups[0]) == 9
    assert_same(plain, fast, tokens)


def test_wide_inputs_and_outputs_of_many_windows() -> None:
    """16-bit inputs: sums over 185 rows pass 2^24 in all phases together, and numpy holds them in float64."""
    hardware = small_hardware(rows=256, cols=64, input__bits=16, weight__bits=2, weight__signed="none", cell__bits=2)
    problem = small_problem([[(200, 5, "dense")]], hardware)
    plain, fast = both(problem, tiles(problem, 185, 2))
    assert {str(group.operand.cells.dtype) for group in plain._groups[0]} == {"float32", "float64"}
    assert_same(plain, fast, 40)
    assert fast.kernels == {"numba"}
    plain, fast = both(problem, tiles(problem, 185, 2), adc_bits_max=6)
    assert_same(plain, fast, 40)
    assert fast.kernels == {"numpy"}  # some are rounded in float64


def test_numbers_beyond_32_bits_are_left_to_floats() -> None:
    """200 rows of cells at 255 driven by 65535 in 16 phases: 200 * 255 * 65535 = 3.3e9, above 2^31."""
    changes = {"weight__bits": 8, "weight__signed": "none", "cell__bits": 8, "input__bits": 16}
    hardware = small_hardware(rows=256, adc__lossy_allowed=True, **changes)
    problem = small_problem([[(200, 3, "dense")]], hardware)
    options: dict[str, Any] = {"weights": {"s0.0": np.ones((200, 3))}, "rounds": False, "clips": False}
    simulator = build(problem, tiles(problem), kernel="numba", **options)
    assert (simulator.integers(0, np.full((20, 200), 65535)) == 200 * 255 * 65535).all()
    assert simulator.kernels == {"numpy"}


def test_differences_of_wide_cells_take_nine_bits() -> None:
    """8-bit weights in one cell each way: differences from -255 to 255."""
    problem = small_problem([[(40, 12, "dense")]], small_hardware(rows=64, weight__bits=8, cell__bits=8))
    plain, fast = both(problem, tiles(problem), pairs="subtracted")
    assert_same(plain, fast, 20)
    assert fast.kernels == {"numba"}
    assert fast._planes[0][0].words.shape[2] == 9


def test_bit_planes_by_hand() -> None:
    """Cells -2, 0, 3 over 33 rows: 2 is taken off, so 0, 2, 5 in three planes; row 32 opens the second word.

    A column of ones has one plane, one of zeros none.
    """
    cells = np.full((1, 3, 33), -2.0, dtype=np.float32)
    cells[0, 0, 1], cells[0, 0, 31], cells[0, 0, 32] = 0, 3, 3
    cells[0, 1], cells[0, 2] = 1, 0
    found = BitPlanes.of(cells)
    assert found.base.tolist() == [[-2, 0, 0]]
    assert found.depth.tolist() == [[3, 1, 0]]
    # 2 = 0b010 in row 1; 5 = 0b101 in rows 31 and 32.
    assert found.words[0, 0].tolist() == [[1 << 31, 1], [1 << 1, 0], [1 << 31, 1]]
    assert found.words[0, 1].tolist() == [[(1 << 32) - 1, 1], [0, 0], [0, 0]]
    assert not found.words[0, 2].any()


def test_a_clipped_and_a_rounded_sum_by_hand() -> None:
    """Four rows of weight 3, unsigned, all driven by ones: F = 12. Two bits over F have a step of 4.

    One, two, three, four rows give 3, 6, 9, 12: codes 1, 2, 2, 3 (0.75, 1.5, 2.25, 3, halves to even).
    """
    hardware = small_hardware(weight__bits=2, weight__signed="none", cell__bits=2, input__bits=1)
    problem = small_problem([[(4, 1, "dense")]], hardware)
    values = np.tril(np.ones((4, 4), dtype=np.int64))
    options: dict[str, Any] = {"weights": {"s0.0": np.ones((4, 1))}, "adc_bits_max": 2, "kernel": "numba"}
    simulator = build(problem, tiles(problem), **options)
    assert simulator.integers(0, values)[:, 0].tolist() == [4, 8, 8, 12]
    # A range of a quarter of F: a step of 1, clipped at 3.
    simulator = build(problem, tiles(problem), adc_range="calibrated", **options)
    simulator.calibrate_factor(0, values[:1])
    assert simulator.range_shares(0) == (0.25,)
    assert simulator.integers(0, values)[:, 0].tolist() == [3, 3, 3, 3]
    assert simulator.kernels == {"numba"}


@pytest.mark.parametrize(
    "noise",
    [Noise(read=0.1), Noise(programming=0.1), Noise(stuck_on=0.1), Noise(adc_gain=0.1), Noise(adc_offset=0.5)],
    ids=lambda noise: next(noise.alone())[0],
)
def test_sums_that_are_not_whole_are_left_to_numpy(noise: Noise) -> None:
    problem = small_problem(CHAIN, small_hardware(adc__per_array=3))
    pieces = shelves(problem, tiles(problem, 5, 3))
    for pairs in ("converted", "subtracted"):
        plain, fast = both(problem, pieces, noise=noise, pairs=pairs, adc_bits_max=3)
        assert_same(plain, fast, 20)
        assert fast.kernels == {"numpy"}


def test_more_pairs_of_bits_than_are_counted_are_left_to_numpy() -> None:
    """6-bit digits by 4-bit cells: 24 pairs of bits."""
    hardware = small_hardware(input__dac_bits=6, cell__bits=4, adc__lossy_allowed=True, weight__signed="differential")
    problem = small_problem(CHAIN, hardware)
    plain, fast = both(problem, tiles(problem, 5, 3))
    assert_same(plain, fast, 20)
    assert fast.kernels == {"numpy"}


def test_sums_that_are_clipped_but_not_rounded_are_no_codes() -> None:
    """They are counted bit by bit to calibrate, before they are clipped, and converted in numpy."""
    problem = small_problem([[(30, 4, "dense")]])
    plain, fast = both(problem, tiles(problem), adc_bits_max=2, adc_range="calibrated", rounds=False)
    assert_same(plain, fast, 20)
    assert fast.kernels == {"numba", "numpy"}


def test_auto_loads_numba_where_conversions_pay_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """16 inputs, 6 phases, 4 blocks of 4 columns of 4-bit weights in pairs of two slices: 384 conversions a token."""
    problem = small_problem(CHAIN)
    values = np.ones((2, 16), dtype=np.int64)
    monkeypatch.delitem(sys.modules, compiled.__name__)
    monkeypatch.setattr(bitplanes, "WORTH_LOADING", 3 * 384 + 1)
    simulator = build(problem, tiles(problem))
    simulator.integers(0, values)
    assert simulator.kernels == {"numpy"}
    simulator.integers(0, values)
    assert simulator.kernels == {"numpy", "numba"}
    # Once loaded it costs nothing more.
    monkeypatch.setitem(sys.modules, compiled.__name__, compiled)
    simulator = build(problem, tiles(problem))
    simulator.integers(0, values[:1])
    assert simulator.kernels == {"numba"}


def test_without_numba_numpy_runs_and_numba_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = small_problem(CHAIN)
    monkeypatch.delitem(sys.modules, compiled.__name__)
    monkeypatch.setattr(bitplanes, "WORTH_LOADING", 0)
    monkeypatch.setitem(sys.modules, "numba", None)
    simulator = build(problem, tiles(problem))
    simulator.integers(0, np.ones((2, 16), dtype=np.int64))
    assert simulator.kernels == {"numpy"}
    with pytest.raises(InputError, match=r"kernel = 'numba': .*numba.*; pip install 'cimsolve\[fast\]'"):
        build(problem, tiles(problem), kernel="numba")


def test_no_place_for_compiled_code_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither no directory at all nor a full disk."""

    def double(into: Any) -> None:
        for index in range(len(into)):
            into[index] *= 2

    def full(*arguments: Any) -> None:
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(numba.core.caching.CacheImpl, "_locator_classes", [])
        without = compiled.entry(double)
    with monkeypatch.context() as patch:
        patch.setattr(numba.core.caching.FunctionCache, "save_overload", full)
        values = np.arange(3)
        compiled.entry(double)(values)
        without(values)
        assert values.tolist() == [0, 4, 8]


def test_a_study_says_which_kernels_ran() -> None:
    """Converters alone are whole numbers, read noise is not."""
    problem = small_problem(CHAIN)
    tables = scheduled(problem, shelves(problem, tiles(problem)))
    assert study(problem, *tables, vectors=2, kernel="numpy").kernels == ("numpy",)
    fast = study(problem, *tables, vectors=2, kernel="numba")
    assert fast.kernels == ("numba",)
    assert fast.overall().mismatches == 0
    assert study(problem, *tables, vectors=2, kernel="numba", noise=Noise(read=0.1)).kernels == ("numba", "numpy")
