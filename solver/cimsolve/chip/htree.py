"""An H-tree with cores at its leaves and the hub at its root.

A route goes up to the lowest node above both of its ends, then down.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cimsolve.chip.routes import HubCut, PlaceSets, Sends, Traffic, repeats
from cimsolve.columns import Floats, Ints, ceil_div, max_by, sum_by


@dataclass(frozen=True)
class HTree:
    """`fanout ** levels` leaves; rate, latency and energy of links by level, from the leaf up.

    The link of level l joins node n of that level, above the leaves `n * fanout ** l` and on, to its parent. Tables of
    links hold all ways down, then all ways up, level after level, shape (2 * nodes,).
    """

    levels: int
    fanout: int
    bits_per_ns: tuple[float, ...]
    hop_ps: tuple[int, ...]
    pj_per_bit: tuple[float, ...]

    @property
    def places(self) -> int:
        """Places for cores: the leaves."""
        return int(self.fanout**self.levels)

    @cached_property
    def nodes(self) -> tuple[int, ...]:
        """Nodes of each level below the root."""
        return tuple(self.fanout ** (self.levels - level) for level in range(self.levels))

    @cached_property
    def link_bits_per_ns(self) -> Floats:
        """Rate of each link; shape (links,)."""
        return np.tile(np.repeat(self.bits_per_ns, self.nodes), 2)

    @cached_property
    def link_pj_per_bit(self) -> Floats:
        """Energy of a bit on each link; shape (links,)."""
        return np.tile(np.repeat(self.pj_per_bit, self.nodes), 2)

    @property
    def bisection_bits_per_ns(self) -> float:
        """See Topology; half of the branches of the root, the smaller half where their number is odd."""
        return self.fanout // 2 * self.bits_per_ns[-1]

    @property
    def hub_links_bits_per_ns(self) -> float:
        """See Topology."""
        return self.fanout * self.bits_per_ns[-1]

    def multicast(self, moves: int, sends: Sends, sets: PlaceSets, is_tree: bool) -> Traffic:
        """See Topology."""
        down: list[Ints] = []
        up: list[Ints] = []
        hops_ps = np.zeros(moves, dtype=np.int64)
        move, to, bits, source = sends
        for level, nodes in enumerate(self.nodes):
            below = self.fanout**level
            keys, receivers = np.unique(sets.owner * nodes + sets.place // below, return_counts=True)
            branches = np.bincount(keys // nodes, minlength=len(sets))
            owner, number = repeats(branches[to])
            branch = (np.cumsum(branches) - branches)[to][owner] + number
            node, behind = keys[branch] % nodes, receivers[branch]
            home = np.full(len(bits), -1) if source is None else source // below
            leaves_home = node != home[owner]
            copies = np.where(leaves_home, 1 if is_tree else behind, 0)
            down.append(sum_by(move[owner] * nodes + node, bits[owner] * copies, moves * nodes).reshape(moves, nodes))
            away = sum_by(owner, behind * leaves_home, len(bits))
            sent = np.minimum(away, 1)
            if source is None:
                up.append(np.zeros((moves, nodes), dtype=np.int64))
            else:
                copies = bits * (sent if is_tree else away)
                up.append(sum_by(move * nodes + home, copies, moves * nodes).reshape(moves, nodes))
            hops_ps += max_by(move, sent, moves) * self.hop_ps[level] * (1 if source is None else 2)
        return Traffic(np.concatenate([*down, *up], axis=1), hops_ps)

    def gather(self, bits: Ints) -> Traffic:
        """See Topology."""
        up = [bits.reshape(len(bits), nodes, -1).sum(axis=2) for nodes in self.nodes]
        nothing = np.zeros((len(bits), sum(self.nodes)), dtype=np.int64)
        return Traffic(np.concatenate([nothing, *up], axis=1), np.where(bits.any(axis=1), sum(self.hop_ps), 0))

    @property
    def cuts(self) -> tuple[HubCut, ...]:
        """See Topology: the links of each level."""
        levels = zip(self.bits_per_ns, self.nodes, strict=True)
        return tuple(HubCut(rate, ((nodes, self.fanout**level),)) for level, (rate, nodes) in enumerate(levels))

    def ways_to_hub(self) -> tuple[Ints, Floats]:
        """See Topology."""
        return np.full(self.places, sum(self.hop_ps)), np.full(self.places, sum(self.pj_per_bit))

    def ways_between(self) -> tuple[Ints, Floats]:
        """See Topology."""
        leaf, shape = np.arange(self.places), (self.places, self.places)
        hops_ps, pj = np.zeros(shape, dtype=np.int64), np.zeros(shape)
        for level in range(self.levels):
            node = leaf // self.fanout**level
            apart = 2 * (node[:, None] != node)
            hops_ps += apart * self.hop_ps[level]
            pj += apart * self.pj_per_bit[level]
        return hops_ps, pj

    def name_of_link(self, link: int) -> str:
        """See Topology."""
        way, number = divmod(link, sum(self.nodes))
        level = 0
        while number >= self.nodes[level]:
            number -= self.nodes[level]
            level += 1
        return f"level {level}, node {number} {'up' if way else 'down'}"

    def count_routers(self, places: Ints) -> int:
        """See Topology; the root is the hub's."""
        return sum(len(np.unique(places // self.fanout**level)) for level in range(1, self.levels))

    def fewest_routers(self, cores: int) -> int:
        """See Topology."""
        return sum(ceil_div(cores, self.fanout**level) for level in range(1, self.levels))

    def name_of_place(self, place: int) -> str:
        """See Topology."""
        return f"leaf {place}"
