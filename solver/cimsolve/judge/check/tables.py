"""Ranges and lengths of the tables, and S1: what must hold before anything can be computed from them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cimsolve.columns import Ints
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Solution

SIZE_MAX = 2**20
"""More than any side of a legal array; keeps products of sizes within int64."""
INDEX_MAX = 2**40
ARRAY_MAX = 2**31 - 1
CYCLE_MAX = 2**60
BITS_MAX = 64


def find_malformed(problem: Problem, solution: Solution) -> Iterator[tuple[str, str]]:
    """Rule and message for every column that cannot be what it says."""
    pieces, activations = solution.pieces, solution.activations
    table = problem.table
    limits: tuple[tuple[str, Ints, int, int], ...] = (
        ("pieces.factor", pieces.factor, 0, len(table.blocks) - 1),
        ("pieces.row0", pieces.row0, 0, INDEX_MAX),
        ("pieces.rows", pieces.rows, 1, SIZE_MAX),
        ("pieces.col0", pieces.col0, 0, INDEX_MAX),
        ("pieces.cols", pieces.cols, 1, SIZE_MAX),
        ("pieces.array", pieces.array, 0, ARRAY_MAX),
        ("pieces.array_row", pieces.array_row, 0, SIZE_MAX),
        ("pieces.array_col", pieces.array_col, 0, SIZE_MAX),
        ("activations.array", activations.array, 0, ARRAY_MAX),
        ("activations.start", activations.start, 0, CYCLE_MAX),
        ("activations.end", activations.end, 1, CYCLE_MAX),
        ("activations.adc_bits", activations.adc_bits, 1, BITS_MAX),
        ("activations.pieces_from", activations.pieces_from, 0, len(pieces) - 1),
        ("activations.pieces_to", activations.pieces_to, 1, len(pieces)),
        ("activations.piece", activations.piece, 0, len(pieces) - 1),
    )
    broken = [text for name, values, low, high in limits for text in _outside(name, values, low, high)]
    yield from (("tables", text) for text in broken)
    if broken:
        return
    blocks = table.blocks[pieces.factor]
    if (pieces.block < 0).any() or (pieces.block >= blocks).any():
        at = int(np.argmax((pieces.block < 0) | (pieces.block >= blocks)))
        owner = problem.workload.factors[int(pieces.factor[at])]
        yield (
            "tables",
            f"pieces.block.{at} = {int(pieces.block[at])}: expected 0 to {owner.blocks - 1}, the blocks of "
            f"{owner.linear} ({owner.kind})",
        )
    ends_first = activations.end <= activations.start
    if ends_first.any():
        at = int(np.argmax(ends_first))
        start, end = int(activations.start[at]), int(activations.end[at])
        yield "tables", f"activations.end.{at} = {end}: expected more than its start, {start}"
    yield from (("S1", text) for text in _s1_every_piece_fires_once(solution))


def _outside(name: str, values: Ints, low: int, high: int) -> Iterator[str]:
    wrong = (values < low) | (values > high)
    if wrong.any():
        at = int(np.argmax(wrong))
        yield f"{name}.{at} = {int(values[at])}: expected {low} to {high}"


def _s1_every_piece_fires_once(solution: Solution) -> Iterator[str]:
    """S1: `piece` holds every piece once, and the activations' ranges partition it."""
    pieces, activations = solution.pieces, solution.activations
    times = np.bincount(activations.piece, minlength=len(pieces))
    if len(activations.piece) != len(pieces) or (times != 1).any():
        at = int(np.argmax(times != 1))
        yield f"piece {at} is fired {int(times[at])} times; activations.piece must hold every piece once"
        return
    order = np.argsort(activations.pieces_from, kind="stable")
    start, stop = activations.pieces_from[order], activations.pieces_to[order]
    expected = np.concatenate([[0], stop[:-1]])
    wrong = (start != expected) | (stop <= start)
    if wrong.any():
        at = int(np.argmax(wrong))
        yield (
            f"activation {int(order[at])} fires piece[{int(start[at])}:{int(stop[at])}]; expected a range "
            f"from {int(expected[at])} on, so that the ranges partition activations.piece"
        )
    elif stop[-1] != len(pieces):
        yield f"no activation fires piece[{int(stop[-1])}:{len(pieces)}]"
