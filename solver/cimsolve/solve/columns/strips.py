"""What column cutting works on: per stage, strips of columns that read one input."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from cimsolve.columns import Ints, ceil_div
from cimsolve.pack.columns import ColumnPacking, pack_columns
from cimsolve.pack.cutting_stock import Cut, cuts_that_fill
from cimsolve.problem.problem import Problem
from cimsolve.prove.arrays import least_arrays
from cimsolve.solve.parts import cut_sizes

KINDS_MAX = 64
"""With more inputs in a stage, those of equal shape are one kind."""


@dataclass(frozen=True)
class StripKind:
    """`count` strips of equal shape in one stage, each of equal parts of blocks side by side.

    Strips are counted through the members of `factors`, equal experts or many equal inputs, or one alone; each is of
    factors with `blocks` blocks. Strip i is row part `row0 ... row0 + height - 1` of the block that is number
    `block0 + i` of all, in every factor of its member; `edges` are the columns where those blocks begin, and where the
    last ends. All of a strip reads the same input elements, so any run of its columns may fire together.
    """

    stage: int
    height: int
    row0: int
    count: int
    factors: tuple[tuple[int, ...], ...]
    blocks: int
    edges: tuple[int, ...]
    block0: int = 0
    batch: int = -1
    """Number of what is dealt within one time, of which it is part."""

    @property
    def cols(self) -> int:
        """Logical columns of a strip."""
        return self.edges[-1]

    def blocks_of(self, strip: Ints) -> tuple[Ints, Ints]:
        """The factors that each strip is of, and the block that it is of each; shapes (members, strips), (strips,)."""
        member, block = np.divmod(self.block0 + strip, self.blocks)
        return np.array(self.factors, dtype=np.int64).T[:, member], block


def cut_into_strips(problem: Problem, even: bool) -> list[list[StripKind]]:
    """Strips of every stage; blocks taller than the limit are cut along the rows, `even` or in full parts."""
    stages: list[list[StripKind]] = []
    factors = problem.workload.factors
    limit = min(problem.rows, problem.rows_limit)
    for stage, members in enumerate(problem.workload.factors_of_stage):
        # Strips of an expert are its own, whatever others read the same.
        alike: dict[tuple[int, int | None, int], list[int]] = {}
        for number in members:
            factor = factors[number]
            alike.setdefault((factor.input, factor.expert, factor.block_rows), []).append(number)
        of_shape: dict[tuple[int, int, int, tuple[int, ...]], list[tuple[int, ...]]] = {}
        for (_, expert, block_rows), numbers in alike.items():
            edges = tuple(np.cumsum([0, *(factors[number].block_cols for number in numbers)]).tolist())
            # Dealing takes kind by kind what always fires, unless that is as many as the heads of an attention.
            apart = -1 if expert is not None else -2 if len(alike) > KINDS_MAX else numbers[0]
            of_shape.setdefault((apart, factors[numbers[0]].blocks, block_rows, edges), []).append(tuple(numbers))
        kinds: list[StripKind] = []
        for (_, blocks, block_rows, edges), groups in of_shape.items():
            whole = StripKind(stage, block_rows, 0, blocks * len(groups), tuple(groups), blocks, edges)
            kinds += _cut_to(whole, limit, even)
        stages.append(kinds)
    return stages


def pack_strips(problem: Problem, stages: list[list[StripKind]]) -> ColumnPacking:
    """The fewest array columns that hold all strips."""
    kinds = [kind for stage in stages for kind in stage]
    heights: Ints = np.array([kind.height for kind in kinds], dtype=np.int64)
    columns: Ints = np.array([kind.count * kind.cols for kind in kinds], dtype=np.int64)
    return pack_columns(heights, columns, problem.rows, problem.weights_per_row)


def cut_to_fill(problem: Problem, stages: list[list[StripKind]]) -> list[list[StripKind]]:
    """The strips with as many cut in two along the rows as it takes to fill the array columns, in few stages.

    Partial sums cost a stage time as such, then for each of them, so the stages with most strips bear them.
    """
    kinds = [kind for stage in stages for kind in stage]
    columns: Counter[int] = Counter()
    for kind in kinds:
        columns[kind.height] += kind.count * kind.cols
    cuts: dict[int, list[Cut]] = {}
    for cut in cuts_that_fill(list(columns), list(columns.values()), problem.rows):
        cuts.setdefault(cut.size, []).append(cut)
    done: dict[StripKind, list[StripKind]] = {}
    for kind in sorted(kinds, key=lambda kind: -kind.count * kind.cols):
        done[kind] = _cut_in_two(kind, cuts.get(kind.height, []))
    return [[part for kind in stage for part in done[kind]] for stage in stages]


def _cut_in_two(kind: StripKind, cuts: list[Cut]) -> list[StripKind]:
    """The kind with strips cut by the first of `cuts`, whose columns that uses up, then by the next."""
    parts: list[StripKind] = []
    while cuts and kind.count:
        cut = cuts.pop()
        strips = min(kind.count, -(-cut.items // kind.cols))
        left = cut.items - strips * kind.cols
        if left > 0:
            cuts.append(cut._replace(items=left))
        lower = kind.height - cut.part
        parts.append(replace(kind, height=cut.part, count=strips))
        parts.append(replace(kind, height=lower, row0=kind.row0 + cut.part, count=strips))
        kind = replace(kind, count=kind.count - strips, block0=kind.block0 + strips)
    return [*parts, kind] if kind.count else parts


def cut_lower(problem: Problem, stages: list[list[StripKind]]) -> list[list[StripKind]]:
    """The strips of each stage as high as makes one conversion and the partial sums take least time.

    Lower strips need fewer bits. On arrays in plenty a piece is converted at once, so one conversion counts.
    """
    return [_lower(problem, kinds) for kinds in stages]


def _lower(problem: Problem, kinds: list[StripKind]) -> list[StripKind]:
    highest = max(kind.height for kind in kinds)
    limits = [ceil_div(highest, 2**halvings) for halvings in range(1, highest.bit_length())]
    ways = [kinds, *([part for kind in kinds for part in _cut_to(kind, limit, even=True)] for limit in limits)]
    return min(ways, key=partial(_one_conversion_cycles, problem))


def _one_conversion_cycles(problem: Problem, kinds: list[StripKind]) -> int:
    """Cycles of one conversion of the slowest kind, and of adding up the partial sums of all."""
    hardware = problem.hardware
    one = np.ones(1, dtype=np.int64)
    fires = max(int(hardware.activation_cycles(kind.height, one)[0]) for kind in kinds)
    added = sum(kind.count * kind.cols for kind in kinds if kind.row0)
    return fires + (int(hardware.cycles(hardware.digital_ps("add", added))) if added else 0)


def _cut_to(kind: StripKind, limit: int, even: bool) -> list[StripKind]:
    sizes = cut_sizes(kind.height, limit, even)
    return [replace(kind, height=size, row0=kind.row0 + sum(sizes[:number])) for number, size in enumerate(sizes)]


def ways_to_strips(problem: Problem) -> list[tuple[list[list[StripKind]], ColumnPacking]]:
    """Strips and their packing for each way of the row cuts, the one on fewest arrays first.

    Of forced cuts, even parts are lower, so a converter needs fewer bits; full ones may leave rests that fill gaps.
    Where rows may be cut freely, the best way is also tried with cuts that fill the gaps, if that saves arrays, and
    with strips so low that fewer converter bits outweigh more partial sums, if any do.
    """
    ways = [cut_into_strips(problem, even) for even in ((True, False) if problem.must_cut_rows else (False,))]
    found = [(stages, pack_strips(problem, stages)) for stages in (ways[:1] if ways[0] == ways[-1] else ways)]
    stages, packing = min(found, key=lambda way: way[1].arrays)
    if problem.cut == "both":
        lower = cut_lower(problem, stages)
        found += [(lower, pack_strips(problem, lower))] if lower != stages else []
        if packing.arrays > least_arrays(problem, packing.arrays)[0]:
            filled = cut_to_fill(problem, stages)
            repacked = pack_strips(problem, filled)
            found += [(filled, repacked)] if repacked.arrays < packing.arrays else []
    return sorted(found, key=lambda way: way[1].arrays)


def question_of_strips(problem: Problem, stages: list[list[StripKind]]) -> Problem:
    """The question with no freer cuts than were used for these strips, so that its bounds on their times are higher.

    Dealing begins at those bounds; far below what is possible it comes to its answers in larger steps.
    """
    if problem.cut == "both" and stages in (cut_into_strips(problem, even) for even in (False, True)):
        return problem.asking(cut="columns")
    return problem
