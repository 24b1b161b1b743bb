"""Constraints that follow from the rules of `rules.py`: they cut no mapping off and help the proof.

Without them the solver hardly proves anything: it does not see by itself that a stage's work must fit its
time, or that a full array lets no two inputs fire together.
"""

from __future__ import annotations

from ortools.sat.python import cp_model

from cimsolve.solve.exact.items import Item
from cimsolve.solve.exact.variables import Variables


def columns_hold_their_rows(v: Variables) -> None:
    """The heights in every column sum to at most R, the widths in every row to at most all columns."""
    widths = [v.model.new_fixed_size_interval_var(v.x[i], item.width, f"x {i}") for i, item in v.items()]
    heights = [v.model.new_fixed_size_interval_var(v.row[i], item.height, f"y {i}") for i, item in v.items()]
    v.model.add_cumulative(widths, [item.height for _, item in v.items()], v.instance.rows)
    v.model.add_cumulative(heights, [item.width for _, item in v.items()], v.arrays * v.instance.cols)
    cells = v.instance.rows * v.instance.cols
    for a in range(v.arrays):
        v.model.add(sum(item.height * item.width * v.on[i][a] for i, item in v.items()) <= cells)


def stages_hold_their_work(v: Variables) -> None:
    """All cycles of a stage fit its time on all arrays; an activation takes `base` and a share for each item.

    base = cycles of no column, share(h) = min over n >= h and columns c of (cycles(n, c) - base) / c: an
    activation of n rows takes base + share(n) * c or more, and share(n) >= share(h) for each of its items.
    """
    scale = 1000
    instance = v.instance
    for s, stage_cycles in enumerate(v.stage_cycles):
        members = [(i, item) for i, item in v.items() if item.stage == s]
        if not members:
            continue
        v.model.add(sum(v.cycles[i] for i, _ in members) <= v.arrays * stage_cycles)
        heights = {item.height for _, item in members}
        base = min(instance.cycles(height, 0) for height in heights)
        share = {
            h: min(
                (instance.cycles(n, instance.conversions(c)) - base) * scale // c
                for n in heights
                if n >= h
                for c in range(1, instance.cols + 1)
            )
            for h in heights
        }
        for leader, _ in members:
            shares = sum(share[item.height] * item.width * fired for _, item, fired in v.led_by(leader))
            v.model.add(scale * v.cycles[leader] >= scale * base * v.leads[leader, leader] + shares)


def activations_fit_their_array(v: Variables) -> None:
    """The heights of an activation's inputs sum to at most R, the widths of its items to at most L.

    Inputs without a common element drive different rows (S2), items fired together other columns (S3).
    """
    by_input: dict[tuple[int, int, int], list[int]] = {}
    for i, item in v.items():
        by_input.setdefault(item.input, []).append(i)
    for leader, item in v.items():
        leads = v.leads[leader, leader]
        v.model.add(v.columns[leader] <= v.instance.cols * leads)
        heights: list[cp_model.LinearExprT] = []
        taken: list[Item] = []
        for members in by_input.values():
            first = v.instance.items[members[0]]
            firing = [v.leads[leader, i] for i in members if (leader, i) in v.leads]
            if first.stage == item.stage and firing and not any(first.shares_input(other) for other in taken):
                fires = v.model.new_bool_var(f"activation {leader} takes input of {members[0]}")
                v.model.add_bool_or([*firing, ~fires])
                for fired in firing:
                    v.model.add_implication(fired, fires)
                taken.append(first)
                heights.append(min(v.instance.items[i].height for i in members) * fires)
        v.model.add(sum(heights) <= v.instance.rows * leads)


def merging_needs_empty_cells(v: Variables) -> None:
    """Items i, j of one activation, in rows of their own, leave h_i * w_j + h_j * w_i cells empty (S3).

    Seen from its leader l, an activation leaves h_l * w_j empty for each item j in other rows.
    """
    instance = v.instance
    cells = instance.rows * instance.cols
    areas = [item.height * item.width for _, item in v.items()]
    most_free = max(0, v.arrays * cells - sum(areas))
    free = [v.model.new_int_var(0, min(cells, most_free), f"empty cells of array {a}") for a in range(v.arrays)]
    for a, empty in enumerate(free):
        v.model.add(empty == cells - sum(area * on[a] for area, on in zip(areas, v.on, strict=True)))
    for i, j in v.same_stage():
        one, other = instance.items[i], instance.items[j]
        need = one.height * other.width + other.height * one.width
        apart = [v.together[i, j], ~v.in_rows(i, j)]
        if need > min(cells, most_free):
            v.model.add_bool_or([~literal for literal in apart])
            continue
        for a, empty in enumerate(free):
            v.model.add(empty >= need).only_enforce_if([*apart, v.on[i][a]])
    for leader, item in v.items():
        strangers = [other.width * fired for _, other, fired in v.led_by(leader) if not item.shares_input(other)]
        if strangers:
            v.model.add(item.height * sum(strangers) <= most_free)
