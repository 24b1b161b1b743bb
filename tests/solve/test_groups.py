"""Inputs that fire together: grids of pairs, one array packed whole, groups of a stage, mappings made of them."""

from __future__ import annotations

from itertools import pairwise, product
from random import Random

import numpy as np
import pytest

from cimsolve.api import make_problem
from cimsolve.judge.check import check_solution
from cimsolve.pack.blocks import ArrayPacking
from cimsolve.pack.hollow import Grid, Size, cover_pairs, hollow_grid, single_pair
from cimsolve.pack.one_array import STACKS_MAX, Content, pack_one
from cimsolve.problem.problem import Problem
from cimsolve.prove.time import least_latency_cycles
from cimsolve.solve.columns.strips import cut_into_strips
from cimsolve.solve.groups.form import Grouping, groupings
from cimsolve.solve.groups.place import GroupSpread, choose, even_shares
from cimsolve.solve.incumbent import measure
from cimsolve.study.solving import make_solution
from makers.builders import STILL, ask, chip, linears, step
from makers.medium_problems import MEDIUM
from oracles.packings import painted

# Grids of pairs


def assert_pairs_may_fire(grid: Grid, first: Size, second: Size) -> None:
    """All blocks apart, and for each pair nothing on the rows of the one in the columns of the other."""
    cells = np.zeros(grid.size, dtype=np.int64)
    where = [
        ((top, left), size) for pair in grid.pairs for (top, left), size in zip(pair, (first, second), strict=True)
    ]
    for (top, left), (rows, cols) in where:
        assert 0 <= top <= grid.size[0] - rows
        assert 0 <= left <= grid.size[1] - cols
        cells[top : top + rows, left : left + cols] += 1
    assert cells.max() == 1
    for (row, col), (other_row, other_col) in grid.pairs:
        assert not cells[row : row + first[0], other_col : other_col + second[1]].any()
        assert not cells[other_row : other_row + second[0], col : col + first[1]].any()


@pytest.mark.parametrize(
    ("first", "second", "pairs"),
    [((2, 3), (2, 3), 6), ((2, 3), (2, 1), 12), ((2, 3), (4, 3), 12)],
    ids=["equal", "equally high", "equally wide"],
)
def test_a_grid_of_order_four_keeps_its_diagonal_empty(first: Size, second: Size, pairs: int) -> None:
    """4 x 4 places less 4 on the diagonal: 6 pairs of two places, or 12 where each place has a part of two pairs."""
    grid = hollow_grid(first, second, 4)
    assert len(grid.pairs) == pairs
    assert_pairs_may_fire(grid, first, second)
    filled = pairs * (first[0] * first[1] + second[0] * second[1])
    assert 4 * filled == 3 * grid.size[0] * grid.size[1]


def test_a_pair_alone_lies_along_a_diagonal() -> None:
    grid = single_pair((2, 3), (1, 4))
    assert (grid.size, grid.pairs) == ((3, 7), (((0, 0), (2, 3)),))
    assert_pairs_may_fire(grid, (2, 3), (1, 4))


@pytest.mark.parametrize("seed", range(10))
def test_pairs_are_covered_on_the_least_cells(seed: int) -> None:
    draw = Random(seed)
    first = (draw.randint(1, 4), draw.randint(1, 4))
    second = draw.choice([first, (first[0], draw.randint(1, 4)), (draw.randint(1, 4), draw.randint(1, 4))])
    pairs, rows, cols = draw.randint(1, 9), draw.randint(8, 20), draw.randint(8, 20)
    found = cover_pairs(first, second, pairs, rows, cols, 5)
    for grid in found:
        assert grid.size[0] <= rows
        assert grid.size[1] <= cols
        assert_pairs_may_fire(grid, first, second)
    assert sum(len(grid.pairs) for grid in found) >= pairs
    may_share = first[0] == second[0] or first[1] == second[1]
    all_grids = [single_pair(first, second)]
    all_grids += [hollow_grid(first, second, order) for order in range(2, 6) if may_share]
    fit = [grid for grid in all_grids if grid.size[0] <= rows and grid.size[1] <= cols]
    least = min(
        sum(times * grid.size[0] * grid.size[1] for times, grid in zip(used, fit, strict=True))
        for used in product(*(range(-(-pairs // len(grid.pairs)) + 1) for grid in fit))
        if sum(times * len(grid.pairs) for times, grid in zip(used, fit, strict=True)) >= pairs
    )
    assert sum(grid.size[0] * grid.size[1] for grid in found) == least


# One array


def content_of(heights: np.ndarray, widths: np.ndarray, counts: np.ndarray) -> Content:
    return tuple(zip(heights.tolist(), widths.tolist(), counts.tolist(), strict=True))


def assert_packed(heights: np.ndarray, widths: np.ndarray, counts: np.ndarray, rows: int, cols: int) -> bool:
    pattern = pack_one(content_of(heights, widths, counts), rows, cols).pattern
    if pattern is None:
        return False
    packing = ArrayPacking([pattern], np.ones(1, dtype=np.int64), 1, 1, "area")
    assert painted(heights.tolist(), widths.tolist(), rows, cols, packing).tolist() == counts.tolist()
    return True


def test_an_array_is_packed_nearly_full() -> None:
    """72 rectangles on 98.4 % of the cells, where shelves and strips need two arrays."""
    heights, widths = np.array([16, 16, 24, 24, 32, 48, 96]), np.array([24, 96, 16, 48, 48, 32, 16])
    counts = np.array([24, 8, 14, 6, 8, 4, 8])
    assert int(counts @ (heights * widths)) == 64512
    assert assert_packed(heights, widths, counts, 256, 256)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_packed_is_whole(seed: int) -> None:
    """Contents cut out of a whole array by random straight lines, three times across: bands, stacks, blocks."""
    draw = Random(seed)
    rows, cols, pool = 24, 24, (2, 3, 4, 6, 8)
    sizes: dict[Size, int] = {}
    row = 0
    while rows - row >= 2:
        height = draw.choice([size for size in pool if size <= rows - row])
        col = 0
        while cols - col >= 2:
            width = draw.choice([size for size in pool if size <= cols - col])
            each = draw.choice([size for size in pool if size <= height])
            sizes[each, width] = sizes.get((each, width), 0) + height // each
            col += width
        row += height
    table = np.array(list(sizes))
    counts = np.array(list(sizes.values()))
    assert assert_packed(table[:, 0], table[:, 1], counts, rows, cols)
    # One more of the largest than the cells can hold.
    largest = int(np.argmax(table.prod(axis=1)))
    counts[largest] += rows * cols // int(table[largest].prod())
    assert pack_one(content_of(table[:, 0], table[:, 1], counts), rows, cols).pattern is None


def test_what_shelves_hold_takes_no_program_and_what_they_do_not_is_left_without() -> None:
    easy, hard = content_of(*np.array([[2], [2], [4]])), content_of(*np.array([[3, 2, 3, 2], [2, 3, 2, 3], [1] * 4]))
    assert pack_one(easy, 4, 4).effort == 0
    with_programs, without = pack_one(hard, 5, 5), pack_one(hard, 5, 5, columns_max=0)
    assert with_programs.effort > without.effort == 0
    assert without.pattern is None


# Groups of a stage


def shape_and_time(problem: Problem, found: Grouping, arrays: int) -> None:
    """Every column in one band, each group's time as the cost model has it, and all dealt in the time stated."""
    kinds = cut_into_strips(problem, even=False)[0]
    seen = {(kind, number): 0 for kind, each in enumerate(kinds) for number in range(each.count)}
    for group in found.groups:
        for height, band in group.bands:
            assert height == kinds[band.kind].height
            assert band.start < band.end
            seen[band.kind, band.number] += band.end - band.start
        columns = sum(band.end - band.start for _, band in group.bands)
        assert (group.rows, group.cols) == (sum(height for height, _ in group.bands), columns)
        conversions = -(-columns * problem.hardware.columns_per_weight // problem.hardware.adc.per_array)
        assert group.cycles == int(problem.hardware.activation_cycles(group.height, conversions))
    assert all(columns == kinds[kind].cols for (kind, _), columns in seen.items())
    cells = sum(kind.count * kind.height * kind.cols for kind in kinds)
    assert found.waste == sum(group.rows * group.cols for group in found.groups) - cells
    assert sum(group.cycles for group in found.groups) <= arrays * found.cycles


@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_groups_are_whole_and_faster_for_more_cells(seed: int, cut: bool) -> None:
    draw = Random(seed)
    outs = [(8, draw.choice([4, 8, 12])) for _ in range(draw.randint(1, 3))]
    problem = ask(linears(step("a", *outs)), draw.choice(["4,4,1", "4,2,1", "2,2,2"]), chip(array__cols=12))
    arrays = draw.randint(1, 5)
    found = groupings(problem, cut_into_strips(problem, even=False)[0], arrays, cut)
    assert found
    for one, other in pairwise(found):
        assert one.cycles > other.cycles
        assert one.waste < other.waste
    for each in found:
        shape_and_time(problem, each, arrays)


def test_times_of_a_stage_by_hand() -> None:
    """Q, K and V with one input, 4 blocks of 2 x 4 each, on 3 arrays; 2 converters, 1 ns a conversion of 2 rows.

    An activation takes 2 (3 + columns / 2) ns. The three blocks of an input together: 2 (3 + 6) = 18, and one array
    has two inputs, 36. The fourth input's blocks on an array each: 18 + 2 (3 + 2) = 28. Joined to the groups there,
    2 (3 + 8) = 22: a band of 2 x 4 beside one of 2 x 12 keeps 2 * 4 + 2 * 12 = 32 cells empty, on 3 arrays.
    """
    problem = ask(linears(step("a", (8, 8), (8, 8), (8, 8))), "4,4,1", chip(array__rows=16, array__cols=16))
    found = groupings(problem, cut_into_strips(problem, even=False)[0], 3, cut=False)
    assert [(each.cycles, each.waste) for each in found] == [(28, 0), (22, 96)]


# The choice


def test_the_choice_takes_what_saves_most_for_its_cells() -> None:
    """Steps at 1, 2 and 10 cells a cycle; a budget of 30 pays for the first two, of 31 for no more."""
    first = [Grouping(20, 0, ()), Grouping(10, 10, ()), Grouping(8, 30, ())]
    second = [Grouping(30, 0, ()), Grouping(20, 20, ())]
    for budget, cycles in ((0, [20, 30]), (10, [10, 30]), (29, [10, 30]), (31, [10, 20]), (50, [8, 20])):
        assert [each.cycles for each in choose([first, second], budget)] == cycles


@pytest.mark.parametrize("seed", range(10))
def test_shares_differ_by_one_at_most(seed: int) -> None:
    draw = np.random.default_rng(seed)
    cells, counts, arrays = draw.integers(1, 100, 6), draw.integers(0, 60, 6), int(draw.integers(1, 12))
    shares = even_shares(cells, counts, arrays)
    assert shares.sum(axis=0).tolist() == counts.tolist()
    assert int(np.ptp(shares, axis=0).max()) <= 1
    assert int(np.ptp(shares @ cells)) <= int(cells.max())


# Mappings


@pytest.mark.parametrize("number", range(len(MEDIUM)))
def test_grouped_mappings_keep_the_rules(number: int) -> None:
    problem = MEDIUM[number]
    stages = cut_into_strips(problem, even=False)
    least = -(-problem.weight_cells // (problem.rows * problem.weights_per_row))
    found = 0
    for arrays, cut in product((least + 1, 2 * least, 4 * least), (False, True) if problem.cut != "none" else (False,)):
        mapping = GroupSpread(problem, stages, arrays, cut).find()
        if mapping is not None:
            found += 1
            solution = make_solution(problem.asking(objective=("arrays",)), mapping, strategy="optimal")
            report = check_solution(solution)
            assert report.passed, report.violations[:2]
            assert solution.header.metrics["arrays"] <= arrays
    assert found


@pytest.mark.parametrize("cut", ["none", "columns"])
def test_a_small_model_is_faster_than_one_input_an_activation_allows(cut: str) -> None:
    """MiniLM fills 11 arrays of a measured core to 92 %; what no mapping without merges can beat is 9 % higher."""
    problem = make_problem("minilm-l6", "pcm256", cut=cut)  # type: ignore[arg-type]
    one_input = least_latency_cycles(problem, 12, merging=False)
    mapping = GroupSpread(problem, cut_into_strips(problem, even=False), 12, cut=False).find()
    assert mapping is not None
    metrics = measure(problem, mapping)
    assert metrics["arrays"] == 12
    assert metrics["latency_cycles"] < 0.8 * one_input
    assert metrics["latency_cycles"] >= least_latency_cycles(problem, 12)


def test_a_search_for_groups_ends_with_its_effort() -> None:
    """The last program is the one that spends the rest; without any, arrays are packed on shelves alone."""
    problem = make_problem("minilm-l6", "paper256")
    left = []
    for effort in (0, 1):
        spread = GroupSpread(problem, cut_into_strips(problem, even=False), 11, cut=True)
        spread.effort_left = effort
        spread.find()
        left.append(spread.effort_left)
    assert left[0] == 0
    assert -4 * STACKS_MAX < left[1] < 0


def test_free_cells_are_spent_on_pairs() -> None:
    """Two blocks on one array with room for both along a diagonal: one activation."""
    problem = ask(linears(step("a", (4, 4))), "2,2,1", chip(**STILL), cut="none")
    mapping = GroupSpread(problem, cut_into_strips(problem, even=False), 1, cut=False).find()
    assert mapping is not None
    stage = problem.table.stage[mapping.pieces.factor]
    assert [len(np.unique(mapping.fires[stage == each])) for each in (0, 1)] == [1, 1]
