"""A spec from a file or from parsed JSON: checked, and its converter table made where a model is to make it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cimsolve.chip.converters import OWN_TABLE, ConverterTable, Place, make_table
from cimsolve.chip.rules import HARDWARE_RULES
from cimsolve.chip.spec import Hardware
from cimsolve.errors import InputError
from cimsolve.files.json_file import first_problem, read_json
from cimsolve.files.kinds import SPEC, demand_kind
from cimsolve.files.library import resolve_hardware
from cimsolve.files.text import one_line

SPEC_BYTES_MAX = 16 * 2**20


def load_hardware(path_or_name: Path | str) -> Hardware:
    """Read a spec by path, or a shipped one by name; raises InputError where it cannot be used."""
    path = resolve_hardware(str(path_or_name))
    return parse_hardware(read_json(path, SPEC_BYTES_MAX), str(path))


def parse_hardware(data: object, origin: str) -> Hardware:
    """Check a parsed spec; raises InputError with one line: `origin`, key, value, what was expected.

    `$schema`, by which editors find the JSON Schema of a file, is no part of the spec.
    """
    demand_kind(data, SPEC, origin)
    if isinstance(data, dict) and isinstance(data.get("$schema"), str):
        data = {key: value for key, value in data.items() if key != "$schema"}
    try:
        hardware = _checked(data)
    except ValidationError as error:
        raise InputError(first_problem(error, origin, Hardware)) from None
    except ValueError as error:
        raise InputError(f"{one_line(origin)}: {one_line(str(error))}") from None
    model = hardware.adc.model
    if model in (None, OWN_TABLE):
        return hardware
    made, data = made_table(hardware, model), hardware.to_json()
    del data["adc"]["model"]
    data["adc"] |= {"table_from": model, "table": list(made.lines)}
    drop_sources(data, "adc.model", "adc.table")
    data["sources"] |= {f"adc.table.{path}".rstrip("."): note for path, note in made.sources.items()}
    try:
        return _checked(data)
    except ValueError:
        raise InputError(
            f"{origin}: adc.bits_max = {hardware.adc.bits_max}: adc.model {model} makes no usable table up to so many "
            "bits; lower it"
        ) from None


def without_distance(hardware: Hardware) -> Hardware:
    """The chip with all its arrays in one flat pool, where what moves takes no time and no energy."""
    if hardware.topology is None:
        return hardware
    data = hardware.to_json()
    data["array"]["count"] = hardware.arrays_max
    for key in ("core", "network"):
        del data[key]
        drop_sources(data, key)
    data["transfer"] = {"base_ns": 0, "bits_per_ns": 1e9, "pj_per_bit": 0}
    for key in ("array.count", "transfer"):
        drop_sources(data, key)
        data["sources"][key] = {"from": "left out to look at the arrays alone", "mark": "assumed"}
    return parse_hardware(data, hardware.name)


def _checked(data: object) -> Hardware:
    """The spec, which obeys all rules. Raises ValidationError for a key, ValueError for a rule that is broken."""
    hardware = Hardware.model_validate(data)
    for rule in HARDWARE_RULES:
        rule(hardware)
    return hardware


def made_table(hardware: Hardware, model: str) -> ConverterTable:
    """The table that a converter model makes for the bits, rows and node of `hardware`."""
    return make_table(model, hardware.adc.bits_max, Place(hardware.array.rows, hardware.node_nm))


def drop_sources(data: dict[str, Any], *keys: str) -> None:
    """Remove from a spec's data the sources of keys and of all below them."""
    for path in list(data["sources"]):
        if any(path == key or path.startswith(f"{key}.") for key in keys):
            del data["sources"][path]
