"""What the exact solver places: items on a coarsened grid, and which of them are interchangeable.

Items. Where columns may be cut, every logical column of a block is an item: any cut is a way to put columns
side by side. Otherwise every block is one. Rows are never cut, so an item has its block's full height.

Grid. All heights and first input elements are multiples of g = gcd(block heights). Rounding every array row
down to a multiple of g keeps a legal mapping legal and its costs equal: intervals whose lengths are
multiples of g stay disjoint, and those that overlap on the same input elements differ by a multiple of g
and move together. So rows are counted in units of g. Columns are too (g of the widths), where the wiring
does not ask which column it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby, pairwise

import numpy as np

from cimsolve.chip.wiring import busiest_of_run, converter_of, fewest_conversions
from cimsolve.price.gaps import least_gaps
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping
from cimsolve.prove.search import count_items, why_not_modelled

CELLS_MAX = 4096
"""Most items x grid rows, or items x grid columns, where a rule needs a Boolean for each."""


@dataclass(frozen=True)
class Item:
    """One rectangle of a block: all its rows, its columns `col0 ... col0 + cols - 1` (logical weights).

    `height`, `width` and `first`, the element of `vector` that its first row takes, are in grid units.
    """

    factor: int
    block: int
    col0: int
    cols: int
    stage: int
    vector: int
    first: int
    height: int
    width: int

    @property
    def input(self) -> tuple[int, int, int]:
        """Items of equal input read the same elements from the first on."""
        return (self.stage, self.vector, self.first)

    @property
    def shape(self) -> tuple[int, int]:
        return (self.height, self.width)

    def shares_input(self, other: Item) -> bool:
        """Whether some input element goes to both."""
        meet = self.first < other.first + other.height and other.first < self.first + self.height
        return self.vector == other.vector and meet


@dataclass(frozen=True)
class Rest:
    """What stays as it is on other arrays than the items'."""

    mapping: Mapping
    arrays: int
    stage_cycles: tuple[int, ...]
    """Stage -> cycles of the busiest of these arrays."""


@dataclass(frozen=True)
class Instance:
    """The items of a problem, sorted so that interchangeable ones are neighbours, and their grid."""

    problem: Problem
    items: tuple[Item, ...]
    row_unit: int
    col_unit: int
    rest: Rest | None = None
    """None where the items are all of the problem's."""

    @property
    def rows(self) -> int:
        return self.problem.rows // self.row_unit

    @property
    def cols(self) -> int:
        return self.problem.weights_per_row // self.col_unit

    @property
    def stages(self) -> int:
        return len(self.problem.workload.stages)

    @property
    def least_stage_cycles(self) -> tuple[int, ...]:
        """Stage -> cycles that it takes wherever the items lie."""
        return (0,) * self.stages if self.rest is None else self.rest.stage_cycles

    @cached_property
    def least_arrays(self) -> int:
        """Area bound: ceil(cells of all items / cells of an array)."""
        return -(-sum(item.height * item.width for item in self.items) // (self.rows * self.cols))

    @cached_property
    def rows_active(self) -> int | None:
        """S6's limit in grid rows, or None where no activation can break it."""
        limit = self.problem.hardware.array.rows_active_max
        if limit is None or limit >= self.problem.rows:
            return None
        limit //= self.row_unit
        stacked = max(sum(item.height for item in self.items if item.stage == s) for s in range(self.stages))
        return limit if stacked > limit else None

    @cached_property
    def alike(self) -> tuple[tuple[int, int], ...]:
        """Neighbours (i, i + 1) of equal input and shape: swapping what is done with them changes nothing."""
        return tuple(
            (i, i + 1) for i, (a, b) in enumerate(pairwise(self.items)) if (a.input, a.shape) == (b.input, b.shape)
        )

    @cached_property
    def alike_inputs(self) -> tuple[tuple[int, int], ...]:
        """First items of neighbouring inputs that are interchangeable as a whole.

        Both inputs belong to one stage, their items have equal shapes in order, and no other input shares an
        element with either: nothing but equal inputs ties items together.
        """
        groups = (list(members) for _, members in groupby(range(len(self.items)), key=lambda i: self.items[i].input))
        alone = sorted(filter(self._is_alone, groups), key=self._profile)
        return tuple((a[0], b[0]) for a, b in pairwise(alone) if self._profile(a)[:2] == self._profile(b)[:2])

    def _is_alone(self, group: list[int]) -> bool:
        key = self.items[group[0]].input
        return not any(
            other.input != key and other.stage == key[0] and other.shares_input(self.items[member])
            for member in group
            for other in self.items
        )

    def _profile(self, group: list[int]) -> tuple[int, list[tuple[int, int]], int]:
        return (self.items[group[0]].stage, [self.items[i].shape for i in group], group[0])

    def conversions(self, columns: int) -> int:
        """v of `columns` grid columns where any converter reads any column."""
        hardware = self.problem.hardware
        return fewest_conversions(hardware, columns * self.col_unit * hardware.columns_per_weight)

    @cached_property
    def converter_columns(self) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        """Physical columns that each converter reads of each grid column; shape (converters, columns)."""
        hardware = self.problem.hardware
        converters, width = hardware.adc.per_array, hardware.columns_per_weight
        physical = np.arange(self.cols * width)
        table = np.zeros((converters, self.cols), dtype=np.int64)
        np.add.at(table, (converter_of(hardware, physical), physical // width), 1)
        return table

    @cached_property
    def most_conversions(self) -> int:
        """v of an activation that reads a whole array."""
        hardware = self.problem.hardware
        return int(busiest_of_run(hardware, 0, self.cols * self.col_unit * hardware.columns_per_weight))

    @cached_property
    def most_cycles(self) -> int:
        """No activation takes longer."""
        return max(self.cycles(height, self.most_conversions) for height in {item.height for item in self.items})

    @cached_property
    def gap_cycles(self) -> tuple[int, ...]:
        """The gap before each stage, and the tail after the last one: constants, as no row is cut."""
        gaps = least_gaps(self.problem)
        return (*(gap.cycles for gap in gaps.before), gaps.last_tail.cycles)

    def cycles(self, height: int, conversions: int) -> int:
        """Duration of an activation whose tallest read column has `height` grid rows."""
        return int(self.problem.hardware.activation_cycles(height * self.row_unit, conversions))


def why_not_exact(problem: Problem) -> str | None:
    """The reason why `problem` is out of the exact solver's reach, or None."""
    if (reason := why_not_modelled(problem)) is not None:
        return reason
    items = count_items(problem)
    instance = build_instance(problem)
    if instance.rows_active is not None and items * instance.rows > CELLS_MAX:
        return f"{items} items x {instance.rows} rows to count driven rows in are more than {CELLS_MAX}"
    if problem.hardware.adc.wiring != "any" and items * instance.cols > CELLS_MAX:
        return f"{items} items x {instance.cols} columns to count conversions in are more than {CELLS_MAX}"
    return None


def build_instance(problem: Problem) -> Instance:
    """The items of `problem`, and the coarsest grid that loses nothing."""
    table = problem.table
    row_unit = math.gcd(*map(int, table.block_rows))
    col_unit = 1
    if problem.cut == "none" and problem.hardware.adc.wiring == "any":
        col_unit = math.gcd(*map(int, table.block_cols))
    items = [
        Item(
            factor=factor.id,
            block=block,
            col0=col0,
            cols=cols,
            stage=factor.stage,
            vector=factor.input,
            first=block * factor.block_rows // row_unit,
            height=factor.block_rows // row_unit,
            width=cols // col_unit,
        )
        for factor in problem.workload.factors
        for cols in [1 if problem.cut == "columns" else factor.block_cols]
        for block in range(factor.blocks)
        for col0 in range(0, factor.block_cols, cols)
    ]
    items.sort(key=lambda item: (item.input, item.shape, item.factor, item.block, item.col0))
    return Instance(problem, tuple(items), row_unit, col_unit)
