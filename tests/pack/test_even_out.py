"""Packings that spread every shape: legal, on as many arrays, and as even as their condition says."""

from __future__ import annotations

from random import Random

import networkx as nx
import numpy as np
import pytest

from cimsolve.api import make_problem
from cimsolve.pack.blocks import ArrayPacking, pack_blocks
from cimsolve.pack.even_out import ShapeNeed, even_out, needs_of
from cimsolve.pack.guillotine import Pattern
from cimsolve.price.cost import evaluate
from cimsolve.price.schedule import schedule
from cimsolve.problem.problem import Problem
from cimsolve.solve.candidates import candidates
from cimsolve.solve.effort import Effort
from oracles.packings import painted


def can_be_dealt(demands: list[int], slots: list[int], arrays: int) -> bool:
    """Whether a flow deals every stage's blocks such that no array holds more than its even share of a stage."""
    graph = nx.DiGraph()
    for stage, demand in enumerate(demands):
        graph.add_edge("all", ("stage", stage), capacity=demand)
        for array, room in enumerate(slots):
            graph.add_edge(("stage", stage), ("array", array), capacity=-(-demand // arrays))
            graph.add_edge(("array", array), "dealt", capacity=room)
    return nx.maximum_flow_value(graph, "all", "dealt") == sum(demands)


@pytest.mark.parametrize("seed", range(30))
def test_needs_are_met_exactly_where_a_flow_deals_all(seed: int) -> None:
    draw = Random(seed)
    arrays = draw.randint(1, 5)
    demands = [draw.randint(1, 2 * arrays) for _ in range(draw.randint(1, 5))]
    slots = [draw.randint(0, 2 * len(demands)) for _ in range(arrays)]
    needs = needs_of(np.array([[demand] for demand in demands]), arrays)
    met = all(sum(min(room, need.cap) for room in slots) >= need.demand for need in needs)
    assert met == can_be_dealt(demands, slots, arrays)


def test_needs_by_hand() -> None:
    """Stages with 3, 3, 1 and 8 blocks on 4 arrays: at most 1, 1, 1 and 2 of each on one array. By blocks for each
    of these, 8/2 and then 3, 3 and 1: caps 2, 4 and 5 for 8, 14 and 15 blocks."""
    found = needs_of(np.array([[3, 0], [3, 2], [1, 0], [8, 0]]), 4)
    assert found == [ShapeNeed(0, 2, 8), ShapeNeed(0, 4, 14), ShapeNeed(0, 5, 15), ShapeNeed(1, 1, 2)]


def test_a_rare_shape_leaves_its_few_arrays() -> None:
    """6 blocks of 2 x 4 and 4 of 2 x 2 on arrays of 4 x 4, packed as 3 arrays of the one and 1 of the other.

    Two stages have 2 of the small ones each and want them on different arrays. Two bands of two go to two arrays,
    each beside one wide block, and the other two hold the 4 that are left.
    """
    heights, widths = np.array([2, 2]), np.array([4, 2])
    packed = ArrayPacking(
        [
            Pattern(np.array([0, 0]), np.array([0, 2]), np.array([0, 0])),
            Pattern(np.array([1, 1, 1, 1]), np.array([0, 0, 2, 2]), np.array([0, 2, 0, 2])),
        ],
        np.array([3, 1]),
        4,
        4,
        "area",
    )
    even = even_out(packed, heights, widths, np.array([[3, 0], [3, 0], [0, 2], [0, 2]]), 4, 4, 4)
    assert painted([2, 2], [4, 2], 4, 4, even).tolist() == [6, 4]
    on_each = np.repeat([pattern.counts(2) for pattern in even.patterns], even.multiplicity, axis=0)
    assert sorted(on_each.tolist()) == [[1, 2], [1, 2], [2, 0], [2, 0]]


@pytest.mark.parametrize("seed", range(16))
def test_evened_packings_are_legal_and_no_less_even(seed: int) -> None:
    draw = Random(seed)
    rows, cols, types = draw.randint(4, 16), draw.randint(4, 16), draw.randint(1, 4)
    heights = np.array([draw.randint(1, rows) for _ in range(types)])
    widths = np.array([draw.randint(1, cols) for _ in range(types)])
    demands = np.array([[draw.choice([0, 1, 4, 9]) for _ in range(types)] for _ in range(draw.randint(1, 6))])
    demands[0] += 1
    count = demands.sum(axis=0)
    packed = pack_blocks(heights, widths, count, rows, cols)
    arrays = packed.arrays + draw.choice([0, 0, 1, 3])
    even = even_out(packed, heights, widths, demands, rows, cols, arrays)
    assert even.arrays <= arrays
    assert (painted(heights.tolist(), widths.tolist(), rows, cols, even) >= count).all()
    assert lacking(even, demands, arrays) <= lacking(packed, demands, arrays)


def lacking(packing: ArrayPacking, demands: np.ndarray, arrays: int) -> int:
    contents = np.array([pattern.counts(demands.shape[1]) for pattern in packing.patterns])
    return sum(
        max(0, need.demand - int(packing.multiplicity @ np.minimum(contents[:, need.type], need.cap)))
        for need in needs_of(demands, arrays)
    )


def latency_cycles(problem: Problem, name: str) -> int:
    chosen = next(c for c in candidates(problem, Effort()) if c.name.startswith(name))
    return int(evaluate(*schedule(problem, chosen.find())).metrics["latency_cycles"])


def test_a_small_model_waits_no_longer_for_few_arrays() -> None:
    """MiniLM, uncut, on the 89 arrays that it needs: the densest packing alone takes 1.6 times the proved least."""
    problem = make_problem("minilm-l6", "rram256", cut="none")
    assert latency_cycles(problem, "whole blocks, each shape") == 129030
    assert latency_cycles(problem, "whole blocks spread") > 1.5 * 129030
