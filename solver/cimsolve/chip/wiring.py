"""Which converter reads which physical column, and how many columns the busiest one reads.

With `adjacent` wiring converter k reads columns k * s ... (k + 1) * s - 1, with `interleaved` column c goes to
converter c mod A, and with `any` wiring a column goes to whichever is free. docs/formulation.md, section "Costs".
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from cimsolve.chip.spec import Hardware
from cimsolve.columns import Ints, ceil_div, sum_by

CHUNK_CELLS = 4_000_000
"""Most entries of a (runs x converters) table held at once."""

Columns = TypeVar("Columns", int, Ints)


def columns_per_converter(hardware: Hardware) -> int:
    """s, how many neighbouring columns share a converter with adjacent wiring: ceil(cols / A)."""
    return -(-hardware.array.cols // hardware.adc.per_array)


def weights_per_conversion(hardware: Hardware) -> int:
    """Logical columns that all converters of an array read in one conversion, at least 1."""
    return max(1, hardware.adc.per_array // hardware.columns_per_weight)


def converter_of(hardware: Hardware, column: Ints) -> Ints:
    """The converter that reads each physical column; where any may, they are taken in turn."""
    if hardware.adc.wiring == "adjacent":
        return column // columns_per_converter(hardware)
    return column % hardware.adc.per_array


def fewest_conversions(hardware: Hardware, columns: Columns) -> Columns:
    """v of so many physical columns where they are shared as evenly as can be; elementwise."""
    return -(-columns // hardware.adc.per_array)


def busiest_of_run(hardware: Hardware, start: Ints | int, length: Ints | int) -> Ints:
    """v of activations that read `length` adjacent physical columns from `start` on; elementwise."""
    begin, count = np.asarray(start), np.asarray(length)
    if hardware.adc.wiring != "adjacent":
        return fewest_conversions(hardware, count)
    share = columns_per_converter(hardware)
    end = begin + count
    first = np.minimum(end, (begin // share + 1) * share) - begin
    last = end - np.maximum(begin, (end - 1) // share * share)
    inner = (end - 1) // share - begin // share >= 2
    return np.asarray(np.where(inner, share, np.maximum(first, last)), dtype=np.int64)


def busiest_of_runs(hardware: Hardware, group: Ints, start: Ints, end: Ints, groups: int) -> Ints:
    """v of activations that read several runs `start ... end - 1` each, sorted by `group`; shape (groups,)."""
    converters = hardware.adc.per_array
    if hardware.adc.wiring == "any":
        return fewest_conversions(hardware, sum_by(group, end - start, groups))
    busiest = np.zeros(groups, dtype=np.int64)
    first = np.searchsorted(group, np.arange(groups + 1))
    step = max(1, CHUNK_CELLS // (converters * int(np.diff(first).max())))
    for low in range(0, groups, step):
        high = min(groups, low + step)
        part = slice(first[low], first[high])
        read = _columns_before(hardware, end[part]) - _columns_before(hardware, start[part])
        busiest[low:high] = np.add.reduceat(read, first[low:high] - first[low]).max(axis=1)
    return busiest


def _columns_before(hardware: Hardware, column: Ints) -> Ints:
    """How many of the columns below `column` each converter reads; shape (columns, converters)."""
    converter, below = np.arange(hardware.adc.per_array), column[:, None]
    if hardware.adc.wiring == "interleaved":
        return ceil_div(below - converter, hardware.adc.per_array)
    share = columns_per_converter(hardware)
    return np.asarray(np.clip(below - converter * share, 0, share))
