"""The links that bounds count on: what goes to the hub passes one of a cut at most, and how long its way is."""

from __future__ import annotations

import numpy as np
import pytest

from cimsolve.chip.htree import HTree
from cimsolve.chip.mesh import Mesh
from cimsolve.chip.routes import Topology

NETWORKS: dict[str, Topology] = {
    "edge": Mesh(3, 4, None, 2.0, 500, 1.5),
    "middle": Mesh(3, 4, 6, 2.0, 500, 1.5),
    "corner": Mesh(2, 3, 0, 2.0, 500, 1.5),
    "one place": Mesh(1, 1, 0, 2.0, 500, 1.5),
    "tree": HTree(2, 3, (1.0, 4.0), (200, 300), (0.5, 0.25)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_ways_to_the_hub_are_those_of_what_is_sent(name: str) -> None:
    network = NETWORKS[name]
    hops_ps, way_pj = network.ways_to_hub()
    for place in range(network.places):
        sent = network.gather((np.arange(network.places) == place).astype(np.int64)[None, :])
        assert sent.hops_ps == hops_ps[place]
        assert float(sent.link_bits[0] @ network.link_pj_per_bit) == pytest.approx(way_pj[place])


@pytest.mark.parametrize("name", NETWORKS)
def test_the_busiest_link_is_one_of_a_cut(name: str) -> None:
    """Bits from the places of one side alone, then from all: no link is busier than the sides of the cuts."""
    network = NETWORKS[name]
    everywhere = network.gather(np.ones((1, network.places), dtype=np.int64))
    slowest = float((everywhere.link_bits / network.link_bits_per_ns).max())
    counted = [max((cores for _, cores in cut.sides), default=0) / cut.bits_per_ns for cut in network.cuts]
    assert slowest == max(counted)
    for cut in network.cuts:
        assert sum(count * cores for count, cores in cut.sides) + cut.beside == network.places


def test_sides_of_a_hub_in_the_middle() -> None:
    """Three rows of four, the hub at (1, 2): two columns are west, one east, and in its own one place each way."""
    (cut,) = NETWORKS["middle"].cuts
    assert sorted(cut.sides) == [(1, 1), (1, 1), (1, 3), (1, 6)]
    assert cut.beside == 1
