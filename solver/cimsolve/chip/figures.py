"""What a spec amounts to: the product of one full array in time, energy and operations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cimsolve.chip.spec import Hardware
from cimsolve.chip.wiring import busiest_of_run

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
    """Part of `product_ns` in read pulses that no conversion hides."""
    product_pj: float
    """Energy of the product without leakage."""
    leakage_pj: float
    """Leakage of the array during `product_ns`."""
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
        """Tera-operations per second of the array alone."""
        return self.operations / self.product_ns * 1e-3

    @property
    def tops_per_w(self) -> float | None:
        """Tera-operations per joule of the array alone, leakage included; None where a product costs nothing."""
        spent_pj = self.product_pj + self.leakage_pj
        return self.operations / spent_pj if spent_pj else None

    @property
    def tops_per_mm2(self) -> float:
        """Tera-operations per second and mm2 of the array and its converters."""
        return self.tops / (self.area_um2 * 1e-6)


@dataclass(frozen=True)
class NetworkFigures:
    """What cores and network amount to. Rates are one way, in bit/ns; areas are those of all places."""

    places: int
    arrays: int
    """Arrays that all places hold."""
    pitch_mm: float | None
    """Distance between neighbours of a mesh; None in an H-tree."""
    side_mm: float
    """Side of a square of a core and its router."""
    bisection_bits_per_ns: float
    """Of the links that join one half of the places to the other."""
    hub_links_bits_per_ns: float
    hub_port_bits_per_ns: float
    farthest_ns: float
    """Latency of a move from the hub to the farthest core, before its bits."""
    hop_pj_per_bit: tuple[float, ...]
    """Of one link; in an H-tree by level, from the leaf up."""
    arrays_um2: float
    cores_um2: float
    """Of cores beside their arrays."""
    routers_um2: float
    hub_um2: float


def network_figures(hardware: Hardware) -> NetworkFigures | None:
    """What the cores and the network of a chip amount to; None for a chip whose arrays are one flat pool."""
    core, network, topology = hardware.core, hardware.network, hardware.topology
    if core is None or network is None or topology is None:
        return None
    ways_ps, _ = topology.ways_to_hub()
    is_mesh = network.topology == "mesh"
    return NetworkFigures(
        places=topology.places,
        arrays=topology.places * core.arrays,
        pitch_mm=hardware.pitch_mm if is_mesh else None,
        side_mm=hardware.side_mm,
        bisection_bits_per_ns=topology.bisection_bits_per_ns,
        hub_links_bits_per_ns=topology.hub_links_bits_per_ns,
        hub_port_bits_per_ns=network.hub.bits_per_ns,
        farthest_ns=network.base_ns + int(ways_ps.max()) / 1000,
        hop_pj_per_bit=network.pj_per_bit_level or (float(topology.link_pj_per_bit[0]),),
        arrays_um2=topology.places * hardware.core_arrays_um2,
        cores_um2=topology.places * core.area_um2,
        routers_um2=topology.fewest_routers(topology.places) * network.area_um2,
        hub_um2=network.hub.area_um2,
    )


def array_figures(hardware: Hardware) -> ArrayFigures:
    """The figures of one full array, by the cost model's equations (docs/formulation.md, "Costs")."""
    rows, per_row, width = hardware.array.rows, hardware.weights_per_row, hardware.columns_per_weight
    columns = per_row * width
    limit = min(rows, hardware.rows_limit)
    heights = np.array([limit] * (rows // limit) + ([rows % limit] if rows % limit else []), dtype=np.int64)
    conversions = busiest_of_run(hardware, 0, columns)
    cycles = hardware.activation_cycles(heights, conversions)
    reading_ps, _ = hardware.activation_parts_ps(heights, conversions)
    bits = hardware.adc_bits_used(heights)
    kind = hardware.array_kind
    once, read = np.ones_like(heights), np.full_like(heights, columns)
    spent_pj = kind.energy_pj(once, heights, heights * columns, read, columns * hardware.conversion_pj(bits))
    stacked = sorted({*(n for n in TYPICAL_ROWS if n < rows), limit, rows})
    product_ns = float(cycles.sum()) * hardware.clock_ps / 1000
    return ArrayFigures(
        weights=rows * per_row,
        columns_left=hardware.array.cols - columns,
        firings=len(heights),
        product_ns=product_ns,
        read_ns=0.0 if kind.holds_converters else float(reading_ps.sum()) / 1000,
        product_pj=sum(float(values.sum()) for values in spent_pj.values()),
        leakage_pj=hardware.array.leakage_uw * product_ns * 1e-3,
        area_um2=float(hardware.array_um2(bits.max())),
        bits_by_rows=tuple((n, int(hardware.adc_bits_needed(n)), int(hardware.adc_bits_used(n))) for n in stacked),
    )
