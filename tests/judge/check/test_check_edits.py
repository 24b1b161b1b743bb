"""Lies told in a solution file, by editing its JSON: each is caught, and the place is named."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cimsolve.errors import InputError
from cimsolve.judge.check import check_solution
from cimsolve.problem.solution import read_solution, write_solution
from cimsolve.study.solving import solve
from makers.builders import (
    ask,
    chip,
    linears,
    step,
)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The JSON of an honest answer with cut rows, shared activations and gaps."""
    config = linears(
        step("a", (12, 8), (12, 8)),
        step("b", (8, 12), operations=[{"name": "activation", "elements": 8}]),
        step("c", (12, 4), barrier=True),
    )
    structure = {"a0": "3,2,1", "a1": "3,2,1", "b0": "dense", "c0": "dense"}
    hardware = chip(array__rows_active_max=6, digital__ops__activation__base_ns=3, digital__ops__add__per_element_ns=1)
    honest = solve(ask(config, structure, hardware), "sparsemap")
    assert check_solution(honest).passed
    path = tmp_path_factory.mktemp("told") / "honest.json"
    write_solution(honest, path)
    content: dict[str, Any] = json.loads(path.read_text())
    sizes = [b - a for a, b in zip(*(content["activations"][f"pieces_{end}"] for end in ("from", "to")), strict=True)]
    assert max(sizes) > 1
    return content


def place_in(content: Any, path: str) -> tuple[Any, Any]:
    *parents, last = [int(part) if part.lstrip("-").isdigit() else part for part in path.split("/")]
    for part in parents:
        content = content[part]
    return content, last


def put(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def edit(content: dict[str, Any]) -> None:
        place, key = place_in(content, path)
        old = place[key] if isinstance(place, list) else place.get(key, "absent")
        assert old != value or type(old) is not type(value), "no lie"
        place[key] = value

    return edit


def add(path: str, change: float) -> Callable[[dict[str, Any]], None]:
    def edit(content: dict[str, Any]) -> None:
        place, key = place_in(content, path)
        place[key] += change

    return edit


def drop(*paths: str) -> Callable[[dict[str, Any]], None]:
    def edit(content: dict[str, Any]) -> None:
        for path in paths:
            place, key = place_in(content, path)
            del place[key]

    return edit


def last_of(table: str) -> Callable[[dict[str, Any]], None]:
    def edit(content: dict[str, Any]) -> None:
        for name, values in content[table].items():
            if name != "piece":
                values.pop()

    return edit


def swap(one: str, other: str) -> Callable[[dict[str, Any]], None]:
    def edit(content: dict[str, Any]) -> None:
        (place, key), (place2, key2) = place_in(content, one), place_in(content, other)
        assert place[key] != place2[key2]
        place[key], place2[key2] = place2[key2], place[key]

    return edit


def every_activation_takes_a_cycle(content: dict[str, Any]) -> None:
    content["activations"]["end"] = [start + 1 for start in content["activations"]["start"]]


def one_input_for_all(content: dict[str, Any]) -> None:
    for entry in content["factors"]:
        entry["input"] = 0


def a_layer_is_missing(content: dict[str, Any]) -> None:
    content["factors"] = content["factors"][:-1]
    content["stages"] = content["stages"][:-1]


def no_edges(content: dict[str, Any]) -> None:
    for entry in content["stages"]:
        entry["after"] = []


def energy_of_all_components_is_halved(content: dict[str, Any]) -> None:
    energy = content["breakdown"]["energy_pj"]
    for name in energy:
        energy[name] /= 2
    content["metrics"]["energy_pj"] /= 2
    content["bounds"]["energy_pj"]["value"] /= 2


def activations_are_dropped(content: dict[str, Any]) -> None:
    table = content["activations"]
    for name in ("array", "start", "end", "adc_bits", "pieces_from", "pieces_to"):
        del table[name][1:3]


def one_piece_is_fired_twice(content: dict[str, Any]) -> None:
    content["activations"]["piece"][0] = content["activations"]["piece"][-1]


def ranges_overlap(content: dict[str, Any]) -> None:
    content["activations"]["pieces_from"][1] -= 1


def an_activation_fires_nothing(content: dict[str, Any]) -> None:
    content["activations"]["pieces_to"][0] = 0


def two_pieces_in_one_place(content: dict[str, Any]) -> None:
    for name in ("array", "array_row", "array_col"):
        content["pieces"][name][1] = content["pieces"][name][0]


def the_last_stage_comes_early(content: dict[str, Any]) -> None:
    table = content["activations"]
    last = table["start"].index(max(table["start"]))
    table["start"][last] -= 1
    table["end"][last] -= 1


def ids_count_from_the_end(content: dict[str, Any]) -> None:
    content["activations"]["piece"][0] = -len(content["pieces"]["factor"])


EDITS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "one-cycle activations": (every_activation_takes_a_cycle, "durations: activation 0 lasts 1 cycles; expected"),
    "empty after": (no_edges, "stages: stages.1.after: [] is claimed"),
    "negative gap": (put("stages/1/after/0/gap_cycles", -5), "stages: stages.1.after: "),
    "gap too short": (add("stages/2/after/0/gap_cycles", -1), "stages: stages.2.after: "),
    "no tail": (put("stages/3/tail_cycles", 0), "stages: stages.3.tail_cycles: 0 is claimed"),
    "edge turned round": (put("stages/1/after/0/stage", 2), "stages: stages.1.after: "),
    "barrier moved": (put("stages/3/phase", 0), "stages: stages.3.phase: 0 is claimed; expected 1"),
    "activations dropped": (activations_are_dropped, "S1: activation 1 fires piece["),
    "piece fired twice": (one_piece_is_fired_twice, "S1: piece "),
    "ranges overlap": (ranges_overlap, "S1: activation 1 fires piece["),
    "empty activation": (an_activation_fires_nothing, "tables: activations.pieces_to.0 = 0"),
    "negative id": (ids_count_from_the_end, "tables: activations.piece.0 = -"),
    "adc_bits of 1": (put("activations/adc_bits/0", 1), "adc_bits: activation 0 has adc_bits 1; expected"),
    "adc_bits of 0": (put("activations/adc_bits/0", 0), "tables: activations.adc_bits.0 = 0"),
    "a layer is missing": (a_layer_is_missing, "factors: factors: 5 are listed; the model has 6"),
    "wrong cols_per_weight": (put("factors/0/cols_per_weight", 2), "factors: factors.0.cols_per_weight: 2"),
    "wrong block size": (add("factors/0/block_rows", 1), "factors: factors.0.block_rows"),
    "wrong stage": (put("factors/2/stage", 0), "factors: factors.2.stage: 0 is claimed; expected 1"),
    "all factors read one input": (one_input_for_all, "factors: factors."),
    "wrong kind": (put("factors/0/kind", "dense"), "factors: factors.0.kind: 'dense' is claimed; expected 'R'"),
    "rows_active_max edited": (put("hw/array/rows_active_max", 1), "S6 rows: activation "),
    "count edited": (put("hw/array/count", 1), "S6 arrays: "),
    "hw edited": (put("hw/read_ns", 2), "durations: activation 0 lasts"),
    "hw energy edited": (put("hw/energy_pj/row", 0.4), "metrics: metrics.array_energy_pj: "),
    "hw leakage edited": (put("hw/array/leakage_uw", 0), "breakdown: breakdown.energy_pj.leakage"),
    "hw wiring edited": (put("hw/adc/wiring", "adjacent"), "durations: activation "),
    "hw digital edited": (put("hw/digital/ops/activation/base_ns", 0), "stages: stages."),
    "structure edited": (put("structure/a0", "3,4,1"), "factors: factors.0.block_cols: 2 is claimed; expected 4"),
    "structure dropped": (drop("structure/a0"), "question: structure: 'a0' has none"),
    "structure of no linear": (put("structure", {"nobody": "dense"}), "question: structure: 'nobody'"),
    "structure nonsense": (put("structure/a0", "7"), "question: structure '7'"),
    "model edited": (put("model/steps/2/linears/0/n_in", 13), "factors: factors.5.block_rows: 12 is claimed"),
    "model step dropped": (drop("model/steps/2"), "question: structure: 'c0': expected a linear"),
    "model operation dropped": (put("model/steps/1/operations", []), "stages: stages.2.after"),
    "model of no family": (put("model/model_type", "oracle"), "question: model: model_type: 'oracle': expected"),
    "cut edited": (put("options/cut", "both"), "bounds: bounds."),
    "tokens edited": (put("options/tokens", 1), "metrics: metrics.prefill_"),
    "more tokens than context": (put("options/tokens", 10**6), "question: --tokens: 1000000 is more"),
    "max_arrays edited": (put("options/max_arrays", 1), "S6 arrays: "),
    "max_arrays of none": (put("options/max_arrays", 0), "options.max_arrays = 0: expected at least 1"),
    "max_latency edited": (put("options/max_latency_ns", 1), "limits: latency_ns: "),
    "missing piece": (last_of("pieces"), "tables: activations.piece.15 = 15: expected 0 to 14"),
    "missing activation": (last_of("activations"), "S1: no activation fires piece["),
    "piece too small": (add("pieces/cols/0", -1), "P1: the pieces of block 0 of a0 (R) do not cover it"),
    "piece elsewhere in its block": (put("pieces/row0/0", 2), "P1: piece 0 reaches beyond block 0 of a0 (R)"),
    "piece of another block": (put("pieces/block/0", 1), "P1: the pieces of block 0 of a0 (R) do not cover it"),
    "piece of no block": (put("pieces/block/0", 3), "tables: pieces.block.0 = 3: expected 0 to 2"),
    "piece of no factor": (put("pieces/factor/0", 6), "tables: pieces.factor.0 = 6: expected 0 to 5"),
    "piece of negative size": (put("pieces/rows/0", -4), "tables: pieces.rows.0 = -4: expected 1 to"),
    "piece off the array": (put("pieces/array_row/0", 7), "P2: piece 0 reaches beyond array 0 of 8 x 8 weights"),
    "piece off to the left": (put("pieces/array_col/0", -1), "tables: pieces.array_col.0 = -1"),
    "piece on another piece": (two_pieces_in_one_place, "P3: pieces 0 and 1 share a cell of array 0"),
    "piece on another array": (put("pieces/array/0", 2**31 - 1), "array: activation "),
    "array out of range": (put("pieces/array/0", 2**31), "tables: pieces.array.0 = 2147483648"),
    "activation on another array": (put("activations/array/0", 9), "array: activation 0 of array 9 fires piece 0"),
    "start before time": (put("activations/start/0", -1), "tables: activations.start.0 = -1"),
    "end before start": (put("activations/end/0", 0), "tables: activations.end.0 = 0"),
    "stage too early": (the_last_stage_comes_early, "S5: stage c starts at cycle "),
    "II too small": (put("metrics/ii_cycles", 1), "metrics: metrics.ii_cycles: 1 is claimed; the tables give"),
    "energy too small": (put("metrics/energy_pj", 1.0), "metrics: metrics.energy_pj: 1.0 is claimed"),
    "energy halved throughout": (energy_of_all_components_is_halved, "metrics: metrics.energy_pj: "),
    "array count a fraction": (add("metrics/arrays", 0.5), "metrics: metrics.arrays: "),
    "metric missing": (drop("metrics/occupancy"), "metrics: metrics.occupancy: missing"),
    "metric invented": (put("metrics", {"speed": 9000}), "metrics: metrics.speed: there is no such figure"),
    "stage ends earlier": (put("breakdown/stages/end/0", 1), "breakdown: breakdown.stages.end: a list of"),
    "stage list cut short": (drop("breakdown/stages/end/0"), "breakdown: breakdown.stages.end: a list of"),
    "phase faster": (put("breakdown/phases/ii_cycles/0", 1), "breakdown: breakdown.phases.ii_cycles"),
    "wait hidden": (add("breakdown/latency_cycles/wait", -1), "breakdown: breakdown.latency_cycles.wait"),
    "bound raised": (add("bounds/latency_cycles/lower", 1), "bounds: bounds.latency_cycles.lower: "),
    "bound lowered": (add("bounds/latency_cycles/lower", -1), "bounds: bounds.latency_cycles.lower: "),
    "value of bound": (add("bounds/ii_cycles/value", -1), "bounds: bounds.ii_cycles.value: "),
    "gap closed": (put("bounds/energy_pj/gap", 0.0), "bounds: bounds.energy_pj.gap: 0.0 is claimed"),
    "bound missing": (drop("bounds/area_mm2"), "bounds: bounds.area_mm2: missing"),
    "bound invented": (swap("bounds/arrays", "bounds/ii_cycles"), "bounds: bounds.arrays.value: "),
    "proof invented": (put("bounds/latency_cycles/proof", "seen in a dream"), "bounds: bounds.latency_cycles.proof"),
    "searched beyond the value": (
        put("bounds/latency_cycles", {"value": 1, "lower": 10**6, "gap": 0.0, "proof": "search"}),
        "bounds: bounds.latency_cycles.lower: 1000000 is claimed",
    ),
    "status optimal": (put("status", "optimal"), "status: status: 'optimal' is claimed"),
    "objective unknown": (put("objective", ["speed"]), "question: 'speed': there is no such objective"),
    "objective empty": (put("objective", []), "objective = a list: expected at least 1"),
    "status unknown": (put("status", "perfect"), "status = "),
    "fraction of an id": (put("pieces/factor/0", 0.5), "factor.0 = 0.5: expected a whole number"),
    "whole number as a float": (put("pieces/factor/0", 0.0), "factor.0 = 0.0: expected a whole number; write 0"),
    "bool": (put("pieces/factor/0", False), "factor.0 = false: expected a whole number"),
    "text": (put("activations/end/0", "7"), 'end.0 = "7": expected a whole number; write it without quotes'),
    "metric as text": (put("metrics/energy_pj", "7"), "energy_pj."),
    "metric as bool": (put("metrics/arrays", True), "arrays."),
    "huge number": (put("activations/end/0", 2**70), "end.0 = 1180591620717411303424: expected at most"),
    "large number": (put("activations/end/0", 2**61), "tables: activations.end.0 = "),
    "ragged column": (drop("pieces/row0/0"), "pieces: its columns differ in length"),
    "column missing": (drop("pieces/row0"), "pieces.row0: the column is missing"),
    "column invented": (put("pieces/extra", [0]), "pieces.extra: unknown column"),
    "columns swapped": (swap("pieces/row0", "pieces/rows"), "tables: pieces."),
    "columns of place swapped": (swap("pieces/array_row", "pieces/array_col"), "S3 outputs: activation "),
    "table missing": (drop("pieces"), "pieces is missing"),
    "tables empty": (put("pieces", {}), "pieces.factor: the column is missing"),
    "key missing": (drop("bounds"), "bounds is missing"),
    "key invented": (put("trust_me", True), "trust_me = true: there is no such key"),
    "format unknown": (put("format", "cimsolve-solution/2"), "format: "),
    "model key of hw": (put("hw", {}), "question: hw: "),
    "tables elsewhere": (put("tables", {"file": "x.npz", "sha256": "0" * 64}), "tables: the file has inline tables"),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_lie_in_a_file_is_caught_and_its_place_is_named(name: str, told: dict[str, Any], tmp_path: Path) -> None:
    edit, message = EDITS[name]
    content = copy.deepcopy(told)
    edit(content)
    path = tmp_path / "lie.json"
    path.write_text(json.dumps(content))
    try:
        report = check_solution(read_solution(path))
    except InputError as error:
        found = [str(error)]
    else:
        assert not report.passed
        found = [str(violation) for violation in report.violations]
    assert any(message in text for text in found), found
    assert not any("\n" in text for text in found)
