"""The simulator: legal mappings are exact, whatever the encoding, the cuts and the layout."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from makers.small_arrays import (
    CHAIN,
    drawn_hardware,
    drawn_pieces,
    drawn_shape,
    placed,
    run,
    shelves,
    small_hardware,
    small_problem,
    tiles,
)


@pytest.mark.parametrize("signed", ["differential", "offset", "none"])
@pytest.mark.parametrize(
    ("weight_bits", "cell_bits", "input_bits", "dac_bits"),
    [(8, 2, 8, 1), (4, 4, 6, 2), (5, 2, 5, 2), (1, 1, 1, 1), (3, 3, 4, 3), (8, 1, 8, 1)],
)
def test_whole_blocks_are_exact(signed: str, weight_bits: int, cell_bits: int, input_bits: int, dac_bits: int) -> None:
    hardware = small_hardware(
        rows=24,
        cols=400,
        weight__bits=weight_bits,
        weight__signed=signed,
        cell__bits=cell_bits,
        input__bits=input_bits,
        input__dac_bits=dac_bits,
    )
    problem = small_problem(CHAIN, hardware)
    report = run(problem, tiles(problem), vectors=3)
    assert report.lossless_expected
    assert report.exact
    assert report.passed
    assert report.first_mismatch is None
    assert report.snr_db == math.inf
    assert report.relative_error == 0
    assert report.outputs == 3 * (16 + 16 + 16 + 24 + 12)
    assert report.activations == len(tiles(problem))
    assert [stage.name for stage in report.stages] == ["s0.R", "s0.L", "s1"]


@pytest.mark.parametrize("structure", ["dense", "4,4,1", "8,8,1", "2,4,2", "4,2,3", "1,1,5", "8,1,1", "1,8,2"])
@pytest.mark.parametrize("cut", [(10**6, 10**6), (10**6, 1), (5, 3), (1, 1)])
@pytest.mark.parametrize("packed", [False, True])
def test_structures_and_cuts_are_exact(structure: str, cut: tuple[int, int], packed: bool) -> None:
    problem = small_problem([[(24, 40, structure)], [(40, 24, structure)]])
    pieces = tiles(problem, *cut)
    report = run(problem, shelves(problem, pieces) if packed else pieces, vectors=2)
    assert report.exact, report.first_mismatch


def test_diagonal_fired_together_is_exact() -> None:
    """Four blocks of R (8 rows x 4 columns) on one array, four of L (4 x 8) on another."""
    problem = small_problem([[(32, 32, "4,4,1")]])
    pieces = tiles(problem)
    corner = np.arange(8) % 4
    array = np.arange(8) // 4
    diagonal = placed(pieces, array, corner * pieces.rows, corner * pieces.cols)
    report = run(problem, diagonal, array)
    assert report.activations == 2
    assert report.exact


def test_stacked_pieces_share_one_conversion() -> None:
    problem = small_problem([[(24, 8, "dense")]])
    pieces = tiles(problem, rows=8)
    # Upside down, with gaps: three pieces of the same columns, other rows.
    stacked = placed(pieces, [0, 0, 0], [20, 10, 0], [3, 3, 3])
    assert run(problem, stacked, [0, 0, 0]).exact
    assert run(problem, stacked).exact


@pytest.mark.parametrize("signed", ["differential", "offset"])
def test_offset_of_stacked_pieces_is_subtracted_for_each(signed: str) -> None:
    problem = small_problem([[(24, 8, "dense")]], small_hardware(weight__signed=signed))
    pieces = placed(tiles(problem, rows=8), [0, 0, 0], [20, 10, 0], [3, 3, 3])
    assert run(problem, pieces, [0, 0, 0], vectors=2).exact


def test_neighbours_of_one_input_fired_together_are_exact() -> None:
    problem = small_problem([[(16, 12, "dense"), (16, 4, "dense")], [(16, 16, "dense")]])
    pieces = placed(tiles(problem), [0, 0, 0], [0, 0, 16], [0, 12, 0])
    assert run(problem, pieces, [0, 0, 1]).exact


def test_neighbours_of_different_block_sizes_share_rows_of_one_input() -> None:
    """Blocks of 4 and of 8 rows of one vector: rows 0-7 drive elements 8-15 for all of them."""
    problem = small_problem([[(16, 16, "4,4,1"), (16, 16, "2,2,1")]])
    pieces = tiles(problem)
    of_input = [i for i in range(len(pieces)) if problem.workload.factors[int(pieces.factor[i])].kind == "R"]
    array, row, col = pieces.array.copy(), pieces.array_row.copy(), pieces.array_col.copy()
    fires = np.arange(len(pieces))
    upper = [i for i in of_input if pieces.block[i] * pieces.rows[i] >= 8]
    assert len(upper) == 3
    at = 0
    for i in upper:
        array[i], row[i], col[i] = 100, pieces.block[i] * pieces.rows[i] - 8, at
        at += int(pieces.cols[i])
    fires[upper] = 1000
    assert run(problem, placed(pieces, array, row, col), fires).exact


def test_one_layer_lies_among_others() -> None:
    problem = small_problem([[(16, 16, "4,4,1")], [(16, 16, "2,2,2")], [(16, 8, "dense")]])
    pieces = shelves(problem, tiles(problem))
    for layer in range(3):
        report = run(problem, pieces, layers=[layer])
        assert report.layers == (layer,)
        assert report.exact
    assert run(problem, pieces, layers=[2, 0]).layers == (0, 2)
    assert run(problem, pieces).layers == (0, 1, 2)


def test_arrays_in_turn_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = small_problem(CHAIN, small_hardware(adc__bits_rule="log2_rows"))
    pieces = shelves(problem, tiles(problem, cols=1))
    whole = run(problem, pieces)
    assert whole.passed
    monkeypatch.setattr("cimsolve.judge.simulate.crossbar.CHUNK_CELLS", 1)
    monkeypatch.setattr("cimsolve.judge.simulate.crossbar.BATCH_NUMBERS", 1)
    monkeypatch.setattr("cimsolve.judge.simulate.token_pass.BATCH_NUMBERS", 50)
    assert run(problem, pieces).overall == whole.overall
    assert run(problem, pieces).passed


def test_equal_seeds_give_equal_reports() -> None:
    hardware = small_hardware(adc__bits_rule="log2_rows")
    problem = small_problem(CHAIN, hardware)
    first, again, other = (run(problem, tiles(problem), seed=seed) for seed in (1, 1, 2))
    assert first.overall == again.overall
    assert first.overall != other.overall


def test_progress_counts_activations() -> None:
    problem = small_problem(CHAIN)
    seen: list[tuple[int, int]] = []
    run(problem, tiles(problem), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (17, 17)
    assert seen == sorted(seen)


@settings(max_examples=30)
@given(st.data())
def test_random_shapes_are_exact(data: st.DataObject) -> None:
    draw = data.draw
    hardware = drawn_hardware(draw, cell_bits_max=3, dac_bits_max=2)
    steps = []
    for _ in range(draw(st.integers(1, 3))):
        k, rows = draw(st.integers(1, 4)), draw(st.integers(1, 6))
        steps.append([drawn_shape(draw, k, rows, 4, 6) for _ in range(draw(st.integers(1, 3)))])
    problem = small_problem(steps, hardware)
    pieces = drawn_pieces(draw, problem)
    report = run(problem, pieces, seed=draw(st.integers(0, 99)), vectors=draw(st.integers(1, 2)))
    assert report.lossless_expected
    assert report.exact, report.first_mismatch
