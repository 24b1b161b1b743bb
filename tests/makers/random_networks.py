"""Random cores and networks, and random places of arrays on them."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np

from cimsolve.columns import Ints
from cimsolve.problem.problem import Problem


def random_network(draw: Random) -> dict[str, Any]:
    """The sections `core` and `network` of a small chip: keywords of `builders.mesh_chip`.

    Meshes with the hub at the edge or beside a place, and H-trees; tree and unicast; up to 16 places.
    """
    rate = draw.choice([1, 2.5, 8, 64])
    network: dict[str, Any] = {
        "multicast": draw.choice(["tree", "unicast"]),
        "base_ns": draw.choice([0, 1, 2.4]),
        "area_um2": draw.choice([0, 35.5]),
        "hub": {"bits_per_ns": draw.choice([0.9, 4, 1e6]), "area_um2": draw.choice([0, 1250])},
        "sum_bits": draw.choice([1, 4, 16]),
        "out_bits": draw.choice([None, 3, 8]),
    }
    if draw.random() < 0.4:
        levels, fanout = draw.choice([(1, 9), (2, 2), (2, 3), (3, 2), (4, 2)])
        network |= {
            "topology": "htree",
            "levels": levels,
            "fanout": fanout,
            "bits_per_ns_level": [rate * draw.choice([0.3, 1, 3]) for _ in range(levels)],
            "hop_ns_level": [draw.choice([0, 0.5, 1, 3]) for _ in range(levels)],
            "pj_per_bit_level": [draw.choice([0, 0.25, 1, 3]) for _ in range(levels)],
        }
    else:
        rows, cols = draw.randint(1, 4), draw.randint(1, 4)
        network |= {
            "topology": "mesh",
            "rows": rows,
            "cols": cols,
            "bits_per_ns": rate,
            "hop_ns": draw.choice([0, 1, 1.3]),
            "router_pj_per_bit": draw.choice([0, 0.5]),
            "wire_pj_per_bit_mm": draw.choice([0, 0.25, 30]),
            "pitch_mm": draw.choice([None, None, 2]),
        }
        network["hub"]["at"] = draw.choice(["edge", [draw.randrange(rows), draw.randrange(cols)]])
    bus = {"bits_per_ns": draw.choice([0.7, 8, 1e6]), "pj_per_bit": draw.choice([0, 0.5, 3])}
    core = {"arrays": draw.randint(1, 6), "bus": bus, "area_um2": draw.choice([0, 77])}
    return {"core": core, "network": network}


def random_places(draw: Random, problem: Problem, arrays: int) -> Ints | None:
    """A place for each array: anywhere, or in few cores; None for arrays in order or a flat chip. Shape (arrays,)."""
    core, topology = problem.hardware.core, problem.hardware.topology
    if core is None or topology is None or draw.random() < 0.25:
        return None
    order = draw.sample(range(topology.places), topology.places)
    few = -(-arrays // core.arrays)
    free = [place for place in order[: draw.choice([few, few + 1, len(order)])] for _ in range(core.arrays)]
    return np.array(draw.sample(free, arrays), dtype=np.int64)
