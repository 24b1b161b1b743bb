"""What the chip offers: the checked `cimsolve-hw/1` spec and all that follows from it alone.

Times are integer picoseconds inside, rounded from the spec's nanoseconds in `_picoseconds` and nowhere else;
cycles come out of `cycles`. Equations: docs/formulation.md, section "Costs"; keys: docs/hardware.md.

`python -m cimsolve.chip.hardware` prints the JSON Schema.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError, model_validator

from cimsolve.chip.converters import OWN_TABLE, ConverterTable, Place, make_table
from cimsolve.chip.rules import HARDWARE_RULES
from cimsolve.chip.sections import (
    AdcSection,
    ArrayEnergySection,
    ArraySection,
    CellSection,
    DigitalSection,
    InputSection,
    MacroSection,
    OperationSection,
    OperationsSection,
    Section,
    SourceNote,
    Time,
    TransferSection,
    WeightSection,
)
from cimsolve.errors import InputError
from cimsolve.files.json_file import first_problem, key_paths, parse_json_text, read_json
from cimsolve.files.kinds import SPEC, demand_kind
from cimsolve.files.library import resolve_hardware
from cimsolve.files.text import near_name, one_line

SPEC_BYTES_MAX = 16 * 2**20

OPERATIONS: tuple[str, ...] = tuple(OperationsSection.model_fields)
"""Names of the digital operations that every spec prices."""

IntsLike: TypeAlias = int | npt.NDArray[np.integer[Any]]
"""An int, or integers of any shape; results have that shape (0-d for an int: use int() or float())."""
Int64s: TypeAlias = npt.NDArray[np.int64]
Float64s: TypeAlias = npt.NDArray[np.float64]

_POWERS_OF_TWO: Int64s = np.left_shift(np.int64(1), np.arange(63, dtype=np.int64))


class Hardware(Section):
    """A hardware spec, checked when built; `parse_hardware` and `load_hardware` raise InputError instead."""

    format: Literal["cimsolve-hw/1"] = Field(description="Name and version of this format.")
    name: str = Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$", description="Name in reports.")
    technology: str = Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$", description="Memory kind.")
    node_nm: float = Field(gt=0, le=1e5, description="Technology node, nm; documentation only.")
    clock_ns: Time = Field(description="Clock period, ns; an activation is rounded up to whole periods.")
    array: ArraySection
    cell: CellSection
    weight: WeightSection
    input: InputSection
    adc: AdcSection
    read_ns: Time | None = Field(default=None, description="One read pulse, ns. Absent with macro.")
    energy_pj: ArrayEnergySection | None = Field(default=None, description="Absent with macro.")
    transfer: TransferSection
    digital: DigitalSection
    macro: MacroSection | None = Field(default=None, description="A measured core, or absent.")
    sources: dict[str, SourceNote] = Field(
        description="Where each figure comes from: a key's dotted path, or a prefix of it, to its source."
    )

    @model_validator(mode="after")
    def _obey_rules(self) -> Hardware:
        for rule in HARDWARE_RULES:
            rule(self)
        return self

    # Shape

    @property
    def columns_per_weight(self) -> int:
        """w, adjacent physical columns of a weight: ceil(weight.bits / cell.bits), twice if differential."""
        slices = -(-self.weight.bits // self.cell.bits)
        return slices * (2 if self.weight.signed == "differential" else 1)

    @property
    def weights_per_row(self) -> int:
        """Logical columns of an array, floor(cols / w); what is left over stays empty."""
        return self.array.cols // self.columns_per_weight

    @property
    def input_phases(self) -> int:
        """f, the pulses that one input takes: ceil(input.bits / dac_bits)."""
        return -(-self.input.bits // self.input.dac_bits)

    @property
    def rows_limit(self) -> int:
        """Most occupied driven cells of one column in one activation, without a loss not allowed."""
        limit = self.array.rows if self.array.rows_active_max is None else self.array.rows_active_max
        if self.adc.lossy_allowed:
            return limit
        if self.adc.bits_rule == "log2_rows":
            return min(limit, 1 << self.adc.bits_max)
        return min(limit, ((1 << self.adc.bits_max) - 1) // self._levels_per_row)

    # Converters

    def adc_bits_needed(self, n: IntsLike) -> Int64s:
        """Bits that n >= 1 stacked rows need; at least 1.

        lossless: ceil(log2(n * (2^dac_bits - 1) * (2^cell.bits - 1) + 1)); log2_rows: max(1, ceil(log2 n)).
        Raises ValueError for n < 1.
        """
        rows = np.asarray(n, dtype=np.int64)
        if (rows < 1).any():
            raise ValueError("an activation drives at least one occupied row")
        # ceil(log2(m + 1)) is the number of binary digits of m, counted without a float logarithm.
        digits_of = rows * self._levels_per_row if self.adc.bits_rule == "lossless" else rows - 1
        digits = np.searchsorted(_POWERS_OF_TWO, digits_of, side="right")
        return np.maximum(np.asarray(digits, dtype=np.int64), 1)

    def adc_bits_used(self, n: IntsLike) -> Int64s:
        """Bits the converter runs at: those needed, at most bits_max (fewer than needed lose information)."""
        return np.minimum(self.adc_bits_needed(n), self.adc.bits_max)

    def conversion_ps(self, bits: IntsLike) -> Int64s:
        """Time of one conversion, ps, from the smallest table entry with at least `bits`; 0 for a macro.

        Raises ValueError where the table has none.
        """
        return self._from_table(self._table_ps, bits)

    def conversion_pj(self, bits: IntsLike) -> Float64s:
        """Energy of one conversion, pJ; chosen, and raising, as conversion_ps."""
        return self._from_table(self._table_pj, bits)

    @property
    def extrapolated_lines(self) -> dict[int, str]:
        """Bits of the table's lines whose figures are marked as extrapolated one by one -> why."""
        marked = {path: note for path, note in self.sources.items() if note.mark == "extrapolated"}
        notes = {entry.bits: marked.get(f"adc.table.{index}") for index, entry in enumerate(self.adc.table or ())}
        return {bits: note.origin.rpartition(": ")[2] for bits, note in notes.items() if note is not None}

    def converter_um2(self, bits: IntsLike) -> Float64s:
        """Area of one converter, um2; chosen, and raising, as conversion_ps."""
        return self._from_table(self._table_um2, bits)

    # Time

    @cached_property
    def clock_ps(self) -> int:
        """Clock period, ps."""
        return int(_picoseconds(self.clock_ns))

    @cached_property
    def read_ps(self) -> int:
        """One read pulse, ps; 0 for a macro."""
        return 0 if self.read_ns is None else int(_picoseconds(self.read_ns))

    @cached_property
    def mvm_ps(self) -> int:
        """One product of a measured core, ps; 0 without macro."""
        return 0 if self.macro is None else int(_picoseconds(self.macro.mvm_ns))

    def cycles(self, ps: IntsLike) -> Int64s:
        """Clock cycles that `ps` picoseconds take, rounded up."""
        return -(-np.asarray(ps, dtype=np.int64) // self.clock_ps)

    def activation_ps(self, n: IntsLike, conversions: IntsLike) -> Int64s:
        """Duration of activations, ps: n stacked rows, `conversions` = v columns on the busiest converter.

        f * (read + v * t_conv)                                       without sample_hold
        read + (f - 1) * max(read, v * t_conv) + v * t_conv           with it
        mvm                                                           for a macro
        """
        rows, reads = np.broadcast_arrays(np.asarray(n, dtype=np.int64), np.asarray(conversions, dtype=np.int64))
        if self.macro is not None:
            return np.full(rows.shape, self.mvm_ps, dtype=np.int64)
        converting = reads * self.conversion_ps(self.adc_bits_used(rows))
        phases = self.input_phases
        if self.adc.sample_hold:
            return self.read_ps + (phases - 1) * np.maximum(self.read_ps, converting) + converting
        return phases * (self.read_ps + converting)

    def activation_cycles(self, n: IntsLike, conversions: IntsLike) -> Int64s:
        """Duration of activations in clock cycles, rounded up once per activation; see activation_ps."""
        return self.cycles(self.activation_ps(n, conversions))

    # Digital work and transfers

    def digital_ps(self, operation: str, elements: IntsLike) -> Int64s:
        """Time of a digital operation, ps: base + per_element * ceil(elements / units).

        Raises ValueError for a name that is not in OPERATIONS.
        """
        costs = self._operation(operation)
        rounds = -(-np.asarray(elements, dtype=np.int64) // self.digital.units)
        return _picoseconds(costs.base_ns) + rounds * _picoseconds(costs.per_element_ns)

    def digital_pj(self, operation: str, elements: IntsLike) -> Float64s:
        """Energy of a digital operation, pJ: base + per_element * elements."""
        costs = self._operation(operation)
        return costs.base_pj + np.asarray(elements, dtype=np.float64) * costs.per_element_pj

    def transfer_ps(self, bits: IntsLike) -> Int64s:
        """Time of one transfer, ps: base + bits / bits_per_ns."""
        streaming = np.asarray(bits, dtype=np.float64) / self.transfer.bits_per_ns
        return _picoseconds(self.transfer.base_ns) + _picoseconds(streaming)

    def transfer_pj(self, bits: IntsLike) -> Float64s:
        """Energy of one transfer, pJ."""
        return np.asarray(bits, dtype=np.float64) * self.transfer.pj_per_bit

    def to_json(self) -> dict[str, Any]:
        """The spec as given, for JSON; `parse_hardware` reads it back equal."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    # Lookup tables, built once

    @property
    def _levels_per_row(self) -> int:
        """Most that one driven cell adds to a column's sum."""
        return ((1 << self.input.dac_bits) - 1) * ((1 << self.cell.bits) - 1)

    @cached_property
    def _table_bits(self) -> Int64s:
        return np.array([entry.bits for entry in self.adc.table or ()], dtype=np.int64)

    @cached_property
    def _table_ps(self) -> Int64s:
        return _picoseconds(np.array([entry.ns for entry in self.adc.table or ()], dtype=np.float64))

    @cached_property
    def _table_pj(self) -> Float64s:
        return np.array([entry.pj for entry in self.adc.table or ()], dtype=np.float64)

    @cached_property
    def _table_um2(self) -> Float64s:
        return np.array([entry.um2 for entry in self.adc.table or ()], dtype=np.float64)

    def _from_table(self, column: npt.NDArray[Any], bits: IntsLike) -> npt.NDArray[Any]:
        wanted = np.asarray(bits, dtype=np.int64)
        if self.macro is not None:
            return np.zeros(wanted.shape, dtype=column.dtype)
        if (wanted > self._table_bits[-1]).any():
            raise ValueError(f"adc.table ends at {self._table_bits[-1]} bits")
        return np.asarray(column[np.searchsorted(self._table_bits, wanted, side="left")])

    def _operation(self, name: str) -> OperationSection:
        if name not in OPERATIONS:
            raise ValueError(f"digital.ops has no {name!r}; it has {', '.join(OPERATIONS)}")
        costs: OperationSection = getattr(self.digital.ops, name)
        return costs


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
        hardware = Hardware.model_validate(data)
    except ValidationError as error:
        raise InputError(first_problem(error, origin, Hardware)) from None
    model = hardware.adc.model
    if model in (None, OWN_TABLE):
        return hardware
    try:
        return Hardware.model_validate(_with_made_table(hardware, model))
    except ValidationError:
        raise InputError(
            f"{origin}: adc.bits_max = {hardware.adc.bits_max}: adc.model {model} makes no usable table up to so many "
            "bits; lower it"
        ) from None


def _make_table(hardware: Hardware, model: str) -> ConverterTable:
    return make_table(model, hardware.adc.bits_max, Place(hardware.array.rows, hardware.node_nm))


def _with_made_table(hardware: Hardware, model: str) -> dict[str, Any]:
    """The spec as data with the table that a converter model makes, its sources, and `table_from` for `model`."""
    data = hardware.to_json()
    made = _make_table(hardware, model)
    del data["adc"]["model"]
    data["adc"] |= {"table_from": model, "table": list(made.lines)}
    _drop_sources(data, "adc.model", "adc.table")
    data["sources"] |= {f"adc.table.{path}".rstrip("."): note for path, note in made.sources.items()}
    return data


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
        _drop_sources(data, key)  # the section they describe has been replaced
        data["sources"][key] = {"from": "set on the command line", "mark": "assumed"}
    changes = " ".join(f"--set {key}={text}" for key, text in settings.items())
    return parse_hardware(data, f"{hardware.name} with {changes}" if changes else hardware.name)


def demand_key(hardware: Hardware, key: str) -> None:
    """Raise InputError where `with_settings` could not change this dotted key of `hardware`."""
    _set_key(hardware.to_json(), key, None)


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


def _picoseconds(ns: float | Float64s) -> Int64s:
    """The one place where spec times become integers: the nearest picosecond."""
    return np.asarray(np.rint(np.asarray(ns, dtype=np.float64) * 1000.0), dtype=np.int64)


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
    if by_hand is not None or hardware.macro is not None:
        return
    if chosen not in (None, OWN_TABLE) or made is not None:
        data["adc"].pop("table", None)
        _drop_sources(data, "adc.table")
        data["adc"]["model"] = made  # where one is chosen, it is set with the other keys


def _made_by(hardware: Hardware) -> str | None:
    """The model that made the table; None where the table is not, or no longer, what it makes."""
    model = hardware.adc.table_from
    given = [entry.model_dump() for entry in hardware.adc.table or ()]
    return model if model is not None and given == list(_make_table(hardware, model).lines) else None


def _drop_sources(data: dict[str, Any], *keys: str) -> None:
    """Remove the sources of keys and of all below them."""
    for path in list(data["sources"]):
        if any(path == key or path.startswith(f"{key}.") for key in keys):
            del data["sources"][path]


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
        place = _step(place, part, key)
    last = parts[-1]
    if isinstance(place, list):
        _step(place, last, key)
        place[int(last)] = value
    elif isinstance(place, dict) and (last in place or key in key_paths(Hardware)) and parts[0] != "sources":
        place[last] = value
    else:
        raise _unknown_key(key)


def _step(place: Any, part: str, key: str) -> Any:
    if isinstance(place, list) and part.isdecimal() and int(part) < len(place):
        return place[int(part)]
    if isinstance(place, dict) and isinstance(place.get(part), dict | list):
        return place[part]
    raise _unknown_key(key)


def _unknown_key(key: str) -> InputError:
    known = [path for path in key_paths(Hardware) if path != "sources"]
    section, _, last = key.rpartition(".")
    siblings = [path.rpartition(".")[2] for path in known if section and path.rpartition(".")[0] == section]
    same_name = [path for path in known if path.rpartition(".")[2] == last]
    sibling = near_name(last, siblings)
    near = f"{section}.{sibling}" if sibling else next(iter(same_name), "") or near_name(key, known)
    todo = f"did you mean {near}?" if near and near != key else "the keys are listed in docs/hardware.md"
    return InputError(f"--set {one_line(key)}: the spec has no such key; {todo}")


if __name__ == "__main__":
    print(json.dumps(hardware_json_schema(), indent=2))
