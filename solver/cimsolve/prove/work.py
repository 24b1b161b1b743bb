"""What must be converted and read, by stage: the raw material of the bounds on time and energy.

Every statement here holds for all legal mappings under the problem's cuts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from cimsolve.chip.wiring import busiest_of_run, fewest_conversions
from cimsolve.columns import Floats, Ints
from cimsolve.problem.problem import InputGroup, Problem, found_once_of_chip


def least_not_refused(refused: Callable[[int], bool], least: int, parts: int, most: float = math.inf) -> int:
    """A time from `least` on below which all are refused, to a part in so many; none is asked about after `most`."""
    fine = max(1, least // parts)
    low, further = least - 1, fine
    while low < most and refused(low + further):
        low, further = low + further, 2 * further
    while further > fine:
        further //= 2
        if refused(low + further):
            low += further
    return low + 1


def cells_per_merge(groups: tuple[InputGroup, ...]) -> int | None:
    """Fewest empty logical cells that one array needs before two inputs can share an activation, or None.

    Two pieces that fire together keep clean columns (S3) only if the cells in the rows of one and the columns of
    the other are empty, except on rows that both need with the same input. So different row ranges of one height
    leave two rectangles of at least that many rows empty; different heights on one vector their difference. Where
    blocks are cut along the rows, runs of columns may be cut at different rows, and ranges differ by a row only.
    Inputs of different experts never share one (S7). None: no two inputs, nothing to merge.
    """
    if any(group.parts > 1 for group in groups):
        return 1
    cells = [2 * group.height for group in groups if group.inputs_together > 1]
    for one, other in combinations(groups, 2):
        if bool(one.experts) != bool(other.experts):
            continue
        cells.append(abs(one.height - other.height) if one.vector == other.vector else one.height + other.height)
    return min(cells, default=None)


def merges_at_once(problem: Problem, stages: Iterable[tuple[InputGroup, ...]], arrays: int) -> int:
    """Most activations that are saved where inputs share one, if each of `arrays` fires once.

    Stages of the same weights may use the same empty cells.
    """
    needs = [need for groups in stages if (need := cells_per_merge(groups)) is not None]
    free = problem.workload.laps * (arrays * problem.rows * problem.weights_per_row - problem.weight_cells)
    return free // max(1, min(needs)) if needs and free >= 0 else 0


def activations_in_any_way(problem: Problem, groups: tuple[InputGroup, ...]) -> int:
    """Fewest activations of a stage, whatever fires together and however many cells are empty.

    Pieces that fire together feed different outputs, so they have columns of their own (S3), and all of them fit into
    an array. What is too wide to lie beside any other input fires with blocks of its own input alone.
    """
    row, shared, alone = problem.weights_per_row, 0, 0
    for group in groups:
        others = [other.block_cols for other in groups if other is not group or group.inputs_together > 1]
        whole = problem.cut == "none" and group.columns == group.blocks * group.block_cols and group.block_cols <= row
        if whole and all(group.block_cols + cols > row for cols in others):
            alone += group.inputs * -(-group.blocks * group.parts // (row // group.block_cols))
        else:
            shared += group.all_columns * (1 if problem.cut == "both" else group.parts)
    return alone + -(-shared // row)


@dataclass(frozen=True)
class ConverterFloor:
    """Least time and energy of a conversion that resolves n stacked rows or more; index n = 0 ... rows_limit."""

    time_ps: Ints
    energy_pj: Floats


@found_once_of_chip
def converter_floor(problem: Problem) -> ConverterFloor:
    """A converter may be faster at more bits in a table, so the floor looks at all heights from n up."""
    bits = problem.hardware.adc_bits_used(np.arange(1, problem.rows_limit + 1))
    time_ps = np.minimum.accumulate(problem.hardware.conversion_ps(bits)[::-1])[::-1]
    energy_pj = np.minimum.accumulate(problem.hardware.conversion_pj(bits)[::-1])[::-1]
    return ConverterFloor(np.concatenate([time_ps[:1], time_ps]), np.concatenate([energy_pj[:1], energy_pj]))


def group_part_ps(problem: Problem, floor: ConverterFloor, group: InputGroup) -> int:
    """Least conversion time of any piece of a group."""
    if problem.cut == "both":
        return int(floor.time_ps[1])
    # With the fewest parts none can be shorter than what the others leave at full height.
    return int(floor.time_ps[max(1, group.height - (group.parts - 1) * problem.rows_limit)])


def column_price(floor: Floats | Ints, height: int, parts: int, free_rows: bool) -> float:
    """Least sum of `floor` over the conversions that one column of `height` stacked rows needs.

    Uncut that is floor[height]. Cut along the rows (into `parts` pieces, or with `free_rows` into that many or
    more), a conversion that pays for n rows covers at most n of them: a linear program with two constraints,
    whose optimum mixes at most two levels.
    """
    if parts == 1 and not free_rows:
        return float(floor[height])
    # The largest n of each price: only these can be best.
    levels = np.flatnonzero(np.append(floor[2:] != floor[1:-1], True)) + 1
    priced = list(zip(levels.tolist(), floor[levels].astype(np.float64).tolist(), strict=True))
    costs = [max(height / n, float(parts)) * price for n, price in priced if free_rows or n * parts >= height]
    for (low, low_price), (high, high_price) in combinations(priced, 2):
        if low * parts <= height <= high * parts:
            share = (height - low * parts) / (high - low)
            costs.append((parts - share) * low_price + share * high_price)
    return min(costs, default=float(parts * floor[min(len(floor) - 1, height)]))


def least_activation_cycles(problem: Problem, columns: Ints, conversion_ps: int) -> Ints:
    """Least cycles of an activation that reads so many logical columns, elementwise, wherever they lie."""
    hardware = problem.hardware
    conversions = fewest_conversions(hardware, columns * hardware.columns_per_weight)
    conversions = np.maximum(conversions, least_conversions(problem))
    lines = hardware.array_kind.duration_lines
    return hardware.cycles(np.max([fixed + repeats * conversion_ps * conversions for fixed, repeats in lines], axis=0))


@found_once_of_chip
def least_conversions(problem: Problem) -> int:
    """Fewest conversions on the busiest converter when one weight is read, wherever it lies."""
    width = problem.hardware.columns_per_weight
    return int(busiest_of_run(problem.hardware, np.arange(problem.weights_per_row) * width, width).min())
