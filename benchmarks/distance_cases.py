"""A chip with distance by the name of a case, and what is measured of it; `bench_distance.py` makes tables of both."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cimsolve.chip.spec import Hardware
    from cimsolve.price.gaps import Gaps

MODEL = "bert-large"
CORE = {"bus": {"bits_per_ns": 256, "pj_per_bit": 0.054}}
MESH = {"hop_ns": 1, "router_pj_per_bit": 0.081, "wire_pj_per_bit_mm": 0.06}
HOP_PJ = 0.1
"""Energy of a bit on each level of the H-tree, pJ."""

NAMED = {
    "rram256/16/11x11/edge/32": (87.5, 31),
    "rram256/16/11x11/edge/256": (72.0, 31),
    "rram256/16/11x11/mid/32": (142.5, 32.7),
    "rram256/16/11x11/mid/256": (79.5, 32.7),
    "rram256/16/4^4/top/32": (115, None),
    "paper256/16/17x17/mid/32/dense": (130, 70),
    "paper256/16/17x17/mid/256/dense": (42, 70),
}
"""Token latency, us, and energy, uJ."""
NETWORK_MOST = 1.7
"""Network energy on meshes at most, as a multiple of its floor."""

PARTS = (
    "arrays",
    "down, hops",
    "down, channel",
    "over, hops",
    "over, channel",
    "up, hops",
    "up, channel",
    "all else",
)


@dataclass(frozen=True)
class Case:
    """A chip and how matrices are stored, by a name such as `rram256/16/11x11/edge/32`; `4^4`: 4 levels of 4."""

    name: str

    @property
    def parts(self) -> list[str]:
        return self.name.split("/")

    @property
    def base(self) -> str:
        """The flat chip."""
        return self.parts[0].removesuffix("-mesh")

    @property
    def is_shipped(self) -> bool:
        return self.parts[0].endswith("-mesh")

    @property
    def structure(self) -> str:
        return "dense" if "dense" in self.parts else "sqrt"

    @property
    def is_mesh(self) -> bool:
        return "^" not in self.name

    @property
    def limits_network(self) -> bool:
        """Whether its network energy has a target."""
        return self.is_mesh and self.structure == "sqrt" and not self.is_shipped and "unicast" not in self.parts

    @property
    def rate(self) -> int:
        return int(self.parts[4])

    def hardware(self) -> Hardware:
        from cimsolve.chip.read import load_hardware, parse_hardware

        if self.is_shipped:
            return load_hardware(self.parts[0])
        data = load_hardware(self.base).to_json()
        del data["transfer"]
        data["sources"] = {key: each for key, each in data["sources"].items() if not key.startswith("transfer")}
        arrays, shape, where = self.parts[1:4]
        hub: dict[str, Any] = {"bits_per_ns": 2048}
        network = {"multicast": "unicast" if "unicast" in self.parts else "tree", "base_ns": 10, "hub": hub}
        if self.is_mesh:
            rows, cols = map(int, shape.split("x"))
            hub["at"] = where if where == "edge" else [rows // 2, cols // 2]
            network |= {"topology": "mesh", "rows": rows, "cols": cols, "bits_per_ns": self.rate, **MESH}
        else:
            fanout, levels = map(int, shape.split("^"))
            each = {"bits_per_ns_level": self.rate, "hop_ns_level": 1, "pj_per_bit_level": HOP_PJ}
            network |= {"topology": "htree", "levels": levels, "fanout": fanout}
            network |= {key: [value] * levels for key, value in each.items()}
        data |= {"name": f"{self.base}-case", "core": {"arrays": int(arrays), **CORE}, "network": network}
        data["sources"] |= {key: {"from": "a benchmark", "mark": "assumed"} for key in ("core", "network")}
        return parse_hardware(data, self.name)


def measure(name: str) -> dict[str, Any]:
    """One case, in this process."""
    from cimsolve.api import make_problem, map_model
    from cimsolve.errors import InfeasibleError
    from cimsolve.price.cost import price
    from cimsolve.prove.network import least_gaps, least_moves_pj, stretched_cycles
    from cimsolve.prove.time import least_stage_cycles
    from cimsolve.study.solving import mapping_of

    case = Case(name)
    problem = make_problem(MODEL, case.hardware(), structure=case.structure)
    flat = make_problem(MODEL, case.base, structure=case.structure)
    began = time.process_time()
    best = map_model(problem.question)
    cpu_s = time.process_time() - began
    of_flat = map_model(flat.question)
    rule = map_model(problem.question, strategy="spread")
    afterwards = price(problem, mapping_of(of_flat, flat)).costs
    arrays = best.header.metrics["arrays"]
    least = least_stage_cycles(problem, arrays)
    stages = stretched_cycles(problem, arrays, least)
    cycles = best.header.breakdown.latency_cycles
    is_fast = cycles["array"] == sum(least)
    floor = least_moves_pj(problem, least if is_fast else None)
    found: dict[str, Any] = {}
    metrics, limits = best.header.metrics, []
    _, most_uj = NAMED.get(name, (None, None))
    if most_uj is not None:
        limits.append(most_uj * 1e6)
    if case.limits_network:
        over_pj = metrics["network_energy_pj"] - NETWORK_MOST * (floor.links_pj + floor.buses_pj)
        limits.append(metrics["energy_pj"] - over_pj)
    if limits and metrics["energy_pj"] > min(limits):
        with suppress(InfeasibleError):
            found["limit_uj"] = min(limits) / 1e6
            found["within"] = map_model(problem.asking(max_energy_pj=min(limits)).question).header.metrics
    return {
        **found,
        "optimal": best.header.metrics,
        "flat": of_flat.header.metrics,
        "spread": rule.header.metrics,
        "afterwards": afterwards.metrics,
        "cycles": {
            "flat": of_flat.header.breakdown.latency_cycles,
            "afterwards": afterwards.latency_components_cycles,
            "optimal": cycles,
        },
        "parts": split_cycles(problem.hardware, price(problem, mapping_of(best, problem)).costs.gaps, cycles["array"]),
        "least_parts": split_cycles(problem.hardware, least_gaps(problem, arrays), sum(stages)),
        "bound": {key: entry.lower for key, entry in best.header.bounds.items()},
        "floor_links_pj": floor.links_pj,
        "floor_buses_pj": floor.buses_pj,
        "clock_ns": problem.hardware.clock_ps / 1000,
        "cpu_s": cpu_s,
    }


def split_cycles(hardware: Hardware, gaps: Gaps, array_cycles: int) -> dict[str, int]:
    """A token's cycles in arrays, in each kind of move, by latency and by channel, and in all else."""
    parts = {"arrays": array_cycles, **dict.fromkeys(PARTS[1:], 0)}
    for gap in gaps.own:
        parts["all else"] += gap.cycles - gap.transfer_cycles
        for each in gap.passing:
            hops = min(each.counted_cycles, int(hardware.cycles(each.move.fixed_ps)))
            parts[f"{each.way}, hops"] += hops
            parts[f"{each.way}, channel"] += each.counted_cycles - hops
    return parts
