"""The JSON Schema of the `cimsolve-hw/1` format; `python -m cimsolve.chip.schema` prints it."""

from __future__ import annotations

import json
from typing import Any

from cimsolve.chip.spec import Hardware


def hardware_json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the format; most rules across sections are left to the parser."""
    schema = Hardware.model_json_schema(by_alias=True)
    schema["properties"]["$schema"] = {"type": "string", "description": "Where editors find this schema; not read."}
    schema["oneOf"] = [
        _kind("modelled array", read_ns="number", energy_pj="object", adc="array", macro="null"),
        _kind("measured core", read_ns="null", energy_pj="null", adc="null", macro="object"),
    ]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "cimsolve-hw/1"}


def _kind(title: str, **types: str) -> dict[str, Any]:
    """What a spec of one kind of array has, by JSON type, of `adc` that of its table; `null` is what it has not."""
    properties: dict[str, Any] = {key: {"type": name} for key, name in types.items()}
    needs_table = {"required": ["table"]} if types["adc"] != "null" else {}
    properties["adc"] = {**needs_table, "properties": {"table": properties["adc"]}}
    required = [key for key, name in types.items() if key != "adc" and name != "null"]
    return {"title": title, "required": required, "properties": properties}


if __name__ == "__main__":
    print(json.dumps(hardware_json_schema(), indent=2))
