"""Rows cut where they need not be: what fills the gaps of array columns, and what it saves."""

from __future__ import annotations

from random import Random

import pytest

from cimsolve.api import make_problem
from cimsolve.judge.check import check_solution
from cimsolve.pack.cutting_stock import Cut, cuts_that_fill, solve_cutting_stock
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Solution
from cimsolve.problem.terms import CUTS
from cimsolve.problem.terms import Cut as Allowed
from cimsolve.prove.arrays import least_arrays
from cimsolve.solve import plan
from cimsolve.solve.candidates import candidates
from cimsolve.solve.columns.spread import ColumnSpread
from cimsolve.solve.columns.strips import (
    StripKind,
    cut_into_strips,
    cut_lower,
    cut_to_fill,
    pack_strips,
    question_of_strips,
    ways_to_strips,
)
from cimsolve.solve.effort import Effort
from cimsolve.solve.incumbent import measure
from cimsolve.study.solving import make_solution, solve_and_check
from makers.builders import PLAIN, ask, chip, linears, step


def after(sizes: list[int], counts: list[int], cuts: list[Cut]) -> dict[int, int]:
    """The items once cut, size -> number."""
    left = dict(zip(sizes, counts, strict=True))
    for cut in cuts:
        left[cut.size] -= cut.items
        for part in (cut.part, cut.size - cut.part):
            left[part] = left.get(part, 0) + cut.items
    return left


def test_three_of_two_thirds_fill_two_bins() -> None:
    """Whole, each of 3 items of 6 is alone in its bin of 9; 6 + 3 twice takes one item cut in two threes."""
    assert cuts_that_fill([6], [3], 9) == [Cut(6, 3, 1)]


def test_what_fills_is_not_cut() -> None:
    assert cuts_that_fill([8, 4, 2], [5, 7, 9], 16) == []


@pytest.mark.parametrize("seed", range(6))
def test_cut_items_need_no_more_bins_than_their_sum(seed: int) -> None:
    """But for what rounding to whole cuts and whole patterns costs: a few bins."""
    random = Random(seed)
    capacity = random.choice([12, 16, 30, 64])
    sizes = random.sample(range(1, capacity + 1), random.randint(1, 4))
    counts = [random.randint(200, 2000) for _ in sizes]
    left = after(sizes, counts, cuts_that_fill(sizes, counts, capacity))
    assert min(left.values()) >= 0
    assert sum(size * count for size, count in left.items()) == sum(s * c for s, c in zip(sizes, counts, strict=True))
    bins = solve_cutting_stock(list(left), list(left.values()), capacity).bins
    area = sum(size * count for size, count in left.items()) / capacity
    assert area <= bins <= area + 2 * len(left) + 1


def cells(kinds: list[StripKind]) -> list[tuple[int, int, int]]:
    """Every cell of one stage's strips as (block, row, column), of factors with one block width."""
    return sorted(
        (kind.block0 + strip, kind.row0 + row, col)
        for kind in kinds
        for strip in range(kind.count)
        for row in range(kind.height)
        for col in range(kind.cols)
    )


def test_cut_strips_cover_what_the_whole_ones_do() -> None:
    """Blocks of 5 x 3 in columns of 8: some strips are cut, none of their cells is lost."""
    problem = ask(linears(step("a", (40, 24))), "8,8,3", cut="both")
    whole = cut_into_strips(problem, even=False)
    filled = cut_to_fill(problem, whole)
    assert len(filled[0]) > len(whole[0])
    for before, now in zip(whole, filled, strict=True):
        assert cells(before) == cells(now)


@pytest.fixture(autouse=True)
def no_exact_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """It cuts no rows, and takes long to find nothing better."""
    monkeypatch.setattr(plan, "why_out_of_reach", lambda problem: "left out here")


def solved(config: dict[str, object], structure: str, cut: Allowed) -> Solution:
    solution, report = solve_and_check(ask(config, structure, chip(), cut))
    assert report.passed, report.violations
    return solution


def test_a_cut_matrix_saves_an_array() -> None:
    """24 columns of 5 rows take 3 arrays of 8 x 8 whole; their 120 cells fit on 2 with parts of 3 rows above."""
    config = linears(step("a", (5, 24)))
    without, free = solved(config, "dense", "columns").header, solved(config, "dense", "both").header
    assert (without.metrics["arrays"], without.bounds["arrays"].lower) == (3, 3)
    assert (free.metrics["arrays"], free.bounds["arrays"].lower) == (2, 2)


@pytest.mark.parametrize("seed", range(3))
def test_free_row_cuts_are_legal_and_never_take_more_arrays(seed: int) -> None:
    random = Random(seed)
    sides = [(random.randint(2, 8), random.randint(8, 40)) for _ in range(random.randint(1, 4))]
    config = linears(*(step(f"s{number}", side) for number, side in enumerate(sides)))
    without, free = solved(config, "dense", "columns").header, solved(config, "dense", "both").header
    assert free.bounds["arrays"].lower <= free.metrics["arrays"] <= without.metrics["arrays"]


def filled_arrays(problem: Problem) -> int:
    """Arrays of the first way to strips, dealt once and checked."""
    stages, packing = ways_to_strips(problem)[0]
    spread = ColumnSpread(problem, stages, packing, packing.arrays, lambda event: None)
    mapping = spread.find("stepped", False, "balanced latency")
    solution = make_solution(problem.asking(objective=("arrays",)), mapping, strategy="optimal")
    assert check_solution(solution).passed
    return int(solution.header.metrics["arrays"])


def test_strips_of_whole_rows_are_dealt_as_if_no_row_may_be_cut() -> None:
    """More freedom must not worsen what does not use it: bounds under `both` are lower, and dealing begins there."""
    latencies = []
    for cut in ("columns", "both"):
        problem = make_problem("minilm-l6", "paper256", cut=cut)  # type: ignore[arg-type]
        name = "columns cut for balanced latency, spread over 11 arrays by shelf, even shelves"
        found = next(each for each in candidates(problem, Effort()) if each.name == name).find()
        assert found is not None
        latencies.append(measure(problem, found)["latency_cycles"])
    assert latencies[0] == latencies[1]


def test_the_question_of_strips_has_no_freer_cuts_than_they() -> None:
    problem = make_problem("llama-3-8b", "paper256", cut="both")
    whole = cut_into_strips(problem, even=False)
    assert question_of_strips(problem, whole).cut == "columns"
    assert question_of_strips(problem, cut_to_fill(problem, whole)) is problem
    columns = make_problem("llama-3-8b", "paper256")
    assert question_of_strips(columns, whole) is columns


def test_cut_rows_save_llama_32_arrays() -> None:
    """157.3 M weights on arrays of 65 536: 2400, 32 fewer than with columns cut alone.

    Columns of 224 rows leave 32, and there are half as many strips of 32 rows as such columns; 64 rows are 2 * 32.
    """
    assert least_arrays(make_problem("llama-3-8b", "paper256"), 2432) == (2432, "columns")
    problem = make_problem("llama-3-8b", "paper256", cut="both")
    assert least_arrays(problem, 2400) == (2400, "area")
    assert problem.weight_cells == 2400 * 256 * 256


@pytest.mark.slow
def test_llama_fills_its_arrays_to_the_last_cell() -> None:
    assert filled_arrays(make_problem("llama-3-8b", "paper256", cut="both")) == 2400


def test_many_heights_fill_too() -> None:
    """SmolLM2 on 128 rows has strips of 64, 48, 24 and 12: 3492 arrays with columns cut, 3308 by area."""
    problem = make_problem("smollm2-135m", "rram128-isaac", cut="both")
    assert filled_arrays(problem) == least_arrays(problem, 1 << 30)[0] == 3308


@pytest.mark.parametrize(("add_ns", "parts", "latency"), [(3, 2, 13), (5, 1, 14), (0.5, 4, 9)])
def test_lower_strips_save_time_where_adding_up_is_cheap(add_ns: float, parts: int, latency: int) -> None:
    """A matrix of 8 x 2 on arrays with 2 converters, 2 input phases, a read of 3 ns and one conversion each.

    8 rows need 3 bits, converted in 4 ns: 2 * (3 + 4) = 14. Halves of 4 rows, 2 bits in 2 ns: 2 * (3 + 2) = 10, and 2
    partial sums, one round of the 4 units. Quarters of 2 rows, 1 bit in 1 ns: 8, and 6 sums, two rounds. With 3 ns a
    round that is 13 and 14, with 5 ns 15 and 18, with 0.5 ns 10.5 (11 cycles) and 9. Eighths need a bit still.
    """
    add = {"base_ns": 0, "per_element_ns": add_ns, "base_pj": 0, "per_element_pj": 0}
    operations = {**PLAIN["digital"]["ops"], "add": add}
    hardware = chip(digital={"units": 4, "ops": operations})
    config = linears(step("a", (8, 2)))
    found = {}
    for cut in CUTS[1:]:
        solution, report = solve_and_check(ask(config, "dense", hardware, cut, 8).asking(objective=("latency",)))
        assert report.passed
        found[cut] = solution.header
    # The transfer of the result takes the same time in either.
    transfer = found["columns"].metrics["latency_cycles"] - 14
    assert found["both"].metrics["latency_cycles"] - transfer == latency
    assert found["both"].metrics["pieces"] == parts


def test_low_strips_pay_on_slow_converters() -> None:
    """Its converters take 2.3 ns more for every bit: on arrays in plenty lower strips make a token faster."""
    problem = make_problem("minilm-l6", "sram256", cut="both")
    whole = cut_into_strips(problem, even=True)
    latency = []
    for stages in (whole, cut_lower(problem, whole)):
        spread = ColumnSpread(problem, stages, pack_strips(problem, stages), 1296, lambda event: None)
        mapping = spread.find("stepped", False, "balanced latency")
        solution = make_solution(problem.asking(objective=("latency",)), mapping, strategy="optimal")
        assert check_solution(solution).passed
        latency.append(solution.header.metrics["latency_ns"])
    assert latency[1] < 0.9 * latency[0]
