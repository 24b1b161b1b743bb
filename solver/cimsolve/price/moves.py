"""What moves between hub and cores, and what that takes. docs/formulation.md, section "Moves".

Elements that the same cores send to the same cores are counted together: what is moved follows from the ends of the
pieces' intervals, not from single elements.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from cimsolve.chip.interconnect import Interconnect
from cimsolve.chip.routes import PlaceSets, Traffic, repeats
from cimsolve.chip.sections import picoseconds
from cimsolve.columns import Ints, sum_by
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Pieces


@dataclass(frozen=True, eq=False)
class Move:
    """What one move puts on each channel, shape (channels,), and the latency of its longest route, ps."""

    interconnect: Interconnect
    bits: Ints
    hops_ps: int

    @cached_property
    def fixed_ps(self) -> int:
        """Latency before the first bit has arrived, ps."""
        return self.interconnect.base_ps + self.hops_ps

    @cached_property
    def streaming_ps(self) -> int:
        """Time in which the busiest channel carries its bits, ps."""
        return busiest_ps([self])

    @property
    def network_pj(self) -> float:
        """Energy on the links, pJ."""
        links = self.interconnect.links
        return float(self.bits[:links] @ self.interconnect.pj_per_bit[:links])

    @property
    def bus_pj(self) -> float:
        """Energy on the buses of cores, pJ."""
        links = self.interconnect.links
        return float(self.bits[links:] @ self.interconnect.pj_per_bit[links:])


def bits_of(moves: Sequence[Move]) -> Ints:
    """Bits that some moves, one at least, put on each channel; shape (channels,)."""
    return np.asarray(np.sum([move.bits for move in moves], axis=0, dtype=np.int64))


def busiest_ps(moves: Sequence[Move]) -> int:
    """Time in which the channel that is busiest with all of these moves carries its bits, ps; 0 of none."""
    if not moves:
        return 0
    return int(picoseconds(float((bits_of(moves) / moves[0].interconnect.bits_per_ns).max())))


@dataclass(frozen=True)
class TokenMoves:
    """The moves of a token pass: a list entry for each stage.

    `down`: from the hub to the cores, before the stage; of an L stage only what had to be added at the hub.
    `up`: from the cores to the hub, after the stage: outputs of its step that are now complete, or, of an R stage, what
    must be added at the hub.
    `over`: from the cores of an R stage to those of its L stage, before the latter.
    """

    down: tuple[Move | None, ...]
    up: tuple[Move | None, ...]
    over: tuple[Move | None, ...]
    hub_added: Ints
    """Additions of parts from further cores, of what `up` brings; shape (stages,)."""
    core_added: Ints
    """Additions of parts within a core; shape (stages,)."""


def place_in_order(problem: Problem, arrays: int) -> Ints | None:
    """The field's placing: arrays in order fill the cores, cores the places; None on a flat chip. Shape (arrays,)."""
    core = problem.hardware.core
    return None if core is None else np.arange(arrays, dtype=np.int64) // core.arrays


def find_moves(problem: Problem, pieces: Pieces, place: Ints, stages: Sequence[int] | None = None) -> TokenMoves:
    """The moves of pieces on arrays at these places, shape (arrays,), of a chip with a network.

    `stages`: those of whole steps, of which `pieces` are then all; the others have no moves.
    """
    interconnect = problem.hardware.interconnect
    assert interconnect is not None
    return _Finder(problem, interconnect, pieces, place[pieces.array]).find(stages)


@dataclass(frozen=True)
class _Intervals:
    """Elements of vectors, cut where any piece that reads or makes them begins or ends; entries are runs of them.

    `run` and `place` pair runs with the places of pieces that have them, each pair once; `pieces` have the pair.
    """

    start: Ints
    sizes: Ints
    run: Ints
    place: Ints
    pieces: Ints

    @staticmethod
    def of(start: Ints, length: Ints, place: Ints, places: int) -> _Intervals:
        cuts = np.unique(np.concatenate([start, start + length]))
        first = np.searchsorted(cuts, start)
        count = np.searchsorted(cuts, start + length) - first
        owner, number = repeats(count)
        keys, pieces = np.unique((first[owner] + number) * places + place[owner], return_counts=True)
        run, of_run = np.unique(keys // places, return_inverse=True)
        return _Intervals(cuts[run], (cuts[run + 1] - cuts[run]), of_run.reshape(-1), keys % places, pieces)

    @cached_property
    def places_of_run(self) -> Ints:
        """Places that have a piece of each run; shape (runs,)."""
        return np.bincount(self.run, minlength=len(self.start))

    @cached_property
    def pieces_of_run(self) -> Ints:
        """Pieces of each run; shape (runs,)."""
        return sum_by(self.run, self.pieces, len(self.start))

    @cached_property
    def sets(self) -> PlaceSets:
        """The places of each run."""
        return PlaceSets(np.concatenate([[0], np.cumsum(self.places_of_run)]), self.place)

    def bus_bits(self, whole_bits: int, part_bits: int, places: int) -> Ints:
        """What the pieces put on the buses of their cores: an output of one piece is whole; shape (places,)."""
        each = np.where(self.pieces_of_run == 1, whole_bits, part_bits) * self.sizes
        return sum_by(self.place, self.pieces * each[self.run], places)

    @property
    def hub_added(self) -> int:
        """Additions of parts of further places."""
        return int(((self.places_of_run - 1) * self.sizes).sum())

    @property
    def core_added(self) -> int:
        """Additions of further parts within a place."""
        return int(((self.pieces - 1) * self.sizes[self.run]).sum())


class _Finder:
    def __init__(self, problem: Problem, interconnect: Interconnect, pieces: Pieces, place: Ints) -> None:
        self.workload, self.table, self.interconnect = problem.workload, problem.table, interconnect
        self.places = interconnect.topology.places
        self.place, self.pieces = place, pieces
        factor = pieces.factor
        order = np.argsort(factor, kind="stable")
        stops = np.searchsorted(factor[order], np.arange(len(self.workload.factors) + 1))
        self.of_factor = [order[low:high] for low, high in pairwise(stops.tolist())]

    def find(self, stages: Sequence[int] | None) -> TokenMoves:
        workload = self.workload
        count = len(workload.stages)
        down: list[Move | None] = [None] * count
        up: list[Move | None] = [None] * count
        over: list[Move | None] = [None] * count
        hub_added, core_added = np.zeros((2, count), dtype=np.int64)
        for stage in range(count) if stages is None else stages:
            members = workload.factors_of_stage[stage]
            kinds = {workload.factors[number].kind for number in members}
            if "L" not in kinds:
                down[stage] = self._down(members)
                ready = [] if "R" in kinds else list(members)
            else:
                (before,) = workload.stages[stage].after
                earlier = workload.factors_of_stage[before]
                shuffled = [number for number in earlier if workload.factors[number].kind == "R"]
                ready = [*(number for number in earlier if workload.factors[number].kind == "dense"), *members]
                over[stage], up[before], down[stage], made = self._over(shuffled, members)
                hub_added[before], core_added[before] = made.hub_added, made.core_added
            if ready:
                made = self._made(ready)
                up[stage] = self._up(made)
                hub_added[stage] += made.hub_added
                core_added[stage] += made.core_added
        return TokenMoves(tuple(down), tuple(up), tuple(over), hub_added, core_added)

    def _read(self, members: Sequence[int]) -> _Intervals:
        """Inputs of factors that read one vector."""
        index = np.concatenate([self.of_factor[number] for number in members])
        pieces, height = self.pieces, self.table.block_rows
        start = pieces.block[index] * height[pieces.factor[index]] + pieces.row0[index]
        return _Intervals.of(start, pieces.rows[index], self.place[index], self.places)

    def _made(self, members: Sequence[int]) -> _Intervals:
        """Outputs of factors, one vector after the other in their order."""
        index = np.concatenate([self.of_factor[number] for number in members])
        pieces, width = self.pieces, self.table.block_cols
        sizes = (self.table.blocks * width)[list(members)]
        offset = np.zeros(len(self.table.blocks), dtype=np.int64)
        offset[list(members)] = np.cumsum(sizes) - sizes
        factor = pieces.factor[index]
        start = offset[factor] + pieces.block[index] * width[factor] + pieces.col0[index]
        return _Intervals.of(start, pieces.cols[index], self.place[index], self.places)

    def _down(self, members: Sequence[int]) -> Move:
        read = self._read(members)
        return self._from_hub(read.sets, np.arange(len(read.sizes)), read.sizes * self.interconnect.input_bits)

    def _from_hub(self, sets: PlaceSets, set_of: Ints, bits: Ints) -> Move:
        load = self.interconnect.topology.multicast(None, sets, set_of, bits, self.interconnect.is_tree)
        owner, number = repeats(sets.sizes[set_of])
        buses = sum_by(sets.place[sets.start[set_of][owner] + number], bits[owner], self.places)
        port = int(bits.sum()) if self.interconnect.is_tree else int(buses.sum())
        return self._move(load, buses, (port, 0))

    def _up(self, made: _Intervals) -> Move:
        out_bits, sum_bits = self.interconnect.out_bits, self.interconnect.sum_bits
        each = np.where(made.places_of_run == 1, out_bits, sum_bits) * made.sizes
        sent = sum_by(made.place, each[made.run], self.places)
        return self._move(
            self.interconnect.topology.gather(sent),
            made.bus_bits(out_bits, sum_bits, self.places),
            (0, int(sent.sum())),
        )

    def _over(
        self, shuffled: Sequence[int], members: Sequence[int]
    ) -> tuple[Move, Move | None, Move | None, _Intervals]:
        """The moves of z: over, and up and down of what has parts in several cores; and what the R factors make."""
        channel, input_bits, sum_bits = self.interconnect, self.interconnect.input_bits, self.interconnect.sum_bits
        made = self._made(shuffled)
        sets, set_of_element = self._receivers(members)
        run_of_element = np.repeat(np.arange(len(made.sizes)), made.sizes)  # runs lie one after the other
        is_whole = made.places_of_run[run_of_element] == 1
        source = made.place[made.sets.start[:-1]][run_of_element]
        keys, elements = np.unique((source * len(sets) + set_of_element)[is_whole], return_counts=True)
        load = channel.topology.multicast(
            keys // len(sets), sets, keys % len(sets), elements * input_bits, channel.is_tree
        )
        # The elements of a set are read once on the bus of each of its places.
        read = np.bincount(set_of_element, minlength=len(sets))
        whole_read = np.bincount(keys % len(sets), weights=elements, minlength=len(sets)).astype(np.int64)
        buses = made.bus_bits(input_bits, sum_bits, self.places)
        buses = buses + sum_by(sets.place, (whole_read * input_bits)[sets.owner], self.places)
        over = self._move(load, buses, (0, 0))
        if is_whole.all():
            return over, None, None, made
        parts = np.where(made.places_of_run > 1, made.sizes, 0) * sum_bits
        sent = sum_by(made.place, parts[made.run], self.places)
        nothing = np.zeros(self.places, dtype=np.int64)
        up = self._move(channel.topology.gather(sent), nothing, (0, int(sent.sum())))
        rest = read - whole_read
        some = np.flatnonzero(rest)
        return over, up, self._from_hub(sets, some, rest[some] * input_bits), made

    def _receivers(self, members: Sequence[int]) -> tuple[PlaceSets, Ints]:
        """Sets of places of L factors' pieces, and for each element of their z, one factor after the other, its set."""
        pieces, table = self.pieces, self.table
        owners: list[Ints] = []
        places: list[Ints] = []
        set_of: list[Ints] = []
        sets = 0
        for number in members:
            index, rows, blocks = self.of_factor[number], int(table.block_rows[number]), int(table.blocks[number])
            start = pieces.block[index] * rows + pieces.row0[index]
            read = _Intervals.of(start, pieces.rows[index], self.place[index], self.places)
            owners.append(read.run + sets)
            places.append(read.place)
            run_of_row = np.repeat(np.arange(len(read.sizes)), read.sizes)
            element = np.arange(rows * blocks)
            set_of.append(sets + run_of_row[element % blocks * rows + element // blocks])
            sets += len(read.sizes)
        owner, place = np.concatenate(owners), np.concatenate(places)
        start = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=sets))])
        return PlaceSets(start, place), np.concatenate(set_of)

    def _move(self, load: Traffic, buses: Ints, port: Iterable[int]) -> Move:
        return Move(self.interconnect, np.concatenate([load.link_bits, buses, list(port)]), load.hops_ps)
