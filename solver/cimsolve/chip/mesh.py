"""A mesh of places with XY routes, and a hub beside one of them or along the edge above row 0.

A route follows its sender's row to its receiver's column, then that column. What goes to the hub takes the links of
the way down, reversed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cimsolve.chip.routes import HubCut, PlaceSets, Sends, Traffic, add_to_ranges, repeats
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

    @property
    def bisection_bits_per_ns(self) -> float:
        """See Topology; of straight cuts between two rows or two columns the slower one."""
        cuts = [crossing for crossing, along in ((self.rows, self.cols), (self.cols, self.rows)) if along > 1]
        return min(cuts, default=0) * self.bits_per_ns

    @property
    def hub_links_bits_per_ns(self) -> float:
        """See Topology; a hub beside a core has that core's links to its neighbours."""
        if self.hub is None:
            return self.cols * self.bits_per_ns
        row, col = divmod(self.hub, self.cols)
        return ((row > 0) + (row < self.rows - 1) + (col > 0) + (col < self.cols - 1)) * self.bits_per_ns

    def multicast(self, moves: int, sends: Sends, sets: PlaceSets, is_tree: bool) -> Traffic:
        """See Topology."""
        if is_tree:
            return self._trees(moves, sends, sets)
        owner, number = repeats(sets.sizes[sends.to])
        place = sets.place[sets.start[sends.to][owner] + number]
        source = None if sends.source is None else sends.source[owner]
        return self._trees(moves, Sends(sends.move[owner], place, sends.bits[owner], source), self._each_place)

    def gather(self, bits: Ints) -> Traffic:
        """See Topology."""
        move, sending = np.nonzero(bits)
        way_down = self._trees(len(bits), Sends(move, sending, bits[move, sending], None), self._each_place)
        by_way = way_down.link_bits.reshape(len(bits), len(WAYS), -1)
        return Traffic(by_way[:, list(REVERSED)].reshape(len(bits), -1), way_down.hops_ps)

    @property
    def cuts(self) -> tuple[HubCut, ...]:
        """See Topology: links next to the hub, as what passes another link passes one of these too."""
        if self.hub is None:
            return (HubCut(self.bits_per_ns, ((self.cols, self.rows),)),)
        row, col = divmod(self.hub, self.cols)
        behind = (self.rows * col, self.rows * (self.cols - 1 - col), row, self.rows - 1 - row)
        return (HubCut(self.bits_per_ns, tuple((1, places) for places in behind if places), beside=1),)

    def ways_to_hub(self) -> tuple[Ints, Floats]:
        """See Topology."""
        row, col = np.divmod(np.arange(self.places), self.cols)
        if self.hub is None:
            hops = row + 1
        else:
            hops = np.abs(row - self.hub // self.cols) + np.abs(col - self.hub % self.cols)
        return hops * self.hop_ps, hops * self.pj_per_bit

    def ways_between(self) -> tuple[Ints, Floats]:
        """See Topology."""
        row, col = np.divmod(np.arange(self.places), self.cols)
        hops = np.abs(row[:, None] - row) + np.abs(col[:, None] - col)
        return hops * self.hop_ps, hops * self.pj_per_bit

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

    @cached_property
    def _each_place(self) -> PlaceSets:
        return PlaceSets.singles(np.arange(self.places))

    def _trees(self, moves: int, sends: Sends, sets: PlaceSets) -> Traffic:
        rows, cols = self.rows, self.cols
        row, col = np.divmod(sets.place, cols)
        # A tree has one branch for each column of its receivers.
        keys, branch = np.unique(sets.owner * cols + col, return_inverse=True)
        top = rows - 1 - max_by(branch, rows - 1 - row, len(keys))
        bottom = max_by(branch, row, len(keys))
        column = keys % cols
        branches = np.bincount(keys // cols, minlength=len(sets))
        start = np.cumsum(branches) - branches
        move, to, bits = sends.move, sends.to, sends.bits
        begin, across = np.full(len(bits), -1), [np.zeros((moves, rows, cols), dtype=np.int64)] * 2
        is_from_edge = sends.source is None and self.hub is None
        if not is_from_edge:
            begin, from_col = np.divmod(np.full(len(bits), self.hub) if sends.source is None else sends.source, cols)
            line, first, last = move * rows + begin, column[start[to]], column[start[to] + branches[to] - 1]
            ranges = (from_col, np.maximum(from_col, last)), (np.minimum(from_col, first), from_col)
            along_rows = (add_to_ranges(line, low, high, bits, moves * rows, cols) for low, high in ranges)
            across = [each.reshape(moves, rows, cols) for each in along_rows]
            # Neighbours that come from one row to one set take the same columns.
            differs = (line[1:] != line[:-1]) | (to[1:] != to[:-1])
            lead = np.flatnonzero(np.append(True, differs)[: len(line)])
            west_most, east_most = (each.reduceat(from_col, lead) for each in (np.minimum, np.maximum))
            move, to, begin, bits = move[lead], to[lead], begin[lead], np.add.reduceat(bits, lead)
        owner, number = repeats(branches[to])
        branch = start[to][owner] + number
        column, top, bottom, begin = column[branch], top[branch], bottom[branch], begin[owner]
        hops = np.maximum(bottom - begin, begin - top)
        if not is_from_edge:
            hops = hops + np.maximum(column - west_most[owner], east_most[owner] - column)
        line, sent = move[owner] * cols + column, bits[owner]
        south = add_to_ranges(line, begin + 1, np.maximum(begin, bottom) + 1, sent, moves * cols, rows)
        north = add_to_ranges(line, np.minimum(begin, top) + 1, begin + 1, sent, moves * cols, rows)
        along = (each.reshape(moves, cols, rows).transpose(0, 2, 1) for each in (south, north))
        link_bits = np.stack([*across, *along], axis=1).reshape(moves, -1)
        return Traffic(link_bits, max_by(move[owner], hops, moves) * self.hop_ps)
