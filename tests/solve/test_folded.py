"""Dense matrices folded on their arrays, where the hub's port is what tokens wait for."""

from __future__ import annotations

import pytest

from cimsolve.chip.read import load_hardware
from cimsolve.model.families import parse_model
from cimsolve.model.structure import Structure
from cimsolve.problem.problem import Problem
from cimsolve.problem.question import ask
from cimsolve.solve.effort import Effort
from cimsolve.solve.places.folded import folded
from cimsolve.study.solving import solve_and_check
from makers.builders import linears, step


def asked(rows: int, cols: int, arrays: int) -> Problem:
    """One matrix on so many cores of a mesh, which the hub sends 128 bits a ns, and gets as many."""
    model = parse_model(linears(step("a", (rows, cols))), "model", "one", 4)
    return Problem(ask(model, load_hardware("hermes64"), structure="dense", objective=("prefill",), max_arrays=arrays))


def test_half_of_the_columns_are_folded_so_that_both_ways_are_as_busy() -> None:
    problem = asked(4096, 512, 32)
    solution, report = solve_and_check(problem, "optimal", Effort(brief=True))
    assert report.passed
    # 16 arrays read 256 inputs and make 256 sums, 16 read 512 and make 128: 98,304 bits either way.
    assert (16 * 256 + 16 * 512) * 8 == (16 * 256 + 16 * 128) * 16 == 98_304
    assert solution.header.breakdown.phases["ii_cycles"] == [98_304 // 128]


@pytest.mark.parametrize(("rows", "cols", "arrays"), [(4096, 512, 32), (1000, 300, 9), (256, 256, 1), (40, 7, 64)])
def test_foldings_keep_to_the_arrays_and_hold_every_weight_once(rows: int, cols: int, arrays: int) -> None:
    problem = asked(rows, cols, arrays)
    found = list(folded(problem))
    assert found
    for mapping in found:
        pieces = mapping.pieces
        assert pieces.array.max() < arrays
        assert (pieces.rows * pieces.cols).sum() == rows * cols
        assert (pieces.array_col + pieces.cols <= 256).all()


def test_what_is_no_whole_matrix_is_not_folded() -> None:
    problem = asked(1024, 1024, 64)
    halves = dict.fromkeys(problem.structures, Structure(2, 2, 64))
    assert not list(folded(problem.asking(structures=halves)))
