"""A mesh of places with XY routes, and a hub beside one of them or along the edge above row 0.

A route follows its sender's row to its receiver's column, then that column. What goes to the hub takes the links of
the way down, reversed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cimsolve.chip.routes import PlaceSets, Traffic, add_to_ranges, repeats
from cimsolve.columns import Bools, Floats, Ints, max_by

WAYS = ("east", "west", "south", "north")
REVERSED = (1, 0, 3, 2)
"""Number of the way back of each way."""


@dataclass(frozen=True)
class Mesh:
    """`rows` x `cols` places, numbered row by row; `hub` is a place, or None for the edge above row 0.

    Links are tables of shape (WAYS, rows, cols): east and west those between columns c and c + 1, south and north those
    between rows r - 1 and r, of which row 0's lead to a hub at the edge.
    """

    rows: int
    cols: int
    hub: int | None
    bits_per_ns: float
    hop_ps: int
    pj_per_bit: float
    """Of one hop: a router and a wire."""

    @property
    def places(self) -> int:
        """Places for cores."""
        return self.rows * self.cols

    @cached_property
    def is_link(self) -> Bools:
        """Which entries of a table of links stand for one; shape (links,)."""
        found = np.ones((len(WAYS), self.rows, self.cols), dtype=bool)
        found[:2, :, -1] = False
        found[2:, 0, :] = self.hub is None
        return found.reshape(-1)

    @cached_property
    def link_bits_per_ns(self) -> Floats:
        """Rate of each link; shape (links,)."""
        return np.full(len(self.is_link), self.bits_per_ns)

    @cached_property
    def link_pj_per_bit(self) -> Floats:
        """Energy of a bit on each link; shape (links,)."""
        return np.full(len(self.is_link), self.pj_per_bit)

    def multicast(self, source: Ints | None, sets: PlaceSets, set_of: Ints, bits: Ints, is_tree: bool) -> Traffic:
        """See Topology."""
        if not is_tree:
            owner, number = repeats(sets.sizes[set_of])
            source = source if source is None else source[owner]
            set_of, bits = sets.start[set_of][owner] + number, bits[owner]
            sets = PlaceSets.singles(sets.place)
        return self._trees(source, sets, set_of, bits)

    def gather(self, bits: Ints) -> Traffic:
        """See Topology."""
        sending = np.flatnonzero(bits)
        way_down = self._trees(None, PlaceSets.singles(sending), np.arange(len(sending)), bits[sending])
        by_way = way_down.link_bits.reshape(len(WAYS), -1)
        return Traffic(by_way[list(REVERSED)].reshape(-1), way_down.hops_ps)

    def name_of_link(self, link: int) -> str:
        """See Topology."""
        way, row, col = (int(part) for part in np.unravel_index(link, (len(WAYS), self.rows, self.cols)))
        here = f"({row}, {col})"
        other = f"({row}, {col + 1})" if way < 2 else f"({row - 1}, {col})" if row else "hub"
        sender, receiver = (here, other) if WAYS[way] in ("east", "north") else (other, here)
        return f"{sender} to {receiver}"

    def count_routers(self, places: Ints) -> int:
        """See Topology."""
        return len(places)

    def fewest_routers(self, cores: int) -> int:
        """See Topology."""
        return cores

    def name_of_place(self, place: int) -> str:
        """See Topology."""
        return f"({place // self.cols}, {place % self.cols})"

    def _trees(self, source: Ints | None, sets: PlaceSets, set_of: Ints, bits: Ints) -> Traffic:
        rows, cols = self.rows, self.cols
        row, col = np.divmod(sets.place, cols)
        # A tree has one branch for each column of its receivers.
        keys, branch = np.unique(sets.owner * cols + col, return_inverse=True)
        top = rows - 1 - max_by(branch, rows - 1 - row, len(keys))
        bottom = max_by(branch, row, len(keys))
        column = keys % cols
        branches = np.bincount(keys // cols, minlength=len(sets))
        start = np.cumsum(branches) - branches
        owner, number = repeats(branches[set_of])
        branch = start[set_of][owner] + number
        column, top, bottom = column[branch], top[branch], bottom[branch]
        if source is None and self.hub is None:
            from_row, from_col = np.full(len(bits), -1), None
            across = np.zeros((2, rows, cols), dtype=np.int64)
        else:
            from_row, from_col = np.divmod(np.full(len(bits), self.hub) if source is None else source, cols)
            first, last = (keys % cols)[start][set_of], (keys % cols)[start + branches - 1][set_of]
            east = add_to_ranges(from_row, from_col, np.maximum(from_col, last), bits, rows, cols)
            west = add_to_ranges(from_row, np.minimum(from_col, first), from_col, bits, rows, cols)
            across = np.stack([east, west])
        begin, sent = from_row[owner], bits[owner]
        south = add_to_ranges(column, begin + 1, np.maximum(begin, bottom) + 1, sent, cols, rows)
        north = add_to_ranges(column, np.minimum(begin, top) + 1, begin + 1, sent, cols, rows)
        hops = np.maximum(bottom - begin, begin - top)
        if from_col is not None:
            hops = hops + abs(column - from_col[owner])
        link_bits = np.concatenate([across, np.stack([south.T, north.T])]).reshape(-1)
        return Traffic(link_bits, int(hops.max(initial=0)) * self.hop_ps)
