"""One choice for each item under a budget: against brute force, and the bound against it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cimsolve.study.choose.knapsack import pick


def drawn(seed: int, items: int, choices: int, unit: int = 1) -> tuple[list, list, int]:
    random = np.random.default_rng(seed)
    losses = [random.random(choices) for _ in range(items)]
    costs = [random.integers(1, 30, choices) * unit + random.integers(0, unit, choices) for _ in range(items)]
    least, most = (sum(int(of(cost)) for cost in costs) for of in (np.min, np.max))
    return losses, costs, int(random.integers(least, most + 1))


def least_loss(losses: list, costs: list, budget: int) -> float:
    ways = itertools.product(*(range(len(loss)) for loss in losses))
    found = [
        sum(loss[j] for loss, j in zip(losses, way, strict=True))
        for way in ways
        if sum(cost[j] for cost, j in zip(costs, way, strict=True)) <= budget
    ]
    return min(found)


# The table of all budgets is too large for costs of a billion without a common divisor.
@pytest.mark.parametrize("unit", [1, 10**9])
@pytest.mark.parametrize("seed", range(8))
def test_the_choice_keeps_the_budget_and_the_bound_holds(seed: int, unit: int) -> None:
    losses, costs, budget = drawn(seed, 4, 5, unit)
    found = pick(losses, costs, budget)
    assert found is not None
    assert sum(int(cost[j]) for cost, j in zip(costs, found.choices, strict=True)) <= budget
    assert found.loss == pytest.approx(sum(loss[j] for loss, j in zip(losses, found.choices, strict=True)))
    best = least_loss(losses, costs, budget)
    assert found.bound <= best + 1e-12 <= found.loss + 2e-12
    if unit == 1:
        assert found.loss == pytest.approx(best)
        assert found.gap == 0


def test_a_whole_model_without_the_table_has_a_small_gap() -> None:
    """As many matrices as Llama-3-8B has, each with a loss that falls as costs grow."""
    random = np.random.default_rng(0)
    ranks = np.arange(64)
    losses = [scale * np.exp(-ranks / decay) for scale, decay in random.uniform(1, 9, (224, 2)) * [1, 3]]
    costs = [(1 + ranks) * int(size) for size in random.integers(10**8, 10**9, 224)]
    found = pick(losses, costs, sum(int(cost.max()) for cost in costs) // 3)
    assert found is not None
    assert 0 <= found.gap < 1e-3


def test_too_small_a_budget_has_no_choice() -> None:
    losses, costs, _ = drawn(0, 3, 4)
    assert pick(losses, costs, sum(int(cost.min()) for cost in costs) - 1) is None
