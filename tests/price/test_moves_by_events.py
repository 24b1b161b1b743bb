"""Moves against packets that queue for each channel, event by event: what the time of a move stands for."""

from __future__ import annotations

import pytest

from cimsolve.price.schedule import schedule
from makers.builders import MESH, mesh_chip
from makers.cost_cases import Case, naive_of, random_case
from oracles.naive_chip import Chip
from oracles.naive_events import loads, packets_of, time_ns
from oracles.naive_network import Move, Network


def network_of(**changes: object) -> Network:
    """2 x 2 cores below a hub; a link 2 bits a ns, a bus 8, the port 16, 1 ns a hop and to begin with."""
    return Network(Chip(mesh_chip(network={**MESH, **changes})))


def test_a_packet_by_hand() -> None:
    """16 bits to the core below another: 1 + 2 hops + 8 on each link, the second one a hop behind; a bus keeps up."""
    network, move = network_of(), Move()
    network.send(move, None, [2], 16)
    assert time_ns(network, move) == 1 + 2 + 8


def test_a_link_waits_for_what_comes_through_the_port_before() -> None:
    """The port serves 32 bits for column 0, 2 ns, before 32 for column 1; its link then takes 16 ns, and a hop."""
    network = network_of()
    move = Move()
    network.send(move, None, [0], 32)
    network.send(move, None, [1], 32)
    assert time_ns(network, move) == 1 + 2 + 16 + 1
    assert network.cycles(move) == 1 + 1 + 16


def test_without_room_a_packet_stops_those_behind_it() -> None:
    """Three to the far core of a row share its link with one that turns down: with room for one it waits for theirs."""
    network = network_of(rows=2, cols=3, hub={"at": [0, 0], "bits_per_ns": 16})
    move = Move()
    for source, target in ((4, 5), (0, 5), (0, 5), (3, 4), (0, 4)):
        network.send(move, source, [target], 16)
    assert time_ns(network, move, 16, buffer=1) > time_ns(network, move, 16)


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_packets_carry_the_bits_of_moves_and_no_queue_ends_before_its_channel(first: int) -> None:
    """At least its latency and the bits of each channel; at most the bits of all channels, one after the other."""
    cases = [random_case(seed) for seed in range(first, first + 20)]
    networked = [case for case in cases if case.problem.hardware.network is not None]
    assert networked
    for case in networked:
        assert_packets_fit(case)


def assert_packets_fit(case: Case) -> None:
    fired, activations = schedule(case.problem, case.mapping)
    moves = naive_of(case, fired.pieces, activations).moves
    assert moves is not None
    network = moves.network
    for move in (*moves.down, *moves.up, *moves.over):
        if move is None:
            continue
        packets = packets_of(network, move, 8)
        carried = loads(packets)
        # Parts of z pass their core's bus to the hub; `over` has counted that already.
        assert all(count == move.bits[channel] for channel, count in carried.items() if channel[0] != "bus")
        assert not move.bits - carried
        each = [bits / network.rate(channel) for channel, bits in carried.items()]
        least = network.data["base_ns"] + max([0, *each, move.hops_ps / 1000])
        most = network.data["base_ns"] + sum(each) + len(packets) * move.hops_ps / 1000
        for buffer in (None, 2):
            assert least - 1e-9 <= time_ns(network, move, 8, buffer) <= most + 1e-9
