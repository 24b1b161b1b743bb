"""What every weight answers for of the bits that its stage moves. docs/formulation.md, section "Bounds", "Moves"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import gcd

import numpy as np

from cimsolve.columns import Floats
from cimsolve.model.workload import Factor
from cimsolve.problem.problem import Problem


@dataclass(frozen=True)
class BitShare:
    """What the weights of one factor answer for in one move."""

    factor: int = field(compare=False)
    is_own: bool
    """Whether it is a factor of the stage, not of the one before."""
    cells: int
    height: int
    """Most weights of a column that one activation reads."""
    step: int
    """All links, buses and the port carry multiples of so many bits."""
    link_bits: float
    """Bits of a weight on a link that carries an element once, whatever cores are behind it."""
    core_bits: float
    """Bits of what a core is sent or sends for all of its weights that share them."""
    shared_by: int
    """Most weights that share them."""


@dataclass(frozen=True)
class StageMoves:
    """What a stage moves; those of equal stages are equal."""

    down: tuple[BitShare, ...]
    """None of an L stage, which reads z."""
    up: tuple[BitShare, ...]
    """After an L stage also what dense matrices made in the stage before."""
    over_bits: int
    """Bits of z on buses, as it is made and as it is read."""


def moves_of_stages(problem: Problem) -> list[StageMoves]:
    """What each stage moves."""
    workload, found = problem.workload, []
    for stage, numbers in enumerate(workload.factors_of_stage):
        members = [workload.factors[number] for number in numbers]
        kinds = {factor.kind for factor in members}
        if "L" not in kinds:
            rising = [] if "R" in kinds else members
            found.append(StageMoves(_down(problem, members), _up(problem, rising, stage), 0))
            continue
        (before,) = workload.stages[stage].after
        earlier = [workload.factors[number] for number in workload.factors_of_stage[before]]
        rising = [*(factor for factor in earlier if factor.kind == "dense"), *members]
        over = sum(_over_bits(problem, factor) for factor in earlier if factor.kind == "R")
        found.append(StageMoves((), _up(problem, rising, stage), over))
    return found


def _down(problem: Problem, members: Sequence[Factor]) -> tuple[BitShare, ...]:
    """An element's bits are shared by all weights that it feeds."""
    assert problem.hardware.interconnect is not None
    feeds, bits = sum(factor.block_cols for factor in members), problem.hardware.interconnect.input_bits
    found = []
    for factor in members:
        height = min(factor.block_rows, problem.rows_limit)
        # Where no cut of rows is free, a column needs all elements of its height.
        step = bits if problem.cut == "both" or factor.block_rows % height else bits * height
        found.append(BitShare(factor.id, True, factor.weights, height, step, bits / feeds, bits, feeds))
    return tuple(found)


def _up(problem: Problem, members: Sequence[Factor], stage: int) -> tuple[BitShare, ...]:
    """An output's bits are shared by the weights that it sums; a bus carries every part of it."""
    interconnect = problem.hardware.interconnect
    assert interconnect is not None
    whole, part = interconnect.out_bits, interconnect.sum_bits
    found = []
    for factor in members:
        height, rows = min(factor.block_rows, problem.rows_limit), factor.block_rows
        bits = min(whole, part) if problem.cut == "both" or height < rows else whole
        on_bus = (part if height < rows else bits) / height
        own = factor.stage == stage
        found.append(BitShare(factor.id, own, factor.weights, height, gcd(whole, part), bits / rows, on_bus, 1))
    return tuple(found)


def _over_bits(problem: Problem, factor: Factor) -> int:
    """What has parts in several cores is not read from a bus's core, but from the hub."""
    interconnect = problem.hardware.interconnect
    assert interconnect is not None
    read, part, parts = interconnect.input_bits, interconnect.sum_bits, int(problem.row_parts[factor.id])
    each = parts * part if parts > 1 else 2 * min(read, part) if problem.cut == "both" else 2 * read
    return factor.blocks * factor.block_cols * each


@dataclass(frozen=True)
class Weights:
    """The weights of some moves by factor; columns of shape (shares,).

    They are counted one by one, or, where it is columns read that are scarce, in columns full to their height.
    """

    amount: Floats
    link_bits: Floats
    """Bits that one answers for on a link that carries an element once."""
    core_bits: Floats
    """Bits that one answers for where every core is sent what it needs."""
    of_core: int
    """Most of them in a core."""

    @staticmethod
    def by_room(shares: Sequence[BitShare], of_core: int) -> Weights:
        """Counted one by one: a core has room for so many."""
        return Weights._of(shares, np.ones(len(shares)), of_core)

    @staticmethod
    def by_time(shares: Sequence[BitShare], of_core: int) -> Weights:
        """Counted in columns: a core has time to read so many."""
        return Weights._of(shares, np.array([share.height for share in shares], dtype=np.float64), of_core)

    @staticmethod
    def _of(shares: Sequence[BitShare], each: Floats, of_core: int) -> Weights:
        # A core has no more weights of one element than it has weights, or reads columns.
        core_bits = np.array([share.core_bits / min(share.shared_by, of_core) for share in shares])
        amount, link_bits = (np.array([getattr(share, key) for share in shares]) for key in ("cells", "link_bits"))
        return Weights(amount / each, link_bits * each, core_bits * each, of_core)

    def least_most(self, bits: Floats, sides: Sequence[tuple[int, int]], beside: int = 0) -> float:
        """Least bits of the busiest of some sides: (how many, cores behind each); `beside` cores are behind none.

        Behind so many cores are at most their heaviest weights. x bits suffice only if the sum over sides of the
        smaller of x and that reaches all bits but those of the heaviest weights beside.
        """
        reached = self.heaviest(bits, np.array([beside, *(cores for _, cores in sides)]) * float(self.of_core))
        left = float(self.amount @ bits) - float(reached[0])
        limits = sorted(zip(reached[1:].tolist(), (count for count, _ in sides), strict=True))
        number = sum(count for count, _ in sides)
        for limit, count in limits:
            if limit * number >= left:
                return left / number
            left -= limit * count
            number -= count
        return limits[-1][0] if limits else 0.0

    def heaviest(self, bits: Floats, numbers: Floats) -> Floats:
        """Bits of so many weights, of those that answer for most; elementwise in `numbers`."""
        order = np.argsort(-bits, kind="stable")
        amount = self.amount[order]
        ends, reached = np.append(0.0, np.cumsum(amount)), np.append(0.0, np.cumsum(amount * bits[order]))
        return np.asarray(np.interp(numbers, ends, reached))
