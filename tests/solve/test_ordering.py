"""Models that are no chain: the order in which stages take arrays and shared units, and what no order can beat."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import numpy as np
import pytest

from cimsolve import api
from cimsolve.judge.check import check_solution
from cimsolve.price.schedule import order_of_stages
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Solution
from cimsolve.problem.tables import Mapping
from cimsolve.prove import find_bounds
from cimsolve.prove.time import least_latency_cycles
from cimsolve.solve.effort import Effort
from cimsolve.solve.incumbent import measure
from cimsolve.solve.polish import order
from cimsolve.solve.polish.order import Shop, order_stages
from cimsolve.solve.strategies import RULES
from cimsolve.study.explain.chain import find_chain
from cimsolve.study.solving import make_solution, solve
from makers.builders import STILL, ask, chip, linears, step

PRICED = {"digital__ops__activation__per_element_ns": 2, "digital__ops__add__base_ns": 3}


def branching(draw: Random, steps: int) -> Problem:
    """Steps that read one or two earlier ones, with digital work between them."""
    found: list[dict[str, Any]] = []
    for number in range(steps):
        reads = sorted(draw.sample(range(number), min(number, draw.choice([1, 1, 2]))))
        keys: dict[str, Any] = {"reads": [f"s{read}" for read in reads]}
        if reads and draw.random() < 0.6:
            name = draw.choice(["activation", "add"])
            keys["operations"] = [{"name": name, "elements": draw.randint(1, 12)}]
        found.append(step(f"s{number}", *[(4, draw.choice([2, 4]))] * draw.randint(1, 2), **keys))
    hardware = chip(**PRICED, **(STILL if draw.random() < 0.3 else {}))
    return ask(linears(*found), draw.choice(["dense", "2,2,1"]), hardware)


def branching_problems(seed: int, count: int, steps: int) -> list[tuple[Problem, Mapping]]:
    draw, found = Random(seed), []
    while len(found) < count:
        problem = branching(draw, draw.randint(3, steps))
        if not problem.workload.is_chain:
            found.append((problem, RULES[draw.choice(["densemap", "spread"])](problem, Effort()).mapping))
    return found


def answer(problem: Problem, mapping: Mapping) -> Solution:
    return make_solution(problem.asking(objective=("arrays",)), mapping, strategy="optimal")


def topological_orders(after: list[tuple[int, ...]], done: tuple[int, ...] = ()) -> Iterator[list[int]]:
    if len(done) == len(after):
        yield list(done)
    for number in range(len(after)):
        if number not in done and set(after[number]) <= set(done):
            yield from topological_orders(after, (*done, number))


@pytest.mark.parametrize(("problem", "mapping"), branching_problems(1, 12, 6))
def test_as_early_as_the_best_of_all_orders(problem: Problem, mapping: Mapping) -> None:
    shop = Shop.of(problem, mapping)
    ordered = order_stages(problem, mapping, seed=0, workers=1)
    assert ordered.order is not None
    least = min(shop.end(order) for order in topological_orders(shop.after))
    assert shop.end(ordered.order.tolist()) == least
    solution = answer(problem, ordered)
    report = check_solution(solution)
    assert report.passed, report.violations[:2]
    assert solution.header.metrics["latency_cycles"] <= measure(problem, mapping)["latency_cycles"]
    # What the shop says is what the schedule does.
    ends = solution.activations.end.max() - solution.activations.start.min()
    assert ends == least
    assert find_bounds(problem, solution.header.metrics, ("latency",)).lower["latency_cycles"].value <= least + (
        solution.header.metrics["latency_cycles"] - ends
    )


@pytest.mark.parametrize(("problem", "mapping"), branching_problems(2, 10, 9))
def test_windows_keep_what_is_read_before_what_reads_it(
    problem: Problem, mapping: Mapping, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order, "STAGES_MAX", 3)
    ordered = order_stages(problem, mapping, seed=0, workers=1)
    assert ordered.order is not None
    place = np.argsort(ordered.order)
    for stage in problem.workload.stages:
        assert all(place[before] < place[stage.id] for before in stage.after)
    assert check_solution(answer(problem, ordered)).passed
    assert measure(problem, ordered)["latency_cycles"] <= measure(problem, mapping)["latency_cycles"]


@pytest.mark.parametrize(("problem", "mapping"), branching_problems(3, 10, 7))
def test_an_order_is_read_back_replayed_and_explained(problem: Problem, mapping: Mapping) -> None:
    solution = answer(problem, order_stages(problem, mapping, seed=0, workers=1))
    order = order_of_stages(problem, solution.pieces, solution.activations)
    fires = solution.activations.of_piece(len(solution.pieces))
    again = measure(problem, Mapping(solution.pieces, fires, order))
    assert again["latency_cycles"] <= solution.header.metrics["latency_cycles"]
    assert api.replay_solution(solution, stream=0).agrees
    costs = check_solution(solution).costs
    assert costs is not None
    chain = find_chain(problem, solution, costs)
    assert sum(chain.components().values()) == solution.header.metrics["latency_cycles"]


def diamond(**hardware: Any) -> Problem:
    """a, then b and c, then d; the first of b and c to be served decides when d can start."""
    steps = [
        step("a", (8, 8)),
        step("b", (8, 2), reads=["a"]),
        step("c", (8, 2), reads=["a"], operations=[{"name": "activation", "elements": 60}]),
        step("d", (8, 8), reads=["b"], operations=[{"name": "activation", "elements": 20}]),
        step("e", (8, 2), reads=["c", "d"]),
    ]
    return ask(linears(*steps), "dense", chip(**PRICED, **STILL, **hardware))


def test_the_longer_path_goes_first() -> None:
    """8 x 2 weights take 2 (3 + 4) = 14 ns, 8 x 8 38 ns; 60 elements on 4 units at 2 ns each hold them for 30 ns.

    After a, c's 30 ns could begin at once, d's 10 ns when b has ended 14 ns later. Served as named, d may start 40 ns
    after a and e 78 ns after it; d first, d ends 14 + 10 + 38 = 62 ns and c 24 + 30 + 14 = 68 ns after a.
    """
    problem = diamond()
    mapping = RULES["spread"](problem, Effort()).mapping
    shop = Shop.of(problem, mapping)
    ordered = order_stages(problem, mapping, seed=0, workers=1)
    assert (shop.end([0, 1, 2, 3, 4]), shop.end([0, 1, 3, 2, 4])) == (38 + 78 + 14, 38 + 68 + 14)
    assert ordered.order is not None
    assert shop.end(ordered.order.tolist()) == 38 + 68 + 14
    solved = solve(problem, "optimal")
    assert solved.header.metrics["latency_cycles"] <= measure(problem, ordered)["latency_cycles"]


def test_stages_that_may_overlap_still_share_one_array() -> None:
    """a, 8 x 2, then b and c, 8 x 3 each: 2 (3 + 4) = 14 and 2 (3 + 2 * 4) = 22 ns, so a path of 36.

    One array of 8 x 8 has to read three times, and to convert 8 columns, 2 at a time: 2 (3 * 3 + 4 * 4) = 50.
    """
    steps = [step("a", (8, 2)), step("b", (8, 3), reads=["a"]), step("c", (8, 3), reads=["a"])]
    problem = ask(linears(*steps), "dense", chip(**STILL))
    assert not problem.workload.is_chain
    assert least_latency_cycles(problem, 1) == 50
    solution = solve(problem, "optimal")
    assert (solution.header.metrics["arrays"], solution.header.metrics["latency_cycles"]) == (1, 14 + 22 + 22)
    assert least_latency_cycles(problem, 3) < 50


def test_gaps_run_one_at_a_time_in_the_bound_too() -> None:
    """Three gaps of 40 elements on 4 units at 2 ns, 20 ns each, between stages that could overlap."""
    work = {"reads": ["a"], "operations": [{"name": "activation", "elements": 40}]}
    steps = [step("a", (2, 2)), *(step(name, (2, 2), **work) for name in "bcd")]
    problem = ask(linears(*steps), "dense", chip(**PRICED, **STILL))
    assert least_latency_cycles(problem, 4) >= 60


def test_a_chain_has_one_order() -> None:
    problem = ask(linears(step("a", (8, 8)), step("b", (8, 8), reads=["a"])), "dense", chip(**STILL))
    mapping = RULES["spread"](problem, Effort()).mapping
    assert problem.workload.is_chain
    assert order_stages(problem, mapping, seed=0, workers=1) is mapping
