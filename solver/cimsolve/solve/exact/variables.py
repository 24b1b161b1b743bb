"""The variables of the exact solver's model, in one container."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from ortools.sat.python import cp_model

from cimsolve.solve.exact.items import Instance, Item

Pair = tuple[int, int]


@dataclass(frozen=True)
class Variables:
    """The model and its variables; i, j are items, l one that leads an activation, a an array, s a stage."""

    instance: Instance
    model: cp_model.CpModel
    scheduled: bool
    """Whether the schedule's rules are there too; without them the variables from `leads` on mean nothing."""
    arrays: int
    """Arrays there are variables for."""
    array_limit: int
    """Most arrays that may be used (S6)."""
    array: list[cp_model.IntVar]
    """[i]: the array of item i."""
    on: list[list[cp_model.IntVar]]
    """[i][a]: item i lies on array a."""
    col: list[cp_model.IntVar]
    """[i]: first column in its array."""
    row: list[cp_model.IntVar]
    """[i]: first row in its array."""
    x: list[cp_model.IntVar]
    """[i]: first column over all arrays, array * L + col."""
    rows_meet: dict[Pair, cp_model.IntVar]
    """[i, j], i < j: some row number is taken by both, be it on different arrays."""
    cols_meet: dict[Pair, cp_model.IntVar]
    """[i, j], i < j: some column is taken by both, on the same array."""
    leads: dict[Pair, cp_model.IntVar]
    """[l, i], l <= i of one stage: item i fires in the activation that item l leads."""
    together: dict[Pair, cp_model.IntVar]
    """[i, j], i < j of one stage: both fire in one activation."""
    columns: list[cp_model.IntVar]
    """[l]: columns read; 0 where l leads none, as the three below."""
    tallest: list[cp_model.IntVar]
    """[l]: most occupied driven rows of a read column: n of the activation."""
    conversions: list[cp_model.IntVar]
    """[l]: columns on the busiest converter, v."""
    cycles: list[cp_model.IntVar]
    """[l]: cycles of the activation."""
    cycles_on: list[list[cp_model.IntVar]]
    """[l][a]: the cycles if on array a, else 0."""
    stage_start: list[cp_model.IntVar]
    """[s]: cycle in which the stage may start."""
    stage_cycles: list[cp_model.IntVar]
    """[s]: time in which every array can fire its activations of the stage."""
    used: cp_model.IntVar
    """Arrays used."""
    end: cp_model.IntVar
    """End of the last stage, the gaps between stages included."""

    def items(self) -> Iterator[tuple[int, Item]]:
        return enumerate(self.instance.items)

    def led_by(self, leader: int) -> Iterator[tuple[int, Item, cp_model.IntVar]]:
        """Items that may fire in the activation of `leader`, with their `leads`."""
        return ((i, item, self.leads[leader, i]) for i, item in self.items() if (leader, i) in self.leads)

    def same_stage(self) -> Iterator[Pair]:
        """Pairs i < j that could fire together."""
        return iter(self.together)

    def in_rows(self, i: int, j: int) -> cp_model.IntVar:
        return self.rows_meet[min(i, j), max(i, j)]

    def in_cols(self, i: int, j: int) -> cp_model.IntVar:
        return self.cols_meet[min(i, j), max(i, j)]


def make_variables(instance: Instance, arrays: int, array_limit: int, scheduled: bool) -> Variables:
    """All variables with their widest domains."""
    model = cp_model.CpModel()
    items = instance.items
    number = range(len(items))
    pairs = list(combinations(number, 2))
    alike_stage = [(i, j) for i, j in pairs if items[i].stage == items[j].stage]
    longest = instance.most_cycles

    def integers(count: int, top: int, name: str) -> list[cp_model.IntVar]:
        return [model.new_int_var(0, top, f"{name} {i}") for i in range(count)]

    def booleans(keys: list[Pair], name: str) -> dict[Pair, cp_model.IntVar]:
        return {key: model.new_bool_var(f"{name} {key}") for key in keys}

    n, stages = len(items), instance.stages
    least_of_stage = instance.least_stage_cycles
    most_of_stage = [
        max(least, longest * sum(item.stage == s for item in items)) for s, least in enumerate(least_of_stage)
    ]
    horizon = sum(most_of_stage) + sum(instance.gap_cycles)
    return Variables(
        instance=instance,
        model=model,
        scheduled=scheduled,
        arrays=arrays,
        array_limit=array_limit,
        array=integers(n, arrays - 1, "array of"),
        on=[[model.new_bool_var(f"item {i} on {a}") for a in range(arrays)] for i in number],
        col=integers(n, instance.cols - 1, "col of"),
        row=integers(n, instance.rows - 1, "row of"),
        x=integers(n, arrays * instance.cols - 1, "x of"),
        rows_meet=booleans(pairs, "rows meet"),
        cols_meet=booleans(pairs, "cols meet"),
        leads=booleans([(i, i) for i in number] + alike_stage, "leads"),
        together=booleans(alike_stage, "together"),
        columns=integers(n, instance.cols, "columns of"),
        tallest=integers(n, instance.rows, "tallest of"),
        conversions=integers(n, instance.most_conversions, "conversions of"),
        cycles=integers(n, longest, "cycles of"),
        cycles_on=[integers(arrays, longest, f"cycles of {i} on") for i in number],
        stage_start=integers(stages, horizon, "start of stage"),
        stage_cycles=[
            model.new_int_var(least, most, f"cycles of stage {s}")
            for s, (least, most) in enumerate(zip(least_of_stage, most_of_stage, strict=True))
        ],
        used=model.new_int_var(1, arrays, "arrays used"),
        end=model.new_int_var(0, horizon, "end"),
    )
