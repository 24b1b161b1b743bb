"""The sections of a `cimsolve-hw/1` spec: keys, units and the range of each value.

`spec.py` joins them and derives figures; `rules.py` says what one section demands of another.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, field_validator

from cimsolve.files.lines import Visible
from cimsolve.files.text import shown_value

ROWS_MAX = 65536
"""Most rows or columns of an array. Two 16-bit factors more still fit int64 in the lossless rule."""

NS_MAX = 1e6
PJ_MAX = 1e9
UM2_MAX = 1e12

Bits = Annotated[int, Field(ge=1, le=32)]
FewBits = Annotated[int, Field(ge=1, le=16)]
# 1 ps is the grid that all times are rounded to: less would round to nothing.
Time = Annotated[float, Field(ge=0.001, le=NS_MAX)]
TimeOrNone = Annotated[float, Field(ge=0, le=NS_MAX)]
Energy = Annotated[float, Field(ge=0, le=PJ_MAX)]
Area = Annotated[float, Field(ge=0, le=UM2_MAX)]


class Section(BaseModel):
    """Frozen, without unknown keys; numbers are numbers: no text, no true or false, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ArraySection(Section):
    """One crossbar array."""

    rows: int = Field(ge=1, le=ROWS_MAX, description="Rows (inputs) of one array.")
    cols: int = Field(ge=1, le=ROWS_MAX, description="Physical columns of one array.")
    count: Annotated[int, Field(ge=1, le=10**9)] | None = Field(
        default=None,
        description="Arrays on the chip; null or absent: as many as needed, or as the network's places hold.",
    )
    rows_active_max: Annotated[int, Field(ge=1, le=ROWS_MAX)] | None = Field(
        default=None, description="Most rows driven at once; null or absent: all."
    )
    area_um2: float = Field(
        gt=0,
        le=UM2_MAX,
        description="Area of one array with its drivers, without converters (macro: with), um2.",
    )
    leakage_uw: float = Field(
        ge=0, le=PJ_MAX, description="Static power of one array and its converters, uW = 1e-3 pJ/ns."
    )


class CellSection(Section):
    """One memory cell."""

    bits: FewBits = Field(description="Bits one cell stores.")


class WeightSection(Section):
    """How a weight is stored."""

    bits: Bits = Field(description="Bits of a weight.")
    signed: Literal["differential", "offset", "none"] = Field(
        description="differential: a positive and a negative cell group; offset: one group, the sign in an "
        "offset or in the cell itself; none: weights are not negative."
    )


class InputSection(Section):
    """How an input is driven."""

    bits: Bits = Field(description="Bits of an input.")
    dac_bits: FewBits = Field(description="Input bits driven in one phase.")


class ConverterEntry(Section):
    """One resolution the converter can run at."""

    bits: Bits = Field(description="Bits of the result.")
    ns: Time = Field(description="Time of one conversion, ns.")
    pj: Energy = Field(description="Energy of one conversion, pJ.")
    um2: Area = Field(description="Area of one converter, um2.")


class AdcSection(Section):
    """The converters of one array."""

    per_array: int = Field(ge=1, le=ROWS_MAX, description="Converters of one array; at most its columns.")
    wiring: Literal["any", "interleaved", "adjacent"] = Field(
        description="Which converter reads column c: any free one, c mod per_array, or c div ceil(cols / per_array)."
    )
    bits_rule: Literal["lossless", "log2_rows"] = Field(description="How many bits n stacked rows need.")
    bits_max: Bits = Field(description="Most bits of the converter; at most the table's largest.")
    lossy_allowed: bool = Field(description="Whether more bits than bits_max may be needed, at a loss.")
    sample_hold: bool = Field(description="Whether conversions of a phase overlap the next phase's read.")
    model: Literal["table", "isaac", "saberi", "sar", "survey"] | None = Field(
        default=None,
        description="Where the table comes from: table or absent, the spec's own; else the converter model that "
        "makes it when the spec is read. Absent with macro.",
    )
    table_from: Literal["isaac", "saberi", "sar", "survey"] | None = Field(
        default=None, description="Written by cimsolve: the converter model that made the table."
    )
    table: tuple[ConverterEntry, ...] | None = Field(
        default=None,
        strict=False,  # JSON has lists only; the entries in it stay strict
        min_length=1,
        max_length=32,
        description="Time, energy and area by resolution, bits ascending. Absent with macro, or where model makes it.",
    )


class ArrayEnergySection(Section):
    """Energy of one input phase."""

    row: Energy = Field(description="Driving one row, pJ.")
    cell: Energy = Field(description="One occupied driven cell in a read column, pJ.")
    column: Energy = Field(description="Reading one column without its conversion, pJ.")
    shift_add: Energy = Field(description="Adding one conversion's result to the sum, pJ.")


class TransferSection(Section):
    """Moving vectors between arrays and digital units."""

    base_ns: TimeOrNone = Field(description="Latency of one transfer before its first bit, ns.")
    bits_per_ns: float = Field(ge=0.001, le=1e9, description="Throughput, bits per ns.")
    pj_per_bit: Energy = Field(description="Energy of one bit, pJ.")


MESH_SIDE_MAX = 1024
"""Most rows or columns of a mesh: 2^20 places, as the leaves of an H-tree."""

Rate = Annotated[float, Field(ge=0.001, le=1e9)]
Length = Annotated[float, Field(ge=0, le=1e4)]


class BusSection(Section):
    """The bus of a core, which its arrays share."""

    bits_per_ns: Rate = Field(description="Throughput, bits per ns.")
    pj_per_bit: Energy = Field(description="Energy of one bit, pJ.")


class CoreSection(Section):
    """A core: arrays around one bus, at one place of the network."""

    arrays: int = Field(ge=1, le=ROWS_MAX, description="Arrays of one core.")
    bus: BusSection = Field(description="The bus between the arrays of a core and its router.")
    area_um2: Area = Field(default=0.0, description="Area of a core beside its arrays (buffers, control, adders), um2.")


class HubSection(Section):
    """Where digital units, memory and chip port are: one place that all cores send to and receive from."""

    at: Literal["edge"] | tuple[int, int] | None = Field(
        default=None,
        description="Of a mesh: edge, a link to every column above row 0; or [row, column], beside the core there. "
        "Absent in an H-tree, whose root it is.",
    )
    bits_per_ns: Rate = Field(description="Throughput of the hub's port, bits per ns, either way.")
    area_um2: Area = Field(default=0.0, description="Area of the hub, um2.")

    @field_validator("at", mode="before")
    @classmethod
    def _edge_or_place(cls, at: object) -> object:
        """JSON has lists for tuples, and the errors of a union name all of its parts."""
        if at is None or at == "edge":
            return at
        if isinstance(at, list | tuple) and len(at) == 2 and all(type(each) is int and each >= 0 for each in at):
            return tuple(at)
        raise ValueError(f'{shown_value(at)}: expected "edge", or [row, column] of a place counted from 0; correct it')


class NetworkSection(Section):
    """The network between cores and hub: a mesh with XY routes, or an H-tree."""

    topology: Literal["mesh", "htree"] = Field(description="mesh: rows x cols places; htree: fanout^levels leaves.")
    multicast: Literal["tree", "unicast"] = Field(
        description="tree: a link carries an element once a move; unicast: once for each receiving core behind it."
    )
    base_ns: TimeOrNone = Field(description="Latency of one move before its first bit, hops apart, ns.")
    area_um2: Area = Field(default=0.0, description="Area of one router, um2.")
    hub: HubSection
    sum_bits: Bits = Field(default=16, description="Bits of a partial sum on the network.")
    out_bits: Bits | None = Field(default=None, description="Bits of a whole output on the network; null: sum_bits.")
    rows: Annotated[int, Field(ge=1, le=MESH_SIDE_MAX)] | None = Field(
        default=None, description="Rows of places of a mesh."
    )
    cols: Annotated[int, Field(ge=1, le=MESH_SIDE_MAX)] | None = Field(
        default=None, description="Columns of places of a mesh."
    )
    bits_per_ns: Rate | None = Field(default=None, description="Throughput of a mesh's link, either way, bits per ns.")
    hop_ns: TimeOrNone | None = Field(default=None, description="Latency of one hop of a mesh, ns.")
    router_pj_per_bit: Energy | None = Field(default=None, description="Energy of a bit in one router of a mesh, pJ.")
    wire_pj_per_bit_mm: Energy | None = Field(default=None, description="Energy of a bit on 1 mm of a mesh's wire, pJ.")
    pitch_mm: Length | None = Field(
        default=None, description="Distance between neighbours of a mesh, mm; null: from the areas of core and router."
    )
    levels: Annotated[int, Field(ge=1, le=12)] | None = Field(default=None, description="Levels of an H-tree.")
    fanout: Annotated[int, Field(ge=2, le=1024)] | None = Field(
        default=None, description="Children of an H-tree's node."
    )
    bits_per_ns_level: tuple[Rate, ...] | None = Field(
        default=None,
        strict=False,
        description="Throughput of an H-tree's links, from the leaf up, bits per ns.",
    )
    hop_ns_level: tuple[TimeOrNone, ...] | None = Field(
        default=None, strict=False, description="Latency of an H-tree's links by level, from the leaf up, ns."
    )
    pj_per_bit_level: tuple[Energy, ...] | None = Field(
        default=None, strict=False, description="Energy of a bit on an H-tree's links by level, from the leaf up, pJ."
    )

    @property
    def places(self) -> int:
        """Places for cores."""
        # Rules see to it that a mesh has the first two, and an H-tree the others.
        return (self.rows or 0) * (self.cols or 0) or int((self.fanout or 0) ** (self.levels or 0))


class MemorySection(Section):
    """The memory of keys and values beside the digital units."""

    banks: int = Field(ge=1, le=10**6, description="Banks that are read and written side by side.")
    base_ns: TimeOrNone = Field(description="Latency of one access before its first bit, ns.")
    bits_per_ns: Rate = Field(description="Throughput of one bank, bits per ns.")
    read_pj_per_bit: Energy = Field(description="Energy of reading one bit, pJ.")
    write_pj_per_bit: Energy = Field(description="Energy of writing one bit, pJ.")
    mbit: float = Field(gt=0, le=1e9, description="Capacity of all banks, Mbit of 10^6 bits.")
    kv_bits: Bits = Field(description="Bits of an element of a key or a value.")
    queries_per_read: int = Field(
        default=1, ge=1, le=2**24, description="Queries of a prefill that share one read of keys and values."
    )

    @property
    def bits(self) -> int:
        """Bits that it holds."""
        return round(self.mbit * 1e6)

    @property
    def all_bits_per_ns(self) -> float:
        """Throughput of all banks, bits per ns."""
        return self.banks * self.bits_per_ns


class WriteSection(Section):
    """Writing weights into arrays while the chip runs."""

    row_ns: Time = Field(
        description="Writing the cells of one row of an array, with all pulses and reads that verify, ns."
    )
    cell_pj: Energy = Field(description="Energy of writing one cell, pJ.")
    rows_at_once: int = Field(default=1, ge=1, le=ROWS_MAX, description="Rows of one array that are written together.")
    arrays_at_once: Annotated[int, Field(ge=1, le=10**9)] | None = Field(
        default=None, description="Arrays that are written side by side; null or absent: all."
    )
    endurance: Annotated[float, Field(ge=1, le=1e18)] | None = Field(
        default=None, description="Writes that a cell endures; null or absent: not limited."
    )


class LoadSection(Section):
    """Weights that come from off the chip to be written."""

    bits_per_ns: Rate = Field(description="Throughput, bits per ns.")
    base_ns: TimeOrNone = Field(description="Latency before the first bit, ns.")
    pj_per_bit: Energy = Field(description="Energy of one bit, pJ.")


class ChipLinkSection(Section):
    """The link from one chip to the next, where several stand in a row."""

    base_ns: TimeOrNone = Field(description="Latency before the first bit, ns.")
    bits_per_ns: Rate = Field(description="Throughput, bits per ns.")
    pj_per_bit: Energy = Field(description="Energy of one bit, pJ.")


class OperationSection(Section):
    """One digital operation on a vector: base + per_element * elements, dealt out over the lanes."""

    base_ns: TimeOrNone = Field(description="Latency of the operation before its first element, ns.")
    per_element_ns: Annotated[float, Field(ge=0, le=1000)] = Field(description="Time of one element on one lane, ns.")
    base_pj: Energy = Field(description="Energy of one operation whatever its length, pJ.")
    per_element_pj: Energy = Field(description="Energy of one element, pJ.")


class OperationsSection(Section):
    """The digital operations that models ask for."""

    add: OperationSection = Field(description="Addition: residuals, biases, partial sums.")
    multiply: OperationSection = Field(description="Elementwise product, as in gated feed-forward.")
    layer_norm: OperationSection = Field(description="LayerNorm or RMSNorm.")
    activation: OperationSection = Field(description="GELU, SiLU, ReLU.")
    softmax: OperationSection = Field(description="Softmax over attention scores.")
    attention_mac: OperationSection = Field(description="One multiply-accumulate of attention scores or values.")


class DigitalSection(Section):
    """The digital units beside the arrays."""

    units: int = Field(ge=1, le=10**6, description="Lanes that work on one vector in parallel.")
    ops: OperationsSection = Field(description="Costs of each operation.")


class MacroSection(Section):
    """A measured core, converters included, instead of read_ns, energy_pj and adc.table."""

    mvm_ns: Time = Field(description="One matrix-vector product of the whole array, all input bits, ns.")
    mvm_pj: Energy = Field(description="Energy of it, pJ.")


class SourceNote(Section):
    """Where a figure comes from."""

    origin: Annotated[str, Visible] = Field(
        alias="from",
        min_length=1,
        max_length=1000,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="Paper, tool or reason.",
    )
    mark: Literal["read", "derived", "extrapolated", "assumed"] = Field(
        description="read in the source, derived from figures in it, extrapolated beyond what it covers, or assumed."
    )


def picoseconds(ns: float | npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The one place where spec times become integers: the nearest picosecond."""
    return np.asarray(np.rint(np.asarray(ns, dtype=np.float64) * 1000.0), dtype=np.int64)
