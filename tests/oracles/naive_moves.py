"""What moves between hub and cores, element by element, from the pieces and the places of their arrays.

docs/formulation.md, section "Moves", in plain loops over elements; nothing of the package is imported.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from oracles.naive_chip import Chip, Piece
from oracles.naive_dataflow import Dataflow
from oracles.naive_network import Move, Network

Element = tuple[int, int]
"""A factor, or the input of a stage as -1, and the number of an element of its vector."""


class Moves:
    """`down`, `up` and `over` by stage; sums at the hub and in cores that each stage leaves."""

    def __init__(self, chip: Chip, flow: Dataflow, pieces: Sequence[Piece], place: Sequence[int]) -> None:
        self.flow, self.network = flow, Network(chip)
        stages = range(len(flow.stages))
        self.readers: dict[Element, set[int]] = defaultdict(set)
        """The places that an element of a stage's input, or of an L factor's z as its R factor makes it, goes to."""
        self.makers: dict[Element, Counter[int]] = defaultdict(Counter)
        """The places that an output is made at, with the pieces that feed it there."""
        self.inputs: list[set[Element]] = [set() for _ in stages]
        for piece in pieces:
            self.count(piece, place[piece.array])
        self.down: list[Move | None] = [None for _ in stages]
        self.up: list[Move | None] = [None for _ in stages]
        self.over: list[Move | None] = [None for _ in stages]
        self.hub_sums, self.core_sums = [0 for _ in stages], [0 for _ in stages]
        for stage in stages:
            self.find(stage)

    def count(self, piece: Piece, place: int) -> None:
        factor = self.flow.factors[piece.factor]
        for row in range(piece.row0, piece.row0 + piece.rows):
            read: Element = (-1 - factor.stage, factor.begins + piece.block * factor.rows + row)
            if factor.shuffles is not None:
                # z's element j is row j div l of block j mod l.
                read = (factor.shuffles, row * factor.blocks + piece.block)
            self.readers[read].add(place)
            self.inputs[factor.stage].add(read)
        for column in range(piece.col0, piece.col0 + piece.cols):
            self.makers[piece.factor, piece.block * factor.cols + column][place] += 1

    def find(self, stage: int) -> None:
        own = {number for number, factor in enumerate(self.flow.factors) if factor.stage == stage}
        shuffled = {self.flow.factors[number].shuffles for number in own} - {None}
        if not shuffled:
            self.down[stage] = Move()
            for element in self.inputs[stage]:
                self.fetch(stage, element)
            halves = {each.shuffles for each in self.flow.factors}
            if not own & halves:
                self.give(stage, own)
            return
        (before,) = self.flow.stages[stage].reads
        self.shuffle(before, stage)
        # Outputs of dense matrices wait for those of the factored ones beside them.
        dense = {number for number, factor in enumerate(self.flow.factors) if factor.stage == before} - shuffled
        self.give(stage, own | dense)

    def fetch(self, stage: int, element: Element) -> None:
        """From the hub to all that read it."""
        move = self.down[stage] = self.down[stage] or Move()
        places = sorted(self.readers[element])
        self.network.send(move, None, places, self.network.input_bits)
        for place in places:
            move.bits["bus", place] += self.network.input_bits

    def give(self, stage: int, factors: set[int]) -> None:
        """Outputs of factors, to the hub."""
        move = self.up[stage] = Move()
        for element, places in self.makers.items():
            if element[0] not in factors:
                continue
            self.leave_arrays(move, places, self.network.out_bits)
            for place in places:
                self.network.send(move, place, [None], self.bits_of(places, self.network.out_bits))
            self.add(stage, places)

    def shuffle(self, before: int, stage: int) -> None:
        """z from the stage that makes it to the one that reads it: over, or by the hub where it has parts."""
        over = self.over[stage] = Move()
        bits = self.network.input_bits
        for element in self.inputs[stage]:
            places = self.makers[element]
            self.leave_arrays(over, places, bits)
            self.add(before, places)
            if len(places) == 1:
                (source,) = places
                self.network.send(over, source, sorted(self.readers[element]), bits)
                for place in self.readers[element]:
                    over.bits["bus", place] += bits
                continue
            rising = self.up[before] = self.up[before] or Move()
            for place in places:
                self.network.send(rising, place, [None], self.network.sum_bits)
            self.fetch(stage, element)

    def bits_of(self, places: Counter[int], whole: int) -> int:
        return whole if len(places) == 1 else self.network.sum_bits

    def leave_arrays(self, move: Move, places: Counter[int], whole: int) -> None:
        """Every array's output is on the bus of its core; that of one piece is whole."""
        for place, pieces in places.items():
            for _ in range(pieces):
                move.bits["bus", place] += whole if sum(places.values()) == 1 else self.network.sum_bits

    def add(self, stage: int, places: Counter[int]) -> None:
        self.hub_sums[stage] += len(places) - 1
        for pieces in places.values():
            self.core_sums[stage] += pieces - 1
