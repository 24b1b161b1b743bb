"""Bounds of stages with experts: by hand, against exhaustion, and against random legal mappings."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest

from cimsolve.judge.check import check_solution
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping
from cimsolve.prove import find_bounds
from cimsolve.prove.arrays import least_arrays
from cimsolve.prove.time import least_latency_cycles, least_stage_cycles
from cimsolve.solve.effort import Effort
from cimsolve.solve.strategies import RULES
from makers.builders import STILL, answer, ask, chip, linears, pieces_of, step, with_experts
from makers.random_mappings import measure, random_mapping, random_question
from oracles import brute_force


def experts(count: int, chosen: int, shape: tuple[int, int], own: bool = True, **changes: Any) -> Problem:
    """Experts of one dense matrix each on the plain chip, where v columns of 4 rows take 2 * (3 + 2 * ceil(v / 2))."""
    mixture = with_experts(step("m", *[shape] * count), list(range(count)), chosen, own)
    return ask(linears(mixture), hardware=chip(**changes))


# By hand


def test_all_experts_at_once_are_a_bound_where_no_array_can_hold_as_many_as_are_chosen() -> None:
    """Three of four experts take 3 * 10 on one array; one expert an array takes 10, or 22 if it has 8 columns."""
    assert least_stage_cycles(experts(4, 3, (4, 2)), 4) == [10]
    assert least_stage_cycles(experts(4, 3, (4, 8)), 4) == [22]


def test_experts_apart_on_all_arrays_meet_their_bound() -> None:
    """Eight experts of 8 columns, of which a token fires two, on three arrays of 16 x 8: 64 columns.

    In 24 cycles an array with columns of one expert reads 8 of them. With more it reads 6 of the two that have most,
    one of which has 2, and so have the six others: 18, of which three arrays have 54. In 28 it reads 8, and the others
    have 4 each. Each expert in two pieces of 4 columns, no two of one expert on one array, takes 2 * 14 = 28.
    """
    problem = experts(8, 2, (4, 8), array__rows=16)
    assert least_stage_cycles(problem, 3) == [28]
    rows = []
    for number in range(16):
        expert, half = divmod(number, 2)
        array, place = number % 3, number // 3
        rows.append((expert, 0, 0, 4, 4 * half, 4, array, 4 * (place // 2), 4 * (place % 2)))
    found = answer(problem, pieces_of(*rows), objective="latency")
    assert check_solution(found).passed
    assert found.header.metrics["array_latency_ns"] == 28


def test_the_mean_is_bounded_by_what_one_route_takes() -> None:
    """Two of four experts of one column, 10 ns each; on two arrays the worst choice takes 20, as both may be of one.

    By a routing in which no two of one array run together, the mean is that of a route on arrays of its own.
    """
    problem = experts(4, 2, (4, 1), own=False).asking(routing="counts:9,9,9,9|0-1=3,0-3=6,1-2=6,2-3=3")
    rows = [(each, 0, 0, 4, 0, 1, each % 2, 0, each // 2) for each in range(4)]
    metrics = measure(problem, Mapping(pieces_of(*rows), np.arange(4)))
    lower = find_bounds(problem, metrics, ("arrays",)).lower
    assert metrics["array_latency_ns"] == 20
    assert metrics["latency_ns"] - metrics["mean_latency_ns"] == pytest.approx(10)
    assert metrics["mean_latency_ns"] == pytest.approx(lower["mean_latency_ns"].value)


def test_a_token_that_fires_all_experts_is_bounded_as_if_there_were_none() -> None:
    mixture = experts(3, 3, (4, 4), own=True)
    plain = ask(linears(*(step(f"s{n}", (4, 4), reads=[]) for n in range(3))), hardware=chip(**STILL))
    assert least_stage_cycles(mixture, 1) == [sum(least_stage_cycles(plain, 1))]


# Against exhaustion

TINY: dict[str, tuple[int, int, tuple[int, int], bool, dict[str, Any]]] = {
    "two of three": (3, 2, (2, 1), True, {}),
    "one of two, one input": (2, 1, (2, 2), False, {}),
    "one of two, one converter": (2, 1, (3, 2), True, {"adc__per_array": 1}),
    "slow reads": (2, 1, (2, 2), False, {"read_ns": 20}),
}


@pytest.mark.parametrize("name", TINY)
def test_the_bound_is_what_the_best_placement_of_tiny_experts_takes(name: str) -> None:
    count, chosen, shape, own, changes = TINY[name]
    problem = experts(count, chosen, shape, own, array__rows=4, array__cols=3, **changes)
    least = least_arrays(problem, 10)[0]
    for arrays in range(least, least + 3):
        assert least_latency_cycles(problem, arrays) == brute_force.least_latency(problem, arrays)


# Against random mappings


@pytest.mark.parametrize("seed", range(6))
def test_no_bound_lies_above_any_legal_mapping_of_experts(seed: int) -> None:
    no_bound_lies_above(Random(seed), mappings=25)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5000, 5200))
def test_no_bound_lies_above_any_of_many_more_of_experts(seed: int) -> None:
    no_bound_lies_above(Random(seed), mappings=200)


def no_bound_lies_above(draw: Random, mappings: int) -> None:
    problem = random_question(draw, draw.choice([False, True, None]), chain=draw.random() < 0.7, experts=True)
    least = least_arrays(problem, 10**9)[0]
    tried = [RULES[name](problem, Effort()).mapping for name in ("sparsemap", "densemap", "spread")]
    tried += [random_mapping(problem, draw, least + number % 4) for number in range(mappings)]
    for mapping in [each for each in tried if each is not None]:
        metrics = measure(problem, mapping)
        for objective in (("arrays", "latency"), ("latency",)):
            for name, bound in find_bounds(problem, metrics, objective).lower.items():
                assert metrics[name] >= bound.value * (1 - 1e-12), (name, objective)
