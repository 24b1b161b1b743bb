"""Least energy of a token and least area: what the spec charges for any mapping."""

from __future__ import annotations

import numpy as np

from cimsolve.bounds.work import column_price, converter_floor, stage_groups
from cimsolve.gaps import find_gaps, least_partial_sum_elements, own_gaps
from cimsolve.problem import Problem


def least_energy_pj(problem: Problem, arrays: int, latency_cycles: int) -> float:
    """Conversions of every column, each input's rows driven once, the gaps, and leakage of the least chip.

    `arrays` and `latency_cycles` are lower bounds themselves. With cut columns rows are driven again, with fewer
    arrays latency grows: the terms cannot all be met at once, which is where this bound is loose.
    """
    hardware = problem.hardware
    gaps = find_gaps(problem, least_partial_sum_elements(problem))
    stages = problem.workload.stages
    total = sum(sum(gap.energy_pj.values()) for gap in own_gaps(problem, gaps))
    total += arrays * hardware.array.leakage_uw * latency_cycles * hardware.clock_ps * 1e-6
    if hardware.macro is not None:
        # Fewest activations: empty cells may let any inputs share one, so only whole arrays count.
        cells = problem.rows * problem.weights_per_row
        per_stage = np.zeros(len(stages), dtype=np.int64)
        table = problem.table
        np.add.at(per_stage, table.stage, table.blocks * table.block_rows * table.block_cols)
        return float(total + hardware.macro.mvm_pj * int((-(-per_stage // cells)).sum()))
    energy = hardware.energy_pj
    assert energy is not None
    floor = converter_floor(problem)
    free_rows = problem.cut == "both"
    width, phases = hardware.columns_per_weight, hardware.input_phases
    total += phases * energy.cell * problem.weight_cells * width
    for groups in stage_groups(problem):
        for group in groups:
            columns = group.inputs * group.columns * width
            each_pj = floor.energy_pj + energy.column + energy.shift_add
            price = column_price(each_pj, group.height, group.parts, free_rows)
            total += phases * columns * price
        # Groups on one vector may share driven rows, so each vector counts once.
        vectors = {group.vector: group.inputs * group.height for group in groups}
        total += phases * energy.row * sum(vectors.values())
    return float(total)


def least_area_mm2(problem: Problem, arrays: int) -> float:
    """`arrays` arrays (a lower bound) with converters of the least area that the tallest piece allows."""
    hardware = problem.hardware
    tallest = 1 if problem.cut == "both" else int((-(-problem.table.block_rows // problem.row_parts)).max())
    bits = hardware.adc_bits_used(np.arange(tallest, problem.rows_limit + 1))
    converter_um2 = float(hardware.converter_um2(bits).min())
    return arrays * (hardware.array.area_um2 + hardware.adc.per_array * converter_um2) * 1e-6
