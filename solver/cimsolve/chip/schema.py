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
        {
            "title": "modelled array",
            "required": ["read_ns", "energy_pj"],
            "properties": {
                "read_ns": {"type": "number"},
                "energy_pj": {"type": "object"},
                "adc": {"required": ["table"], "properties": {"table": {"type": "array"}}},
                "macro": {"type": "null"},
            },
        },
        {
            "title": "measured core",
            "required": ["macro"],
            "properties": {
                "read_ns": {"type": "null"},
                "energy_pj": {"type": "null"},
                "adc": {"properties": {"table": {"type": "null"}}},
                "macro": {"type": "object"},
            },
        },
    ]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "cimsolve-hw/1"}


if __name__ == "__main__":
    print(json.dumps(hardware_json_schema(), indent=2))
