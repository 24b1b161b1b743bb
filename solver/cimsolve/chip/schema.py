"""The JSON Schema of the `cimsolve-hw/1` format; `python -m cimsolve.chip.schema` prints it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from cimsolve.chip.rules import NETWORK_KEYS, NETWORK_OPTIONAL
from cimsolve.chip.spec import Hardware


def hardware_json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the format; most rules across sections are left to the parser."""
    schema = Hardware.model_json_schema(by_alias=True)
    schema["properties"]["$schema"] = {"type": "string", "description": "Where editors find this schema; not read."}
    schema["oneOf"] = [
        _kind("modelled array", read_ns="number", energy_pj="object", adc="array", macro="null"),
        _kind("measured core", read_ns="null", energy_pj="null", adc="null", macro="object"),
    ]
    distance = ("core", "network")
    schema["allOf"] = [{"oneOf": [_having(("transfer",), distance), _having(distance, ("transfer",))]}]
    schema["$defs"]["NetworkSection"]["oneOf"] = [_network("mesh", "htree"), _network("htree", "mesh")]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "cimsolve-hw/1"}


def _kind(title: str, **types: str) -> dict[str, Any]:
    """What a spec of one kind of array has, by JSON type, of `adc` that of its table; `null` is what it has not."""
    properties: dict[str, Any] = {key: {"type": name} for key, name in types.items()}
    needs_table = {"required": ["table"]} if types["adc"] != "null" else {}
    properties["adc"] = {**needs_table, "properties": {"table": properties["adc"]}}
    required = [key for key, name in types.items() if key != "adc" and name != "null"]
    return {"title": title, "required": required, "properties": properties}


def _having(given: Iterable[str], absent: Iterable[str]) -> dict[str, Any]:
    """An object that has some keys and not others."""
    some, none = {key: {"not": {"type": "null"}} for key in given}, {key: {"type": "null"} for key in absent}
    return {"required": list(some), "properties": some | none}


def _network(topology: str, other: str) -> dict[str, Any]:
    """What a network of one topology has."""
    needed = [key for key in NETWORK_KEYS[topology] if key not in NETWORK_OPTIONAL]
    kind = _having(needed, NETWORK_KEYS[other])
    hub = _having(("at",), ()) if topology == "mesh" else _having((), ("at",))
    return {
        **kind,
        "title": topology,
        "properties": {**kind["properties"], "topology": {"const": topology}, "hub": hub},
    }


if __name__ == "__main__":
    print(json.dumps(hardware_json_schema(), indent=2))
