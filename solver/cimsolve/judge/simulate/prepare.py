"""Programme the arrays once and take from them what each factor's windows read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cimsolve.chip.spec import Hardware
from cimsolve.chip.wiring import converter_of
from cimsolve.errors import InputError
from cimsolve.files.memory import demand_memory
from cimsolve.judge.names import Pairs
from cimsolve.judge.simulate.crossbar import pieces_to_write, programme
from cimsolve.judge.simulate.encoding import Encoding
from cimsolve.judge.simulate.firing import FiringOrder
from cimsolve.judge.simulate.noise import Noise, converter_errors, disturb
from cimsolve.judge.simulate.operands import Operands
from cimsolve.judge.simulate.products import FLOAT32_BITS, Operand
from cimsolve.judge.simulate.windows import WindowGroup, collect_windows, occupied_cells
from cimsolve.problem.problem import Problem

Numbers = npt.NDArray[Any]

CHUNK_CELLS = 1 << 25
"""Most cells of arrays that are programmed at once."""

CELLS_MAX = 1 << 30
"""Most cells that are kept, in four bytes each."""

CELL_BYTES, WEIGHT_BYTES = 8, 32
"""About the most memory that each cell and each weight takes, programmed and read back; measured, rounded up."""


def demand_cells(hardware: Hardware, weights: int, what: str) -> None:
    """Raise InputError where `what`, so many weights at once, has too many cells to be simulated here."""
    cells = weights * Encoding.of(hardware).columns
    if cells > CELLS_MAX:
        raise InputError(
            f"{what}: its {weights} weights take {cells} cells of {hardware.name}; expected {CELLS_MAX} or fewer at "
            "once, a smaller model or more compression"
        )
    needed = cells * CELL_BYTES + weights * WEIGHT_BYTES
    demand_memory(needed, f"{what}: simulating {cells} cells", "use a smaller model or more compression")


@dataclass(frozen=True)
class PreparedGroup:
    """Windows of one factor and what their cells hold."""

    windows: WindowGroup
    operand: Operand


def prepare_groups(
    problem: Problem, operands: Operands, firings: FiringOrder, noise: Noise, seed: int, pairs: Pairs
) -> dict[int, list[PreparedGroup]]:
    """The prepared groups of every simulated factor. Raises InputError where they have too many cells to be kept."""
    collected = collect_windows(problem, firings, noise.stuck_on > 0)
    groups = [group for made, found in collected.items() if operands.simulated[made] for group in found]
    per_weight = operands.encoding.columns
    wanted = sum(g.array.size * g.elements.shape[1] for g in groups) * per_weight
    if wanted > CELLS_MAX:
        raise InputError(
            f"simulate: {wanted} cells of the layers asked for; expected {CELLS_MAX} or fewer, fewer layers"
        )
    cells = [np.zeros((len(g), per_weight, g.array.shape[1], g.elements.shape[1]), np.float32) for g in groups]
    # Gain and offset of the converter that reads each column.
    errors = [np.zeros((2, *each.shape[:3], 1), np.float32) if noise.of_converters else None for each in cells]
    arrays = np.unique(np.concatenate([group.array.reshape(-1) for group in groups])) if groups else np.zeros(0, int)
    pieces = pieces_to_write(operands, firings, arrays)
    step = max(1, CHUNK_CELLS // (problem.rows * problem.weights_per_row * per_weight))
    largest = (1 << problem.hardware.cell.bits) - 1
    for first in range(0, len(arrays), step):
        chunk = arrays[first : first + step]
        conductance: Numbers = programme(operands, pieces, chunk, problem.rows, problem.weights_per_row)
        if noise.of_cells:
            occupied = occupied_cells(problem, firings.pieces, chunk, per_weight)
            conductance = disturb(noise, seed, chunk, conductance, occupied, largest)
        by_weight = conductance.reshape(*conductance.shape[:2], -1, per_weight)
        faults = np.stack(converter_errors(noise, seed, chunk, problem.hardware.adc.per_array))
        for group, into, error in zip(groups, cells, errors, strict=True):
            window, column = np.nonzero(np.isin(group.array, chunk))
            slot = np.searchsorted(chunk, group.array[window, column])
            row = group.row[window, column][:, None] + group.offset[window]
            col = group.col[window, column]
            into[window, :, column] = by_weight[slot[:, None], row, col[:, None]].swapaxes(1, 2)
            if error is not None:
                for place in range(per_weight):
                    converter = converter_of(problem.hardware, col * per_weight + place)
                    error[:, window, place, column, 0] = faults[:, slot, converter]
    found: dict[int, list[PreparedGroup]] = {made: [] for made in collected}
    for group, made, error in zip(groups, cells, errors, strict=True):
        found[group.factor].append(PreparedGroup(group, _operand(problem, operands, made, error, noise, pairs)))
    return found


def _operand(
    problem: Problem, operands: Operands, cells: Numbers, error: Numbers | None, noise: Noise, pairs: Pairs
) -> Operand:
    """`cells` of shape (b, w, c, h) as they are multiplied."""
    hardware = problem.hardware
    factors = operands.encoding.column_factors()
    if pairs == "subtracted":
        slices = operands.encoding.slices
        cells, factors = cells[:, :slices] - cells[:, slices:], factors[:slices]
    digit = (1 << hardware.input.dac_bits) - 1
    negative = bool((cells < 0).any())
    high = math.ceil((np.maximum(cells, 0) if negative else cells).sum(axis=3).max()) * digit
    low = math.ceil(np.maximum(-cells, 0).sum(axis=3).max()) * digit if negative else 0
    shifts = sum(1 << (phase * hardware.input.dac_bits) for phase in range(hardware.input_phases))
    if not noise.of_cells and max(high, low) * shifts >= 1 << FLOAT32_BITS:
        cells = cells.astype(np.float64)
    gain, offset = (None, None) if error is None else error[:, :, : len(factors)]
    flat = cells.reshape(len(cells), -1, cells.shape[3])
    return Operand(flat, factors, low, high, not noise.of_cells, gain, offset)
