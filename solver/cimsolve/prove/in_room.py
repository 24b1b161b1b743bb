"""Least time of a whole pass by what an array has room for: it fires what it holds, and holds what it fires.

`least_work_cycles` shares work evenly, as if an array could hold any of it. But uncut blocks that fill an array's cells
may leave time that none other fills, and those that fill its time cells.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from cimsolve.columns import Ints
from cimsolve.pack.lengths import cannot_fit
from cimsolve.problem.problem import InputGroup, Problem, found_once
from cimsolve.prove.time import firings_of, least_work_cycles
from cimsolve.prove.work import (
    converter_floor,
    group_part_ps,
    least_activation_cycles,
    least_not_refused,
    merges_at_once,
)

SHARES = (0, 1, 2, 4, 8, 16, 32)
"""What a full array's cells are to count for, in quarters of what its time does."""
FINE = 1000
"""The bound is sought to a part in so many."""
COLUMNS_MAX = 32
"""Nothing is said of wider blocks that are cut to fit an array: they might be cut anywhere."""

BlockKind = tuple[int, int, int]
"""Conversion time in ps, rows and columns of blocks that an activation may read some of at once."""


@found_once
def least_work_cycles_in_room(problem: Problem, arrays: int) -> int:
    """No array is done with a pass earlier; `least_work_cycles` where columns or rows of blocks may lie apart.

    What an array holds and fires takes its cells and its time. So at any price of the cells, one price for all, the sum
    of both is no more than the sum of what it has.
    """
    least = least_work_cycles(problem, arrays)
    kinds = firings_of(problem)
    groups = [(group, count) for each, count in kinds.items() for group in each]
    once = problem.workload.fires_all_once
    if problem.cut != "none" or not once or any(not _is_plain(problem, group) for group, _ in groups):
        return least
    floor, row = converter_floor(problem), problem.weights_per_row
    counts = Counter[tuple[BlockKind, int]]()
    for group, count in groups:
        # Uncut blocks wider than an array are in the fewest pieces: all full, or of any width.
        unit = row if group.block_cols % row == 0 else 1
        unit = group.block_cols if group.block_cols <= row else unit
        kind = group_part_ps(problem, floor, group), group.height, unit
        counts[kind, group.columns // unit] += count * group.inputs
    ordered = sorted({kind for kind, _ in counts})
    numbered = {(ordered.index(kind), length): count for (kind, length), count in counts.items()}
    widths = [np.arange(1, row // unit + 1) * unit for _, _, unit in ordered]
    cycles_of = [least_activation_cycles(problem, width, ps) for width, (ps, _, _) in zip(widths, ordered, strict=True)]
    shortest = min(int(cycles[0]) for cycles in cycles_of)
    merges, cells = merges_at_once(problem, kinds, arrays), problem.rows * row
    shares = list(SHARES)

    def refused(cycles: int) -> bool:
        for share in tuple(shares):
            # Cells count `share` quarters as much as cycles, of a full array.
            sizes = {
                number: _from_none(4 * cells * taken + share * cycles * height * width)
                for number, (taken, width, (_, height, _)) in enumerate(zip(cycles_of, widths, ordered, strict=True))
            }
            room = (4 + share) * cells * cycles
            if cannot_fit(numbered, sizes, room, arrays, beside=merges * (cycles // shortest)):
                shares.remove(share)
                shares.insert(0, share)  # what refused one time is the likeliest to refuse the next
                return True
        return False

    # With all columns fired one by one time is never short.
    most = sum(count * length * int(cycles_of[kind][0]) for (kind, length), count in numbered.items())
    return least_not_refused(refused, least, FINE, most)


def _is_plain(problem: Problem, group: InputGroup) -> bool:
    """Whether its blocks are equal, of rows that fire at once, and whole or narrow."""
    equal, row = group.columns == group.blocks * group.block_cols, problem.weights_per_row
    is_simple = group.block_cols <= row or group.block_cols % row == 0 or group.columns <= COLUMNS_MAX
    return equal and group.parts == 1 and is_simple


def _from_none(sizes: Ints) -> Ints:
    """With 0 for nothing before them."""
    return np.concatenate([[0], sizes])
