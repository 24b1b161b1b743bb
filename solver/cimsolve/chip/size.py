"""Figures of a spec that grow with the size of its array, by laws that it does not say."""

from __future__ import annotations

from collections.abc import Collection

from cimsolve.chip.hardware import Hardware

SIZE = ("array.rows", "array.cols")
OF_ARRAYS = ("array.area_um2", "array.leakage_uw", "read_ns", "energy_pj.row", "energy_pj.column")
OF_CORES = ("array.area_um2", "array.leakage_uw", "macro.mvm_ns", "macro.mvm_pj")


def sized_figures(hardware: Hardware) -> tuple[str, ...]:
    """Keys of what is larger in a larger array: its area and leakage, a read pulse, driving a row, reading a column."""
    return OF_ARRAYS if hardware.macro is None else OF_CORES


def left_behind(hardware: Hardware, changed: Collection[str]) -> tuple[str, ...]:
    """Of these the ones that stay as they were although `changed` names the size of the array."""
    if not set(SIZE).intersection(changed):
        return ()
    return tuple(key for key in sized_figures(hardware) if key not in changed)
