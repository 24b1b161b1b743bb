"""Values of a spec that are allowed and look wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cimsolve.chip.spec import Hardware

CELL_F2_MIN = 4.0
"""No planar cell is smaller than a crossing of two lines at their pitch, 2 F x 2 F."""
CELL_F2_MAX = 2000.0
STEP_FJ_MIN, STEP_FJ_MAX = 0.1, 10_000.0
CONVERSION_NS_MIN, CONVERSION_NS_MAX = 0.05, 10_000.0
READ_NS_MIN, READ_NS_MAX = 0.1, 100_000.0
LEFT_MAX = 0.2
PITCH_FACTOR = 2.0
ROOM_FACTOR = 2
"""Places that a network may have for each core that `array.count` fills."""
READS_FACTOR = 4
"""Times that reading keys and values may take of the attention beside it."""


@dataclass(frozen=True)
class Doubt:
    """A value that is allowed and looks wrong: which key, and why."""

    key: str
    reason: str


def find_doubts(hardware: Hardware) -> list[Doubt]:
    """Everything that is allowed and looks wrong, in the order of the spec."""
    found = list(_array_doubts(hardware))
    if not hardware.array_kind.holds_converters:
        found += [*_bits_doubts(hardware), *_converter_doubts(hardware), *_time_doubts(hardware)]
    return [*found, *_network_doubts(hardware), *_memory_doubts(hardware), *_source_doubts(hardware)]


def _array_doubts(hardware: Hardware) -> Iterator[Doubt]:
    array = hardware.array
    cell_f2 = array.area_um2 / (array.rows * array.cols) / (hardware.node_nm * 1e-3) ** 2
    if cell_f2 < CELL_F2_MIN:
        yield Doubt(
            "array.area_um2",
            f"{cell_f2:.2g} F^2 a cell at node_nm = {hardware.node_nm:g}: a crossing of two lines at their pitch "
            "takes 4; is it in um2, and of the whole array?",
        )
    if cell_f2 > CELL_F2_MAX and not hardware.array_kind.holds_converters:
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
    if array.leakage_uw == 0 and not hardware.array_kind.holds_converters:
        yield Doubt("array.leakage_uw", "0: idle arrays cost nothing, so many arrays look as frugal as few")


def _bits_doubts(hardware: Hardware) -> Iterator[Doubt]:
    adc, driven = hardware.adc, hardware.array.rows_active_max or hardware.array.rows
    full = int(hardware.adc_bits_needed(driven))
    if full > adc.bits_max:
        how = "lose information" if adc.lossy_allowed else f"are cut to {hardware.rows_limit} rows"
        yield Doubt("adc.bits_max", f"{adc.bits_max}: columns of {driven} rows need {full} bits; taller blocks {how}")
    if full < adc.bits_max:
        yield Doubt("adc.bits_max", f"{adc.bits_max}: no column of {driven} rows needs more than {full} bits")
    if adc.bits_rule == "log2_rows":
        exact = (driven * hardware.levels_per_row).bit_length()
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
    read = hardware.read_ns or 0.0
    if not READ_NS_MIN <= read <= READ_NS_MAX:
        yield Doubt("read_ns", f"{read:g} ns a pulse: is it in ns?")
    least = sum(hardware.activation_parts_ps(1, 1))
    if hardware.clock_ps > least:
        yield Doubt(
            "clock_ns",
            f"{hardware.clock_ns:g} ns is longer than the shortest activation, {float(least) / 1000:g} ns: every "
            "activation is rounded up to whole periods, so times are those of the clock",
        )


def _network_doubts(hardware: Hardware) -> Iterator[Doubt]:
    core, network, topology = hardware.core, hardware.network, hardware.topology
    if core is None or network is None or topology is None:
        return
    bus, link = core.bus.bits_per_ns, float(topology.link_bits_per_ns.max(initial=0.0))
    leaf = network.bits_per_ns_level[0] if network.bits_per_ns_level else link
    if bus < leaf:
        yield Doubt(
            "core.bus.bits_per_ns", f"{bus:g} is slower than the {leaf:g} of the link to its core, which it cannot fill"
        )
    if network.hub.bits_per_ns < bus:
        yield Doubt(
            "network.hub.bits_per_ns",
            f"{network.hub.bits_per_ns:g} is less than the {bus:g} of one core's bus: all that cores send to and "
            "receive from the hub passes this port",
        )
    if (topology.link_pj_per_bit == 0).any():
        key = "router_pj_per_bit" if network.topology == "mesh" else "pj_per_bit_level"
        yield Doubt(f"network.{key}", "a link costs no energy: far cores look as frugal as near ones")
    pitch, side = network.pitch_mm, hardware.side_mm
    if pitch is not None and not side / PITCH_FACTOR <= pitch <= side * PITCH_FACTOR:
        yield Doubt(
            "network.pitch_mm",
            f"{pitch:g} mm, where a square of a core and its router has a side of {side:.3g} mm by the areas; null "
            "takes that",
        )
    count = hardware.array.count
    if count is not None and topology.places > ROOM_FACTOR * -(-count // core.arrays):
        yield Doubt(
            "array.count",
            f"{count} arrays fill {-(-count // core.arrays)} cores, and the network has {topology.places} places",
        )


def _memory_doubts(hardware: Hardware) -> Iterator[Doubt]:
    """By BERT-large: 16 heads of 64 over 512 tokens, in 24 layers."""
    memory = hardware.memory
    if memory is None:
        return
    layer_bits = 2 * 16 * 64 * 512 * memory.kv_bits
    read_ns = memory.base_ns + layer_bits / memory.all_bits_per_ns
    attends = (("attention_mac", 2 * 16 * 64 * 512), ("softmax", 16 * 512))
    attends_ns = sum(int(hardware.digital_ps(name, elements)) for name, elements in attends) / 1000
    if read_ns > READS_FACTOR * attends_ns:
        yield Doubt(
            "memory.bits_per_ns",
            f"{memory.all_bits_per_ns:g} in all banks: keys and values of a layer of BERT-large take {read_ns:.0f} ns, "
            f"its attention {attends_ns:.0f}: memory is then what a token waits for; are there more banks?",
        )
    if memory.bits < 24 * layer_bits:
        yield Doubt(
            "memory.mbit",
            f"{memory.mbit:g}: BERT-large keeps {24 * layer_bits / 1e6:.4g} of 512 tokens, and is refused",
        )
    if memory.read_pj_per_bit == 0:
        yield Doubt("memory.read_pj_per_bit", "0: long contexts look as frugal as short ones")


def _source_doubts(hardware: Hardware) -> Iterator[Doubt]:
    assumed = [key for key, note in hardware.sources.items() if note.mark == "assumed"]
    if len(assumed) == len(hardware.sources):
        yield Doubt("sources", "all are assumed: nothing that follows from this spec is better than a guess")
