"""`rram256` with its arrays in cores on a network, by the short name of a case such as `mid-32-unicast`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distance_cases import Case

if TYPE_CHECKING:
    from cimsolve.chip.spec import Hardware

BASE = "rram256"
SIDE = 11
"""Rows and columns of the mesh: 121 cores of 16 arrays, for the 1728 arrays of BERT-large."""
SHAPES = {"edge": f"{SIDE}x{SIDE}/edge", "mid": f"{SIDE}x{SIDE}/mid", "htree": "2^7/top"}
HELP = "edge, mid (where the hub of a mesh is) or htree, the rate of a link in bits a ns, and -unicast where it is"


def chip_of(case: str) -> Hardware:
    """The chip of a case: `edge-32`, `mid-256-unicast`, `htree-32`."""
    kind, rate, *multicast = case.split("-")
    return Case("/".join([BASE, "16", SHAPES[kind], rate, *multicast])).hardware()
