"""Explanations of answers in runs: what their time goes to, and what changes buy, as changed chips have it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import cimsolve
from cimsolve.errors import InputError
from cimsolve.price.rounds import times_of_run, total_cycles
from cimsolve.problem.plan import Chips, Rounds
from cimsolve.problem.problem import Problem
from cimsolve.study.chips import solve_chips
from cimsolve.study.explain.runs import explain_plan
from cimsolve.study.rounds import solve_rounds
from makers.builders import linears, step
from makers.command_line import Cli, assert_refused
from makers.short_chips import BITS_PER_NS, ROW_NS, short

CHAIN = linears(*(step(name, (8, 8)) for name in "abcd"), context=5)


@pytest.fixture(scope="module")
def rounds() -> Rounds:
    return solve_rounds(short(CHAIN, 2), "linear", batch=3)


@pytest.fixture(scope="module")
def chips() -> Chips:
    return solve_chips(short(CHAIN, 2), "linear")


def test_parts_add_up_to_the_figures(rounds: Rounds) -> None:
    doubled = solve_rounds(short(CHAIN, 2, "throughput", row_ns=20), "optimal", batch=4)
    assert doubled.header.double
    for plan in (rounds, doubled):
        found = explain_plan(plan)
        metrics, clock_ns = plan.header.metrics, found.problem.hardware.clock_ps / 1000
        for of, metric in (("token", "latency_ns"), ("prefill", "prefill_ns"), ("batch", "batch_ns")):
            assert sum(found.parts[of].values()) * clock_ns == pytest.approx(metrics[metric])
            assert min(found.parts[of].values()) >= 0


@pytest.mark.parametrize(("row_ns", "bound"), [(1, "load link"), (500, "write drivers")])
def test_the_slower_of_link_and_drivers_is_what_is_waited_for(row_ns: int, bound: str) -> None:
    plan = solve_rounds(short(CHAIN, 2, row_ns=row_ns), "linear")
    found = explain_plan(plan)
    waiting = {part for part, cycles in found.parts["token"].items() if cycles} - {"computing"}
    assert waiting == {bound}
    assert found.bound_by_load == (len(plan.runs) if bound == "load link" else 0)


def test_what_a_change_buys_is_what_the_changed_chip_takes(rounds: Rounds) -> None:
    outcomes = {one.name: one.metrics for one in explain_plan(rounds, None).outcomes}
    assert set(outcomes) == {"batch-x2", "load-x2", "write-x2", "array+1"}
    for name, changes in (("load-x2", {"bits_per_ns": 2 * BITS_PER_NS}), ("write-x2", {"row_ns": ROW_NS / 2})):
        hardware = short(CHAIN, 2, **changes).hardware
        times = [times_of_run(hardware, run.pieces, run.header.metrics) for run in rounds.runs]
        assert outcomes[name]["latency_cycles"] == total_cycles(times, False, "token")
    twice = solve_rounds(short(CHAIN, 2), "linear", batch=6)
    assert outcomes["batch-x2"] == pytest.approx(twice.header.metrics)
    more = solve_rounds(short(CHAIN, 3), "linear", batch=3)
    assert outcomes["array+1"] == pytest.approx(more.header.metrics)


def test_chips_name_their_slowest_and_what_links_take(chips: Chips) -> None:
    found = explain_plan(chips, None)
    metrics = chips.header.metrics
    assert sum(found.parts["token"].values()) == metrics["latency_cycles"]
    slow = Problem(chips.question()).asking(hardware=short(CHAIN, 2).hardware)
    assert found.slowest.startswith("chip ")
    outcomes = {one.name: one.metrics for one in found.outcomes}
    assert set(outcomes) == {"link-x2", "chip+1", "array+1"}
    assert outcomes["link-x2"]["link_latency_ns"] < metrics["link_latency_ns"]
    assert outcomes["chip+1"] == pytest.approx(solve_chips(slow, "linear", chips=3).header.metrics)


def test_changes_of_other_answers_are_refused(rounds: Rounds, chips: Chips) -> None:
    for plan, change in ((rounds, "link-x2"), (chips, "load-x2"), (chips, "adc+1"), (rounds, "read_ns=5")):
        with pytest.raises(InputError, match="is not told of the answer; expected some of"):
            explain_plan(plan, [change])


def test_the_command_explains_both_kinds(rounds: Rounds, chips: Chips, cli: Cli, tmp_path: Path) -> None:
    for plan, words in ((rounds, ("waiting for the", "batches")), (chips, ("on links", "bound by chip"))):
        file = str(cimsolve.write_plan(plan, tmp_path / f"{plan.header.kind}.json")[0])
        result = cli("explain", file)
        assert result.code == 0
        assert all(word in " ".join(result.out.split()) for word in (*words, "What a change would buy", "such chips"))
        told = json.loads(cli("explain", file, "--what-if", "none", "--json").out)
        assert told["kind"] == plan.header.kind
        assert told["what_if"] == []
        assert_refused(cli("explain", file, "--what-if", "adc+1"), 2, "--what-if adc+1", "is not told of")
