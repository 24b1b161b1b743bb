"""Replay of answers in runs: writing, batches and rows of chips, beside the equations and brute force."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cimsolve
from cimsolve.chip.read import parse_hardware
from cimsolve.errors import InputError
from cimsolve.judge.check.plan import check_plan
from cimsolve.judge.replay.plan import PlanReplay, replay_plan
from cimsolve.judge.replay.writing import replay_writing
from cimsolve.price.chips import use_link
from cimsolve.price.rounds import times_of_run, write_cycles, written_rows
from cimsolve.problem.plan import AnyPlan, RoundsHeader
from cimsolve.problem.problem import Problem
from cimsolve.study.chips import solve_chips
from cimsolve.study.rounds import solve_rounds
from makers.builders import ask, chip, linears, pieces_of, step
from makers.command_line import Cli
from makers.short_chips import short, writing
from makers.tiny_configs import BERT, NARROW_BART
from oracles import naive_plan, naive_replay

CHAIN = linears(*(step(name, (8, 8)) for name in "abcd"), context=5)


def replayed(plan: AnyPlan, **settings: Any) -> PlanReplay:
    report = check_plan(plan)
    assert report.violations == ()
    return replay_plan(plan, report.costs, **settings)


def random_problem(draw: random.Random) -> Problem:
    """A graph of steps with branches, barriers and digital work, on fewer arrays than it needs."""
    steps: list[dict[str, Any]] = []
    for number in range(draw.randint(3, 7)):
        reads = sorted(draw.sample(range(number), min(number, draw.choice([1, 1, 2]))))
        keys: dict[str, Any] = {"reads": [f"s{read}" for read in reads]}
        if reads:
            keys["operations"] = [{"name": "add", "elements": draw.randint(1, 12)}] * draw.randint(0, 2)
            keys["barrier"] = draw.random() < 0.3
        steps.append(step(f"s{number}", *[(8, draw.choice([4, 8]))] * draw.randint(1, 2), **keys))
    write = {
        "row_ns": draw.randint(1, 9),
        "rows_at_once": draw.randint(1, 3),
        "arrays_at_once": draw.choice([None, 1, 2]),
        "base_ns": draw.randint(0, 20),
        "bits_per_ns": draw.choice([1.0, 4.0, 64.0]),
    }
    link = {"base_ns": draw.randint(0, 9), "bits_per_ns": draw.choice([0.5, 4.0, 1e6]), "pj_per_bit": 0.0}
    data = {**writing(chip(array__count=draw.randint(2, 3)), **write), "chip_link": link}
    return ask(linears(*steps, context=draw.randint(1, 5)), hardware=data)


# Writing


@pytest.mark.parametrize("seed", range(20))
def test_rows_written_one_by_one_take_what_the_equation_says(seed: int) -> None:
    draw = random.Random(seed)
    problem = random_problem(draw)
    places = {(draw.randint(0, 3), draw.randrange(0, 8, 4), draw.randrange(0, 8, 2)) for _ in range(draw.randint(1, 9))}
    pieces = pieces_of(*((0, 0, 0, draw.randint(1, 4), 0, 2, *place) for place in sorted(places)))
    found = replay_writing(problem, pieces)
    rows = written_rows(pieces, np.unique(pieces.array))
    weights = int((pieces.rows * pieces.cols).sum())
    assert found.cycles == write_cycles(problem.hardware, rows, weights)
    clock_ps = problem.hardware.clock_ps
    for cycles, waits in ((found.drivers, False), (found.row_by_row, True)):
        assert cycles == -(-round(naive_plan.written_at_ns(problem, pieces, waits) * 1000) // clock_ps)
    # Rows that wait for their weights: later than either unit alone, never than one after the other.
    assert found.cycles <= found.row_by_row <= found.drivers + found.link


def test_the_first_row_waits_for_its_weights_and_the_last_is_written_after_them() -> None:
    hardware = parse_hardware(writing(chip(), row_ns=5, base_ns=3, bits_per_ns=8.0), "chip")
    problem = ask(CHAIN, hardware=hardware.to_json())
    assert problem.hardware.weight.bits == 1
    found = replay_writing(problem, pieces_of((0, 0, 0, 4, 0, 8, 0, 0, 0)))  # four rows of eight weights
    assert (found.drivers, found.link) == (4 * 5, 3 + 4)
    assert found.row_by_row == 3 + 1 + 4 * 5


# Rounds


@pytest.mark.parametrize("seed", range(8))
def test_random_rounds_take_what_the_equations_say_and_brute_force_finds(seed: int) -> None:
    draw = random.Random(seed)
    problem = random_problem(draw) if seed else short(CHAIN, 2, "throughput", row_ns=20)
    plan = solve_rounds(problem, "spread" if seed else "optimal", batch=draw.randint(1, 4))
    assert plan.header.double == (seed == 0)
    found = replayed(plan)
    assert found.agrees
    assert found.writing is not None
    assert found.stream is not None
    write, prefill, batch = [], [], []
    for solution in plan.runs:
        run = Problem(solution.question())
        write.append(times_of_run(run.hardware, solution.pieces, solution.header.metrics).write)
        places = naive_replay.all_places(run, solution, False)
        busy: dict[Any, int] = {}
        for in_phase in (True, False):
            busy = {}
            for place in places.values():
                for unit, cycles in [*place.gap, *((unit, sum(each)) for unit, each in place.activations.items())]:
                    key = (place.phase if in_phase else 0, unit)
                    busy[key] = busy.get(key, 0) + cycles
            phases = {place.phase for place in places.values()}
            pace = {each: max(n for (phase, _), n in busy.items() if not in_phase or phase == each) for each in phases}
            tokens = problem.model.tokens if in_phase else plan.header.batch
            ends = naive_replay.run(run, solution, tokens, pace, in_phase)
            (prefill if in_phase else batch).append(max(ends))
    clock_ns = problem.hardware.clock_ps / 1000
    double = plan.header.double
    assert found.prefill.replayed_ns == naive_plan.ends_of_batches(write, prefill, double, 1)[0] * clock_ns
    ends = naive_plan.ends_of_batches(write, batch, double, 5)
    assert found.stream.replayed_ns == (ends[-1] - ends[-2]) * clock_ns


def test_a_batch_that_waits_for_nothing_takes_what_the_equation_says() -> None:
    plan = solve_rounds(short(CHAIN, 2), "linear", batch=3)
    found = replayed(plan)
    assert found.stream_tokens == 3
    assert found.stream is not None
    assert found.stream.replayed_ns == found.stream.analytical_ns == plan.header.metrics["batch_ns"]
    # Writing and computing take turns; of the two units that write the slower sets the time, here not always one.
    shares = [found.busy[unit]["token"] for unit in ("write drivers", "load link", "arrays")]
    assert max(shares[:2]) + shares[2] <= 1 <= sum(shares)
    other = replayed(plan, stream=7, tokens=2)
    assert (other.stream_tokens, other.tokens) == (7, 2)
    assert other.stream is not None
    assert other.stream.analytical_ns > found.stream.analytical_ns


# Chips in a row


@pytest.mark.parametrize("seed", range(10))
def test_random_rows_of_chips_take_what_the_equations_say_and_brute_force_finds(seed: int) -> None:
    draw = random.Random(seed)
    problem = random_problem(draw)
    plan = solve_chips(problem, draw.choice(["linear", "spread"]))
    assert len(plan.runs) > 1
    controller = draw.choice(["paced", "oldest"])
    found = replayed(plan, controller=controller, stream=12)
    assert found.agrees
    assert found.stream is not None
    uses = [use_link(problem, run.end) for run in plan.header.runs[:-1]]
    links = [(use.busy, use.latency) for use in uses]
    places = naive_plan.places_of_row(problem, plan, links, False, False)
    for barriers in (True, False):
        busy: dict[Any, int] = {}
        for place in places.values():
            for unit, cycles in [*place.gap, *((unit, sum(each)) for unit, each in place.activations.items())]:
                key = (place.phase if barriers else 0, unit)
                busy[key] = busy.get(key, 0) + cycles
        phases = {place.phase for place in places.values()}
        pace = {each: max(n for (phase, _), n in busy.items() if not barriers or phase == each) for each in phases}
        tokens = problem.model.tokens if barriers else 12
        ends = naive_replay.run_places(places, tokens, pace, barriers, controller == "oldest")
        clock_ns = problem.hardware.clock_ps / 1000
        if barriers:
            assert found.prefill.replayed_ns == max(ends) * clock_ns
        else:
            middle, last = ends[4:8], ends[8:]
            assert found.stream.replayed_ns == pytest.approx((sum(last) - sum(middle)) / 16 * clock_ns)


def test_a_source_and_its_target_pass_chips_and_rounds() -> None:
    problem = short(NARROW_BART, 3, tokens=(3, 5))
    for plan in (solve_chips(problem, "spread"), solve_rounds(problem, "spread")):
        assert len(plan.runs) > 1
        found = replayed(plan, stream=0)
        assert found.agrees
        assert found.stream is None
        assert found.source_tokens == 5
        assert found.prefill.difference == pytest.approx(0, abs=0.2)
        assert replayed(plan, source_tokens=9, stream=0).prefill.analytical_ns > found.prefill.analytical_ns


def test_numbers_of_tokens_that_are_none() -> None:
    plan = solve_chips(short(CHAIN, 2), "linear")
    for settings, words in (
        ({"tokens": 0}, "--tokens: 0"),
        ({"stream": 2}, "--stream: 2"),
        ({"source_tokens": 1}, "no"),
    ):
        with pytest.raises(InputError, match=words):
            replayed(plan, **settings)


def test_a_batch_that_is_too_large_to_be_replayed_is_told_before_it_is() -> None:
    plan = solve_rounds(short(CHAIN, 2), "linear", batch=10**8)
    with pytest.raises(InputError, match=r"--stream: 100000000 cannot be replayed .* expected 0, or 1 to 65536"):
        replayed(plan)
    assert replayed(plan, stream=0).stream is None


# The command


def test_the_command_replays_files_of_both_kinds(cli: Cli, tmp_path: Path) -> None:
    problem = short({**BERT, "num_hidden_layers": 1}, 16)
    files = []
    for plan in (solve_rounds(problem, "linear"), solve_chips(problem, "linear")):
        files.append(str(cimsolve.write_plan(plan, tmp_path / f"{plan.header.kind}.json")[0]))
        assert isinstance(plan.header, RoundsHeader) == (plan.header.kind == "rounds")
    result = cli("replay", *files)
    assert result.code == 0
    assert result.out.count("one token agrees") == 2
    assert "Load link: at work" in " ".join(result.out.split())
    told = json.loads(cli("replay", *files, "--json").out)["files"]
    assert [told[name]["kind"] for name in files] == ["rounds", "chips"]
    assert all(told[name]["replay"]["latency"]["difference"] == 0 for name in files)
    content = json.loads(Path(files[0]).read_text())
    content["metrics"]["latency_ns"] *= 0.5
    Path(files[0]).write_text(json.dumps(content))
    result = cli("replay", files[0])
    assert result.code == 1
    assert "FAILED its check" in result.out
