"""Converter models: their tables against figures worked by hand or read off their sources, and how one is chosen."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from cimsolve.chip.converters import CONVERTER_MODELS, CONVERTER_NAMES, Place, make_table
from cimsolve.chip.read import load_hardware, parse_hardware
from cimsolve.chip.sections import AdcSection
from cimsolve.chip.settings import with_settings
from cimsolve.chip.spec import Hardware
from cimsolve.cli import parse_command
from cimsolve.errors import InputError
from cimsolve.show.text.question import describe_converters
from cimsolve.study.solving import solve_and_check
from makers.builders import ask, linears, macro_chip, step
from makers.hardware_specs import DELETE, MEASURED, SHIPPED, refusal, schema_validator, spec

HERE = Place(rows=256, node_nm=32)


def pj(name: str, bits: int, place: Place = HERE) -> float:
    return make_table(name, bits, place).lines[-1]["pj"]


def with_model(name: str, base: str = "paper256", **settings: str) -> Hardware:
    changes = {key.replace("__", "."): value for key, value in settings.items()}
    return with_settings(load_hardware(base), {"adc.model": name, **changes})


# What the models say


def test_isaac_halves_the_energy_with_each_bit() -> None:
    # 2 mW / 1.2 GS/s = 1.666667 pJ at 8 bits; / 2^3 at 5, * 2^2 at 10; 1 / 1.2 GS/s = 0.833333 ns
    lines = make_table("isaac", 10, HERE).lines
    assert [lines[bits - 1]["pj"] for bits in (5, 8, 10)] == [0.208333, 1.666667, 6.666667]
    assert {line["ns"] for line in lines} == {0.833333}
    assert {line["um2"] for line in lines} == {1200.0}


@pytest.mark.parametrize(
    ("bits", "energy"), [(4, 0.79), (5, 0.99), (6, 1.20), (7, 1.42), (8, 1.67), (9, 1.97)], ids=str
)
def test_saberi_scaling_gives_the_tabulated_figures(bits: int, energy: float) -> None:
    # ISAAC's converter scaled after Saberi et al. (IEEE TCAS-I, 2011), as tabulated to two decimals
    assert round(pj("saberi", bits), 2) == energy


@pytest.mark.parametrize(
    ("bits", "energy"),
    # (100 b + 0.001 * 4^b) fF * 0.81 V^2: 4 bits 400.256 * 0.81 = 324.2 fJ; 10 bits 2048.576 * 0.81 = 1659.3 fJ
    [(4, 0.324207), (8, 0.701084), (10, 1.659347)],
)
def test_sar_energy(bits: int, energy: float) -> None:
    assert pj("sar", bits) == energy


def test_sar_time_grows_with_bits_and_rows() -> None:
    # 8 * (0.00653 * 256 + 0.640) = 18.49344 ns; on 128 rows 8 * 1.47584 = 11.80672 ns
    assert make_table("sar", 8, HERE).lines[-1]["ns"] == 18.49344
    assert make_table("sar", 8, Place(128, 32)).lines[-1]["ns"] == 11.80672


def test_sar_agrees_with_the_table_shipped_for_rram256() -> None:
    hardware = load_hardware("rram256")
    made = {line["bits"]: line for line in make_table("sar", 10, Place(256, 22)).lines}
    for entry in hardware.adc.table or ():
        line = made[entry.bits]
        assert (entry.ns, entry.pj, entry.um2) == (round(line["ns"], 3), round(line["pj"], 4), round(line["um2"], 1))


def test_survey_is_its_tabulated_outputs() -> None:
    # hwcomponents-adc 1.0.21 at 32 nm, 1 GS/s: 4 to 10 bits
    expected = {4: 0.924, 5: 0.936, 6: 1.065, 7: 1.312, 8: 1.714, 9: 4.697, 10: 13.945}
    assert {bits: round(pj("survey", bits), 3) for bits in expected} == expected
    assert make_table("survey", 8, HERE).lines[-1]["um2"] == 5971.6
    assert pj("survey", 8, Place(256, 22)) == 0.8472  # its own figure at 22 nm


def test_survey_outside_its_bits_is_held_and_extended() -> None:
    lines = make_table("survey", 14, HERE).lines
    assert [line["pj"] for line in lines[:4]] == [0.9237] * 4
    # 133.2109 at 12 bits after 42.5979 at 11: the same factor once more
    assert lines[12]["pj"] == pytest.approx(133.2109**2 / 42.5979)
    assert lines[13]["pj"] / lines[12]["pj"] == pytest.approx(133.2109 / 42.5979)


def test_fall_from_eight_to_four_bits_differs_by_model() -> None:
    # 16 (halving), 2.1 (Saberi), 2.2 (SAR), 1.9 (survey): why the choice decides comparisons
    falls = {name: pj(name, 8) / pj(name, 4) for name in CONVERTER_MODELS}
    assert falls == pytest.approx({"isaac": 16.0, "saberi": 2.11, "sar": 2.16, "survey": 1.855}, rel=0.005)


@pytest.mark.parametrize("name", CONVERTER_MODELS)
@pytest.mark.parametrize("bits_max", [1, 9, 16])
def test_every_model_makes_a_table_that_the_format_takes(name: str, bits_max: int) -> None:
    hardware = with_model(name, adc__bits_max=str(bits_max), adc__lossy_allowed="true", node_nm="7")
    table = hardware.adc.table or ()
    assert [entry.bits for entry in table] == list(range(1, bits_max + 1))
    energies = [entry.pj for entry in table]
    assert energies == sorted(energies)
    schema_validator().validate(hardware.to_json())


# What they cannot say


@pytest.mark.parametrize(
    ("name", "bits"),
    [("isaac", []), ("saberi", [1, 2, 3, 10]), ("sar", []), ("survey", [1, 2, 3])],
)
def test_lines_outside_a_model_are_marked(name: str, bits: list[int]) -> None:
    hardware = with_model(name, adc__bits_max="10")
    assert list(hardware.extrapolated_lines) == bits
    for line in bits:
        assert hardware.sources[f"adc.table.{line - 1}"].mark == "extrapolated"


@pytest.mark.parametrize(
    ("name", "node", "moved"),
    [("isaac", 32, False), ("isaac", 22, True), ("sar", 28, False), ("sar", 32, True), ("survey", 22, False)],
)
def test_another_node_is_an_extrapolation(name: str, node: int, moved: bool) -> None:
    note = with_model(name, node_nm=str(node)).sources["adc.table"]
    assert (note.mark == "extrapolated", "taken over from" in note.origin) == (moved, moved)


def test_the_nearest_node_of_the_survey_is_taken() -> None:
    assert pj("survey", 8, Place(256, 30.5)) == pj("survey", 8, HERE)
    assert "taken over from 14 nm to 7 nm" in make_table("survey", 8, Place(256, 7)).sources[""]["from"]


def test_the_report_names_model_and_extrapolations() -> None:
    text = describe_converters(with_model("survey"))
    assert text.endswith("table made by survey; extrapolated: at 1, 2, 3 bits below its 4 bits, held")
    moved = describe_converters(with_model("sar"))
    assert moved.endswith("table made by sar; extrapolated: taken over from 28 nm to 32 nm unscaled")
    assert "made" not in describe_converters(load_hardware("paper256"))


# How one is chosen


def test_names_are_the_same_everywhere() -> None:
    annotation = AdcSection.model_fields["model"].annotation
    assert get_args(get_args(annotation)[0]) == CONVERTER_NAMES


@pytest.mark.parametrize("name", CONVERTER_MODELS)
@pytest.mark.parametrize("base", [name for name in SHIPPED if name not in MEASURED])
def test_a_spec_file_and_the_command_line_give_the_same_chip(base: str, name: str) -> None:
    data = spec(base, adc__model=name, adc__table=DELETE)
    del data["sources"]["adc.table"]
    from_file = parse_hardware(data, "x")
    assert from_file == with_model(name, base)
    assert from_file.adc.table_from == name
    assert from_file.adc.model is None


def test_a_solution_file_holds_the_table_and_needs_no_model() -> None:
    hardware = with_model("saberi")
    again = parse_hardware(json.loads(json.dumps(hardware.to_json())), "again")
    assert again == hardware
    assert again.adc.table_from == "saberi"


def test_a_made_table_follows_the_keys_that_change() -> None:
    hardware = with_model("sar")
    shorter = with_settings(hardware, {"array.rows": "128"})
    assert shorter.adc.table_from == "sar"
    assert int(shorter.conversion_ps(8)) == 11_807
    assert shorter == with_model("sar", array__rows="128")
    assert with_settings(hardware, {"adc.model": "isaac"}) == with_model("isaac")


def test_a_made_table_that_was_edited_is_left_alone() -> None:
    edited = with_settings(with_model("isaac"), {"adc.table.7.pj": "5"})
    assert edited.adc.table_from is None
    assert with_settings(edited, {"array.rows": "128"}).conversion_pj(8) == 5
    # the label alone does not bring the model back
    data = edited.to_json()
    data["adc"]["table_from"] = "isaac"
    labelled = parse_hardware(data, "x")
    assert with_settings(labelled, {"array.rows": "128"}).conversion_pj(8) == 5


def test_table_is_the_specs_own() -> None:
    own = with_model("table")
    assert own.adc.table == load_hardware("paper256").adc.table
    assert own.adc.table_from is None


def test_options_choose_a_converter() -> None:
    options: Any = parse_command(["--converter", "sar", "--adcs", "4"])[1]
    assert options.settings == (("adc.per_array", "4"), ("adc.model", "sar"))
    with pytest.raises(InputError, match=r"adc\.model is set to sar and to isaac"):
        parse_command(["--converter", "sar", "--set", "adc.model=isaac"])


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"adc.model": "sra"}, "adc.model = \"sra\": expected 'table', 'isaac', 'saberi', 'sar' or 'survey'"),
        ({"adc.model": "sar", "adc.table.0.pj": "1"}, "adc.table.0.pj beside adc.model=sar: expected one of them"),
    ],
)
def test_choices_that_are_none(settings: dict[str, str], text: str) -> None:
    with pytest.raises(InputError) as caught:
        with_settings(load_hardware("paper256"), settings)
    assert text in str(caught.value)


@pytest.mark.parametrize("name", ["sar", "survey"])
def test_more_bits_than_a_figure_can_hold_are_one_line(name: str) -> None:
    with pytest.raises(InputError) as caught:
        with_model(name, adc__bits_max="32")
    assert f"adc.bits_max = 32: adc.model {name} makes no usable table up to so many bits; lower it" in str(
        caught.value
    )


def test_the_own_table_does_not_come_back() -> None:
    with pytest.raises(InputError, match="the table of paper256 was made by sar; load its spec"):
        with_settings(with_model("sar"), {"adc.model": "table"})


def test_a_model_stands_alone() -> None:
    assert 'adc.model = "isaac": expected none beside adc.table' in refusal(spec(adc__model="isaac"))
    macro: dict[str, Any] = macro_chip()
    macro["adc"]["model"] = "isaac"
    assert 'adc.model = "isaac": expected none beside macro' in refusal(macro)
    assert "adc.table is missing" in refusal(spec(adc__model="table", adc__table=DELETE))


def test_the_checker_recomputes_with_a_made_table() -> None:
    problem = ask(linears(step("a", (64, 64))), "8,8,1", with_model("isaac").to_json())
    solution, report = solve_and_check(problem, "sparsemap")
    assert report.passed
    # R and L: 64 columns each, 8 phases, 8 stacked rows: 3 bits, 1.666667 / 2^5 = 0.052083 pJ
    assert solution.header.breakdown.energy_pj["conversions"] == pytest.approx(2 * 64 * 8 * 0.052083)
