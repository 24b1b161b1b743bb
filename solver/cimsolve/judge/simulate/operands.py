"""The integers that are multiplied: weights of the simulated factors and the vectors that they read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import numpy as np

from cimsolve.columns import Bools, Floats, Ints
from cimsolve.errors import InputError
from cimsolve.judge.simulate.encoding import Encoding
from cimsolve.model.workload import Factor, Workload, build_workload
from cimsolve.price.mean import routes_of
from cimsolve.problem.problem import Problem
from cimsolve.weights.monarch import Monarch, norms, project

RealWeights: TypeAlias = Mapping[str, Monarch | Floats]
RealFactors: TypeAlias = Mapping[str, tuple[Floats, Floats]]
"""Linear -> its factors (R, L), to be used as they are wherever it is stored as Monarch."""

EXACT_BITS = 53
"""Integers below 2^53 are exact in float64, in which all sums are kept."""

_WEIGHTS, _VECTORS = 0, 1  # streams of random numbers


@dataclass(frozen=True)
class Operands:
    """Weights and vectors of one simulation. `workload` is rebuilt from model and structures: the truth."""

    workload: Workload
    encoding: Encoding
    layers: tuple[int, ...]
    simulated: Bools
    """Whether a factor is simulated, shape (factors,)."""
    store: Ints
    """The weights of all simulated factors one after the other, flat."""
    store_first: Ints
    """Where each factor's weights begin in `store`, -1 for the others; shape (factors,)."""
    scales: Mapping[int, Floats]
    """Factor -> scale of its integers, shape (1,), or of each column, for weights that were given."""
    vector_lengths: Mapping[int, int]
    input_bits: int
    vectors: int
    seed: int
    weight_error: float | None
    """Relative Frobenius error of the factors against the dense weights, where these were given."""
    fires: tuple[Bools, ...] = ()
    """Of each choice whether every vector's token fires each of its experts, shape (vectors, stored)."""
    given: Mapping[int, Ints] = field(default_factory=dict)
    """Vector -> its content, where it is not random."""

    def fired(self, factor: int) -> Bools:
        """Whether each vector's token fires a factor, shape (vectors,)."""
        made = self.workload.factors[factor]
        choice = self.workload.stages[made.stage].choice
        if made.expert is None or choice is None or not self.fires:
            return np.ones(self.vectors, dtype=bool)
        return np.asarray(self.fires[choice][:, made.expert])

    @cached_property
    def made_by(self) -> Mapping[int, Factor]:
        """Vector -> the simulated R factor whose shuffled output it is."""
        first = {factor.linear: factor for factor in self.workload.factors if factor.kind == "R"}
        return {
            factor.input: first[factor.linear]
            for factor in self.workload.factors
            if factor.kind == "L" and self.simulated[factor.id]
        }

    def weights(self, factor: Factor) -> Ints:
        """Integer weights, shape (blocks, block_rows, block_cols)."""
        first = int(self.store_first[factor.id])
        return self.store[first : first + factor.weights].reshape(factor.blocks, factor.block_rows, factor.block_cols)

    def column_sums(self, factor: Factor) -> Ints:
        """What an input of 1 everywhere makes of a factor's integer weights, (n_out,): known when they are written."""
        return np.asarray(self.weights(factor).sum(axis=1, dtype=np.int64).reshape(-1))

    def draw(self, vector: int) -> Ints:
        """Content of a vector, unsigned integers of shape (vectors, length): random unless given."""
        if vector in self.given:
            return self.given[vector]
        size = (self.vectors, self.vector_lengths[vector])
        return np.random.default_rng([self.seed, _VECTORS, vector]).integers(0, 1 << self.input_bits, size)


def prepare_operands(
    problem: Problem,
    layers: Sequence[int] | None,
    vectors: int,
    seed: int,
    given: RealWeights,
    factors: RealFactors | None = None,
    scale_columns: bool = False,
    numbers: Mapping[tuple[str, str], int] | None = None,
) -> Operands:
    """`scale_columns`: given weights are quantised column by column, each with its own scale.

    `numbers`: (linear, kind) -> the number by which a factor's random weights are drawn; None: its own.

    Raises InputError for layers the model lacks, weights that do not fit and sums that are not exact."""
    workload = build_workload(problem.model, problem.structures)
    encoding = Encoding.of(problem.hardware)
    known = {factor.layer for factor in workload.factors}
    chosen = sorted(known if layers is None else set(layers))
    if vectors < 1 or seed < 0:
        raise InputError(f"simulate: {vectors} vectors and seed {seed}; expected 1 or more and 0 or more")
    if not chosen or not known.issuperset(chosen):
        raise InputError(
            f"simulate: layers {chosen} are not all in the model; expected some of {min(known)}-{max(known)}"
        )
    _demand_exact_sums(problem, workload, encoding)
    simulated = np.array([factor.layer in set(chosen) for factor in workload.factors], dtype=np.bool_)
    sizes = np.array([factor.weights for factor in workload.factors], dtype=np.int64)
    ends = np.cumsum(np.where(simulated, sizes, 0))
    store = np.empty(int(ends[-1]), dtype=encoding.weight_dtype)
    store_first = np.where(simulated, ends - sizes, -1)
    scales: dict[int, Floats] = {}
    real = _RealFactors(problem, given, factors or {})
    for factor in workload.factors:
        if not simulated[factor.id]:
            continue
        shape = (factor.blocks, factor.block_rows, factor.block_cols)
        target = store[store_first[factor.id] : ends[factor.id]].reshape(shape)
        if factor in real:
            target[...], scales[factor.id] = encoding.quantise(real.of(factor), factor.linear, scale_columns)
        else:
            number = factor.id if numbers is None else numbers[factor.linear, factor.kind]
            random = np.random.default_rng([seed, _WEIGHTS, number])
            target[...] = random.integers(encoding.low, encoding.high, shape, encoding.weight_dtype, endpoint=True)
    return Operands(
        workload=workload,
        encoding=encoding,
        layers=tuple(chosen),
        simulated=simulated,
        store=store,
        store_first=store_first,
        scales=scales,
        vector_lengths=_vector_lengths(workload),
        input_bits=problem.hardware.input.bits,
        vectors=vectors,
        seed=seed,
        weight_error=real.weight_error,
        fires=tuple(
            fires_of(routes, experts.stored)
            for routes, experts in zip(routes_of(problem, vectors, seed), workload.choices, strict=True)
        ),
    )


def demand_linears(problem: Problem, given: RealWeights, factors: RealFactors) -> None:
    """Raise InputError for real numbers of what is no linear of the model."""
    names = {linear.name for linear in problem.model.linears}
    for name in (*given, *factors):
        if name not in names:
            raise InputError(f"weights: {name!r} is no linear of {problem.model.name}")


def fires_of(routes: Ints, stored: int) -> Bools:
    """Which experts each token fires, shape (tokens, stored), of routes of shape (tokens, chosen)."""
    found = np.zeros((len(routes), stored), dtype=bool)
    np.put_along_axis(found, routes, True, axis=1)
    return found


class _RealFactors:
    """Given weights as (blocks, block_rows, block_cols), one linear's projection kept at a time."""

    def __init__(self, problem: Problem, given: RealWeights, factors: RealFactors) -> None:
        demand_linears(problem, given, factors)
        self._problem = problem
        self._given, self._factors = given, factors
        self._kept: tuple[str, Monarch | Floats] | None = None
        self._lost, self._whole = 0.0, 0.0

    def __contains__(self, factor: Factor) -> bool:
        """Whether there are real numbers for it; raises InputError for factors of what is stored dense."""
        if factor.kind == "dense" and factor.linear in self._factors and factor.linear not in self._given:
            raise InputError(f"factors of {factor.linear}: it is stored dense here; expected its weights")
        return factor.linear in self._given or self._has_factors(factor)

    def _has_factors(self, factor: Factor) -> bool:
        return factor.kind != "dense" and factor.linear in self._factors

    def of(self, factor: Factor) -> Floats:
        if self._kept is None or self._kept[0] != factor.linear:
            weights: Monarch | Floats
            if self._has_factors(factor):
                weights = Monarch(*self._factors[factor.linear])
            else:
                weights = self._given[factor.linear]
            if factor.kind != "dense":
                weights = self._projected(factor.linear, weights)
            self._kept = (factor.linear, weights)
        kept = self._kept[1]
        parts = (
            {"R": kept.R, "L": kept.L}
            if isinstance(kept, Monarch)
            else {"dense": kept if kept.ndim == 3 else kept[None]}
        )
        expected = (factor.blocks, factor.block_rows, factor.block_cols)
        blocks = parts.get(factor.kind)
        if blocks is None or blocks.shape != expected:
            shape = "none" if blocks is None else blocks.shape
            raise InputError(
                f"weights of {factor.linear}: {factor.kind} blocks have shape {shape}; expected {expected}"
            )
        return blocks

    def _projected(self, linear: str, weights: Monarch | Floats) -> Monarch:
        """The factors of a linear; where its dense weights are known too, their error is added up."""
        dense = self._given.get(linear)
        if not isinstance(weights, Monarch):
            weights = project(weights, self._problem.structures[linear], linear)
        if isinstance(dense, np.ndarray) and dense.any():
            whole, lost, unit = norms(dense, weights, linear)
            self._whole, self._lost = math.hypot(self._whole, whole * unit), math.hypot(self._lost, lost * unit)
        return weights

    @property
    def weight_error(self) -> float | None:
        """Relative Frobenius error of all factors so far against the dense weights; None where these are not known."""
        return self._lost / self._whole if self._whole else None


def _vector_lengths(workload: Workload) -> dict[int, int]:
    lengths: dict[int, int] = {}
    for factor in workload.factors:
        lengths[factor.input] = factor.blocks * factor.block_rows
        lengths[factor.output] = factor.blocks * factor.block_cols
    return lengths


def _demand_exact_sums(problem: Problem, workload: Workload, encoding: Encoding) -> None:
    rows = max(factor.block_rows for factor in workload.factors)
    largest = max(rows, problem.rows) * ((1 << problem.hardware.input.bits) - 1) * ((1 << encoding.bits) - 1)
    if largest >= 1 << EXACT_BITS:
        raise InputError(
            f"simulate: sums of {rows} products of {problem.hardware.input.bits}-bit inputs and "
            f"{encoding.bits}-bit weights pass 2^{EXACT_BITS}, not exact; lower input.bits or weight.bits"
        )
