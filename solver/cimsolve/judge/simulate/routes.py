"""Which experts each vector's token fires, and how much of each goes into the sum of what they make.

Routes are drawn by the question's routing. Gates are computed: softmax over the scores that the router makes for the
experts drawn, in whole numbers of the input's bits, 2^bits - 1 being all; sums lose as many bits again. The scale of
the scores is known offline, as are those between R and L: that at which the reference's deviate by 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from cimsolve.columns import Floats, Ints
from cimsolve.judge.simulate.deviation import StageDeviation, deviation_of
from cimsolve.judge.simulate.operands import Operands
from cimsolve.model.model import Step
from cimsolve.model.workload import Factor
from cimsolve.problem.problem import Problem

_GATES = 2  # stream of random numbers, beside those of the operands


class Mixture(NamedTuple):
    """Experts whose outputs are summed: those of the last step that follows a choice."""

    stage: int
    name: str
    choice: int
    routers: tuple[str, ...]
    """Linears that make a score for each expert, of which the first counts; none: gates are drawn."""
    places: tuple[tuple[str, ...], ...]
    """The linears of each place in an expert, by expert."""


class Mixer:
    """The sums over experts, made of outputs of the arrays and of the reference alike."""

    def __init__(self, problem: Problem, operands: Operands, expected: Mapping[int, Ints]) -> None:
        """`expected`: factor -> its output, of the factors that are simulated."""
        self._problem, self._operands, self._expected = problem, operands, expected
        final = (factor for factor in operands.workload.factors if factor.kind != "R")
        self._final = {factor.linear: factor for factor in final if operands.simulated[factor.id]}
        self._mixtures = tuple(_mixtures(problem, self._final, operands))

    def compare(self, got: Mapping[int, Ints]) -> list[StageDeviation]:
        """How far the sums of what the arrays made, `got` by factor, are from those of the reference."""
        return [
            StageDeviation(each.stage, each.name, deviation_of(self._sums(each, self._expected), self._sums(each, got)))
            for each in self._mixtures
        ]

    def _sums(self, mixture: Mixture, outputs: Mapping[int, Ints]) -> Ints:
        """Shape (vectors, outputs of all places)."""
        gates = self._gates(mixture, outputs)
        found: list[Ints] = []
        for names in mixture.places:
            made = np.stack([self._made(name, outputs) for name in names], axis=1)
            found.append((gates[:, :, None] * made).sum(axis=1) >> self._operands.input_bits)
        return np.concatenate(found, axis=1)

    def _gates(self, mixture: Mixture, outputs: Mapping[int, Ints]) -> Ints:
        """Whole numbers, 0 of experts that are not fired; shape (vectors, stored)."""
        fires, largest = self._operands.fires[mixture.choice], (1 << self._operands.input_bits) - 1
        if not mixture.routers:
            random = np.random.default_rng([self._operands.seed, _GATES, mixture.choice])
            return np.asarray(random.integers(0, largest, fires.shape, endpoint=True) * fires)
        name = mixture.routers[0]
        scale = max(1.0, float(self._made(name, self._expected).std()))
        scores = np.where(fires, self._made(name, outputs) / scale, -np.inf)
        shares: Floats = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(np.rint(largest * shares / shares.sum(axis=1, keepdims=True)).astype(np.int64))

    def _made(self, linear: str, outputs: Mapping[int, Ints]) -> Ints:
        """What a linear makes, in the order of its outputs; shape (vectors, n_out)."""
        factor = self._final[linear]
        y = outputs[factor.id]
        # Block b, column s of L makes element s * l + b.
        return y.reshape(len(y), factor.blocks, factor.block_cols).swapaxes(1, 2).reshape(len(y), -1)


def _mixtures(problem: Problem, final: Mapping[str, Factor], operands: Operands) -> Iterator[Mixture]:
    steps, stages = problem.model.steps, operands.workload.stages
    of_choice: dict[int, list[Step]] = {}
    for step in steps:
        own = [linear for linear in step.linears if linear.expert is not None]
        if own and own[0].name in final:
            choice = stages[final[own[0].name].stage].choice
            assert choice is not None
            of_choice.setdefault(choice, []).append(step)
    for choice, members in of_choice.items():
        first, last = members[0], members[-1]
        assert last.experts is not None
        read = [linear for index in first.reads for linear in steps[index].linears if linear.name in final]
        routers = tuple(each.name for each in read if each.n_out == last.experts.stored and each.expert is None)
        places = _by_place(last)
        yield Mixture(final[places[0][0]].stage, f"{last.name}.sum", choice, routers, places)


def _by_place(step: Step) -> tuple[tuple[str, ...], ...]:
    assert step.experts is not None
    of_each = ([each.name for each in step.linears if each.expert == expert] for expert in range(step.experts.stored))
    return tuple(zip(*of_each, strict=True))
