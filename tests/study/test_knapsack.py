"""One choice for each item in so many columns of arrays: against brute force, and the bound against it."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pytest

from cimsolve.study.choose.knapsack import pick

Item = list[dict[int, int]]


def drawn(seed: int, rows: int) -> tuple[list, list[Item], int]:
    random = np.random.default_rng(seed)
    losses = [random.random(3) for _ in range(2)]
    columns: list[Item] = [[{int(h): 1 for h in random.integers(1, 2 * rows, 2)} for _ in range(3)] for _ in range(2)]
    return losses, columns, int(random.integers(2, 6))


def ways_to_cut(height: int, limit: int) -> set[tuple[int, ...]]:
    """All ways of the fewest parts, none higher than the limit."""
    parts = -(-height // limit)
    ways = itertools.combinations_with_replacement(range(1, limit + 1), parts)
    return {way for way in ways if sum(way) == height}


@cache
def fits(heights: tuple[int, ...], room: tuple[int, ...], limit: int) -> bool:
    """Whether columns of these heights, cut where they must be, can be stacked in bins with so much room."""
    if not heights or sum(heights) > sum(room):
        return not heights
    after = set()
    for parts in ways_to_cut(heights[0], limit):
        for where in itertools.permutations(range(len(room)), len(parts)):
            left = list(room)
            for place, part in zip(where, parts, strict=True):
                left[place] -= part
            after.add(tuple(sorted(left)))
    return any(fits(heights[1:], left, limit) for left in after if left[0] >= 0)


def least_loss(losses: list, columns: list[Item], bins: int, rows: int, limit: int) -> float:
    ways = itertools.product(*(range(len(loss)) for loss in losses))
    for loss, way in sorted((sum(each[j] for each, j in zip(losses, way, strict=True)), way) for way in ways):
        heights = [h for item, j in zip(columns, way, strict=True) for h, n in item[j].items() for _ in range(n)]
        if fits(tuple(sorted(heights, reverse=True)), (rows,) * bins, limit):
            return float(loss)
    return np.inf


@pytest.mark.parametrize(("rows", "limit"), [(4, 4), (5, 5), (5, 3), (6, 4)])
@pytest.mark.parametrize("seed", range(6))
def test_no_choice_that_can_be_packed_loses_less_than_the_bound(seed: int, rows: int, limit: int) -> None:
    losses, columns, bins = drawn(seed, rows)
    found = pick(losses, columns, bins, rows, limit)
    best = least_loss(losses, columns, bins, rows, limit)
    if found is None:
        assert best == np.inf
        return
    assert found.bound <= best + 1e-9
    assert (
        found.bound <= found.loss == pytest.approx(sum(loss[j] for loss, j in zip(losses, found.choices, strict=True)))
    )
    cells = sum(h * n for item, j in zip(columns, found.choices, strict=True) for h, n in item[j].items())
    assert cells <= bins * rows


@pytest.mark.parametrize("seed", range(6))
def test_where_all_columns_are_as_high_as_arrays_it_is_the_knapsack(seed: int) -> None:
    random = np.random.default_rng(seed)
    losses = [random.random(5) for _ in range(4)]
    columns = [[{8: int(n)} for n in random.integers(1, 30, 5)] for _ in range(4)]
    bins = sum(sum(choice[8] for choice in item) for item in columns) // 8
    found = pick(losses, columns, bins, 8, 8)
    fitting = [
        sum(loss[j] for loss, j in zip(losses, way, strict=True))
        for way in itertools.product(range(5), repeat=4)
        if sum(item[j][8] for item, j in zip(columns, way, strict=True)) <= bins
    ]
    assert (found is None) == (not fitting)
    if found is not None:
        assert found.loss == pytest.approx(min(fitting), rel=1e-4)


def test_what_cannot_lie_together_is_not_chosen_for_its_cells() -> None:
    """Six columns of 5 in 8 rows need six, though their cells are less than four; a column of 8 loses a little more."""
    losses = [np.array([0.1, 0.2])] * 6
    choices: Item = [{5: 1}, {4: 1}]
    found = pick(losses, [choices] * 6, 4, 8, 8)
    assert found is not None
    assert found.loss == pytest.approx(found.bound) == pytest.approx(1.0)
    assert sorted(found.choices) == [0, 0, 1, 1, 1, 1]


def test_a_whole_model_has_a_small_gap() -> None:
    """As many matrices as Llama-3-8B has, each with a loss that falls as its columns grow."""
    random = np.random.default_rng(0)
    ranks = 8 * np.arange(1, 33)
    losses = [scale * np.exp(-ranks / decay) for scale, decay in random.uniform(1, 9, (224, 2)) * [1, 24]]
    columns = [[{256: int(rank), int(rank): int(size)} for rank in ranks] for size in random.integers(10, 100, 224)]
    found = pick(losses, columns, 224 * 80, 256, 256)
    assert found is not None
    assert 0 <= found.loss - found.bound < 1e-3 * found.loss


def test_too_small_a_budget_has_no_choice() -> None:
    assert pick([np.ones(2)] * 2, [[{3: 1}, {4: 1}]] * 2, 1, 4, 4) is None
