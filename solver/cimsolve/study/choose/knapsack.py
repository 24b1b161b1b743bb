"""One choice for each item at the least loss under one budget: the multiple-choice knapsack, with a bound.

    min  sum l[m,j] x[m,j]   s.t.  sum_j x[m,j] = 1 for each m,   sum a[m,j] x[m,j] <= B
    bound   max over lambda >= 0 of  sum_m min_j (l[m,j] + lambda a[m,j]) - lambda B

The bound's best lambda is the slope at which the lower hulls of all items, taken steepest first, reach the budget.
What is left of it is filled by the table of least losses over budgets where that is small, which is exact, else by
the steps that still fit.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cimsolve.columns import Floats, Ints

TABLE_STEPS_MAX = 5e8
TABLE_NUMBERS_MAX = 2**27
"""Most additions and numbers of the table: a second and a quarter GiB."""


@dataclass(frozen=True)
class Picked:
    """The number of each item's choice, their loss together, and what no choice under the budget can beat."""

    choices: tuple[int, ...]
    loss: float
    bound: float

    @property
    def gap(self) -> float:
        """How far the loss may be from the least, as a share of it."""
        return 0.0 if self.loss <= self.bound else (self.loss - self.bound) / self.loss


def pick(losses: Sequence[Floats], costs: Sequence[Ints], budget: int) -> Picked | None:
    """The choice of each item at the least loss found, at most `budget` together; `losses` and `costs` by item.

    None where the cheapest choices together cost more.
    """
    least = sum(int(cost.min()) for cost in costs)
    if least > budget:
        return None
    hulls = [_hull(loss, cost) for loss, cost in zip(losses, costs, strict=True)]
    steps = [
        ((losses[m][a] - losses[m][b]) / (costs[m][b] - costs[m][a]), m, place)
        for m, hull in enumerate(hulls)
        for place, (a, b) in enumerate(itertools.pairwise(hull), 1)
    ]
    steps.sort(key=lambda step: (-step[0], step[1], step[2]))
    places = [0] * len(hulls)
    left, price = budget - least, 0.0
    for slope, m, place in steps:
        more = int(costs[m][hulls[m][place]] - costs[m][hulls[m][place - 1]])
        if place == places[m] + 1 and more <= left:
            places[m], left = place, left - more
        else:
            price = max(price, float(slope))
    bound = sum(float((loss + price * cost).min()) for loss, cost in zip(losses, costs, strict=True)) - price * budget
    choices = [hull[place] for hull, place in zip(hulls, places, strict=True)]
    exact = _by_table(losses, costs, budget - least)
    if exact is not None:
        choices = exact
    else:
        _fill(choices, losses, costs, left)
    loss = math.fsum(float(each[choice]) for each, choice in zip(losses, choices, strict=True))
    return Picked(tuple(choices), loss, loss if exact is not None else min(bound, loss))


def _hull(loss: Floats, cost: Ints) -> list[int]:
    """Choices on the lower hull, from the cheapest to that of the least loss."""
    hull: list[int] = []
    for each in np.lexsort((loss, cost)).tolist():
        if hull and loss[each] >= loss[hull[-1]]:
            continue
        while len(hull) > 1 and _slope(loss, cost, hull[-1], each) >= _slope(loss, cost, hull[-2], hull[-1]):
            hull.pop()
        hull.append(each)
    return hull


def _slope(loss: Floats, cost: Ints, a: int, b: int) -> float:
    """Loss saved for each cell more, from choice a to choice b."""
    return float(loss[a] - loss[b]) / int(cost[b] - cost[a])


def _by_table(losses: Sequence[Floats], costs: Sequence[Ints], spare: int) -> list[int] | None:
    """The best choices with `spare` above the cheapest; None where the table of all budgets is too large."""
    above = [cost - cost.min() for cost in costs]
    unit = max(1, math.gcd(*(int(each) for cost in above for each in cost)))
    spare = min(spare, sum(int(cost.max()) for cost in above)) // unit
    if (spare + 1) * sum(map(len, costs)) > TABLE_STEPS_MAX or (spare + 1) * len(costs) > TABLE_NUMBERS_MAX:
        return None
    best = np.zeros(spare + 1)
    taken = np.zeros((len(costs), spare + 1), dtype=np.int16)
    for m, (loss, cost) in enumerate(zip(losses, above, strict=True)):
        found = np.full(spare + 1, np.inf)
        for j, weight in enumerate((cost // unit).tolist()):
            if weight <= spare:
                with_it = best[: spare + 1 - weight] + loss[j]
                better = with_it < found[weight:]
                np.copyto(found[weight:], with_it, where=better)
                np.copyto(taken[m, weight:], np.int16(j), where=better)
        best = found
    choices = []
    for m in reversed(range(len(costs))):
        choices.append(int(taken[m, spare]))
        spare -= int(above[m][choices[-1]]) // unit
    return choices[::-1]


def _fill(choices: list[int], losses: Sequence[Floats], costs: Sequence[Ints], left: int) -> None:
    """Better choices, one after the other, the one that saves most, while one fits into what is left; in place."""
    while True:
        found = (0.0, 0, 0)
        for m, (loss, cost) in enumerate(zip(losses, costs, strict=True)):
            saved = np.where(cost - cost[choices[m]] <= left, loss[choices[m]] - loss, -np.inf)
            j = int(saved.argmax())
            found = max(found, (float(saved[j]), -m, j))
        if not found[0] > 0:
            return
        m = -found[1]
        left -= int(costs[m][found[2]] - costs[m][choices[m]])
        choices[m] = found[2]
