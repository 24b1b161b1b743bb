"""Experts in each other's places: the mean is less where it can be, and the worst choice is as it was."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from cimsolve.judge.check import check_solution
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping
from cimsolve.solve.incumbent import measure
from cimsolve.solve.polish.experts import seat_experts
from cimsolve.study.solving import solve
from makers.builders import ask, chip, linears, pieces_of, step, with_experts
from makers.cost_cases import random_case

MAY_DIFFER = {"active_cell_share"}
"""Of choices that cost the same the first is taken, which may keep other cells active."""
FOUR = linears(with_experts(step("m", *[(4, 4)] * 4), of=[0, 1, 2, 3], chosen=2))


def seated(routing: str, arrays: list[int], for_latency: bool = True) -> tuple[Problem, Mapping, Mapping]:
    """Four experts of one piece each on these arrays, as they lie and seated."""
    problem = ask(FOUR, hardware=chip()).asking(routing=routing)
    row: dict[int, int] = {}
    rows = []
    for factor, array in enumerate(arrays):
        rows.append((factor, 0, 0, 4, 0, 4, array, row.get(array, 0), 0))
        row[array] = row.get(array, 0) + 4
    mapping = Mapping(pieces_of(*rows), np.arange(4))
    return problem, mapping, seat_experts(problem, mapping, for_latency)


@pytest.mark.parametrize("seed", [4, 9, 29, 59, 104, 449])
@pytest.mark.parametrize("for_latency", [True, False])
def test_nothing_of_the_worst_choice_changes(seed: int, for_latency: bool) -> None:
    case = random_case(seed)
    before = measure(case.problem, case.mapping)
    after = measure(case.problem, seat_experts(case.problem, case.mapping, for_latency))
    changed = {name for name in before if before[name] != after[name]}
    assert {name for name in changed if not name.startswith("mean_")} <= MAY_DIFFER


def test_experts_that_run_together_lie_apart() -> None:
    """0 runs with 1 and 2 with 3, each pair on one array: then the time of one piece does, not of two."""
    problem, mapping, found = seated("counts:10,10,10,10|0-1=10,2-3=10", [0, 0, 1, 1])
    array = found.pieces.array[np.argsort(found.pieces.factor)]
    assert array[0] != array[1]
    assert array[2] != array[3]
    assert measure(problem, mapping)["mean_array_ii_ns"] == measure(problem, found)["mean_array_ii_ns"]
    saved = measure(problem, mapping)["mean_latency_ns"] - measure(problem, found)["mean_latency_ns"]
    assert saved == 14  # 4 rows x 4 columns take 2 * (3 + 2 * 2) ns


@pytest.mark.parametrize("arrays", [[0, 0, 0, 1], [0, 1, 1, 0], [0, 0, 1, 2]])
@pytest.mark.parametrize("pairs", ["0-1=6,0-2=3,0-3=1,1-2=2,1-3=3,2-3=5", "0-1=9,0-2=1,1-3=1,2-3=9"])
def test_of_pairs_no_other_seats_are_better(arrays: list[int], pairs: str) -> None:
    """Of two experts the pairs are all there is: by hand over all orders of the four."""
    together = {tuple(map(int, each[:3].split("-"))): int(each[4:]) for each in pairs.split(",")}
    counts = [sum(count for pair, count in together.items() if expert in pair) for expert in range(4)]
    _, _, found = seated(f"counts:{','.join(map(str, counts))}|{pairs}", arrays)

    def queued(array: list[int]) -> int:
        return sum(count for (one, other), count in together.items() if array[one] == array[other])

    place = found.pieces.array[np.argsort(found.pieces.factor)].tolist()
    assert queued(place) == min(queued([arrays[seat] for seat in order]) for order in permutations(range(4)))


def test_the_most_used_works_where_there_is_least_else() -> None:
    """Of two arrays one has a matrix that every token fires: the expert that all tokens choose lies on the other."""
    config = linears(step("a", (4, 4)), with_experts(step("m", *[(4, 4)] * 3), of=[0, 1, 2], chosen=2))
    problem = ask(config, hardware=chip()).asking(routing="counts:90,90,1")
    rows = [(0, 0, 0, 4, 0, 4, 0, 0, 0), *((1 + each, 0, 0, 4, 0, 4, each, 4, 0) for each in range(3))]
    mapping = Mapping(pieces_of(*rows), np.arange(4))
    found = seat_experts(problem, mapping, for_latency=True)
    array = dict(zip(found.pieces.factor.tolist(), found.pieces.array.tolist(), strict=True))
    assert (array[0], array[3]) == (0, 0)
    assert measure(problem, found)["mean_array_ii_ns"] < measure(problem, mapping)["mean_array_ii_ns"]


def test_the_search_takes_them_and_the_worst_choice_stands() -> None:
    of: list[int | None] = [0, 1, 2, 3, None]
    config = linears(
        step("router", (8, 4)),
        with_experts(step("up", *[(8, 8)] * 5), of, chosen=2),
        with_experts(step("down", *[(8, 8)] * 5), of, chosen=2, own=True),
    )
    alike = ask(config, "dense", chip(array__rows=16, array__cols=16))
    said = alike.asking(routing="counts:30,10,10,30|0-3=25,1-2=5,0-1=3,0-2=2,1-3=2,2-3=3")
    before, after = solve(alike, "optimal"), solve(said, "optimal")
    assert check_solution(after).passed
    worst = {name: value for name, value in before.header.metrics.items() if not name.startswith("mean_")}
    assert {name: after.header.metrics[name] for name in worst if name not in MAY_DIFFER} == {
        name: value for name, value in worst.items() if name not in MAY_DIFFER
    }
    unseated = measure(said, Mapping(before.pieces, before.activations.of_piece(len(before.pieces))))
    assert after.header.metrics["mean_latency_ns"] <= unseated["mean_latency_ns"]
