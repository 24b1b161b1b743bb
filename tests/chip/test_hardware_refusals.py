"""Hardware specs that are refused, with a line that says why, and settings from the command line."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimsolve.chip.read import load_hardware, parse_hardware
from cimsolve.chip.settings import with_settings
from cimsolve.chip.spec import Hardware
from cimsolve.errors import InputError
from makers.hardware_specs import DELETE, refusal, spec

# What is refused

BAD_VALUES = [
    ("array__rows", 0, "array.rows = 0: expected at least 1"),
    ("array__rows", -4, "array.rows = -4: expected at least 1"),
    ("array__rows", 65537, "array.rows = 65537: expected at most 65536"),
    ("array__cols", 10**30, "array.cols = 1000"),
    ("array__rows", 256.5, "array.rows = 256.5: expected a whole number"),
    ("array__rows", 256.0, "write 256"),
    ("array__rows", "256", 'array.rows = "256": expected a whole number; write it without quotes'),
    ("array__rows", True, "array.rows = true: expected a whole number"),
    ("array__rows", None, "array.rows = null: expected a whole number"),
    ("array__rows_active_max", 0, "array.rows_active_max = 0: expected at least 1"),
    ("array__rows_active_max", 257, "array.rows_active_max = 257: expected at most array.rows = 256"),
    ("array__count", 0, "array.count = 0: expected at least 1"),
    ("array__area_um2", 0, "array.area_um2 = 0: expected more than 0"),
    ("array__leakage_uw", -1, "array.leakage_uw = -1: expected at least 0"),
    ("clock_ns", True, "clock_ns = true: expected a number"),
    ("clock_ns", 0, "clock_ns = 0: expected at least 0.001"),
    ("clock_ns", 0.0004, "clock_ns = 0.0004: expected at least 0.001"),
    ("clock_ns", math.nan, "clock_ns = NaN: expected a finite number"),
    ("clock_ns", math.inf, "clock_ns = Infinity: expected a finite number"),
    ("clock_ns", 10**400, "expected a number"),
    ("read_ns", "ten", 'read_ns = "ten": expected a number; correct it'),
    ("cell__bits", 9, "cell.bits = 9: expected at most weight.bits = 8"),
    ("cell__bits", 17, "cell.bits = 17: expected at most 16"),
    ("input__dac_bits", 9, "input.dac_bits = 9: expected at most input.bits = 8"),
    ("weight__signed", "differentail", "expected 'differential', 'offset' or 'none'"),
    ("adc__per_array", 257, "adc.per_array = 257: expected at most array.cols = 256"),
    ("adc__wiring", 3, "adc.wiring = 3: expected 'any', 'interleaved' or 'adjacent'"),
    ("adc__lossy_allowed", 1, "adc.lossy_allowed = 1: expected true or false"),
    ("adc__bits_max", 11, "adc.bits_max = 11: expected at most 10"),
    ("adc__table", [], "adc.table = a list: expected at least 1 of them"),
    ("adc__table", {}, "adc.table = an object: expected a list"),
    ("adc__table", None, "adc.table is missing"),
    ("energy_pj__cell", -0.1, "energy_pj.cell = -0.1: expected at least 0"),
    ("transfer__bits_per_ns", 0, "transfer.bits_per_ns = 0"),
    ("digital__units", 0, "digital.units = 0: expected at least 1"),
    ("digital__ops__add", 5, "digital.ops.add = 5: expected an object"),
    ("digital__ops__add__base_ns", -1, "digital.ops.add.base_ns = -1: expected at least 0"),
    ("format", "cimsolve-hw/2", "format = \"cimsolve-hw/2\": expected 'cimsolve-hw/1'"),
    ("name", "", 'name = "": expected some text'),
    ("name", "a\nb", 'name = "a\\nb": expected text on one line'),
    ("name", "a\x9bb", 'name: "a\\u009bb": expected visible signs on one line'),
    ("technology", "a\u202eb", 'technology: "a\\u202eb": expected visible signs on one line'),
    ("array", [1], "array = a list: expected an object"),
    ("macro", {"mvm_ns": 1, "mvm_pj": 1}, "read_ns = 10.0: expected none, as macro"),
]


@pytest.mark.parametrize(("path", "value", "message"), BAD_VALUES)
def test_bad_value_is_refused_with_its_key_and_what_was_expected(path: str, value: Any, message: str) -> None:
    assert message in refusal(spec(**{path: value}))


@pytest.mark.parametrize("data", [None, 3, "text", [], True])
def test_a_spec_that_is_no_object_is_refused(data: object) -> None:
    assert "expected an object" in refusal(data)


@pytest.mark.parametrize(
    "path",
    [
        "format",
        "name",
        "node_nm",
        "array__rows",
        "adc__wiring",
        "digital__ops__softmax",
        "sources",
        "read_ns",
        "energy_pj",
        "adc__table",
    ],
)
def test_missing_key_is_named(path: str) -> None:
    assert f"{path.replace('__', '.')} is missing; add it" in refusal(spec(**{path: DELETE}))


def test_misspelt_key_gets_the_right_one() -> None:
    data = spec(array__cols=DELETE)
    data["array"]["colls"] = 256
    assert "array.colls = 256: there is no such key; did you mean array.cols?" in refusal(data)
    assert "rows = 256: there is no such key; did you mean array.rows?" in refusal(spec(rows=256))
    assert "zzz = 1: there is no such key; remove it" in refusal(spec(zzz=1))
    data = spec()
    data["adc"]["table"][0]["nss"] = 1
    assert "adc.table.0.nss = 1: there is no such key; did you mean adc.table.0.ns?" in refusal(data)
    assert "line\\nbreak = 1" in refusal(spec(**{"line\nbreak": 1}))


@pytest.mark.parametrize("bits", [[4, 4, 10], [10, 4]])
def test_unsorted_table_is_refused(bits: list[int]) -> None:
    table = [{"bits": each, "ns": 1, "pj": 1, "um2": 1} for each in bits]
    assert "adc.table.1.bits = 4: expected more than" in refusal(spec(adc__table=table))


def test_converter_too_small_for_one_row_says_what_one_row_needs() -> None:
    # one row of 2-bit cells, 1-bit input: values 0 to 3, 2 bits
    assert "adc.bits_max = 1: one row needs 2 bits" in refusal(spec(adc__bits_max=1))


def test_array_narrower_than_a_weight_is_refused() -> None:
    assert "array.cols = 7: expected at least 8, the columns of one weight" in refusal(
        spec(array__cols=7, adc__per_array=1)
    )


def test_macro_needs_nothing_else_and_excludes_the_rest() -> None:
    table = [{"bits": 8, "ns": 1, "pj": 1, "um2": 1}]
    assert "adc.table = a list: expected none" in refusal(spec("pcm256", adc__table=table))
    energy = {"row": 0, "cell": 0, "column": 0, "shift_add": 0}
    assert "energy_pj = an object: expected none" in refusal(spec("pcm256", energy_pj=energy))
    assert "read_ns is missing; add it, or macro" in refusal(spec("pcm256", macro=DELETE))
    assert parse_hardware(spec("pcm256", read_ns=None), "x").macro is not None


# Sources


def test_figure_without_a_source_is_named() -> None:
    data = spec()
    del data["sources"]["read_ns"]
    assert 'read_ns = 10.0 has no source; add "read_ns"' in refusal(data)
    del (data := spec())["sources"]["digital"]
    assert "digital.units = 1024 has no source" in refusal(data)


def test_source_of_no_key_is_refused() -> None:
    data = spec()
    data["sources"]["adc.tabel"] = {"from": "x", "mark": "read"}
    assert 'sources: "adc.tabel": expected a key of this spec; did you mean adc.table?' in refusal(data)


@pytest.mark.parametrize(
    ("note", "message"),
    [
        ({"from": "x"}, "sources.read_ns.mark is missing"),
        ({"from": "x", "mark": "guessed"}, "expected 'read', 'derived', 'extrapolated' or 'assumed'"),
        ({"from": "", "mark": "read"}, "expected some text"),
        ({"from": "x", "mark": "read", "url": "y"}, "there is no such key"),
        ("x", 'sources.read_ns = "x": expected an object'),
    ],
)
def test_bad_source_is_refused(note: object, message: str) -> None:
    data = spec()
    data["sources"]["read_ns"] = note
    assert message in refusal(data)


def test_paths_of_single_table_figures_are_sources_and_null_needs_none() -> None:
    data = spec("paper256")
    for key in ("adc.table", "adc", "array"):
        del data["sources"][key]
    note = {"from": "x", "mark": "assumed"}
    paths = ["per_array", "wiring", "bits_max", "sample_hold", *(f"table.{i}" for i in range(8))]
    data["sources"] |= {f"adc.{path}": note for path in paths} | {"array.rows": note, "array.cols": note}
    assert parse_hardware(data, "x").array.count is None
    del data["sources"]["adc.table.7"]
    data["sources"]["adc.table.7.ns"] = note
    assert "adc.table.7.bits = 8 has no source" in refusal(data)


# --set


def test_settings_change_values_and_their_source() -> None:
    before = load_hardware("rram256")
    after = with_settings(
        before,
        {"adc.per_array": "16", "adc.wiring": "any", "array.count": "99", "name": "mine", "clock_ns": "2"},
    )
    assert (after.adc.per_array, after.adc.wiring, after.array.count, after.name) == (16, "any", 99, "mine")
    assert after.sources["adc.per_array"].mark == "assumed"
    assert after.sources["adc.per_array"].origin == "set on the command line"
    assert after.sources["adc"] == before.sources["adc"]
    assert "name" not in after.sources
    assert before.adc.per_array == 8
    assert after.clock_ps == 2000  # derived figures are not carried over
    assert with_settings(before, {}) == before


def test_a_whole_section_and_one_table_figure_can_be_set() -> None:
    hardware = load_hardware("rram256")
    one = with_settings(hardware, {"adc.table.0.ns": "2.5"})
    assert int(one.conversion_ps(4)) == 2500
    table = with_settings(hardware, {"adc.table": '[{"bits": 10, "ns": 1, "pj": 1, "um2": 1}]'})
    assert int(table.conversion_ps(1)) == 1000
    energy = with_settings(hardware, {"energy_pj": '{"row": 1, "cell": 1, "column": 1, "shift_add": 1}'})
    assert "energy_pj.shift_add" not in energy.sources
    macro = with_settings(
        hardware,
        {"macro": '{"mvm_ns": 5, "mvm_pj": 1}', "read_ns": "null", "energy_pj": "null", "adc.table": "null"},
    )
    assert int(macro.activation_cycles(1, 1)) == 5


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("adc.per_aray", "4", "--set adc.per_aray: the spec has no such key; did you mean adc.per_array?"),
        ("per_array", "4", "did you mean adc.per_array?"),
        ("array.row", "4", "did you mean array.rows?"),
        ("array.per_array", "4", "did you mean adc.per_array?"),
        ("", "4", "listed in docs/hardware.md"),
        ("array.rows.x", "4", "no such key"),
        ("adc.table.9.ns", "4", "no such key"),
        ("adc.table.x", "4", "no such key"),
        ("sources.array", "4", "no such key"),
        ("sources", "{}", "no such key"),
        ("a\nb", "4", "--set a\\nb: "),
        ("array.rows", "0", "rram256 with --set array.rows=0: array.rows = 0: expected at least 1"),
        ("array.rows", "NaN", "expected a whole number; correct it"),
        ("array.rows", "1e400", "expected a whole number"),
        ("array.rows", "[" * 100_000, "expected a whole number"),
        ("adc.wiring", "anny", "expected 'any', 'interleaved' or 'adjacent'"),
        ("adc.bits_max", "12", "expected at most 10"),
    ],
)
def test_bad_setting_is_refused(key: str, value: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        with_settings(load_hardware("rram256"), {key: value})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_are_judged_together() -> None:
    # 128 rows alone leaves 200 active rows too many; both together are sound
    hardware = load_hardware("rram256")
    both = with_settings(hardware, {"array.rows_active_max": "100", "array.rows": "128"})
    assert both.rows_limit == 100


# Files


def test_spec_file_is_read_and_named_in_errors(tmp_path: Path) -> None:
    path = tmp_path / "chip.json"
    path.write_text(json.dumps(spec(name="mine")))
    assert load_hardware(path).name == "mine"
    assert load_hardware(str(path)) == load_hardware(path)
    path.write_text(json.dumps(spec(array__rows=-1)))
    with pytest.raises(InputError, match=r"chip\.json: array\.rows = -1: expected at least 1; correct it"):
        load_hardware(path)


def test_spec_over_16_mib_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "chip.json"
    with path.open("wb") as stream:
        stream.truncate(16 * 2**20 + 1)
    with pytest.raises(InputError, match="expected at most 16777216"):
        load_hardware(path)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(list(Hardware.model_fields)) | st.text(), inner)
        ),
        max_leaves=10,
    )
)
def test_any_other_json_is_refused_in_one_line(data: object) -> None:
    refusal(data)
