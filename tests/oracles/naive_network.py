"""A chip's network, link by link, in plain Python: routes as lists of links, and what a move takes on them.

docs/formulation.md, section "Moves"; nothing of the package is imported.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import sqrt
from typing import Any

from oracles.naive_chip import Chip, ps

Node = Any
"""`hub`, the (row, column) of a mesh, or the (level, number) of a tree: leaves are level 0."""
Channel = tuple[Any, ...]
"""("link", from, to), ("bus", place) or ("port", way)."""
Send = tuple[int | None, tuple[int | None, ...], int]
"""From a place to places, None the hub, and bits."""
HUB: Node = "hub"


@dataclass
class Move:
    """Bits by channel, the latency of the longest route, and what is sent: from, to and bits of each element."""

    bits: Counter[Channel] = field(default_factory=Counter)
    hops_ps: int = 0
    sends: list[Send] = field(default_factory=list)


class Network:
    def __init__(self, chip: Chip) -> None:
        self.chip, self.data, self.core = chip, chip.data["network"], chip.data["core"]
        self.is_mesh = self.data["topology"] == "mesh"
        self.sum_bits = self.data.get("sum_bits", 16)
        self.out_bits = self.data.get("out_bits") or self.sum_bits
        self.input_bits = chip.data["input"]["bits"]

    # Routes

    def node(self, place: int) -> Node:
        return divmod(place, self.data["cols"]) if self.is_mesh else (0, place)

    def route(self, source: int | None, target: int | None) -> list[Channel]:
        """The links from one place to another; None is the hub."""
        if not self.is_mesh:
            return self.through_tree(source, target)
        if target is None:
            return [("link", end, begin) for _, begin, end in reversed(self.route(None, source))]
        row, column = self.node(target)
        at = self.data["hub"]["at"]
        passed: list[Node]
        if source is None and at == "edge":
            passed = [HUB, (0, column)]
        else:
            passed = [tuple(at) if source is None else self.node(source)]
        while passed[-1][1] != column:
            r, c = passed[-1]
            passed.append((r, c + 1 if c < column else c - 1))
        while passed[-1][0] != row:
            r, c = passed[-1]
            passed.append((r + 1 if r < row else r - 1, c))
        return [("link", begin, end) for begin, end in pairwise(passed)]

    def through_tree(self, source: int | None, target: int | None) -> list[Channel]:
        root = (self.data["levels"], 0)
        rising, falling = [(0, source) if source is not None else root], [(0, target) if target is not None else root]
        while rising[-1] != falling[-1]:
            lower = rising if rising[-1][0] <= falling[-1][0] else falling
            level, number = lower[-1]
            lower.append((level + 1, number // self.data["fanout"]))
        passed = rising + falling[-2::-1]
        return [("link", begin, end) for begin, end in pairwise(passed)]

    # What channels take

    def level(self, link: Channel) -> int:
        return min(int(node[0]) for node in link[1:])

    def rate(self, channel: Channel) -> float:
        if channel[0] == "bus":
            return float(self.core["bus"]["bits_per_ns"])
        if channel[0] == "port":
            return float(self.data["hub"]["bits_per_ns"])
        return float(self.data["bits_per_ns"] if self.is_mesh else self.data["bits_per_ns_level"][self.level(channel)])

    def hop_ps(self, link: Channel) -> int:
        return ps(self.data["hop_ns"] if self.is_mesh else self.data["hop_ns_level"][self.level(link)])

    def pj(self, channel: Channel) -> float:
        if channel[0] == "bus":
            return float(self.core["bus"]["pj_per_bit"])
        if channel[0] == "port":
            return 0.0
        if self.is_mesh:
            return float(self.data["router_pj_per_bit"] + self.pitch_mm() * self.data["wire_pj_per_bit_mm"])
        return float(self.data["pj_per_bit_level"][self.level(channel)])

    def pitch_mm(self) -> float:
        if self.data.get("pitch_mm") is not None:
            return float(self.data["pitch_mm"])
        arrays_um2 = self.core["arrays"] * self.chip.array_um2(self.chip.data["adc"]["bits_max"])
        return sqrt(arrays_um2 + self.core.get("area_um2", 0) + self.data.get("area_um2", 0)) / 1000

    # Moves

    def send(self, move: Move, source: int | None, targets: Sequence[int | None], bits: int) -> None:
        """Add what one element puts on links and, from the hub or to it, on the port."""
        move.sends.append((source, tuple(targets), bits))
        routes = [self.route(source, target) for target in targets]
        lengths = [sum(self.hop_ps(link) for link in route) for route in routes]
        move.hops_ps = max([move.hops_ps, *lengths])
        links = [link for route in routes for link in route]
        is_tree = self.data["multicast"] == "tree"
        for link in set(links) if is_tree else links:
            move.bits[link] += bits
        if source is None:
            move.bits["port", "down"] += bits if is_tree else bits * len(routes)
        if None in targets:
            move.bits["port", "up"] += bits

    def streaming_ps(self, bits: Counter[Channel]) -> int:
        return max((ps(count / self.rate(channel)) for channel, count in bits.items()), default=0)

    def cycles(self, move: Move | None) -> int:
        if move is None:
            return 0
        latency = self.chip.cycles(ps(self.data["base_ns"]) + move.hops_ps)
        return latency + self.chip.cycles(self.streaming_ps(move.bits))

    def energy_pj(self, move: Move, kind: str) -> float:
        return sum(count * self.pj(channel) for channel, count in move.bits.items() if channel[0] == kind)

    # Area

    def routers(self, places: set[int]) -> int:
        """Of a mesh one a core in use, of a tree the nodes above one; the root is the hub."""
        if self.is_mesh:
            return len(places)
        above = {end for place in places for _, _, end in self.route(place, None)}
        return len(above) - 1 if places else 0

    def area_um2(self, places: set[int]) -> float:
        cores = len(places) * self.core.get("area_um2", 0)
        return float(cores + self.routers(places) * self.data.get("area_um2", 0) + self.data["hub"].get("area_um2", 0))
