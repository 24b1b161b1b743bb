"""What column cutting works on: per stage, strips of columns that read one input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cimsolve.arrays import Ints
from cimsolve.packing.columns import ColumnPacking, pack_columns
from cimsolve.problem import Problem
from cimsolve.strategies.common import cut_sizes


@dataclass(frozen=True)
class StripKind:
    """`count` strips of equal shape in one stage: strip i is row part `row0 ... row0 + height - 1` of block i of
    every factor in `factors`, side by side; `edges` are the columns where those blocks begin, and the last ends.

    All of a strip reads the same input elements, so any run of its columns may fire together.
    """

    stage: int
    height: int
    row0: int
    count: int
    factors: tuple[int, ...]
    edges: tuple[int, ...]

    @property
    def cols(self) -> int:
        return self.edges[-1]


def cut_into_strips(problem: Problem, even: bool) -> list[list[StripKind]]:
    """Strips of every stage; blocks taller than the limit are cut along the rows, `even` or in full parts."""
    stages: list[list[StripKind]] = []
    factors = problem.workload.factors
    limit = min(problem.rows, problem.rows_limit)
    for stage, members in enumerate(problem.workload.factors_of_stage):
        alike: dict[tuple[int, int], list[int]] = {}
        for number in members:
            alike.setdefault((factors[number].input, factors[number].block_rows), []).append(number)
        kinds: list[StripKind] = []
        for (_, block_rows), numbers in alike.items():
            edges = np.cumsum([0, *(factors[number].block_cols for number in numbers)])
            row0 = 0
            for height in cut_sizes(block_rows, limit, even):
                blocks = factors[numbers[0]].blocks
                kinds.append(StripKind(stage, height, row0, blocks, tuple(numbers), tuple(int(edge) for edge in edges)))
                row0 += height
        stages.append(kinds)
    return stages


def pack_strips(problem: Problem, stages: list[list[StripKind]]) -> ColumnPacking:
    """The fewest array columns that hold all strips."""
    kinds = [kind for stage in stages for kind in stage]
    heights: Ints = np.array([kind.height for kind in kinds], dtype=np.int64)
    columns: Ints = np.array([kind.count * kind.cols for kind in kinds], dtype=np.int64)
    return pack_columns(heights, columns, problem.rows, problem.weights_per_row)


def ways_to_strips(problem: Problem) -> list[tuple[list[list[StripKind]], ColumnPacking]]:
    """Strips and their packing for each way of the forced row cuts, the one on fewest arrays first.

    Even parts are lower, so a converter needs fewer bits; full ones may leave rests that fill gaps.
    """
    ways = (True, False) if problem.must_cut_rows else (False,)
    found = [(stages, pack_strips(problem, stages)) for stages in (cut_into_strips(problem, way) for way in ways)]
    return sorted(found, key=lambda way: way[1].arrays)
