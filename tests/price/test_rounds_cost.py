"""Writing weights while a chip runs: times, energies and plans counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cimsolve.chip.read import parse_hardware
from cimsolve.price.rounds import (
    RunTimes,
    batch_of_a_tenth,
    begins_of_runs,
    period_cycles,
    spans_of_runs,
    times_of_run,
    total_cycles,
    write_cycles,
    write_pj,
    written_rows,
)
from cimsolve.study.rounds import solve_rounds
from makers.builders import chip, linears, pieces_of, step
from makers.short_chips import BASE_NS, BITS_PER_NS, CELL_PJ, PJ_PER_BIT, ROW_NS, short, writing

RUNS = [RunTimes(10, 4, 1, 20), RunTimes(30, 6, 2, 25), RunTimes(5, 2, 1, 40)]


@pytest.mark.parametrize(
    ("changes", "rows", "pulses"),
    [
        ({}, [3, 5, 4], 5),  # all arrays side by side: the one with most rows
        ({"arrays_at_once": 1}, [3, 5, 4], 12),
        ({"arrays_at_once": 2}, [3, 5, 4], 6),  # two writers share 12 rows
        ({"rows_at_once": 2}, [3, 5, 4], 3),
        ({"rows_at_once": 2, "arrays_at_once": 1}, [3, 5, 4], 7),  # 2, 3 and 2 pulses
    ],
)
def test_rows_are_written_one_after_the_other_on_each_array(
    changes: dict[str, int], rows: list[int], pulses: int
) -> None:
    hardware = parse_hardware(writing(chip(), base_ns=0, bits_per_ns=1e9, **changes), "chip")
    assert write_cycles(hardware, np.array(rows), 60) == hardware.cycles(pulses * ROW_NS * 1000)


def test_weights_that_come_slower_than_they_are_written_are_waited_for() -> None:
    hardware = parse_hardware(writing(chip()), "chip")
    weights = 4000
    loading_ns = BASE_NS + weights * hardware.weight.bits / BITS_PER_NS
    assert loading_ns > 5 * ROW_NS
    assert write_cycles(hardware, np.array([5]), weights) == hardware.cycles(int(loading_ns * 1000))


def test_every_cell_of_a_weight_is_written_and_every_bit_loaded() -> None:
    hardware = parse_hardware(writing(chip()), "chip")
    each = hardware.columns_per_weight * CELL_PJ + hardware.weight.bits * PJ_PER_BIT
    assert write_pj(hardware, 7) == pytest.approx(7 * each)


def test_rows_that_pieces_share_are_written_once() -> None:
    pieces = pieces_of(
        (0, 0, 0, 3, 0, 2, 4, 1, 0),  # rows 1 to 3 of array 4
        (0, 0, 0, 2, 2, 2, 4, 2, 2),  # rows 2 and 3, beside it
        (0, 0, 0, 1, 4, 2, 4, 6, 0),
        (1, 0, 0, 2, 0, 2, 9, 0, 0),
    )
    assert written_rows(pieces, np.array([4, 9])).tolist() == [4, 2]


def test_one_after_the_other_all_times_add_up() -> None:
    assert total_cycles(RUNS, False, "token") == 45 + 12
    assert total_cycles(RUNS, False, "prefill") == 45 + 85
    assert total_cycles(RUNS, False, "batch", 11) == 45 + (4 + 10) + (6 + 20) + (2 + 10)
    assert period_cycles(RUNS, False, 11) == total_cycles(RUNS, False, "batch", 11)


def test_doubled_a_run_is_written_beside_the_one_before() -> None:
    assert total_cycles(RUNS, True, "prefill") == 10 + max(30, 20) + max(5, 25) + 40
    # In a stream of batches the first run is written beside the last one of the batch before.
    assert period_cycles(RUNS, True, 11) == max(30, 14) + max(5, 26) + max(10, 12)


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("of", ["token", "prefill"])
def test_the_last_run_ends_when_the_total_says(double: bool, of: str) -> None:
    begins = begins_of_runs(RUNS, double, of)
    assert begins[-1][1] + RUNS[-1].compute(of) == total_cycles(RUNS, double, of)
    assert all(computes >= writes + run.write for (writes, computes), run in zip(begins, RUNS, strict=True))


@pytest.mark.parametrize(
    ("double", "of", "spans"),
    [
        (False, "token", [10 + 4, 30 + 6, 5 + 2]),
        (
            True,
            "token",
            [10 + 4, 30 + 6, 6 + 2],
        ),  # the last waits for the second, which computes for 6 while it is written
        (
            True,
            "batch",
            [12 + 14, 30 + 26, 26 + 12],
        ),  # the first is written while the last of the batch before computes
    ],
)
def test_arrays_are_taken_from_the_first_row_written_to_the_last_token(double: bool, of: str, spans: list[int]) -> None:
    assert spans_of_runs(RUNS, double, of, 11) == spans


@pytest.mark.parametrize("strategy", ["linear", "optimal"])
def test_arrays_leak_while_they_are_written_wait_and_compute(strategy: str) -> None:
    problem = short(linears(*(step(name, (8, 8)) for name in "abcd")), 2, "throughput", row_ns=20)
    plan = solve_rounds(problem, strategy, batch=4)
    assert plan.header.double == (strategy == "optimal")
    hardware, metrics = problem.hardware, plan.header.metrics
    times = [times_of_run(hardware, run.pieces, run.header.metrics) for run in plan.runs]
    arrays = [int(run.header.metrics["arrays"]) for run in plan.runs]
    rest = 0.0
    for run, taken in zip(plan.runs, times, strict=True):
        rest += run.header.metrics["energy_pj"]
        rest -= (
            hardware.array.leakage_uw * 1e-3 * run.header.metrics["arrays"] * taken.latency * hardware.clock_ps / 1000
        )
    rest += write_pj(hardware, problem.workload.weight_count)
    leaking = hardware.array.leakage_uw * 1e-3 * hardware.clock_ps / 1000
    spans = spans_of_runs(times, plan.header.double, "token")
    leakage_pj = leaking * sum(mine * span for mine, span in zip(arrays, spans, strict=True))
    assert metrics["leakage_pj"] == pytest.approx(leakage_pj)
    assert metrics["energy_pj"] == pytest.approx(rest + leakage_pj)
    if not plan.header.double:
        assert metrics["leakage_pj"] == pytest.approx(
            leaking * arrays[0] * metrics["latency_cycles"]
        )  # all have as many
    assert metrics["batch_energy_pj"] < metrics["energy_pj"]


def test_from_a_batch_on_writing_is_a_tenth() -> None:
    least = batch_of_a_tenth(RUNS)
    shares = [45 / total_cycles(RUNS, False, "batch", batch) for batch in (least - 1, least)]
    assert shares[0] > 0.1 >= shares[1]
