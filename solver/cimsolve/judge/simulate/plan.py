"""Answers in runs as machines: the arrays of each run programmed anew, and what one makes handed on to the next.

Every step's input is made of the outputs of the steps that it reads, by a fixed function in whole numbers that stands
for the digital work between them (`_Handing`); steps that read nothing have random inputs. So the whole model is one
chain of integer products, which is computed without arrays, runs or cuts, and the arrays have to give its numbers: of
what earlier runs made they read their own outputs, so that what one gets wrong all that follow have wrong; within a
run the steps read the chain's. Random weights are numbered as in the whole model, whatever the cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from cimsolve.columns import Ints
from cimsolve.judge.simulate.deviation import Deviation, SimulationReport, StageDeviation
from cimsolve.judge.simulate.effects import Study, study_operands
from cimsolve.judge.simulate.expected import ExpectedOutputs, Requantiser, compute_reference
from cimsolve.judge.simulate.operands import (
    Operands,
    RealFactors,
    RealWeights,
    demand_linears,
    fires_of,
    prepare_operands,
)
from cimsolve.judge.simulate.passes import run_passes
from cimsolve.judge.simulate.token_pass import Progress
from cimsolve.price.mean import routes_of
from cimsolve.problem.laps import first_lap
from cimsolve.problem.plan import AnyPlan, run_problem
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Activations, Pieces

_INPUTS = 3  # stream of random numbers, beside those of the operands

Made = Mapping[int, Ints]
"""Step of the whole model -> all that its linears make, shape (vectors, elements)."""


class MachineRun(NamedTuple):
    """A run to be fired: its tables, and its operands and what they must give, with the chain's own inputs."""

    number: int
    problem: Problem
    pieces: Pieces
    activations: Activations
    operands: Operands
    reference: ExpectedOutputs
    steps: Mapping[int, int]
    """Step of the run -> step of the whole model."""


def simulate_plan(
    plan: AnyPlan,
    *,
    layers: Sequence[int] | None = None,
    vectors: int = 1,
    seed: int = 0,
    weights: RealWeights | None = None,
    factors: RealFactors | None = None,
    progress: Progress | None = None,
) -> SimulationReport:
    """Run one token pass of all runs, or of `layers`, and compare every output with the whole model's.

    Arguments and errors are those of `simulate`. Where converters must lose something, there are two chains of arrays,
    one of which does not round; `weight_error` is the largest of the runs.
    """
    machine = Machine(plan, layers, vectors, seed, weights or {}, factors or {})
    made: dict[int, Ints] = {}
    ideal: dict[int, Ints] = {}
    reports: list[SimulationReport] = []
    stages: list[StageDeviation] = []
    mismatch = ideal_mismatch = None
    for run in machine.runs():
        inputs, ideal_inputs = (machine.with_inputs(run, each) for each in (made, ideal))
        apart = any((inputs.given[each] != ideal_inputs.given[each]).any() for each in inputs.given)
        passes = run_passes(
            run.problem, run.pieces, run.activations, inputs, run.reference, ideal_inputs if apart else None, progress
        )
        report = passes.report
        for outputs, kept in ((passes.outputs, made), (passes.ideal, ideal)):
            kept |= machine.made(run, outputs)
        first = len(stages)
        stages += [replace(each, stage=first + each.stage) for each in report.stages]
        if report.first_mismatch is not None:
            told = f"run {run.number + 1}: {report.first_mismatch}"
            mismatch = mismatch or told
            ideal_mismatch = ideal_mismatch or (told if report.ideal.mismatches else None)
        reports.append(report)
    errors = [report.weight_error for report in reports if report.weight_error is not None]
    return SimulationReport(
        layers=tuple(sorted({layer for report in reports for layer in report.layers})),
        stages=tuple(stages),
        overall=Deviation.total([report.overall for report in reports]),
        ideal=Deviation.total([report.ideal for report in reports]),
        vectors=vectors,
        activations=sum(report.activations for report in reports),
        lossless_expected=all(report.lossless_expected for report in reports),
        first_mismatch=ideal_mismatch or mismatch,
        weight_scales={},
        weight_error=max(errors, default=None),
        seconds=sum(report.seconds for report in reports),
    )


def study_plan(
    plan: AnyPlan,
    *,
    layers: Sequence[int] | None = None,
    vectors: int = 16,
    seed: int = 0,
    weights: RealWeights | None = None,
    factors: RealFactors | None = None,
    **like: Any,
) -> Study:
    """Signal to noise of each stage of all runs, each on the chain's inputs; arguments and errors are those of `study`.

    The noise of each run is drawn anew.
    """
    machine = Machine(plan, layers, vectors, seed, weights or {}, factors or {})
    found = [
        study_operands(
            run.problem,
            run.pieces,
            run.activations,
            replace(run.operands, seed=seed + run.number),
            run.reference,
            **like,
        )
        for run in machine.runs()
    ]
    stages: dict[str, tuple[StageDeviation, ...]] = {}
    for effect in found[0].stages:
        joined = [stage for each in found for stage in each.stages[effect]]
        stages[effect] = tuple(replace(stage, stage=number) for number, stage in enumerate(joined))
    return replace(
        found[0],
        stages=stages,
        layers=tuple(sorted({layer for each in found for layer in each.layers})),
        seed=seed,
        lossless=all(each.lossless for each in found),
        seconds=sum(each.seconds for each in found),
        kernels=tuple(sorted({kernel for each in found for kernel in each.kernels})),
    )


@dataclass
class Machine:
    """The chain of a plan: which weights and inputs each run has, and what it must make. Raises as `simulate` does."""

    plan: AnyPlan
    layers: Sequence[int] | None
    vectors: int
    seed: int
    weights: RealWeights
    factors: RealFactors
    asked: Problem = field(init=False)
    expected: dict[int, Ints] = field(init=False, default_factory=dict)
    """Of the chain: see `Made`."""

    def __post_init__(self) -> None:
        self.asked = Problem(self.plan.question())
        demand_linears(self.asked, self.weights, self.factors)
        workload = self.asked.workload
        self._numbers = {(each.linear, each.kind): each.id for each in reversed(workload.factors)}
        routes = routes_of(self.asked, self.vectors, self.seed)
        self._fires = [fires_of(each, of.stored) for each, of in zip(routes, workload.choices, strict=True)]

    def runs(self) -> Iterator[MachineRun]:
        """All runs that have some of the layers, in order."""
        known = {step.layer for step in self.asked.model.steps}
        if self.layers is not None and not (self.layers and known.issuperset(self.layers)):
            prepare_operands(self.asked, self.layers, self.vectors, self.seed, {})  # which says what is wrong
        for number, (entry, solution) in enumerate(zip(self.plan.header.runs, self.plan.runs, strict=True)):
            problem = run_problem(self.asked, entry.first, entry.end)
            layers = {step.layer for step in problem.model.steps}
            if self.layers is not None and not layers & set(self.layers):
                continue
            problem, pieces, activations = first_lap(problem, solution.pieces, solution.activations)
            operands = self._operands(problem, layers if self.layers is None else layers & set(self.layers))
            steps = self._steps(problem, entry.first)
            operands, reference = self._chained(problem, operands, steps)
            yield MachineRun(number, problem, pieces, activations, operands, reference, steps)

    def with_inputs(self, run: MachineRun, made: Made) -> Operands:
        """The operands of a run that reads of earlier runs what the arrays `made`, of its own steps the chain's."""
        within = {each: self.expected[each] for each in run.steps.values() if each in self.expected}
        given: dict[int, Ints] = {}
        for step, whole in run.steps.items():
            given |= self._inputs(run.problem, run.operands, step, whole, {**made, **within})
        return replace(run.operands, given=given)

    def made(self, run: MachineRun, outputs: Mapping[int, Ints]) -> Made:
        """What each step of a run made, by the outputs of its factors."""
        return {
            whole: found
            for step, whole in run.steps.items()
            if (found := _made(run.problem, run.operands, step, outputs)) is not None
        }

    def _operands(self, problem: Problem, layers: set[int]) -> Operands:
        names = {linear.name for linear in problem.model.linears}
        given = {name: each for name, each in self.weights.items() if name in names}
        factors = {name: each for name, each in self.factors.items() if name in names}
        operands = prepare_operands(
            problem, sorted(layers), self.vectors, self.seed, given, factors, numbers=self._numbers
        )
        choices = {stage.choice: stage.id for stage in problem.workload.stages if stage.choice is not None}
        first = {factor.stage: factor.linear for factor in reversed(problem.workload.factors)}
        whole = self.asked.workload
        stage_of = {factor.linear: factor.stage for factor in whole.factors}
        numbers = [whole.stages[stage_of[first[stage]]].choice for stage in choices.values()]
        return replace(operands, fires=tuple(self._fires[number] for number in numbers if number is not None))

    def _steps(self, problem: Problem, first: int) -> dict[int, int]:
        """Step of a run -> step of the whole model; of weights that fire again the first."""
        whole, at, found = self.asked.model.steps, first, {}
        for number, step in enumerate(problem.model.steps):
            while whole[at].linears[0].name != step.linears[0].name:
                at += 1
            found[number] = at
            at += 1
        return found

    def _chained(
        self, problem: Problem, operands: Operands, steps: Mapping[int, int]
    ) -> tuple[Operands, ExpectedOutputs]:
        """The operands with the chain's inputs, and the products of all, step after step."""
        reference = ExpectedOutputs({}, {})
        for step, whole in steps.items():
            given = self._inputs(problem, operands, step, whole, self.expected)
            operands = replace(operands, given={**operands.given, **given})
            found = compute_reference(problem, operands, problem.model.steps[step].linears)
            reference = ExpectedOutputs(
                {**reference.outputs, **found.outputs}, {**reference.requantisers, **found.requantisers}
            )
            made = _made(problem, operands, step, found.outputs)
            if made is not None:
                self.expected[whole] = made
        return operands, reference

    def _inputs(self, problem: Problem, operands: Operands, step: int, whole: int, made: Made) -> dict[int, Ints]:
        """The vectors that a step reads: made of what was made before it, or random where nothing was."""
        names = {linear.name for linear in problem.model.steps[step].linears}
        read = {each.input: None for each in problem.workload.factors if each.linear in names and each.kind != "L"}
        sources = [each for each in self.asked.model.steps[whole].reads if each in self.expected]
        found = {}
        for place, vector in enumerate(read):
            length = operands.vector_lengths[vector]
            if sources:
                handing = _Handing(length, place)
                covering = handing.fold([self.expected[each] for each in sources])
                requantiser = Requantiser.covering(int(np.abs(covering).max()), operands.input_bits)
                found[vector] = requantiser.apply(handing.fold([made[each] for each in sources]))
            else:
                random = np.random.default_rng([self.seed, _INPUTS, whole, place])
                found[vector] = random.integers(0, 1 << operands.input_bits, (self.vectors, length))
        return found


class _Handing(NamedTuple):
    """From what several steps made to one of the vectors of a step that reads them: added up, part upon part."""

    length: int
    place: int
    """Which vector of the step it is: each begins elsewhere."""

    def fold(self, made: Sequence[Ints]) -> Ints:
        """Shape (vectors, length)."""
        all_of_it = np.roll(np.concatenate(made, axis=1), -self.place, axis=1)
        missing = -all_of_it.shape[1] % self.length
        return np.asarray(
            np.pad(all_of_it, ((0, 0), (0, missing))).reshape(len(all_of_it), -1, self.length).sum(axis=1)
        )


def _made(problem: Problem, operands: Operands, step: int, outputs: Mapping[int, Ints]) -> Ints | None:
    """All that a step's linears make; None where they are not simulated."""
    names = {linear.name for linear in problem.model.steps[step].linears}
    final = [each.id for each in operands.workload.factors if each.linear in names and each.kind != "R"]
    known = [outputs[each] for each in final if each in outputs]
    return np.concatenate(known, axis=1) if known else None
