"""What moves between hub and cores: by hand on small networks, and what must hold on any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest

from cimsolve.chip.read import parse_hardware
from cimsolve.errors import InputError
from cimsolve.price.cost import Costs, evaluate
from cimsolve.price.moves import Move, TokenMoves, find_moves
from cimsolve.price.schedule import schedule
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping, Pieces
from makers.builders import TWO, ask, chip, linears, mesh_chip, pieces_of, step
from makers.cost_cases import Case, random_case

APART = pieces_of(*((factor, 0, 0, 4, 0, 4, factor, 0, 0) for factor in range(3)))
"""The three matrices of TWO, an array each."""

TREE: dict[str, Any] = {
    "topology": "htree",
    "multicast": "tree",
    "base_ns": 1,
    "hub": {"bits_per_ns": 16},
    "sum_bits": 4,
    "levels": 2,
    "fanout": 2,
    "bits_per_ns_level": [2, 4],
    "hop_ns_level": [1, 2],
    "pj_per_bit_level": [1, 3],
}
"""Four leaves, of which 0 and 1 are below one node, 2 and 3 below the other."""


def moves_of(problem: Problem, pieces: Pieces, places: Sequence[int]) -> TokenMoves:
    return find_moves(problem, pieces, np.array(places))


def two(places: Sequence[int], **changes: Any) -> TokenMoves:
    return moves_of(ask(TWO, hardware=mesh_chip(**changes)), APART, places)


def bits(move: Move | None) -> dict[str, int]:
    """Channel -> bits, of channels that carry any."""
    assert move is not None
    name = move.interconnect.name_of_channel
    return {name(at): int(move.bits[at]) for at in np.flatnonzero(move.bits).tolist()}


def times_ps(move: Move | None) -> tuple[int, int]:
    assert move is not None
    return move.fixed_ps, move.streaming_ps


def cost_of(problem: Problem, pieces: Pieces, places: Sequence[int]) -> Costs:
    return evaluate(*schedule(problem, Mapping(pieces, np.arange(len(pieces)), place=np.array(places))))


# By hand: base 1 ns, a hop 1 ns and 1 pJ a bit, links 2 bit/ns, buses 8, the port 16; inputs of 2 bits, sums of 4


def test_down_from_the_edge() -> None:
    """Four inputs, 8 bits, to cores at (0, 0) and (1, 1): a link each into the mesh, one more to row 1."""
    move = two([0, 3, 3]).down[0]
    assert bits(move) == {
        "link hub to (0, 0)": 8,
        "link hub to (0, 1)": 8,
        "link (0, 1) to (1, 1)": 8,
        "bus of the core at (0, 0)": 8,
        "bus of the core at (1, 1)": 8,
        "hub port down": 8,
    }
    assert times_ps(move) == (1000 + 2 * 1000, 8 / 2 * 1000)
    assert move is not None
    assert (move.network_pj, move.bus_pj) == (24, 8)


def test_up_to_the_edge() -> None:
    """Four outputs of 4 bits from each of the two; b's from (1, 1)."""
    moves = two([0, 3, 3])
    assert bits(moves.up[0]) == {
        "link (0, 0) to hub": 16,
        "link (1, 1) to (0, 1)": 16,
        "link (0, 1) to hub": 16,
        "bus of the core at (0, 0)": 16,
        "bus of the core at (1, 1)": 16,
        "hub port up": 32,
    }
    assert times_ps(moves.up[0]) == (3000, 8000)
    assert bits(moves.up[1])["hub port up"] == 16
    assert moves.over == (None, None)
    assert moves.hub_added.tolist() == moves.core_added.tolist() == [0, 0]


def test_the_token_waits_for_its_moves() -> None:
    """An activation takes 2 * (3 + 2 * 2) = 14 cycles, the moves 7 down and 11 up, then those of b.

    down 7, a 14, up 11 and down 7 (b is at (1, 1)), b 14, up 11: 64. The link (0, 1) to hub carries 16 twice, that from
    there to (1, 1) 8 twice.
    """
    costs = cost_of(ask(TWO, hardware=mesh_chip()), APART, [0, 3, 3])
    found = costs.metrics
    assert (costs.stages.begins, costs.stages.start.tolist(), costs.stages.end.tolist()) == (0, [7, 39], [21, 53])
    assert (found["latency_cycles"], found["link_bits_max"], found["cores"]) == (64, 32, 2)
    assert found["link_bits"] == (8 + 8 + 8) + (16 + 16 + 16) + (8 + 8) + (16 + 16)
    assert found["network_energy_pj"] == found["link_bits"] + (2 * 8 + 2 * 16 + 8 + 16) / 2
    assert found["ii_cycles"] == 32 / 2  # more than array 0 and the port are busy
    assert costs.cycles["transfer"].tolist() == [7, 18, 11]


def test_a_hub_beside_a_core() -> None:
    """At (1, 0): along its row first, up the same way back. The core beside it takes no link, but the port."""
    moves = two([1, 2, 2], network__hub={"at": [1, 0], "bits_per_ns": 16})
    assert bits(moves.down[0]) == {
        "link (1, 0) to (1, 1)": 8,
        "link (1, 1) to (0, 1)": 8,
        "bus of the core at (0, 1)": 8,
        "bus of the core at (1, 0)": 8,
        "hub port down": 8,
    }
    assert bits(moves.up[0]) == {
        "link (0, 1) to (1, 1)": 16,
        "link (1, 1) to (1, 0)": 16,
        "bus of the core at (0, 1)": 16,
        "bus of the core at (1, 0)": 16,
        "hub port up": 32,
    }
    assert bits(moves.down[1]) == {"bus of the core at (1, 0)": 8, "hub port down": 8}
    assert times_ps(moves.down[1]) == (1000, 1000)


def test_unicast_carries_for_each_receiver() -> None:
    """Both cores are in column 0: the link into it and the port carry twice."""
    tree, unicast = (bits(two([0, 2, 2], network__multicast=way).down[0]) for way in ("tree", "unicast"))
    assert unicast == tree | {"link hub to (0, 0)": 16, "hub port down": 16}
    assert tree["link hub to (0, 0)"] == tree["link (0, 0) to (1, 0)"] == 8


def monarch(*places: int, rows: Sequence[int] = (2,), **changes: Any) -> tuple[Problem, Pieces, TokenMoves]:
    """A 4 x 4 matrix as 2,2,1: R0, R1, L0 and L1 at four places; R0 is cut along `rows`, its parts at more places.

    R block K makes z's elements 2 K and 2 K + 1, which are row K of L0 and of L1.
    """
    problem = ask(linears(step("a", (4, 4))), "2,2,1", mesh_chip(**changes), cut="both")
    pieces = [(0, 1, 0, 2, 0, 2, 1, 0, 0), (1, 0, 0, 2, 0, 2, 2, 0, 0), (1, 1, 0, 2, 0, 2, 3, 0, 0)]
    at = 0
    for array, height in zip((0, 4, 5), rows, strict=False):
        pieces.append((0, 0, at, height, 0, 2, array, 0, 0))
        at += height
    table = pieces_of(*pieces)
    return problem, table, moves_of(problem, table, places)


def test_over_from_core_to_core() -> None:
    """R0 (0, 0), R1 (0, 1), L0 (1, 0), L1 (1, 1): each sends 2 bits to each, along its row first."""
    _, _, moves = monarch(0, 1, 2, 3)
    assert bits(moves.over[1]) == {
        "link (0, 0) to (0, 1)": 2,
        "link (0, 1) to (0, 0)": 2,
        "link (0, 0) to (1, 0)": 4,
        "link (0, 1) to (1, 1)": 4,
        **{f"bus of the core at ({row}, {col})": 4 for row in (0, 1) for col in (0, 1)},
    }
    assert times_ps(moves.over[1]) == (3000, 2000)
    assert moves.up[0] is None
    assert moves.down[1] is None


@pytest.mark.parametrize(("first", "second", "reader"), [(0, 1, 3), (1, 0, 2)])
def test_the_farthest_of_a_row_takes_longest(first: int, second: int, reader: int) -> None:
    """Two R blocks in row 0 send to one L block in row 1, which is below the second."""
    problem = ask(linears(step("a", (4, 4))), "2,1,1", mesh_chip())
    pieces = pieces_of(*((0, block, 0, 2, 0, 1, block, 0, 0) for block in (0, 1)), (1, 0, 0, 2, 0, 4, 2, 0, 0))
    over = moves_of(problem, pieces, [first, second, reader]).over[1]
    assert times_ps(over) == (1000 + 2 * 1000, 2000)


def test_z_within_a_core_takes_no_link() -> None:
    """Its bus carries what R makes and L reads, 2 * 8 bits for four elements."""
    _, _, moves = monarch(3, 3, 3, 3, core={"arrays": 4, "bus": {"bits_per_ns": 8, "pj_per_bit": 0.5}})
    assert bits(moves.over[1]) == {"bus of the core at (1, 1)": 16}
    assert times_ps(moves.over[1]) == (1000, 2000)


def test_parts_in_several_cores_go_by_the_hub() -> None:
    """R0's rows are at (0, 0) and (1, 1): z0 and z1 go up in parts of 4 bits, are added, and come down to L0 and L1.

    R1 at (0, 1) sends its whole elements over. The gap: up 3 + 8/2, down 3 + 2/2, beside them over 3 + 10/8.
    """
    problem, pieces, moves = monarch(0, 1, 2, 3, 3, rows=(1, 1))
    assert bits(moves.up[0]) == {
        "link (0, 0) to hub": 8,
        "link (1, 1) to (0, 1)": 8,
        "link (0, 1) to hub": 8,
        "hub port up": 16,
    }
    assert bits(moves.down[1]) == {
        "link hub to (0, 0)": 2,
        "link (0, 0) to (1, 0)": 2,
        "link hub to (0, 1)": 2,
        "link (0, 1) to (1, 1)": 2,
        "bus of the core at (1, 0)": 2,
        "bus of the core at (1, 1)": 2,
        "hub port down": 4,
    }
    assert bits(moves.over[1]) == {
        "link (0, 1) to (0, 0)": 2,
        "link (0, 0) to (1, 0)": 2,
        "link (0, 1) to (1, 1)": 2,
        "bus of the core at (0, 0)": 8,
        "bus of the core at (0, 1)": 4,
        "bus of the core at (1, 0)": 2,
        "bus of the core at (1, 1)": 8 + 2,
    }
    assert moves.hub_added.tolist() == [2, 0]
    assert moves.core_added.tolist() == [0, 0]
    costs = cost_of(problem, pieces, [0, 1, 2, 3, 3])
    assert costs.gaps.before[1].transfer_cycles == (3 + 4) + (3 + 1)


def test_parts_within_a_core_are_added_there() -> None:
    """Both parts of R0 at (0, 0): their bus carries 2 * 8 bits of them, and nothing goes by the hub."""
    _, _, moves = monarch(0, 1, 2, 3, 0, rows=(1, 1))
    assert moves.up[0] is None
    assert moves.down[1] is None
    assert bits(moves.over[1])["bus of the core at (0, 0)"] == 16
    assert moves.hub_added.tolist() == [0, 0]
    assert moves.core_added.tolist() == [2, 0]


def test_an_output_that_is_whole_has_bits_of_its_own() -> None:
    """b of one piece at 3 bits an element; a0 in two parts, at 4 bits each from either core."""
    problem = ask(TWO, hardware=mesh_chip(network__out_bits=3), cut="both")
    parts = [(0, 0, row, 2, 0, 4, array, 0, 0) for row, array in ((0, 0), (2, 3))]
    pieces = pieces_of(*parts, (1, 0, 0, 4, 0, 4, 1, 0, 0), (2, 0, 0, 4, 0, 4, 2, 0, 0))
    moves = moves_of(problem, pieces, [0, 1, 2, 3])
    assert bits(moves.up[1])["hub port up"] == 4 * 3
    assert bits(moves.up[0])["hub port up"] == 2 * 4 * 4 + 4 * 3
    assert moves.hub_added.tolist() == [4, 0]


def test_dense_outputs_wait_for_the_factored_ones_beside_them() -> None:
    step_of_both = linears(step("a", (4, 4), (4, 4)))
    problem = ask(step_of_both, {"a0": "dense", "a1": "4,1,1"}, mesh_chip(core__arrays=8))
    pieces = pieces_of(
        (0, 0, 0, 4, 0, 4, 0, 0, 0),
        *((1, block, 0, 1, 0, 1, 1, block, block) for block in range(4)),
        (2, 0, 0, 4, 0, 4, 2, 0, 0),
    )
    moves = moves_of(problem, pieces, [0, 0, 0])
    assert moves.up[0] is None
    assert bits(moves.up[1])["hub port up"] == (4 + 4) * 4


def test_an_htree_goes_up_to_the_lowest_common_node() -> None:
    """R0 at leaf 0, R1 at 1, L0 at 0, L1 at 3. R0 to L1 by the root, 2 bits; R1 to both, below one node and above."""
    _, _, moves = monarch(0, 1, 0, 3, network=TREE)
    assert bits(moves.over[1]) == {
        "link level 0, node 0 up": 2,  # z1 to L1
        "link level 0, node 1 up": 4,  # z2 to L0, z3 to L1
        "link level 1, node 0 up": 4,
        "link level 1, node 1 down": 4,
        "link level 0, node 3 down": 4,
        "link level 0, node 0 down": 2,  # z2
        "bus of the core at leaf 0": 4 + 4,
        "bus of the core at leaf 1": 4,
        "bus of the core at leaf 3": 4,
    }
    assert times_ps(moves.over[1]) == (1000 + 2 * (1000 + 2000), 2000)
    move = moves.over[1]
    assert move is not None
    assert move.network_pj == (2 + 4 + 4 + 2) * 1 + (4 + 4) * 3
    assert times_ps(moves.down[0])[0] == times_ps(moves.up[1])[0] == 1000 + 3000


def test_an_htree_joins_on_its_way_to_the_root() -> None:
    tree = two([0, 1, 3], network=TREE)
    assert bits(tree.down[0])["link level 1, node 0 down"] == 8
    assert bits(tree.up[0])["link level 1, node 0 up"] == 32
    unicast = two([0, 1, 3], network={**TREE, "multicast": "unicast"})
    assert bits(unicast.down[0])["link level 1, node 0 down"] == 16


def test_what_has_risen_is_not_waited_for_again() -> None:
    """c reads a and b, which reads a: a's outputs are at the hub since the gap before b."""
    three = linears(step("a", (4, 4)), step("b", (4, 4), reads=["a"]), step("c", (4, 4), reads=["a", "b"]))
    gaps = cost_of(ask(three, hardware=mesh_chip()), APART, [3, 0, 0]).gaps
    # a rises from (1, 1), b from (0, 0): base, hops and 16 bits at 2 bit/ns; down to (0, 0) with 8.
    assert [gap.transfer_cycles for gap in gaps.before] == [1 + 2 + 4, (1 + 2 + 8) + 6, (1 + 1 + 8) + 6]


def test_a_network_of_too_many_places_is_refused() -> None:
    """Ninety stages on a million places would take gigabytes a table."""
    many = linears(*(step(f"s{number}", (4, 4)) for number in range(90)))
    problem = ask(many, hardware=mesh_chip(network__rows=1024, network__cols=1024))
    pieces = pieces_of(*((number, 0, 0, 4, 0, 4, number, 0, 0) for number in range(90)))
    with pytest.raises(InputError, match=r"1048576 places.* 90 stages .*fewer places"):
        moves_of(problem, pieces, range(90))


# What must hold on any


def networked_cases(seeds: range) -> Iterator[Case]:
    cases = (random_case(seed) for seed in seeds)
    yield from (case for case in cases if case.problem.hardware.network is not None)


def costs_of(case: Case) -> Costs:
    return evaluate(*schedule(case.problem, case.mapping))


def with_network(case: Case, places: Any = None, **changes: Any) -> Case:
    """A case on a network with other keys, its arrays at other places."""
    hw = case.problem.hardware.to_json()
    hw["network"] = {**hw["network"], **changes}
    problem = case.problem.asking(hardware=parse_hardware(hw, "hw"))
    return Case(problem, case.mapping if places is None else replace(case.mapping, place=places))


def test_arrays_may_have_any_numbers() -> None:
    draw = Random(2)
    for case in networked_cases(range(60)):
        place = schedule(case.problem, case.mapping)[0].place
        assert place is not None
        pieces = case.mapping.pieces
        number = np.array(draw.sample(range(len(place) + 3), len(place)))
        places = np.zeros(len(place) + 3, dtype=np.int64)
        places[number] = place
        moved = replace(case.mapping, pieces=replace(pieces, array=number[pieces.array]), place=places)
        assert costs_of(replace(case, mapping=moved)).metrics == costs_of(case).metrics


def test_empty_cores_and_places_change_nothing() -> None:
    for case in networked_cases(range(60)):
        network, place = case.problem.hardware.network, schedule(case.problem, case.mapping)[0].place
        if network is None or place is None or network.cols is None or network.rows is None:
            continue
        row, col = np.divmod(place, network.cols)
        wider = with_network(case, row * (network.cols + 2) + col, rows=network.rows + 1, cols=network.cols + 2)
        same = costs_of(with_network(case, place))
        assert costs_of(wider).metrics == same.metrics


def test_a_mesh_turned_over_costs_the_same() -> None:
    for case in networked_cases(range(100)):
        network, place = case.problem.hardware.network, schedule(case.problem, case.mapping)[0].place
        if network is None or place is None or network.rows is None or network.cols is None:
            continue
        if not isinstance(network.hub.at, tuple):
            continue
        row, col = np.divmod(place, network.cols)
        at = [network.rows - 1 - network.hub.at[0], network.hub.at[1]]
        hub = {**network.hub.model_dump(mode="json"), "at": at}
        turned = with_network(case, (network.rows - 1 - row) * network.cols + col, hub=hub)
        assert costs_of(turned).metrics == costs_of(with_network(case, place)).metrics


def test_a_tree_carries_no_more_than_unicast_on_any_channel() -> None:
    for case in networked_cases(range(60)):
        tree, unicast = (
            [move.bits for gap in costs_of(with_network(case, multicast=way)).gaps.own for move in gap.moves]
            for way in ("tree", "unicast")
        )
        assert all((one <= other).all() for one, other in zip(tree, unicast, strict=True))


def test_all_in_the_core_beside_the_hub_takes_no_link() -> None:
    hardware = mesh_chip(network__hub={"at": [1, 1], "bits_per_ns": 16}, core__arrays=3)
    found = cost_of(ask(TWO, hardware=hardware), APART, [3, 3, 3]).metrics
    assert (found["cores"], found["link_bits"], found["link_bits_max"]) == (1, 0, 0)
    assert found["network_energy_pj"] == pytest.approx(0.5 * (8 + 32 + 8 + 16))  # the bus


def test_a_flat_chip_says_nothing_of_networks() -> None:
    problem = ask(TWO, hardware=chip())
    costs = evaluate(*schedule(problem, Mapping(APART, np.arange(3))))
    assert not {"cores", "network_energy_pj", "link_bits", "link_bits_max"} & costs.metrics.keys()
    assert not {"network", "bus"} & costs.energy_components_pj.keys()
    assert costs.fired.place is None
