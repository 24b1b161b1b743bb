"""Least energy of a token and least area: what the spec charges for any mapping."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cimsolve.chip.array_kinds import MeasuredCore
from cimsolve.columns import ceil_div
from cimsolve.price.gaps import least_gaps
from cimsolve.problem.problem import InputGroup, Problem
from cimsolve.prove.network import least_moves_pj
from cimsolve.prove.time import least_activations
from cimsolve.prove.work import (
    ConverterFloor,
    column_price,
    converter_floor,
    group_part_ps,
    least_activation_cycles,
)


def least_energy_pj(
    problem: Problem, arrays: int, most_arrays: int, latency_cycles: int, stage_cycles: Sequence[int]
) -> float:
    """Conversions of every column, every input driven as often as it must be, the gaps, and leakage.

    `arrays`, `latency_cycles` and `stage_cycles` are lower bounds themselves. An activation that reads many columns
    takes long, and the chip leaks meanwhile; one that reads few drives their rows again for the others. Where
    stages form a chain, the least of both together is taken for each stage. A macro is paid by activations, of which
    mappings on `most_arrays` need so many.
    """
    hardware = problem.hardware
    total = sum(sum(gap.energy_pj.values()) for gap in least_gaps(problem).own)
    total += sum(least_moves_pj(problem))
    leaked_pj = arrays * hardware.array.leakage_uw * hardware.clock_ps * 1e-6  # in a cycle
    total += leaked_pj * latency_cycles
    kind, times = hardware.array_kind, problem.workload.positions.tolist()
    if isinstance(kind, MeasuredCore):
        fewest = {groups: least_activations(problem, groups, most_arrays) for groups in set(problem.stage_groups)}
        fired = zip(problem.stage_groups, times, strict=True)
        return float(total + kind.measured.mvm_pj * sum(fewest[groups] * each for groups, each in fired))
    energy, phases = kind.energy, kind.phases
    floor = converter_floor(problem)
    free_rows = problem.cut == "both"
    width = hardware.columns_per_weight
    total += kind.cell_pj * problem.weight_cells_fired * width
    chain = problem.workload.is_chain
    each_pj = floor.energy_pj + energy.column + energy.shift_add
    stages = list(zip(problem.stage_groups, stage_cycles, times, strict=True))
    parts_pj = {
        (groups, least, each): [
            each * phases * group.all_columns * width * column_price(each_pj, group.height, group.parts, free_rows)
            for group in groups
        ]
        + [_least_rows_pj(problem, floor, groups, least, each, phases * energy.row, leaked_pj if chain else 0.0)]
        for groups, least, each in set(stages)
    }
    return float(sum((part for stage in stages for part in parts_pj[stage]), start=total))


def _least_rows_pj(
    problem: Problem,
    floor: ConverterFloor,
    groups: tuple[InputGroup, ...],
    least: int,
    times: int,
    row_pj: float,
    leaked_pj: float,
) -> float:
    """Least energy of the rows that a stage drives so many `times`, and of leakage in what it takes beyond `least`.

    If no activation takes longer than t, none reads more than k(t) columns, so an input element that feeds c
    columns is driven ceil(c / k) times at least, whatever else fires with it. Groups on one vector may share rows.
    """
    feeds: dict[int, tuple[int, int, int]] = {}
    for group in groups:
        part_ps = group_part_ps(problem, floor, group)
        elements, columns, fastest_ps = feeds.get(group.vector, (0, 0, part_ps))
        most_elements = max(elements, group.inputs * group.height)
        feeds[group.vector] = most_elements, columns + group.columns, min(fastest_ps, part_ps)
    reads = np.arange(1, problem.weights_per_row + 1)
    cycles = {ps: times * least_activation_cycles(problem, reads, ps) for _, _, ps in feeds.values()}
    at = np.unique(np.maximum(least, np.concatenate(list(cycles.values()))))
    driven = np.zeros(len(at))
    for elements, columns, ps in feeds.values():
        most = np.searchsorted(cycles[ps], at, side="right")
        driven += elements * -(-columns // np.maximum(most, 1))
        driven[most == 0] = np.inf
    return float((times * row_pj * driven + leaked_pj * (at - least)).min())


def least_area_mm2(problem: Problem, arrays: int) -> float:
    """`arrays` arrays (a lower bound) with converters of the least area that the tallest piece allows."""
    tallest = 1 if problem.cut == "both" else int((-(-problem.table.block_rows // problem.row_parts)).max())
    bits = problem.hardware.adc_bits_used(np.arange(tallest, problem.rows_limit + 1))
    area_um2 = arrays * float(problem.hardware.array_um2(bits).min())
    core, network, topology = problem.hardware.core, problem.hardware.network, problem.hardware.topology
    if core is not None and network is not None and topology is not None:
        cores = ceil_div(arrays, core.arrays)
        area_um2 += cores * core.area_um2 + topology.fewest_routers(cores) * network.area_um2 + network.hub.area_um2
    return area_um2 * 1e-6
