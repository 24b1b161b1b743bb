"""Where the cores of a chip with a network lie, what each holds and does, and what its links, buses and port carry."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cimsolve.chip.interconnect import Interconnect
from cimsolve.columns import Floats, Ints, max_by, sum_by
from cimsolve.price.moves import bits_of, busiest_channel
from cimsolve.show.seen.comparison import amount
from cimsolve.show.seen.judged import Judged
from cimsolve.show.seen.occupancy import ArrayTable
from cimsolve.show.units import bits_in_words, plural, share


@dataclass(frozen=True)
class Floor:
    """The places of a chip, shape (places,), and its channels, shape (channels,), over a token's pass."""

    interconnect: Interconnect
    arrays: Ints
    """Arrays of each place that hold weights; a place with none is empty."""
    filled: Floats
    """Share of the cells of these arrays that is in use."""
    busy: Floats
    """Share of a token's latency in which they fire, averaged over them."""
    first_layer: Ints
    last_layer: Ints
    bits: Ints
    """What each channel carries a token."""
    busiest: int
    """The channel that carries it for the longest."""

    @cached_property
    def times_ns(self) -> Floats:
        """How long each channel carries what it does."""
        return np.asarray(self.bits / self.interconnect.bits_per_ns)

    def describe_channel(self, channel: int) -> str:
        """A channel in words, with what it carries."""
        name, carried = self.interconnect.name_of_channel(channel), bits_in_words(int(self.bits[channel]))
        return f"{name}: {carried} a token in {amount(float(self.times_ns[channel]), 'time')}"

    def describe_place(self, place: int) -> str:
        """A place in words, with what its core holds and does."""
        name = self.interconnect.topology.name_of_place(place)
        if not self.arrays[place]:
            return f"place {name}: empty"
        layers = f"{self.first_layer[place]} to {self.last_layer[place]}"
        bus = self.describe_channel(self.interconnect.links + place).partition(": ")[2]
        return (
            f"core at {name}: {plural(int(self.arrays[place]), 'array')}, {share(float(self.filled[place]))} full, "
            f"layers {layers}; fires {share(float(self.busy[place]))} of the time; its bus carries {bus}"
        )

    def describe_port(self) -> str:
        """What passes the hub's port."""
        down, up = (bits_in_words(int(bits)) for bits in self.bits[-2:])
        return f"the hub's port passes {down} down and {up} up a token"


def find_floor(judged: Judged, table: ArrayTable) -> Floor | None:
    """The floor of a chip with a network, None of a flat one; bits of links add up to the metric `link_bits`."""
    interconnect, places = judged.hardware.interconnect, judged.costs.fired.place
    if interconnect is None or places is None:
        return None
    place, count = places[table.number], interconnect.topology.places
    arrays = np.bincount(place, minlength=count)
    some = np.maximum(arrays, 1)
    cells = judged.hardware.array.rows * judged.hardware.array.cols
    top = int(table.last_layer.max())
    moves = [move for gap in judged.costs.gaps.own for move in gap.moves]
    return Floor(
        interconnect=interconnect,
        arrays=arrays,
        filled=sum_by(place, table.cells, count) / (some * cells),
        busy=sum_by(place, table.busy_cycles, count) / (some * int(judged.costs.metrics["latency_cycles"])),
        first_layer=top - max_by(place, top - table.first_layer, count),
        last_layer=max_by(place, table.last_layer, count),
        bits=bits_of(moves),
        busiest=busiest_channel(moves),
    )
