"""What the chip offers: the checked `cimsolve-hw/1` spec and all that follows from it alone.

Times are integer picoseconds inside, rounded from the spec's nanoseconds in `picoseconds` and nowhere else;
cycles come out of `cycles`. Equations: docs/formulation.md, section "Costs"; keys: docs/hardware.md.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field

from cimsolve.chip.array_kinds import ArrayKind, MeasuredCore, ModelledArray
from cimsolve.chip.htree import HTree
from cimsolve.chip.interconnect import Interconnect
from cimsolve.chip.mesh import Mesh
from cimsolve.chip.routes import Topology
from cimsolve.chip.sections import (
    AdcSection,
    ArrayEnergySection,
    ArraySection,
    CellSection,
    ChipLinkSection,
    CoreSection,
    DigitalSection,
    InputSection,
    LoadSection,
    MacroSection,
    MemorySection,
    NetworkSection,
    OperationSection,
    OperationsSection,
    Section,
    SourceNote,
    Time,
    TransferSection,
    WeightSection,
    WriteSection,
    picoseconds,
)
from cimsolve.columns import Floats, Ints
from cimsolve.files.lines import Visible

OPERATIONS: tuple[str, ...] = tuple(OperationsSection.model_fields)
"""Names of the digital operations that every spec prices."""

IntsLike: TypeAlias = int | npt.NDArray[np.integer[Any]]
"""An int, or integers of any shape; results have that shape (0-d for an int: use int() or float())."""

_POWERS_OF_TWO: Ints = np.left_shift(np.int64(1), np.arange(63, dtype=np.int64))


class Hardware(Section):
    """A hardware spec, checked when built; `parse_hardware` and `load_hardware` raise InputError instead."""

    format: Literal["cimsolve-hw/1"] = Field(description="Name and version of this format.")
    name: Annotated[str, Visible] = Field(
        min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$", description="Name in reports."
    )
    technology: Annotated[str, Visible] = Field(
        min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$", description="Memory kind."
    )
    node_nm: float = Field(gt=0, le=1e5, description="Technology node, nm; documentation only.")
    clock_ns: Time = Field(description="Clock period, ns; an activation is rounded up to whole periods.")
    array: ArraySection
    cell: CellSection
    weight: WeightSection
    input: InputSection
    adc: AdcSection
    read_ns: Time | None = Field(default=None, description="One read pulse, ns. Absent with macro.")
    energy_pj: ArrayEnergySection | None = Field(default=None, description="Absent with macro.")
    transfer: TransferSection | None = Field(default=None, description="Absent with core and network.")
    digital: DigitalSection
    macro: MacroSection | None = Field(default=None, description="A measured core, or absent.")
    core: CoreSection | None = Field(default=None, description="Arrays that share a place of the network, or absent.")
    network: NetworkSection | None = Field(default=None, description="What joins cores and hub, or absent.")
    memory: MemorySection | None = Field(
        default=None, description="What holds keys and values, or absent: their reads are then not counted."
    )
    write: WriteSection | None = Field(
        default=None, description="How weights are written while the chip runs, or absent: they are written once."
    )
    load: LoadSection | None = Field(
        default=None, description="Where weights that are written come from; it goes with write."
    )
    chip_link: ChipLinkSection | None = Field(
        default=None, description="What joins like chips in a row, or absent: nothing is known of several."
    )
    sources: dict[str, SourceNote] = Field(
        description="Where each figure comes from: a key's dotted path, or a prefix of it, to its source."
    )

    @cached_property
    def array_kind(self) -> ArrayKind:
        """What an activation takes and costs: modelled pulse by pulse, or measured as a whole."""
        if self.macro is not None:
            return MeasuredCore(self.macro)
        # Rules see to it that a spec without macro has all three.
        assert self.read_ns is not None
        assert self.energy_pj is not None
        assert self.adc.table is not None
        read_ps = int(picoseconds(self.read_ns))
        return ModelledArray(self.input_phases, read_ps, self.adc.sample_hold, self.energy_pj, self.adc.table)

    # Shape

    @property
    def columns_per_weight(self) -> int:
        """w, adjacent physical columns of a weight: ceil(weight.bits / cell.bits), twice if differential."""
        slices = -(-self.weight.bits // self.cell.bits)
        return slices * (2 if self.weight.signed == "differential" else 1)

    @property
    def weights_per_row(self) -> int:
        """Logical columns of an array, floor(cols / w); what is left over stays empty."""
        return self.array.cols // self.columns_per_weight

    def tiles(self, n_in: int, n_out: int) -> int:
        """Arrays that a dense matrix takes where each holds one tile of it, as large as an array."""
        return -(-n_in // self.array.rows) * -(-n_out // self.weights_per_row)

    @property
    def input_phases(self) -> int:
        """f, the pulses that one input takes: ceil(input.bits / dac_bits)."""
        return -(-self.input.bits // self.input.dac_bits)

    @property
    def rows_limit(self) -> int:
        """Most occupied driven cells of one column in one activation, without a loss not allowed."""
        limit = self.array.rows if self.array.rows_active_max is None else self.array.rows_active_max
        if self.adc.lossy_allowed:
            return limit
        if self.adc.bits_rule == "log2_rows":
            return min(limit, 1 << self.adc.bits_max)
        return min(limit, ((1 << self.adc.bits_max) - 1) // self.levels_per_row)

    # Places

    @property
    def core_arrays_um2(self) -> float:
        """Area of the arrays of one core with converters of `bits_max`, um2; 0 for a chip without cores."""
        return 0.0 if self.core is None else self.core.arrays * float(self.array_um2(self.adc.bits_max))

    @property
    def side_mm(self) -> float:
        """Side of a square of a core and its router, mm. Raises ValueError for a chip without a network."""
        if self.core is None or self.network is None:
            raise ValueError(f"{self.name} has no network")
        return math.sqrt(self.core_arrays_um2 + self.core.area_um2 + self.network.area_um2) * 1e-3

    @property
    def pitch_mm(self) -> float:
        """Distance between neighbours of a mesh, mm: as given, or `side_mm`."""
        given = None if self.network is None else self.network.pitch_mm
        return self.side_mm if given is None else given

    @cached_property
    def topology(self) -> Topology | None:
        """The places of cores and the links between them; None where arrays are one flat pool."""
        network = self.network
        if network is None:
            return None
        if network.topology == "mesh":
            # Rules see to it that a mesh, and below an H-tree, has all of its keys.
            assert network.rows is not None
            assert network.cols is not None
            assert network.bits_per_ns is not None
            at, wire = network.hub.at, network.wire_pj_per_bit_mm or 0.0
            return Mesh(
                network.rows,
                network.cols,
                at[0] * network.cols + at[1] if isinstance(at, tuple) else None,
                network.bits_per_ns,
                int(picoseconds(network.hop_ns or 0.0)),
                (network.router_pj_per_bit or 0.0) + wire * self.pitch_mm,
            )
        assert network.levels is not None
        assert network.fanout is not None
        hops_ps = tuple(int(picoseconds(ns)) for ns in network.hop_ns_level or ())
        rates = network.bits_per_ns_level or ()
        return HTree(network.levels, network.fanout, rates, hops_ps, network.pj_per_bit_level or ())

    @cached_property
    def interconnect(self) -> Interconnect | None:
        """What bits travel on between cores and hub; None where arrays are one flat pool."""
        if self.core is None or self.network is None or self.topology is None:
            return None
        return Interconnect(
            topology=self.topology,
            is_tree=self.network.multicast == "tree",
            base_ps=int(picoseconds(self.network.base_ns)),
            bus_bits_per_ns=self.core.bus.bits_per_ns,
            bus_pj_per_bit=self.core.bus.pj_per_bit,
            hub_bits_per_ns=self.network.hub.bits_per_ns,
            input_bits=self.input.bits,
            sum_bits=self.network.sum_bits,
            out_bits=self.network.out_bits or self.network.sum_bits,
        )

    @property
    def core_add_pj(self) -> float:
        """Energy of adding two partial sums in a core, pJ: a shift-and-add, in a measured core a digital addition."""
        return self.digital.ops.add.per_element_pj if self.energy_pj is None else self.energy_pj.shift_add

    @property
    def arrays_max(self) -> int | None:
        """Most arrays of the chip, or None for as many as needed."""
        if self.network is None or self.core is None:
            return self.array.count
        return self.array.count or self.network.places * self.core.arrays

    @property
    def places_told(self) -> str:
        """What limits the arrays where it is the places of a network: `144 places of 16 arrays`; else empty."""
        if self.core is None or self.network is None:
            return ""
        places, arrays = self.network.places, self.core.arrays
        words = f"{places} places of {arrays} array{'s' if arrays > 1 else ''}"
        return words if self.arrays_max == places * arrays else ""

    @property
    def keys_of_places(self) -> str:
        """The keys that give a network more places, and its cores more arrays."""
        is_mesh = self.network is not None and self.network.topology == "mesh"
        keys = "network.rows, network.cols" if is_mesh else "network.levels, network.fanout"
        return f"{keys}, core.arrays{', array.count' if self.array.count else ''}"

    # Converters

    @property
    def levels_per_row(self) -> int:
        """Most that one driven cell adds to a column's sum."""
        return ((1 << self.input.dac_bits) - 1) * ((1 << self.cell.bits) - 1)

    def adc_bits_needed(self, n: IntsLike) -> Ints:
        """Bits that n >= 1 stacked rows need; at least 1.

        lossless: ceil(log2(n * (2^dac_bits - 1) * (2^cell.bits - 1) + 1)); log2_rows: max(1, ceil(log2 n)).
        Raises ValueError for n < 1.
        """
        rows = np.asarray(n, dtype=np.int64)
        if (rows < 1).any():
            raise ValueError("an activation drives at least one occupied row")
        # ceil(log2(m + 1)) is the number of binary digits of m, counted without a float logarithm.
        digits_of = rows * self.levels_per_row if self.adc.bits_rule == "lossless" else rows - 1
        digits = np.searchsorted(_POWERS_OF_TWO, digits_of, side="right")
        return np.maximum(np.asarray(digits, dtype=np.int64), 1)

    def adc_bits_used(self, n: IntsLike) -> Ints:
        """Bits the converter runs at: those needed, at most bits_max (fewer than needed lose information)."""
        return np.minimum(self.adc_bits_needed(n), self.adc.bits_max)

    def conversion_ps(self, bits: IntsLike) -> Ints:
        """Time of one conversion, ps, from the smallest table entry with at least `bits`; 0 in a measured core.

        Raises ValueError where the table has none.
        """
        return self._from_table("ps", bits)

    def conversion_pj(self, bits: IntsLike) -> Floats:
        """Energy of one conversion, pJ; chosen, and raising, as conversion_ps."""
        return self._from_table("pj", bits)

    @property
    def extrapolated_lines(self) -> dict[int, str]:
        """Bits of the table's lines whose figures are marked as extrapolated one by one -> why."""
        marked = {path: note for path, note in self.sources.items() if note.mark == "extrapolated"}
        notes = {entry.bits: marked.get(f"adc.table.{index}") for index, entry in enumerate(self.adc.table or ())}
        return {bits: note.origin.rpartition(": ")[2] for bits, note in notes.items() if note is not None}

    def array_um2(self, bits: IntsLike) -> Floats:
        """Area of an array with converters of `bits`, um2; chosen, and raising, as conversion_ps."""
        return self.array.area_um2 + self.adc.per_array * self._from_table("um2", bits)

    # Time

    @cached_property
    def clock_ps(self) -> int:
        """Clock period, ps."""
        return int(picoseconds(self.clock_ns))

    def cycles(self, ps: IntsLike) -> Ints:
        """Clock cycles that `ps` picoseconds take, rounded up."""
        return -(-np.asarray(ps, dtype=np.int64) // self.clock_ps)

    def activation_parts_ps(self, n: IntsLike, conversions: IntsLike) -> tuple[Ints, Ints]:
        """Duration of activations in read pulses and in conversions, ps; of what overlaps the longer counts alone.

        `n`: stacked rows, `conversions`: v, columns on the busiest converter.
        """
        converting = np.asarray(conversions, dtype=np.int64) * self.conversion_ps(self.adc_bits_used(n))
        lines = self.array_kind.duration_lines
        durations = np.stack([fixed_ps + repeats * converting for fixed_ps, repeats in lines])
        reading = np.array([fixed_ps for fixed_ps, _ in lines])[durations.argmax(axis=0)]
        return reading, durations.max(axis=0) - reading

    def activation_cycles(self, n: IntsLike, conversions: IntsLike) -> Ints:
        """Duration of activations in clock cycles, rounded up once per activation; see activation_parts_ps."""
        return self.cycles(sum(self.activation_parts_ps(n, conversions)))

    # Digital work and transfers

    def digital_ps(self, operation: str, elements: IntsLike) -> Ints:
        """Time of a digital operation, ps: base + per_element * ceil(elements / units).

        Raises ValueError for a name that is not in OPERATIONS.
        """
        costs = self._operation(operation)
        rounds = -(-np.asarray(elements, dtype=np.int64) // self.digital.units)
        return picoseconds(costs.base_ns) + rounds * picoseconds(costs.per_element_ns)

    def digital_pj(self, operation: str, elements: IntsLike) -> Floats:
        """Energy of a digital operation, pJ: base + per_element * elements."""
        costs = self._operation(operation)
        return costs.base_pj + np.asarray(elements, dtype=np.float64) * costs.per_element_pj

    def transfer_ps(self, bits: IntsLike) -> Ints:
        """Time of one transfer of a flat chip, ps: base + bits / bits_per_ns."""
        assert self.transfer is not None
        streaming = np.asarray(bits, dtype=np.float64) / self.transfer.bits_per_ns
        return picoseconds(self.transfer.base_ns) + picoseconds(streaming)

    def transfer_pj(self, bits: IntsLike) -> Floats:
        """Energy of one transfer of a flat chip, pJ."""
        assert self.transfer is not None
        return np.asarray(bits, dtype=np.float64) * self.transfer.pj_per_bit

    def __eq__(self, other: object) -> bool:
        """Whether both say the same; tables that were derived from one of them since are no part of it."""
        return isinstance(other, Hardware) and self.model_dump() == other.model_dump()

    def to_json(self) -> dict[str, Any]:
        """The spec as given, for JSON; `parse_hardware` reads it back equal."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    @cached_property
    def _table(self) -> dict[str, npt.NDArray[Any]]:
        """Columns of the converter table: `bits`, `ps`, `pj`, `um2`."""
        lines = self.array_kind.converters
        columns = {name: np.array([getattr(line, name) for line in lines]) for name in ("bits", "ns", "pj", "um2")}
        return {**columns, "ps": picoseconds(columns["ns"])}

    def _from_table(self, name: str, bits: IntsLike) -> npt.NDArray[Any]:
        wanted, known = np.asarray(bits, dtype=np.int64), self._table["bits"]
        if (wanted > known[-1]).any():
            raise ValueError(f"adc.table ends at {known[-1]} bits")
        return np.asarray(self._table[name][np.searchsorted(known, wanted, side="left")])

    def _operation(self, name: str) -> OperationSection:
        if name not in OPERATIONS:
            raise ValueError(f"digital.ops has no {name!r}; it has {', '.join(OPERATIONS)}")
        costs: OperationSection = getattr(self.digital.ops, name)
        return costs
