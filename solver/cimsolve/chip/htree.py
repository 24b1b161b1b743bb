"""An H-tree with cores at its leaves and the hub at its root.

A route goes up to the lowest node above both of its ends, then down.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cimsolve.chip.routes import PlaceSets, Traffic, repeats
from cimsolve.columns import Floats, Ints, ceil_div, sum_by


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

    def multicast(self, source: Ints | None, sets: PlaceSets, set_of: Ints, bits: Ints, is_tree: bool) -> Traffic:
        """See Topology."""
        down: list[Ints] = []
        up: list[Ints] = []
        hops_ps = 0
        for level, nodes in enumerate(self.nodes):
            below = self.fanout**level
            keys, receivers = np.unique(sets.owner * nodes + sets.place // below, return_counts=True)
            branches = np.bincount(keys // nodes, minlength=len(sets))
            owner, number = repeats(branches[set_of])
            branch = (np.cumsum(branches) - branches)[set_of][owner] + number
            node, behind = keys[branch] % nodes, receivers[branch]
            home = np.full(len(bits), -1) if source is None else source // below
            leaves_home = node != home[owner]
            copies = np.where(leaves_home, 1 if is_tree else behind, 0)
            down.append(sum_by(node, bits[owner] * copies, nodes))
            away = sum_by(owner, behind * leaves_home, len(bits))
            if source is None:
                up.append(np.zeros(nodes, dtype=np.int64))
                hops_ps += self.hop_ps[level] if len(bits) else 0
            else:
                up.append(sum_by(home, bits * (np.minimum(away, 1) if is_tree else away), nodes))
                hops_ps += 2 * self.hop_ps[level] if away.any() else 0
        return Traffic(np.concatenate([*down, *up]), hops_ps)

    def gather(self, bits: Ints) -> Traffic:
        """See Topology."""
        leaf = np.arange(self.places)
        up = [sum_by(leaf // self.fanout**level, bits, nodes) for level, nodes in enumerate(self.nodes)]
        return Traffic(
            np.concatenate([np.zeros(sum(self.nodes), dtype=np.int64), *up]), sum(self.hop_ps) * bool(bits.any())
        )

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
