"""Columns cut and dealt: strips, shelves, dealing, making room, laying out."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest

from cimsolve.api import make_problem
from cimsolve.chip.settings import with_settings
from cimsolve.judge.check import check_solution
from cimsolve.pack.columns import ColumnPacking, Shelves, balanced_layout, pack_columns, widen_shelves
from cimsolve.price.cost import Metrics, evaluate
from cimsolve.price.schedule import schedule
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping
from cimsolve.prove import find_bounds
from cimsolve.solve.columns.batches import Batch, batches_of
from cimsolve.solve.columns.deal import ChainEffort, Dealt, StageIsFull, deal_strips, deal_within
from cimsolve.solve.columns.exchange import Exchange
from cimsolve.solve.columns.lay_out import lay_out, map_as_dealt, pack_exactly
from cimsolve.solve.columns.room import Durations, Room, Share, in_few_pieces, piece_widths
from cimsolve.solve.columns.spread import ColumnSpread
from cimsolve.solve.columns.strips import StripKind, cut_into_strips, ways_to_strips
from cimsolve.study.solving import make_solution, problem_for
from makers.builders import STILL, ask, chip, linears, step
from makers.medium_problems import MEDIUM
from makers.tiny_problems import tiny_problem


def measure(problem: Problem, mapping: Mapping) -> Metrics:
    return evaluate(*schedule(problem, mapping)).metrics


# Strips


def test_blocks_of_one_input_and_height_are_one_strip() -> None:
    problem = ask(linears(step("a", (4, 4), (4, 2), (4, 6))), {"a0": "2,2,1", "a1": "2,2,1", "a2": "dense"})
    first, second = cut_into_strips(problem, even=False)
    shared, dense = sorted(first, key=lambda kind: kind.height)
    assert (shared.height, shared.count, shared.edges, shared.cols) == (2, 2, (0, 2, 4), 4)
    assert (dense.height, dense.count, dense.edges) == (4, 1, (0, 6))
    assert [kind.edges for kind in second] == [(0, 2), (0, 1)]


def test_row_parts_are_full_or_even() -> None:
    problem = ask(linears(step("a", (10, 3))), "dense", chip(array__rows=4))
    heights = [[(kind.row0, kind.height) for kind in cut_into_strips(problem, even)[0]] for even in (True, False)]
    assert heights == [[(0, 4), (4, 3), (7, 3)], [(0, 4), (4, 4), (8, 2)]]


def test_the_way_on_fewest_arrays_comes_first() -> None:
    """152 rows on 96: 76 + 76 leaves gaps, 96 + 56 does not."""
    rest = step("b", (40, 96))
    problem = ask(linears(step("a", (152, 96)), rest), "dense", chip(array__rows=96, array__cols=96, adc__bits_max=4))
    problem = problem.asking(hardware=with_settings(problem.hardware, {"adc.lossy_allowed": "true"}))
    ways = ways_to_strips(problem)
    assert [packing.arrays for _, packing in ways] == [2, 3]
    assert sorted(kind.height for kind in ways[0][0][0]) == [56, 96]
    for stages, packing in ways:
        wanted: dict[int, int] = {}
        for kind in (kind for stage in stages for kind in stage):
            wanted[kind.height] = wanted.get(kind.height, 0) + kind.count * kind.cols
        assert dict(zip(packing.heights.tolist(), packing.demand.tolist(), strict=True)) == wanted
    assert len(ways_to_strips(ask(linears(step("a", (4, 4))), "dense"))) == 1


# Shelves


@pytest.mark.parametrize("seed", range(25))
def test_wide_shelves_hold_what_is_asked(seed: int) -> None:
    draw = Random(seed)
    rows, cols = draw.randint(6, 30), draw.randint(2, 12)
    heights = draw.sample(range(1, rows + 1), k=draw.randint(1, 4))
    packing = pack_columns(heights, [draw.randint(1, 60) for _ in heights], rows, cols)
    arrays = packing.arrays + draw.choice([0, 1, 3])
    widths = np.array([draw.randint(1, cols) for _ in packing.heights], dtype=np.int64)
    wide = widen_shelves(packing, arrays, widths, np.array([draw.randint(1, 80) for _ in packing.heights]))
    assert (wide.multiplicity @ wide.strips >= packing.demand).all()
    assert (wide.strips @ wide.heights <= rows).all()
    assert wide.multiplicity.sum() <= arrays * cols
    for steps in (None, np.ones(len(wide.strips), dtype=np.int64) * draw.randint(1, cols)):
        assert_shelves_hold(balanced_layout(wide, arrays, steps=steps), wide, arrays)


def assert_shelves_hold(shelves: Shelves, packing: ColumnPacking, arrays: int) -> None:
    """Apart, inside, and at least the demand of every height."""
    taken = np.zeros((arrays, packing.rows, packing.cols), dtype=np.int64)
    for array, row, height, col, width in zip(*vars(shelves).values(), strict=True):
        taken[array, row : row + height, col : col + width] += 1
        assert row + height <= packing.rows
        assert col + width <= packing.cols
    assert taken.max() == 1
    for height, demand in zip(packing.heights.tolist(), packing.demand.tolist(), strict=True):
        assert int(shelves.width[shelves.height == height].sum()) >= demand


# Dealing


@pytest.mark.parametrize("goal", ["latency", "balanced latency", "prefill", "throughput"])
@pytest.mark.parametrize("by_shelf", [False, True])
@pytest.mark.parametrize("number", [i for i, problem in enumerate(MEDIUM) if problem.cut != "none"][:5])
def test_every_column_is_dealt_once(number: int, by_shelf: bool, goal: Any) -> None:
    problem = MEDIUM[number]
    stages, packing = ways_to_strips(problem)[0]
    arrays = packing.arrays
    shelves = balanced_layout(packing, arrays)
    room = {height: Room.of(shelves, height, arrays) for height in np.unique(shelves.height).tolist()}
    if not by_shelf:
        room = {height: here.joined() for height, here in room.items()}
    calls: list[tuple[int, int]] = []
    batches = batches_of(problem, stages, arrays)
    shares = deal_strips(problem, batches, room, arrays, goal, lambda done, total: calls.append((done, total)))
    assert calls[-1] == (len(batches), len(batches))
    assert_all_columns_once(batches, shares)
    mapping = map_as_dealt(problem, shares, room) if by_shelf else lay_out(problem, shares, shelves)
    assert int(mapping.pieces.cols @ mapping.pieces.rows) == problem.weight_cells
    metrics = measure(problem, mapping)
    assert metrics["arrays"] <= arrays
    assert metrics["latency_cycles"] >= find_bounds(problem, metrics, ("arrays",)).lower["latency_cycles"].value


def assert_all_columns_once(batches: list[Batch], shares: list[Share]) -> None:
    dealt: dict[StripKind, list[tuple[int, int]]] = {}
    for share in shares:
        runs = zip(share.strip.tolist(), share.first.tolist(), share.width.tolist(), strict=True)
        columns = [(strip, first + at) for strip, first, width in runs for at in range(width)]
        dealt.setdefault(share.kind, []).extend(columns)
    for kind in (kind for batch in batches for kind in batch.kinds):
        assert sorted(dealt[kind]) == [(strip, col) for strip in range(kind.count) for col in range(kind.cols)]


def test_strips_share_arrays_where_these_are_fewer() -> None:
    """Eight inputs of one column and two arrays: each array fires four times."""
    problem = ask(linears(step("a", (8, 1))), "8,1,1", chip(array__rows=4, array__cols=5, adc__per_array=1, **STILL))
    stages, packing = ways_to_strips(problem)[0]
    arrays = packing.arrays
    shelves = balanced_layout(packing, arrays)
    assert arrays < 8
    room = {height: Room.of(shelves, height, arrays).joined() for height in np.unique(shelves.height).tolist()}
    batches = batches_of(problem, stages, arrays)
    shares = deal_strips(problem, batches, room, arrays, "latency", lambda done, total: None)
    assert_all_columns_once(batches, shares)
    first = next(share for share in shares if share.kind.stage == 0)
    assert np.bincount(first.array).max() > 1


def test_a_stage_that_fits_in_no_time_is_full() -> None:
    problem = ask(linears(step("a", (4, 8))), "dense", chip(array__rows=4, array__cols=4, **STILL))
    stages, packing = ways_to_strips(problem)[0]
    arrays = packing.arrays
    shelves = balanced_layout(packing, arrays)
    durations = Durations(problem, [4])
    least = int(durations.of_columns[4][1])
    nothing = np.zeros(arrays, dtype=np.int64)

    def tried(cycles: int) -> list[Share]:
        table = Dealt({4: Room.of(shelves, 4, arrays)}, {4: []}, {}, {}, ChainEffort(0))
        deal_within(stages[0], durations, table, np.full(arrays, cycles), nothing)
        return table.shares[4]

    for cycles in (0, least - 1, least):  # one column an array at most, and there are two arrays for eight
        with pytest.raises(StageIsFull):
            tried(cycles)
    assert sorted(tried(int(durations.of_columns[4][4]))[0].width.tolist()) == [4, 4]


def test_durations_reckon_with_the_worst_place() -> None:
    """Adjacent converters read two neighbouring columns each: two columns may be one converter's."""
    plain = ask(linears(step("a", (4, 4))), "dense", chip(array__cols=4, adc__per_array=2, **STILL))
    near = ask(linears(step("a", (4, 4))), "dense", chip(array__cols=4, adc__wiring="adjacent", **STILL))
    any_, adjacent = (Durations(problem, [4]).of_columns[4].tolist() for problem in (plain, near))
    # Two phases of 3 ns and 2 ns a conversion.
    assert any_ == [0, 10, 10, 14, 14]
    assert adjacent == [0, 10, 14, 14, 14]
    durations = Durations(plain, [4])
    assert [int(durations.most_columns(4, cycles)) for cycles in (0, 9, 10, 13, 14, 99)] == [0, 0, 2, 2, 4, 4]
    assert int(durations.most_columns(4, -5)) == 0


def test_pieces_are_as_wide_as_the_least_time_allows() -> None:
    problem = ask(linears(step("a", (4, 12))), "dense", chip(array__rows=4, array__cols=12, adc__per_array=2, **STILL))
    stages, packing = ways_to_strips(problem)[0]
    widths = [
        int(piece_widths(problem, batches_of(problem, stages, arrays), packing.heights)[0]) for arrays in (1, 2, 3, 6)
    ]
    assert widths == [12, 6, 4, 2]


def test_of_many_patterns_some_wide_ones_are_found() -> None:
    """Fifteen heights stack in 98 useful ways, too many for one program; a few dozen of them go into it."""
    heights = np.array([60, 56, 52, 48, 44, 40, 36, 32, 28, 24, 20, 18, 16, 12, 8])
    packing = pack_columns(heights, [30 + 7 * number for number in range(15)], 64, 32)
    arrays = packing.arrays + 1
    widths, most = np.full(15, 8), np.full(15, 24)
    wide = widen_shelves(packing, arrays, widths, most)
    assert wide is not packing
    assert (wide.multiplicity @ wide.strips >= packing.demand).all()
    assert wide.multiplicity.sum() <= arrays * packing.cols
    assert (wide.strips @ packing.heights <= packing.rows).all()
    assert len(wide.strips) < len(packing.strips)


@pytest.mark.parametrize("structure", ["dense", "2,2,1"])
def test_shelves_are_laid_out_alike_however_often_stages_fire(structure: str) -> None:
    """A batch's time is that of one position, in which its pieces are dealt."""
    found = []
    for positions in (1, 7):
        steps = [step(name, (8, 12), (8, 4), positions=positions) for name in "ab"]
        problem = ask(linears(*steps), structure, chip(array__rows=8, array__cols=12, adc__per_array=2))
        stages, packing = ways_to_strips(problem)[0]
        batches = in_few_pieces(problem, batches_of(problem, stages, 4))
        widths = piece_widths(problem, batches, packing.heights).tolist()
        spread = ColumnSpread(problem, stages, packing, 4, lambda _: None)
        found.append((widths, [each.tolist() for each in vars(spread.shelves("few wide")).values()]))
    assert found[0] == found[1]


def test_room_is_taken_from_the_tightest_shelf() -> None:
    columns = ([0, 0, 1], [0, 2, 0], [2, 2, 2], [0, 4, 0], [4, 2, 3])
    shelves = Shelves(*(np.array(column, dtype=np.int64) for column in columns))
    room = Room.of(shelves, 2, 2)
    assert room.widest.tolist() == [4, 3]
    assert room.total.tolist() == [6, 3]
    shelf = room.take(np.array([0, 1]), np.array([2, 2]))
    assert shelf.tolist() == [1, 0]
    assert (room.row[0, 1], room.col[0, 1]) == (2, 4)
    before = room.copy()
    shelf = room.take(np.array([0]), np.array([3]))
    assert (shelf.tolist(), room.widest.tolist()) == ([0], [1, 1])
    assert before.widest.tolist() == [4, 1]
    assert before.joined().left.tolist() == [[4], [1]]


# Making room


def kind(stage: int, count: int, cols: int) -> StripKind:
    return StripKind(stage, 4, 0, count, ((stage,),), count, (0, cols), batch=stage)


def share(of: StripKind, *arrays: int) -> Share:
    """One strip on each array, whole."""
    number = np.arange(len(arrays))
    return Share(of, number, np.zeros_like(number), np.full_like(number, of.cols), np.array(arrays), 0 * number)


def exchange(shares: list[Share], free: list[int], limits: dict[int, int], depth: int, effort: int = 99) -> Exchange:
    """Arrays with one shelf each, on which every stage has spent the time of its runs.

    A piece of up to 2 columns takes 10 cycles, of up to 4 columns 14: two phases of a 3 ns read and 2 ns conversions.
    """
    problem = ask(linears(step("a", (4, 4))), "dense", chip(array__cols=4, adc__per_array=2, **STILL))
    durations = Durations(problem, [4])
    room = Room(np.array(free)[:, None], np.zeros((len(free), 1), dtype=int), np.zeros((len(free), 1), dtype=int))
    load = {stage: np.zeros(len(free), dtype=np.int64) for stage in limits}
    for each in shares:
        np.add.at(load[each.kind.stage], each.array, durations.of_columns[4][each.width])
    return Exchange(durations, room, shares, load, limits, depth, effort)


def test_an_earlier_stage_makes_room_on_an_array_with_time() -> None:
    """Array 0 is full of stages 0 and 1, array 1 has 2 columns free but no time left for stage 2. One run moves."""
    mine = kind(2, 2, 2)
    for limits, moved in (({0: 10, 1: 10}, 0), ({0: 0, 1: 10}, 1)):
        trade = exchange([share(kind(0, 1, 2), 0), share(kind(1, 1, 2), 0)], [0, 2], limits, 1)
        assert trade.place(mine, [(2, 1)], np.array([10, 0])) == [(1, 0, 2, 0, 0)]
        shares, load = trade.settled()
        assert [each.array.tolist() for each in shares] == ([[1], [0]] if moved == 0 else [[0], [1]])
        assert load[moved].tolist() == [0, 10]
        assert load[1 - moved].tolist() == [10, 0]


def test_a_run_moves_in_part_where_no_more_is_needed() -> None:
    """4 columns on array 0 and 1 free on each of two others: two single columns go, 2 of the 4 stay."""
    trade = exchange([share(kind(0, 1, 4), 0)], [0, 1, 1], {0: 14}, 1)
    assert trade.place(kind(2, 1, 2), [(2, 0)], np.array([10, 0, 0])) == [(0, 0, 2, 0, 0)]
    shares, load = trade.settled()
    runs = sorted(zip(shares[0].array.tolist(), shares[0].first.tolist(), shares[0].width.tolist(), strict=True))
    assert runs == [(0, 0, 2), (1, 3, 1), (2, 2, 1)]
    assert load[0].tolist() == [10, 10, 10]


def test_stages_without_time_elsewhere_stay() -> None:
    """Stage 0 has a run on array 1 already, and time for one."""
    trade = exchange([share(kind(0, 2, 2), 0, 1)], [0, 2], {0: 10}, 1)
    assert trade.place(kind(2, 1, 2), [(2, 0)], np.array([10, 0])) is None


def test_a_chain_of_two_moves() -> None:
    """Only array 2 has room, where stage 0 has no time left; stage 1 goes there from array 1, and stage 0 follows."""
    shares = [share(kind(0, 2, 2), 0, 2), share(kind(1, 1, 2), 1)]
    time_left = np.array([10, 0, 0])
    assert exchange(shares, [0, 0, 2], {0: 10, 1: 10}, 1).place(kind(2, 1, 2), [(2, 0)], time_left.copy()) is None
    trade = exchange(shares, [0, 0, 2], {0: 10, 1: 10}, 2)
    assert trade.place(kind(2, 1, 2), [(2, 0)], time_left.copy()) == [(0, 0, 2, 0, 0)]
    moved, _ = trade.settled()
    assert [sorted(each.array.tolist()) for each in moved] == [[1, 2], [2]]
    assert exchange(shares, [0, 0, 2], {0: 10, 1: 10}, 2, 1).place(kind(2, 1, 2), [(2, 0)], time_left) is None


@pytest.mark.parametrize("number", [i for i, problem in enumerate(MEDIUM) if problem.cut != "none"])
def test_refined_answers_are_whole_and_no_slower(number: int) -> None:
    problem = MEDIUM[number]
    stages, packing = ways_to_strips(problem)[0]
    spread = ColumnSpread(problem, stages, packing, packing.arrays, lambda event: None)
    for by_shelf in (False, True):
        refined = spread.refine("even", by_shelf, "latency")
        assert int(refined.pieces.cols @ refined.pieces.rows) == problem.weight_cells
        solution = make_solution(problem.asking(objective=("arrays",)), refined, strategy="optimal")
        assert check_solution(solution).passed


def test_refining_meets_the_bound_on_a_full_chip() -> None:
    """MiniLM fills 324 arrays of 128 x 16 weights to the last cell; dealt once, its last stages wait."""
    problem = make_problem("minilm-l6", "rram128-isaac")
    stages, packing = ways_to_strips(problem)[0]
    assert packing.arrays * problem.rows * problem.weights_per_row == problem.weight_cells
    spread = ColumnSpread(problem, stages, packing, packing.arrays, lambda event: None)
    once, refined = (measure(problem, way("even", True, "balanced latency")) for way in (spread.find, spread.refine))
    lower = find_bounds(problem, refined, ("arrays",)).lower["latency_cycles"].value
    assert refined["latency_cycles"] == lower < 0.9 * once["latency_cycles"]


# Laying out


@pytest.mark.parametrize(
    ("widths", "shelves"),
    [((3, 3, 2, 2, 2), (6, 6)), ((4, 3, 3, 2), (7, 5)), ((5,), (5,)), ((2, 2, 2), (3, 3, 3)), ((6, 5, 4, 3), (9, 9))],
)
def test_exact_packing_puts_every_run_on_a_shelf(widths: tuple[int, ...], shelves: tuple[int, ...]) -> None:
    choice = pack_exactly(widths, shelves)
    assert choice is not None
    used = np.zeros(len(shelves), dtype=np.int64)
    np.add.at(used, np.array(choice), np.array(widths))
    assert (used <= np.array(shelves)).all()


@pytest.mark.parametrize(("widths", "shelves"), [((3, 3), (5,)), ((4, 4, 4), (6, 6)), ((2,), (1, 1))])
def test_exact_packing_knows_when_there_is_none(widths: tuple[int, ...], shelves: tuple[int, ...]) -> None:
    assert pack_exactly(widths, shelves) is None


def laid_out(widths: list[int], shelf_widths: list[int], repair: bool, monkeypatch: pytest.MonkeyPatch) -> Mapping:
    """One array; strips of one row, one run each, on shelves of one row below each other."""
    from cimsolve.solve.columns import lay_out as module

    if not repair:
        monkeypatch.setattr(module, "pack_exactly", lambda widths, shelves: None)
    problem = ask(
        linears(*(step(f"s{i}", (1, width)) for i, width in enumerate(widths))),
        "dense",
        chip(array__rows=len(shelf_widths), array__cols=max(shelf_widths)),
    )
    number = np.arange(len(shelf_widths))
    zero, one = np.zeros_like(number), np.ones_like(number)
    shelves = Shelves(zero, number, one, zero, np.array(shelf_widths))
    first = np.zeros(1, dtype=np.int64)
    shares = [
        Share(kinds[0], first, first, np.array([width]), first, first)
        for kinds, width in zip(cut_into_strips(problem, even=False), widths, strict=True)
    ]
    return lay_out(problem, shares, shelves)


def test_what_best_fit_would_cut_is_packed_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """5, 4, 4, 3, 2, 2 on 10 and 10: best fit decreasing puts 5 + 4, then 4 + 3 + 2, and has no room for the last 2."""
    widths, shelves = [5, 4, 4, 3, 2, 2], [10, 10]
    whole = laid_out(widths, shelves, True, monkeypatch)
    assert sorted(whole.pieces.cols.tolist(), reverse=True) == widths
    assert len(laid_out(widths, shelves, False, monkeypatch).pieces) > len(widths)


def test_what_fits_no_shelf_whole_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    mapping = laid_out([3, 3], [4, 2], False, monkeypatch)
    assert int(mapping.pieces.cols.sum()) == 6
    assert len(mapping.pieces) == 3
    spots = list(zip(mapping.pieces.array_row.tolist(), mapping.pieces.array_col.tolist(), strict=True))
    assert len(set(spots)) == 3


def test_linear_is_asked_its_own_question() -> None:
    problem = tiny_problem(([(4, 4, "2,2,1")],), 3, 4, array__rows_active_max=2)
    question = problem_for("linear", problem)
    assert all(structure.is_dense for structure in question.structures.values())
    assert question.cut == "both"
    assert problem_for("optimal", problem) is problem
