"""Writing the weights of a run: rows of arrays as work of the write drivers, their bits as work of the load link."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cimsolve.chip.sections import picoseconds
from cimsolve.columns import Ints
from cimsolve.price.rounds import writing_sections
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Pieces


@dataclass(frozen=True)
class Writing:
    """What it takes to write a run, in cycles: how long each unit is at work, and both where rows wait for weights."""

    drivers: int
    link: int
    row_by_row: int
    """No row is written before its weights have come, in the order in which rows are written."""

    @property
    def cycles(self) -> int:
        """A job that comes to both units at one time, as a move does to its channels: it takes buffers."""
        return max(self.drivers, self.link)


def replay_writing(problem: Problem, pieces: Pieces) -> Writing:
    """Write the rows of all arrays by as many drivers as the chip has; those of the array with most left first."""
    write, load = writing_sections(problem.hardware)
    pulse_ps, cycles = int(picoseconds(write.row_ns)), problem.hardware.cycles
    weights = _weights_of_pulses(pieces, write.rows_at_once)
    flat, first = np.concatenate(weights), np.cumsum([0, *map(len, weights)])
    bits = int(flat.sum()) * problem.hardware.weight.bits
    base_ps, carried = int(picoseconds(load.base_ns)), 0
    drivers = np.zeros(min(write.arrays_at_once or len(weights), len(weights)), dtype=np.int64)
    arrays = np.zeros(len(weights), dtype=np.int64)
    slots = 0
    for users, pulse in _slots([len(each) for each in weights], len(drivers)):
        came = carried + np.cumsum(flat[first[users] + pulse]) * problem.hardware.weight.bits
        carried = int(came[-1])
        drivers.sort()
        free = np.maximum(drivers[: len(users)], arrays[users])
        begins = np.maximum(free, base_ps + picoseconds(came / load.bits_per_ns))
        drivers[: len(users)] = arrays[users] = begins + pulse_ps
        slots += 1
    return Writing(
        drivers=int(cycles(slots * pulse_ps)),
        link=int(cycles(base_ps + int(picoseconds(bits / load.bits_per_ns)))),
        row_by_row=int(cycles(int(arrays.max()))),
    )


def _weights_of_pulses(pieces: Pieces, rows_at_once: int) -> list[Ints]:
    """Of each array the weights that each of its pulses writes: rows without a piece take none."""
    _, place = np.unique(pieces.array, return_inverse=True)
    height = int((pieces.array_row + pieces.rows).max()) + 1
    found = []
    for number in range(int(place.max()) + 1):
        mine = place == number
        changes = np.zeros(height + 1, dtype=np.int64)
        np.add.at(changes, pieces.array_row[mine], pieces.cols[mine])
        np.subtract.at(changes, pieces.array_row[mine] + pieces.rows[mine], pieces.cols[mine])
        rows = np.cumsum(changes)
        rows = rows[rows > 0]
        found.append(np.add.reduceat(rows, np.arange(0, len(rows), rows_at_once)))
    return found


def _slots(pulses: list[int], drivers: int) -> Iterator[tuple[Ints, Ints]]:
    """Arrays that are written side by side, one slot after the other, and the number of the pulse of each."""
    all_of_each = np.array(pulses, dtype=np.int64)
    left = all_of_each.copy()
    while left.any():
        users = np.argsort(-left, kind="stable")[:drivers]
        users = users[left[users] > 0]
        yield users, all_of_each[users] - left[users]
        left[users] -= 1
