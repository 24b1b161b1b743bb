"""The simulator: legal mappings are exact, every corruption shows, and a per-cell simulator agrees."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hardware_specs import spec
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsolve.architectures import parse_model
from cimsolve.arrays import Ints
from cimsolve.errors import InputError
from cimsolve.hardware import Hardware, parse_hardware
from cimsolve.mapping import Activations, Pieces
from cimsolve.mapping import Mapping as Placement
from cimsolve.monarch import Monarch, project
from cimsolve.problem import Problem, build_problem
from cimsolve.schedule import schedule
from cimsolve.simulate import SimulationReport, simulate
from cimsolve.simulate.converters import Converters
from cimsolve.simulate.crossbar import ArrayImage, first_writers, programme
from cimsolve.simulate.encoding import Encoding
from cimsolve.simulate.firing import collect_firings
from cimsolve.simulate.operands import Operands, prepare_operands
from cimsolve.simulate.reference import compute_reference, shuffled
from cimsolve.simulate.run import TokenPass
from cimsolve.structure import Structure

Places = Sequence[int] | Ints

# Small questions and hand-made answers


def small_hardware(rows: int = 32, cols: int = 128, **changes: Any) -> Hardware:
    changes = {"adc__per_array": 4, "input__bits": 6, "weight__bits": 4, **changes}
    return parse_hardware(spec("rram256", array__rows=rows, array__cols=cols, **changes), "test")


def small_problem(steps: Sequence[Sequence[tuple[int, int, str]]], hardware: Hardware | None = None) -> Problem:
    """One step per entry, of linears (n_in, n_out, structure); the linears of step i are called s{i}.{j}."""
    described = [
        {
            "name": f"s{i}",
            "linears": [{"name": f"s{i}.{j}", "n_in": n_in, "n_out": n_out} for j, (n_in, n_out, _) in enumerate(step)],
        }
        for i, step in enumerate(steps)
    ]
    model = parse_model({"model_type": "linears", "steps": described}, "test", "test")
    structures = {
        f"s{i}.{j}": Structure.parse(text) for i, step in enumerate(steps) for j, (*_, text) in enumerate(step)
    }
    return build_problem(hardware or small_hardware(), model, structures)


def tiles(problem: Problem, rows: int = 10**6, cols: int = 10**6) -> Pieces:
    """All blocks cut into pieces of at most rows x cols, one an array."""
    found = [
        (f.id, block, row, min(rows, f.block_rows - row), col, min(cols, f.block_cols - col))
        for f in problem.workload.factors
        for block in range(f.blocks)
        for row in range(0, f.block_rows, min(rows, problem.rows_limit))
        for col in range(0, f.block_cols, min(cols, problem.weights_per_row))
    ]
    found = [
        (f, b, row, min(n, problem.rows_limit), col, min(m, problem.weights_per_row)) for f, b, row, n, col, m in found
    ]
    columns = np.array(found, dtype=np.int64).T
    nowhere = np.zeros(len(found), dtype=np.int64)
    return Pieces(*columns, np.arange(len(found)), nowhere, nowhere)


def changed(pieces: Pieces, index: int, **values: int) -> Pieces:
    """`pieces` with some fields of one piece replaced."""
    columns = {}
    for name, value in values.items():
        columns[name] = getattr(pieces, name).copy()
        columns[name][index] = value
    return replace(pieces, **columns)


def placed(pieces: Pieces, array: Places, row: Places, col: Places) -> Pieces:
    return replace(pieces, array=np.array(array), array_row=np.array(row), array_col=np.array(col))


def scheduled(problem: Problem, pieces: Pieces, fires: Places | None = None) -> tuple[Pieces, Activations]:
    chosen = np.arange(len(pieces)) if fires is None else np.asarray(fires)
    mapping, activations = schedule(problem, Placement(pieces, chosen))
    return mapping.pieces, activations


def run(problem: Problem, pieces: Pieces, fires: Places | None = None, **options: Any) -> SimulationReport:
    return simulate(problem, *scheduled(problem, pieces, fires), **options)


def shelves(problem: Problem, pieces: Pieces) -> Pieces:
    """The pieces on as few arrays as simple shelves give: full arrays, many neighbours."""
    array = row = col = height = 0
    at: list[tuple[int, int, int]] = []
    for rows, cols in zip(pieces.rows.tolist(), pieces.cols.tolist(), strict=True):
        if col + cols > problem.weights_per_row:
            row, col, height = row + height, 0, 0
        if row + rows > problem.rows:
            array, row, col, height = array + 1, 0, 0, 0
        at.append((array, row, col))
        col, height = col + cols, max(height, rows)
    return placed(pieces, *zip(*at, strict=True))


CHAIN = [[(16, 16, "4,4,1"), (16, 24, "4,4,1")], [(24, 12, "dense")]]


# Legal mappings are exact


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
    monkeypatch.setattr("cimsolve.simulate.crossbar.CHUNK_CELLS", 1)
    monkeypatch.setattr("cimsolve.simulate.crossbar.BATCH_NUMBERS", 1)
    monkeypatch.setattr("cimsolve.simulate.run.BATCH_NUMBERS", 50)
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


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_random_shapes_are_exact(data: st.DataObject) -> None:
    draw = data.draw
    signed = draw(st.sampled_from(["differential", "offset", "none"]))
    weight_bits = draw(st.integers(1, 8))
    hardware = small_hardware(
        rows=draw(st.integers(2, 24)),
        cols=draw(st.integers(16, 200)),
        weight__bits=weight_bits,
        weight__signed=signed,
        cell__bits=draw(st.integers(1, min(3, weight_bits))),
        input__bits=(input_bits := draw(st.integers(1, 8))),
        input__dac_bits=draw(st.integers(1, min(2, input_bits))),
    )
    steps = []
    for _ in range(draw(st.integers(1, 3))):
        linears = []
        k, rows = draw(st.integers(1, 4)), draw(st.integers(1, 6))
        for _ in range(draw(st.integers(1, 3))):
            blocks, cols = draw(st.integers(1, 4)), draw(st.integers(1, 6))
            rank = draw(st.integers(0, min(rows, cols)))
            linears.append((k * rows, blocks * cols, f"{k},{blocks},{rank}" if rank else "dense"))
        steps.append(linears)
    problem = small_problem(steps, hardware)
    pieces = tiles(problem, draw(st.integers(1, 12)), draw(st.integers(1, 8)))
    if draw(st.booleans()):
        pieces = shelves(problem, pieces)
    report = run(problem, pieces, seed=draw(st.integers(0, 99)), vectors=draw(st.integers(1, 2)))
    assert report.lossless_expected
    assert report.exact, report.first_mismatch


# Corruptions show


def packed_chain() -> tuple[Problem, Pieces]:
    problem = small_problem(CHAIN)
    return problem, shelves(problem, tiles(problem))


def assert_wrong(report: SimulationReport) -> None:
    assert report.lossless_expected
    assert report.mismatches > 0
    assert not report.exact
    assert not report.passed
    assert report.first_mismatch is not None
    assert report.relative_error > 0
    assert report.snr_db < math.inf


def test_overlap_shows() -> None:
    problem, pieces = packed_chain()
    same = {"array": int(pieces.array[0]), "array_row": int(pieces.array_row[0]) + 1, "array_col": 1}
    assert_wrong(run(problem, changed(pieces, 5, **same)))


def test_overlap_with_a_layer_not_simulated_shows() -> None:
    problem, pieces = packed_chain()
    last = len(pieces) - 1
    for mover, other, layer in [(last, 0, 0), (0, last, 0), (last, 0, 1), (0, last, 1)]:
        at = {name: int(getattr(pieces, name)[other]) for name in ("array", "array_row", "array_col")}
        assert_wrong(run(problem, changed(pieces, mover, **at), layers=[layer]))


def test_swapped_columns_of_unequal_pieces_show() -> None:
    problem = small_problem([[(8, 3, "dense"), (8, 5, "dense")]])
    pieces = placed(tiles(problem), [0, 0], [0, 0], [0, 3])
    assert run(problem, pieces).exact
    assert_wrong(run(problem, replace(pieces, array_col=pieces.array_col[::-1].copy())))


def test_cells_programmed_into_swapped_columns_show(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = small_problem([[(8, 4, "dense"), (8, 4, "dense")]])
    pieces = placed(tiles(problem), [0, 0], [0, 0], [0, 4])
    assert run(problem, pieces).exact

    def swapped(problem: Problem, operands: Operands, pieces: Pieces, arrays: Ints) -> ArrayImage:
        return programme(problem, operands, replace(pieces, array_col=pieces.array_col[::-1]), arrays)

    monkeypatch.setattr("cimsolve.simulate.run.programme", swapped)
    assert_wrong(run(problem, pieces))


@pytest.mark.parametrize(
    "change",
    [{"block": 1}, {"row0": 2}, {"col0": 2}, {"array": 1}, {"factor": 1}, {"rows": 1}, {"cols": 1}],
)
def test_a_piece_that_claims_other_weights_shows(change: dict[str, int]) -> None:
    problem = small_problem([[(16, 16, "4,4,1")]])
    ordered, activations = scheduled(problem, tiles(problem, rows=2, cols=2))
    assert simulate(problem, ordered, activations).exact
    assert_wrong(simulate(problem, changed(ordered, 0, **change), activations))


def test_one_bit_converters_saturate() -> None:
    problem, pieces = packed_chain()
    ordered, activations = scheduled(problem, pieces)
    lied = replace(activations, adc_bits=np.ones_like(activations.adc_bits))
    assert_wrong(simulate(problem, ordered, lied))


@pytest.mark.parametrize("bits", [0, -3, 1])
def test_too_few_bits_show_under_a_lossy_rule_too(bits: int) -> None:
    problem = small_problem(CHAIN, small_hardware(adc__bits_rule="log2_rows"))
    ordered, activations = scheduled(problem, tiles(problem))
    assert simulate(problem, ordered, activations).passed
    lied = replace(activations, adc_bits=np.full_like(activations.adc_bits, bits))
    assert not simulate(problem, ordered, lied).passed


def test_more_bits_than_needed_change_nothing() -> None:
    problem, pieces = packed_chain()
    ordered, activations = scheduled(problem, pieces)
    assert simulate(problem, ordered, replace(activations, adc_bits=activations.adc_bits + 90)).exact


def kinds(problem: Problem, pieces: Pieces, activations: Activations) -> list[str]:
    owner = activations.piece[activations.pieces_from]
    return [problem.workload.factors[int(pieces.factor[p])].kind for p in owner]


def test_reading_z_too_early_shows() -> None:
    problem, pieces = packed_chain()
    ordered, activations = scheduled(problem, pieces)
    of_kind = kinds(problem, ordered, activations)
    second = of_kind.index("L")
    last_r_end = max(int(activations.end[i]) for i, kind in enumerate(of_kind) if kind == "R")
    for begins, legal in [(last_r_end, True), (last_r_end - 1, False), (0, False), (-1, False)]:
        start = activations.start.copy()
        start[second] = begins
        report = simulate(problem, ordered, replace(activations, start=start))
        # One of the two linears of this stage may be complete one cycle before the last R firing ends.
        if legal:
            assert report.exact
        elif begins <= 0:
            assert_wrong(report)
            assert [stage.deviation.mismatches > 0 for stage in report.stages] == [False, True, False]


def test_each_missing_cycle_of_the_last_maker_shows() -> None:
    problem = small_problem([[(16, 16, "4,4,1")]])
    ordered, activations = scheduled(problem, shelves(problem, tiles(problem)))
    of_kind = kinds(problem, ordered, activations)
    last_r_end = max(int(activations.end[i]) for i, kind in enumerate(of_kind) if kind == "R")
    for begins in (last_r_end, last_r_end - 1):
        start = np.array([begins if kind == "L" else s for s, kind in zip(activations.start, of_kind, strict=True)])
        assert simulate(problem, ordered, replace(activations, start=start)).exact == (begins == last_r_end)


def test_unclean_columns_show() -> None:
    """Two pieces one above the other: fired together, each reads the other's rows as well."""
    problem = small_problem([[(8, 8, "dense"), (8, 8, "dense")]])
    pieces = placed(tiles(problem), [0, 0], [0, 8], [0, 0])
    assert run(problem, pieces).exact
    assert_wrong(run(problem, pieces, [0, 0]))


def test_unfired_cells_in_driven_rows_show() -> None:
    """A fired diagonal whose cross cells are not empty, for layers simulated or not."""
    problem = small_problem([[(8, 4, "dense"), (8, 4, "dense")], [(8, 4, "dense")]])
    pieces = placed(tiles(problem), [0, 0, 0], [0, 8, 8], [0, 4, 0])
    assert run(problem, pieces).exact
    assert_wrong(run(problem, pieces, [0, 0, 1]))
    assert_wrong(run(problem, pieces, [0, 0, 1], layers=[0]))
    assert run(problem, placed(pieces, [0, 0, 0], [0, 8, 8], [0, 4, 8]), [0, 0, 1]).exact


def test_different_inputs_on_one_row_show() -> None:
    problem = small_problem([[(8, 4, "dense")], [(8, 4, "dense")]])
    pieces = placed(tiles(problem), [0, 0], [0, 0], [0, 4])
    mapping = scheduled(problem, pieces)
    assert simulate(problem, *mapping).exact
    assert_wrong(simulate(problem, *together(*mapping)))


def together(pieces: Pieces, activations: Activations) -> tuple[Pieces, Activations]:
    """The first two activations made one."""
    a = activations
    rest = [np.concatenate([column[:1], column[2:]]) for column in (a.array, a.start, a.end, a.adc_bits)]
    bits = rest[3].copy()
    bits[0] = 40
    stops = a.pieces_to[1:]
    return pieces, Activations(*rest[:3], bits, np.concatenate([a.pieces_from[:1], a.pieces_from[2:]]), stops, a.piece)


@pytest.mark.parametrize("vector", [0, 99])
def test_all_factors_given_one_input_show(vector: int) -> None:
    problem, pieces = packed_chain()
    factors = tuple(replace(factor, input=vector) for factor in problem.workload.factors)
    lied = replace(problem, workload=replace(problem.workload, factors=factors))
    ordered, activations = scheduled(problem, pieces)
    assert_wrong(simulate(lied, ordered, activations))


def test_dropped_activation_shows() -> None:
    problem, pieces = packed_chain()
    ordered, activations = scheduled(problem, pieces)
    for gone in range(len(activations)):
        keep = np.arange(len(activations)) != gone
        fewer = Activations(
            **{
                name: getattr(activations, name)[keep]
                for name in ("array", "start", "end", "adc_bits", "pieces_from", "pieces_to")
            },
            piece=activations.piece,
        )
        assert_wrong(simulate(problem, ordered, fewer, vectors=2))


@pytest.mark.parametrize("signed", ["differential", "offset"])
@pytest.mark.parametrize("at_once", [True, False])
def test_piece_fired_twice_shows(signed: str, at_once: bool) -> None:
    problem = small_problem([[(8, 4, "dense"), (8, 4, "dense")]], small_hardware(weight__signed=signed))
    ordered, activations = scheduled(problem, tiles(problem))
    twice = replace(
        activations,
        piece=np.array([0, 0, 1] if at_once else [0, 1, 0]),
        pieces_from=np.array([0, 2] if at_once else [0, 1]),
        pieces_to=np.array([2, 3]),
        adc_bits=np.full(2, 40),
        array=np.zeros(2, dtype=np.int64) if not at_once else activations.array,
    )
    assert_wrong(simulate(problem, ordered, twice))


def test_firing_another_array_shows() -> None:
    problem = small_problem([[(8, 4, "dense")], [(8, 4, "dense")]])
    ordered, activations = scheduled(problem, tiles(problem))
    assert_wrong(simulate(problem, ordered, replace(activations, array=activations.array[::-1].copy())))


@pytest.mark.parametrize(
    "change",
    [
        {"array_row": 30},
        {"array_row": -2},
        {"array_col": 31},
        {"array_col": -1},
        {"rows": 10**12},
        {"rows": -1, "cols": -1},
        {"rows": 0},
        {"row0": -1},
        {"col0": 10**15},
        {"block": 77},
        {"factor": 99},
        {"factor": -1},
        {"array": -5},
    ],
)
def test_what_lies_outside_is_clipped_without_a_fault(change: dict[str, int]) -> None:
    problem, pieces = packed_chain()
    ordered, activations = scheduled(problem, pieces)
    assert_wrong(simulate(problem, changed(ordered, 0, **change), activations, layers=[0]))


def test_nonsense_in_activations_is_dropped_without_a_fault() -> None:
    problem, pieces = packed_chain()
    ordered, activations = scheduled(problem, pieces)
    for name, value in [("pieces_from", 10**9), ("pieces_to", -4), ("piece", 10**9), ("piece", -1)]:
        column = getattr(activations, name).copy()
        column[0] = value
        assert_wrong(simulate(problem, ordered, replace(activations, **{name: column})))
    nothing = Activations(*(np.zeros(0, dtype=np.int64) for _ in range(7)))
    report = simulate(problem, ordered, nothing)
    assert report.activations == 0
    assert_wrong(report)


# Converters that lose something


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


# Real weights


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


# A simulator of single cells, and mappings of any kind


def simulate_by_cell(
    problem: Problem,
    operands: Operands,
    pieces: Pieces,
    activations: Activations,
    shifts: Mapping[str, Any],
) -> dict[int, Ints]:
    """Everything again in plain loops, for pieces that lie inside and apart, all layers simulated."""
    hardware, encoding, factors = problem.hardware, operands.encoding, operands.workload.factors
    w, half = encoding.columns, 1 << (hardware.input.bits - 1)
    table: dict[tuple[int, int, int], int] = {}
    ids = range(len(pieces))
    at = {name: [int(v) for v in getattr(pieces, name)] for name in pieces.__dataclass_fields__}
    for p in ids:
        block = operands.weights(factors[at["factor"][p]])[at["block"][p]]
        for i in range(at["rows"][p]):
            for j in range(at["cols"][p]):
                cells = encoding.cells(block[at["row0"][p] + i, at["col0"][p] + j])
                for c in range(w):
                    table[at["array"][p], at["array_row"][p] + i, (at["array_col"][p] + j) * w + c] = int(cells[c])
    made: list[tuple[int, int, int, float]] = []  # factor, element, end, value

    def gathered(factor: int, time: float) -> Ints:
        total = np.zeros((1, factors[factor].blocks * factors[factor].block_cols))
        for f, element, end, value in made:
            if f == factor and end <= time:
                total[0, element] += value
        return total

    def vector(factor: int, time: int) -> list[int]:
        f = factors[factor]
        if f.kind != "L":
            return [int(v) for v in operands.draw(f.input)[0]]
        before = next(g for g in factors if g.linear == f.linear and g.kind == "R")
        u = [
            min(max(math.floor(round(z) / 2 ** shifts[f.linear].shift) + half, 0), 2 * half - 1)
            for z in gathered(before.id, time)[0].tolist()
        ]
        return [int(v) for v in shuffled(problem.structures[f.linear], np.array([u]))[0]]

    for a in np.argsort(activations.start, kind="stable").tolist():
        fired = activations.piece[activations.pieces_from[a] : activations.pieces_to[a]].tolist()
        drive: dict[int, int] = {}
        sums_of_inputs: dict[int, int] = {}
        stack: dict[int, int] = {}
        for p in fired:
            u = vector(at["factor"][p], int(activations.start[a]))
            base = at["block"][p] * factors[at["factor"][p]].block_rows + at["row0"][p]
            for i in range(at["rows"][p]):
                drive[at["array_row"][p] + i] = u[base + i]
            sums_of_inputs[p] = sum(u[base : base + at["rows"][p]])
            for j in range(at["cols"][p]):
                stack[at["array_col"][p] + j] = stack.get(at["array_col"][p] + j, 0) + at["rows"][p]
        n = max(stack.values())
        full = n * (2**hardware.input.dac_bits - 1) * (2**hardware.cell.bits - 1)
        claimed = int(activations.adc_bits[a])
        effective = max(claimed, int(hardware.adc_bits_used(n)))
        step = 1.0 if 2**effective - 1 >= full else full / (2**effective - 1)
        seen = set()
        for p in fired:
            f = at["factor"][p]
            for j in range(at["cols"][p]):
                element = at["block"][p] * factors[f].block_cols + at["col0"][p] + j
                value = 0.0
                if (at["array_col"][p] + j, f, element) not in seen:
                    seen.add((at["array_col"][p] + j, f, element))
                    for phase in range(hardware.input_phases):
                        for c in range(w):
                            col = (at["array_col"][p] + j) * w + c
                            total = 0
                            for row, u_row in drive.items():
                                digit = (u_row >> (phase * hardware.input.dac_bits)) % 2**hardware.input.dac_bits
                                total += digit * table.get((int(activations.array[a]), row, col), 0)
                            code = min(round(total / step), 2**claimed - 1)
                            place = 2.0 ** (phase * hardware.input.dac_bits)
                            value += code * step * place * float(encoding.column_factors()[c])
                value -= encoding.offset * sums_of_inputs[p]
                made.append((f, element, max(int(activations.end[a]), int(activations.start[a]) + 1), value))
    results = {}
    for f in factors:
        total = gathered(f.id, math.inf)
        if f.kind == "L":
            total = total - half * operands.weights(f).sum(axis=1, dtype=np.int64).reshape(1, -1)
        results[f.id] = np.rint(total).astype(np.int64)
    return results


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_agrees_with_a_simulator_of_single_cells(data: st.DataObject) -> None:
    """Any grouping, any times, claims of any bits: legal or not, both give the same numbers."""
    draw = data.draw
    hardware = small_hardware(
        rows=8,
        cols=24,
        weight__bits=draw(st.integers(2, 4)),
        weight__signed=draw(st.sampled_from(["differential", "offset", "none"])),
        cell__bits=draw(st.integers(1, 2)),
        input__bits=draw(st.integers(2, 4)),
        input__dac_bits=draw(st.integers(1, 2)),
        adc__bits_rule=draw(st.sampled_from(["lossless", "log2_rows"])),
    )
    problem = small_problem([[(6, 6, "2,3,1"), (6, 4, "dense")], [(4, 4, "1,2,2")]], hardware)
    pieces = shelves(problem, tiles(problem, draw(st.integers(1, 4)), draw(st.integers(1, 3))))
    count = len(pieces)
    # Any groups of pieces of one array, in any order and at any time.
    numbers = st.integers(0, draw(st.integers(1, 30)))
    fires = [7 * draw(numbers) * 1000 + int(array) for array in pieces.array]
    _, group = np.unique(fires, return_inverse=True)
    piece = np.argsort(group, kind="stable")
    size = np.bincount(group)
    start = np.array([draw(st.integers(0, 20)) for _ in size])
    activations = Activations(
        array=pieces.array[piece[np.cumsum(size) - size]],
        start=start,
        end=start + np.array([draw(st.integers(0, 10)) for _ in size]),
        adc_bits=np.array([draw(st.integers(1, 9)) for _ in size]),
        pieces_from=np.cumsum(size) - size,
        pieces_to=np.cumsum(size),
        piece=piece,
    )
    assert len(piece) == count
    operands = prepare_operands(problem, None, 1, draw(st.integers(0, 9)), {})
    reference = compute_reference(problem, operands)
    firings = collect_firings(problem, operands, pieces, activations)
    converters = Converters.of(hardware, firings.stacked, firings.claimed_bits)
    got = TokenPass(problem, operands, firings, reference, converters, ideal=False, progress=None).run()
    naive = simulate_by_cell(problem, operands, pieces, activations, reference.requantisers)
    assert got.keys() == naive.keys()
    for factor, expected in naive.items():
        # Steps are fractions of odd denominators: their sums are never near a half, so rounding agrees too.
        assert got[factor].tolist() == expected.tolist()


def _strategies() -> dict[str, Callable[[Problem], Placement]]:
    from cimsolve.strategies.densemap import map_densemap
    from cimsolve.strategies.sparsemap import map_sparsemap
    from cimsolve.strategies.spread import map_spread

    return {"densemap": map_densemap, "sparsemap": map_sparsemap, "spread": map_spread}


@pytest.mark.parametrize("name", ["densemap", "sparsemap", "spread"])
def test_strategies_give_the_right_numbers(name: str) -> None:
    steps = [[(64, 64, "8,8,1")] * 3, [(64, 64, "8,8,1")], [(64, 128, "8,8,1")], [(128, 64, "8,8,1")]]
    problem = small_problem(steps)
    mapping, activations = schedule(problem, _strategies()[name](problem))
    assert simulate(problem, mapping.pieces, activations).exact
