"""What is drawn, counted by hand on tiny solutions and held to the metrics on a whole model."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cimsolve
from cimsolve.errors import CheckError
from cimsolve.problem.solution import Solution
from cimsolve.show.seen.comparison import bound_rows, compare, status_of
from cimsolve.show.seen.judged import Judged, judge, labels_of
from cimsolve.show.seen.kinds import KINDS_MAX, OTHERS, find_kinds, kind_of_stage
from cimsolve.show.seen.occupancy import arrays_that_fit, find_arrays, find_pieces, representatives, typical_array
from cimsolve.show.seen.slots import converter_use, find_firings, find_slots, one_layer, time_in_slots, whole_pass
from cimsolve.show.seen.trace import find_trace, gap_starts, lanes_of_stages
from cimsolve.show.seen.waterfall import (
    ROWS_MAX,
    Waterfall,
    energy_by_component,
    energy_by_stage,
    latency_by_component,
    latency_by_stage,
)
from makers.builders import Row, answer, ask, chip, linears, pieces_of, step, with_header

# Two matrices of 4 x 4, the second cut into two halves, on two arrays of 8 x 8 with two converters each.
TWO = linears(step("a", (4, 4)), step("b", (4, 4)))
ROWS: tuple[Row, ...] = (
    (0, 0, 0, 4, 0, 4, 0, 0, 0),
    (1, 0, 0, 4, 0, 2, 0, 4, 4),
    (1, 0, 0, 4, 2, 2, 1, 0, 6),
)


@pytest.fixture
def solution() -> Solution:
    return answer(ask(TWO), pieces_of(*ROWS))


@pytest.fixture
def tiny(solution: Solution) -> Judged:
    return judge(solution, "tiny")


@pytest.fixture(scope="module")
def minilm() -> Judged:
    return judge(cimsolve.map_model("minilm-l6", "paper256", strategy="densemap"), "minilm")


# An activation of 4 rows needs 2 bits, so 2 ns a conversion, and takes two input phases: 4 columns on 2 converters
# take 2 * (3 + 2 * 2) = 14 cycles, 2 columns 2 * (3 + 2) = 10. A transfer of 4 elements of 2 bits takes 1 + 8/8 = 2.
# So `a` runs 0 ... 14, `b` 16 ... 26 on both arrays, and the result leaves at 28.


def test_arrays_by_hand(tiny: Judged) -> None:
    table = find_arrays(tiny)
    assert table.number.tolist() == [0, 1]
    assert table.cells.tolist() == [16 + 8, 8]
    assert table.busy_cycles.tolist() == [14 + 10, 10]
    assert table.pieces.tolist() == [2, 1]
    assert table.firings.tolist() == [2, 1]
    assert table.first_layer.tolist() == [0, 1]
    assert table.last_layer.tolist() == [1, 1]


def test_slots_by_hand(tiny: Judged) -> None:
    assert whole_pass(tiny) == (0, 26)
    slots = find_slots(tiny, 0, 26, slots_max=13)  # two cycles each
    assert slots.members.tolist() == [0, 1]
    assert slots.arrays_per_row == 1
    assert slots.busy[0].tolist() == [1.0] * 7 + [0.0] + [1.0] * 5
    assert slots.busy[1].tolist() == [0.0] * 8 + [1.0] * 5
    # Every firing fills its rounds of both converters: 4 columns in 2 rounds, 2 columns in 1.
    assert converter_use(tiny).tolist() == [1.0, 1.0, 1.0]
    assert slots.converters_in_all.tolist() == [0.5] * 7 + [0.0] + [1.0] * 5


def test_an_array_is_drawn_to_fire_as_many_experts_as_a_token_does() -> None:
    """Three experts on one array, of which two are chosen: two in turn, and no converter twice at once."""
    members = [{"name": f"e{number}", "n_in": 4, "n_out": 4, "expert": number} for number in range(3)]
    steps = [{"name": "up", "linears": members, "experts": {"stored": 3, "chosen": 2}}]
    problem = ask({"model_type": "linears", "steps": steps}, "dense", chip(array__rows=16))
    seen = judge(cimsolve.map_model(problem.model, problem.hardware, structure="dense", strategy="spread"), "experts")
    assert len(seen.array_numbers) == 1
    length = seen.costs.stages.end[0]
    slots = find_slots(seen, 0, length)
    assert slots.busy.max() <= 1
    assert find_arrays(seen).busy_cycles.tolist() == [length]
    assert find_trace(seen, 100).firings.sum() == 2


def test_slots_of_a_window_show_the_arrays_that_fire_in_it(tiny: Judged) -> None:
    slots = find_slots(tiny, 0, 10, slots_max=5)
    assert slots.members.tolist() == [0]
    assert slots.busy.tolist() == [[1.0] * 5]
    assert slots.converters_in_all.tolist() == [0.5] * 5  # of the converters of both arrays
    assert tiny.array_of_activation[find_firings(tiny, 0, 10)].tolist() == [0]
    assert tiny.solution.activations.start[find_firings(tiny, 20, 26)].tolist() == [16, 16]


def test_converters_left_idle_are_seen() -> None:
    # 3 columns on 2 converters take 2 rounds of 2 conversions, of which 3 are needed.
    problem = ask(linears(step("a", (4, 3))))
    judged = judge(answer(problem, pieces_of((0, 0, 0, 4, 0, 3, 0, 0, 0))), "three")
    assert converter_use(judged).tolist() == [0.75]


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40), st.integers(1, 30)), min_size=1, max_size=20),
    st.integers(1, 17),
)
@settings(max_examples=60)
def test_time_in_slots_is_that_of_a_count_cycle_by_cycle(intervals: list[tuple[int, int, int]], slots: int) -> None:
    row, start, length = (np.array(column) for column in zip(*intervals, strict=True))
    edges = np.linspace(5, 56, slots + 1)
    found = time_in_slots(row, start, start + length, np.ones(len(row)), edges, 3)
    expected = np.zeros((3, slots))
    for r, s, n in intervals:
        expected[r] += np.maximum(0, np.minimum(edges[1:], s + n) - np.maximum(edges[:-1], s))
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_latency_by_hand(tiny: Judged) -> None:
    table = latency_by_stage(tiny, find_kinds(tiny.problem))
    assert table.labels == ("a", "b", "end of pass")
    assert {role: values.tolist() for role, values in table.parts.items()} == {
        "arrays": [14, 10, 0],
        "between": [0, 2, 2],
    }
    components = latency_by_component(tiny)
    assert dict(zip(components.labels, components.lengths.tolist(), strict=True)) == {"arrays fire": 24, "transfers": 4}


def test_stages_side_by_side_add_what_they_last_longer() -> None:
    # `c` reads `a` as `b` does, and is a larger matrix on an array of its own: both start at once, `c` ends later.
    config = linears(step("a", (4, 4)), step("b", (4, 2), reads=["a"]), step("c", (4, 8), reads=["a"]))
    rows: list[Row] = [(0, 0, 0, 4, 0, 4, 0, 0, 0), (1, 0, 0, 4, 0, 2, 1, 0, 0), (2, 0, 0, 4, 0, 8, 2, 0, 0)]
    hardware = chip(transfer__base_ns=0, transfer__bits_per_ns=1e9)
    judged = judge(answer(ask(config, hardware=hardware), pieces_of(*rows)), "branches")
    table = latency_by_stage(judged, find_kinds(judged.problem))
    added = dict(zip(table.labels, table.lengths.tolist(), strict=True))
    stages = judged.costs.stages
    assert added["c"] == stages.end[2] - stages.end[1]
    assert table.total == judged.costs.metrics["latency_ns"]
    assert lanes_of_stages(judged).tolist() == [0, 0, 1]


@pytest.mark.parametrize("name", ["tiny", "minilm"])
def test_every_waterfall_sums_to_its_metric(name: str, request: pytest.FixtureRequest) -> None:
    judged: Judged = request.getfixturevalue(name)
    kinds, metrics = find_kinds(judged.problem), judged.costs.metrics
    for table in (latency_by_component(judged), latency_by_stage(judged, kinds)):
        assert table.total == pytest.approx(metrics["latency_ns"], rel=1e-12)
    for table in (energy_by_component(judged), energy_by_stage(judged, kinds)):
        assert table.total == pytest.approx(metrics["energy_pj"], rel=1e-12)
        in_arrays = float(table.parts["arrays"].sum())
        assert in_arrays == pytest.approx(metrics["array_energy_pj"], rel=1e-12)


def test_two_passes_sum_too() -> None:
    judged = judge(cimsolve.map_model("bart-large", "paper256", strategy="spread"), "bart")
    kinds = find_kinds(judged.problem)
    assert latency_by_stage(judged, kinds).total == pytest.approx(judged.costs.metrics["latency_ns"], rel=1e-12)
    assert energy_by_stage(judged, kinds).total == pytest.approx(judged.costs.metrics["energy_pj"], rel=1e-12)


def test_many_kinds_are_folded_and_keep_their_sum() -> None:
    config = linears(*(step(f"s{index}", (2, 2)) for index in range(30)))
    rows: list[Row] = [(index, 0, 0, 2, 0, 2, index, 0, 0) for index in range(30)]
    judged = judge(answer(ask(config), pieces_of(*rows)), "many")
    kinds = find_kinds(judged.problem)
    assert len(kinds.names) == KINDS_MAX
    assert kinds.names[-1] == OTHERS
    assert kinds.of_stage.tolist() == [*range(8), *[8] * 22]
    table = latency_by_stage(judged, kinds)
    assert len(table.labels) <= ROWS_MAX + 1
    assert table.total == judged.costs.metrics["latency_ns"]


def test_metrics_are_met_by_the_sums_over_arrays(minilm: Judged) -> None:
    table, metrics = find_arrays(minilm), minilm.costs.metrics
    cells = minilm.hardware.array.rows * minilm.hardware.array.cols
    assert len(table) == metrics["arrays"]
    assert table.pieces.sum() == metrics["pieces"]
    assert table.firings.sum() == metrics["activations"]
    assert table.cells.sum() / (len(table) * cells) == pytest.approx(metrics["occupancy"])
    latency = metrics["latency_cycles"]
    assert table.busy_cycles.sum() / (len(table) * latency) == pytest.approx(metrics["array_busy_share"])
    assert table.busy_cycles.max() == metrics["array_ii_cycles"]
    start, end = whole_pass(minilm)
    slots = find_slots(minilm, start, end, rows_max=4)
    sizes = np.minimum(slots.arrays_per_row, len(table) - slots.arrays_per_row * np.arange(len(slots.busy)))
    busy = (slots.busy * np.diff(slots.edges)).sum(axis=1) * sizes
    assert busy.sum() == pytest.approx(table.busy_cycles.sum())
    columns = (converter_use(minilm) * minilm.costs.fired.conversions * minilm.hardware.adc.per_array).sum()
    assert columns * minilm.hardware.input_phases == pytest.approx(metrics["adc_conversions"])


def test_one_layer_is_the_second(minilm: Judged) -> None:
    kinds = find_kinds(minilm.problem)
    stages = minilm.costs.stages
    assert one_layer(minilm, kinds) == (1, stages.start[8], stages.end[15])


def test_a_chain_of_steps_has_no_layers(tiny: Judged) -> None:
    assert one_layer(tiny, find_kinds(tiny.problem)) is None


def test_kinds_of_a_family(minilm: Judged) -> None:
    kinds = find_kinds(minilm.problem)
    assert kinds.names == ("Q, K, V", "attention output", "feed-forward up", "feed-forward down")
    assert kinds.of_stage.tolist() == [0, 0, 1, 1, 2, 2, 3, 3] * 6
    assert kinds.second.tolist() == [False, True] * 24
    assert kinds.has_both.all()
    assert kinds.label(0, True) == "Q, K, V L"


def test_names_that_only_look_like_factors_stay_whole() -> None:
    config = linears(step("x.R", (2, 2)), step("x.L", (2, 2)))
    problem = ask(config)
    kinds = find_kinds(problem)
    assert kinds.names == ("x.R", "x.L")
    assert not kinds.second.any()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("layer12.qkv", "qkv"),
        ("encoder3.qkv", "qkv"),
        ("decoder.cross_kv", "cross_kv"),
        ("h.3.mlp", "h.*.mlp"),
        ("up", "up"),
    ],
)
def test_kind_of_a_stage(name: str, kind: str) -> None:
    assert kind_of_stage(name) == kind


# Four matrices of 2 x 2: arrays 3 and 9 hold one each at one place, array 5 two, of which one at that place.
LIKE: tuple[Row, ...] = (
    (0, 0, 0, 2, 0, 2, 3, 0, 0),
    (1, 0, 0, 2, 0, 2, 5, 0, 0),
    (2, 0, 0, 2, 0, 2, 5, 2, 2),
    (3, 0, 0, 2, 0, 2, 9, 0, 0),
)


def four() -> Judged:
    problem = ask(linears(*(step(f"s{index}", (2, 2)) for index in range(4))))
    return judge(answer(problem, pieces_of(*LIKE)), "four")


def test_arrays_of_one_layout_are_one_group() -> None:
    table = find_arrays(four())
    assert table.layout.tolist() == [0, 1, 0]  # the scheduler numbers arrays 3, 5 and 9 through: 0, 1, 2
    assert representatives(table, 8).tolist() == [0, 1]
    assert representatives(table, 1).tolist() == [0]
    assert typical_array(table) == 2


def test_arrays_keep_their_numbers_where_some_are_left_out() -> None:
    # A hand-made file may use arrays 4 and 7 alone; nothing may be drawn for those between.
    one = answer(ask(TWO), pieces_of(*ROWS))
    far = dataclasses.replace(
        one,
        pieces=dataclasses.replace(one.pieces, array=one.pieces.array * 3 + 4),
        activations=dataclasses.replace(one.activations, array=one.activations.array * 3 + 4),
    )
    judged = judge(far, "far")
    assert find_arrays(judged).number.tolist() == [4, 7]
    assert find_pieces(judged, np.array([1])).start.tolist() == [16]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(1, 400))
@settings(max_examples=80)
def test_arrays_that_fit(load: list[int], most: int) -> None:
    loads = np.array(load)
    keep = arrays_that_fit(loads, most)
    assert keep.any()
    assert loads[keep].sum() <= most or keep.sum() == 1
    if loads.sum() <= most:
        assert keep.all()


def test_pieces_of_arrays(tiny: Judged) -> None:
    found = find_pieces(tiny, np.array([1, 0]))
    assert found.arrays.tolist() == [0, 1]
    assert found.first.tolist() == [0, 2, 3]
    pieces = found.pieces
    assert pieces.factor.tolist() == [0, 1, 1]
    assert pieces.col0.tolist() == [0, 0, 2]
    assert pieces.array_row.tolist() == [0, 4, 0]
    assert pieces.array_col.tolist() == [0, 4, 6]
    assert list(zip(found.start.tolist(), found.end.tolist(), strict=True)) == [(0, 14), (16, 26), (16, 26)]


def test_cells_are_physical() -> None:
    # Two bits in one-bit cells take two columns.
    problem = ask(linears(step("a", (4, 2))), hardware=chip(weight={"bits": 2, "signed": "none"}))
    judged = judge(answer(problem, pieces_of((0, 0, 0, 4, 0, 2, 0, 0, 1))), "wide")
    assert find_arrays(judged).cells.tolist() == [4 * 2 * 2]


def test_a_trace_has_every_firing(tiny: Judged) -> None:
    trace = find_trace(tiny, 10)
    assert list(zip(trace.array.tolist(), trace.start.tolist(), trace.end.tolist(), strict=True)) == [
        (0, 0, 14),
        (0, 16, 26),
        (1, 16, 26),
    ]
    assert trace.firings.tolist() == [1, 1, 1]
    assert (trace.arrays, trace.arrays_in_all) == (2, 2)
    assert gap_starts(tiny).tolist() == [0, 14]


def test_a_trace_that_is_too_long_has_runs_then_fewer_arrays(minilm: Judged) -> None:
    whole = find_trace(minilm, 10**9)
    assert len(whole.array) == minilm.costs.metrics["activations"]
    runs = find_trace(minilm, len(whole.array) - 1)
    assert len(runs.array) < len(whole.array)
    assert runs.arrays == runs.arrays_in_all
    assert runs.firings.sum() == whole.firings.sum()
    assert runs.pieces.sum() == minilm.costs.metrics["pieces"]
    assert (runs.end - runs.start).sum() == (whole.end - whole.start).sum()
    few = find_trace(minilm, len(runs.array) // 2)
    assert 0 < few.arrays < few.arrays_in_all
    assert len(few.array) <= len(runs.array) // 2


def test_nothing_that_fails_its_check_is_judged(solution: Solution) -> None:
    liar = with_header(solution, metrics={**solution.header.metrics, "arrays": 1})
    with pytest.raises(CheckError, match=r"^lies\.json: fails its check, nothing was drawn: metrics: "):
        judge(liar, "lies.json")


def test_bounds_beside_values(tiny: Judged) -> None:
    rows = {row.title: row for row in bound_rows(tiny)}
    assert (rows["arrays"].value_text, rows["arrays"].lower_text, rows["arrays"].gap_text) == ("2", "1", "100%")
    assert not rows["arrays"].proved
    latency = tiny.bounds.lower["latency_cycles"].value
    assert rows["token latency"].lower == latency
    assert rows["token latency"].gap == (28 - latency) / latency
    assert status_of(tiny) == "feasible"


def test_a_bound_by_search_is_not_drawn_as_checked(solution: Solution) -> None:
    claimed = solution.header.bounds["arrays"].model_copy(update={"lower": 2, "gap": 0.0, "proof": "search"})
    found = with_header(solution, bounds={**solution.header.bounds, "arrays": claimed}, status="optimal")
    judged = judge(found, "search")
    row = bound_rows(judged)[0]
    assert (row.lower_text, row.proved) == ("1", False)
    assert row.note == "a search claims 2, which is not checked"
    assert status_of(judged) == "optimal in arrays, by a search that is not checked"
    modest = with_header(found, status="feasible")
    assert status_of(judge(modest, "modest")) == "feasible"


def test_a_status_that_rests_on_no_search_stands(tiny: Judged) -> None:
    # Both halves of `b` on the one array fire after each other, 20 cycles instead of the 14 that they could take.
    one = answer(ask(TWO), pieces_of(ROWS[0], ROWS[1], (1, 0, 0, 4, 2, 2, 0, 4, 6)))
    latency = one.header.bounds["latency_cycles"]
    claimed = latency.model_copy(update={"lower": latency.value, "gap": 0.0, "proof": "search"})
    found = judge(with_header(one, bounds={**one.header.bounds, "latency_cycles": claimed}), "one")
    assert found.unverified == ("latency_cycles",)
    assert status_of(found) == "optimal in arrays"


def test_side_by_side_the_least_is_marked(tiny: Judged) -> None:
    whole = judge(answer(ask(TWO), pieces_of(ROWS[0], (1, 0, 0, 4, 0, 4, 0, 4, 4))), "whole")
    columns = {column.title: column for column in compare([tiny, whole])}
    assert [cell.text for cell in columns["arrays"].cells] == ["2", "1"]
    assert [cell.best for cell in columns["arrays"].cells] == [False, True]
    assert [cell.share for cell in columns["arrays"].cells] == [1.0, 0.5]
    assert [cell.best for cell in columns["token latency"].cells] == [True, False]
    assert not any(cell.best for cell in columns["cells used"].cells)  # fuller is not better in itself


def test_all_that_are_least_are_marked_and_none_where_all_are(tiny: Judged) -> None:
    whole = judge(answer(ask(TWO), pieces_of(ROWS[0], (1, 0, 0, 4, 0, 4, 0, 4, 4))), "whole")
    columns = {column.title: column for column in compare([whole, tiny, whole])}
    assert [cell.best for cell in columns["arrays"].cells] == [True, False, True]
    assert [cell.best for cell in columns["converter bits"].cells] == [False, False, False]


def test_the_bar_of_a_share_is_that_share(tiny: Judged) -> None:
    (used,) = [column for column in compare([tiny]) if column.title == "cells used"]
    assert used.cells[0].share == tiny.costs.metrics["occupancy"] < 1


def test_names_of_files_show_what_is_hidden_in_them(solution: Solution) -> None:
    names = ["left\u202eright\x07", "hid\u200bden é"]
    labels = labels_of([judge(solution, name) for name in names])
    assert labels == ["left\\u202eright\\x07", "hid\\u200bden é"]


def test_different_questions_have_no_best(tiny: Judged) -> None:
    other = judge(answer(ask(TWO, hardware=chip(read_ns=4)), pieces_of(*ROWS)), "other")
    assert not any(cell.best for column in compare([tiny, other]) for cell in column.cells)


def test_labels_differ(tiny: Judged, minilm: Judged) -> None:
    assert labels_of([tiny]) == ["by hand"]
    assert labels_of([tiny, minilm]) == ["tiny, rram256, by hand", "minilm-l6, paper256, densemap"]
    assert labels_of([tiny, dataclasses.replace(tiny, name="again")]) == ["tiny", "again"]
    assert labels_of([tiny, tiny]) == ["1: tiny", "2: tiny"]


def test_a_waterfall_adds_its_parts() -> None:
    table = Waterfall(("x", "y"), {"arrays": np.array([1.0, 2.0]), "between": np.array([0.5, -0.25])})
    assert table.lengths.tolist() == [1.5, 1.75]
    assert table.total == 3.25
