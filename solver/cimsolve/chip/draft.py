"""A first spec: the nearest shipped one with what the user knows in its place, and a source beside every figure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cimsolve.errors import InputError
from cimsolve.hardware import Hardware, load_hardware, parse_hardware, with_settings
from cimsolve.library import shipped_hardware

NOTE_MAX = 1000
"""Most characters of a source, as the format allows."""


@dataclass(frozen=True)
class Draft:
    """The spec as JSON and read back, the name of the spec it was built from, and the keys that the user gave."""

    data: Mapping[str, Any]
    hardware: Hardware
    base: str
    given: tuple[str, ...]


def draft_hardware(
    settings: Mapping[str, str], *, technology: str | None = None, base: str | None = None, source: str | None = None
) -> Draft:
    """A spec with every key of `base`, or of the nearest shipped spec, and `settings`, key -> JSON text, in place.

    What the user gave is marked as assumed, or as read from `source`; what was taken over is marked as assumed.
    Raises InputError for a key or a value that is none.
    """
    likeness = load_hardware(base if base is not None else nearest_spec(settings, technology))
    named = dict(settings)
    named.setdefault("name", "my_chip")
    if technology is not None:
        named["technology"] = technology
    fitted = _fitted(likeness, settings)
    data = with_settings(likeness, {**named, **fitted}).to_json()
    given = (*settings, *(["technology"] if technology is not None else []))
    sources = {}
    for key, note in data["sources"].items():
        if key in given:
            origin = source or "given by the user of `cimsolve hw new`; say here where it comes from"
            sources[key] = {"from": origin, "mark": "read" if source else "assumed"}
        elif key in fitted:
            sources[key] = {"from": f"as large as the array allows; {likeness.name} has more", "mark": "assumed"}
        else:
            sources[key] = {"from": f"taken over from {likeness.name}: {note['from']}"[:NOTE_MAX], "mark": "assumed"}
    data["sources"] = sources
    return Draft(data, parse_hardware(data, str(data["name"])), likeness.name, given)


def nearest_spec(settings: Mapping[str, str], technology: str | None) -> str:
    """The shipped spec of the same kind of memory, then of the nearest array size, then cell bits; rram256 on ties."""
    specs = [load_hardware(name) for name in shipped_hardware()]
    kinds = [spec for spec in specs if technology and _kind(spec.technology) == _kind(technology)]
    wanted = {key: _number(settings.get(key)) for key in ("array.rows", "array.cols", "cell.bits")}

    def distance(spec: Hardware) -> tuple[float, bool, str]:
        has = {"array.rows": spec.array.rows, "array.cols": spec.array.cols, "cell.bits": spec.cell.bits}
        off = [abs(math.log2(value / has[key])) for key, value in wanted.items() if value]
        return sum(off), spec.name != "rram256", spec.name

    return min(kinds or specs, key=distance).name


def _fitted(base: Hardware, settings: Mapping[str, str]) -> dict[str, str]:
    """Keys that must shrink with the array, where the user did not say how."""
    rows, cols = (_number(settings.get(key)) for key in ("array.rows", "array.cols"))
    fitted = {}
    if rows and rows < (base.array.rows_active_max or 0):
        fitted["array.rows_active_max"] = f"{rows:.0f}"
    if cols and cols < base.adc.per_array:
        fitted["adc.per_array"] = f"{cols:.0f}"
    return {key: value for key, value in fitted.items() if key not in settings}


def _kind(technology: str) -> str:
    """The kind of memory in a line of text: RRAM, ReRAM and memristor are one."""
    text = technology.lower()
    for kind, words in {"rram": ("rram", "reram", "memristor"), "pcm": ("pcm", "phase"), "sram": ("sram",)}.items():
        if any(word in text for word in words):
            return kind
    return ""


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 < value < math.inf else None


def demand_new(file: str, exists: bool, force: bool) -> None:
    """Raise InputError rather than write over a spec."""
    if exists and not force:
        raise InputError(f"--out {file}: is there already; choose another name, or --force to replace it")
