"""Chips with distance: what their specs may say, what they amount to, and what the shipped ones are."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from cimsolve.chip.doubts import find_doubts
from cimsolve.chip.draft import draft_hardware
from cimsolve.chip.figures import array_figures, network_figures
from cimsolve.chip.read import load_hardware, parse_hardware
from cimsolve.chip.settings import left_behind, with_settings
from cimsolve.errors import InputError
from makers.builders import chip, linears, mesh_chip, step
from makers.command_line import Cli
from makers.hardware_specs import DELETE, FLAT, WITH_DISTANCE, refusal, schema_validator, spec

TREE = {
    "topology": "htree",
    "levels": 2,
    "fanout": 2,
    "multicast": "tree",
    "base_ns": 1,
    "bits_per_ns_level": [4, 8],
    "hop_ns_level": [1, 2],
    "pj_per_bit_level": [0.5, 1],
    "hub": {"bits_per_ns": 16},
}
FLAT_SECTION = {"base_ns": 1, "bits_per_ns": 1, "pj_per_bit": 1}


def mesh(**changes: Any) -> dict[str, Any]:
    """`rram256-mesh` with keys changed."""
    data = spec("rram256-mesh", **changes)
    for path in changes.keys() & {"network__pitch_mm", "array__count"}:  # null as shipped, so without a source
        data["sources"][path.replace("__", ".")] = {"from": "a test", "mark": "assumed"}
    return data


def tree(**changes: Any) -> dict[str, Any]:
    """The plain chip on an H-tree of four leaves; keywords change keys of its network."""
    network = {key: value for key, value in {**TREE, **changes}.items() if value is not DELETE}
    return mesh_chip(network=network)


def with_transfer() -> dict[str, Any]:
    data = mesh(transfer=FLAT_SECTION)
    data["sources"]["transfer"] = {"from": "a test", "mark": "assumed"}
    return data


# Rules


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (with_transfer(), "transfer = an object: expected none beside core and network"),
        (mesh(core=DELETE), "core is missing; core and network go together"),
        (mesh(network=DELETE), "network is missing; core and network go together"),
        (mesh(network=None), "network is missing"),
        (spec("rram256", transfer=DELETE), "transfer is missing; add it, or core and network"),
        (spec("rram256", core=mesh()["core"]), "network is missing"),
        (mesh(network__rows=DELETE), "network.rows is missing; a mesh needs it: add it"),
        (mesh(network__hop_ns=None), "network.hop_ns is missing"),
        (mesh(network__levels=3), "network.levels = 3: expected none in a mesh; remove it"),
        (mesh(network__topology="ring"), "network.topology = \"ring\": expected 'mesh' or 'htree'"),
        (mesh(network__topology="htree"), "network.rows = 12: expected none in an H-tree"),
        (mesh(network__rows=1025), "network.rows = 1025: expected at most 1024"),
        (mesh(network__rows=0), "network.rows = 0: expected at least 1"),
        (mesh(array__count=2305), "array.count = 2305: expected at most 2304, 144 places of 16 arrays"),
        (mesh(core__arrays=0), "core.arrays = 0: expected at least 1"),
        (mesh(core__bus__bits_per_ns=0), "core.bus.bits_per_ns = 0: expected at least 0.001"),
        (mesh(core__ops=[]), "core.ops = a list: there is no such key"),
        (mesh(network__sum_bits=33), "network.sum_bits = 33: expected at most 32"),
        (mesh(network__pitch_mm=-1), "network.pitch_mm = -1: expected at least 0"),
        (mesh(network__hub__at=DELETE), 'network.hub.at is missing; add "edge", or the [row, column]'),
        (mesh(network__hub__at=[12, 0]), "network.hub.at = [12, 0]: expected a row from 0 to 11"),
        (mesh(network__hub__at=[0, 12]), "network.hub.at = [0, 12]: expected a row from 0 to 11"),
        (mesh(network__hub__at=[0, -1]), 'network.hub.at: a list: expected "edge", or [row, column]'),
        (mesh(network__hub__at=[True, 0]), 'expected "edge", or [row, column]'),
        (mesh(network__hub__at="middle"), 'network.hub.at: "middle": expected "edge"'),
        (tree(rows=2), "network.rows = 2: expected none in an H-tree; remove it"),
        (tree(pitch_mm=1), "network.pitch_mm = 1.0: expected none in an H-tree"),
        (tree(fanout=DELETE), "network.fanout is missing; an H-tree needs it"),
        (tree(hub={"at": "edge", "bits_per_ns": 16}), 'network.hub.at = "edge": expected none in an H-tree'),
        (tree(hub={"at": [0, 1], "bits_per_ns": 16}), "network.hub.at = [0, 1]: expected none in an H-tree"),
        (tree(levels=3), "network.bits_per_ns_level = [4.0, 8.0]: expected 3 numbers, one a level from the leaf up"),
        (tree(hop_ns_level=[1]), "network.hop_ns_level = [1.0]: expected 2 numbers"),
        (tree(pj_per_bit_level=[]), "network.pj_per_bit_level = []: expected 2 numbers"),
        (tree(pj_per_bit_level=[0] * 10**5), "...: expected 2 numbers"),
        (tree(pj_per_bit_level=[0, -1]), "network.pj_per_bit_level.1 = -1: expected at least 0"),
        (tree(levels=12, fanout=1024), "network.levels = 12: expected at most 1048576 leaves, not 1024^12"),
    ],
)
def test_a_bad_network_is_refused_with_its_key_and_what_was_expected(data: dict[str, Any], message: str) -> None:
    assert message in refusal(data)


def test_keys_of_a_network_need_sources() -> None:
    data = mesh()
    del data["sources"]["network.hub.bits_per_ns"]
    assert 'network.hub.bits_per_ns = 2048.0 has no source; add "network.hub.bits_per_ns"' in refusal(data)


@pytest.mark.parametrize(
    "data",
    [
        with_transfer(),
        mesh(core=DELETE),
        spec("rram256", transfer=DELETE),
        mesh(network__rows=DELETE),
        mesh(network__levels=3),
        mesh(network__hub__at=DELETE),
        tree(rows=2),
        tree(levels=DELETE),
        tree(hub={"at": "edge", "bits_per_ns": 16}),
    ],
)
def test_the_schema_knows_the_two_kinds_of_chip_and_of_network(data: dict[str, Any]) -> None:
    validator = schema_validator()
    assert not validator.is_valid(data)
    assert all(map(validator.is_valid, (mesh(), tree(), chip(), mesh(transfer=None))))


# Settings


def test_keys_of_a_network_are_set_as_all_are() -> None:
    chip_mesh = load_hardware("rram256-mesh")
    changed = with_settings(
        chip_mesh, {"network.bits_per_ns": "64", "network.hub.at": "[3,3]", "core.arrays": "8", "network.pitch_mm": "2"}
    )
    assert changed.network is not None
    assert (changed.network.bits_per_ns, changed.network.hub.at, changed.network.places) == (64, (3, 3), 144)
    assert (changed.arrays_max, changed.pitch_mm) == (1152, 2)
    assert changed.sources["network.hub.at"].mark == "assumed"
    one_index = with_settings(changed, {"network.hub.at.0": "5"})
    assert one_index.network is not None
    assert one_index.network.hub.at == (5, 3)
    assert with_settings(changed, {"network.hub.at": "edge"}).network is not None
    level = with_settings(parse_hardware(tree(), "hw"), {"network.pj_per_bit_level.1": "0.2"})
    assert level.network is not None
    assert level.network.pj_per_bit_level == (0.5, 0.2)


@pytest.mark.parametrize(
    ("base", "key", "message"),
    [
        ("rram256", "core.arrays", "--set core.arrays: rram256 has no core; set core whole"),
        ("rram256", "network.hub.at", "rram256 has no network; set network whole"),
        ("rram256", "macro.mvm_ns", "rram256 has no macro"),
        ("rram256-mesh", "transfer.base_ns", "rram256-mesh has no transfer"),
        ("rram256-mesh", "network.pj_per_bit_level.1", "has no network.pj_per_bit_level; set network.pj_per_bit_level"),
        ("rram256-mesh", "network.bits_per_n", "the spec has no such key; did you mean network.bits_per_ns?"),
        ("neurram48", "network.pj_per_bit_level.1", "the spec has no such key"),
    ],
)
def test_a_key_of_what_a_spec_lacks_is_refused(base: str, key: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        with_settings(load_hardware(base), {key: "1"})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_flat_chip_is_given_distance_and_loses_it() -> None:
    sections = {key: json.dumps(mesh()[key]) for key in ("core", "network")}
    far = with_settings(load_hardware("rram256"), {**sections, "transfer": "null"})
    assert far.arrays_max == 2304
    near = with_settings(far, {"core": "null", "network": "null", "transfer": json.dumps(FLAT_SECTION)})
    assert near.topology is None


@pytest.mark.parametrize("model", ["isaac", "sar"])
def test_a_converter_model_makes_the_table_of_a_chip_with_distance(model: str) -> None:
    counted = with_settings(load_hardware("rram256-mesh"), {"array.count": "2000", "adc.model": model})
    assert counted.adc.table_from == model
    assert counted.arrays_max == 2000


def test_a_pitch_that_is_given_stays_behind_when_arrays_grow() -> None:
    given = parse_hardware(mesh(network__pitch_mm=1), "hw")
    assert "network.pitch_mm" in left_behind(given, ["array.rows"])
    assert "network.pitch_mm" not in left_behind(load_hardware("rram256-mesh"), ["array.rows"])


def test_settings_of_a_network_are_swept(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("chip.json").write_text(json.dumps(mesh_chip()))
    Path("tiny.json").write_text(json.dumps(linears(step("a", (8, 8)), step("b", (8, 8)))))
    question = ["--hw", "chip.json", "--model", "tiny.json", "--strategy", "spread", "--jobs", "1"]
    told = cli("sweep", *question, "--vary", "network.hub.at=[0,0];edge", "--vary", "network.bits_per_ns=1,8")
    assert told.code == 0
    assert all(text in told.out for text in ("network.hub.at", "edge", "network.bits_per_ns"))
    wrong = cli("sweep", *question, "--vary", "network.hub.at=[0,0];[9,9]")
    assert "1 solved, 1 refused" in wrong.out
    assert "network.hub.at = [9, 9]: expected a row from 0 to 1" in " ".join(wrong.out.split())


@pytest.mark.parametrize("name", ["rram256", "rram256-mesh"])
def test_a_spec_that_was_used_equals_itself_read_again(name: str) -> None:
    used, again = load_hardware(name), load_hardware(name)
    for each in (used, again):
        assert array_figures(each)
        assert each.arrays_max == used.arrays_max
    assert used == again
    assert used != with_settings(again, {"clock_ns": "2"})


# Figures and doubts


def test_figures_of_a_mesh_by_hand() -> None:
    core = {"arrays": 2, "bus": {"bits_per_ns": 8, "pj_per_bit": 0.5}, "area_um2": 40}
    network = {**mesh_chip()["network"], "rows": 2, "cols": 3, "bits_per_ns": 4, "base_ns": 5, "hop_ns": 2}
    network |= {"router_pj_per_bit": 0.5, "wire_pj_per_bit_mm": 10, "pitch_mm": None, "area_um2": 300}
    hub = {"at": [0, 0], "bits_per_ns": 16, "area_um2": 7}
    figures = network_figures(parse_hardware(mesh_chip(core=core, network={**network, "hub": hub}), "hw"))
    assert figures is not None
    # An array of 100 um2 with two converters of 40: 2 * 180 + 40 + 300 = 700 um2 a place.
    side = math.sqrt(700) * 1e-3
    assert (figures.places, figures.arrays) == (6, 12)
    assert (figures.pitch_mm, figures.side_mm) == (pytest.approx(side), pytest.approx(side))
    assert figures.hop_pj_per_bit == (pytest.approx(0.5 + 10 * side),)
    # Two links cross between columns, three between rows; from a corner two lead away, and three hops across.
    assert (figures.bisection_bits_per_ns, figures.hub_links_bits_per_ns, figures.farthest_ns) == (8, 8, 5 + 3 * 2)
    assert (figures.arrays_um2, figures.cores_um2, figures.routers_um2, figures.hub_um2) == (2160, 240, 1800, 7)


def test_figures_of_a_tree_by_hand() -> None:
    figures = network_figures(parse_hardware(tree(area_um2=10), "hw"))
    assert figures is not None
    assert (figures.places, figures.pitch_mm, figures.hop_pj_per_bit) == (4, None, (0.5, 1))
    assert (figures.bisection_bits_per_ns, figures.hub_links_bits_per_ns, figures.farthest_ns) == (8, 16, 4)
    assert figures.routers_um2 == 20  # two nodes join leaves; the root is the hub's


@pytest.mark.parametrize("name", FLAT)
def test_a_flat_chip_has_no_network(name: str) -> None:
    hardware = load_hardware(name)
    assert network_figures(hardware) is None
    assert (hardware.places_told, hardware.arrays_max) == ("", None)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"network__hub__bits_per_ns": 255}, "network.hub.bits_per_ns"),
        ({"core__bus__bits_per_ns": 16}, "core.bus.bits_per_ns"),
        ({"network__router_pj_per_bit": 0, "network__wire_pj_per_bit_mm": 0}, "network.router_pj_per_bit"),
        ({"network__pitch_mm": 2.5}, "network.pitch_mm"),
        ({"network__pitch_mm": 0.4}, "network.pitch_mm"),
        ({"array__count": 1000}, "array.count"),
    ],
)
def test_a_network_that_looks_wrong_is_named(changes: dict[str, Any], key: str) -> None:
    assert [doubt.key for doubt in find_doubts(parse_hardware(mesh(**changes), "hw"))] == [key]
    assert find_doubts(parse_hardware(mesh(network__pitch_mm=1.5, array__count=2000), "hw")) == []


def test_free_links_of_a_tree_are_named() -> None:
    free = find_doubts(parse_hardware(tree(pj_per_bit_level=[0, 1]), "hw"))
    assert "network.pj_per_bit_level" in [doubt.key for doubt in free]


def test_check_shows_cores_and_network(cli: Cli) -> None:
    told = cli("hw", "check", "rram256-mesh")
    words = " ".join(told.out.split())
    assert told.code == 0
    for part in ("in cores of 16 on a mesh of 12 x 12", "144 places of 16 arrays", "bisection 384 bit/ns", "port 2048"):
        assert part in words
    assert "by the areas of a core and its router" in words
    found = json.loads(cli("hw", "check", "rram256-mesh", "rram256", "--json").out)["files"]
    assert found["rram256-mesh"]["network"]["bisection_bits_per_ns"] == 384
    assert "network" not in found["rram256"]
    assert "Cores and network" not in cli("hw", "check", "rram256").out


# Drafts


@pytest.mark.parametrize(
    ("settings", "base"),
    [
        ({"array.rows": "128", "array.cols": "128"}, "rram128-isaac"),
        ({"network.rows": "8", "network.cols": "8"}, "rram256-mesh"),
        ({"core.arrays": "128", "array.rows": "128", "array.cols": "128"}, "isaac"),
        ({"network.fanout": "64"}, "neurram48"),
        ({"macro.mvm_ns": "100"}, "pcm256"),
    ],
)
def test_the_nearest_spec_has_the_keys_that_are_given_and_is_flat_where_it_can(
    settings: dict[str, str], base: str
) -> None:
    assert draft_hardware(settings).base == base


def test_a_new_spec_from_a_mesh_and_from_a_flat_chip(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mine = cli("hw", "new", "--like", "rram256-mesh", "--set", "network.rows=6", "--out", "mine.json")
    assert mine.code == 0
    assert all(key in mine.out for key in ("core.arrays", "network.hub.at", "network.rows"))
    assert not any(line.startswith(("network.levels", "transfer", "macro")) for line in mine.out.splitlines())
    assert load_hardware("mine.json").arrays_max == 6 * 12 * 16
    flat = cli("hw", "new", "--like", "rram256", "--rows", "128", "--out", "flat.json")
    assert not any(line.startswith(("core", "network")) for line in flat.out.splitlines())


# Too few places


def test_too_few_places_are_told_with_what_to_widen(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("chip.json").write_text(json.dumps(mesh_chip()))  # 2 x 2 places of 2 arrays of 8 x 8 weights
    Path("big.json").write_text(json.dumps(linears(step("a", (24, 24)))))
    for strategy in ("spread", "optimal"):
        told = cli("--hw", "chip.json", "--model", "big.json", "--structure", "dense", "--strategy", strategy)
        assert told.code == 1
        words = " ".join(told.err.split())
        assert "arrays are short: " in words
        assert "8, 4 places of 2 arrays" in words
        assert "9 by network.rows, network.cols, core.arrays" in words or "as much by network.rows" in words
    counted = cli("--hw", "hermes64", "--model", "minilm-l6", "--strategy", "linear")
    assert "the limit is 64, 64 places of 1 array, this rule needs 240" in " ".join(counted.err.split())
    assert "core.arrays, array.count" in counted.err
    assert "--strategy optimal" in counted.err  # by which 64 arrays are enough, so that nothing needs rounds
    assert "rounds" not in counted.err
    limited = ["--hw", "chip.json", "--model", "big.json", "--structure", "dense", "--strategy", "spread"]
    assert "places" not in cli(*limited, "--max-arrays", "3").err


# What is shipped


@pytest.mark.parametrize(
    ("name", "arrays", "places", "size"),
    [
        ("isaac", 168 * 12 * 8, 168, (128, 128)),
        ("puma", 138 * 8 * 2 * 8, 144, (128, 128)),
        ("hermes64", 64, 64, (256, 256)),
        ("neurram48", 48, 48, (256, 256)),
        ("rram256-mesh", 2304, 144, (256, 256)),
        ("paper256-mesh", 5184, 324, (256, 256)),
    ],
)
def test_shipped_chips_have_the_published_counts(name: str, arrays: int, places: int, size: tuple[int, int]) -> None:
    hardware = load_hardware(name)
    assert hardware.network is not None
    assert (hardware.arrays_max, hardware.network.places) == (arrays, places)
    assert (hardware.array.rows, hardware.array.cols) == size


def test_shipped_areas_are_those_of_the_chips() -> None:
    figures = {name: network_figures(load_hardware(name)) for name in ("isaac", "hermes64")}
    assert figures["isaac"] is not None
    assert figures["hermes64"] is not None
    # 85.4 mm2 in the paper, whose input and output registers and shift-and-adds are in no area here.
    assert sum(v for k, v in vars(figures["isaac"]).items() if k.endswith("_um2")) == pytest.approx(85.4e6, rel=0.08)
    # A die of 12 x 12 mm2.
    assert sum(v for k, v in vars(figures["hermes64"]).items() if k.endswith("_um2")) == pytest.approx(144e6)
    assert figures["hermes64"].pitch_mm == pytest.approx(1.5)


@pytest.mark.parametrize("name", ["rram256", "paper256"])
def test_a_mesh_of_todays_arrays_has_the_arrays_of_the_flat_chip(name: str) -> None:
    flat, far = spec(name), spec(f"{name}-mesh")
    apart = {"name", "transfer", "core", "network", "memory", "sources"}
    assert {key: value for key, value in far.items() if key not in apart} == {
        key: value for key, value in flat.items() if key not in apart
    }
    for key, note in flat["sources"].items():
        assert key.startswith("transfer") or far["sources"][key] == note


@pytest.mark.parametrize("name", WITH_DISTANCE)
def test_every_figure_of_a_shipped_network_has_its_own_source(name: str) -> None:
    data = spec(name)
    for key in data["network"].keys() - {"hub", "pitch_mm"}:
        assert f"network.{key}" in data["sources"]
    for key in data["network"]["hub"]:
        assert f"network.hub.{key}" in data["sources"]
    assert {"core.arrays", "array"} & data["sources"].keys() or "array.rows" in data["sources"]
