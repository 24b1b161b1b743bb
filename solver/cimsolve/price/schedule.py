"""When each activation runs: list scheduling of the stages in a given order, S4 to S6.

Within a stage an array fires its activations one after the other; their order does not matter. A stage starts when
all it reads has ended and the gap before it is over. Gaps use the digital units and the interconnect one at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cimsolve.columns import Ints, order_by, running_offsets
from cimsolve.price.firings import ActivationShapes, measure_activations
from cimsolve.price.gaps import find_gaps, partial_sum_elements
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Activations, Mapping, Pieces


@dataclass(frozen=True)
class Firings:
    """The activations of a mapping, whenever they run; shape (activations,), but `of_piece` (pieces,)."""

    of_piece: Ints
    shapes: ActivationShapes
    stage: Ints
    cycles: Ints


def find_firings(problem: Problem, mapping: Mapping) -> Firings:
    """What each activation of `mapping` drives and reads, the stage it serves, and how long it takes."""
    fires = mapping.activation_of_piece()
    count = int(fires.max()) + 1
    shapes = measure_activations(problem.hardware, mapping.pieces, fires, count)
    stage = np.zeros(count, dtype=np.int64)
    stage[fires] = problem.table.stage[mapping.pieces.factor]
    return Firings(fires, shapes, stage, problem.hardware.activation_cycles(shapes.stacked, shapes.conversions))


def schedule(problem: Problem, mapping: Mapping) -> tuple[Mapping, Activations]:
    """Earliest start of every activation of `mapping`, stages in its order: of what wants an array or the shared units
    the earlier goes first.

    Returns the mapping with its pieces sorted by activation, and the activations sorted by start and array, so
    that equal mappings give equal files.
    """
    pieces = _number_arrays(mapping.pieces)
    mapping = replace(mapping, pieces=pieces)
    firings = find_firings(problem, mapping)
    fires, shapes, cycles = firings.of_piece, firings.shapes, firings.cycles
    count = len(cycles)
    bits = problem.hardware.adc_bits_used(shapes.stacked)
    added = partial_sum_elements(problem, pieces)
    start = _start_cycles(problem, firings.stage, shapes.array, cycles, added, mapping.order)
    first_piece = np.full(count, len(pieces), dtype=np.int64)
    np.minimum.at(first_piece, fires, np.arange(len(pieces)))
    by_first_piece = fires[np.sort(first_piece)]
    order = by_first_piece[order_by(start[by_first_piece], shapes.array[by_first_piece])]
    rank = np.empty(count, dtype=np.int64)
    rank[order] = np.arange(count)
    by_activation = order_by(rank[fires])
    sizes = np.bincount(rank[fires], minlength=count)
    stops = np.cumsum(sizes)
    sorted_pieces = pieces.take(by_activation)
    activations = Activations(
        array=shapes.array[order],
        start=start[order],
        end=(start + cycles)[order],
        adc_bits=bits[order],
        pieces_from=stops - sizes,
        pieces_to=stops,
        piece=np.arange(len(pieces), dtype=np.int64),
    )
    return replace(mapping, pieces=sorted_pieces, fires=rank[fires][by_activation]), activations


def order_of_stages(problem: Problem, pieces: Pieces, activations: Activations) -> Ints | None:
    """The order in which the stages of a schedule start, or None where stages form a chain."""
    if problem.workload.is_chain:
        return None
    start = np.full(len(problem.workload.stages), np.iinfo(np.int64).max)
    np.minimum.at(start, problem.table.stage[pieces.factor], activations.start[activations.of_piece(len(pieces))])
    return np.argsort(start, kind="stable")


def _number_arrays(pieces: Pieces) -> Pieces:
    """The pieces with their arrays counted from 0, none left out."""
    used = np.zeros(int(pieces.array.max()) + 1, dtype=bool)
    used[pieces.array] = True
    return pieces if used.all() else replace(pieces, array=(np.cumsum(used) - 1)[pieces.array])


def _start_cycles(
    problem: Problem, stage: Ints, array: Ints, cycles: Ints, added: Ints, stage_order: Ints | None
) -> Ints:
    gap_cycles = find_gaps(problem, added).before_cycles
    order = order_by(stage, array)
    sorted_array = array[order].astype(np.int64)
    arrays = int(array.max()) + 1
    offset = running_offsets(stage[order] * arrays + sorted_array, cycles[order])
    bounds = np.searchsorted(stage[order], np.arange(len(problem.workload.stages) + 1))
    start = np.zeros(len(stage), dtype=np.int64)
    ended = np.zeros(len(problem.workload.stages), dtype=np.int64)
    array_free = np.zeros(arrays, dtype=np.int64)
    gap_free = 0
    stages = problem.workload.stages
    for node in stages if stage_order is None else [stages[number] for number in stage_order.tolist()]:
        ready = max((int(ended[before]) for before in node.after), default=0)
        if gap_cycles[node.id]:
            # One gap at a time holds the digital units and the interconnect (S6).
            gap_free = max(ready, gap_free) + int(gap_cycles[node.id])
            ready = gap_free
        part = slice(bounds[node.id], bounds[node.id + 1])
        users = sorted_array[part]
        begin = np.maximum(array_free[users], ready) + offset[part]
        finish = begin + cycles[order[part]]
        start[order[part]] = begin
        np.maximum.at(array_free, users, finish)
        ended[node.id] = finish.max()
    return start
