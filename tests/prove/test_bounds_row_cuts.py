"""Bounds on arrays where blocks must be cut along their rows, against exhaustion and by hand."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement, product
from random import Random

import pytest

from cimsolve.api import make_problem
from cimsolve.judge.check import check_solution
from cimsolve.prove.arrays import least_arrays
from cimsolve.prove.time import least_stage_cycles
from cimsolve.solve.effort import Effort
from cimsolve.solve.strategies import STRATEGIES
from makers.builders import STILL, Row, answer, ask, chip, linears, pieces_of, step
from makers.random_mappings import measure
from oracles.packings import fits_into


def test_row_parts_share_activations_with_lower_blocks() -> None:
    """A dense 9 x 3 in three parts of 3 rows fires with the Monarch blocks of 3 rows beside them, in full arrays."""
    hardware = chip(array__rows=3, array__cols=9, input__bits=1, read_ns=100, adc__per_array=9, **STILL)
    problem = ask(linears(step("a", (9, 3), (9, 9))), {"a0": "dense", "a1": "3,3,1"}, hardware)
    rows: list[Row] = []
    fires = []
    for part in range(3):
        rows += [(0, 0, 3 * part, 3, 0, 3, part, 0, 0), (1, part, 0, 3, 0, 3, part, 0, 3)]
        rows.append((2, part, 0, 3, 0, 3, part, 0, 6))
        fires += [part, part, 10 + part]
    solution = answer(problem, pieces_of(*rows), fires)
    assert not check_solution(solution).violations
    assert least_stage_cycles(problem, 3) == [102, 102]


def test_parts_of_two_heights_mix_with_one_empty_cell() -> None:
    """35 columns of 9 rows, cut 5 + 4 or 4 + 5. A converter reads 9 columns of 5 rows in the time of 17 of 4.

    Six activations do where one of them reads 8 high parts and 1 low one, beside one empty cell.
    """
    table = [(1, 0.001), (2, 9), (3, 17), (4, 40)]
    hardware = chip(
        array__rows=5,
        array__cols=17,
        array__rows_active_max=5,
        input__bits=1,
        adc__per_array=1,
        adc__table=[{"bits": bits, "ns": ns, "pj": 1, "um2": 1} for bits, ns in table],
        read_ns=1000,
        **STILL,
    )
    fill = [step(f"b{i}", (1, 32)) for i in range(5)]
    problem = ask(linears(step("a", (9, 35)), *fill, step("c", (1, 34))), "dense", hardware)
    rows = [
        (0, 0, 0, 5, 0, 9, 0, 0, 0),
        (0, 0, 0, 5, 9, 9, 1, 0, 0),
        (0, 0, 0, 4, 18, 17, 2, 0, 0),
        (0, 0, 4, 5, 18, 9, 3, 0, 0),
        (0, 0, 4, 5, 27, 8, 4, 0, 0),
        (0, 0, 5, 4, 0, 1, 4, 1, 8),
        (0, 0, 5, 4, 1, 17, 5, 0, 0),
    ]
    fires = [0, 1, 2, 3, 4, 4, 5]
    for stage, (column, array) in product(range(5), enumerate((0, 1, 3, 4))):
        rows.append((1 + stage, 0, 0, 1, 8 * column, 8, array, stage, 9))
        fires.append(10 + 4 * stage + column)
    rows += [(6, 0, 0, 1, 0, 17, 2, 4, 0), (6, 0, 0, 1, 17, 17, 5, 4, 0)]
    solution = answer(problem, pieces_of(*rows), [*fires, 50, 51])
    assert not check_solution(solution).violations
    assert solution.header.metrics["occupancy"] == pytest.approx(1 - 1 / (6 * 5 * 17))


def test_high_parts_fill_each_others_activations() -> None:
    """37 columns of 13 rows in three parts. A converter reads 12 columns of 5 rows in the time of 13 of 4 or 3.

    A column needs one part of 5 rows. 11 columns have two, which fill activations that others have begun: nine
    activations do, in full arrays, where 4 for 37 parts of 5 rows and 6 for 74 lower ones would be ten.
    """
    table = [(1, 0.001), (2, 12), (3, 13), (4, 40)]
    hardware = chip(
        array__rows=5,
        array__cols=13,
        array__rows_active_max=5,
        input__bits=1,
        adc__per_array=1,
        adc__table=[{"bits": bits, "ns": ns, "pj": 1, "um2": 1} for bits, ns in table],
        read_ns=1000,
        **STILL,
    )
    fill = [step(f"b{i}", (1, cols)) for i, cols in enumerate((17, 17, 6, 6, 6))]
    problem = ask(linears(step("a", (13, 37)), *fill, step("c", (1, 52))), "dense", hardware)
    # Columns 0 to 12 are cut 4 + 4 + 5, 13 to 23 are cut 5 + 3 + 5, 24 to 36 are cut 5 + 4 + 4.
    rows: list[Row] = [(0, 0, row0, 5, col0, 12, a, 0, 0) for a, (col0, row0) in enumerate([(13, 0), (25, 0)])]
    rows += [(0, 0, row0, 5, col0, 12, 2 + a, 0, 0) for a, (col0, row0) in enumerate([(0, 8), (12, 8)])]
    low = [(0, 0), (0, 4), (24, 5), (24, 9)]
    rows += [(0, 0, row0, 4, col0, 13, 4 + a, 0, 0) for a, (col0, row0) in enumerate(low)]
    rows.append((0, 0, 5, 3, 13, 11, 8, 0, 0))
    fires = list(range(9))
    for stage, place in enumerate([(3, 0, 13), (4, 0, 13), (0, 11, 2), (1, 11, 2), (2, 11, 2)]):
        row, col, cols = place
        rows += [(1 + stage, 0, 0, 1, array, 1, array, stage, 12) for array in range(4)]
        rows.append((1 + stage, 0, 0, 1, 4, cols, 8, row, col))
        fires += [20 + 10 * stage + at for at in range(5)]
    rows += [(6, 0, 0, 1, 13 * at, 13, 4 + at, 4, 0) for at in range(4)]
    solution = answer(problem, pieces_of(*rows), [*fires, 100, 101, 102, 103])
    assert solution.header.metrics["occupancy"] == 1
    assert not check_solution(solution).violations


@pytest.mark.parametrize("seed", range(20))
def test_arrays_with_free_row_splits_are_bounded_below_exhaustion(seed: int) -> None:
    draw = Random(seed)
    while True:
        rows, cols = draw.randint(3, 9), draw.randint(1, 3)
        hardware = chip(
            array__rows=rows,
            array__cols=cols,
            array__rows_active_max=draw.randint(2, rows),
            adc__per_array=1,
            adc__bits_max=4,
        )
        steps = [step(f"s{i}", (draw.randint(1, 14), draw.randint(1, 3))) for i in range(draw.randint(1, 2))]
        problem = ask(linears(*steps), "dense", hardware)
        columns = sum(factor.block_cols for factor in problem.workload.factors)
        if problem.must_cut_rows and int((problem.row_parts * problem.table.block_cols).sum()) <= 9 and columns < 6:
            break
    heights = [factor.block_rows for factor in problem.workload.factors for _ in range(factor.block_cols)]
    splits = product(*(list(_splits(height, problem.rows_limit)) for height in heights))
    fewest = min(_fewest_bins(sorted(sum(split, ())), problem.rows) for split in splits)
    lower, _ = least_arrays(problem, 10**9)
    assert lower <= -(-fewest // cols)
    used = int(measure(problem, STRATEGIES["optimal"](problem, Effort()).mapping)["arrays"])
    assert lower <= used


@pytest.mark.parametrize("seed", range(30))
def test_uncut_arrays_with_free_splits_are_bounded_below_exhaustion(seed: int) -> None:
    """Blocks wider or higher than an array, in every way of cutting them into the fewest pieces, placed freely."""
    draw = Random(seed)
    while True:
        rows, cols = draw.randint(2, 5), draw.randint(2, 5)
        hardware = chip(
            array__rows=rows,
            array__cols=cols,
            array__rows_active_max=draw.choice([None, rows - 1]),
            adc__per_array=1,
            adc__bits_max=4,
        )
        sizes = [(draw.randint(1, 7), draw.randint(1, 7)) for _ in range(draw.randint(1, 3))]
        problem = ask(linears(*(step(f"s{i}", size) for i, size in enumerate(sizes))), "dense", hardware, "none")
        pieces = [-(-r // problem.rows_limit) * -(-c // cols) for r, c in sizes]
        if max(pieces) > 1 and sum(pieces) <= 7:
            break
    lower, _ = least_arrays(problem, 10**9)
    ways = [list(product(_splits(r, problem.rows_limit), _splits(c, cols))) for r, c in sizes]
    for way in product(*ways):
        tiles = [tile for high, wide in way for tile in product(high, wide)]
        heights, widths = [tile[0] for tile in tiles], [tile[1] for tile in tiles]
        # Fewer arrays than the bound must not do, however the blocks are cut.
        assert lower <= 1 or not fits_into((heights, widths, [1] * len(tiles), rows, cols), lower - 1)


def test_models_whose_blocks_must_be_cut_need_what_the_solver_finds() -> None:
    """MiniLM on `sram256`: a row of a 24-wide block is alone in its 32 columns, two of 16 share one, one of 96 takes
    three: 480 * 16 + (480 * 24 + 96 * 96) / 2 + 288 * 16 = 22656 rows, 88.5 arrays of 256. SmolLM2 on
    `rram128-isaac`: the product of weights of heights and of widths."""
    minilm, smollm = (
        make_problem("minilm-l6", "sram256", cut="none"),
        make_problem("smollm2-135m", "rram128-isaac", cut="none"),
    )
    assert least_arrays(minilm, 10**9) == (89, "rows")
    assert least_arrays(smollm, 10**9) == (3564, "dff")


def _splits(height: int, limit: int) -> Iterator[tuple[int, ...]]:
    """All ways to cut so many rows into the fewest parts."""
    parts = -(-height // limit)
    for sizes in combinations_with_replacement(range(1, min(height, limit) + 1), parts):
        if sum(sizes) == height:
            yield sizes


def _fewest_bins(items: list[int], capacity: int) -> int:
    """Fewest bins of `capacity`, by trying every bin for every item, the largest first."""

    def fill(left: tuple[int, ...], rooms: tuple[int, ...], most: int) -> int:
        if len(rooms) >= most:
            return most
        if not left:
            return len(rooms)
        for at in range(len(rooms)):
            if rooms[at] >= left[-1] and rooms[at] not in rooms[:at]:
                changed = tuple(sorted((*rooms[:at], rooms[at] - left[-1], *rooms[at + 1 :])))
                most = fill(left[:-1], changed, most)
        return fill(left[:-1], tuple(sorted((*rooms, capacity - left[-1]))), most)

    return fill(tuple(items), (), len(items))
