"""The formulation's rules cell by cell, by exhaustion: for a handful of weights, and with no solver.

Nothing is shared with the package beyond the question itself: rules, conversions, bits and times are written
anew from docs/formulation.md. Rules act on one array at a time, so all contents of one array are tried, and
what each needs of every stage's time is put together over the arrays.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping

Times = tuple[int, ...]
"""Busy cycles of an array by stage."""


@dataclass(frozen=True)
class Piece:
    factor: int
    block: int
    col0: int
    rows: int
    cols: int
    stage: int
    vector: int
    element: int
    """Element of `vector` that the first row takes."""
    expert: int = -1
    """The expert of its stage that it is of; -1: every token fires it."""

    @property
    def kind(self) -> tuple[int, ...]:
        """Pieces of one kind behave alike."""
        return (self.stage, self.vector, self.element, self.rows, self.cols, self.expert)


def best(problem: Problem, max_arrays: int) -> tuple[int, int] | None:
    """(fewest arrays, least latency on that many), or None where `max_arrays` do not hold the problem."""
    for arrays in range(1, max_arrays + 1):
        latency = least_latency(problem, arrays)
        if latency is not None:
            return arrays, latency
    return None


def measure(problem: Problem, mapping: Mapping) -> tuple[int, int]:
    """(arrays, latency) of a mapping without row cuts; fails where it breaks a rule."""
    spec = problem.hardware.to_json()
    factors = problem.workload.factors
    pieces: list[Piece] = []
    table = mapping.pieces
    for f, block, col0, cols in zip(table.factor, table.block, table.col0, table.cols, strict=True):
        height = factors[f].block_rows
        element = block * height
        pieces.append(Piece(f, block, col0, height, cols, factors[f].stage, factors[f].input, element))
    assert (table.row0 == 0).all()
    assert [piece.rows for piece in pieces] == list(table.rows)
    columns = sorted((p.factor, p.block, p.col0 + c) for p in pieces for c in range(p.cols))
    wanted = [(f.id, b, c) for f in factors for b in range(f.blocks) for c in range(f.block_cols)]
    assert columns == wanted, "P1: the pieces do not tile the blocks"
    busy = {(array, stage.id): 0 for array in set(table.array) for stage in problem.workload.stages}
    for array in set(table.array):
        members = [i for i in range(len(pieces)) if table.array[i] == array]
        places = [(int(table.array_row[i]), int(table.array_col[i])) for i in members]
        on_array = _Array(spec, [pieces[i] for i in members], places)
        assert len(on_array.cells) == sum(p.rows * p.cols for p in on_array.pieces) * on_array.width, "P3"
        assert all(0 <= r < spec["array"]["rows"] and 0 <= c < spec["array"]["cols"] for r, c in on_array.cells)
        for number in {mapping.fires[i] for i in members}:
            group = tuple(at for at, i in enumerate(members) if mapping.fires[i] == number)
            assert sum(mapping.fires == number) == len(group), "an activation on two arrays"
            (stage,) = {on_array.pieces[at].stage for at in group}
            cycles = on_array.cycles(group)
            assert cycles is not None, "S2, S3 or S6"
            busy[array, stage] += cycles
    times = [max(busy[array, stage.id] for array in set(table.array)) for stage in problem.workload.stages]
    return len(set(table.array)), sum(times) + constant_cycles(problem)


def least_latency(problem: Problem, max_arrays: int) -> int | None:
    """The least token latency on at most `max_arrays` arrays, in cycles, over all cuts that are allowed."""
    spec = problem.hardware.to_json()
    stages = [0 if stage.experts is None else stage.experts.chosen for stage in problem.workload.stages]
    totals: list[int] = []
    kinds_tried: set[tuple[tuple[int, ...], ...]] = set()
    for pieces in all_cuts(problem):
        kinds = tuple(sorted(piece.kind for piece in pieces))
        if kinds not in kinds_tried:
            kinds_tried.add(kinds)
            totals += (sum(times) for times in _over_arrays(spec, pieces, max_arrays, stages))
    return min(totals) + constant_cycles(problem) if totals else None


def all_cuts(problem: Problem) -> Iterator[list[Piece]]:
    """Every way to cut the blocks that the problem allows."""
    whole = [(factor, block) for factor in problem.workload.factors for block in range(factor.blocks)]
    ways = []
    for factor, _ in whole:
        ways.append(list(_compositions(factor.block_cols)) if problem.cut == "columns" else [[factor.block_cols]])
    for widths_of_block in product(*ways):
        pieces = []
        for (factor, block), widths in zip(whole, widths_of_block, strict=True):
            for number, width in enumerate(widths):
                element = block * factor.block_rows
                col0 = sum(widths[:number])
                expert = -1 if factor.expert is None else factor.expert
                pieces.append(
                    Piece(factor.id, block, col0, factor.block_rows, width, factor.stage, factor.input, element, expert)
                )
        yield pieces


def _compositions(total: int) -> Iterator[list[int]]:
    if total == 0:
        yield []
    for first in range(1, total + 1):
        for rest in _compositions(total - first):
            yield [first, *rest]


def _over_arrays(spec: dict[str, Any], pieces: list[Piece], max_arrays: int, stages: list[int]) -> set[Times]:
    """Stage times of all mappings of `pieces`: the pieces dealt over the arrays in every way.

    `stages`: how many of its experts a token fires in each.
    """

    @cache
    def of_array(kinds: tuple[tuple[int, ...], ...], indices: tuple[int, ...]) -> frozenset[Times]:
        return frozenset(_times_of_array(spec, [pieces[i] for i in indices], stages))

    by_kinds: dict[tuple[tuple[int, ...], ...], frozenset[Times]] = {}

    def times(indices: tuple[int, ...]) -> frozenset[Times]:
        kinds = tuple(sorted(pieces[i].kind for i in indices))
        if kinds not in by_kinds:
            by_kinds[kinds] = of_array(kinds, indices)
        return by_kinds[kinds]

    found: set[Times] = set()
    for groups in partitions(tuple(range(len(pieces)))):
        if len(groups) > max_arrays:
            continue
        partial: set[Times] = {(0,) * len(stages)}
        for group in groups:
            partial = {tuple(map(max, a, b)) for a in partial for b in times(group)}
        found |= partial
    return found


def partitions(indices: tuple[int, ...]) -> Iterator[list[tuple[int, ...]]]:
    """All ways to deal `indices` into groups."""
    if not indices:
        yield []
        return
    head, rest = indices[0], indices[1:]
    for mask in range(2 ** len(rest)):
        others = tuple(i for bit, i in enumerate(rest) if mask >> bit & 1)
        left = tuple(i for bit, i in enumerate(rest) if not mask >> bit & 1)
        for tail in partitions(left):
            yield [(head, *others), *tail]


def _times_of_array(spec: dict[str, Any], pieces: list[Piece], stages: list[int]) -> set[Times]:
    """Stage times of all placements of `pieces` on one array, fired in every way; the undominated."""
    found: set[Times] = set()
    for places in _placements(spec, pieces):
        array = _Array(spec, pieces, places)
        found.add(tuple(array.worst_cycles(stage, chosen) for stage, chosen in enumerate(stages)))
    return {
        times
        for times in found
        if not any(other != times and all(a <= b for a, b in zip(other, times, strict=True)) for other in found)
    }


def _placements(spec: dict[str, Any], pieces: list[Piece]) -> Iterator[list[tuple[int, int]]]:
    """All (row, weight column) places inside one array, apart (P2, P3); one order of each kind."""
    rows, width = spec["array"]["rows"], columns_per_weight(spec)
    cols = spec["array"]["cols"] // width

    def place(number: int, taken: frozenset[tuple[int, int]], places: list[tuple[int, int]]) -> Iterator[Any]:
        if number == len(pieces):
            yield list(places)
            return
        piece = pieces[number]
        earlier = [places[i] for i in range(number) if pieces[i].kind == piece.kind]
        for spot in product(range(rows - piece.rows + 1), range(cols - piece.cols + 1)):
            if earlier and spot < max(earlier):
                continue
            cells = {(spot[0] + r, spot[1] + c) for r in range(piece.rows) for c in range(piece.cols)}
            if not cells & taken:
                yield from place(number + 1, taken | cells, [*places, spot])

    return place(0, frozenset(), [])


class _Array:
    """One array with pieces in place: which groups may fire, and how long they take."""

    def __init__(self, spec: dict[str, Any], pieces: list[Piece], places: list[tuple[int, int]]) -> None:
        self.spec, self.pieces, self.places = spec, pieces, places
        self.width = columns_per_weight(spec)
        self.cells: dict[tuple[int, int], int] = {}
        for number, (piece, (row, col)) in enumerate(zip(pieces, places, strict=True)):
            for r in range(piece.rows):
                for c in range(piece.cols * self.width):
                    self.cells[row + r, col * self.width + c] = number

    def worst_cycles(self, stage: int, chosen: int) -> int:
        """Least time of what always fires in a stage, and of the `chosen` experts that take longest."""
        experts = {piece.expert for piece in self.pieces if piece.stage == stage and piece.expert >= 0}
        longest = sorted((self.least_cycles(stage, expert) for expert in experts), reverse=True)
        return self.least_cycles(stage, -1) + sum(longest[:chosen])

    def least_cycles(self, stage: int, expert: int) -> int:
        """Least time in which the pieces of one expert fire once, one activation after the other (S1, S4, S7)."""
        members = tuple(i for i, piece in enumerate(self.pieces) if (piece.stage, piece.expert) == (stage, expert))
        cycles = {}
        for mask in range(1, 2 ** len(members)):
            group = tuple(i for bit, i in enumerate(members) if mask >> bit & 1)
            cycles[group] = self.cycles(group)
        sums = [
            sum(cycles[group] for group in groups)
            for groups in partitions(members)
            if all(cycles[group] is not None for group in groups)
        ]
        return min(sums)

    def cycles(self, group: tuple[int, ...]) -> int | None:
        """Duration of the activation that fires `group`, or None where it is not legal (S2, S3, S6)."""
        driven: dict[int, tuple[int, int]] = {}
        read: dict[int, tuple[int, int, int]] = {}
        for i in group:
            piece, (row, col) = self.pieces[i], self.places[i]
            for r in range(piece.rows):
                wanted = (piece.vector, piece.element + r)
                if driven.setdefault(row + r, wanted) != wanted:
                    return None
            for c in range(piece.cols * self.width):
                output = (piece.factor, piece.block, piece.col0 + c // self.width)
                if read.setdefault(col * self.width + c, output) != output:
                    return None
        limit = self.spec["array"]["rows_active_max"]
        if limit is not None and len(driven) > limit:
            return None
        stacked = 0
        for c, output in read.items():
            occupied = 0
            for r in driven:
                i = self.cells.get((r, c))
                if i is None:
                    continue
                piece = self.pieces[i]
                feeds = (piece.factor, piece.block, piece.col0 + (c // self.width - self.places[i][1]))
                if i not in group or feeds != output:
                    return None
                occupied += 1
            stacked = max(stacked, occupied)
        return activation_cycles(self.spec, stacked, conversions(self.spec, sorted(read)))


def columns_per_weight(spec: dict[str, Any]) -> int:
    slices = math.ceil(spec["weight"]["bits"] / spec["cell"]["bits"])
    return slices * (2 if spec["weight"]["signed"] == "differential" else 1)


def conversions(spec: dict[str, Any], columns: list[int]) -> int:
    """Columns on the busiest converter."""
    converters = spec["adc"]["per_array"]
    if spec["adc"]["wiring"] == "any":
        return math.ceil(len(columns) / converters)
    share = math.ceil(spec["array"]["cols"] / converters)
    count = [0] * converters
    for column in columns:
        count[column % converters if spec["adc"]["wiring"] == "interleaved" else column // share] += 1
    return max(count)


def activation_cycles(spec: dict[str, Any], stacked: int, reads: int) -> int:
    """Cycles of an activation of `stacked` occupied rows; the tests' specs give whole ns."""
    dac, cell = 2 ** spec["input"]["dac_bits"] - 1, 2 ** spec["cell"]["bits"] - 1
    if spec["adc"]["bits_rule"] == "lossless":
        bits = math.ceil(math.log2(stacked * dac * cell + 1))
    else:
        bits = max(1, math.ceil(math.log2(stacked)))
    bits = min(bits, spec["adc"]["bits_max"])
    convert = reads * next(entry["ns"] for entry in spec["adc"]["table"] if entry["bits"] >= bits)
    phases, read = math.ceil(spec["input"]["bits"] / spec["input"]["dac_bits"]), spec["read_ns"]
    if spec["adc"]["sample_hold"]:
        ns = read + (phases - 1) * max(read, convert) + convert
    else:
        ns = phases * (read + convert)
    return math.ceil(ns / spec["clock_ns"])


def constant_cycles(problem: Problem) -> int:
    """Transfers between stages and out of the chip; the tests' models ask for no digital operation."""
    spec = problem.hardware.to_json()
    total = 0
    elements = [stage.transfer_elements for stage in problem.workload.stages if stage.after]
    elements += [tail.transfer_elements for tail in problem.workload.tails.values()]
    for count in elements:
        bits = count * spec["input"]["bits"]
        total += math.ceil((spec["transfer"]["base_ns"] + bits / spec["transfer"]["bits_per_ns"]) / spec["clock_ns"])
    return total
