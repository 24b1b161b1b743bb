"""Tokens through a row of chips: links, phases and figures counted by hand."""

from __future__ import annotations

import pytest

from cimsolve.price.chips import ChipTimes, LinkUse, RowTimes, chips_metrics, row_of, use_link
from cimsolve.problem.plan import run_problem
from cimsolve.study.solving import solve
from makers.builders import MEMORY, ask, chip, linears, remembering, step
from makers.short_chips import LINK, short, writing
from makers.tiny_configs import BERT

CHAIN = linears(*(step(name, (8, 8)) for name in "ab"))
LAYER = {**BERT, "num_hidden_layers": 1}
SLOW_LINK = LinkUse(bits=10, latency=9, busy=6)


def test_a_token_pays_every_chip_and_every_link() -> None:
    row = RowTimes.of(ChipTimes(10, 4, (4,), (2,))).then(SLOW_LINK, ChipTimes(20, 5, (5,), (2,)), goes_on=False)
    assert row.takes("token") == 10 + 9 + 20
    assert row.takes("batch") == 6  # the link's


@pytest.mark.parametrize(
    ("goes_on", "phases", "slowest"),
    [
        (False, ((4,), (5,)), 6 + 5),  # the link is of the first phase
        (True, ((4,), (5,)), 6),  # one phase on both chips
        (True, ((4, 7), (8, 3)), 4 + 8 + 3),
        (True, ((4, 9), (5,)), 4 + 9),
        (False, ((4, 9), (5, 2)), 4 + 9 + 5 + 2),
    ],
)
def test_a_phase_waits_for_its_slowest_chip_or_link(
    goes_on: bool, phases: tuple[tuple[int, ...], tuple[int, ...]], slowest: int
) -> None:
    for later in (0, 3):
        first, second = (ChipTimes(10, max(each), each, (later,) * len(each)) for each in phases)
        row = RowTimes.of(first).then(SLOW_LINK, second, goes_on)
        assert row.prefill == 10 + 9 + 10 + later * slowest


def test_phases_of_the_source_have_its_tokens() -> None:
    first, second = ChipTimes(10, 9, (9, 4), (5, 5)), ChipTimes(10, 8, (8, 7), (5, 2))
    row = RowTimes.of(first).then(SLOW_LINK, second, goes_on=True)
    assert row.prefill == 10 + 9 + 10 + 5 * 9 + 5 * 8 + 2 * 7


def test_a_link_carries_what_later_steps_read() -> None:
    problem = short(CHAIN, 1)
    link = use_link(problem, 1)
    assert link.bits == 8 * problem.hardware.input.bits
    assert link.busy == link.bits / LINK["bits_per_ns"]
    assert link.latency == link.busy + LINK["base_ns"]


def test_all_chips_leak_while_one_works_and_links_take_energy() -> None:
    problem = short(CHAIN, 1)
    runs = [solve(run_problem(problem, *run), "spread") for run in ((0, 1), (1, 2))]
    each = [run.header.metrics for run in runs]
    cycles = [(int(one["latency_cycles"]), int(one["ii_cycles"])) for one in each]
    times = [ChipTimes(latency, ii, (ii,), (0,)) for latency, ii in cycles]
    metrics = chips_metrics(problem, [1, 2], list(zip(times, each, strict=True)))
    link = use_link(problem, 1)
    latency = sum(time.latency for time in times) + link.latency
    assert metrics["latency_cycles"] == latency == row_of(problem, [1, 2], times).latency
    assert (metrics["chips"], metrics["arrays"], metrics["all_arrays"]) == (2, 1, 2)
    leaking_pj = sum(problem.hardware.array.leakage_uw * 1e-3 * (latency - time.latency) for time in times)
    expected = sum(one["energy_pj"] for one in each) + link.bits * LINK["pj_per_bit"] + leaking_pj
    assert metrics["energy_pj"] == pytest.approx(expected)
    assert metrics["area_mm2"] == pytest.approx(sum(one["area_mm2"] for one in each))


def test_a_memory_with_room_for_one_sequence_holds_the_others_back() -> None:
    kept = short(LAYER, 16).model.cached_elements * MEMORY["kv_bits"]
    hardware = remembering(writing(chip(array__count=16)), mbit=kept * 1.5e-6)
    problem = ask(LAYER, hardware=hardware)
    times = [ChipTimes(100_000, 2, (2,), (0,))] * 2
    figures = {"arrays": 1, "energy_pj": 1.0, "area_mm2": 1.0}
    metrics = chips_metrics(problem, [2, len(problem.model.steps)], [(time, figures) for time in times])
    # One sequence is under way in the whole row, all of its tokens at once: nothing is causal here.
    assert metrics["ii_cycles"] == -(-int(metrics["latency_cycles"]) // problem.model.tokens)
