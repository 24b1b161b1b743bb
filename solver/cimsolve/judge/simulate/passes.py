"""Token passes of one mapping: as its converters are, and without their rounding, beside what must come out."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

from cimsolve.columns import Ints
from cimsolve.judge.simulate.converters import Converters
from cimsolve.judge.simulate.crossbar import Crossbars
from cimsolve.judge.simulate.deviation import Deviation, SimulationReport, compare_stages, describe_first_mismatch
from cimsolve.judge.simulate.expected import ExpectedOutputs
from cimsolve.judge.simulate.firing import collect_firings
from cimsolve.judge.simulate.operands import Operands
from cimsolve.judge.simulate.routes import Mixer
from cimsolve.judge.simulate.token_pass import Progress, TokenPass
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Activations, Pieces


class Passes(NamedTuple):
    """What was found, and what the arrays made: factor -> outputs, shape (vectors, length)."""

    report: SimulationReport
    outputs: Mapping[int, Ints]
    ideal: Mapping[int, Ints]
    """Of converters that do not round."""


def run_passes(
    problem: Problem,
    pieces: Pieces,
    activations: Activations,
    operands: Operands,
    reference: ExpectedOutputs,
    ideal_operands: Operands | None = None,
    progress: Progress | None = None,
) -> Passes:
    """Programme the arrays and fire all; `ideal_operands`: other inputs for converters that do not round."""
    begun = time.perf_counter()
    firings = collect_firings(problem, operands, pieces, activations)
    converters = Converters.of(problem.hardware, firings.stacked, firings.claimed_bits)
    once = ideal_operands is None and bool(converters.exact.all())

    crossbars = Crossbars(problem, operands, firings)

    def token_pass(inputs: Operands, ideal: bool) -> TokenPass:
        return TokenPass(problem, inputs, firings, crossbars, reference, converters, ideal=ideal, progress=progress)

    first = token_pass(operands, once)
    outputs = first.run()
    ideal_outputs = outputs if once else token_pass(ideal_operands or operands, True).run()
    mixer = Mixer(problem, operands, reference.outputs)
    stages, ideal_stages = (
        (*compare_stages(operands, reference.outputs, each), *mixer.compare(each)) for each in (outputs, ideal_outputs)
    )
    report = SimulationReport(
        layers=operands.layers,
        stages=stages,
        overall=Deviation.total([stage.deviation for stage in stages]),
        ideal=Deviation.total([stage.deviation for stage in ideal_stages]),
        vectors=operands.vectors,
        activations=first.fired,
        lossless_expected=once,
        first_mismatch=describe_first_mismatch(operands, reference.outputs, ideal_outputs)
        or describe_first_mismatch(operands, reference.outputs, outputs),
        weight_scales={factor: float(scale[0]) for factor, scale in operands.scales.items()},
        weight_error=operands.weight_error,
        seconds=time.perf_counter() - begun,
    )
    return Passes(report, outputs, ideal_outputs)
