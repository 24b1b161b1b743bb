"""When each activation runs: list scheduling of the stages in a given order, S4 to S6.

Within a stage an array fires its activations one after the other; their order does not matter. Of experts as many have
a time of their own as a token fires, those that take longest: all others may share theirs. A stage starts when
all it reads has ended and the gap before it is over. Gaps use the digital units and the interconnect one at a time.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cimsolve.columns import Ints, order_by, ranked
from cimsolve.price.experts import offsets_at_most
from cimsolve.price.firings import Fired
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Activations, Mapping, Pieces


def schedule(problem: Problem, mapping: Mapping) -> tuple[Fired, Activations]:
    """The activations of `mapping` and when each runs: as early as can be, stages served in the mapping's order.

    Of what wants an array or the shared units the earlier stage goes first. Returns the mapping with its pieces sorted
    by activation, and the activations sorted by start and array, so that equal mappings give equal files.
    """
    pieces = number_arrays(mapping.pieces)
    place = None if mapping.place is None else mapping.place[np.unique(mapping.pieces.array)]
    fired = Fired.of(problem, pieces, mapping.activation_of_piece(), place)
    start = _start_cycles(fired, mapping.order)
    first_piece = np.empty(len(fired), dtype=np.int64)
    first_piece[fired.of_piece[::-1]] = np.arange(len(pieces))[::-1]  # the last that is written stays
    by_first_piece = fired.of_piece[np.sort(first_piece)]
    order = by_first_piece[order_by(start[by_first_piece], fired.array[by_first_piece])]
    fired, start = fired.in_order(order), start[order]
    sizes = np.bincount(fired.of_piece)
    stops = np.cumsum(sizes)
    activations = Activations(
        array=fired.array,
        start=start,
        end=start + fired.cycles,
        adc_bits=problem.hardware.adc_bits_used(fired.stacked),
        pieces_from=stops - sizes,
        pieces_to=stops,
        piece=np.arange(len(pieces), dtype=np.int64),
    )
    return fired, activations


def order_of_stages(problem: Problem, pieces: Pieces, activations: Activations) -> Ints | None:
    """The order in which the stages of a schedule start, or None where stages form a chain."""
    if problem.workload.is_chain:
        return None
    start = np.full(len(problem.workload.stages), np.iinfo(np.int64).max)
    np.minimum.at(start, problem.table.stage[pieces.factor], activations.start[activations.of_piece(len(pieces))])
    return np.argsort(start, kind="stable")


def number_arrays(pieces: Pieces) -> Pieces:
    """The pieces with their arrays counted from 0, none left out."""
    used, number = ranked(pieces.array)
    return pieces if int(used[-1]) < len(used) else replace(pieces, array=number)


def _start_cycles(fired: Fired, stage_order: Ints | None) -> Ints:
    stages, gap_cycles = fired.problem.workload.stages, fired.gaps.before_cycles
    order = order_by(fired.stage, fired.array, fired.expert + 1)
    stage, array, cycles = fired.stage[order], fired.array[order], fired.cycles[order]
    arrays = int(array.max()) + 1
    begins = np.append(True, (np.diff(stage) != 0) | (np.diff(array) != 0))
    chosen = fired.problem.workload.chosen[stage[begins]]
    offset = offsets_at_most(np.cumsum(begins) - 1, fired.expert[order], cycles, chosen)
    bounds = np.searchsorted(stage, np.arange(len(stages) + 1))
    start = np.zeros(len(stage), dtype=np.int64)
    ended = np.zeros(len(stages), dtype=np.int64)
    array_free = np.zeros(arrays, dtype=np.int64)
    gap_free = 0
    for node in stages if stage_order is None else [stages[number] for number in stage_order.tolist()]:
        ready = max((int(ended[before]) for before in node.after), default=0)
        if gap_cycles[node.id]:
            # One gap at a time holds the digital units and the interconnect (S6).
            gap_free = max(ready, gap_free) + int(gap_cycles[node.id])
            ready = gap_free
        part = slice(bounds[node.id], bounds[node.id + 1])
        begin = np.maximum(array_free[array[part]], ready) + offset[part]
        finish = begin + cycles[part]
        start[order[part]] = begin
        np.maximum.at(array_free, array[part], finish)
        ended[node.id] = finish.max()
    return start
