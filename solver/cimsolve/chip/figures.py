"""What a spec amounts to: the product of one full array in time, energy and operations, and values that look wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cimsolve.chip.hardware import Hardware, Int64s

TYPICAL_ROWS = (16, 32, 64, 128, 256)
"""Heights of blocks that structures often make."""


@dataclass(frozen=True)
class ArrayFigures:
    """One product of a full array with a vector: every row, every column that holds a weight, all input bits.

    Where no more than `rows_limit` rows may be driven at once, it takes `firings`.
    """

    weights: int
    columns_left: int
    """Physical columns that fit no weight."""
    firings: int
    product_ns: float
    read_ns: float
    """Of it in read pulses that no conversion hides."""
    product_pj: float
    """Without leakage."""
    leakage_pj: float
    """Of the array in that time."""
    area_um2: float
    """The array and its converters at the bits of a full column."""
    bits_by_rows: tuple[tuple[int, int, int], ...]
    """(rows stacked, bits needed, bits used)."""

    @property
    def operations(self) -> int:
        """Multiplications and additions at the bits of weights and inputs."""
        return 2 * self.weights

    @property
    def tops(self) -> float:
        return self.operations / self.product_ns * 1e-3

    @property
    def tops_per_w(self) -> float:
        """Of the array alone, leakage included."""
        return self.operations / (self.product_pj + self.leakage_pj)

    @property
    def tops_per_mm2(self) -> float:
        return self.tops / (self.area_um2 * 1e-6)


@dataclass(frozen=True)
class Doubt:
    """A value that is allowed and looks wrong: which key, and why."""

    key: str
    reason: str


def array_figures(hardware: Hardware) -> ArrayFigures:
    """The figures of one full array, by the cost model's equations (docs/formulation.md, "Costs")."""
    rows, per_row, width = hardware.array.rows, hardware.weights_per_row, hardware.columns_per_weight
    columns = per_row * width
    limit = min(rows, hardware.rows_limit)
    heights = np.array([limit] * (rows // limit) + ([rows % limit] if rows % limit else []), dtype=np.int64)
    conversions = _busiest(hardware, columns)
    cycles = hardware.activation_cycles(heights, conversions)
    bits = hardware.adc_bits_used(heights)
    stacked = sorted({*(n for n in TYPICAL_ROWS if n < rows), limit, rows})
    product_ns = float(cycles.sum()) * hardware.clock_ps / 1000
    converters = hardware.adc.per_array * float(hardware.converter_um2(bits.max()))
    return ArrayFigures(
        weights=rows * per_row,
        columns_left=hardware.array.cols - columns,
        firings=len(heights),
        product_ns=product_ns,
        read_ns=_read_ns(hardware, heights, conversions),
        product_pj=sum(
            _firing_pj(hardware, int(height), columns, int(b)) for height, b in zip(heights, bits, strict=True)
        ),
        leakage_pj=hardware.array.leakage_uw * product_ns * 1e-3,
        area_um2=hardware.array.area_um2 + converters,
        bits_by_rows=tuple((n, int(hardware.adc_bits_needed(n)), int(hardware.adc_bits_used(n))) for n in stacked),
    )


def _busiest(hardware: Hardware, columns: int) -> int:
    """v of all `columns` read at once from column 0 on."""
    adc, cols = hardware.adc, hardware.array.cols
    if adc.wiring == "adjacent":
        return min(columns, -(-cols // adc.per_array))
    return -(-columns // adc.per_array)


def _read_ns(hardware: Hardware, heights: Int64s, conversions: int) -> float:
    if hardware.macro is not None:
        return 0.0
    phases, read = hardware.input_phases, hardware.read_ps
    converting = conversions * hardware.conversion_ps(hardware.adc_bits_used(heights))
    pulses = np.where(converting > read, 1, phases) if hardware.adc.sample_hold else np.full(len(heights), phases)
    return float((pulses * read).sum()) / 1000


def _firing_pj(hardware: Hardware, rows: int, columns: int, bits: int) -> float:
    if hardware.macro is not None:
        return hardware.macro.mvm_pj
    energy = hardware.energy_pj
    assert energy is not None
    each = energy.column + float(hardware.conversion_pj(bits)) + energy.shift_add
    return hardware.input_phases * (rows * energy.row + rows * columns * energy.cell + columns * each)


# Values that look wrong

CELL_F2_MIN = 4.0
"""No planar cell is smaller than a crossing of two lines at their pitch, 2 F x 2 F."""
CELL_F2_MAX = 2000.0
STEP_FJ_MIN, STEP_FJ_MAX = 0.1, 10_000.0
CONVERSION_NS_MIN, CONVERSION_NS_MAX = 0.05, 10_000.0
READ_NS_MIN, READ_NS_MAX = 0.1, 100_000.0
LEFT_MAX = 0.2


def find_doubts(hardware: Hardware) -> list[Doubt]:
    """Everything that is allowed and looks wrong, in the order of the spec."""
    found = [*_array_doubts(hardware), *_bits_doubts(hardware), *_converter_doubts(hardware)]
    return [*found, *_time_doubts(hardware), *_source_doubts(hardware)]


def _array_doubts(hardware: Hardware) -> Iterator[Doubt]:
    array = hardware.array
    cell_f2 = array.area_um2 / (array.rows * array.cols) / (hardware.node_nm * 1e-3) ** 2
    if cell_f2 < CELL_F2_MIN:
        yield Doubt(
            "array.area_um2",
            f"{cell_f2:.2g} F^2 a cell at node_nm = {hardware.node_nm:g}: a crossing of two lines at their pitch "
            "takes 4; is it in um2, and of the whole array?",
        )
    if cell_f2 > CELL_F2_MAX and hardware.macro is None:
        yield Doubt(
            "array.area_um2",
            f"{cell_f2:.3g} F^2 a cell at node_nm = {hardware.node_nm:g}: more than {CELL_F2_MAX:g}; are converters in "
            "it? They are counted by adc.table",
        )
    left = array.cols - hardware.weights_per_row * hardware.columns_per_weight
    if left > LEFT_MAX * array.cols:
        yield Doubt(
            "array.cols",
            f"{left} of {array.cols} columns fit no weight of {hardware.columns_per_weight} columns and stay empty",
        )
    if array.leakage_uw == 0 and hardware.macro is None:
        yield Doubt("array.leakage_uw", "0: idle arrays cost nothing, so many arrays look as frugal as few")


def _bits_doubts(hardware: Hardware) -> Iterator[Doubt]:
    adc, driven = hardware.adc, hardware.array.rows_active_max or hardware.array.rows
    if hardware.macro is not None:
        return
    full = int(hardware.adc_bits_needed(driven))
    if full > adc.bits_max:
        how = "lose information" if adc.lossy_allowed else f"are cut to {hardware.rows_limit} rows"
        yield Doubt("adc.bits_max", f"{adc.bits_max}: columns of {driven} rows need {full} bits; taller blocks {how}")
    if full < adc.bits_max:
        yield Doubt("adc.bits_max", f"{adc.bits_max}: no column of {driven} rows needs more than {full} bits")
    if adc.bits_rule == "log2_rows":
        levels = (1 << hardware.input.dac_bits) - 1, (1 << hardware.cell.bits) - 1
        exact = (driven * levels[0] * levels[1]).bit_length()
        if exact > full:
            yield Doubt(
                "adc.bits_rule",
                f"log2_rows counts rows and not levels: {full} bits for {driven} rows, of which the sums need {exact} "
                "to be exact; the simulation shows the error",
            )


def _converter_doubts(hardware: Hardware) -> Iterator[Doubt]:
    table = hardware.adc.table or ()
    for index, entry in enumerate(table):
        step = entry.pj * 1e3 / 2**entry.bits
        if not STEP_FJ_MIN <= step <= STEP_FJ_MAX:
            yield Doubt(
                f"adc.table.{index}.pj",
                f"{entry.pj:g} pJ for {entry.bits} bits is {step:.2g} fJ a level; {STEP_FJ_MIN:g} to {STEP_FJ_MAX:g} "
                "is what converters are built with: is it in pJ a conversion?",
            )
        if not CONVERSION_NS_MIN <= entry.ns <= CONVERSION_NS_MAX:
            yield Doubt(f"adc.table.{index}.ns", f"{entry.ns:g} ns a conversion: is it in ns?")
    for name in ("ns", "pj", "um2"):
        for index in range(1, len(table)):
            before, after = getattr(table[index - 1], name), getattr(table[index], name)
            if after < before:
                yield Doubt(
                    f"adc.table.{index}.{name}",
                    f"{after:g} is less than the {before:g} of fewer bits: is the table in order?",
                )


def _time_doubts(hardware: Hardware) -> Iterator[Doubt]:
    if hardware.macro is not None:
        return
    read = hardware.read_ns or 0.0
    if not READ_NS_MIN <= read <= READ_NS_MAX:
        yield Doubt("read_ns", f"{read:g} ns a pulse: is it in ns?")
    least = hardware.activation_ps(1, 1)
    if hardware.clock_ps > least:
        yield Doubt(
            "clock_ns",
            f"{hardware.clock_ns:g} ns is longer than the shortest activation, {float(least) / 1000:g} ns: every "
            "activation is rounded up to whole periods, so times are those of the clock",
        )


def _source_doubts(hardware: Hardware) -> Iterator[Doubt]:
    assumed = [key for key, note in hardware.sources.items() if note.mark == "assumed"]
    if len(assumed) == len(hardware.sources):
        yield Doubt("sources", "all are assumed: nothing that follows from this spec is better than a guess")
