"""What one section of a hardware spec demands of another: a function a rule, each named as a sentence.

A rule raises ValueError with the key, its value, what was expected and what to do; the parser adds the file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from cimsolve.chip.converters import OWN_TABLE
from cimsolve.chip.sections import NetworkSection
from cimsolve.chip.spec import Hardware
from cimsolve.files.text import near_name, shown_numbers, shown_value

WITHOUT_SOURCE = {"format", "name", "technology", "sources"}
"""Keys that state no figure."""

PLACES_MAX = 2**20
NETWORK_KEYS = {
    "mesh": ("rows", "cols", "bits_per_ns", "hop_ns", "router_pj_per_bit", "wire_pj_per_bit_mm", "pitch_mm"),
    "htree": ("levels", "fanout", "bits_per_ns_level", "hop_ns_level", "pj_per_bit_level"),
}
"""Keys of each topology, which no other may have."""
NETWORK_OPTIONAL = {"pitch_mm"}
"""Those of them that may be left out."""
TOPOLOGIES = {"mesh": "a mesh", "htree": "an H-tree"}

CONVERTER_LABELS = {"adc.model", "adc.table_from"}
"""Keys that say where figures come from."""


def macro_replaces_the_array_model(hardware: Hardware) -> None:
    """A spec with macro has no read_ns, energy_pj and adc.table; one without macro has all three."""
    parts = {"read_ns": hardware.read_ns, "energy_pj": hardware.energy_pj, "adc.table": hardware.adc.table}
    for key, value in parts.items():
        if hardware.macro is not None and value is not None:
            raise ValueError(
                f"{key} = {shown_value(_plain(value))}: expected none, as macro states the whole core; "
                f"remove {key} or macro"
            )
        if hardware.macro is None and value is None and not (key == "adc.table" and _model_makes_the_table(hardware)):
            raise ValueError(f"{key} is missing; add it, or macro for a measured core")


def one_thing_states_the_converters(hardware: Hardware) -> None:
    """adc.model makes a table: none is given beside it, nor a macro, which holds its converters."""
    if not _model_makes_the_table(hardware):
        return
    for key, value in (("macro", hardware.macro), ("adc.table", hardware.adc.table)):
        if value is not None:
            raise ValueError(
                f"adc.model = {shown_value(hardware.adc.model)}: expected none beside {key}, which states the "
                f"converters; remove one of the two"
            )


def table_ascends_and_reaches_bits_max(hardware: Hardware) -> None:
    """adc.table is strictly ascending in bits and ends at bits_max or above."""
    if hardware.adc.table is None:
        return
    bits = [entry.bits for entry in hardware.adc.table]
    for index in range(1, len(bits)):
        if bits[index] <= bits[index - 1]:
            raise ValueError(
                f"adc.table.{index}.bits = {bits[index]}: expected more than the {bits[index - 1]} "
                "before it; sort the table and give each resolution once"
            )
    _demand_at_most("adc.bits_max", hardware.adc.bits_max, bits[-1], "{}, the table's largest", " or extend adc.table")


def bits_divide_sensibly(hardware: Hardware) -> None:
    """No cell holds more bits than a weight, no phase drives more than an input has."""
    _demand_at_most("cell.bits", hardware.cell.bits, hardware.weight.bits, "weight.bits = {}")
    _demand_at_most("input.dac_bits", hardware.input.dac_bits, hardware.input.bits, "input.bits = {}")


def array_holds_what_it_claims(hardware: Hardware) -> None:
    """A row holds a weight; no more rows are driven, and no more converters wired, than there are."""
    array = hardware.array
    if hardware.weights_per_row < 1:
        raise ValueError(
            f"array.cols = {array.cols}: expected at least {hardware.columns_per_weight}, the columns of one "
            "weight; widen the array or store more bits in a cell"
        )
    _demand_at_most("array.rows_active_max", array.rows_active_max or 0, array.rows, "array.rows = {}", " or give null")
    _demand_at_most("adc.per_array", hardware.adc.per_array, array.cols, "array.cols = {}")


def converter_resolves_one_row(hardware: Hardware) -> None:
    """At least one row can be read without a loss that is not allowed."""
    if hardware.rows_limit < 1:
        raise ValueError(
            f"adc.bits_max = {hardware.adc.bits_max}: one row needs {int(hardware.adc_bits_needed(1))} bits; "
            "raise it, lower cell.bits or input.dac_bits, or set adc.lossy_allowed to true"
        )


def every_figure_has_a_source(hardware: Hardware) -> None:
    """Every source names a key, and every value has a source, by its own path or by a prefix."""
    spec = {key: value for key, value in hardware.to_json().items() if key not in WITHOUT_SOURCE}
    keys = dict(_walk(spec, ""))
    for path in hardware.sources:
        if path not in keys:
            todo = near_name(path, keys, "did you mean {}?") or "remove it"
            raise ValueError(f"sources: {shown_value(path)}: expected a key of this spec; {todo}")
    for key, value in keys.items():
        states_figure = value is not None and not isinstance(value, dict | list) and key not in CONVERTER_LABELS
        if states_figure and not _is_covered(key, hardware.sources):
            raise ValueError(
                f"{key} = {shown_value(value)} has no source; add {shown_value(key)} or a prefix of it to sources"
            )


def a_network_takes_the_place_of_transfer(hardware: Hardware) -> None:
    """A chip has core and network, or transfer."""
    parts = {"core": hardware.core, "network": hardware.network}
    missing = [key for key, section in parts.items() if section is None]
    if hardware.transfer is None and len(missing) == 2:
        raise ValueError("transfer is missing; add it, or core and network for a chip with distance")
    if len(missing) == 1:
        raise ValueError(f"{missing[0]} is missing; core and network go together: add it, or remove the other")
    if hardware.transfer is not None and not missing:
        raise ValueError(
            "transfer = an object: expected none beside core and network, which say what a move takes; remove it"
        )


def write_and_load_go_together(hardware: Hardware) -> None:
    """What is written comes from somewhere, and what is loaded is written."""
    for key, section, other in (("write", hardware.write, hardware.load), ("load", hardware.load, hardware.write)):
        if section is None and other is not None:
            raise ValueError(f"{key} is missing; write and load go together: add it, or remove the other")


def network_keys_follow_from_its_topology(hardware: Hardware) -> None:
    """A mesh has rows, columns and a hub among them, an H-tree levels; neither has a key of the other."""
    network = hardware.network
    if network is None:
        return
    for topology, keys in NETWORK_KEYS.items():
        for key in keys:
            value = getattr(network, key)
            if topology == network.topology and value is None and key not in NETWORK_OPTIONAL:
                raise ValueError(f"network.{key} is missing; {TOPOLOGIES[topology]} needs it: add it")
            if topology != network.topology and value is not None:
                raise ValueError(
                    f"network.{key} = {shown_value(value)}: expected none in {TOPOLOGIES[network.topology]}; remove it"
                )
    if network.topology == "mesh":
        _hub_lies_on_the_mesh(network)
    else:
        _levels_are_all_stated(network)


def _hub_lies_on_the_mesh(network: NetworkSection) -> None:
    at, rows, cols = network.hub.at, network.rows or 0, network.cols or 0
    if at is None:
        raise ValueError('network.hub.at is missing; add "edge", or the [row, column] of a place')
    if isinstance(at, tuple) and (at[0] >= rows or at[1] >= cols):
        raise ValueError(
            f"network.hub.at = {shown_numbers(at)}: expected a row from 0 to {rows - 1} and a column from 0 to "
            f'{cols - 1}, or "edge"; correct it'
        )


def _levels_are_all_stated(network: NetworkSection) -> None:
    levels, fanout = network.levels or 0, network.fanout or 0
    at = network.hub.at
    if at is not None:
        shown_hub = shown_numbers(at) if isinstance(at, tuple) else shown_value(at)
        raise ValueError(f"network.hub.at = {shown_hub}: expected none in an H-tree, whose root is the hub; remove it")
    if fanout**levels > PLACES_MAX:
        raise ValueError(
            f"network.levels = {levels}: expected at most {PLACES_MAX} leaves, not {fanout}^{levels}; lower it, or "
            f"network.fanout = {fanout}"
        )
    for key in ("bits_per_ns_level", "hop_ns_level", "pj_per_bit_level"):
        values = getattr(network, key)
        if len(values) != levels:
            raise ValueError(
                f"network.{key} = {shown_numbers(values)}: expected {levels} numbers, one a level from the leaf up, as "
                f"network.levels = {levels}; correct one of them"
            )


def places_hold_the_arrays(hardware: Hardware) -> None:
    """No more arrays are counted than the cores at all places hold."""
    if hardware.network is None or hardware.core is None or hardware.array.count is None:
        return
    places, arrays = hardware.network.places, hardware.core.arrays
    words = f"{{}}, {places} places of {arrays} array{'s' if arrays > 1 else ''}"
    _demand_at_most("array.count", hardware.array.count, places * arrays, words, ", widen the network or give null")


HARDWARE_RULES: tuple[Callable[[Hardware], None], ...] = (
    one_thing_states_the_converters,
    macro_replaces_the_array_model,
    table_ascends_and_reaches_bits_max,
    bits_divide_sensibly,
    array_holds_what_it_claims,
    converter_resolves_one_row,
    a_network_takes_the_place_of_transfer,
    network_keys_follow_from_its_topology,
    places_hold_the_arrays,
    write_and_load_go_together,
    every_figure_has_a_source,
)


def _demand_at_most(key: str, value: int, most: int, words: str, other_way: str = "") -> None:
    """Raise ValueError where `value` is larger; `words` say what `most` is, in their braces."""
    if value > most:
        raise ValueError(f"{key} = {value}: expected at most {words.format(most)}; lower it{other_way}")


def _model_makes_the_table(hardware: Hardware) -> bool:
    return hardware.adc.model not in (None, OWN_TABLE)


def _walk(value: object, prefix: str) -> Iterator[tuple[str, object]]:
    """Every dotted path below `value` with what stands there; list entries by their index."""
    if isinstance(value, Mapping):
        entries = [(str(key), each) for key, each in value.items()]
    elif isinstance(value, list):
        entries = [(str(index), each) for index, each in enumerate(value)]
    else:
        return
    for name, each in entries:
        yield prefix + name, each
        yield from _walk(each, f"{prefix}{name}.")


def _is_covered(key: str, sources: Mapping[str, object]) -> bool:
    parts = key.split(".")
    return any(".".join(parts[:length]) in sources for length in range(1, len(parts) + 1))


def _plain(value: object) -> object:
    """Spec sections as plain data, so that errors show them as objects."""
    return value if isinstance(value, float | tuple) else {}
