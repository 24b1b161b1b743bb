"""The analytical cost model: cycles, picojoules and square millimetres of a placed and scheduled model.

docs/formulation.md, section "Costs". Everything is computed from the tables of a solution; nothing a strategy
believes enters here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cimsolve.activation import ActivationShapes, measure_activations
from cimsolve.arrays import Floats, Ints, max_by, merge_intervals, sum_by
from cimsolve.gaps import Gap, Gaps, find_gaps, partial_sum_elements
from cimsolve.mapping import Activations, Pieces
from cimsolve.problem import Problem

Metrics = dict[str, int | float]


@dataclass(frozen=True)
class StageCosts:
    """One row per stage, shape (stages,); cycles and pJ of one token pass."""

    start: Ints
    end: Ints
    partial_sum_cycles: Ints
    digital_cycles: Ints
    transfer_cycles: Ints
    activations: Ints
    array_pj: Floats
    gap_pj: Floats


@dataclass(frozen=True)
class Costs:
    """What a mapping costs: the metrics, and the same by stage, by phase and by component."""

    metrics: Metrics
    stages: StageCosts
    gaps: Gaps
    energy_components_pj: Mapping[str, float]
    """Component -> pJ per token; sums to `energy_pj`."""
    latency_components_cycles: Mapping[str, int]
    """`array`, `partial_sums`, `digital`, `transfer`, `wait`: cycles; sums to `latency_cycles`."""
    phases: tuple[PhaseCosts, ...]
    shapes: ActivationShapes


@dataclass(frozen=True)
class PhaseCosts:
    """One stretch between attention barriers: `fill` for the first token, `ii` for each token after it."""

    phase: int
    fill_cycles: int
    ii_cycles: int
    array_fill_cycles: int
    array_ii_cycles: int


def evaluate(problem: Problem, pieces: Pieces, activations: Activations) -> Costs:
    """All metrics of a solution's tables. The tables must be well formed; whether they are legal is not asked."""
    hardware = problem.hardware
    fires = activations.of_piece(len(pieces))
    shapes = measure_activations(hardware, pieces, fires, len(activations))
    gaps = find_gaps(problem, partial_sum_elements(problem, pieces))
    stage = np.zeros(len(activations), dtype=np.int64)
    stage[fires] = problem.table.stage[pieces.factor]
    array_energy_pj, by_activation_pj = _activation_energy(problem, shapes, activations)
    stages = _stage_costs(problem, activations, stage, gaps, by_activation_pj)
    used, compact = np.unique(activations.array, return_inverse=True)
    arrays = len(used)
    busy = sum_by(compact, activations.end - activations.start, arrays)
    tail_cycles = gaps.tails[list(gaps.tails)[-1]].cycles
    latency = int(stages.end.max() - stages.start.min()) + tail_cycles
    array_latency = _covered(stages.start, stages.end)
    clock_ns = hardware.clock_ps / 1000
    phases = _phases(problem, activations, stage, compact, arrays, stages, gaps)
    tokens = problem.model.tokens
    prefill = sum(phase.fill_cycles + (tokens - 1) * phase.ii_cycles for phase in phases)
    prefill_array = sum(phase.array_fill_cycles + (tokens - 1) * phase.array_ii_cycles for phase in phases)
    all_gaps = [*_own_gaps(problem, gaps), *gaps.tails.values()]
    digital_busy = sum(gap.partial_sum_cycles + gap.digital_cycles for gap in all_gaps)
    transfer_busy = sum(gap.transfer_cycles for gap in all_gaps)
    energy_pj = dict(array_energy_pj)
    for gap in all_gaps:
        for name, value in gap.energy_pj.items():
            energy_pj[name] = energy_pj.get(name, 0.0) + value
    leakage_pj = arrays * hardware.array.leakage_uw * latency * clock_ns * 1e-3
    energy_pj["leakage"] = leakage_pj
    latency_parts = {
        "array": array_latency,
        "partial_sums": sum(gap.partial_sum_cycles for gap in all_gaps),
        "digital": sum(gap.digital_cycles for gap in all_gaps),
        "transfer": transfer_busy,
    }
    # Gaps of parallel stages may hide behind arrays, and a schedule may idle: the rest is named, not hidden.
    latency_parts["wait"] = latency - sum(latency_parts.values())
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
        "ii_cycles": max(int(busy.max()), digital_busy, transfer_busy),
        "array_ii_cycles": int(busy.max()),
        "energy_pj": sum(energy_pj.values()),
        "array_energy_pj": sum(array_energy_pj.values()),
        "area_mm2": _area_mm2(problem, arrays, bits_used),
        "adc_conversions": hardware.input_phases * int(shapes.columns.sum()),
        "adc_bits_max": int(bits_used.max()),
        "lossy_activations": int((hardware.adc_bits_needed(shapes.stacked) > bits_used).sum()),
        "array_busy_share": float(busy.sum() / (arrays * latency)),
        "active_cell_share": _active_cell_share(problem, shapes, activations, arrays, array_latency),
        "pieces": len(pieces),
        "activations": len(activations),
    }
    return Costs(metrics, stages, gaps, energy_pj, latency_parts, phases, shapes)


def stored_cells(pieces: Pieces) -> int:
    """Logical cells that the pieces occupy."""
    return int((pieces.rows.astype(np.int64) * pieces.cols).sum())


def _own_gaps(problem: Problem, gaps: Gaps) -> list[Gap]:
    """The gaps before stages, without those that repeat the tail of an earlier pass."""
    workload = problem.workload
    return [gaps.before[stage.id] for stage in workload.stages if workload.continues_pass(stage.id)]


def _activation_energy(
    problem: Problem, shapes: ActivationShapes, activations: Activations
) -> tuple[dict[str, float], Floats]:
    hardware = problem.hardware
    if hardware.macro is not None:
        each = np.full(len(activations), hardware.macro.mvm_pj)
        return {"macro": float(each.sum())}, each
    energy = hardware.energy_pj
    assert energy is not None
    phases = hardware.input_phases
    parts = {
        "rows": phases * energy.row * shapes.rows,
        "cells": phases * energy.cell * shapes.cells,
        "columns": phases * energy.column * shapes.columns,
        "conversions": phases * hardware.conversion_pj(activations.adc_bits) * shapes.columns,
        "shift_add": phases * energy.shift_add * shapes.columns,
    }
    return {name: float(value.sum()) for name, value in parts.items()}, np.sum(list(parts.values()), axis=0)


def _stage_costs(
    problem: Problem,
    activations: Activations,
    stage: Ints,
    gaps: Gaps,
    energy_pj: Floats,
) -> StageCosts:
    count = len(problem.workload.stages)
    start = np.full(count, np.iinfo(np.int64).max, dtype=np.int64)
    np.minimum.at(start, stage, activations.start)
    return StageCosts(
        start=start,
        end=max_by(stage, activations.end, count),
        partial_sum_cycles=np.array([gap.partial_sum_cycles for gap in gaps.before], dtype=np.int64),
        digital_cycles=np.array([gap.digital_cycles for gap in gaps.before], dtype=np.int64),
        transfer_cycles=np.array([gap.transfer_cycles for gap in gaps.before], dtype=np.int64),
        activations=np.bincount(stage, minlength=count),
        array_pj=np.asarray(np.bincount(stage, weights=energy_pj, minlength=count), dtype=np.float64),
        gap_pj=np.array([sum(gap.energy_pj.values()) for gap in gaps.before]),
    )


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
    for index, name in enumerate(names):
        members = np.flatnonzero(phase_of_stage == index)
        work = [gaps.before[s] for s in members.tolist() if problem.workload.continues_pass(s)]
        # Phases of parallel branches may overlap: each is charged what it adds to the time so far.
        end = max(previous_end, int(stages.end[members].max()))
        # The tail of a pass belongs to its last phase.
        pass_name = nodes[members[-1]].pass_name
        later = [node for node in nodes if node.phase > name and node.pass_name == pass_name]
        if not later:
            work.append(gaps.tails[pass_name])
            end += gaps.tails[pass_name].cycles
        digital = sum(gap.partial_sum_cycles + gap.digital_cycles for gap in work)
        transfer = sum(gap.transfer_cycles for gap in work)
        found.append(
            PhaseCosts(
                phase=int(name),
                fill_cycles=end - previous_end,
                ii_cycles=max(int(busiest[index]), digital, transfer),
                array_fill_cycles=_covered(stages.start[members], stages.end[members]),
                array_ii_cycles=int(busiest[index]),
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
