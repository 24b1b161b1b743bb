"""What must come out: plain block-diagonal products in integers, without arrays, pieces or time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cimsolve.columns import Floats, Ints
from cimsolve.judge.simulate.operands import Operands
from cimsolve.model.model import Linear
from cimsolve.model.structure import Structure
from cimsolve.model.workload import Factor
from cimsolve.problem.problem import Problem
from cimsolve.weights.monarch import shuffle_index


@dataclass(frozen=True)
class Requantiser:
    """Between R and L: z becomes u = clip(floor(z / 2^shift) + zero_point, 0, 2^bits - 1).

    L works on u and `zero_point` times its column sums is subtracted: y = sum((u - zero_point) * w).
    """

    bits: int
    shift: int

    @classmethod
    def covering(cls, largest: int, bits: int) -> Requantiser:
        """The least shift that keeps every |z| <= `largest` in range."""
        return cls(bits, max(0, largest.bit_length() - (bits - 1)))

    @property
    def zero_point(self) -> int:
        return 1 << (self.bits - 1)

    def apply(self, z: Ints | Floats) -> Ints:
        shifted = np.rint(z).astype(np.int64) >> self.shift
        return np.asarray(np.clip(shifted + self.zero_point, 0, (1 << self.bits) - 1))


@dataclass(frozen=True)
class ExpectedOutputs:
    outputs: Mapping[int, Ints]
    """Factor -> its output, shape (vectors, blocks * block_cols); of an R factor the z before the shuffle.

    0 for vectors whose token does not fire its expert.
    """
    requantisers: Mapping[str, Requantiser]
    """Linear -> what lies between its two factors."""


def compute_reference(problem: Problem, operands: Operands, linears: Sequence[Linear] | None = None) -> ExpectedOutputs:
    """Outputs of every simulated factor of `linears` (None: all)."""
    outputs: dict[int, Ints] = {}
    requantisers: dict[str, Requantiser] = {}
    factors = {(factor.linear, factor.kind): factor for factor in operands.workload.factors}
    for linear in problem.model.linears if linears is None else linears:
        structure = problem.structures[linear.name]
        first = factors[linear.name, "dense" if structure.is_dense else "R"]
        if not operands.simulated[first.id]:
            continue
        fired = operands.fired(first.id)[:, None]
        outputs[first.id] = _multiply(operands, first, operands.draw(first.input)) * fired
        if structure.is_dense:
            continue
        z = outputs[first.id]
        requantiser = Requantiser.covering(int(np.abs(z).max()), operands.input_bits)
        requantisers[linear.name] = requantiser
        second = factors[linear.name, "L"]
        u = shuffled(structure, requantiser.apply(z)) - requantiser.zero_point
        outputs[second.id] = _multiply(operands, second, u) * fired
    return ExpectedOutputs(outputs, requantisers)


def shuffled(structure: Structure, z: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """z of shape (vectors, k*T*l) in the order in which the L factor reads it."""
    moved = np.empty_like(z)
    moved[:, shuffle_index(structure.k, structure.l, structure.rank)] = z
    return moved


def _multiply(operands: Operands, factor: Factor, x: Ints) -> Ints:
    """x of shape (vectors, blocks * block_rows) times the block-diagonal matrix; exact, as checked before."""
    by_block = x.reshape(len(x), factor.blocks, factor.block_rows).transpose(1, 0, 2).astype(np.float64)
    product = by_block @ operands.weights(factor).astype(np.float64)
    return product.transpose(1, 0, 2).reshape(len(x), -1).astype(np.int64)
