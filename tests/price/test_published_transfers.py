"""Transfers whose time or energy another tool states: the same figure by hand from its inputs, and from our moves.

Each tool's chip is written in our terms, and nothing is tuned. Where ours has more (a hub's port, buses) it is made so
fast that it does not count.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cimsolve.price.gaps import cycles_of_move
from cimsolve.price.moves import Move, find_moves
from makers.builders import MESH, ask, linears, mesh_chip, pieces_of, step

FAST = 1e9
"""Bits a ns that take no time."""


def sent(elements: int, bits: int, places: list[int], **network: Any) -> tuple[Move, int]:
    """A vector from the hub to cores at some places, each of which reads all of it, and its cycles of 1 ns."""
    core = {"arrays": 1, "bus": {"bits_per_ns": FAST, "pj_per_bit": 0}}
    chosen = {**MESH, "base_ns": 0, "router_pj_per_bit": 0, "wire_pj_per_bit_mm": 0, **network}
    if "levels" in chosen:
        chosen = {key: value for key, value in chosen.items() if key in network or key in ("multicast", "base_ns")}
    chosen["hub"] = {"bits_per_ns": FAST, **chosen["hub"]}
    hardware = mesh_chip(core=core, network=chosen, array__rows=elements, input__bits=bits, adc__lossy_allowed=True)
    problem = ask(linears(step("a", (elements, len(places)))), hardware=hardware)
    pieces = pieces_of(*((0, 0, 0, elements, each, 1, each, 0, 0) for each in range(len(places))))
    move = find_moves(problem, pieces, np.array(places)).down[0]
    assert move is not None
    return move, cycles_of_move(problem.hardware, move)


@pytest.mark.parametrize(("places", "links"), [([1], 1), ([3], 3), ([0, 3, 7], 4)])
def test_stream_a_tensor_over_a_path_of_links(places: list[int], links: int) -> None:
    """Stream: a transfer takes ceil(bits of the tensor / least bandwidth of its links), whatever their number.

    github.com/KULeuven-MICAS/stream 28fb901, `get_transfer_latency_for_path` in
    stream/opt/allocation/constraint_optimization/utils.py; links of its Simba example, 6 x 6 cores, carry 256 bits a
    cycle (stream/inputs/examples/hardware/simba.yaml). 1000 elements of 8 bits: ceil(8000 / 256) = 32 cycles, to one
    core or to several. Its links have no latency, and its energy of a link (`unit_energy_cost`) is read and not used.
    """
    move, cycles = sent(1000, 8, places, rows=6, cols=6, bits_per_ns=256, hop_ns=0, hub={"at": [0, 0]})
    assert cycles == 32
    counted = move.bits[: move.interconnect.links]
    assert counted.max() == 8000
    assert (counted > 0).sum() == links


@pytest.mark.parametrize(("row", "hops"), [(0, 1), (2, 3)])
def test_hisim_routers_and_the_queue_of_a_link(row: int, hops: int) -> None:
    """HISIM: (hops * (trc + tva + tsa + tst + tl) + tenq * Q / W) / f.

    github.com/mec-UMN/HISIM 018751e, HISIM-IMC/Module_Network/network_model.py: five stages of a cycle each, tenq = 2,
    W = 32 bits; a route of tiles d apart has d + 1 hops. So a hop takes 5 ns at 1 GHz and a link carries 16 bits a ns.
    Q = 1024 bits over 1 or 3 hops: 5 + 64 = 69 or 15 + 64 = 79 ns. There the hops of all pairs of tiles of a layer add
    up; here routes pass side by side.
    """
    _, cycles = sent(128, 8, [row * 3], rows=3, cols=3, bits_per_ns=32 / 2, hop_ns=5, hub={"at": "edge"})
    assert cycles == 5 * hops + 64


def test_ibm_3d_cim_simulator_a_vector_at_any_distance() -> None:
    """IBM's simulator: 10 ns a vector, whatever its length, and 1e-5 nJ a bit.

    github.com/IBM/3D-CiM-LLM-Inference-Simulator 0bef55f, src/threedsim/accelerator.py: `com_latency` 10 ns,
    `com_energy` 1e-5 * 8 * length nJ. 768 elements: 10 ns and 0.06144 nJ = 61.44 pJ.
    """
    network = {"rows": 1, "cols": 1, "bits_per_ns": FAST, "hop_ns": 0, "base_ns": 10, "hub": {"at": "edge"}}
    move, cycles = sent(768, 8, [0], **network, router_pj_per_bit=0.01)
    assert cycles == 10
    assert move.network_pj == pytest.approx(61.44)


@pytest.mark.parametrize(
    ("side", "length_mm", "published_pj"), [(4, 0.5, 0.059), (8, 1.1, 0.129), (16, 2.3, 0.270), (32, 4.7, 0.552)]
)
def test_neurosim_h_tree_from_the_root_to_a_leaf(side: int, length_mm: float, published_pj: float) -> None:
    """NeuroSim: energy a bit is that of a mm of wire times the wire between root and leaf.

    github.com/neurosim/DNN_NeuroSim_V1.4 ac828e6, Inference_pytorch/NeuroSIM/HTree.cpp, `CalculatePower`: of side x
    side tiles, a vertical and a horizontal wire a level, side/4, side/8, ... 1/2 tiles long each, and a main bus of
    side/2: side - 1 + side/2 tiles. At 0.1 mm a tile that is 0.5, 1.1, 2.3 and 4.7 mm. Built and run at 22 nm it gives
    the energies here, which are 0.1174 pJ a bit and mm without its factor of 0.5 for bits that do not change.
    """
    tile_mm, pj_per_mm = 0.1, 0.1174
    levels = 2 * (side.bit_length() - 1)
    wires_mm = [tile_mm / 2 * 2 ** (level // 2) for level in range(levels)]
    wires_mm[-1] += tile_mm * side / 2  # the main bus
    assert sum(wires_mm) == pytest.approx(length_mm)
    move, _ = sent(
        8,
        8,
        [side + 1],
        topology="htree",
        levels=levels,
        fanout=2,
        bits_per_ns_level=[FAST] * levels,
        hop_ns_level=[0] * levels,
        pj_per_bit_level=[each * pj_per_mm for each in wires_mm],
        hub={},
    )
    assert move.network_pj / 64 == pytest.approx(length_mm * pj_per_mm)
    assert move.network_pj / 64 == pytest.approx(published_pj, rel=0.01)
