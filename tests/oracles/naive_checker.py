"""The rules once more, cell by cell and cycle by cycle, in plain Python: slow, and too simple to be wrong together
with the checker.

`broken_rules` names the rules that a solution breaks, `shape_of` the figures of one activation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations

from cimsolve.judge.check import rebuild_problem
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Solution
from oracles.naive_chip import Chip, Piece
from oracles.naive_dataflow import Dataflow
from oracles.naive_gaps import Gaps
from oracles.naive_moves import Moves


@dataclass(frozen=True)
class Firing:
    array: int
    start: int
    end: int
    adc_bits: int
    pieces: list[int]


@dataclass(frozen=True)
class Shape:
    rows: int
    columns: int
    cells: int
    n: int
    v: int
    bits_needed: int
    bits: int
    cycles: int


class Naive:
    def __init__(self, solution: Solution) -> None:
        self.problem: Problem = rebuild_problem(solution)
        self.chip = Chip(solution.header.hw)
        self.factors = self.problem.workload.factors
        self.stages = self.problem.workload.stages
        self.pieces = [Piece(*row) for row in rows_of(solution.pieces, Piece)]
        table = solution.activations
        self.firings = [
            Firing(
                int(table.array[i]),
                int(table.start[i]),
                int(table.end[i]),
                int(table.adc_bits[i]),
                [int(p) for p in table.piece[table.pieces_from[i] : table.pieces_to[i]]],
            )
            for i in range(len(table))
        ]
        self.place = None if solution.sites is None else solution.sites.place.tolist()
        self.cell: dict[tuple[int, int, int], set[int]] = defaultdict(set)
        """The pieces in each cell; those of weights that fire again are the pieces whose cells they are."""
        stored = {self.cells_of(piece): number for number, piece in enumerate(self.pieces) if self.is_stored(piece)}
        self.stored = [stored.get(self.cells_of(piece)) for piece in self.pieces]
        for number, piece in enumerate(self.pieces):
            for row in self.rows_of(piece):
                for column in self.columns_of(piece):
                    if (held := self.stored[number]) is not None:
                        self.cell[piece.array, row, column].add(held)

    def is_stored(self, piece: Piece) -> bool:
        return self.factors[piece.factor].repeats is None

    def cells_of(self, piece: Piece) -> tuple[int, ...]:
        """What a piece is of what is stored, and where."""
        repeats = self.factors[piece.factor].repeats
        return (piece.factor if repeats is None else repeats, *list(vars(piece).values())[1:])

    def rows_of(self, piece: Piece) -> range:
        return range(piece.array_row, piece.array_row + piece.rows)

    def columns_of(self, piece: Piece) -> range:
        width = self.chip.width
        return range(piece.array_col * width, (piece.array_col + piece.cols) * width)

    def shape(self, firing: Firing) -> Shape:
        pieces = [self.pieces[number] for number in firing.pieces]
        rows = {row for piece in pieces for row in self.rows_of(piece)}
        columns = {column for piece in pieces for column in self.columns_of(piece)}
        stack: dict[int, int] = defaultdict(int)
        for piece in pieces:
            for column in self.columns_of(piece):
                stack[column] += piece.rows
        n, v = max(stack.values()), self.chip.busiest(columns)
        needed = self.chip.bits_needed(n)
        bits = min(needed, self.chip.data["adc"]["bits_max"])
        cycles = self.chip.duration(bits, v)
        return Shape(len(rows), len(columns), sum(stack.values()), n, v, needed, bits, cycles)

    def broken(self) -> Iterator[str]:
        misplaced = set(self.placement())
        if self.place is not None and misplaced & {"P1", "sites"}:
            yield from misplaced & {"P1", "sites"}  # what moves is not defined
            return
        yield from misplaced
        for firing in self.firings:
            yield from self.together(firing)
        yield from self.time()

    def placement(self) -> Iterator[str]:
        times: dict[tuple[int, int, int, int], int] = defaultdict(int)
        crossing: dict[tuple[int, int, str, int], int] = defaultdict(int)
        for piece in self.pieces:
            factor = self.factors[piece.factor]
            for row in range(piece.row0, piece.row0 + piece.rows):
                crossing[piece.factor, piece.block, "row", row] += 1
                for column in range(piece.col0, piece.col0 + piece.cols):
                    times[piece.factor, piece.block, row, column] += 1
            for column in range(piece.col0, piece.col0 + piece.cols):
                crossing[piece.factor, piece.block, "column", column] += 1
            if piece.row0 + piece.rows > factor.block_rows or piece.col0 + piece.cols > factor.block_cols:
                yield "P1"
            if piece.array_row + piece.rows > self.chip.rows:
                yield "P2"
            if (piece.array_col + piece.cols) * self.chip.width > self.chip.cols:
                yield "P2"
        limit, per_row = self.chip.most_rows(), self.chip.cols // self.chip.width
        for factor in self.factors:
            fewest_rows = (factor.block_rows + limit - 1) // limit
            fewest_cols = (factor.block_cols + per_row - 1) // per_row
            for block in range(factor.blocks):
                for row in range(factor.block_rows):
                    if any(times[factor.id, block, row, c] != 1 for c in range(factor.block_cols)):
                        yield "P1"
                    if self.problem.cut == "none" and crossing[factor.id, block, "row", row] > fewest_cols:
                        yield "cut"
                for column in range(factor.block_cols):
                    if self.problem.cut != "both" and crossing[factor.id, block, "column", column] > fewest_rows:
                        yield "cut"
        if any(len(numbers) > 1 for numbers in self.cell.values()):
            yield "P3"
        if any(held is None for held in self.stored):
            yield "P5"
        if self.place is not None:
            if any(piece.array >= len(self.place) for piece in self.pieces):
                yield "sites"
            if any(self.place.count(place) > self.chip.data["core"]["arrays"] for place in self.place):
                yield "P4"

    def together(self, firing: Firing) -> Iterator[str]:
        pieces = [self.pieces[number] for number in firing.pieces]
        if any(piece.array != firing.array for piece in pieces):
            yield "array"
        if len({self.factors[piece.factor].stage for piece in pieces}) > 1:
            yield "stage"
        if len({self.factors[piece.factor].expert for piece in pieces}) > 1:
            yield "S7"
        needs: dict[int, set[tuple[int, int]]] = defaultdict(set)
        feeds: dict[int, set[tuple[int, int, int, int]]] = defaultdict(set)
        for piece in pieces:
            factor = self.factors[piece.factor]
            for at, row in enumerate(self.rows_of(piece)):
                needs[row].add((factor.input, piece.block * factor.block_rows + piece.row0 + at))
            for at, column in enumerate(self.columns_of(piece)):
                weight, part = divmod(at, self.chip.width)
                feeds[column].add((piece.factor, piece.block, piece.col0 + weight, part))
        if any(len(elements) > 1 for elements in needs.values()):
            yield "S2"
        if any(len(elements) > 1 for elements in feeds.values()):
            yield "S3 outputs"
        fired = {self.stored[number] for number in firing.pieces}
        for row in needs:
            for column in feeds:
                if self.cell.get((firing.array, row, column), set()) - fired:
                    yield "S3 columns"
        shape = self.shape(firing)
        if firing.end - firing.start != shape.cycles:
            yield "durations"
        if firing.adc_bits != shape.bits:
            yield "adc_bits"
        if shape.bits_needed > shape.bits and not self.chip.data["adc"]["lossy_allowed"]:
            yield "S6 converters"
        limit = self.chip.data["array"].get("rows_active_max")
        if limit is not None and shape.rows > limit:
            yield "S6 rows"

    def time(self) -> Iterator[str]:
        busy: set[tuple[int, int]] = set()
        for array, begin, end in self.things():
            for cycle in range(begin, end):
                if (array, cycle) in busy:
                    yield "S4"
                busy.add((array, cycle))
        yield from self.experts()
        used = {piece.array for piece in self.pieces}
        count, allowed = self.chip.data["array"].get("count"), self.problem.terms.max_arrays
        if count is not None and (len(used) > count or max(used) >= count):
            yield "S6 arrays"
        if allowed is not None and len(used) > allowed:
            yield "S6 arrays"
        start: dict[int, int] = {}
        end: dict[int, int] = {}
        for firing in self.firings:
            for number in firing.pieces:
                stage = self.factors[self.pieces[number].factor].stage
                start[stage] = min(start.get(stage, firing.start), firing.start)
                end[stage] = max(end.get(stage, 0), firing.end)
        if any(stage.id not in start for stage in self.stages):
            return  # P1 has told
        gap = self.gaps()
        for stage in self.stages:
            if any(start[stage.id] < end[before] + gap[stage.id] for before in stage.after):
                yield "S5"
        waiting = [stage.id for stage in self.stages if gap[stage.id]]
        orders = [waiting, sorted(waiting, key=lambda number: start[number])]
        if not any(self.gaps_fit(order, gap, start, end) for order in orders):
            yield "S6 shared units"

    def things(self) -> Iterator[tuple[int, int, int]]:
        """Array, start and end of what happens on it: an activation, or all that experts of a stage do."""
        of_stage: dict[tuple[int, int], list[Firing]] = defaultdict(list)
        for firing in self.firings:
            factor = self.factors[self.pieces[firing.pieces[0]].factor]
            if factor.expert is None:
                yield firing.array, firing.start, firing.end
            else:
                of_stage[firing.array, factor.stage].append(firing)
        for (array, _), firings in of_stage.items():
            yield array, min(each.start for each in firings), max(each.end for each in firings)

    def experts(self) -> Iterator[str]:
        """S4 within what experts of a stage do on an array."""
        of_expert: dict[tuple[int, int], dict[int, list[Firing]]] = defaultdict(lambda: defaultdict(list))
        for firing in self.firings:
            factor = self.factors[self.pieces[firing.pieces[0]].factor]
            if factor.expert is not None:
                of_expert[firing.array, factor.stage][factor.expert].append(firing)
        for (_, stage), experts in of_expert.items():
            whole = [firing for firings in experts.values() for firing in firings]
            lasts = max(each.end for each in whole) - min(each.start for each in whole)
            chosen = self.stages[stage].experts.chosen
            for choice in combinations(experts, min(chosen, len(experts))):
                if sum(each.end - each.start for expert in choice for each in experts[expert]) > lasts:
                    yield "S4"
            for firings in experts.values():
                cycles = [cycle for each in firings for cycle in range(each.start, each.end)]
                if len(cycles) > len(set(cycles)):
                    yield "S4"

    def gaps_fit(self, order: list[int], gap: dict[int, int], start: dict[int, int], end: dict[int, int]) -> bool:
        taken: set[int] = set()
        begin = cycle = min(start[stage.id] - gap[stage.id] for stage in self.stages if not stage.after)
        for number in order:
            ready = max((end[before] for before in self.stages[number].after), default=begin)
            cycle = max(cycle, ready)
            for _ in range(gap[number]):
                taken.add(cycle)
                cycle += 1
            if cycle > max(start[number], ready + gap[number]):
                return False
        return len(taken) == sum(gap[number] for number in order)

    def gaps(self) -> dict[int, int]:
        """Cycles of the gap before each stage."""
        if self.place is None:
            return {stage.id: self.gap_before(stage.id) for stage in self.stages}
        structure = {name: str(how) for name, how in self.problem.structures.items()}
        flow = Dataflow(self.problem.model, structure)
        moves = Moves(self.chip, flow, self.pieces, self.place)
        found = Gaps(self.chip, flow, moves.hub_sums, moves)
        return {number: gap.cycles for number, gap in enumerate(found.before)}

    def gap_before(self, number: int) -> int:
        stage = self.stages[number]
        if not stage.after:
            return 0
        added = 0
        for before in stage.after:
            fed: dict[tuple[int, int, int], int] = defaultdict(int)
            for piece in self.pieces:
                if self.factors[piece.factor].stage == before:
                    for column in range(piece.col0, piece.col0 + piece.cols):
                        fed[piece.factor, piece.block, column] += 1
            of_choices = []
            for choice in self.choices(before):
                fired = [of for of in fed if self.factors[of[0]].expert is None or self.factors[of[0]].expert in choice]
                of_choices.append(sum(fed[of] - 1 for of in fired))
            added += max(of_choices)
        cycles = self.chip.operation_cycles("add", added) if added else 0
        cycles += sum(self.chip.operation_cycles(each.name, each.elements) for each in stage.operations)
        return cycles + self.chip.transfer_cycles(stage.transfer_elements)

    def choices(self, stage: int) -> Iterable[tuple[int, ...]]:
        experts = self.stages[stage].experts
        return [()] if experts is None else combinations(range(experts.stored), experts.chosen)


def rows_of(table: object, kind: type) -> list[tuple[int, ...]]:
    columns = [getattr(table, name).tolist() for name in kind.__dataclass_fields__]
    return list(zip(*columns, strict=True))


def broken_rules(solution: Solution) -> set[str]:
    """Names of the rules of mappings that are broken; the tables must be well formed. One pass only."""
    return set(Naive(solution).broken())


def shapes_of(solution: Solution) -> list[Shape]:
    naive = Naive(solution)
    return [naive.shape(firing) for firing in naive.firings]
