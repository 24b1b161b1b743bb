"""The functional simulation of a placed and scheduled model: do its arrays give the right numbers?

Cells are programmed as placed, activations fire as scheduled, column sums pass the converters as claimed, and
the outputs are compared with plain integer products. Whether a mapping is legal is not asked: an illegal one
computes something else, and that shows.

- Weights are integers, random over all that the cells can hold unless given (`encoding`). Of every
  array that a simulated layer uses all is programmed that a firing can meet, weights of other layers as random cells
  (`crossbar`).
- Of experts each vector's token fires those of a route, drawn by the question's routing and the seed; what they make
  is summed digitally, by gates computed from what the router makes (`routes`).
- Each step of the model reads its own random vector of unsigned integers of `input.bits`, driven in phases of
  `dac_bits`. All rows that an activation's pieces want are driven for all columns that it reads.
- Sums pass the converters (`converters`); phases, slices and polarities are shifted and added, offsets
  subtracted, partial sums of row cuts added. Stacked pieces of one output element share one conversion.
- An activation reads of z what had ended when it started, requantised and shuffled (`firing`, `reference`).

Not modelled: gaps, two activations of one array at one time, what lies between linears.

That is `simulate`. Beside it stands `ArraySimulator`, which takes the mapping to be legal and runs batches of any
inputs fast, with noise of cells and converters (`noise`); `study` says what each kind of noise takes of the signal.
"""

from __future__ import annotations

from collections.abc import Sequence

from cimsolve.judge.simulate.deviation import Deviation, SimulationReport, StageDeviation
from cimsolve.judge.simulate.effects import Study, study
from cimsolve.judge.simulate.expected import compute_reference
from cimsolve.judge.simulate.noise import Noise
from cimsolve.judge.simulate.operands import RealFactors, RealWeights, prepare_operands
from cimsolve.judge.simulate.passes import run_passes
from cimsolve.judge.simulate.simulator import ArraySimulator
from cimsolve.judge.simulate.token_pass import Progress
from cimsolve.problem.laps import first_lap
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Activations, Pieces

__all__ = [
    "ArraySimulator",
    "Deviation",
    "Noise",
    "RealFactors",
    "RealWeights",
    "SimulationReport",
    "StageDeviation",
    "Study",
    "simulate",
    "study",
]


def simulate(
    problem: Problem,
    pieces: Pieces,
    activations: Activations,
    *,
    layers: Sequence[int] | None = None,
    vectors: int = 1,
    seed: int = 0,
    weights: RealWeights | None = None,
    factors: RealFactors | None = None,
    progress: Progress | None = None,
) -> SimulationReport:
    """Run one token pass of `layers` (None: all) on `vectors` input vectors at once and compare every output.

    `weights` maps names of linears to their Monarch factors or to the dense float matrix (n_in, n_out), which
    is projected if the linear is stored as Monarch; each factor is quantised symmetrically to `weight.bits`.
    `factors` maps names to (R, L) as docs/formulation.md lays them out; where a linear is stored as Monarch they are
    taken as they are, before `weights`. Linears without an entry get random weights. `progress(done, total)` counts
    the activations of each run.

    Each vector is a token with experts of its own, by the question's routing and `seed`.

    Weights that fire again do so as at first, with other inputs: of them the first firing is run.

    Where converters must lose something the pass runs twice, the second time without rounding: that run
    verifies mapping and schedule. Raises InputError for unknown layers, weights that do not fit, and bits so
    many that sums are not exact in float64.
    """
    problem, pieces, activations = first_lap(problem, pieces, activations)
    operands = prepare_operands(problem, layers, vectors, seed, weights or {}, factors)
    reference = compute_reference(problem, operands)
    return run_passes(problem, pieces, activations, operands, reference, progress=progress).report
