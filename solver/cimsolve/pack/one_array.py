"""A given content into one array: bands of stacks, found by an integer program.

An array is cut into bands straight across it, a band into stacks side by side, a stack into blocks on top of each
other (the three stages of Gilmore and Gomory 1965). All bands of one height together are as wide as all their stacks
at least; whether each band can be as wide as the array is tried afterwards, first fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import combinations

import numpy as np

from cimsolve.columns import Ints
from cimsolve.pack.guillotine import Pattern, pattern_from
from cimsolve.pack.programs import solve_integer
from cimsolve.pack.shelves import first_fit_shelves

Content = tuple[tuple[int, int, int], ...]
"""For each type of block its rows, its columns, and how many there are."""

NODES = 200
"""Most nodes of the integer program's search tree."""
STACKS_MAX = 4000
"""Different stacks that are looked at, the columns of a program."""


@dataclass(frozen=True)
class _Stack:
    """Blocks on top of each other in a band of `height` rows: (type, how many), the top first."""

    height: int
    width: int
    blocks: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Packed:
    """What came of a content: None where no packing is found; and what that took, in columns of integer programs."""

    pattern: Pattern | None
    effort: int


@lru_cache(maxsize=4096)
def pack_one(content: Content, rows: int, cols: int, columns_max: int = STACKS_MAX) -> Packed:
    """All blocks of `content` in one array of `rows x cols`, if that is found.

    The same few contents are asked for again and again, and a refusal takes up to four integer programs, each of
    `columns_max` columns at most; of none it is shelves alone.
    """
    heights, widths, counts = np.array(content, dtype=np.int64).T
    if int(counts @ (heights * widths)) > rows * cols:
        return Packed(None, 0)
    effort = 0
    for find in (_first_fit, partial(_pack, columns_max)) if columns_max else (_first_fit,):
        upright, spent = find(heights, widths, counts, rows, cols)
        effort += spent
        if upright is not None:
            return Packed(upright, effort)
        turned, spent = find(widths, heights, counts, cols, rows)
        effort += spent
        if turned is not None:
            return Packed(turned.transposed(), effort)
    return Packed(None, effort)


def _first_fit(heights: Ints, widths: Ints, counts: Ints, rows: int, cols: int) -> tuple[Pattern | None, int]:
    """Shelves, which are quick: no effort."""
    present = np.flatnonzero(counts)
    arrays = first_fit_shelves(heights[present], widths[present], counts[present], rows, cols)
    if sum(times for _, times in arrays) > 1:
        return None, 0
    pattern = arrays[0][0]
    return Pattern(present[pattern.type], pattern.row, pattern.col), 0


def _pack(
    columns_max: int, heights: Ints, widths: Ints, counts: Ints, rows: int, cols: int
) -> tuple[Pattern | None, int]:
    """A packing, and the columns of the programs solved for it."""
    every = list(_stacks(heights, widths, counts, rows))
    # A stack with more empty cells than the array has to spare can be of no use. With the others alone it is soon
    # known that nothing fits; with all of them the program comes upon other answers, some of which can be laid out.
    spare = rows * cols - int(counts @ (heights * widths))
    effort = 0
    for stacks in ([stack for stack in every if _waste(stack, heights, widths) <= spare], every):
        if not 0 < len(stacks) <= columns_max:
            break
        effort += len(stacks)
        bands = sorted({stack.height for stack in stacks})
        times, refused = _solve(stacks, bands, counts, rows, cols)
        if refused:
            break
        if times is not None:
            here = np.repeat(bands, times[: len(bands)]).tolist()
            pattern = _lay_out(stacks, here, times[len(bands) :], heights, counts, cols)
            if pattern is not None:
                return pattern, effort
    return None, effort


def _stacks(heights: Ints, widths: Ints, counts: Ints, rows: int) -> Iterator[_Stack]:
    """Stacks of one type, and of two of equal width that fill a band's height."""
    present = np.flatnonzero(counts).tolist()
    height, most = heights.tolist(), np.minimum(counts, rows // heights).tolist()
    pairs: dict[int, set[tuple[tuple[int, int], ...]]] = {}
    for one, other in combinations(present, 2):
        if widths[one] == widths[other]:
            for first in range(1, most[one] + 1):
                for second in range(1, min(most[other], (rows - first * height[one]) // height[other]) + 1):
                    total = first * height[one] + second * height[other]
                    pairs.setdefault(total, set()).add(((one, first), (other, second)))
    totals = {times * height[each] for each in present for times in range(1, most[each] + 1)} | set(pairs)
    for total in sorted(totals):
        for each in present:
            times = min(total // height[each], most[each])
            if times:
                yield _Stack(total, int(widths[each]), ((each, times),))
        for pair in sorted(pairs.get(total, ())):
            yield _Stack(total, int(widths[pair[0][0]]), pair)


def _waste(stack: _Stack, heights: Ints, widths: Ints) -> int:
    """Empty cells of a stack."""
    filled = sum(times * int(heights[each] * widths[each]) for each, times in stack.blocks)
    return stack.height * stack.width - filled


def _solve(stacks: list[_Stack], bands: list[int], counts: Ints, rows: int, cols: int) -> tuple[Ints | None, bool]:
    """How many bands of each height and of each stack, or None; and whether it is proved that there are none.

    Shape (bands + stacks,).
    """
    types = len(counts)
    at = {height: types + number for number, height in enumerate(bands)}
    matrix = np.zeros((types + len(bands) + 1, len(bands) + len(stacks)))
    for number, stack in enumerate(stacks, start=len(bands)):
        for each, times in stack.blocks:
            matrix[each, number] = -times
        matrix[at[stack.height], number] = stack.width
    matrix[types:-1, : len(bands)] = -cols * np.eye(len(bands))
    matrix[-1, : len(bands)] = bands
    most = np.concatenate([-counts, np.zeros(len(bands)), [rows]])
    result = solve_integer(np.zeros(matrix.shape[1]), [(matrix, -np.inf, most)], nodes=NODES)
    return None if result.x is None else np.rint(result.x).astype(np.int64), result.is_infeasible


def _lay_out(
    stacks: list[_Stack], bands: list[int], number: Ints, heights: Ints, counts: Ints, cols: int
) -> Pattern | None:
    """Stacks into bands of their height, the widest first; no more blocks of a type than are wanted.

    `bands`: the height of each, from the top.
    """
    room = [cols] * len(bands)
    left = counts.tolist()
    blocks: list[tuple[int, int, int]] = []
    for stack in sorted(np.repeat(np.arange(len(stacks)), number).tolist(), key=lambda each: -stacks[each].width):
        here = stacks[stack]
        band = next((n for n, free in enumerate(room) if bands[n] == here.height and free >= here.width), None)
        if band is None:
            return None
        at_row, at_col = sum(bands[:band]), cols - room[band]
        room[band] -= here.width
        for each, times in here.blocks:
            for _ in range(min(times, left[each])):
                blocks.append((each, at_row, at_col))
                at_row += int(heights[each])
                left[each] -= 1
    return None if any(left) else pattern_from(blocks)
