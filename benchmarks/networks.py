"""`rram256` with its arrays in cores on a network, by the name of a case such as `mid-32-unicast`."""

from __future__ import annotations

from typing import Any

from cimsolve.chip.read import parse_hardware
from cimsolve.chip.spec import Hardware
from cimsolve.files.json_file import read_json
from cimsolve.files.library import resolve_hardware

BASE = "rram256"
CORE: dict[str, Any] = {"arrays": 16, "bus": {"bits_per_ns": 256, "pj_per_bit": 0.054}}
NETWORK: dict[str, Any] = {"base_ns": 10, "multicast": "tree", "hub": {"bits_per_ns": 2048}}
SIDE = 11
"""Rows and columns of the mesh: 121 cores of 16 arrays, for the 1728 arrays of BERT-large."""
LEVELS = 7
"""Of the H-tree, with two branches a node."""
HELP = "edge, mid (where the hub of a mesh is) or htree, the rate of a link in bits a ns, and -unicast where it is"


def chip_of(case: str) -> Hardware:
    """The chip of a case: `edge-32`, `mid-256-unicast`, `htree-32`."""
    kind, rate, *multicast = case.split("-")
    bits_per_ns = float(rate)
    network = {**NETWORK, "multicast": multicast[0] if multicast else "tree"}
    if kind == "htree":
        each = {"bits_per_ns_level": bits_per_ns, "hop_ns_level": 1.0, "pj_per_bit_level": 0.1}
        network |= {"topology": "htree", "levels": LEVELS, "fanout": 2}
        network |= {name: [value] * LEVELS for name, value in each.items()}
    else:
        at: str | list[int] = "edge" if kind == "edge" else [SIDE // 2, SIDE // 2]
        network |= {"topology": "mesh", "rows": SIDE, "cols": SIDE, "bits_per_ns": bits_per_ns, "hop_ns": 1.0}
        network |= {"router_pj_per_bit": 0.081, "wire_pj_per_bit_mm": 0.06, "hub": {**NETWORK["hub"], "at": at}}
    data = read_json(resolve_hardware(BASE), 2**24)
    assert isinstance(data, dict)
    del data["transfer"]
    data["sources"] = {key: each for key, each in data["sources"].items() if not key.startswith("transfer")}
    data |= {"name": f"{BASE}-{case}", "core": CORE, "network": network}
    for key in ("core", "network"):
        data["sources"][key] = {"from": "a benchmark", "mark": "assumed"}
    return parse_hardware(data, case)
