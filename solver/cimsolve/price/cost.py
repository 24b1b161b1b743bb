"""The analytical cost model: cycles, picojoules and square millimetres of a placed and scheduled model.

docs/formulation.md, section "Costs". Everything is computed from the tables of a solution; nothing a strategy
believes enters here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cimsolve.columns import Floats, Ints, max_by, merge_intervals, sum_by
from cimsolve.price.breakdown import split_energy, split_latency
from cimsolve.price.firings import ActivationShapes, measure_activations
from cimsolve.price.fixed import find_fixed
from cimsolve.price.gaps import (
    Gaps,
    find_gaps,
    gaps_of_phases,
    least_partial_sum_elements,
    own_gaps,
    partial_sum_elements,
)
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Activations, Pieces

Metrics = dict[str, int | float]


@dataclass(frozen=True)
class StageCosts:
    """One row per stage, shape (stages,): when it runs, in cycles of one token pass, and its activations."""

    start: Ints
    end: Ints
    activations: Ints


@dataclass(frozen=True)
class Costs:
    """What a mapping costs: the metrics, and the same by stage, by phase and by component."""

    metrics: Metrics
    stages: StageCosts
    gaps: Gaps
    cycles: Mapping[str, Ints]
    """`array`, `partial_sums`, `digital`, `transfer`, `wait` -> cycles by stage and, last, of the tail; shape
    (stages + 1,). All of it sums to `latency_cycles`."""
    array_pj: Mapping[str, Floats]
    """Component -> pJ likewise, of the arrays; all of it sums to `array_energy_pj`."""
    outside_pj: Mapping[str, Floats]
    """The same of gaps and leakage; both together sum to `energy_pj`, exactly and in any order."""
    phases: tuple[PhaseCosts, ...]
    shapes: ActivationShapes

    @property
    def latency_components_cycles(self) -> dict[str, int]:
        """Component -> cycles; sums to `latency_cycles`."""
        return {name: int(values.sum()) for name, values in self.cycles.items()}

    @property
    def energy_components_pj(self) -> dict[str, float]:
        """Component -> pJ per token; sums to `energy_pj`."""
        return {name: float(values.sum()) for name, values in {**self.array_pj, **self.outside_pj}.items()}


@dataclass(frozen=True)
class PhaseCosts:
    """One stretch between attention barriers: `fill` for the first token, `ii` for each token after it.

    `ii` is the largest of what its busiest array, the digital units and the interconnect do per token.
    """

    phase: int
    fill_cycles: int
    ii_cycles: int
    array_fill_cycles: int
    array_ii_cycles: int
    digital_cycles: int
    transfer_cycles: int
    prefill_cycles: int
    """fill + (tokens - 1) * ii; sums to `prefill_ns` in cycles."""


def evaluate(problem: Problem, pieces: Pieces, activations: Activations) -> Costs:
    """All metrics of a solution's tables. The tables must be well formed; whether they are legal is not asked."""
    hardware = problem.hardware
    fires = activations.of_piece(len(pieces))
    shapes = measure_activations(hardware, pieces, fires, len(activations))
    added = partial_sum_elements(problem, pieces)
    gaps = find_gaps(problem, added)
    stage = np.zeros(len(activations), dtype=np.int64)
    stage[fires] = problem.table.stage[pieces.factor]
    stages = _stage_times(problem, activations, stage)
    used, compact = np.unique(activations.array, return_inverse=True)
    arrays = len(used)
    busy = sum_by(compact, activations.end - activations.start, arrays)
    cycles = split_latency(problem, stages.start, stages.end, gaps)
    tail_cycles = gaps.tails[list(gaps.tails)[-1]].cycles
    latency = int(stages.end.max() - stages.start.min()) + tail_cycles
    array_latency = _covered(stages.start, stages.end)
    clock_ns = hardware.clock_ps / 1000
    phases = _phases(problem, activations, stage, compact, arrays, stages, gaps)
    tokens = problem.model.tokens
    prefill = sum(phase.prefill_cycles for phase in phases)
    prefill_array = sum(phase.array_fill_cycles + (tokens - 1) * phase.array_ii_cycles for phase in phases)
    digital_busy = sum(gap.partial_sum_cycles + gap.digital_cycles for gap in own_gaps(problem, gaps))
    transfer_busy = sum(gap.transfer_cycles for gap in own_gaps(problem, gaps))
    interval = max(int(busy.max()), digital_busy, transfer_busy)
    leakage_pj = arrays * hardware.array.leakage_uw * clock_ns * 1e-3  # in a cycle
    array_pj, outside_pj = split_energy(
        problem, shapes, activations, stage, gaps, leakage_pj * np.sum(list(cycles.values()), axis=0)
    )
    array_energy = _total(array_pj)
    energy = array_energy + _total(outside_pj)
    dynamic = energy - _total({"leakage": outside_pj["leakage"]})
    least = least_partial_sum_elements(problem)
    fixed = find_fixed(problem, gaps if (added == least).all() else find_gaps(problem, least))
    weight_cells = stored_cells(pieces) * hardware.columns_per_weight
    bits_used = activations.adc_bits
    metrics: Metrics = {
        "arrays": arrays,
        "occupancy": weight_cells / (arrays * hardware.array.rows * hardware.array.cols),
        "latency_cycles": latency,
        "latency_ns": latency * clock_ns,
        "array_latency_ns": array_latency * clock_ns,
        "prefill_tokens": tokens,
        "prefill_ns": prefill * clock_ns,
        "array_prefill_ns": prefill_array * clock_ns,
        "ii_cycles": interval,
        "ii_ns": interval * clock_ns,
        "array_ii_cycles": int(busy.max()),
        "array_ii_ns": int(busy.max()) * clock_ns,
        "decode_tokens_per_s": 1e9 / (latency * clock_ns),
        "prefill_tokens_per_s": tokens * 1e9 / (prefill * clock_ns),
        "throughput_tokens_per_s": 1e9 / (interval * clock_ns),
        "energy_pj": energy,
        "array_energy_pj": array_energy,
        "prefill_energy_pj": tokens * dynamic + leakage_pj * prefill,
        "throughput_energy_pj": dynamic + leakage_pj * interval,
        "fixed_latency_ns": fixed.latency_cycles * clock_ns,
        "fixed_prefill_ns": fixed.prefill_cycles * clock_ns,
        "fixed_ii_cycles": fixed.ii_cycles,
        "fixed_ii_ns": fixed.ii_cycles * clock_ns,
        "fixed_energy_pj": fixed.energy_pj,
        "area_mm2": _area_mm2(problem, arrays, bits_used),
        "adc_conversions": hardware.input_phases * int(shapes.columns.sum()),
        "adc_bits_max": int(bits_used.max()),
        "lossy_activations": int((hardware.adc_bits_needed(shapes.stacked) > bits_used).sum()),
        "array_busy_share": float(busy.sum() / (arrays * latency)),
        "active_cell_share": _active_cell_share(problem, shapes, activations, arrays, array_latency),
        "pieces": len(pieces),
        "activations": len(activations),
    }
    return Costs(metrics, stages, gaps, cycles, array_pj, outside_pj, phases, shapes)


def stored_cells(pieces: Pieces) -> int:
    """Logical cells that the pieces occupy."""
    return int((pieces.rows.astype(np.int64) * pieces.cols).sum())


def _total(parts: Mapping[str, Floats]) -> float:
    """The sum of all; exact, as `split_energy` rounds every part to a common grid."""
    return float(sum(values.sum() for values in parts.values()))


def _stage_times(problem: Problem, activations: Activations, stage: Ints) -> StageCosts:
    count = len(problem.workload.stages)
    start = np.full(count, np.iinfo(np.int64).max, dtype=np.int64)
    np.minimum.at(start, stage, activations.start)
    return StageCosts(start, max_by(stage, activations.end, count), np.bincount(stage, minlength=count))


def _covered(start: Ints, end: Ints) -> int:
    """Length of the union of intervals."""
    _, low, high = merge_intervals(np.zeros(len(start), dtype=np.int64), start, end)
    return int((high - low).sum())


def _phases(
    problem: Problem,
    activations: Activations,
    stage: Ints,
    array: Ints,
    arrays: int,
    stages: StageCosts,
    gaps: Gaps,
) -> tuple[PhaseCosts, ...]:
    nodes = problem.workload.stages
    names, phase_of_stage = np.unique([node.phase for node in nodes], return_inverse=True)
    busy = sum_by(phase_of_stage[stage] * arrays + array, activations.end - activations.start, len(names) * arrays)
    busiest = busy.reshape(len(names), arrays).max(axis=1)
    found: list[PhaseCosts] = []
    previous_end = int(stages.start.min())
    for index, (name, work) in enumerate(gaps_of_phases(problem, gaps).items()):
        members = np.flatnonzero(phase_of_stage == index)
        # Phases of parallel branches may overlap: each is charged what it adds to the time so far.
        end = max(previous_end, int(stages.end[members].max()))
        end += sum(tail.cycles for tail in gaps.tails.values() if any(tail is gap for gap in work))
        digital = sum(gap.partial_sum_cycles + gap.digital_cycles for gap in work)
        transfer = sum(gap.transfer_cycles for gap in work)
        fill, interval = end - previous_end, max(int(busiest[index]), digital, transfer)
        found.append(
            PhaseCosts(
                phase=name,
                fill_cycles=fill,
                ii_cycles=interval,
                array_fill_cycles=_covered(stages.start[members], stages.end[members]),
                array_ii_cycles=int(busiest[index]),
                digital_cycles=digital,
                transfer_cycles=transfer,
                prefill_cycles=fill + (problem.model.tokens - 1) * interval,
            )
        )
        previous_end = end
    return tuple(found)


def _area_mm2(problem: Problem, arrays: int, bits: Ints) -> float:
    """Arrays with converters of the widest resolution that any activation uses."""
    hardware = problem.hardware
    converter_um2 = float(hardware.converter_um2(np.array([bits.max()]))[0])
    return arrays * (hardware.array.area_um2 + hardware.adc.per_array * converter_um2) * 1e-6


def _active_cell_share(
    problem: Problem, shapes: ActivationShapes, activations: Activations, arrays: int, array_latency: int
) -> float:
    """Share of all cells that take part in a product, averaged over the time in which any array works."""
    cells = problem.hardware.array.rows * problem.hardware.array.cols
    active = float((shapes.cells * (activations.end - activations.start)).sum())
    return active / (arrays * cells * array_latency)
