"""What moves between hub and cores, and what that takes. docs/formulation.md, section "Moves".

Elements that the same cores send to the same cores are counted together: what is moved follows from the ends of the
pieces' intervals, not from single elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cimsolve.chip.interconnect import Interconnect
from cimsolve.chip.routes import PlaceSets, Sends, Traffic, repeats
from cimsolve.chip.sections import picoseconds
from cimsolve.columns import Ints, sum_by
from cimsolve.errors import InputError
from cimsolve.model.workload import Workload
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Pieces

ENTRIES_MAX = 2**27
"""Most channels times stages: 1 GiB for all moves of one way."""


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
        return _streaming_ps(self.interconnect, self.bits)

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


def busiest_channel(moves: Sequence[Move]) -> int:
    """The channel that carries all of some moves, one at least, for the longest."""
    return int((bits_of(moves) / moves[0].interconnect.bits_per_ns).argmax())


def busiest_ps(moves: Sequence[Move]) -> int:
    """Time in which the channel that is busiest with all of these moves carries its bits, ps; 0 of none."""
    if not moves:
        return 0
    return _streaming_ps(moves[0].interconnect, bits_of(moves))


def _streaming_ps(interconnect: Interconnect, bits: Ints) -> int:
    return int(picoseconds(float((bits / interconnect.bits_per_ns).max())))


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


def find_moves(problem: Problem, pieces: Pieces, place: Ints) -> TokenMoves:
    """The moves of pieces on arrays at these places, shape (arrays,), of a chip with a network.

    Raises InputError where network and model are too large to be held.
    """
    interconnect = problem.hardware.interconnect
    assert interconnect is not None
    channels, stages = len(interconnect.bits_per_ns), len(problem.workload.stages)
    if channels * stages > ENTRIES_MAX:
        raise InputError(
            f"{problem.hardware.name}: network: {interconnect.topology.places} places; with the {stages} stages of "
            f"{problem.model.name} expected at most {ENTRIES_MAX // stages} links, buses and ports, not {channels}; "
            "give fewer places"
        )
    return _Finder(problem, interconnect, pieces, place[pieces.array]).find()


@dataclass(frozen=True)
class _Intervals:
    """Elements of vectors on one line, cut where any piece that reads or makes them begins or ends.

    `run` and `place` pair runs of elements with the places of pieces that have them, each pair once; `pieces` have the
    pair. `owner` is the vector of each run.
    """

    start: Ints
    sizes: Ints
    owner: Ints
    run: Ints
    place: Ints
    pieces: Ints

    @staticmethod
    def of(offset: Ints, start: Ints, length: Ints, place: Ints, places: int) -> _Intervals:
        """Of pieces with elements `start ... start + length - 1`; vector i begins at `offset[i]`."""
        stop = start + length
        is_cut = np.zeros(int(stop.max()) + 1, dtype=bool)
        is_cut[start] = is_cut[stop] = True
        cuts, interval = np.flatnonzero(is_cut), np.cumsum(is_cut) - 1
        first = interval[start]
        owner, number = repeats(interval[stop] - first)
        keys, pieces = np.unique((first[owner] + number) * places + place[owner], return_counts=True)
        interval = keys // places
        begins = np.append(True, interval[1:] != interval[:-1])
        start = cuts[interval[begins]]
        return _Intervals(
            start,
            cuts[interval[begins] + 1] - start,
            np.searchsorted(offset, start, side="right") - 1,
            np.cumsum(begins) - 1,
            keys % places,
            pieces,
        )

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


class _Vectors:
    """What follows from the workload alone: the vectors that factors read and make, end to end on a line each.

    All have an entry for each factor; `begins` is where its input begins on the line of its stage. `follower` has one
    for each stage, the L stage of an R stage and any other stage itself.
    """

    def __init__(self, workload: Workload) -> None:
        table, kinds = workload.table, workload.kinds
        is_shuffled = kinds == "L"
        self.shuffled, self.shuffling = np.flatnonzero(is_shuffled), np.flatnonzero(kinds == "R")
        self.follower = np.arange(len(workload.stages))
        for stage in np.unique(table.stage[is_shuffled]).tolist():
            self.follower[workload.stages[stage].after[0]] = stage
        # Each L factor reads its own z: the vectors of stages, one after the other where they are several, then those
        # of L factors.
        sizes = table.blocks * table.block_rows
        of_stage = np.zeros(len(workload.stages), dtype=np.int64)
        self.begins = np.zeros(len(sizes), dtype=np.int64)
        known: dict[int, int] = {}
        for factor, (stage, vector) in enumerate(zip(table.stage.tolist(), table.input.tolist(), strict=True)):
            if not is_shuffled[factor]:
                if vector not in known:
                    known[vector] = int(of_stage[stage])
                    of_stage[stage] += sizes[factor]
                self.begins[factor] = known[vector]
        self.reads = table.stage.copy()
        self.reads[self.shuffled] = len(of_stage) + np.arange(len(self.shuffled))
        read_sizes = np.concatenate([of_stage, sizes[self.shuffled]])
        self.read_offset = np.cumsum(read_sizes) - read_sizes
        made_sizes = table.blocks * table.block_cols
        self.made_offset = np.cumsum(made_sizes) - made_sizes


class _Finder:
    """All moves of a token at once; tables have a row for each stage that a move stands before or after."""

    def __init__(self, problem: Problem, interconnect: Interconnect, pieces: Pieces, place: Ints) -> None:
        self.channels, self.table = interconnect, problem.table
        self.stages, self.places = len(problem.workload.stages), interconnect.topology.places
        self.vectors = vectors = _Vectors(problem.workload)
        factor, table = pieces.factor, problem.table
        begins = vectors.read_offset[vectors.reads[factor]] + vectors.begins[factor]
        row = begins + pieces.block * table.block_rows[factor] + pieces.row0
        column = vectors.made_offset[factor] + pieces.block * table.block_cols[factor] + pieces.col0
        self.read = _Intervals.of(vectors.read_offset, row, pieces.rows, place, self.places)
        self.made = _Intervals.of(vectors.made_offset, column, pieces.cols, place, self.places)
        self.is_z = np.isin(self.made.owner, vectors.shuffling)
        self.is_whole = self.made.places_of_run == 1
        self.stage = vectors.follower[table.stage[self.made.owner]]
        """Of each run of outputs, the stage after which it goes up, or before which it goes over."""

    def find(self) -> TokenMoves:
        made, stages = self.made, self.stages
        over, falling = self._over()
        added_at = np.where(self.is_z, self.table.stage[made.owner], self.stage)
        hub_added = sum_by(added_at, (made.places_of_run - 1) * made.sizes, stages)
        core_added = sum_by(added_at[made.run], (made.pieces - 1) * made.sizes[made.run], stages)
        return TokenMoves(self._down(falling), self._up(added_at), over, hub_added, core_added)

    def _down(self, falling: Sends) -> tuple[Move | None, ...]:
        """Inputs from the hub, and `falling`, what was added there of z."""
        channels, sets = self.channels, self.read.sets
        of_stage = np.flatnonzero(self.read.owner < self.stages)
        move = np.concatenate([self.read.owner[of_stage], falling.move])
        to = np.concatenate([of_stage, falling.to])
        bits = np.concatenate([self.read.sizes[of_stage] * channels.input_bits, falling.bits])
        load = channels.topology.multicast(self.stages, Sends(move, to, bits, None), sets, channels.is_tree)
        owner, number = repeats(sets.sizes[to])
        buses = self._by_place(move[owner], sets.place[sets.start[to][owner] + number], bits[owner])
        port = sum_by(move, bits, self.stages) if channels.is_tree else buses.sum(axis=1)
        return self._moves(load, buses, port, 0 * port)

    def _up(self, after: Ints) -> tuple[Move | None, ...]:
        """Outputs to the hub, `after` a stage each; of z what has parts in several cores, whose bus is in `over`."""
        made, channels = self.made, self.channels
        each = np.where(self.is_whole, channels.out_bits, channels.sum_bits) * made.sizes
        each[self.is_z & self.is_whole] = 0
        sent = self._by_place(after[made.run], made.place, each[made.run])
        buses = self._leaving_arrays(np.where(self.is_z, 0, made.sizes), channels.out_bits)
        port = sent.sum(axis=1)
        return self._moves(channels.topology.gather(sent), buses, 0 * port, port)

    def _over(self) -> tuple[tuple[Move | None, ...], Sends]:
        """The moves of z that is whole in a core, and what goes down of the rest, once it is added."""
        made, channels, sets = self.made, self.channels, self.read.sets
        runs, input_bits = len(sets), channels.input_bits
        z = np.flatnonzero(self.is_z)
        maker, reader = np.repeat(z, made.sizes[z]), self._readers()
        whole = self.is_whole[maker]
        source = made.place[made.sets.start[:-1]][maker]
        keys, elements = np.unique((reader * self.places + source)[whole], return_counts=True)
        to = keys // self.places
        sends = Sends(self._stage_of(to), to, elements * input_bits, keys % self.places)
        load = channels.topology.multicast(self.stages, sends, sets, channels.is_tree)
        # What a core reads is on its bus once, from wherever it comes.
        read = sum_by(to, elements * input_bits, runs)[sets.owner]
        received = np.flatnonzero(read)
        buses = self._leaving_arrays(np.where(self.is_z, made.sizes, 0), input_bits)
        buses += self._by_place(self._stage_of(sets.owner[received]), sets.place[received], read[received])
        added, elements = np.unique(reader[~whole], return_counts=True)
        nothing = np.zeros(self.stages, dtype=np.int64)
        falling = Sends(self._stage_of(added), added, elements * input_bits, None)
        return self._moves(load, buses, nothing, nothing), falling

    def _readers(self) -> Ints:
        """The run of an L factor's rows that reads each element of z, one R factor's outputs after the other's."""
        rows = np.flatnonzero(self.read.owner >= self.stages)
        run_of_row = np.repeat(rows, self.read.sizes[rows])
        shuffled = self.vectors.shuffled
        blocks, height = self.table.blocks[shuffled], self.table.block_rows[shuffled]
        begin = np.cumsum(blocks * height) - blocks * height
        # Element j of z is row j div l of block j mod l.
        each = zip(begin.tolist(), blocks.tolist(), height.tolist(), strict=True)
        parts = [run_of_row[at : at + count * high].reshape(count, -1).T.reshape(-1) for at, count, high in each]
        return np.concatenate([run_of_row[:0], *parts])

    def _stage_of(self, run: Ints) -> Ints:
        """The stage of the L factor that reads each run."""
        return self.table.stage[self.vectors.shuffled[self.read.owner[run] - self.stages]]

    def _leaving_arrays(self, sizes: Ints, whole_bits: int) -> Ints:
        """What arrays put on buses of runs with `sizes` elements: every piece its outputs, those of one piece whole."""
        made = self.made
        each = np.where(made.pieces_of_run == 1, whole_bits, self.channels.sum_bits) * sizes
        return self._by_place(self.stage[made.run], made.place, made.pieces * each[made.run])

    def _by_place(self, move: Ints, place: Ints, bits: Ints) -> Ints:
        return sum_by(move * self.places + place, bits, self.stages * self.places).reshape(self.stages, self.places)

    def _moves(self, load: Traffic, buses: Ints, down: Ints, up: Ints) -> tuple[Move | None, ...]:
        bits = np.concatenate([load.link_bits, buses, down[:, None], up[:, None]], axis=1)
        rows = zip(bits, load.hops_ps.tolist(), np.asarray(bits.any(axis=1)).tolist(), strict=True)
        return tuple(Move(self.channels, row, hops_ps) if moves else None for row, hops_ps, moves in rows)
