"""The hardware spec: what it derives, against figures worked by hand."""

from __future__ import annotations

import copy
import json
import math
import re

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimsolve.chip.read import load_hardware, parse_hardware
from cimsolve.chip.schema import hardware_json_schema
from cimsolve.chip.settings import with_settings
from cimsolve.files.library import shipped_hardware
from makers.folders import ROOT
from makers.hardware_specs import DELETE, SHIPPED, schema_validator, spec

# Shipped specs


def test_all_shipped_specs_are_known() -> None:
    assert shipped_hardware() == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_spec_loads_matches_the_schema_and_survives_a_round_trip(name: str) -> None:
    hardware = load_hardware(name)
    assert hardware.name == name
    schema_validator().validate(spec(name))
    schema_validator().validate(hardware.to_json())
    assert parse_hardware(json.loads(json.dumps(hardware.to_json())), "again") == hardware


def test_schema_file_is_up_to_date() -> None:
    path = ROOT / "docs" / "hardware.schema.json"
    assert json.loads(path.read_text()) == hardware_json_schema(), (
        "run python -m cimsolve.chip.schema > docs/hardware.schema.json"
    )


def test_schema_is_valid_and_refuses_a_spec_that_is_both_model_and_macro() -> None:
    schema = hardware_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    both = spec(macro={"mvm_ns": 1, "mvm_pj": 1})
    neither = spec(read_ns=DELETE)
    for data in (both, neither, spec(extra=1), spec(array__rows=0), spec(array__rows=True)):
        assert not schema_validator().is_valid(data)


@pytest.mark.parametrize(
    ("name", "width", "weights", "phases", "rows"),
    [
        # 8 bits on 2-bit cells, differential: 2 * 4 columns; 10 bits take (2^10 - 1) / 3 = 341 rows, of 256
        ("rram256", 8, 32, 8, 256),
        # 16 bits on 2-bit cells, offset: 8; (2^9 - 1) / 3 = 170 rows, of 128
        ("rram128-isaac", 8, 16, 16, 128),
        ("pcm256", 1, 256, 1, 256),
        # 8 one-bit slices; rows_active_max 64
        ("sram256", 8, 32, 8, 64),
        ("paper256", 1, 256, 8, 256),
    ],
)
def test_shape(name: str, width: int, weights: int, phases: int, rows: int) -> None:
    hardware = load_hardware(name)
    assert hardware.columns_per_weight == width
    assert hardware.weights_per_row == weights
    assert hardware.input_phases == phases
    assert hardware.rows_limit == rows


def test_columns_that_hold_no_whole_weight_are_lost() -> None:
    assert parse_hardware(spec(array__cols=255), "x").weights_per_row == 31


# Converter bits


@pytest.mark.parametrize(
    ("name", "n", "bits"),
    [
        ("rram256", 1, 2),  # log2(1 * 1 * 3 + 1) = 2
        ("rram256", 5, 4),  # log2(16) = 4 exactly
        ("rram256", 6, 5),  # log2(19)
        ("rram256", 85, 8),  # log2(256) exactly
        ("rram256", 86, 9),
        ("rram256", 256, 10),  # log2(769)
        ("paper256", 1, 1),
        ("paper256", 2, 1),
        ("paper256", 3, 2),
        ("paper256", 32, 5),  # blocks of 32 rows
        ("paper256", 33, 6),
        ("paper256", 256, 8),  # a full column
    ],
)
def test_bits_needed(name: str, n: int, bits: int) -> None:
    assert int(load_hardware(name).adc_bits_needed(n)) == bits


@given(
    n=st.integers(1, 65536),
    dac=st.integers(1, 16),
    cell=st.integers(1, 16),
    rule=st.sampled_from([True, False]),
)
def test_bits_needed_are_exact_and_least(n: int, dac: int, cell: int, rule: bool) -> None:
    data = spec(
        "paper256",
        input={"bits": 32, "dac_bits": dac},
        cell={"bits": cell},
        weight={"bits": 32, "signed": "none"},
        adc__bits_rule="lossless" if rule else "log2_rows",
    )
    bits = int(parse_hardware(data, "x").adc_bits_needed(np.array([n]))[0])
    # Python's integers do not round: 2^bits holds every sum from 0 to the largest, 2^(bits - 1) does not.
    levels = n * (2**dac - 1) * (2**cell - 1) + 1 if rule else n
    assert 2**bits >= levels
    assert bits == 1 or 2 ** (bits - 1) < levels


@given(rows=st.integers(1, 512), bits_max=st.integers(2, 10), rule=st.sampled_from(["lossless", "log2_rows"]))
def test_rows_limit_is_the_largest_that_fits(rows: int, bits_max: int, rule: str) -> None:
    hardware = parse_hardware(spec(array__rows=rows, adc__bits_max=bits_max, adc__bits_rule=rule), "x")
    limit = hardware.rows_limit
    assert 1 <= limit <= rows
    assert hardware.adc_bits_needed(limit) <= bits_max
    assert limit == rows or hardware.adc_bits_needed(limit + 1) > bits_max


def test_lossy_converters_do_not_limit_rows_and_are_capped() -> None:
    hardware = parse_hardware(spec(adc__bits_max=4, adc__lossy_allowed=True), "x")
    assert hardware.rows_limit == 256
    assert list(hardware.adc_bits_used(np.array([1, 5, 6, 256]))) == [2, 4, 4, 4]


def test_no_rows_have_no_bits() -> None:
    with pytest.raises(ValueError, match="at least one"):
        load_hardware("rram256").adc_bits_needed(np.array([3, 0]))


def test_conversion_uses_the_smallest_entry_that_is_large_enough() -> None:
    table = [{"bits": 4, "ns": 3, "pj": 0.5, "um2": 10}, {"bits": 10, "ns": 7.5, "pj": 2, "um2": 90}]
    hardware = parse_hardware(spec(adc__table=table), "x")
    assert hardware.conversion_ps(np.array([[1, 4], [5, 10]])).tolist() == [[3000, 3000], [7500, 7500]]
    assert hardware.conversion_pj(np.array([2, 9])).tolist() == [0.5, 2.0]
    assert float(hardware.array_um2(10)) == hardware.array.area_um2 + hardware.adc.per_array * 90
    with pytest.raises(ValueError, match="ends at 10 bits"):
        hardware.conversion_ps(11)


# Durations


def test_duration_without_sample_hold() -> None:
    # paper256, clock 1 ns: 8 phases * (10 ns + v * bits * 1 ns)
    hardware = load_hardware("paper256")
    n = np.array([32, 256, 1])
    v = np.array([4, 32, 1])
    # 8 * (10 + 4*5) = 240; 8 * (10 + 32*8) = 2128; 8 * (10 + 1*1) = 88
    assert hardware.activation_cycles(n, v).tolist() == [240, 2128, 88]
    assert hardware.activation_cycles(n, v).dtype == np.int64
    assert int(hardware.activation_cycles(32, 4)) == 240


def test_duration_is_rounded_up_to_the_clock_once() -> None:
    # rram256, 6 rows: 5 bits, 11.558 ns; v = 1: 8 * (10 + 11.558) = 172.464 ns
    hardware = load_hardware("rram256")
    assert int(sum(hardware.activation_parts_ps(6, 1))) == 172_464
    assert int(hardware.activation_cycles(6, 1)) == 173
    # rounding each of the 8 phases would give 8 * 22 = 176; a 3 ns clock takes 58 periods = 174 ns
    assert int(with_settings(hardware, {"clock_ns": "3"}).activation_cycles(6, 1)) == 58
    # on the grid nothing is added: 172464 ps / 2 ps
    assert int(with_settings(hardware, {"clock_ns": "0.002"}).activation_cycles(6, 1)) == 86_232


def test_duration_with_sample_hold() -> None:
    # ISAAC: 781 ps a conversion. v = 128: 99.968 ns < 100 ns read, so 100 + 15*100 + 99.968 = 1699.968 ns
    hardware = load_hardware("rram128-isaac")
    assert [int(part) for part in hardware.activation_parts_ps(128, 128)] == [1_600_000, 99_968]
    assert int(hardware.activation_cycles(128, 128)) == 1700
    # conversions longer than the read, 781 ps * 128 = 99.968 > 50: 50 + 15*99.968 + 99.968 = 1649.488 ns
    slow = with_settings(hardware, {"read_ns": "50"})
    assert [int(part) for part in slow.activation_parts_ps(128, 128)] == [50_000, 1_599_488]


def test_duration_of_a_macro_is_the_measured_one() -> None:
    hardware = load_hardware("pcm256")
    assert hardware.activation_cycles(np.array([1, 256]), np.array([1, 1])).tolist() == [133, 133]
    assert hardware.array_kind.duration_lines == ((133_000, 0),)
    assert hardware.conversion_ps(np.array([1, 8])).tolist() == [0, 0]
    assert hardware.conversion_pj(8).tolist() == 0.0
    assert hardware.array_um2(np.array([8])).tolist() == [hardware.array.area_um2]


def test_sram_duration() -> None:
    # 64 rows: 7 bits, 16.182 ns; v = 8: 8 * (5 + 8 * 16.182) = 1075.648 ns
    assert int(load_hardware("sram256").activation_cycles(64, 8)) == 1076


@given(n=st.integers(1, 256), v=st.integers(1, 256))
def test_duration_grows_with_rows_and_conversions(n: int, v: int) -> None:
    for name in ("rram256", "paper256"):
        hardware = load_hardware(name)
        here = hardware.activation_cycles(n, v)
        assert hardware.activation_cycles(min(n + 1, 256), v) >= here
        assert hardware.activation_cycles(n, v + 1) > here


@given(ns=st.floats(0.001, 1e6))
def test_times_round_to_the_nearest_picosecond(ns: float) -> None:
    hardware = parse_hardware(spec(read_ns=ns, clock_ns=ns), "x")
    read_ps = hardware.array_kind.read_ps
    assert read_ps == hardware.clock_ps >= 1
    assert abs(read_ps - ns * 1000) <= 0.5 + 1e-6


def test_digital_work_is_shared_by_the_lanes() -> None:
    # 1024 lanes: 1025 elements take two rounds; 40 + 2 * 2 = 44 ns; 10 + 1025 * 1 pJ
    hardware = load_hardware("rram256")
    assert hardware.digital_ps("layer_norm", np.array([1024, 1025])).tolist() == [42_000, 44_000]
    assert float(hardware.digital_pj("layer_norm", 1025)) == 1035


def test_transfers() -> None:
    # 10 ns + 8192 bits / 256 bits a ns = 42 ns; 8192 * 0.0809 pJ
    hardware = load_hardware("rram256")
    assert int(hardware.transfer_ps(8192)) == 42_000
    assert math.isclose(float(hardware.transfer_pj(8192)), 662.7328)
    assert int(hardware.cycles(42_001)) == 43


def test_unknown_operation_is_refused() -> None:
    with pytest.raises(ValueError, match=r"digital\.ops has no 'gelu'"):
        load_hardware("rram256").digital_ps("gelu", 1)


def test_specs_are_frozen() -> None:
    hardware = load_hardware("rram256")
    with pytest.raises(ValueError, match="frozen"):
        hardware.array.rows = 3
    assert copy.deepcopy(hardware) == hardware


# Sources


def figures_of(value: object, path: str = "") -> list[str]:
    """Paths of all that states a figure: numbers, words and switches; null states none."""
    if isinstance(value, dict):
        return [each for key, inner in value.items() for each in figures_of(inner, f"{path}.{key}".strip("."))]
    if isinstance(value, list):
        return [each for index, inner in enumerate(value) for each in figures_of(inner, f"{path}.{index}")]
    return [] if value is None else [path]


NAMED_WORK = re.compile(r"\([^)]*\b(?:19|20)\d\d")
"""A publication with its year."""


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_figures_that_were_read_name_a_publication(name: str) -> None:
    for path, note in spec(name)["sources"].items():
        if note["mark"] == "read":
            assert NAMED_WORK.search(note["from"]), f"{name}: {path}: {note['from']}"
