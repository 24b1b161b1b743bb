"""A structure that may fit where arrays are too few: counted by hand."""

from __future__ import annotations

import pytest

from cimsolve.errors import InfeasibleError
from cimsolve.solve.smaller import smaller_structure
from cimsolve.study.solving import solve
from makers.builders import ask, chip, linears, step

ARRAYS_OF_64 = chip(array__rows=8, array__cols=8)


@pytest.mark.parametrize(
    ("size", "limit", "named"),
    [
        (16, 3, "lowrank:4"),  # 256 weights on 3 x 64 cells: 2 * 16 * 4 = 128 fit, 2 * 16 * 8 are no fewer than dense
        (16, 2, "lowrank:4"),
        (16, 1, "lowrank:2"),
        (128, 3, None),  # even 2 * 128 weights take 4
    ],
)
def test_the_largest_power_of_two_that_fits(size: int, limit: int, named: str | None) -> None:
    problem = ask(linears(step("a", (size, size))), hardware=ARRAYS_OF_64, structure="dense", max_arrays=limit)
    assert smaller_structure(problem) == named


def test_the_refusal_names_it() -> None:
    problem = ask(linears(step("a", (16, 16))), hardware=ARRAYS_OF_64, structure="dense", max_arrays=2)
    with pytest.raises(InfeasibleError, match=r"allow 4, or store fewer weights, such as --structure lowrank:4"):
        solve(problem, "optimal")
