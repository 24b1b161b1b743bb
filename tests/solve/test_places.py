"""Places of arrays and of what they hold: nothing changes on any array, and less moves."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from random import Random
from typing import Any

import numpy as np
import pytest

from cimsolve.chip.read import without_distance
from cimsolve.judge.check import check_solution
from cimsolve.price.cost import Metrics, evaluate
from cimsolve.price.moves import find_moves
from cimsolve.price.schedule import schedule
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping, Pieces
from cimsolve.solve.effort import Effort
from cimsolve.solve.places.locate import located, located_again
from cimsolve.solve.plan import map_optimal
from cimsolve.solve.rules.spread import map_spread
from cimsolve.study.solving import make_solution, solve_and_check
from makers.builders import MESH, ask, linears, mesh_chip, step
from makers.cost_cases import random_case

OF_ARRAYS = (
    "arrays",
    "array_latency_ns",
    "array_ii_cycles",
    "array_energy_pj",
    "pieces",
    "activations",
    "adc_bits_max",
)


def measure(problem: Problem, mapping: Mapping) -> Metrics:
    return evaluate(*schedule(problem, mapping)).metrics


def with_network(seed: int) -> tuple[Problem, Mapping]:
    """A random problem whose chip has a network, and a legal mapping."""
    while True:
        case = random_case(seed)
        if case.problem.hardware.interconnect is not None:
            return case.problem, case.mapping
        seed += 1000


def two_layers(**changes: Any) -> Problem:
    """Two layers of factored matrices on arrays of 8 x 8, too many for one core."""
    return ask(linears(step("a", (16, 16)), step("b", (16, 16))), "4,4,2", mesh_chip(**changes))


@pytest.mark.parametrize("seed", range(8))
def test_arrays_do_as_before_wherever_they_are(seed: int) -> None:
    problem, mapping = with_network(seed)
    before = measure(problem, mapping)
    # Stages that may overlap do so in other ways where moves take other times.
    same = OF_ARRAYS if problem.workload.is_chain else tuple(name for name in OF_ARRAYS if "latency" not in name)
    for found in islice(located(problem, mapping), 3):
        solution = make_solution(problem, found, strategy="by hand")
        assert not check_solution(solution).violations
        for name in same:
            assert solution.header.metrics[name] == pytest.approx(before[name], rel=1e-12), name


@pytest.mark.parametrize("seed", range(8))
def test_stages_that_trade_arrays_leave_them_as_they_were(seed: int) -> None:
    problem, mapping = with_network(seed)
    before = measure(problem, mapping)
    same = OF_ARRAYS if problem.workload.is_chain else tuple(name for name in OF_ARRAYS if "latency" not in name)
    for found in islice(located_again(problem, next(located(problem, mapping)), 10), 2):
        solution = make_solution(problem, found, strategy="by hand")
        assert not check_solution(solution).violations
        for name in same:
            assert solution.header.metrics[name] == pytest.approx(before[name], rel=1e-12), name


def single_columns(rows: int, near: list[int]) -> tuple[Problem, Mapping]:
    """Two steps of 4 R and 4 L blocks, a column on each array, on a mesh of so many rows and 4 columns, hub above.

    The 16 columns of factors in `near` lie on the first 16 arrays in order, those of others on the last 16.
    """
    network = {
        **MESH,
        "rows": rows,
        "cols": 4,
        "hop_ns": 10,
        "bits_per_ns": 1000,
        "hub": {"at": "edge", "bits_per_ns": 1e6},
    }
    chip = mesh_chip(network=network, core={"arrays": 1, "bus": {"bits_per_ns": 1000, "pj_per_bit": 0}})
    problem = ask(linears(step("a", (16, 16)), step("b", (16, 16))), "4,4,1", chip)
    factor, block, col = (each.reshape(-1) for each in np.meshgrid(range(4), range(4), range(4), indexing="ij"))
    array = np.where(np.isin(factor, near), 0, 4 * rows - 16) + 4 * block + col
    nothing, four = np.zeros(64, dtype=np.int64), np.full(64, 4)
    pieces = Pieces(factor, block, nothing, four, col, nothing + 1, array, 4 * (factor % 2), factor)
    return problem, Mapping(pieces, np.arange(64), place=np.arange(4 * rows))


def hops_over(problem: Problem, mapping: Mapping) -> list[int]:
    """Hops of the longest way of what goes from core to core, of each step."""
    assert mapping.place is not None
    return [each.hops_ps // 10_000 for each in find_moves(problem, mapping.pieces, mapping.place).over if each]


def test_what_is_made_on_a_mesh_stays_in_the_rows_that_read_it() -> None:
    problem, mapping = single_columns(4, near=[0, 1, 2, 3])
    assert max(hops_over(problem, mapping)) > 3
    # Row j has column j of every block of R and block j of L, whose four columns are all over the row.
    assert hops_over(problem, next(located(problem, mapping))) == [3, 3]


def test_the_stages_of_a_step_come_to_the_same_arrays() -> None:
    problem, mapping = single_columns(8, near=[0, 3])
    assert min(hops_over(problem, mapping)) >= 7
    found = next(located_again(problem, mapping, 10))
    assert not check_solution(make_solution(problem, found, strategy="by hand")).violations
    assert hops_over(problem, found) == [3, 3]


def test_the_only_core_may_be_beside_the_hub() -> None:
    network = {**MESH, "rows": 1, "cols": 1, "hub": {**MESH["hub"], "at": [0, 0]}}
    problem = two_layers(network=network, core__arrays=40)
    assert not list(located_again(problem, next(located(problem, map_spread(problem))), 10))


@pytest.mark.parametrize("seed", range(8))
def test_the_numbers_of_arrays_do_not_matter(seed: int) -> None:
    problem, mapping = with_network(seed)
    arrays = int(mapping.pieces.array.max()) + 1
    place = next(located(problem, mapping)).place
    assert place is not None
    renamed = np.array(Random(seed).sample(range(arrays), arrays))
    places = np.empty(arrays, dtype=np.int64)
    places[renamed] = place
    pieces = replace(mapping.pieces, array=renamed[mapping.pieces.array])
    assert measure(problem, replace(mapping, place=place)) == measure(
        problem, replace(mapping, pieces=pieces, place=places)
    )


@pytest.mark.parametrize("arrays", [7, 9, 11])
def test_full_cores_nearest_to_the_hub_are_tried(arrays: int) -> None:
    """Cores of two arrays around a hub, of which the last holds one alone: it is no nearer than any other."""
    network = {**MESH, "hub": {**MESH["hub"], "at": [1, 1]}, "rows": 3, "cols": 3}
    problem = ask(linears(step("a", *[(8, 8)] * arrays)), hardware=mesh_chip(network=network))
    mapping = map_spread(problem)
    assert int(mapping.pieces.array.max()) + 1 == arrays
    assert problem.hardware.topology is not None
    hops = problem.hardware.topology.ways_to_hub()[0]
    full = [np.sort(hops[place]).tolist() for found in located(problem, mapping) if (place := found.place) is not None]
    assert np.sort(np.repeat(np.sort(hops), 2)[:arrays]).tolist() in full


@pytest.mark.parametrize("multicast", ["tree", "unicast"])
@pytest.mark.parametrize("at", ["edge", [1, 1]])
def test_no_answer_is_worse_than_the_flat_one_priced_afterwards(multicast: str, at: object) -> None:
    network = {**MESH, "multicast": multicast, "hub": {**MESH["hub"], "at": at}, "rows": 3, "cols": 3}
    problem = two_layers(network=network)
    flat = problem.asking(hardware=without_distance(problem.hardware))
    afterwards = measure(problem, map_optimal(flat, Effort()).mapping)
    solution, report = solve_and_check(problem)
    assert not report.violations
    found = solution.header.metrics
    assert (found["arrays"], found["latency_cycles"]) <= (afterwards["arrays"], afterwards["latency_cycles"])
    assert found["latency_cycles"] <= measure(problem, map_spread(problem))["latency_cycles"]


@pytest.mark.parametrize("weighed", [{"max_energy_pj": 1e4}, {"objective": ("latency:0.5+energy:0.5",)}])
def test_where_energy_is_weighed_against_time_some_steps_save_it(weighed: dict[str, Any]) -> None:
    network = {**MESH, "hub": {**MESH["hub"], "at": [1, 1]}, "rows": 5, "cols": 5}
    chip = mesh_chip(network=network, array__leakage_uw=0)
    problem = ask(linears(*(step(f"s{number}", (24, 24)) for number in range(4))), hardware=chip)
    mapping = map_spread(problem)
    fast, several = ways_by_places(problem, mapping), ways_by_places(problem.asking(**weighed), mapping)
    assert all(len(ways) == 1 and ways <= several[places] for places, ways in fast.items())
    slower = [(way, fastest) for places, (fastest,) in fast.items() for way in several[places] - {fastest}]
    assert all(cycles > least_cycles for (cycles, _), (least_cycles, _) in slower)
    assert any(pj < most_pj for (_, pj), (_, most_pj) in slower)


def ways_by_places(problem: Problem, mapping: Mapping) -> dict[bytes, set[tuple[float, float]]]:
    """Cycles and pJ of the ways to deal a mapping, by the places of its arrays."""
    found: dict[bytes, set[tuple[float, float]]] = {}
    for way in located(problem, mapping):
        metrics = measure(problem, way)
        assert way.place is not None
        found.setdefault(way.place.tobytes(), set()).add((metrics["latency_cycles"], metrics["energy_pj"]))
    return found


def test_parts_of_an_output_are_added_in_one_core() -> None:
    # 8 rows of two arrays make 8 x 2 parts of each of 16 outputs; a core has two arrays, one for each part.
    problem = ask(linears(step("a", (16, 16))), hardware=mesh_chip())
    solution, report = solve_and_check(problem)
    assert not report.violations
    assert solution.header.metrics["arrays"] == 4
    assert solution.header.breakdown.latency_cycles["partial_sums"] == 0
    assert solution.header.stages[0].tail_cycles > 0
