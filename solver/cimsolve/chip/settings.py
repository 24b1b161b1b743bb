"""A spec with some of its keys changed, and what then no longer goes with the size of its array."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from cimsolve.chip.converters import OWN_TABLE
from cimsolve.chip.read import drop_sources, made_table, parse_hardware
from cimsolve.chip.spec import Hardware
from cimsolve.errors import InputError
from cimsolve.files.json_file import key_paths, parse_json_text
from cimsolve.files.text import near_name, one_line

SIZE = ("array.rows", "array.cols")


def with_settings(hardware: Hardware, settings: Mapping[str, str]) -> Hardware:
    """A copy with keys changed, all at once: dotted key to JSON text (plain text where it is not JSON).

    The source of a changed key becomes an assumption set on the command line.
    Raises InputError for an unknown key or a spec that no longer holds together.
    """
    data = hardware.to_json()
    _unmake_table(hardware, data, settings)
    for key, text in settings.items():
        _set_key(data, key, _setting_value(text))
        if key.partition(".")[0] in {"format", "name", "technology"}:
            continue  # these need no source
        drop_sources(data, key)  # the section they describe has been replaced
        data["sources"][key] = {"from": "set on the command line", "mark": "assumed"}
    changes = " ".join(f"--set {key}={text}" for key, text in settings.items())
    return parse_hardware(data, f"{hardware.name} with {changes}" if changes else hardware.name)


def demand_key(hardware: Hardware, key: str) -> None:
    """Raise InputError where `with_settings` could not change this dotted key of `hardware`."""
    _set_key(hardware.to_json(), key, None)


def left_behind(hardware: Hardware, changed: Collection[str]) -> tuple[str, ...]:
    """Keys of figures that grow with the array and stay as they were although `changed` names its size."""
    if not set(SIZE).intersection(changed):
        return ()
    given = hardware.network is not None and hardware.network.pitch_mm is not None
    keys = (*hardware.array_kind.figures_by_size, *(("network.pitch_mm",) if given else ()))
    return tuple(key for key in keys if key not in changed)


def _unmake_table(hardware: Hardware, data: dict[str, Any], settings: Mapping[str, str]) -> None:
    """Make way for a table made anew: a model is chosen, or a made table follows the keys that change.

    Raises InputError where a model and a table are both set, or a table wanted back that a model has replaced.
    """
    by_hand = next((key for key in settings if key == "adc.table" or key.startswith("adc.table.")), None)
    chosen, made = settings.get("adc.model"), _made_by(hardware)
    if by_hand is not None and chosen not in (None, OWN_TABLE):
        raise InputError(f"--set {one_line(by_hand)} beside adc.model={one_line(str(chosen))}: expected one of them")
    if made is not None and chosen == OWN_TABLE and by_hand is None:
        raise InputError(f"--set adc.model={OWN_TABLE}: the table of {hardware.name} was made by {made}; load its spec")
    data["adc"].pop("table_from", None)
    if by_hand is not None or hardware.array_kind.holds_converters:
        return
    if chosen not in (None, OWN_TABLE) or made is not None:
        data["adc"].pop("table", None)
        drop_sources(data, "adc.table")
        data["adc"]["model"] = made  # where one is chosen, it is set with the other keys


def _made_by(hardware: Hardware) -> str | None:
    """The model that made the table; None where the table is not, or no longer, what it makes."""
    model = hardware.adc.table_from
    given = [entry.model_dump() for entry in hardware.adc.table or ()]
    return model if model is not None and given == list(made_table(hardware, model).lines) else None


def _setting_value(text: str) -> object:
    try:
        return parse_json_text(text)
    except (ValueError, RecursionError):
        return text


def _set_key(data: dict[str, Any], key: str, value: object) -> None:
    """Put `value` at the dotted `key`; indices lead into existing lists. Raises InputError if unknown."""
    parts = key.split(".")
    place: Any = data
    for part in parts[:-1]:
        place = _step(data, place, part, key)
    last = parts[-1]
    if isinstance(place, list):
        _step(data, place, last, key)
        place[int(last)] = value
    elif isinstance(place, dict) and (last in place or key in key_paths(Hardware)) and parts[0] != "sources":
        place[last] = value
    else:
        raise _unknown_key(data, key)


def _step(data: dict[str, Any], place: Any, part: str, key: str) -> Any:
    if isinstance(place, list) and part.isdecimal() and int(part) < len(place):
        return place[int(part)]
    if isinstance(place, dict) and isinstance(place.get(part), dict | list):
        return place[part]
    raise _unknown_key(data, key)


def _unknown_key(data: dict[str, Any], key: str) -> InputError:
    known = [path for path in key_paths(Hardware) if path != "sources"]
    absent = _absent_section(data, key)
    if absent in known:
        todo = f"set {absent} whole, or take a spec that has it"
        return InputError(f"--set {one_line(key)}: {data['name']} has no {absent}; {todo}")
    section, _, last = key.rpartition(".")
    siblings = [path.rpartition(".")[2] for path in known if section and path.rpartition(".")[0] == section]
    same_name = [path for path in known if path.rpartition(".")[2] == last]
    sibling = near_name(last, siblings)
    near = f"{section}.{sibling}" if sibling else next(iter(same_name), "") or near_name(key, known)
    todo = f"did you mean {near}?" if near and near != key else "the keys are listed in docs/hardware.md"
    return InputError(f"--set {one_line(key)}: the spec has no such key; {todo}")


def _absent_section(data: dict[str, Any], key: str) -> str:
    """The outermost of what `key` lies in that the spec has not; empty where it has all."""
    place: Any = data
    parents = key.split(".")[:-1]
    for depth, part in enumerate(parents, 1):
        place = place.get(part) if isinstance(place, dict) else None
        if place is None:
            return ".".join(parents[:depth])
    return ""
