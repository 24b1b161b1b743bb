"""Hardware specs for tests: shipped ones with single keys changed."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import jsonschema
import pytest

from cimsolve.chip.read import parse_hardware
from cimsolve.chip.schema import hardware_json_schema
from cimsolve.errors import InputError
from cimsolve.files.library import resolve_hardware

FLAT = ["paper256", "pcm256", "rram128-isaac", "rram256", "sram256"]
WITH_DISTANCE = ["hermes64", "isaac", "neurram48", "paper256-mesh", "puma", "rram256-mesh"]
SHIPPED = sorted([*FLAT, *WITH_DISTANCE])
MEASURED = ["hermes64", "neurram48", "pcm256"]
"""Those with a macro in place of modelled arrays."""
DELETE = object()


def spec(base: str = "rram256", /, **changes: Any) -> dict[str, Any]:
    """A shipped spec as data; keyword `adc__bits_max=3` sets adc.bits_max, DELETE removes the key."""
    data: dict[str, Any] = json.loads(_text_of(base))
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = data
        for part in parents:
            place = place[part]
        if value is DELETE:
            del place[last]
        else:
            place[last] = value
    return data


@cache
def _text_of(shipped: str) -> str:
    return resolve_hardware(shipped).read_text()


@cache
def schema_validator() -> jsonschema.Draft202012Validator:
    """Judges specs by the schema, which itself is judged by `test_hardware.py`."""
    return jsonschema.Draft202012Validator(hardware_json_schema())


def refusal(data: object) -> str:
    with pytest.raises(InputError) as caught:
        parse_hardware(data, "chip.json")
    message = str(caught.value)
    assert message.startswith("chip.json: ")
    assert "\n" not in message
    assert caught.value.exit_code == 2
    return message
