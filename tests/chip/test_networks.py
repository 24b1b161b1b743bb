"""Meshes and H-trees: links, their names, and what moves put on them, beside routes walked step by step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimsolve.chip.htree import HTree
from cimsolve.chip.mesh import Mesh
from cimsolve.chip.read import load_hardware
from cimsolve.chip.routes import PlaceSets, Sends, Topology

RATE, HOP_PS = 4.0, 1000


def make_mesh(rows: int, cols: int, hub: int | None) -> Mesh:
    return Mesh(rows, cols, hub, RATE, HOP_PS, 0.5)


def make_tree(levels: int, fanout: int) -> HTree:
    return HTree(
        levels,
        fanout,
        tuple(2.0**level for level in range(levels)),
        tuple(10**level for level in range(levels)),
        tuple(0.5 * 2**level for level in range(levels)),
    )


def walk_mesh(mesh: Mesh, source: int | None, to: int) -> list[str]:
    """The links of a route by name: along the source's row, then the receiver's column."""
    row, col = divmod(to, mesh.cols)
    links = []
    if source is None and mesh.hub is None:
        links.append(f"hub to (0, {col})")
        here = [0, col]
    else:
        here = list(divmod(mesh.hub or 0, mesh.cols) if source is None else divmod(source, mesh.cols))
    for axis, goal in ((1, col), (0, row)):
        while here[axis] != goal:
            before = f"({here[0]}, {here[1]})"
            here[axis] += 1 if goal > here[axis] else -1
            links.append(f"{before} to ({here[0]}, {here[1]})")
    return links


def walk_tree(tree: HTree, source: int | None, to: int) -> list[str]:
    """The links of a route by name: up to the lowest node above both, then down."""
    ups, downs = [], []
    for level in range(tree.levels):
        mine = None if source is None else source // tree.fanout**level
        theirs = to // tree.fanout**level
        if mine == theirs:
            break
        downs.append(f"level {level}, node {theirs} down")
        ups += [] if mine is None else [f"level {level}, node {mine} up"]
    return [*ups, *reversed(downs)]


def walk(topology: Topology, source: int | None, to: int) -> list[str]:
    if isinstance(topology, Mesh):
        return walk_mesh(topology, source, to)
    assert isinstance(topology, HTree)
    return walk_tree(topology, source, to)


def loads(topology: Topology, link_bits: np.ndarray) -> Counter[str]:
    """Bits by the name of the link that carries them."""
    return Counter({topology.name_of_link(int(link)): int(link_bits[link]) for link in np.flatnonzero(link_bits)})


def hop_ps(topology: Topology, links: Sequence[str]) -> int:
    if isinstance(topology, Mesh):
        return len(links) * HOP_PS
    return sum(10 ** int(link.split(",")[0].removeprefix("level ")) for link in links)


meshes = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(-1, 15)).map(
    lambda size: make_mesh(size[0], size[1], None if size[2] < 0 else size[2] % (size[0] * size[1]))
)
trees = st.one_of(st.builds(make_tree, st.integers(1, 3), st.integers(2, 3)), st.just(make_tree(1, 7)))


@given(topology=st.one_of(meshes, trees), data=st.data())
def test_a_multicast_loads_the_links_of_its_routes(topology: Topology, data: st.DataObject) -> None:
    place = st.integers(0, topology.places - 1)
    receivers = data.draw(st.lists(st.sets(place, min_size=1), min_size=1, max_size=3))
    sends = data.draw(st.lists(st.tuples(place, st.integers(0, len(receivers) - 1), st.integers(1, 9)), max_size=4))
    from_hub, is_tree = data.draw(st.booleans()), data.draw(st.booleans())
    sets = PlaceSets(
        np.cumsum([0, *(len(each) for each in receivers)]),
        np.array([place for each in receivers for place in sorted(each)]),
    )
    table = np.array(sends, dtype=np.int64).reshape(-1, 3)
    # Everything is sent in the second of two moves.
    move, source = np.ones(len(table), dtype=np.int64), None if from_hub else table[:, 0]
    found = topology.multicast(2, Sends(move, table[:, 1], table[:, 2], source), sets, is_tree)
    expected: Counter[str] = Counter()
    longest = 0
    for source, index, bits in sends:
        routes = [walk(topology, None if from_hub else source, to) for to in receivers[index]]
        links = [link for route in routes for link in route]
        for link in set(links) if is_tree else links:
            expected[link] += bits
        longest = max(longest, *(hop_ps(topology, route) for route in routes))
    assert loads(topology, found.link_bits[1]) == expected
    assert found.hops_ps.tolist() == [0, longest]
    assert not found.link_bits[0].any()


@given(topology=st.one_of(meshes, trees), data=st.data())
def test_what_goes_up_takes_the_links_of_the_way_down_reversed(topology: Topology, data: st.DataObject) -> None:
    bits = np.array(data.draw(st.lists(st.integers(0, 9), min_size=topology.places, max_size=topology.places)))
    up = topology.gather(bits[None, :])
    sending = np.flatnonzero(bits)
    sends = Sends(np.zeros_like(sending), np.arange(len(sending)), bits[sending], None)
    down = topology.multicast(1, sends, PlaceSets.singles(sending), is_tree=False)
    assert up.link_bits.sum() == down.link_bits.sum()
    assert up.hops_ps == down.hops_ps
    turned = Counter({turn(name): load for name, load in loads(topology, down.link_bits[0]).items()})
    assert loads(topology, up.link_bits[0]) == turned


def turn(name: str) -> str:
    """The link of the way back."""
    if name.startswith("level"):
        return name.replace("down", "up")
    sender, receiver = name.split(" to ")
    return f"{receiver} to {sender}"


@given(topology=st.one_of(meshes, trees), data=st.data())
def test_ways_between_places_are_those_of_their_routes(topology: Topology, data: st.DataObject) -> None:
    source, to = (data.draw(st.integers(0, topology.places - 1)) for _ in range(2))
    sends = Sends(*np.array([[0], [0], [1]]), np.array([source]))
    one = topology.multicast(1, sends, PlaceSets.singles(np.array([to])), is_tree=True)
    hops_ps, pj = topology.ways_between()
    assert hops_ps[source, to] == hop_ps(topology, walk(topology, source, to)) == one.hops_ps[0]
    assert pj[source, to] == one.link_bits[0] @ topology.link_pj_per_bit


@given(mesh=meshes)
def test_links_of_a_mesh(mesh: Mesh) -> None:
    names = [mesh.name_of_link(int(link)) for link in np.flatnonzero(mesh.is_link)]
    rows, cols = mesh.rows, mesh.cols
    inner = 2 * (rows * (cols - 1) + (rows - 1) * cols)
    assert len(set(names)) == len(names) == inner + (2 * cols if mesh.hub is None else 0)
    assert {turn(name) for name in names} == set(names)
    at_hub = [name for name in names if name.startswith("hub to" if mesh.hub is None else mesh.name_of_place(mesh.hub))]
    assert mesh.hub_links_bits_per_ns == len(at_hub) * RATE
    assert mesh.count_routers(np.arange(mesh.places)) == mesh.fewest_routers(mesh.places) == mesh.places


@given(tree=trees)
def test_links_of_a_tree(tree: HTree) -> None:
    names = [tree.name_of_link(link) for link in range(len(tree.link_bits_per_ns))]
    assert len(set(names)) == len(names) == 2 * sum(tree.fanout**level for level in range(1, tree.levels + 1))
    for name, rate, pj in zip(names, tree.link_bits_per_ns, tree.link_pj_per_bit, strict=True):
        level = int(name.split(",")[0].removeprefix("level "))
        assert (rate, pj) == (2.0**level, 0.5 * 2**level)
    assert tree.hub_links_bits_per_ns == tree.fanout * 2.0 ** (tree.levels - 1)
    assert tree.count_routers(np.arange(tree.places)) == tree.fewest_routers(tree.places)


@pytest.mark.parametrize(
    ("rows", "cols", "links"), [(1, 1, 0), (1, 4, 1), (4, 1, 1), (2, 3, 2), (4, 4, 4), (5, 3, 3), (3, 8, 3)]
)
def test_the_bisection_of_a_mesh_is_its_narrower_cut(rows: int, cols: int, links: int) -> None:
    assert make_mesh(rows, cols, None).bisection_bits_per_ns == links * RATE


def test_the_worked_example_of_the_documentation() -> None:
    # docs/hardware.md, "Chips with distance": 1024 inputs of 8 bits from the hub to the core at (2, 3).
    hardware = load_hardware("rram256-mesh")
    interconnect, network = hardware.interconnect, hardware.network
    assert interconnect is not None
    assert network is not None
    topology = interconnect.topology
    to = PlaceSets.singles(np.array([2 * 12 + 3]))
    sends = Sends(np.array([0]), np.array([0]), np.array([8192]), None)
    found = topology.multicast(1, sends, to, is_tree=True)
    links = np.flatnonzero(found.link_bits[0])
    assert [topology.name_of_link(int(link)) for link in links] == [
        "hub to (0, 3)",
        "(0, 3) to (1, 3)",
        "(1, 3) to (2, 3)",
    ]
    bus, port = 8192 / interconnect.bus_bits_per_ns, 8192 / interconnect.hub_bits_per_ns
    busiest_ns = max(float((found.link_bits / topology.link_bits_per_ns).max()), bus, port)
    assert (bus, port) == (32, 4)
    assert network.base_ns + int(found.hops_ps[0]) / 1000 + busiest_ns == 10 + 3 + 256
    spent_pj = float(found.link_bits[0] @ topology.link_pj_per_bit) + 8192 * interconnect.bus_pj_per_bit
    assert spent_pj == pytest.approx(3900, rel=0.01)
