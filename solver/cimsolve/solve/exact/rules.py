"""Placement and schedule of a small problem as one CP-SAT model: a function for each rule of the formulation.

Item i lies on array a_i, in columns c_i ... of it and rows y_i ...; the arrays stand side by side, array a at
x = a*L, so that one two-dimensional no-overlap covers them all. Activations bear the number of their first
item: `leads[l, i]` says that the activation of item l fires item i. Everything is in the grid units of
`exact_items`.

Why the symmetry rules agree with each other: the renumberings of arrays, of items alike and of inputs alike
form one group that maps legal mappings to legal ones of equal cost. Among all images of a mapping take the
one whose vector (key_0, key_1, ...), key_i = (a_i, c_i, y_i), is lexicographically least. No renumbering
makes it smaller, so it obeys each rule. Columns are never renumbered: the wiring may tell them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from ortools.sat.python import cp_model

from cimsolve.solve.exact.implied import (
    activations_fit_their_array,
    columns_hold_their_rows,
    merging_needs_empty_cells,
    stages_hold_their_work,
)
from cimsolve.solve.exact.items import Instance
from cimsolve.solve.exact.variables import Variables, make_variables

Rule = Callable[[Variables], None]
Literals = list[cp_model.IntVar]


# Placement


def p1_cover(v: Variables) -> None:
    """P1: every column of every block lies on exactly one array: sum_a on[i, a] = 1."""
    for on in v.on:
        v.model.add_exactly_one(on)


def p2_inside(v: Variables) -> None:
    """P2: c_i + w_i <= L and y_i + h_i <= R."""
    for i, item in v.items():
        v.model.add(v.col[i] + item.width <= v.instance.cols)
        v.model.add(v.row[i] + item.height <= v.instance.rows)


def p3_apart(v: Variables) -> None:
    """P3: no two of the rectangles [x_i, x_i + w_i) x [y_i, y_i + h_i) overlap."""
    v.model.add_no_overlap_2d(
        [v.model.new_fixed_size_interval_var(v.x[i], item.width, f"width {i}") for i, item in v.items()],
        [v.model.new_fixed_size_interval_var(v.row[i], item.height, f"height {i}") for i, item in v.items()],
    )


def s6_array_count(v: Variables) -> None:
    """S6: a_i < array limit."""
    for array in v.array:
        v.model.add(array < v.array_limit)


# Schedule


def s1_once(v: Variables) -> None:
    """S1: every item fires in exactly one activation, whose leader fires too: leads[l, i] <= leads[l, l]."""
    for i, _ in v.items():
        v.model.add_exactly_one(v.leads[pair] for pair in v.leads if pair[1] == i)
    for leader, i in v.leads:
        v.model.add_implication(v.leads[leader, i], v.leads[leader, leader])


def s1_on_one_array(v: Variables) -> None:
    """An activation is a firing of one array: leads[l, i] and on[l, a] => on[i, a]."""
    for leader, i in v.leads:
        for a in range(v.arrays):
            v.model.add_bool_or([~v.leads[leader, i], ~v.on[leader][a], v.on[i][a]])


def s2_same_input(v: Variables) -> None:
    """S2: fired together and sharing a row => y_i - y_j = first_i - first_j of one vector.

    Row r of the array takes element first_i + r - y_i for item i; items without a common element share no
    row.
    """
    items = v.instance.items
    for i, j in v.same_stage():
        both = [v.together[i, j], v.in_rows(i, j)]
        if items[i].shares_input(items[j]):
            v.model.add(v.row[i] - v.row[j] == items[i].first - items[j].first).only_enforce_if(both)
        else:
            v.model.add_bool_or([~literal for literal in both])


def s3_clean_columns(v: Variables) -> None:
    """S3: the cells (rows of j) x (columns of i) of items fired together hold nothing beside i.

    Without row cuts every item makes outputs of its own, so whatever else lies there, j itself or a third
    item, fired or not, would add to a column that i reads.
    """
    for pair in v.same_stage():
        for i, j in (pair, pair[::-1]):
            v.model.add_implication(v.together[pair], ~v.in_cols(i, j))
            for k, _ in v.items():
                if k not in pair:
                    v.model.add_bool_or([~v.together[pair], ~v.in_cols(k, i), ~v.in_rows(k, j)])


def s4_one_at_a_time(v: Variables) -> None:
    """S4: an array fires a stage's activations in turn: sum of cycles_on[l, a] <= stage_cycles[s]."""
    for s, cycles in enumerate(v.stage_cycles):
        leaders = [i for i, item in v.items() if item.stage == s]
        for a in range(v.arrays):
            v.model.add(sum(v.cycles_on[leader][a] for leader in leaders) <= cycles)


def s5_dataflow(v: Variables) -> None:
    """S5: start_s >= start_(s-1) + cycles_(s-1) + gap_s. Gaps are constants, as no row is cut."""
    gaps = v.instance.gap_cycles
    for s in range(1, v.instance.stages):
        v.model.add(v.stage_start[s] >= v.stage_start[s - 1] + v.stage_cycles[s - 1] + gaps[s])


def s6_rows_active(v: Variables) -> None:
    """S6: an activation drives at most `rows_active_max` rows, each counted once."""
    limit = v.instance.rows_active
    if limit is None:
        return
    starts = _starts(v, v.row, v.instance.rows, "row")
    for leader, _ in v.items():
        driven = [v.model.new_bool_var(f"activation {leader} drives row {r}") for r in range(v.instance.rows)]
        v.model.add(sum(driven) <= limit)
        for i, item, fired in v.led_by(leader):
            _cover(v, fired, starts[i], item.height, driven)


# Definitions


def items_meet_or_not(v: Variables) -> None:
    """Exactly one of: i ends before j starts, j ends before i starts, they meet; in rows and in columns."""
    for start, size, meet in (
        (v.row, [item.height for _, item in v.items()], v.rows_meet),
        (v.x, [item.width for _, item in v.items()], v.cols_meet),
    ):
        for (i, j), both in meet.items():
            before, after = v.model.new_bool_var(f"{i} < {j}"), v.model.new_bool_var(f"{i} > {j}")
            v.model.add_exactly_one(before, after, both)
            v.model.add(start[i] + size[i] <= start[j]).only_enforce_if(before)
            v.model.add(start[j] + size[j] <= start[i]).only_enforce_if(after)
            v.model.add(start[i] + size[i] > start[j]).only_enforce_if(both)
            v.model.add(start[j] + size[j] > start[i]).only_enforce_if(both)


def items_lie_on_their_array(v: Variables) -> None:
    """a_i = sum_a a * on[i, a];  x_i = a_i * L + c_i;  used = max a_i + 1."""
    for i, _ in v.items():
        v.model.add(v.array[i] == sum(a * on for a, on in enumerate(v.on[i])))
        v.model.add(v.x[i] == v.array[i] * v.instance.cols + v.col[i])
    v.model.add_max_equality(v.used, [array + 1 for array in v.array])


def activations_unite(v: Variables) -> None:
    """together[i, j] <=> some l leads both."""
    for i, j in v.same_stage():
        together = v.together[i, j]
        v.model.add_implication(v.leads[i, j], together)
        for leader in range(i + 1):
            if (leader, i) in v.leads:
                of_i, of_j = v.leads[leader, i], v.leads[leader, j]
                v.model.add_bool_or([~of_i, ~of_j, together])
                v.model.add_bool_or([~of_i, of_j, ~together])
                v.model.add_bool_or([of_i, ~of_j, ~together])


def activations_read_and_stack(v: Variables) -> None:
    """Columns of an activation: the sum of its items' widths (S3 keeps them apart). n: its tallest item."""
    for leader, _ in v.items():
        v.model.add(v.columns[leader] == sum(item.width * fired for _, item, fired in v.led_by(leader)))
        v.model.add_max_equality(v.tallest[leader], [item.height * fired for _, item, fired in v.led_by(leader)])


def conversions_follow_wiring(v: Variables) -> None:
    """v = ceil(columns * w / A) where any converter reads any column, else the most on one converter."""
    instance = v.instance
    if instance.problem.hardware.adc.wiring == "any":
        table = [instance.conversions(columns) for columns in range(instance.cols + 1)]
        for columns, conversions in zip(v.columns, v.conversions, strict=True):
            v.model.add_element(columns, table, conversions)
        return
    starts = _starts(v, v.col, instance.cols, "column")
    for leader, _ in v.items():
        reads = [v.model.new_bool_var(f"activation {leader} reads column {c}") for c in range(instance.cols)]
        v.model.add(sum(reads) <= v.columns[leader])
        for i, item, fired in v.led_by(leader):
            _cover(v, fired, starts[i], item.width, reads)
        loads = [sum(int(n) * reads[c] for c, n in enumerate(row) if n) for row in instance.converter_columns]
        v.model.add_max_equality(v.conversions[leader], loads)


def _starts(v: Variables, at: Sequence[cp_model.IntVar], count: int, what: str) -> list[Literals]:
    """starts[i][p] <=> at_i = p, for p < count rows or columns."""
    starts = [[v.model.new_bool_var(f"item {i} starts at {what} {p}") for p in range(count)] for i, _ in v.items()]
    for start, place in zip(starts, at, strict=True):
        v.model.add_exactly_one(start)
        v.model.add(sum(p * here for p, here in enumerate(start)) == place)
    return starts


def _cover(v: Variables, fired: cp_model.IntVar, start: Literals, size: int, covered: Literals) -> None:
    """fired and start[p] => covered[p] ... covered[p + size - 1].

    Rules left out may let an item hang out of its array; it then covers what is there.
    """
    for p, here in enumerate(start):
        for each in covered[p : p + size]:
            v.model.add_bool_or([~fired, ~here, each])


def activations_take_time(v: Variables) -> None:
    """cycles[l] by the cost model from (n, v), 0 where l leads none; cycles_on[l, a] where it does."""
    instance = v.instance
    for leader, item in v.items():
        heights = {other.height for other in instance.items if other.stage == item.stage}
        rows = [(0, 0, 0)] + [
            (height, conversions, instance.cycles(height, conversions))
            for height in sorted(heights)
            for conversions in range(1, instance.most_conversions + 1)
        ]
        v.model.add_allowed_assignments([v.tallest[leader], v.conversions[leader], v.cycles[leader]], rows)
        for on, cycles in zip(v.on[leader], v.cycles_on[leader], strict=True):
            v.model.add(cycles == v.cycles[leader]).only_enforce_if(on)
            v.model.add(cycles == 0).only_enforce_if(~on)


def end_follows_stages(v: Variables) -> None:
    """end = max over stages of start + cycles."""
    ends = [start + cycles for start, cycles in zip(v.stage_start, v.stage_cycles, strict=True)]
    v.model.add_max_equality(v.end, ends)


# Symmetry, see the module's docstring


def arrays_in_order(v: Variables) -> None:
    """Arrays are numbered as the items first use them: on[j, a] => some i < j lies on a - 1."""
    for j, _ in v.items():
        for a in range(1, v.arrays):
            v.model.add_bool_or([~v.on[j][a], *(v.on[i][a - 1] for i in range(j))])


def items_alike_in_order(v: Variables) -> None:
    """key_i <= key_j for neighbours alike, key = x * R + y."""
    for i, j in v.instance.alike:
        v.model.add(_key(v, i) <= _key(v, j))


def inputs_alike_in_order(v: Variables) -> None:
    """key_i <= key_j for the first items of inputs alike."""
    for i, j in v.instance.alike_inputs:
        v.model.add(_key(v, i) <= _key(v, j))


def _key(v: Variables, i: int) -> cp_model.LinearExprT:
    return v.x[i] * v.instance.rows + v.row[i]


PLACEMENT_RULES: tuple[Rule, ...] = (p1_cover, p2_inside, p3_apart, s6_array_count)

RULES: tuple[Rule, ...] = (
    *PLACEMENT_RULES,
    s1_once,
    s1_on_one_array,
    s2_same_input,
    s3_clean_columns,
    s4_one_at_a_time,
    s5_dataflow,
    s6_rows_active,
)

SCHEDULE_DEFINITIONS: tuple[Rule, ...] = (
    items_meet_or_not,
    activations_unite,
    activations_read_and_stack,
    conversions_follow_wiring,
    activations_take_time,
    end_follows_stages,
)

SYMMETRY: tuple[Rule, ...] = (arrays_in_order, items_alike_in_order, inputs_alike_in_order)


def build_model(
    instance: Instance, arrays: int, *, placement_only: bool = False, without: Collection[str] = ()
) -> Variables:
    """The model of `instance` on at most `arrays` arrays.

    `without` names functions of RULES and SYMMETRY to leave out: the tests prove with it that each rule is
    needed and that no symmetry rule costs anything. What is only implied by the rules goes with the first
    rule left out.
    """
    known = {rule.__name__ for rule in RULES + SYMMETRY}
    assert known.issuperset(without), f"{set(without) - known} are no rules"
    slots = len(instance.items) if s6_array_count.__name__ in without else min(arrays, len(instance.items))
    variables = make_variables(instance, slots, arrays, scheduled=not placement_only)
    implied: tuple[Rule, ...] = (columns_hold_their_rows,)
    if placement_only:
        rules = (items_lie_on_their_array, *PLACEMENT_RULES)
    else:
        rules = (items_lie_on_their_array, *SCHEDULE_DEFINITIONS, *RULES)
        implied += (stages_hold_their_work, activations_fit_their_array, merging_needs_empty_cells)
    if all(rule.__name__ not in without for rule in RULES):
        rules += implied
    for rule in rules + SYMMETRY:
        if rule.__name__ not in without:
            rule(variables)
    return variables
