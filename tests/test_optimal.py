"""The solver's answers: legal, never worse than a rule, honest about what is proved, the same every time."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import brute_force
import numpy as np
import pytest
from builders import STILL, ask, chip, linears, step
from tiny_problems import random_problems, tiny_problem

from cimsolve.api import load_hardware, load_model, make_problem
from cimsolve.bounds import find_bounds
from cimsolve.bounds.arrays import least_arrays
from cimsolve.check import check_solution
from cimsolve.cost import Metrics, evaluate
from cimsolve.errors import InfeasibleError, InputError
from cimsolve.hardware import with_settings
from cimsolve.mapping import Mapping
from cimsolve.packing.columns import ColumnPacking, Shelves, balanced_layout, pack_columns
from cimsolve.packing.smooth import widen_shelves
from cimsolve.problem import Problem
from cimsolve.run import question_for, solve, solve_and_check
from cimsolve.schedule import schedule
from cimsolve.solution import Solution
from cimsolve.strategies import RULES, Search
from cimsolve.strategies.optimal import solve as plan
from cimsolve.strategies.optimal.deal import (
    Durations,
    Room,
    Share,
    StageIsFull,
    columns_per_step,
    deal_strips,
    piece_widths,
)
from cimsolve.strategies.optimal.lay_out import _pack_exactly, lay_out, map_as_dealt
from cimsolve.strategies.optimal.strips import StripKind, cut_into_strips, ways_to_strips
from cimsolve.strategies.search import Event

SMALL_RULES = ("sparsemap", "densemap", "spread")

BERT: dict[str, Any] = {
    "model_type": "bert",
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 8,
}
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 8,
}


@pytest.fixture
def no_exact_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """The decomposition alone, which is all that larger problems get."""
    monkeypatch.setattr(plan, "_search_exactly", lambda problem, search, best: {})


def measure(problem: Problem, mapping: Mapping) -> Metrics:
    placed, activations = schedule(problem, mapping)
    return evaluate(problem, placed.pieces, activations).metrics


def medium_question(draw: Random) -> Problem:
    """A tiny BERT or Llama, or a few linears, on a chip that cuts a little of everything."""
    width = draw.choice([1, 1, 2, 4])
    rows, cols = draw.choice([4, 6, 8, 8, 12, 16]), draw.randint(3, 12) * width
    hardware = chip(
        array__rows=rows,
        array__cols=cols,
        array__rows_active_max=draw.choice([None, None, None, rows // 2]),
        weight__bits=width,
        adc__per_array=draw.randint(1, min(6, cols)),
        adc__wiring=draw.choice(["any", "interleaved", "adjacent"]),
        adc__sample_hold=draw.random() < 0.3,
        read_ns=draw.choice([1, 3, 20]),
    )
    config = draw.choice([BERT, LLAMA, "linears"])
    structure = draw.choice(["2,2,1", "4,2,1", "4,4,1", "4,4,1", "2,4,2"])
    if config == "linears":
        config = linears(*(step(f"s{i}", *[(8 * draw.randint(1, 3), 8)] * draw.randint(1, 3)) for i in range(3)))
    return ask(config, structure, hardware, draw.choice(["none", "columns", "columns", "both"]))  # type: ignore[arg-type]


def medium_questions(seed: int, count: int) -> list[Problem]:
    draw, found = Random(seed), []
    while len(found) < count:
        try:
            found.append(medium_question(draw))
        except InputError:
            continue
    return found


MEDIUM = medium_questions(1, 14)


# Whole answers


@pytest.mark.parametrize("problem", MEDIUM, ids=range(len(MEDIUM)))
def test_answers_are_legal_and_no_rule_beats_them(problem: Problem, no_exact_search: None) -> None:
    solution, report = solve_and_check(problem)
    assert not report.violations
    assert_honest(solution)
    mine = solution.header.metrics
    for name in SMALL_RULES:
        rule = measure(problem, RULES[name](problem, Search()).mapping)
        assert (mine["arrays"], mine["latency_cycles"]) <= (rule["arrays"], rule["latency_cycles"]), name


@pytest.mark.parametrize("objective", [("latency",), ("prefill", "arrays"), ("throughput",), ("energy",), ("area",)])
@pytest.mark.parametrize("number", [0, 3])
def test_other_objectives_too(number: int, objective: tuple[str, ...], no_exact_search: None) -> None:
    problem = MEDIUM[number]
    solution, report = solve_and_check(problem, "optimal", Search(objective))
    assert not report.violations
    assert_honest(solution)
    names = {"latency": "latency_cycles", "prefill": "prefill_ns", "throughput": "ii_cycles"}
    metric = names.get(objective[0], {"energy": "energy_pj", "area": "area_mm2"}.get(objective[0], ""))
    for rule_name in SMALL_RULES:
        rule = measure(problem, RULES[rule_name](problem, Search()).mapping)
        assert solution.header.metrics[metric] <= rule[metric] * (1 + 1e-12), rule_name


def assert_honest(solution: Solution) -> None:
    """`optimal` only where value and bound meet in every metric of the objective."""
    header = solution.header
    names = {
        "arrays": "arrays",
        "latency": "latency_cycles",
        "prefill": "prefill_ns",
        "throughput": "ii_cycles",
        "energy": "energy_pj",
        "area": "area_mm2",
    }
    for bound in header.bounds.values():
        assert bound.value >= bound.lower * (1 - 1e-12)
    met = all(header.bounds[names[name]].value == header.bounds[names[name]].lower for name in header.objective)
    assert (header.status == "optimal") == met


@pytest.mark.parametrize("number", range(24))
def test_tiny_answers_are_those_of_exhaustion(number: int) -> None:
    problem = random_problems(seed=77, count=24)[number]
    solution, report = solve_and_check(problem)
    assert not report.violations
    assert_honest(solution)
    found = solution.header.metrics["arrays"], solution.header.metrics["latency_cycles"]
    expected = brute_force.best(problem, max_arrays=4)
    assert solution.header.status == "optimal"
    assert found == expected if expected is not None else found[0] > 4


@pytest.mark.parametrize("number", range(24))
def test_the_decomposition_claims_no_optimum_that_is_none(number: int, no_exact_search: None) -> None:
    problem = random_problems(seed=78, count=24)[number]
    solution = solve(problem)
    found = solution.header.metrics["arrays"], solution.header.metrics["latency_cycles"]
    expected = brute_force.best(problem, max_arrays=4)
    if expected is not None:
        assert found >= expected
        assert solution.header.status == "feasible" or found == expected


@pytest.mark.parametrize("number", range(0, len(MEDIUM), 3))
def test_equal_seeds_give_equal_tables(number: int, no_exact_search: None) -> None:
    assert_repeats(MEDIUM[number])


def test_the_exact_search_repeats_too() -> None:
    for problem in random_problems(seed=79, count=4):
        assert_repeats(problem)


def assert_repeats(problem: Problem) -> None:
    first, second = solve(problem, "optimal", Search(seed=5)), solve(problem, "optimal", Search(seed=5))
    for table in ("pieces", "activations"):
        for name, column in vars(getattr(first, table)).items():
            assert column.tolist() == getattr(getattr(second, table), name).tolist(), (table, name)
    assert first.header.metrics == second.header.metrics


@pytest.mark.parametrize("number", range(0, len(MEDIUM), 2))
def test_blocks_stay_whole_where_cutting_is_not_allowed(number: int, no_exact_search: None) -> None:
    problem = replace(MEDIUM[number], cut="none")
    solution = solve(problem)
    widest = int(problem.table.block_cols.max())
    if problem.must_cut_rows or widest > problem.weights_per_row:
        assert not check_solution(solution).violations
    else:
        assert len(solution.pieces) == problem.workload.block_count


def test_the_limit_on_arrays_is_kept(no_exact_search: None) -> None:
    for problem in (MEDIUM[3], MEDIUM[7]):
        free = int(solve(problem).header.metrics["arrays"])
        for limit in (free, free + 1):
            search = Search(("latency",))
            solution, report = solve_and_check(replace(problem, max_arrays=limit), "optimal", search)
            assert not report.violations
            assert solution.header.metrics["arrays"] <= limit


def test_too_few_arrays_are_refused_with_the_least_that_do(no_exact_search: None) -> None:
    problem = MEDIUM[3]
    fewest = int(solve(problem).header.metrics["arrays"])
    lower, _ = least_arrays(problem, fewest)
    with pytest.raises(InfeasibleError, match=rf"no mapping does with fewer than {lower} \(.* allow {fewest}"):
        solve(replace(problem, max_arrays=lower - 1))


def test_more_arrays_never_cost_latency(no_exact_search: None) -> None:
    problem = MEDIUM[7]
    fewest = int(solve(problem).header.metrics["arrays"])
    times = [
        solve(replace(problem, max_arrays=fewest * factor), "optimal", Search(("latency",))).header.metrics[
            "latency_cycles"
        ]
        for factor in (1, 2)
    ]
    assert times == sorted(times, reverse=True)


class _Interrupt:
    """Interrupts at the n-th event."""

    def __init__(self, after: int) -> None:
        self.left = after
        self.seen: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.seen.append(event)
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_an_interrupt_returns_the_best_so_far(no_exact_search: None) -> None:
    problem = next(p for p in MEDIUM if p.cut == "columns" and not p.must_cut_rows)
    whole = measure(problem, RULES["spread"](problem, Search()).mapping)
    for after in (3, 6, 9):
        listener = _Interrupt(after)
        answer = plan.map_optimal(problem, Search(listen=listener))
        assert answer.interrupted == (listener.left <= 0)
        found = measure(problem, answer.mapping)
        assert (found["arrays"], found["latency_cycles"]) <= (whole["arrays"], whole["latency_cycles"])


def test_an_interrupt_before_any_answer_is_one() -> None:
    with pytest.raises(KeyboardInterrupt):
        plan.map_optimal(MEDIUM[0], Search(listen=_Interrupt(1)))


def test_the_search_tells_of_its_progress(no_exact_search: None) -> None:
    listener = _Interrupt(0)
    solve(next(p for p in MEDIUM if p.cut == "columns"), "optimal", Search(listen=listener))
    values = [event.value for event in listener.seen if event.metric == "latency_cycles" and event.lower is not None]
    assert values
    assert all(event.lower is None or event.value is None or event.lower <= event.value for event in listener.seen)


# The headline


def test_bert_large_on_the_papers_chip_is_optimal() -> None:
    """8 converters: the least arrays, and the least latency on them, both proved."""
    problem = make_problem("bert-large", with_settings(load_hardware("paper256"), {"adc.per_array": "8"}))
    solution = solve(problem)
    assert solution.header.status == "optimal"
    assert solution.header.metrics["arrays"] == 216
    assert solution.header.metrics["array_latency_ns"] == pytest.approx(27_300, rel=0.005)


@pytest.mark.slow
@pytest.mark.parametrize(("adcs", "array_us"), [(4, 38.2), (16, 24.4), (32, 23.4)])
def test_bert_large_is_optimal_with_other_converters(adcs: int, array_us: float) -> None:
    chip_ = with_settings(load_hardware("paper256"), {"adc.per_array": str(adcs)})
    solution, report = solve_and_check(make_problem(load_model("bert-large"), chip_))
    assert not report.violations
    assert (solution.header.status, solution.header.metrics["arrays"]) == ("optimal", 216)
    assert solution.header.metrics["array_latency_ns"] == pytest.approx(array_us * 1e3, rel=0.005)


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
    problem = replace(problem, hardware=with_settings(problem.hardware, {"adc.lossy_allowed": "true"}))
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
    wide = widen_shelves(packing, arrays, widths)
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
    shares = deal_strips(problem, stages, room, arrays, goal, lambda done, total: calls.append((done, total)))
    assert calls[-1] == (len(stages), len(stages))
    assert_all_columns_once(stages, shares)
    mapping = map_as_dealt(problem, shares) if by_shelf else lay_out(problem, shares, shelves)
    assert int(mapping.pieces.cols @ mapping.pieces.rows) == problem.weight_cells
    metrics = measure(problem, mapping)
    assert metrics["arrays"] <= arrays
    assert metrics["latency_cycles"] >= find_bounds(problem, metrics, ("arrays",)).lower["latency_cycles"].value


def assert_all_columns_once(stages: list[list[StripKind]], shares: list[Share]) -> None:
    dealt: dict[StripKind, list[tuple[int, int]]] = {}
    for share in shares:
        runs = zip(share.strip.tolist(), share.first.tolist(), share.width.tolist(), strict=True)
        columns = [(strip, first + at) for strip, first, width in runs for at in range(width)]
        dealt.setdefault(share.kind, []).extend(columns)
    for kind in (kind for stage in stages for kind in stage):
        assert sorted(dealt[kind]) == [(strip, col) for strip in range(kind.count) for col in range(kind.cols)]


def test_strips_share_arrays_where_these_are_fewer() -> None:
    """Eight inputs of one column and two arrays: each array fires four times."""
    problem = ask(linears(step("a", (8, 1))), "8,1,1", chip(array__rows=4, array__cols=5, adc__per_array=1, **STILL))
    stages, packing = ways_to_strips(problem)[0]
    arrays = packing.arrays
    shelves = balanced_layout(packing, arrays)
    assert arrays < 8
    room = {height: Room.of(shelves, height, arrays).joined() for height in np.unique(shelves.height).tolist()}
    shares = deal_strips(problem, stages, room, arrays, "latency", lambda done, total: None)
    assert_all_columns_once(stages, shares)
    first = next(share for share in shares if share.kind.stage == 0)
    assert np.bincount(first.array).max() > 1


def test_a_stage_that_fits_in_no_time_is_full() -> None:
    from cimsolve.strategies.optimal.deal import _try

    problem = ask(linears(step("a", (4, 8))), "dense", chip(array__rows=4, array__cols=4, **STILL))
    stages, packing = ways_to_strips(problem)[0]
    arrays = packing.arrays
    shelves = balanced_layout(packing, arrays)
    durations = Durations(problem, [4])
    least = int(durations.of_columns[4][1])
    nothing = np.zeros(arrays, dtype=np.int64)
    for cycles in (0, least - 1, least):  # one column an array at most, and there are two arrays for eight
        room = {4: Room.of(shelves, 4, arrays)}
        with pytest.raises(StageIsFull):
            _try(stages[0], durations, room, np.full(arrays, cycles), nothing)
    room = {4: Room.of(shelves, 4, arrays)}
    shares = _try(stages[0], durations, room, np.full(arrays, durations.of_columns[4][4]), nothing)
    assert sorted(shares[0].width.tolist()) == [4, 4]


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


@pytest.mark.parametrize(("width", "converters", "step_"), [(1, 4, 4), (2, 4, 2), (4, 4, 1), (8, 4, 1), (2, 5, 2)])
def test_a_step_is_what_one_conversion_reads(width: int, converters: int, step_: int) -> None:
    hardware = chip(array__cols=16, weight__bits=width, adc__per_array=converters)
    assert columns_per_step(ask(linears(step("a", (2, 1))), "dense", hardware)) == step_


def test_pieces_are_as_wide_as_the_least_time_allows() -> None:
    problem = ask(linears(step("a", (4, 12))), "dense", chip(array__rows=4, array__cols=12, adc__per_array=2, **STILL))
    stages, packing = ways_to_strips(problem)[0]
    widths = [int(piece_widths(problem, stages, packing.heights, arrays)[0]) for arrays in (1, 2, 3, 6)]
    assert widths == [12, 6, 4, 2]


def test_room_is_taken_from_the_tightest_shelf() -> None:
    columns = ([0, 0, 1], [0, 2, 0], [2, 2, 2], [0, 4, 0], [4, 2, 3])
    shelves = Shelves(*(np.array(column, dtype=np.int64) for column in columns))
    room = Room.of(shelves, 2, 2)
    assert room.widest.tolist() == [4, 3]
    assert room.total.tolist() == [6, 3]
    row, col = room.take(np.array([0, 1]), np.array([2, 2]))
    assert (row.tolist(), col.tolist()) == ([2, 0], [4, 0])
    before = room.copy()
    row, col = room.take(np.array([0]), np.array([3]))
    assert (row.tolist(), col.tolist(), room.widest.tolist()) == ([0], [0], [1, 1])
    assert before.widest.tolist() == [4, 1]
    assert before.joined().left.tolist() == [[4], [1]]


# Laying out


@pytest.mark.parametrize(
    ("widths", "shelves"),
    [((3, 3, 2, 2, 2), (6, 6)), ((4, 3, 3, 2), (7, 5)), ((5,), (5,)), ((2, 2, 2), (3, 3, 3)), ((6, 5, 4, 3), (9, 9))],
)
def test_exact_packing_puts_every_run_on_a_shelf(widths: tuple[int, ...], shelves: tuple[int, ...]) -> None:
    choice = _pack_exactly(widths, shelves)
    assert choice is not None
    used = np.zeros(len(shelves), dtype=np.int64)
    np.add.at(used, np.array(choice), np.array(widths))
    assert (used <= np.array(shelves)).all()


@pytest.mark.parametrize(("widths", "shelves"), [((3, 3), (5,)), ((4, 4, 4), (6, 6)), ((2,), (1, 1))])
def test_exact_packing_knows_when_there_is_none(widths: tuple[int, ...], shelves: tuple[int, ...]) -> None:
    assert _pack_exactly(widths, shelves) is None


def laid_out(widths: list[int], shelf_widths: list[int], repair: bool, monkeypatch: pytest.MonkeyPatch) -> Mapping:
    """One array; strips of one row, one run each, on shelves of one row below each other."""
    from cimsolve.strategies.optimal import lay_out as module

    if not repair:
        monkeypatch.setattr(module, "_pack_exactly", lambda widths, shelves: None)
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
        Share(kinds[0], first, first, np.array([width]), first, first, first)
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
    question = question_for("linear", problem)
    assert all(structure.is_dense for structure in question.structures.values())
    assert question.cut == "both"
    assert question_for("optimal", problem) is problem
