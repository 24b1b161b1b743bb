"""All that bits travel on in a chip with distance: links, the buses of cores, and the hub's port.

They are the channels of the chip, numbered: first the links of the topology, then a bus for each place, then the
port's way down, from the hub, and its way up.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from cimsolve.chip.routes import Topology
from cimsolve.columns import Floats


@dataclass(frozen=True)
class Interconnect:
    """The channels of a chip, what they carry in a ns and at what energy, and the bits of what they carry."""

    topology: Topology
    is_tree: bool
    """Whether a link carries an element once a move, however many cores behind it receive it."""
    base_ps: int
    bus_bits_per_ns: float
    bus_pj_per_bit: float
    hub_bits_per_ns: float
    input_bits: int
    sum_bits: int
    """Bits of a partial sum."""
    out_bits: int
    """Bits of a whole output."""

    @cached_property
    def links(self) -> int:
        """Entries of the topology's tables of links."""
        return len(self.topology.link_bits_per_ns)

    @cached_property
    def bits_per_ns(self) -> Floats:
        """Rate of each channel; shape (channels,)."""
        buses = np.full(self.topology.places, self.bus_bits_per_ns)
        return np.concatenate([self.topology.link_bits_per_ns, buses, np.full(2, self.hub_bits_per_ns)])

    @cached_property
    def pj_per_bit(self) -> Floats:
        """Energy of a bit on each channel; shape (channels,). The port's is in the digital units' figures."""
        buses = np.full(self.topology.places, self.bus_pj_per_bit)
        return np.concatenate([self.topology.link_pj_per_bit, buses, np.zeros(2)])

    def kind_of_channel(self, channel: int) -> Literal["links", "buses", "port"]:
        """What a channel is one of."""
        if channel < self.links:
            return "links"
        return "buses" if channel < self.links + self.topology.places else "port"

    def name_of_channel(self, channel: int) -> str:
        """A channel in words."""
        if channel < self.links:
            return f"link {self.topology.name_of_link(channel)}"
        bus = channel - self.links
        if bus < self.topology.places:
            return f"bus of the core at {self.topology.name_of_place(bus)}"
        return f"hub port {'down' if bus == self.topology.places else 'up'}"
