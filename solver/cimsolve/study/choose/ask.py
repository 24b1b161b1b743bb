"""What is chosen: a model, a chip, a budget of arrays; how that becomes structures that the mapper has placed.

A column of a block is an item of its height in the columns of arrays, so with u a dual-feasible function of heights
(`pack.cutting_stock`) arrays hold at most u(rows) a column, and

    min  sum l[m,j] x[m,j]
    s.t. sum_j x[m,j] = 1,   sum u(heights of m stored as j) x[m,j] <= arrays * columns * u(rows)

loses no more than any choice that fits, for every u. The first u is the height itself, cells over cells of an array;
where the mapper needs more arrays for what was chosen, the mean of all u so far and of the one that proves how badly
its heights fit together is the next: a mean of such functions is one, and by these turns of chooser and packer it comes
near the best (fictitious play). After `TURNS` of them the budget is lowered until what is chosen fits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cimsolve.chip.spec import Hardware
from cimsolve.columns import Ints, sum_by
from cimsolve.errors import InfeasibleError, InputError
from cimsolve.files.text import shown_name
from cimsolve.model.model import Model
from cimsolve.model.structure import Structure
from cimsolve.pack.bounds import split_weight
from cimsolve.pack.cutting_stock import weight_of_size
from cimsolve.problem.problem import Problem
from cimsolve.problem.question import ask
from cimsolve.solve.rules.spread import PackedParts, densest, packings
from cimsolve.study.choose.knapsack import pick
from cimsolve.study.choose.losses import Losses
from cimsolve.study.choose.menu import Menu, groups_of

TURNS, TRIES = 3, 60
"""Turns at a whole budget, and most choices for which the mapper is asked."""
LEAST_SPARED = 1e-3
"""The share by which a budget is lowered at least."""
SCALE = 256
"""Cells of a column, or what stands for them, in the costs of choices."""


@dataclass(frozen=True)
class Chosen:
    """One structure for each linear under a budget of arrays, as the mapper has placed them."""

    arrays_max: int
    arrays: int
    structures: Mapping[str, Structure]
    loss: float
    bound: float
    """No choice from the menu on `arrays_max` arrays loses less, by these losses."""

    @property
    def gap(self) -> float:
        """How far the loss may be from the least, as a share of it."""
        return 0.0 if self.loss <= self.bound else (self.loss - self.bound) / self.loss


class Chooser:
    """A model's menu with its losses on a chip; asked for one budget after the other."""

    def __init__(self, model: Model, hardware: Hardware, menu: Menu, losses: Losses) -> None:
        """Raises InputError for losses of other structures than those of the menu, and of no number."""
        self.model, self.hardware, self.losses = model, hardware, losses
        self._linears = {linear.name: linear for linear in model.linears}
        self.array_cells = hardware.array.rows * hardware.weights_per_row
        self._groups = groups_of(model)
        self._choices = [list(menu[names[0]]) for names in self._groups]
        self._losses = []
        for names, choices in zip(self._groups, self._choices, strict=True):
            for name in names:
                for each in choices:
                    if not losses.get(name, {}).get(each, -1.0) >= 0:
                        raise InputError(
                            f"losses: {shown_name(name)} has none as {each}; expected a number from 0 for each "
                            "structure of the menu of this chip, measure anew"
                        )
            self._losses.append(np.array([sum(losses[name][each] for name in names) for each in choices]))

    def placed(self, structures: Mapping[str, Structure]) -> PackedParts:
        """The whole model on the fewest arrays on which the mapper places it."""
        return densest(packings(Problem(ask(self.model, self.hardware, structure=structures))))

    def arrays_for(self, compression: float) -> int:
        """Arrays that have so many times fewer cells than the dense weights."""
        return max(1, int(self.model.weight_count / compression / self.array_cells + 1e-9))

    def choose(self, arrays_max: int, dense: Collection[str] = ()) -> Chosen:
        """The least loss found on at most so many arrays, as the mapper places them; the linears of `dense` stay so.

        Raises InfeasibleError where even the smallest structures need more.
        """
        menu = [
            choices[:1] if not set(names).isdisjoint(dense) else choices
            for names, choices in zip(self._groups, self._choices, strict=True)
        ]
        losses = [loss[: len(choices)] for loss, choices in zip(self._losses, menu, strict=True)]
        weight = _scaled(np.arange(self.hardware.array.rows + 1, dtype=np.int64))
        bound = 0.0
        lowered: int | None = None
        for turn in range(TRIES):
            costs = self._costs(menu, weight)
            whole = arrays_max * self.hardware.weights_per_row * int(weight[-1])
            found = pick(losses, costs, whole if lowered is None else lowered)
            if found is None:
                least = sum(int(cost.min()) for cost in costs) / whole * arrays_max
                raise InfeasibleError(
                    f"{self.model.name}: at most {arrays_max} arrays are allowed, the smallest structures of the menu "
                    f"need {least:.0f} or more; allow more"
                )
            bound = max(bound, found.bound if lowered is None else 0.0)
            structures = {
                name: choices[choice]
                for names, choices, choice in zip(self._groups, menu, found.choices, strict=True)
                for name in names
            }
            structures = {linear.name: structures[linear.name] for linear in self.model.linears}
            placed = self.placed(structures)
            arrays = placed.packing.arrays
            if arrays <= arrays_max:
                return Chosen(arrays_max, arrays, structures, found.loss, bound)
            if turn < TURNS:
                weight = weight + _scaled(_weight_of_heights(placed, self.hardware.array.rows))
            else:
                used = sum(int(cost[choice]) for cost, choice in zip(costs, found.choices, strict=True))
                lowered = used - max(1, round(whole * max(LEAST_SPARED, (arrays / arrays_max - 1) / 2)))
        raise InfeasibleError(
            f"{self.model.name} on {arrays_max} arrays: none of {TRIES} choices could be placed; allow more arrays"
        )

    def _costs(self, menu: Sequence[Sequence[Structure]], weight: Ints) -> list[Ints]:
        """Weight of the heights of each group's choices, in the lightest of the ways of cutting them to arrays."""
        limit = min(self.hardware.array.rows, self.hardware.rows_limit)
        of_height: dict[int, int] = {}

        def cost(name: str, structure: Structure) -> int:
            linear = self._linears[name]
            n_in, n_out = linear.n_in, linear.n_out
            shapes = [(1, n_in, n_out)] if structure.is_dense else structure.factors(n_in, n_out)
            for _, rows, _ in shapes:
                if rows not in of_height:
                    of_height[rows] = split_weight(weight, rows, limit)
            return sum(blocks * cols * of_height[rows] for blocks, rows, cols in shapes)

        return [
            np.array([sum(cost(name, each) for name in names) for each in choices], dtype=np.int64)
            for names, choices in zip(self._groups, menu, strict=True)
        ]


def _scaled(weight: Ints) -> Ints:
    """The dual-feasible function with SCALE as the most that fits."""
    return np.asarray(weight * SCALE // weight[-1])


def _weight_of_heights(placed: PackedParts, rows: int) -> Ints:
    """The dual-feasible function that proves most of how many arrays these parts need by their heights."""
    heights, index = np.unique(placed.sizes[:, 0], return_inverse=True)
    columns = sum_by(index[placed.shape], placed.parts.cols, len(heights))
    return weight_of_size(heights, columns, rows)
