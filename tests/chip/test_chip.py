"""`cimsolve hw`: a first spec that loads, figures that the cost model agrees with, doubts about what looks wrong."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from cimsolve.chip.doubts import find_doubts
from cimsolve.chip.draft import draft_hardware
from cimsolve.chip.figures import array_figures
from cimsolve.chip.read import load_hardware, parse_hardware
from cimsolve.chip.schema import hardware_json_schema
from cimsolve.chip.spec import Hardware
from cimsolve.cli.hw import KEYS
from cimsolve.files.json_file import key_paths
from cimsolve.study.solving import solve
from makers.builders import ask, chip, linears, macro_chip, step
from makers.command_line import Cli, Result
from makers.hardware_specs import SHIPPED, schema_validator, spec


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")


# Figures


@pytest.mark.parametrize("name", SHIPPED)
def test_the_product_of_a_full_array_is_what_the_cost_model_says(name: str) -> None:
    # One dense matrix that fills one array, stored and fired whole, in row groups where not all rows may be driven.
    hardware = load_hardware(name)
    problem = ask(linears(step("a", (hardware.array.rows, hardware.weights_per_row))), hardware=hardware.to_json())
    metrics = solve(problem, "linear").header.metrics
    assert metrics["arrays"] == 1
    figures = array_figures(hardware)
    assert figures.product_ns == pytest.approx(metrics["array_latency_ns"], rel=1e-12)
    assert figures.product_pj == pytest.approx(metrics["array_energy_pj"], rel=1e-12)
    beside_um2 = 0.0
    if hardware.core and hardware.network:
        routers = hardware.network.topology == "mesh"  # the root of a star is the hub's
        beside_um2 = hardware.core.area_um2 + routers * hardware.network.area_um2 + hardware.network.hub.area_um2
    assert figures.area_um2 + beside_um2 == pytest.approx(metrics["area_mm2"] * 1e6, rel=1e-12)
    assert figures.firings == metrics["activations"]
    assert figures.weights == hardware.array.rows * hardware.weights_per_row


def test_figures_by_hand() -> None:
    # 8 x 8 weights, f = 2, v = 8 columns / 2 converters = 4; 3 bits for 8 rows, on the table's line of 4: 4 ns, 5 pJ.
    # Time 2 * (3 + 4 * 4) = 38 ns. Energy 2 * (8 * 0.5 + 64 * 0.25 + 8 * (0.125 + 5 + 2)) = 154 pJ.
    figures = array_figures(parse_hardware(chip(), "hw"))
    assert (figures.product_ns, figures.read_ns, figures.product_pj) == (38, 6, 154)
    assert figures.leakage_pj == pytest.approx(38 * 1 * 1e-3)
    assert figures.area_um2 == 100 + 2 * 40
    # 2 * 64 operations in 38 ns; 128 / 154.038 operations a pJ = TOPS/W.
    assert figures.tops == pytest.approx(128 / 38e-9 / 1e12)
    assert figures.tops_per_w == pytest.approx(128 / 154.038)
    assert figures.tops_per_mm2 == pytest.approx(128 / 38e-9 / 1e12 / 180e-6)
    assert figures.bits_by_rows == ((8, 3, 3),)


def test_a_chip_whose_energies_are_nothing_has_no_efficiency(cli: Cli, tmp_path: Path) -> None:
    free = dict.fromkeys(("row", "cell", "column", "shift_add"), 0)
    table = [{**line, "pj": 0} for line in chip()["adc"]["table"]]
    data = chip(energy_pj=free, adc__table=table, array__leakage_uw=0, transfer__pj_per_bit=0)
    (tmp_path / "free.json").write_text(json.dumps(data))
    told = cli("hw", "check", str(tmp_path / "free.json"))
    assert told.code == 0
    assert "- TOPS/W" in told.out
    found = json.loads(cli("hw", "check", str(tmp_path / "free.json"), "--json").out)
    assert [each["tops_per_w"] for each in found["files"].values()] == [None]
    (tmp_path / "m.json").write_text(json.dumps(linears(step("a", (8, 8)))))
    run = ["--hw", str(tmp_path / "free.json"), "--model", str(tmp_path / "m.json"), "--strategy", "spread"]
    assert cli(*run, "-v", "--out", str(tmp_path / "out")).code == 0


def test_few_rows_at_once_take_several_firings() -> None:
    figures = array_figures(parse_hardware(chip(array__rows_active_max=3), "hw"))
    # 3 + 3 + 2 rows: 2 * (3 + 4 * 2) = 22 ns at 2 bits twice, and at 1 bit 2 * (3 + 4 * 1) = 14.
    assert (figures.firings, figures.product_ns) == (3, 58)


def test_a_core_is_its_own_figures() -> None:
    figures = array_figures(parse_hardware(macro_chip(), "hw"))
    assert (figures.product_ns, figures.product_pj, figures.read_ns) == (8, 40, 0)  # 7.5 ns are 8 periods


# Doubts


def doubts(**changes: Any) -> list[str]:
    return [doubt.key for doubt in find_doubts(parse_hardware(spec("rram256", **changes), "hw"))]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"array__area_um2": 1.0}, "array.area_um2"),
        ({"array__area_um2": 1e9}, "array.area_um2"),
        ({"array__leakage_uw": 0}, "array.leakage_uw"),
        ({"array__cols": 15}, "array.cols"),
        ({"adc__bits_max": 9}, "adc.bits_max"),
        ({"input__dac_bits": 2}, "adc.bits_max"),
        ({"adc__bits_rule": "log2_rows", "adc__bits_max": 8}, "adc.bits_rule"),
        ({"adc__table": [{"bits": 10, "ns": 20, "pj": 1e6, "um2": 9}]}, "adc.table.0.pj"),
        ({"adc__table": [{"bits": 10, "ns": 2e4, "pj": 1, "um2": 9}]}, "adc.table.0.ns"),
        (
            {"adc__table": [{"bits": 9, "ns": 2, "pj": 1, "um2": 9}, {"bits": 10, "ns": 1, "pj": 1, "um2": 9}]},
            "adc.table.1.ns",
        ),
        ({"read_ns": 1e6}, "read_ns"),
        ({"clock_ns": 1000}, "clock_ns"),
        (
            {
                "sources": {
                    key: {"from": "x", "mark": "assumed"} for key in (*chip()["sources"], "write", "load", "chip_link")
                }
            },
            "sources",
        ),
    ],
)
def test_what_looks_wrong_is_named(changes: dict[str, Any], key: str) -> None:
    assert key in doubts(**changes)


def test_a_sound_spec_raises_no_doubt() -> None:
    assert doubts() == []


# The new spec


@pytest.mark.parametrize("base", SHIPPED)
def test_a_draft_has_every_key_of_its_base_and_says_who_gave_it(base: str) -> None:
    draft = draft_hardware({"name": "mine", "array.rows": "128"}, base=base)
    schema_validator().validate(draft.data)
    assert parse_hardware(json.loads(json.dumps(draft.data)), "again") == draft.hardware
    mine, theirs = draft.hardware, load_hardware(base)
    assert (mine.name, mine.array.rows) == ("mine", 128)
    for key in key_paths(Hardware):
        if key.split(".")[0] not in ("name", "sources", "array"):
            assert _value(mine, key) == _value(theirs, key)
    for key, note in mine.sources.items():
        assert note.mark == "assumed"
        taken = f"in proportion to the cells: {base}" if key in draft.fitted else f"taken over from {base}: "
        assert note.origin.startswith("given by the user" if key == "array.rows" else taken)


def _value(hardware: Any, key: str) -> Any:
    for part in key.split("."):
        hardware = getattr(hardware, part, None)
    return hardware


def test_a_source_makes_what_is_given_read() -> None:
    draft = draft_hardware({"adc.per_array": "4"}, base="rram256", source="table 2")
    note = draft.hardware.sources["adc.per_array"]
    assert (note.origin, note.mark) == ("table 2", "read")
    assert draft.hardware.sources["adc.table"].mark == "assumed"


@pytest.mark.parametrize(
    ("settings", "technology", "base"),
    [
        ({}, None, "rram256"),
        ({}, "PCM", "pcm256"),
        ({"array.rows": "64"}, "SRAM", "sram256"),
        ({"array.rows": "128", "array.cols": "128"}, "ReRAM", "rram128-isaac"),
        ({"array.rows": "512", "array.cols": "512"}, "memristor", "rram256"),
        ({"cell.bits": "8"}, "FeFET", "paper256"),
    ],
)
def test_the_nearest_spec(settings: dict[str, str], technology: str | None, base: str) -> None:
    assert draft_hardware(settings, technology=technology).base == base


@pytest.mark.parametrize(
    ("base", "settings", "area_um2", "left"),
    [
        # 51.25 um2 for 128 x 128 cells, half of them; 1681 um2 for 256 x 256, four times as many.
        ("rram128-isaac", {"array.cols": "64"}, 25.625, ("array.leakage_uw", "read_ns")),
        ("rram256", {"array.rows": "512", "array.cols": "512"}, 6724, ("array.leakage_uw", "read_ns")),
        ("rram256", {"array.rows": "512", "array.area_um2": "3000", "read_ns": "9"}, 3000, ("array.leakage_uw",)),
        ("rram256", {"array.rows": "256", "adc.per_array": "4"}, 1681, ()),
        # A measured core's area holds its converters.
        ("pcm256", {"array.rows": "128"}, 620000, ("array.area_um2", "array.leakage_uw", "macro.mvm_ns")),
    ],
)
def test_the_area_goes_with_the_cells_and_the_rest_is_named(
    base: str, settings: dict[str, str], area_um2: float, left: tuple[str, ...]
) -> None:
    draft = draft_hardware(settings, base=base)
    assert draft.hardware.array.area_um2 == area_um2
    assert ("array.area_um2" in draft.fitted) == ("in proportion" in draft.hardware.sources["array.area_um2"].origin)
    assert draft.hardware.sources["array.area_um2"].mark == "assumed"
    assert set(left) <= set(draft.of_other_size)
    assert not set(draft.of_other_size) & {*settings, *draft.fitted}
    assert bool(left) == bool(draft.of_other_size)


def test_what_does_not_follow_the_size_is_said(cli: Cli) -> None:
    said = cli("hw", "new", "--like", "rram256", "--rows", "128", "--out", "mine.json").out
    assert "rram256 has 1681 um2 for 256 x 256" in said
    assert "energy_pj.column are still those of rram256" in " ".join(said.split())
    Path("t.json").write_text(json.dumps(linears(step("a", (16, 16)))))
    question = ["--hw", "rram256", "--model", "t.json", "--strategy", "spread"]
    note = "stay those of the spec's own size of array"
    assert note in " ".join(cli(*question, "--set", "array.rows=128").out.split())
    assert note not in " ".join(cli(*question, "--adcs", "4").out.split())
    varied = " ".join(cli("sweep", *question, "--vary", "array.rows=64,128", "--jobs", "1").out.split())
    assert f"caution: array.area_um2, array.leakage_uw, read_ns, energy_pj.row, energy_pj.column {note}" in varied
    assert note not in cli("sweep", *question, "--vary", "adc.per_array=2,4", "--jobs", "1").out


def test_new_check_and_solve(cli: Cli) -> None:
    words = ["--name", "mine", "--technology", "rram", "--rows", "64", "--cols", "64", "--adcs", "4"]
    result = cli("hw", "new", *words, "--cell-bits", "2", "--out", "mine.json")
    assert (result.code, result.err) == (0, "")
    for part in ("written to mine.json", "array.rows", "given", "cimsolve hw check mine.json"):
        assert part in result.out
    data = json.loads(Path("mine.json").read_text())
    assert len(Path("mine.json").read_text().splitlines()) > 100, "a value a line, to be edited"
    assert (data["name"], data["technology"], data["array"]["rows"], data["adc"]["per_array"]) == (
        "mine",
        "rram",
        64,
        4,
    )
    checked = cli("hw", "check", "mine.json")
    assert checked.code == 0
    assert "One product of a full array" in checked.out
    Path("t.json").write_text(json.dumps(linears(step("a", (16, 16)))))
    assert cli("--hw", "mine.json", "--model", "t.json", "--strategy", "spread", "-q").code == 0


def test_check_as_json(cli: Cli) -> None:
    result = cli("hw", "check", "rram256", "sram256", "--json")
    found = json.loads(result.out)["files"]
    assert found["rram256"]["columns_per_weight"] == 8
    assert found["rram256"]["warnings"] == []
    assert found["sram256"]["firings"] == 4
    assert cli("hw", "check", "paper256", "--strict").code == 1
    assert cli("hw", "check", "rram256", "--strict").code == 0


def test_a_schema_may_be_named_in_a_spec(cli: Cli) -> None:
    Path("schema.json").write_text(cli("hw", "schema").out)
    schema = json.loads(Path("schema.json").read_text())
    assert schema == hardware_json_schema()
    data = {"$schema": "schema.json", **spec("rram256")}
    jsonschema.validate(data, schema)
    assert parse_hardware(data, "hw") == load_hardware("rram256")


def test_a_spec_is_not_written_over(cli: Cli) -> None:
    Path("a.json").write_text("mine")
    words = ["hw", "new", "--rows", "64", "--out", "a.json"]
    result = cli(*words)
    assert (result.code, result.out, Path("a.json").read_text()) == (2, "", "mine")
    assert "a.json: is there already" in result.err
    assert cli(*words, "--force", "-q") == Result(0, "", "")
    assert json.loads(Path("a.json").read_text())["array"]["rows"] == 64


def test_questions_at_a_terminal(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cimsolve.show.text.console.is_terminal", lambda: True)
    answers = {"array.rows": "32", "adc.per_array": "2"}
    lines = ["asked", "sram", *(answers.get(key, "") for key, _ in KEYS.values()), ""]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(lines) + "\n"))
    assert cli("hw", "new").code == 0
    hardware = load_hardware("asked.json")
    assert (hardware.name, hardware.technology, hardware.array.rows, hardware.adc.per_array) == ("asked", "sram", 32, 2)
    # Of the nearest spec, which drives 64 rows at once, the limit comes down to the rows there are.
    assert (hardware.array.cols, hardware.array.rows_active_max) == (256, 32)


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        (["hw"], "expected one of new, check, schema"),
        (["hw", "chek"], "did you mean check?"),
        (["hw", "new", "--rows", "64"], "--out: expected the JSON file to write"),
        (["hw", "new"], "or a terminal to ask at"),
        (["hw", "new", "--rwos", "64"], "did you mean --rows?"),
        (["hw", "new", "--set", "adc.per_aray=4", "--out", "a.json"], "did you mean adc.per_array?"),
        (["hw", "new", "--rows", "8", "--set", "array.rows=9", "--out", "a.json"], "expected one value"),
        (["hw", "new", "--adcs", "4096", "--out", "a.json"], "expected at most array.cols = 256"),
        (["hw", "new", "--like", "rram257", "--rows", "8", "--out", "a.json"], "did you mean rram256?"),
        (["hw", "new", "--node", "x", "--out", "a.json"], 'node_nm = "x": expected a number'),
        (["hw", "check", "nosuch.json"], "there is no such hardware spec"),
        (["hw", "check"], "FILE"),
        (["hw", "schema", "--json"], "there is no such option"),
    ],
)
def test_usage_errors_are_one_line_and_exit_2(cli: Cli, argv: list[str], part: str) -> None:
    result = cli(*argv)
    assert (result.code, result.out) == (2, "")
    assert result.err.count("\n") == 1
    assert part in result.err
    assert not list(Path().glob("*.json"))


def test_one_wrong_file_does_not_hide_the_others(cli: Cli) -> None:
    result = cli("hw", "check", "rram256", "nosuch", "paper256")
    assert result.code == 2
    assert "rram256: rram256, a sound spec" in result.out
    assert "paper256: paper256, a sound spec" in result.out
    assert result.err.startswith("cimsolve: error: nosuch: there is no such hardware spec")
    found = json.loads(cli("hw", "check", "rram256", "nosuch", "--json").out)
    assert found["exit_code"] == 2
    assert (found["files"]["nosuch"]["passed"], found["files"]["rram256"]["name"]) == (None, "rram256")
