"""How much signal each stage keeps, and what takes the rest: a model's arrays run once for each effect alone.

Expected are the integer products of the reference; what differs from them is noise, whatever its cause. Random
inputs are unsigned integers u that stand for u - 2^(bits - 1), as real ones do about their zero point: the mean
that this takes off every output would otherwise pass for signal.

Effects are switched on alone, the converters then neither rounding nor clipping, and all together. Their
contributions need not add: rounding hides small noise, clipping hides large one, and what an R factor gets wrong
its L factor reads.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cimsolve.columns import Ints
from cimsolve.judge.names import Kernel, Pairs, Range
from cimsolve.judge.simulate.deviation import Deviation, StageDeviation, compare_stages
from cimsolve.judge.simulate.expected import ExpectedOutputs, compute_reference, shuffled
from cimsolve.judge.simulate.noise import Noise
from cimsolve.judge.simulate.operands import Operands, RealFactors, RealWeights, prepare_operands
from cimsolve.judge.simulate.routes import Mixer
from cimsolve.judge.simulate.simulator import ArraySimulator
from cimsolve.judge.simulate.token_pass import Progress
from cimsolve.problem.laps import first_lap
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Activations, Pieces

TOGETHER = "all together"
ROUNDING, CLIPPING = "rounding", "clipping"


@dataclass(frozen=True)
class Study:
    """What a study found, effect by effect; `TOGETHER` comes first."""

    stages: Mapping[str, tuple[StageDeviation, ...]]
    """Effect -> the deviation of each simulated stage, in dataflow order."""
    layers: tuple[int, ...]
    vectors: int
    seed: int
    noise: Noise
    lossless: bool
    """Every converter has a code for every sum that its whole columns can give: noise apart, nothing is lost."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """`pairs`, `adc_bits_max`, `adc_range` as asked for."""
    seconds: float = 0.0
    kernels: tuple[str, ...] = ()
    """Kernels that have run, of "numba" and "numpy"."""

    def overall(self, effect: str = TOGETHER) -> Deviation:
        return Deviation.total([stage.deviation for stage in self.stages[effect]])

    def median_db(self, effect: str = TOGETHER) -> float:
        """Median signal-to-noise ratio of the stages: pooled outputs would show the largest integers alone."""
        return statistics.median(stage.deviation.snr_db for stage in self.stages[effect])

    def worst_stage(self, effect: str = TOGETHER) -> StageDeviation:
        """The stage with the least signal-to-noise ratio."""
        return min(self.stages[effect], key=lambda stage: stage.deviation.snr_db)


def study(
    problem: Problem,
    pieces: Pieces,
    activations: Activations,
    *,
    layers: Sequence[int] | None = None,
    vectors: int = 16,
    seed: int = 0,
    weights: RealWeights | None = None,
    factors: RealFactors | None = None,
    noise: Noise | None = None,
    pairs: Pairs = "converted",
    adc_bits_max: int | None = None,
    adc_range: Range = "full",
    kernel: Kernel = "auto",
    progress: Progress | None = None,
) -> Study:
    """Run `layers` (None: all) on random input vectors with every effect alone and with all together.

    The mapping is taken to be legal. With a "calibrated" range each linear is calibrated on the vectors it is then
    run on. Raises InputError as `ArraySimulator` does, and for vectors or a seed that are none.
    """
    problem, pieces, activations = first_lap(problem, pieces, activations)
    operands = prepare_operands(problem, layers, vectors, seed, weights or {}, factors)
    return study_operands(
        problem,
        pieces,
        activations,
        operands,
        compute_reference(problem, operands),
        noise=noise,
        pairs=pairs,
        adc_bits_max=adc_bits_max,
        adc_range=adc_range,
        kernel=kernel,
        progress=progress,
    )


def study_operands(
    problem: Problem,
    pieces: Pieces,
    activations: Activations,
    operands: Operands,
    reference: ExpectedOutputs,
    *,
    noise: Noise | None = None,
    pairs: Pairs = "converted",
    adc_bits_max: int | None = None,
    adc_range: Range = "full",
    kernel: Kernel = "auto",
    progress: Progress | None = None,
) -> Study:
    """`study` on these weights and inputs, whose products are the `reference`."""
    begun, seed = time.perf_counter(), operands.seed
    noise = Noise() if noise is None else noise
    expected = {
        factor: output
        - operands.fired(factor)[:, None]
        * (0 if made.kind == "L" else _zero_point(operands) * operands.column_sums(made))
        for factor, output in reference.outputs.items()
        for made in [operands.workload.factors[factor]]
    }
    mixer = Mixer(problem, operands, expected)
    stages: dict[str, tuple[StageDeviation, ...]] = {}
    lossless = False
    kernels: set[str] = set()
    runs = list(_runs(noise))
    simulator: ArraySimulator | None = None
    for number, (name, alone, rounds, clips) in enumerate(runs):
        if simulator is not None and alone == simulator.noise == Noise():
            simulator = simulator.with_converters(
                adc_bits_max=adc_bits_max, adc_range=adc_range, rounds=rounds, clips=clips
            )
        else:
            simulator = None  # its cells, before the next ones are programmed
            simulator = ArraySimulator(
                problem,
                pieces,
                activations,
                operands=operands,
                noise=alone,
                seed=seed,
                pairs=pairs,
                adc_bits_max=adc_bits_max,
                adc_range=adc_range,
                rounds=rounds,
                clips=clips,
                kernel=kernel,
            )
        outputs: dict[int, Ints] = {}
        for done, linear in enumerate(simulator.linears, 1):
            outputs |= _run_linear(simulator, operands, reference, linear)
            if progress is not None:
                progress(number * len(simulator.linears) + done, len(runs) * len(simulator.linears))
        stages[name] = (*compare_stages(operands, expected, outputs), *mixer.compare(outputs))
        lossless = not simulator.lossy if name == TOGETHER else lossless
        kernels |= simulator.kernels
    return Study(
        stages=stages,
        layers=operands.layers,
        vectors=operands.vectors,
        seed=seed,
        noise=noise,
        lossless=lossless,
        settings={"pairs": pairs, "adc_bits_max": adc_bits_max, "adc_range": adc_range},
        seconds=time.perf_counter() - begun,
        kernels=tuple(sorted(kernels)),
    )


def _runs(noise: Noise) -> Iterator[tuple[str, Noise, bool, bool]]:
    """Name, noise, whether converters round, whether they clip."""
    yield TOGETHER, noise, True, True
    yield ROUNDING, Noise(), True, False
    yield CLIPPING, Noise(), False, True
    for name, alone in noise.alone():
        yield name, alone, False, False


def _run_linear(
    simulator: ArraySimulator, operands: Operands, reference: ExpectedOutputs, linear: str
) -> dict[int, Ints]:
    """Outputs of a linear's factors, in whole numbers, for the vectors that the reference ran on."""
    outputs: dict[int, Ints] = {}
    values: Ints | None = None
    for factor in simulator.factors_of(linear):
        requantiser = reference.requantisers.get(linear)
        if values is None:
            values = operands.draw(factor.input)
        if simulator.calibrates:
            simulator.calibrate_factor(factor.id, values)
        sums = simulator.integers(factor.id, values)
        zero_point = _zero_point(operands) * operands.column_sums(factor)
        outputs[factor.id] = (np.rint(sums).astype(np.int64) - zero_point) * operands.fired(factor.id)[:, None]
        if factor.kind == "R" and requantiser is not None:
            values = shuffled(simulator.problem.structures[linear], requantiser.apply(sums))
    return outputs


def _zero_point(operands: Operands) -> int:
    return 1 << (operands.input_bits - 1)
