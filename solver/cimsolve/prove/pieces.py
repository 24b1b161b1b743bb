"""Least time of a phase by what its columns can be cut into: an integer program over what an array does, relaxed.

`least_phase_work_cycles` shares columns and reads evenly, as if widths were free. But an activation of one input reads
columns of one strip, so strips are cut, and what is cut has to fill the time of whole arrays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np

from cimsolve.chip.wiring import weights_per_conversion
from cimsolve.columns import Ints
from cimsolve.pack.lengths import cannot_fit
from cimsolve.problem.problem import InputGroup, Problem, found_once
from cimsolve.prove.time import firings_of, least_phase_work_cycles
from cimsolve.prove.work import (
    converter_floor,
    group_part_ps,
    least_activation_cycles,
    least_not_refused,
    merges_at_once,
)

UNITS_MAX = 128
"""The longest strip is cut on a grid of so many parts at most; pieces of a part take the time of the narrowest."""
FINE = 400
"""The bound is sought to a part in so many."""


@found_once
def least_phase_cycles_in_pieces(problem: Problem, arrays: int) -> list[int]:
    """Least time that the busiest array works per token in each phase."""
    phases = sorted({stage.phase for stage in problem.workload.stages})
    known: dict[tuple[object, ...], int] = {}
    found = []
    for phase, least in zip(phases, least_phase_work_cycles(problem, arrays), strict=True):
        kinds = firings_of(problem, phase)
        key = (least, *sorted(kinds.items()))
        if key not in known:
            known[key] = _least_cycles(problem, kinds, arrays, least)
        found.append(known[key])
    return found


def _least_cycles(problem: Problem, kinds: Counter[tuple[InputGroup, ...]], arrays: int, least: int) -> int:
    """No time below it suffices; `least` itself where parts of blocks may share activations at no cost.

    What an activation reads of one input is at most what that feeds, and once for each of the fewest row parts: no two
    parts of a column are low enough together. Of two parts, or three, none takes another's place.
    """
    if problem.cut == "both" or any(map(_may_share, kinds)):
        return least
    floor = converter_floor(problem)
    strips = Counter[tuple[int, int]]()
    for groups, count in kinds.items():
        for group in groups:
            strips[group_part_ps(problem, floor, group), group.columns] += count * group.inputs * group.parts
    step = weights_per_conversion(problem.hardware)
    grid = step * -(-max(columns for _, columns in strips) // (step * UNITS_MAX))
    counts = Counter[tuple[int, int]]()
    for (conversion_ps, columns), count in strips.items():
        counts[conversion_ps, -(-columns // grid)] += count
    narrowest = np.arange(1, problem.weights_per_row + 1, grid)
    size_of: Mapping[int, Ints] = {
        conversion_ps: np.concatenate([[0], least_activation_cycles(problem, narrowest, conversion_ps)])
        for conversion_ps in {conversion_ps for conversion_ps, _ in counts}
    }
    shortest = min(int(sizes[1]) for sizes in size_of.values())
    merges = merges_at_once(problem, kinds, arrays)

    def refused(cycles: int) -> bool:
        # A merge leaves one of its pieces to take the time.
        return cannot_fit(counts, size_of, cycles, arrays, beside=merges * (cycles // shortest))

    return least_not_refused(refused, least, FINE)


def _may_share(groups: tuple[InputGroup, ...]) -> bool:
    """Whether row parts of these may be read with others of the same input, or in more ways than are looked at."""
    vectors = Counter(group.vector for group in groups)
    return any(group.parts > 3 or (group.parts > 1 and vectors[group.vector] > 1) for group in groups)
