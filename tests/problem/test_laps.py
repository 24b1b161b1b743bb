"""Weights that are stored once and fire in every lap of a token."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest

from cimsolve.judge.check import check_solution
from cimsolve.judge.check.plan import check_plan
from cimsolve.judge.replay import replay
from cimsolve.judge.simulate import simulate
from cimsolve.price.cost import price
from cimsolve.problem.laps import first_lap, repeated
from cimsolve.problem.tables import Mapping
from cimsolve.show.seen.judged import judge
from cimsolve.show.seen.occupancy import find_pieces
from cimsolve.solve.effort import Effort
from cimsolve.solve.names import RULE_NAMES
from cimsolve.study.rounds import solve_rounds
from cimsolve.study.solving import solve_and_check, start_from
from makers.builders import again, ask, chip, linears, pieces_of, step
from makers.command_line import Cli
from makers.family_configs import FAMILY_CONFIGS
from makers.model_configs import refusal
from makers.random_mappings import random_mapping, random_question
from makers.short_chips import short

ROUND = linears(
    step("a", (4, 4)),
    *again([step("b", (4, 8), barrier=True), step("c", (8, 4), operations=[{"name": "add", "elements": 8}])], 2),
)


def test_laps_take_as_long_as_layers_with_weights_of_their_own() -> None:
    apart = json.loads(json.dumps(ROUND))
    for each in apart["steps"][3:]:
        each["linears"][0]["name"] = each["name"]
    shared, own = ask(ROUND, hardware=chip()), ask(apart, hardware=chip())
    of_first = [(0, 0, 0, 4, 0, 4, 0, 0, 0), (1, 0, 0, 4, 0, 8, 1, 0, 0), (2, 0, 0, 8, 0, 4, 2, 0, 0)]
    theirs = of_first + [(factor, *of_first[2 - factor % 2][1:6], factor, 0, 0) for factor in range(3, 7)]
    one = price(shared, repeated(shared, Mapping(pieces_of(*of_first), np.arange(3)))).costs
    other = price(own, Mapping(pieces_of(*theirs), np.arange(7))).costs
    assert (one.metrics["arrays"], other.metrics["arrays"]) == (3, 7)
    for name in ("latency_cycles", "array_energy_pj", "adc_conversions", "activations"):
        assert one.metrics[name] == other.metrics[name]
    assert [phase.fill_cycles for phase in one.phases] == [phase.fill_cycles for phase in other.phases]
    assert one.metrics["array_ii_cycles"] == 3 * other.metrics["array_ii_cycles"]
    assert one.metrics["occupancy"] == (16 + 32 + 32) / (3 * 64)


@pytest.mark.parametrize("strategy", RULE_NAMES[:4])
def test_every_rule_maps_them_and_the_replay_agrees(strategy: str) -> None:
    problem = ask(ROUND, "2,2,1", chip(array__rows=6, array__cols=6))
    solution, report = solve_and_check(problem, strategy)
    verdict = report.demand_passed(str)
    assert replay(solution.activations, verdict.costs).agrees
    assert simulate(verdict.problem, solution.pieces, solution.activations).ideal.mismatches == 0


def test_the_first_lap_of_a_mapping_is_the_mapping_of_what_is_stored() -> None:
    draw = Random(7)
    found = 0
    while found < 20:
        problem = random_question(draw, laps=True)
        mapping = random_mapping(problem.stored, draw, 8)
        if mapping is None:
            continue
        found += 1
        whole, alone = price(problem, repeated(problem, mapping)), price(problem.stored, mapping)
        stored, pieces, activations = first_lap(problem, whole.costs.fired.pieces, whole.activations)
        assert stored is problem.stored
        fires = activations.of_piece(len(pieces))
        assert len(activations) == len(alone.activations)
        again_alone = price(stored, Mapping(pieces, fires))
        assert again_alone.costs.metrics == alone.costs.metrics


def test_an_albert_is_mapped_checked_and_simulated(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "albert.json").write_text(json.dumps(FAMILY_CONFIGS["albert:groups"]))
    common = ("--hw", "paper256", "--strategy", "optimal", "--out", str(tmp_path))
    assert cli("--model", str(tmp_path / "albert.json"), *common).code == 0
    (path,) = tmp_path.glob("albert--*.json")
    content = json.loads(path.read_text())
    repeats = [factor.get("repeats") for factor in content["factors"]]
    assert repeats[0] is None
    assert len([each for each in repeats if each is not None]) * 2 == len(repeats) - 2
    assert cli("check", str(path)).code == 0
    assert cli("simulate", str(path), "--vectors", "1").code == 0
    first = next(factor for factor in content["factors"] if "repeats" in factor)
    first["repeats"] += 1
    path.write_text(json.dumps(content))
    assert cli("check", str(path)).code == 1


def test_a_step_with_some_linears_of_an_earlier_one_is_refused() -> None:
    config = linears(step("a", (4, 4), (4, 4)), {**step("b", (4, 4)), "linears": step("a", (4, 4))["linears"]})
    assert "steps.1.linears: 'a0' is used twice" in refusal(config)


def test_limits_and_checks_of_an_answer_hold_for_all_laps() -> None:
    problem = ask(ROUND, hardware=chip()).asking(objective=("latency",))
    solution, report = solve_and_check(problem, "optimal")
    assert report.passed
    assert check_solution(solution, problem).passed
    assert solution.header.metrics["latency_cycles"] >= solution.header.bounds["latency_cycles"].lower


def test_chips_in_a_row_hold_weights_that_fire_again_each_and_ranks_are_those_of_what_is_stored(
    cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "laps.json").write_text(json.dumps(linears(*again([step("a", (8, 8)), step("b", (8, 8))], 5))))
    common = ("--model", str(tmp_path / "laps.json"), "--hw", "rram256", "--structure", "dense")
    sizes = ("--set", "array.rows=8", "--set", "array.cols=64", "--set", "adc.per_array=8", "--max-arrays")
    result = cli(*common, *sizes, "1", "--strategy", "spread", "--out", str(tmp_path))
    assert result.code == 1
    assert "on at least 12 such chips in a row (--when-short chips), or stored with rank 2 at most" in result.err


def test_rounds_write_weights_again_in_each_run_that_fires_them() -> None:
    config = linears(*again([step(name, (8, 8)) for name in "abc"], 3))
    for arrays, runs in ((1, 12), (2, 6)):
        problem = short(config, arrays)
        found = solve_rounds(problem, "optimal")
        assert len(found.header.runs) == runs
        assert check_plan(found, problem).violations == ()


def test_a_search_starts_from_an_answer_of_all_laps() -> None:
    problem = ask(ROUND, "2,2,1", chip(array__rows=6, array__cols=6))
    best, _ = solve_and_check(problem, "optimal")
    start = start_from(best, problem)
    at_once = Effort(time_limit_s=1e-9)
    alone, begun = (solve_and_check(problem, "optimal", each)[0] for each in (at_once, replace(at_once, start=start)))
    measures = [[each.header.metrics[name] for name in ("arrays", "latency_cycles")] for each in (best, begun, alone)]
    assert measures[0] == measures[1] < measures[2]


def test_weights_of_all_laps_are_drawn_once() -> None:
    problem = ask(ROUND, "2,2,1", chip(array__rows=6, array__cols=6))
    seen = judge(solve_and_check(problem, "spread")[0], "it")
    pieces = find_pieces(seen, np.arange(len(seen.array_numbers))).pieces
    drawn = {
        (array, row + down, col + right)
        for array, row, col, rows, cols in zip(
            *(getattr(pieces, name).tolist() for name in ("array", "array_row", "array_col", "rows", "cols")),
            strict=True,
        )
        for down in range(rows)
        for right in range(cols)
    }
    assert len(drawn) == int((pieces.rows * pieces.cols).sum()) == problem.weight_cells
