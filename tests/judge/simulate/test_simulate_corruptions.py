"""Every corruption of a mapping or its schedule shows in the numbers of the simulator."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from cimsolve.columns import Ints
from cimsolve.judge.simulate import SimulationReport, simulate
from cimsolve.judge.simulate.crossbar import Cells, programme
from cimsolve.judge.simulate.operands import Operands
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Activations, Pieces
from makers.small_arrays import CHAIN, changed, placed, run, scheduled, shelves, small_hardware, small_problem, tiles


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

    def swapped(operands: Operands, pieces: Pieces, arrays: Ints, rows: int, columns: int) -> Cells:
        return programme(operands, replace(pieces, array_col=pieces.array_col[::-1]), arrays, rows, columns)

    monkeypatch.setattr("cimsolve.judge.simulate.crossbar.programme", swapped)
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
    lied = replace(problem)
    lied.__dict__["workload"] = replace(problem.workload, factors=factors)
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
