"""Which experts each vector's token fires, and how much of each goes into the sum of what they make.

Routes are drawn by the question's routing. Gates are computed of the scores that the router makes, as the model has
them, in whole numbers of the input's bits, 2^bits - 1 being 1; sums lose as many bits again. The scale of the scores is
known offline, as are those between R and L: that at which the root of the mean square of the reference's is 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from cimsolve.columns import Floats, Ints
from cimsolve.judge.simulate.deviation import StageDeviation, deviation_of
from cimsolve.judge.simulate.operands import Operands
from cimsolve.model.model import Gates, Step
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
    gates: Gates
    places: tuple[tuple[str, ...], ...]
    """The linears of each place in an expert, by expert."""
    shared: tuple[str, ...]
    """The linear of each place that every token fires; empty where none are added."""
    shared_gate: str | None
    """The linear whose one output is the score, by a sigmoid, of what every token fires."""


class Mixer:
    """The sums over experts, made of outputs of the arrays and of the reference alike."""

    def __init__(self, problem: Problem, operands: Operands, expected: Mapping[int, Ints]) -> None:
        """`expected`: factor -> its output, of the factors that are simulated."""
        self._problem, self._operands, self._expected = problem, operands, expected
        final = (factor for factor in operands.workload.factors if factor.kind != "R")
        self._final = {factor.linear: factor for factor in final if operands.simulated[factor.id]}
        self._mixtures = tuple(_mixtures(problem, self._final, operands))
        self._largest = (1 << operands.input_bits) - 1

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
            found.append((gates[:, :, None] * made).sum(axis=1))
        for place, name in enumerate(mixture.shared):
            found[place] = found[place] + self._shared_gate(mixture, outputs) * self._made(name, outputs)
        return np.concatenate(found, axis=1) >> self._operands.input_bits

    def _gates(self, mixture: Mixture, outputs: Mapping[int, Ints]) -> Ints:
        """Whole numbers, 0 of experts that are not fired; shape (vectors, stored)."""
        fires = self._operands.fires[mixture.choice]
        if mixture.gates == "none":
            return np.asarray(self._largest * fires)
        if not mixture.routers:
            random = np.random.default_rng([self._operands.seed, _GATES, mixture.choice])
            return np.asarray(random.integers(0, self._largest, fires.shape, endpoint=True) * fires)
        scores = self._scores(mixture.routers[0], outputs)
        if "sigmoid" in mixture.gates:
            scores = _log_sigmoid(scores)
        if mixture.gates != "sigmoid":
            # Sigmoids divided by their sum are the softmax of their logarithms.
            among = scores if mixture.gates == "softmax of all" else np.where(fires, scores, -np.inf)
            scores = among - np.logaddexp.reduce(among, axis=1, keepdims=True)
        return self._whole(np.exp(scores) * fires)

    def _shared_gate(self, mixture: Mixture, outputs: Mapping[int, Ints]) -> Ints:
        """A whole number for each vector, or one for all."""
        if mixture.shared_gate is None:
            return np.array(self._largest)
        return self._whole(np.exp(_log_sigmoid(self._scores(mixture.shared_gate, outputs))))

    def _scores(self, linear: str, outputs: Mapping[int, Ints]) -> Floats:
        scale = max(1.0, float(np.sqrt(np.square(self._made(linear, self._expected).astype(np.float64)).mean())))
        return np.asarray(self._made(linear, outputs) / scale)

    def _whole(self, shares: Floats) -> Ints:
        return np.asarray(np.rint(self._largest * shares).astype(np.int64))

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
        shared_gate = next((each.name for each in read if each.n_out == 1 and each.name not in routers[:1]), None)
        places, always = _by_place(last), [each for each in last.linears if each.expert is None]
        widths = [each.n_out for each in last.linears if each.expert == 0]
        shared = tuple(each.name for each in always) if [each.n_out for each in always] == widths else ()
        stage, name = final[places[0][0]].stage, f"{last.name}.sum"
        yield Mixture(stage, name, choice, routers, last.experts.gates, places, shared, shared_gate)


def _log_sigmoid(scores: Floats) -> Floats:
    return np.asarray(-np.logaddexp(0.0, -scores))


def _by_place(step: Step) -> tuple[tuple[str, ...], ...]:
    assert step.experts is not None
    of_each = ([each.name for each in step.linears if each.expert == expert] for expert in range(step.experts.stored))
    return tuple(zip(*of_each, strict=True))
