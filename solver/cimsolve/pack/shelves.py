"""First-fit heuristics for whole blocks: fast, for any counts, and the line column generation must beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cimsolve.columns import Ints
from cimsolve.pack.cutting_stock import first_fit_decreasing
from cimsolve.pack.guillotine import Pattern, pattern_from


@dataclass
class _Shelf:
    """`times` equal shelves: height, columns left, and the blocks as (type, row, col)."""

    height: int
    room: int
    blocks: list[tuple[int, int, int]]
    times: int


def first_fit_shelves(
    heights: Ints, widths: Ints, counts: Ints, rows: int, cols: int, stacked: bool = True
) -> list[tuple[Pattern, int]]:
    """First-fit decreasing height: (pattern, number of arrays), covering `counts` exactly.

    Blocks by falling height, then width, go side by side onto the first shelf with room, else onto a new one
    of their height; shelves go first-fit into arrays (hybrid first fit: Chung, Garey & Johnson 1982).
    `stacked` also piles lower blocks of the same type on top of each other within a shelf.
    """
    shelves: list[_Shelf] = []
    for t in np.lexsort((-widths, -heights)):
        height, width, left = int(heights[t]), int(widths[t]), int(counts[t])
        grown: list[_Shelf] = []
        for shelf in shelves:
            pile = shelf.height // height if stacked else 1
            each = (shelf.room // width) * pile
            filled = min(shelf.times, left // each) if each else 0
            partly = 1 if each and filled < shelf.times and left > filled * each else 0
            rest = left - filled * each if partly else 0
            for number, times in ((each, filled), (rest, partly), (0, shelf.times - filled - partly)):
                if times:
                    grown.append(_extended(shelf, int(t), height, width, number, pile, cols, times))
            left -= filled * each + rest
        per_shelf = cols // width
        for number, times in ((per_shelf, left // per_shelf), (left % per_shelf, 1)):
            if number and times:
                empty = _Shelf(height, cols, [], times)
                grown.append(_extended(empty, int(t), height, width, number, 1, cols, times))
        shelves = grown
    return _stack_shelves(shelves, rows)


def _extended(shelf: _Shelf, t: int, height: int, width: int, number: int, pile: int, cols: int, times: int) -> _Shelf:
    """`times` copies of `shelf` with `number` more blocks, up to `pile` on top of each other."""
    col = cols - shelf.room
    added = [(t, i % pile * height, col + i // pile * width) for i in range(number)]
    return _Shelf(shelf.height, shelf.room - -(-number // pile) * width, shelf.blocks + added, times)


def _stack_shelves(shelves: list[_Shelf], rows: int) -> list[tuple[Pattern, int]]:
    """Shelves into arrays, first-fit decreasing by height."""
    if not shelves:
        return []
    height = np.asarray([s.height for s in shelves], dtype=np.int64)
    patterns, times = first_fit_decreasing(height, np.asarray([s.times for s in shelves]), rows)
    packed = []
    for content, number in zip(patterns, times.tolist(), strict=True):
        blocks: list[tuple[int, int, int]] = []
        row = 0
        for s in np.repeat(np.arange(len(shelves)), content):
            blocks += [(t, row + r, c) for t, r, c in shelves[s].blocks]
            row += shelves[s].height
        packed.append((pattern_from(blocks), number))
    return packed
