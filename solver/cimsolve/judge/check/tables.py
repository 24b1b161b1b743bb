"""Ranges and lengths of the tables, and S1: what must hold before anything can be computed from them."""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter

import numpy as np

from cimsolve.judge.check.case import Case, first

SIZE_MAX = 2**20
"""More than any side of a legal array; keeps products of sizes within int64."""
INDEX_MAX = 2**40
ARRAY_MAX = 2**31 - 1
CYCLE_MAX = 2**60
BITS_MAX = 64


def sites_are_those_of_a_network(case: Case) -> Iterator[str]:
    """A chip with a network has the table `sites`, another has not."""
    if case.sites is None and case.problem.hardware.interconnect is not None:
        yield "sites: missing; expected the place of each array, as the chip has a network"
    if case.sites is not None and case.problem.hardware.interconnect is None:
        yield "sites: expected none, as the chip has no network; remove it"


def columns_are_in_range(case: Case) -> Iterator[str]:
    """Every column holds what it can say."""
    count = len(case.pieces)
    limits = {
        "pieces.factor": (0, len(case.problem.table.blocks) - 1),
        "pieces.row0": (0, INDEX_MAX),
        "pieces.rows": (1, SIZE_MAX),
        "pieces.col0": (0, INDEX_MAX),
        "pieces.cols": (1, SIZE_MAX),
        "pieces.array": (0, ARRAY_MAX),
        "pieces.array_row": (0, SIZE_MAX),
        "pieces.array_col": (0, SIZE_MAX),
        "activations.array": (0, ARRAY_MAX),
        "activations.start": (0, CYCLE_MAX),
        "activations.end": (1, CYCLE_MAX),
        "activations.adc_bits": (1, BITS_MAX),
        "activations.pieces_from": (0, count - 1),
        "activations.pieces_to": (1, count),
        "activations.piece": (0, count - 1),
    }
    if case.sites is not None and (topology := case.problem.hardware.topology) is not None:
        limits["sites.place"] = (0, topology.places - 1)
    for name, (low, high) in limits.items():
        values = attrgetter(name)(case)
        if low <= int(values.min()) and int(values.max()) <= high:
            continue
        for at in first((values < low) | (values > high)):
            yield f"{name}.{at} = {values[at]}: expected {low} to {high}"


def blocks_and_ends_are_possible(case: Case) -> Iterator[str]:
    """Every block is one of its factor, and every activation ends after its start."""
    pieces, activations = case.pieces, case.activations
    for at in first((pieces.block < 0) | (pieces.block >= case.problem.table.blocks[pieces.factor])):
        owner = case.problem.workload.factors[pieces.factor[at]]
        yield (
            f"pieces.block.{at} = {pieces.block[at]}: expected 0 to {owner.blocks - 1}, the blocks of "
            f"{owner.linear} ({owner.kind})"
        )
    for at in first(activations.end <= activations.start):
        yield f"activations.end.{at} = {activations.end[at]}: expected more than its start, {activations.start[at]}"


def s1_every_piece_fires_once(case: Case) -> Iterator[str]:
    """S1: `piece` holds every piece once, and the activations' ranges partition it."""
    activations, count = case.activations, len(case.pieces)
    times = np.bincount(activations.piece, minlength=count)
    for at in first(times != 1):
        yield f"piece {at} is fired {times[at]} times; activations.piece must hold every piece once"
        return
    order = np.argsort(activations.pieces_from, kind="stable")
    start, stop = activations.pieces_from[order], activations.pieces_to[order]
    expected = np.append(0, stop[:-1])
    for at in first((start != expected) | (stop <= start)):
        yield (
            f"activation {order[at]} fires piece[{start[at]}:{stop[at]}]; expected a range "
            f"from {expected[at]} on, so that the ranges partition activations.piece"
        )
        return
    if stop[-1] != count:
        yield f"no activation fires piece[{stop[-1]}:{count}]"
