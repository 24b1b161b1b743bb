"""What a move puts on the links of a network: multicasts from cores or from the hub to sets of places.

Routes: docs/formulation.md, section "Moves". `mesh.py` and `htree.py` are the two kinds of network.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np

from cimsolve.columns import Floats, Ints, sum_by


@dataclass(frozen=True)
class PlaceSets:
    """Sets of places, none empty: set i holds `place[start[i] : start[i + 1]]`, ascending and each once."""

    start: Ints
    place: Ints

    def __len__(self) -> int:
        return len(self.start) - 1

    @cached_property
    def sizes(self) -> Ints:
        """Number of places in each set; shape (sets,)."""
        return np.diff(self.start)

    @cached_property
    def owner(self) -> Ints:
        """The set that each entry of `place` belongs to."""
        return np.repeat(np.arange(len(self)), self.sizes)

    @staticmethod
    def singles(place: Ints) -> PlaceSets:
        """A set for each of some places."""
        return PlaceSets(np.arange(len(place) + 1), place)


class Sends(NamedTuple):
    """What some moves send: `bits[i]` in move `move[i]`, to the set of places `to[i]`, from place `source[i]`.

    `source` is None where all comes from the hub.
    """

    move: Ints
    to: Ints
    bits: Ints
    source: Ints | None


class Traffic(NamedTuple):
    """What moves ask of a network: bits on each link, shape (moves, links), and the longest routes' latency, ps."""

    link_bits: Ints
    hops_ps: Ints


class HubCut(NamedTuple):
    """Links of one rate, of which what goes between hub and cores passes one at most, and how many cores are behind.

    `sides` are numbers of links and of the places behind each of them; `beside` so many places are behind none.
    """

    bits_per_ns: float
    sides: tuple[tuple[int, int], ...]
    beside: int = 0


class Topology(Protocol):
    """The places of a network, the links between them, and the routes that moves take."""

    @property
    def places(self) -> int:
        """Places for cores, numbered from 0."""
        ...

    @property
    def link_bits_per_ns(self) -> Floats:
        """Rate of each link; shape (links,). A link carries one way; the way back is a link of its own."""
        ...

    @property
    def link_pj_per_bit(self) -> Floats:
        """Energy of a bit on each link; shape (links,)."""
        ...

    @property
    def bisection_bits_per_ns(self) -> float:
        """Rate, one way, of the links that join one half of the places to the other; 0 where there is one place."""
        ...

    @property
    def hub_links_bits_per_ns(self) -> float:
        """Rate, one way, of all links that end at the hub."""
        ...

    def multicast(self, moves: int, sends: Sends, sets: PlaceSets, is_tree: bool) -> Traffic:
        """The traffic of moves 0 ... `moves` - 1.

        `is_tree`: a link carries what goes to several places behind it once; else once for each of them.
        """
        ...

    def gather(self, bits: Ints) -> Traffic:
        """The traffic of moves that send `bits[m, p]`, shape (moves, places), from place p to the hub."""
        ...

    @property
    def cuts(self) -> tuple[HubCut, ...]:
        """The links that can be the busiest with what goes between hub and cores."""
        ...

    def ways_to_hub(self) -> tuple[Ints, Floats]:
        """Latency, ps, and energy of a bit, pJ, of the links between each place and the hub; shape (places,) each."""
        ...

    def ways_between(self) -> tuple[Ints, Floats]:
        """Latency, ps, and energy of a bit, pJ, of the links between any two places; shape (places, places) each."""
        ...

    def name_of_link(self, link: int) -> str:
        """A link in words."""
        ...

    def count_routers(self, places: Ints) -> int:
        """Routers that join the cores at some places, each place given once."""
        ...

    def fewest_routers(self, cores: int) -> int:
        """The fewest routers that join so many cores, wherever they are."""
        ...

    def name_of_place(self, place: int) -> str:
        """A place in words."""
        ...


def repeats(count: Ints) -> tuple[Ints, Ints]:
    """Entries repeated `count` times: which entry each repetition is of, and its number among them."""
    owner = np.repeat(np.arange(len(count)), count)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)


def add_to_ranges(line: Ints, begin: Ints, end: Ints, bits: Ints, lines: int, length: int) -> Ints:
    """Sums of `bits` over the positions `begin ... end - 1` of their `line`; shape (lines, length)."""
    width = length + 1
    change = sum_by(line * width + begin, bits, lines * width) - sum_by(line * width + end, bits, lines * width)
    return np.asarray(np.cumsum(change.reshape(lines, width), axis=1)[:, :-1])
