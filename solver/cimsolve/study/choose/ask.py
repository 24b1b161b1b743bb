"""What is chosen: a model, a chip, a budget of arrays; how that becomes structures that the mapper has placed.

What is chosen has columns of several heights, and how they fill the columns of arrays decides with the losses
(`knapsack.pick`), so its bound holds for any way in which the mapper may place them. Where this needs more arrays for
what was chosen, as widths do not fit or patterns are used in whole numbers, the budget of columns is lowered until what
is chosen fits.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cimsolve.chip.spec import Hardware
from cimsolve.columns import ceil_div
from cimsolve.errors import InfeasibleError, InputError
from cimsolve.files.text import shown_name
from cimsolve.model.model import Model
from cimsolve.model.structure import Structure
from cimsolve.problem.problem import Problem
from cimsolve.problem.question import ask
from cimsolve.solve.rules.spread import PackedParts, densest, packings
from cimsolve.study.choose.knapsack import Columns, pick
from cimsolve.study.choose.losses import Losses
from cimsolve.study.choose.menu import Menu, groups_of

TRIES = 60
"""Most choices for which the mapper is asked."""


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
        columns = [
            [self._columns(names, each) for each in choices] for names, choices in zip(self._groups, menu, strict=True)
        ]
        rows, across = self.hardware.array.rows, self.hardware.weights_per_row
        limit = min(rows, self.hardware.rows_limit)
        least = ceil_div(sum(min(map(_cells, item)) for item in columns), rows)
        budget, bound, spared = arrays_max * across, 0.0, 1
        for turn in range(TRIES):
            found = pick(losses, columns, budget, rows, limit)
            if found is None:
                raise InfeasibleError(
                    f"{self.model.name}: at most {arrays_max} arrays are allowed, the smallest structures of the menu "
                    f"need {ceil_div(least, across)} or more; allow more"
                )
            if not turn:
                bound = found.bound
            structures = {
                name: choices[choice]
                for names, choices, choice in zip(self._groups, menu, found.choices, strict=True)
                for name in names
            }
            structures = {linear.name: structures[linear.name] for linear in self.model.linears}
            arrays = self.placed(structures).packing.arrays
            if arrays <= arrays_max:
                return Chosen(arrays_max, arrays, structures, found.loss, bound)
            used = sum(_cells(item[choice]) for item, choice in zip(columns, found.choices, strict=True)) // rows
            lower = min(budget, used) - max(spared, (arrays - arrays_max - 1) * across // 2)
            budget, spared = max(lower, min(least, budget - 1)), 2 * spared
        raise InfeasibleError(
            f"{self.model.name} on {arrays_max} arrays: none of {TRIES} choices could be placed; allow more arrays"
        )

    def _columns(self, names: Sequence[str], structure: Structure) -> Columns:
        """How many columns of each height these linears have, which are alike and stored alike."""
        linear = self._linears[names[0]]
        n_in, n_out = linear.n_in, linear.n_out
        found: dict[int, int] = {}
        for blocks, height, cols in [(1, n_in, n_out)] if structure.is_dense else structure.factors(n_in, n_out):
            found[height] = found.get(height, 0) + blocks * cols * len(names)
        return found


def _cells(columns: Columns) -> int:
    """Cells of columns of these heights."""
    return sum(height * count for height, count in columns.items())
