"""The two kinds of array that a spec may state, behind the same members: how long an activation takes, what it costs.

Equations: docs/formulation.md, section "Costs".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from cimsolve.chip.sections import ArrayEnergySection, ConverterEntry, MacroSection, picoseconds
from cimsolve.columns import Floats, Ints

DurationLines: TypeAlias = tuple[tuple[int, int], ...]
"""(fixed, repeats): an activation takes the longest of fixed + repeats * v * t_conv, ps, which is convex in v."""


@dataclass(frozen=True)
class ModelledArray:
    """An array whose read pulses, conversions and cells are priced one by one."""

    holds_converters: ClassVar[bool] = False
    """Whether the figures of the array are those of its converters too."""
    figures_by_size: ClassVar[tuple[str, ...]] = (
        "array.area_um2",
        "array.leakage_uw",
        "read_ns",
        "energy_pj.row",
        "energy_pj.column",
    )
    """Keys of what is larger in a larger array, by laws that the spec does not say."""

    phases: int
    read_ps: int
    sample_hold: bool
    energy: ArrayEnergySection
    converters: tuple[ConverterEntry, ...]

    @property
    def duration_lines(self) -> DurationLines:
        """Each of f phases reads, then converts; with sample and hold a phase converts while the next one reads.

        f * (read + v * t_conv)                                       without sample_hold
        read + (f - 1) * max(read, v * t_conv) + v * t_conv           with it
        """
        if self.sample_hold:
            return (self.phases * self.read_ps, 1), (self.read_ps, self.phases)
        return ((self.phases * self.read_ps, self.phases),)

    @property
    def cell_pj(self) -> float:
        """Energy of one occupied driven cell in a read column, over all phases."""
        return self.phases * self.energy.cell

    def energy_pj(
        self, firings: Ints, rows: Ints, cells: Ints, columns: Ints, conversions_pj: Floats
    ) -> dict[str, Floats]:
        """Component -> pJ of `firings` activations that drive and read so much in all; elementwise.

        `conversions_pj`: energy of one conversion of every read column.
        """
        return {
            "rows": self.phases * self.energy.row * rows,
            "cells": self.cell_pj * cells,
            "columns": self.phases * self.energy.column * columns,
            "conversions": self.phases * conversions_pj,
            "shift_add": self.phases * self.energy.shift_add * columns,
        }


@dataclass(frozen=True)
class MeasuredCore:
    """A core measured as a whole, converters included: every activation takes and costs the same."""

    holds_converters: ClassVar[bool] = True
    figures_by_size: ClassVar[tuple[str, ...]] = ("array.area_um2", "array.leakage_uw", "macro.mvm_ns", "macro.mvm_pj")
    converters: ClassVar[tuple[ConverterEntry, ...]] = (
        ConverterEntry.model_construct(bits=32, ns=0.0, pj=0.0, um2=0.0),
    )
    """A conversion adds nothing to what was measured."""
    cell_pj: ClassVar[float] = 0.0

    measured: MacroSection

    @property
    def duration_lines(self) -> DurationLines:
        """The product's measured time."""
        return ((int(picoseconds(self.measured.mvm_ns)), 0),)

    def energy_pj(
        self, firings: Ints, rows: Ints, cells: Ints, columns: Ints, conversions_pj: Floats
    ) -> dict[str, Floats]:
        """The measured energy of `firings` products, pJ, as the component `macro`."""
        return {"macro": self.measured.mvm_pj * firings}


ArrayKind: TypeAlias = ModelledArray | MeasuredCore
