"""Bounds on chips with cores and a network: by hand, against every placing of a few columns, and at random."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations_with_replacement, product
from random import Random
from typing import Any

import numpy as np
import pytest

from cimsolve.price.cost import Costs, Metrics, price
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping
from cimsolve.prove import find_bounds
from cimsolve.prove.arrays import least_arrays
from cimsolve.prove.network import least_moves_pj
from cimsolve.prove.time import least_ii_cycles, least_latency_cycles, least_phase_ii_cycles
from makers.builders import MESH, Row, ask, linears, mesh_chip, pieces_of, step
from makers.random_mappings import measure, random_mapping, random_question
from makers.random_networks import random_places

FREE_BUS = {"bits_per_ns": 1e6, "pj_per_bit": 0}


def network(**changes: Any) -> dict[str, Any]:
    """The round network of 2 x 2 with keys changed; `at`, `port` are those of its hub."""
    hub = {"at": changes.pop("at", "edge"), "bits_per_ns": changes.pop("port", 16)}
    return {**MESH, "hub": hub, **changes}


def tree(**changes: Any) -> dict[str, Any]:
    """An H-tree of two levels of two, its leaves' links as fast as those of the round mesh."""
    levels = {"bits_per_ns_level": [2, 2], "hop_ns_level": [1, 1], "pj_per_bit_level": [1, 1]}
    kept = {key: MESH[key] for key in ("multicast", "base_ns", "sum_bits")}
    return {"topology": "htree", "levels": 2, "fanout": 2, "hub": {"bits_per_ns": 16}, **kept, **levels, **changes}


def dense(cols: int, hardware: dict[str, Any], rows: int = 4) -> Problem:
    return ask(linears(step("a", (rows, cols))), "dense", hardware)


def columns_at(problem: Problem, *arrays: tuple[int, int], rows: int = 4) -> Metrics:
    """Metrics with so many columns of the one matrix on an array at a place, for each (columns, place)."""
    taken: list[Row] = []
    for array, (cols, _) in enumerate(arrays):
        taken.append((0, 0, 0, rows, sum(row[5] for row in taken), cols, array, 0, 0))
    places = np.array([place for _, place in arrays])
    return measure(problem, Mapping(pieces_of(*taken), np.arange(len(taken)), place=places))


def stage_cycles_of(costs: Costs) -> list[int]:
    cycles: list[int] = (costs.stages.end - costs.stages.start).tolist()
    return cycles


# By hand: a matrix of 4 x 4 on the round mesh


def test_moves_of_one_matrix_on_one_and_on_two_arrays() -> None:
    """Cores of two arrays on 2 x 2 places, the hub along the edge: two links of 2 bit/ns, a base of 1 ns, 1 ns a hop.

    One array reads 4 columns in 2 * (3 + 2 * 2) = 14 ns. Down go 4 elements of 2 bits, 8 bits on one link: 1 + 1 ns and
    4 ns. Up go 4 outputs of 4 bits: 2 ns and 8 ns. Two arrays read 2 columns each in 2 * (3 + 2) = 10 ns; they may be
    behind both links: each carries 8 bits down, as a column needs all elements, and 2 outputs up: 2 + 4 and 2 + 4 ns.
    """
    problem = dense(4, mesh_chip())
    assert [least_latency_cycles(problem, arrays) for arrays in (1, 2, 4)] == [14 + 6 + 10, 10 + 6 + 6, 10 + 6 + 6]
    assert columns_at(problem, (4, 0))["latency_cycles"] == 30
    assert columns_at(problem, (2, 0), (2, 1))["latency_cycles"] == 22


def test_energy_of_moves_of_one_matrix() -> None:
    """8 bits down and 16 bits up over one hop at 1 pJ, and over the bus at 0.5 pJ."""
    problem = dense(4, mesh_chip())
    assert sum(least_moves_pj(problem)) == pytest.approx(24 * 1 + 24 * 0.5)
    assert columns_at(problem, (4, 0))["network_energy_pj"] == pytest.approx(36)


def test_weights_with_most_bits_lie_nearest_to_the_hub() -> None:
    """Two matrices that fill an array each, 8 x 8 and 4 x 16 (cut in two); one array a core, the hub beside (0, 0).

    A weight of either answers for 2 / 8 and 4 / 8, or 2 / 16 and 4 / 4 of a bit, so the latter lies at the hub.
    The former has 16 + 32 bits that go one hop. On buses 8 + 4 elements and 8 + 16 outputs: 2 * 12 + 4 * 24 bits.
    """
    core = {"arrays": 1, "bus": {"bits_per_ns": 8, "pj_per_bit": 0.5}}
    problem = ask(
        linears(step("a", (8, 8)), step("b", (4, 16))),
        "dense",
        mesh_chip(core=core, network=network(at=[0, 0])),
    )
    assert sum(least_moves_pj(problem)) == pytest.approx(48 + 0.5 * (24 + 96))


def test_a_short_stage_lies_on_many_cores() -> None:
    """Sixteen columns of four rows, an array a core, 1 pJ a bit and link; 4 elements of 2 bits, 16 outputs of 4 bits.

    In 22 ns an array reads 8 columns: two cores, each one link from the hub. The elements must be at both: each passes
    two links, of which the bound has one and a half. In 14 ns it reads 4: two more cores lie two links away, so outputs
    pass 1.5, and elements of four cores 1.5 and the mean of 0 ... 3 further ones.
    """
    core = {"arrays": 1, "bus": FREE_BUS}
    problem = dense(16, mesh_chip(core=core))
    assert least_moves_pj(problem).links_pj == pytest.approx(8 * 1 + 64 * 1)
    assert least_moves_pj(problem, [22]).links_pj == pytest.approx(8 * 1.5 + 64 * 1)
    assert least_moves_pj(problem, [14]).links_pj == pytest.approx(8 * 3 + 64 * 1.5)
    assert columns_at(problem, (8, 0), (8, 1))["network_energy_pj"] == pytest.approx(8 * 2 + 64)
    assert columns_at(problem, *((4, place) for place in range(4)))["network_energy_pj"] == pytest.approx(8 * 4 + 96)


def test_what_several_cores_read_of_another_passes_a_link_to_each_but_one() -> None:
    """A 4 x 4 of rank 1, an array a core; each of two arrays reads two columns of L: z passes a link."""
    core = {"arrays": 1, "bus": FREE_BUS}
    problem = ask(linears(step("a", (4, 4))), "1,1,1", mesh_chip(core=core))
    rows = [(0, 0, 0, 4, 0, 1, 0, 0, 0), (1, 0, 0, 1, 0, 2, 0, 0, 1), (1, 0, 0, 1, 2, 2, 1, 0, 1)]
    costs = price(problem, Mapping(pieces_of(*rows), np.arange(3), place=np.array([0, 1]))).costs
    # Down 8 bits by one link; z of 2 bits from one core to its neighbour; up two outputs of 4 bits by each link.
    assert costs.metrics["network_energy_pj"] == pytest.approx(8 + 2 + 16)
    assert least_moves_pj(problem, stage_cycles_of(costs)).links_pj == pytest.approx(8 + 2 + 16)
    assert least_moves_pj(problem).links_pj == pytest.approx(8 + 16)


def test_a_longer_stage_may_lie_nearer_to_the_hub() -> None:
    """A core of one array at each of 2 x 2 places, the hub beside (0, 0), links of 1 bit/ns; a matrix of 4 x 8.

    An array reads 2, 4, 6, 8 columns in 10, 14, 18, 22 ns. At the hub lie as many; south is one core, east are two.
    10 ns: east 4 columns, 2 hops: down 3 + 8 ns, up 3 + 16 ns. 14 ns: 2 columns each way, 1 hop: 2 + 8 and 2 + 8.
    18 ns: one each way, down 2 + 8, up 2 + 4. 22 ns: all at the hub, 8 bits down its port of 16 bit/ns, 32 up: 1 + 1
    and 1 + 2 ns. With more time on each column that costs more than it saves.
    """
    core = {"arrays": 1, "bus": FREE_BUS}
    problem = dense(8, mesh_chip(core=core, network=network(at=[0, 0], bits_per_ns=1)))
    at_hub, spread = columns_at(problem, (8, 0)), columns_at(problem, (4, 0), (2, 1), (2, 2))
    assert columns_at(problem, (2, 0), (2, 1), (2, 2), (2, 3))["latency_cycles"] == 10 + 11 + 19
    assert spread["latency_cycles"] == 14 + 10 + 10
    assert at_hub["latency_cycles"] == 22 + 2 + 3
    assert least_latency_cycles(problem, 4) == 27
    slow = [{"bits": bits, "ns": 8, "pj": 1, "um2": 1} for bits in (1, 4)]
    problem = dense(8, mesh_chip(core=core, network=network(at=[0, 0], bits_per_ns=1), adc__table=slow))
    # 22, 38, 54, 70 ns.
    assert least_latency_cycles(problem, 4) == 22 + 11 + 19


def test_the_busiest_link_of_a_pass() -> None:
    """Sixteen outputs of 4 bits over two links of 1 bit/ns: 32 ns between tokens, where arrays take 30 and less."""
    problem = dense(16, mesh_chip(network=network(bits_per_ns=1)))
    assert least_ii_cycles(problem, 4) == 32
    assert least_phase_ii_cycles(problem, 4) == [32]
    assert columns_at(problem, (4, 0), (4, 0), (4, 1), (4, 1))["ii_cycles"] == 32
    port = dense(16, mesh_chip(network=network(port=0.5)))
    assert least_ii_cycles(port, 4) == 64 / 0.5


def test_levels_of_a_tree_are_asked_one_by_one() -> None:
    """16 columns on four arrays, one a leaf: 14 ns for 4 columns. Each link near the root carries 32 bits up; with
    slow leaves, 16 bits at a quarter of the rate."""
    core = {"arrays": 1, "bus": FREE_BUS}
    found = []
    for rates in ([2, 2], [0.5, 2]):
        problem = dense(16, mesh_chip(core=core, network=tree(bits_per_ns_level=rates)))
        bound = least_latency_cycles(problem, 4)
        assert columns_at(problem, *((4, place) for place in range(4)))["latency_cycles"] == bound
        found.append(bound)
    assert found == [14 + (3 + 4) + (3 + 16), 14 + (3 + 16) + (3 + 32)]


def test_unicast_sends_an_element_to_every_core() -> None:
    """The same 16 columns: no core can serve more than its 8 in one array, so two copies at least pass the port."""
    core = {"arrays": 1, "bus": FREE_BUS}
    bounds = []
    for multicast in ("tree", "unicast"):
        problem = dense(16, mesh_chip(core=core, network=network(multicast=multicast, port=0.5, bits_per_ns=1e3)))
        bounds.append(least_latency_cycles(problem, 2))
        assert columns_at(problem, (8, 0), (8, 1))["latency_cycles"] == bounds[-1]
    assert bounds[1] - bounds[0] == 8 / 0.5


def test_rows_cut_freely_need_fewer_elements_behind_a_link() -> None:
    """A column of four rows, two at each of two places: 2 * (3 + 1) ns, two elements of 2 bits down each link, and a
    part of 4 bits up each. Uncut, 2 * (3 + 2) ns and four elements."""
    problem = ask(linears(step("a", (4, 1))), "dense", mesh_chip(), "both")
    halves = Mapping(
        pieces_of((0, 0, 0, 2, 0, 1, 0, 0, 0), (0, 0, 2, 2, 0, 1, 1, 0, 0)), np.arange(2), place=np.arange(2)
    )
    assert measure(problem, halves)["latency_cycles"] == 8 + (2 + 2) + (2 + 2)
    assert least_latency_cycles(problem, 2) == 16
    assert least_latency_cycles(dense(1, mesh_chip()), 2) == 10 + (2 + 4) + (2 + 2)


def test_dense_outputs_wait_for_those_of_the_factors_beside_them() -> None:
    """A dense 4 x 6 and a 4 x 2 of rank 1, all in one array beside the hub, which has no link to pass.

    Seven columns are read in 2 * (3 + 4 * 2) ns, then two of one row in 2 * (3 + 1). In the latter time an array reads
    two columns only, but the six dense ones are read already: all outputs still come from the one core.
    """
    hardware = mesh_chip(core={"arrays": 1, "bus": FREE_BUS}, network=network(at=[0, 0], bits_per_ns=0.1))
    problem = ask(linears(step("a", (4, 6), (4, 2))), {"a0": "dense", "a1": "1,1,1"}, hardware)
    rows = [(0, 0, 0, 4, 0, 6, 0, 0, 0), (1, 0, 0, 4, 0, 1, 0, 0, 6), (2, 0, 0, 1, 0, 2, 0, 4, 0)]
    metrics = measure(problem, Mapping(pieces_of(*rows), np.array([0, 0, 1]), place=np.array([0])))
    # Down 8 bits through the port of 16 bit/ns, z over a bus that takes no time, up 32 bits.
    assert metrics["latency_cycles"] == (1 + 1) + 22 + 1 + 8 + (1 + 2)
    assert least_latency_cycles(problem, 1) == metrics["latency_cycles"]


# Every placing of a few columns


@pytest.mark.parametrize("seed", range(5))
def test_no_placing_of_columns_lies_below_a_bound(seed: int) -> None:
    """All ways to put the columns of one matrix on arrays of one core a place, columns and arrays alike."""
    draw = Random(seed)
    rates = {"bits_per_ns": draw.choice([0.5, 1, 2, 8]), "multicast": draw.choice(["tree", "unicast"])}
    hop_ns = draw.choice([0, 1, 7])
    if seed % 3 == 2:
        net = tree(hop_ns_level=[hop_ns, 1], bits_per_ns_level=[rates["bits_per_ns"], draw.choice([0.5, 1, 4])])
    else:
        net = network(at=draw.choice(["edge", [0, 0], [0, 1]]), hop_ns=hop_ns, port=draw.choice([1, 16]), **rates)
    core = {"arrays": draw.choice([1, 2]), "bus": {"bits_per_ns": draw.choice([1, 8, 1e6]), "pj_per_bit": 0.5}}
    cols = draw.randint(3, 4)
    problem = dense(cols, mesh_chip(core=core, network=net))
    met, bounds = set(), {}
    for arrays in _placings(cols, core["arrays"]):
        metrics = columns_at(problem, *arrays)
        if len(arrays) not in bounds:
            bounds[len(arrays)] = find_bounds(problem, metrics, ("arrays",)).lower
        for name, bound in bounds[len(arrays)].items():
            assert metrics[name] >= bound.value * (1 - 1e-12), (name, arrays)
            met |= {name} if metrics[name] <= bound.value * (1 + 1e-9) else set()
    assert met >= {"ii_cycles", "latency_cycles"}


def _placings(cols: int, most: int) -> Iterator[list[tuple[int, int]]]:
    """(columns, place) of the arrays in use, up to `most` at each of four places."""
    at_place = [sizes for sizes in combinations_with_replacement(range(cols + 1), most) if sum(sizes) <= cols]
    for sizes in product(at_place, repeat=4):
        if sum(map(sum, sizes)) == cols:
            yield [(each, place) for place, group in enumerate(sizes) for each in group if each]


# At random


@pytest.mark.parametrize("seed", range(5))
def test_no_bound_lies_above_any_mapping_on_a_network(seed: int) -> None:
    compare_with_random(Random(7000 + seed), [None, True, False][seed % 3], questions=1, mappings=8)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_no_bound_lies_above_any_of_many_more_on_a_network(seed: int) -> None:
    compare_with_random(Random(9000 + seed), [None, True, False][seed % 3], questions=60, mappings=40)


def compare_with_random(draw: Random, row_cuts: bool | None, questions: int, mappings: int) -> None:
    while questions:
        problem = random_question(draw, row_cuts, chain=draw.random() < 0.7, network=True)
        least, most = least_arrays(problem, 10**9)[0], problem.array_limit
        assert most is not None
        if least > most:
            continue
        questions -= 1
        bounds: dict[Any, Any] = {}
        for number in range(mappings):
            found = random_mapping(problem, draw, min(most, least + number % 4))
            if found is None:
                continue
            arrays = int(found.pieces.array.max()) + 1
            for _ in range(2):
                costs = price(problem, replace(found, place=random_places(draw, problem, arrays))).costs
                metrics = costs.metrics
                links_pj, buses_pj, _ = least_moves_pj(problem, stage_cycles_of(costs))
                assert metrics["network_energy_pj"] >= (links_pj + buses_pj) * (1 - 1e-12), problem
                for objective in (("arrays",), ("latency",)):
                    key = metrics["arrays"], objective
                    if key not in bounds:
                        bounds[key] = find_bounds(problem, metrics, objective).lower
                    for name, bound in bounds[key].items():
                        assert metrics[name] >= bound.value * (1 - 1e-12), (name, objective, problem)
