"""What one activation drives and reads: rows, columns, conversions. docs/formulation.md, section "Costs"."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cimsolve.chip.hardware import Hardware
from cimsolve.columns import Bools, Ints, ceil_div, deepest_stack, merge_intervals, sum_by
from cimsolve.problem.tables import Pieces

CHUNK_CELLS = 4_000_000
"""Most entries of an (activations x converters) table held at once."""


@dataclass(frozen=True)
class ActivationShapes:
    """Per activation, shape (activations,); rows and columns are physical ones."""

    array: Ints
    rows: Ints
    """Rows driven (the union over its pieces)."""
    columns: Ints
    """Columns read (the union over its pieces)."""
    conversions: Ints
    """v: columns read on the busiest converter."""
    stacked: Ints
    """n: most occupied driven cells in any read column."""
    cells: Ints
    """Occupied driven cells in read columns."""


def measure_activations(hardware: Hardware, pieces: Pieces, fires: Ints, count: int) -> ActivationShapes:
    """Shapes of the activations 0 ... count-1 that `fires`, shape (pieces,), groups the pieces into."""
    width = hardware.columns_per_weight
    members = np.bincount(fires, minlength=count)
    array = np.zeros(count, dtype=np.int64)
    array[fires] = pieces.array
    alone: Bools | slice = slice(None) if (members == 1).all() else members[fires] == 1
    single = fires[alone]
    rows = np.zeros(count, dtype=np.int64)
    columns = np.zeros(count, dtype=np.int64)
    stacked = np.zeros(count, dtype=np.int64)
    conversions = np.zeros(count, dtype=np.int64)
    rows[single] = pieces.rows[alone]
    stacked[single] = pieces.rows[alone]
    columns[single] = pieces.cols[alone].astype(np.int64) * width
    conversions[single] = _busiest_of_single(
        hardware, pieces.array_col[alone].astype(np.int64) * width, columns[single]
    )
    cells = sum_by(fires, pieces.rows.astype(np.int64) * pieces.cols * width, count)
    if len(single) < len(fires):
        several = np.flatnonzero(members > 1)
        renumber = np.full(count, -1, dtype=np.int64)
        renumber[several] = np.arange(len(several))
        together = members[fires] > 1
        some = pieces.take(np.flatnonzero(together))
        group = renumber[fires[together]]
        row_group, row_start, row_end = merge_intervals(group, some.array_row, some.array_row + some.rows)
        rows[several] = sum_by(row_group, row_end - row_start, len(several))
        left = some.array_col.astype(np.int64) * width
        right = left + some.cols.astype(np.int64) * width
        col_group, col_start, col_end = merge_intervals(group, left, right)
        columns[several] = sum_by(col_group, col_end - col_start, len(several))
        conversions[several] = _busiest(hardware, col_group, col_start, col_end, len(several))
        stacked[several] = deepest_stack(group, left, right, some.rows, len(several))
    return ActivationShapes(array, rows, columns, conversions, stacked, cells)


def _columns_per_converter(hardware: Hardware) -> int:
    """With adjacent wiring, how many neighbouring columns share a converter."""
    return -(-hardware.array.cols // hardware.adc.per_array)


def _busiest_of_single(hardware: Hardware, start: Ints, length: Ints) -> Ints:
    """v of activations that read one run of adjacent columns."""
    if hardware.adc.wiring != "adjacent":
        return ceil_div(length, hardware.adc.per_array)
    share = _columns_per_converter(hardware)
    end = start + length
    first = np.minimum(end, (start // share + 1) * share) - start
    last = end - np.maximum(start, (end - 1) // share * share)
    inner = (end - 1) // share - start // share >= 2
    return np.asarray(np.where(inner, share, np.maximum(first, last)), dtype=np.int64)


def _busiest(hardware: Hardware, group: Ints, start: Ints, end: Ints, groups: int) -> Ints:
    """v of activations that read several runs (group, start, end), merged and sorted by group."""
    converters = hardware.adc.per_array
    if hardware.adc.wiring == "any":
        return ceil_div(sum_by(group, end - start, groups), converters)
    busiest = np.zeros(groups, dtype=np.int64)
    step = max(1, CHUNK_CELLS // (converters + 1))
    for low in range(0, groups, step):
        high = min(groups, low + step)
        part = slice(int(np.searchsorted(group, low)), int(np.searchsorted(group, high)))
        table = np.zeros((high - low, converters + 1), dtype=np.int64)
        if hardware.adc.wiring == "interleaved":
            _count_interleaved(table, group[part] - low, start[part], end[part], converters)
        else:
            _count_adjacent(table, group[part] - low, start[part], end[part], _columns_per_converter(hardware))
        busiest[low:high] = table[:, :converters].max(axis=1)
    return busiest


def _count_interleaved(table: Ints, group: Ints, start: Ints, end: Ints, converters: int) -> None:
    """Columns per converter where column c goes to converter c mod `converters`; fills `table`."""
    whole, rest = np.divmod(end - start, converters)
    first = start % converters
    stop = first + rest
    np.add.at(table, (group, np.zeros_like(group)), whole)
    np.add.at(table, (group, first), 1)
    np.add.at(table, (group, np.minimum(stop, converters)), -1)
    wraps = stop > converters
    np.add.at(table, (group[wraps], np.zeros_like(group[wraps])), 1)
    np.add.at(table, (group[wraps], stop[wraps] - converters), -1)
    np.cumsum(table, axis=1, out=table)


def _count_adjacent(table: Ints, group: Ints, start: Ints, end: Ints, share: int) -> None:
    """Columns per converter where `share` neighbouring columns have one; fills `table`."""
    last_converter = table.shape[1] - 2
    first = np.minimum(start // share, last_converter)
    last = np.minimum((end - 1) // share, last_converter)
    # Every converter from first to last gets all its columns, less those beyond the ends of the run.
    np.add.at(table, (group, first), share)
    np.add.at(table, (group, last + 1), -share)
    np.cumsum(table, axis=1, out=table)
    np.add.at(table, (group, first), first * share - start)
    np.add.at(table, (group, last), end - (last + 1) * share)
