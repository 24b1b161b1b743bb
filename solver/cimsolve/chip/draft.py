"""A first spec: the nearest shipped one with what the user knows in its place, and a source beside every figure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cimsolve.chip.read import load_hardware, parse_hardware
from cimsolve.chip.rules import NETWORK_KEYS
from cimsolve.chip.settings import SIZE, demand_key, left_behind, with_settings
from cimsolve.chip.spec import Hardware
from cimsolve.errors import InputError
from cimsolve.files.library import shipped_hardware

NOTE_MAX = 1000
"""Most characters of a source, as the format allows."""


@dataclass(frozen=True)
class Draft:
    """The spec as JSON and read back, the name of the spec it was built from, and the keys that the user gave.

    `fitted`: keys that follow from the size of the array; `of_other_size`: figures taken over although they grow with
    it, by a law that the spec does not say.
    """

    data: Mapping[str, Any]
    hardware: Hardware
    base: str
    given: tuple[str, ...]
    fitted: tuple[str, ...]
    of_other_size: tuple[str, ...]


def draft_hardware(
    settings: Mapping[str, str], *, technology: str | None = None, base: str | None = None, source: str | None = None
) -> Draft:
    """A spec with every key of `base`, or of the nearest shipped spec, and `settings`, key -> JSON text, in place.

    What the user gave is marked as assumed, or as read from `source`; what was taken over is marked as assumed.
    Raises InputError for a key or a value that is none.
    """
    likeness = load_hardware(base if base is not None else nearest_spec(settings, technology))
    known = {} if technology is None else {"technology": technology}
    fitted = _fitted(likeness, settings)
    sizes = {key: value for key, (value, _) in fitted.items()}
    data = with_settings(likeness, {**settings, "name": settings.get("name", "my_chip"), **known, **sizes}).to_json()
    given = (*settings, *known)
    sources = {}
    for key, note in data["sources"].items():
        if key in given:
            origin = source or "given by the user of `cimsolve hw new`; say here where it comes from"
            sources[key] = {"from": origin, "mark": "read" if source else "assumed"}
        elif key in fitted:
            sources[key] = {"from": fitted[key][1], "mark": "assumed"}
        else:
            sources[key] = {"from": f"taken over from {likeness.name}: {note['from']}"[:NOTE_MAX], "mark": "assumed"}
    data["sources"] = sources
    hardware = parse_hardware(data, str(data["name"]))
    kept = () if _size(hardware) == _size(likeness) else left_behind(hardware, (*SIZE, *given, *fitted))
    return Draft(data, hardware, likeness.name, given, tuple(fitted), kept)


def nearest_spec(settings: Mapping[str, str], technology: str | None) -> str:
    """The shipped spec of the same kind of memory, then of the nearest array size, then cell bits; rram256 on ties.

    Of those that have the keys, where any has; a flat one unless they are of a chip with a network.
    """
    shipped = [load_hardware(name) for name in shipped_hardware()]
    having = [spec for spec in shipped if _has_keys(spec, settings)]
    specs = [spec for spec in having if spec.network is None] or having or shipped
    kinds = [spec for spec in specs if technology and _kind(spec.technology) == _kind(technology)]
    wanted = {key: _number(settings.get(key)) for key in ("array.rows", "array.cols", "cell.bits")}

    def distance(spec: Hardware) -> tuple[float, bool, str]:
        has = {"array.rows": spec.array.rows, "array.cols": spec.array.cols, "cell.bits": spec.cell.bits}
        off = [abs(math.log2(value / has[key])) for key, value in wanted.items() if value]
        return sum(off), not spec.name.startswith("rram256"), spec.name

    return min(kinds or specs, key=distance).name


def _has_keys(spec: Hardware, keys: Iterable[str]) -> bool:
    """Whether the spec has all sections that keys lie in, and a network with the keys of its topology."""
    mine = spec.network and NETWORK_KEYS[spec.network.topology]
    others = {key for keys_of_one in NETWORK_KEYS.values() if keys_of_one != mine for key in keys_of_one}
    try:
        for key in keys:
            demand_key(spec, key)
    except InputError:
        return False
    return not any(key.split(".")[1] in others for key in keys if key.startswith("network."))


def _fitted(base: Hardware, settings: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Keys that go with the size of the array, where the user did not say how: value, and why it is that."""
    rows = _number(settings.get("array.rows")) or base.array.rows
    cols = _number(settings.get("array.cols")) or base.array.cols
    most = f"as large as the array allows; {base.name} has more"
    fitted = {}
    if rows < (base.array.rows_active_max or 0):
        fitted["array.rows_active_max"] = (f"{rows:.0f}", most)
    if cols < base.adc.per_array:
        fitted["adc.per_array"] = (f"{cols:.0f}", most)
    if (rows, cols) != _size(base) and not base.array_kind.holds_converters:
        # The shipped areas are cells times the area of a cell; a core's area holds converters, which are no cells.
        area = base.array.area_um2 * (rows * cols) / (base.array.rows * base.array.cols)
        size = f"{base.array.rows} x {base.array.cols}"
        why = f"in proportion to the cells: {base.name} has {base.array.area_um2:g} um2 for {size}"
        fitted["array.area_um2"] = (f"{area:.6g}", why)
    return {key: value for key, value in fitted.items() if key not in settings}


def _size(hardware: Hardware) -> tuple[float, float]:
    return hardware.array.rows, hardware.array.cols


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
