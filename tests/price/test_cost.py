"""The cost model against figures worked out by hand on a model of two stages.

Stage a is a dense 4 x 4 matrix on array 0, stage b a dense 4 x 2 matrix on array 1; between them an activation of 4
elements and the transfer of 4 elements. The chip: 8 x 8 arrays, one column a weight, 2 input phases (f = 2), reads of
3 ns, 2 converters an array, log2_rows bits, so that 4 stacked rows take 2 bits: 2 ns and 2 pJ a conversion.
"""

from __future__ import annotations

import math
from typing import Any

import pytest

from cimsolve.api import map_model
from cimsolve.chip.read import parse_hardware
from cimsolve.judge.check import check_solution
from cimsolve.model.families import parse_model
from cimsolve.price.cost import Costs, evaluate
from cimsolve.problem.tables import Pieces
from cimsolve.problem.terms import Cut
from makers.builders import NOTHING, answer, ask, chip, fired_of, linears, macro_chip, pieces_of, step
from makers.tiny_configs import LLAMA

PRICED = {
    "digital__ops__activation": {"base_ns": 2, "per_element_ns": 1, "base_pj": 1, "per_element_pj": 0.25},
    "digital__ops__add": {"base_ns": 1, "per_element_ns": 1, "base_pj": 0.5, "per_element_pj": 0.125},
}
A = (0, 0, 0, 4, 0, 4, 0, 0, 0)
B = (1, 0, 0, 4, 0, 2, 1, 0, 0)


def model(barrier: bool = False) -> dict[str, Any]:
    return linears(
        step("a", (4, 4)),
        step("b", (4, 2), operations=[{"name": "activation", "elements": 4}], barrier=barrier),
        context=4,
    )


def costs_of(
    hardware: dict[str, Any],
    pieces: Pieces | None = None,
    fires: list[int] | None = None,
    barrier: bool = False,
    cut: Cut = "columns",
) -> Costs:
    problem = ask(model(barrier), hardware=hardware, cut=cut)
    solution = answer(problem, pieces_of(A, B) if pieces is None else pieces, fires)
    assert check_solution(solution).passed
    return evaluate(fired_of(problem, solution), solution.activations)


def test_time_of_a_token() -> None:
    found = costs_of(chip(**PRICED))
    # a reads 4 columns on 2 converters, v = 2: 2 * (3 + 2 * 2) = 14; b reads 2, v = 1: 2 * (3 + 2) = 10.
    # Before b: the activation, 2 + 1 * 4 / 4 lanes = 3, then 4 elements * 2 bits over 8 bits a ns, 1 + 1 = 2.
    # Tail: 2 elements * 2 bits, 1 + 0.5 ns, in 2 cycles.
    assert found.stages.start.tolist() == [0, 14 + 3 + 2]
    assert found.stages.end.tolist() == [14, 14 + 3 + 2 + 10]
    assert found.metrics["latency_cycles"] == 31
    assert found.metrics["latency_ns"] == 31
    assert found.metrics["array_latency_ns"] == 24
    assert found.latency_components_cycles == {
        "array": 24,
        "partial_sums": 0,
        "digital": 3,
        "transfer": 2 + 2,
        "wait": 0,
    }


def test_throughput_and_prefill() -> None:
    found = costs_of(chip(**PRICED))
    # Busiest: array 0 for 14 cycles; digital units 3, interconnect 4.
    assert found.metrics["ii_cycles"] == found.metrics["array_ii_cycles"] == 14
    # One phase: the first token fills in 31, three more follow each 14.
    assert found.metrics["prefill_tokens"] == 4
    assert found.metrics["prefill_ns"] == 31 + 3 * 14
    # Arrays alone: 24, then 14 a token.
    assert found.metrics["array_prefill_ns"] == 24 + 3 * 14


def test_prefill_with_a_barrier_between_the_stages() -> None:
    found = costs_of(chip(**PRICED), barrier=True)
    # Phase 0 is a alone: 14 + 3 * 14. Phase 1, gap and tail included: 5 + 10 + 2 = 17, then 10 a token.
    assert [phase.fill_cycles for phase in found.phases] == [14, 17]
    assert [phase.ii_cycles for phase in found.phases] == [14, 10]
    assert found.metrics["prefill_ns"] == 14 + 3 * 14 + 17 + 3 * 10
    assert found.metrics["array_prefill_ns"] == 14 + 3 * 14 + 10 + 3 * 10
    assert found.metrics["latency_cycles"] == 31
    # Many sequences in flight know no barrier.
    assert found.metrics["ii_cycles"] == 14


def test_shared_units_may_be_the_bottleneck() -> None:
    slow = {**NOTHING, "base_ns": 60}
    found = costs_of(chip(digital__ops__activation=slow))
    assert found.metrics["ii_cycles"] == 60
    assert found.metrics["array_ii_cycles"] == 14
    found = costs_of(chip(transfer__base_ns=20))
    # 20 + 1 before b, 20 + 0.5 after it.
    assert found.metrics["ii_cycles"] == 21 + 21


def test_energy_of_a_token() -> None:
    found = costs_of(chip(**PRICED))
    assert found.energy_components_pj == pytest.approx(
        {
            "rows": 2 * (4 + 4) * 0.5,
            "cells": 2 * (16 + 8) * 0.25,
            "columns": 2 * (4 + 2) * 0.125,
            "conversions": 2 * (4 + 2) * 2,
            "shift_add": 2 * (4 + 2) * 2,
            "activation": 1 + 4 * 0.25,
            "transfer": (4 + 2) * 2 * 0.5,
            "leakage": 2 * 1e-3 * 31,  # 1 uW is 1e-3 pJ a ns
        }
    )
    assert found.metrics["energy_pj"] == pytest.approx(69.5 + 2 + 6 + 0.062)
    assert found.metrics["array_energy_pj"] == pytest.approx(69.5)
    # By stage and, last, of the tail; leakage by the cycles that each adds: 14, 3 + 2 + 10, 2.
    assert sum(found.array_pj.values()).tolist() == pytest.approx([45, 24.5, 0])
    assert found.outside_pj["activation"].tolist() == pytest.approx([0, 2, 0])
    assert found.outside_pj["transfer"].tolist() == pytest.approx([0, 4, 2])
    assert found.outside_pj["leakage"].tolist() == pytest.approx([2e-3 * 14, 2e-3 * 15, 2e-3 * 2])


def test_tokens_a_second_and_energy_a_token() -> None:
    found = costs_of(chip(**PRICED)).metrics
    # One alone takes 31 ns, four in a prefill 73, and with many sequences one leaves every 14.
    assert found["decode_tokens_per_s"] == pytest.approx(1e9 / 31)
    assert found["prefill_tokens_per_s"] == pytest.approx(4e9 / 73)
    assert found["throughput_tokens_per_s"] == pytest.approx(1e9 / 14)
    # Leakage is 2e-3 pJ a ns, over as long as each takes; the rest is paid for every token.
    assert found["prefill_energy_pj"] == pytest.approx(4 * 77.5 + 2e-3 * 73)
    assert found["throughput_energy_pj"] == pytest.approx(77.5 + 2e-3 * 14)


def test_what_no_mapping_can_change() -> None:
    found = costs_of(chip(**PRICED)).metrics
    # The activation and both transfers: 3 + 2 + 2. The interconnect, 4 a token, is the busiest of the two.
    assert found["fixed_latency_ns"] == 7
    assert found["fixed_ii_cycles"] == 4
    assert found["fixed_prefill_ns"] == 7 + 3 * 4
    # Gaps 2 + 6, the cells 12, and one array's leakage over 7 ns: 24 weights need no more by area.
    assert found["fixed_energy_pj"] == pytest.approx(2 + 6 + 12 + 7e-3 * 1)


def test_partial_sums_of_cuts_that_are_a_choice_are_not_fixed() -> None:
    top, bottom = (0, 0, 0, 2, 0, 4, 0, 0, 0), (0, 0, 2, 2, 0, 4, 2, 0, 0)
    chosen = costs_of(chip(**PRICED), pieces_of(top, bottom, B), cut="both").metrics
    assert chosen["fixed_latency_ns"] == 7
    # With 2 rows at once a must be cut and so must b: 4 sums, 2 cycles, then 2 sums, 2 cycles.
    left, right = (1, 0, 0, 2, 0, 2, 1, 0, 0), (1, 0, 2, 2, 0, 2, 3, 0, 0)
    forced = costs_of(chip(array__rows_active_max=2, **PRICED), pieces_of(top, bottom, left, right)).metrics
    assert forced["fixed_latency_ns"] == 7 + 2 + 2


def test_phases_say_what_each_unit_does() -> None:
    found = costs_of(chip(**PRICED), barrier=True)
    # Phase 1: the activation, then transfers before b and of the result.
    assert [phase.digital_cycles for phase in found.phases] == [0, 3]
    assert [phase.transfer_cycles for phase in found.phases] == [0, 2 + 2]
    assert [phase.array_ii_cycles for phase in found.phases] == [14, 10]
    assert [phase.prefill_cycles for phase in found.phases] == [14 + 3 * 14, 17 + 3 * 10]


def test_what_is_counted() -> None:
    found = costs_of(chip(**PRICED)).metrics
    assert found["arrays"] == found["pieces"] == found["activations"] == 2
    assert found["occupancy"] == 24 / (2 * 64)
    assert found["adc_conversions"] == 2 * (4 + 2)
    assert found["adc_bits_max"] == 2
    assert found["lossy_activations"] == 0
    assert found["area_mm2"] == pytest.approx(2 * (100 + 2 * 20) * 1e-6)
    assert found["array_busy_share"] == pytest.approx(24 / (2 * 31))
    assert found["active_cell_share"] == pytest.approx((16 * 14 + 8 * 10) / (2 * 64 * 24))


def test_sample_and_hold() -> None:
    found = costs_of(chip(adc__sample_hold=True, **PRICED))
    # a: 3 + max(3, 4) + 4 = 11; b: 3 + max(3, 2) + 2 = 8.
    assert (found.stages.end - found.stages.start).tolist() == [11, 8]
    assert found.metrics["latency_cycles"] == 11 + 5 + 8 + 2
    assert found.metrics["ii_cycles"] == 11
    # The energy of the arrays is the same, only leakage is less.
    assert found.metrics["array_energy_pj"] == pytest.approx(69.5)


def test_macro() -> None:
    found = costs_of(macro_chip(**PRICED))
    # 7.5 ns and 40 pJ an activation, converters included.
    assert (found.stages.end - found.stages.start).tolist() == [8, 8]
    assert found.metrics["latency_cycles"] == 8 + 5 + 8 + 2
    assert found.metrics["prefill_ns"] == 23 + 3 * 8
    assert found.metrics["array_energy_pj"] == 80
    assert found.energy_components_pj == pytest.approx(
        {"macro": 80, "activation": 2, "transfer": 6, "leakage": 2 * 1e-3 * 23}
    )
    assert found.metrics["area_mm2"] == pytest.approx(2 * 100 * 1e-6)


def test_every_part_is_rounded_up_to_the_clock_once() -> None:
    found = costs_of(chip(clock_ns=1.5, **PRICED))
    # 14 ns in 10 cycles, 3 in 2, 2 in 2, 10 in 7, 1.5 in 1.
    assert (found.stages.end - found.stages.start).tolist() == [10, 7]
    assert found.metrics["latency_cycles"] == 10 + 2 + 2 + 7 + 1
    assert found.metrics["latency_ns"] == 22 * 1.5


def test_rows_that_are_cut_are_added_digitally() -> None:
    top, bottom = (0, 0, 0, 2, 0, 4, 0, 0, 0), (0, 0, 2, 2, 0, 4, 2, 0, 0)
    found = costs_of(chip(**PRICED), pieces_of(top, bottom, B), cut="both")
    # Two rows take 1 bit, 1 ns: 2 * (3 + 2 * 1) = 10, both parts at once. 4 sums: 1 + 1 = 2 cycles.
    assert found.stages.end.tolist() == [10, 10 + 2 + 3 + 2 + 10]
    assert found.metrics["latency_cycles"] == 27 + 2
    assert found.latency_components_cycles["partial_sums"] == 2
    assert found.energy_components_pj["partial_sums"] == 0.5 + 4 * 0.125
    # Each part reads all 4 columns.
    assert found.metrics["adc_conversions"] == 2 * (4 + 4 + 2)
    assert found.energy_components_pj["rows"] == 2 * (2 + 2 + 4) * 0.5
    assert found.energy_components_pj["conversions"] == 2 * (8 * 1 + 2 * 2)


def test_columns_that_are_cut_drive_their_rows_again() -> None:
    left, right = (0, 0, 0, 4, 0, 2, 0, 0, 0), (0, 0, 0, 4, 2, 2, 0, 0, 4)
    found = costs_of(chip(**PRICED), pieces_of(left, right, B))
    # One after the other on array 0: 2 * (3 + 2) = 10 each.
    assert found.stages.end.tolist()[0] == 20
    assert found.energy_components_pj["rows"] == 2 * (4 + 4 + 4) * 0.5
    assert found.energy_components_pj["conversions"] == 2 * (4 + 2) * 2
    together = costs_of(chip(**PRICED), pieces_of(left, right, B), [0, 0, 1])
    assert together.stages.end.tolist()[0] == 14
    assert together.energy_components_pj["rows"] == 2 * (4 + 4) * 0.5


@pytest.mark.parametrize(("wiring", "v"), [("any", 2), ("interleaved", 4), ("adjacent", 2)])
def test_wiring_decides_who_reads_a_column(wiring: str, v: int) -> None:
    # Columns 0, 2, 4 and 6: all even ones, two in either half.
    spaced = [(0, 0, 0, 4, c, 1, 0, 0, 2 * c) for c in range(4)]
    found = costs_of(chip(adc__wiring=wiring, **PRICED), pieces_of(*spaced, B), [0, 0, 0, 0, 1])
    assert found.fired.conversions.tolist() == [v, 1 if wiring != "adjacent" else 2]
    assert found.stages.end.tolist()[0] == 2 * (3 + v * 2)


def test_a_weight_of_several_columns() -> None:
    found = costs_of(chip(weight__bits=2, weight__signed="differential", array__cols=16, **PRICED))
    # 2 slices, positive and negative: 4 columns a weight. a reads 16 of them, v = 8; b 8, v = 4.
    assert (found.stages.end - found.stages.start).tolist() == [2 * (3 + 8 * 2), 2 * (3 + 4 * 2)]
    assert found.metrics["adc_conversions"] == 2 * (16 + 8)
    assert found.metrics["occupancy"] == 4 * 24 / (2 * 8 * 16)
    assert found.energy_components_pj["cells"] == 2 * 4 * 24 * 0.25


@pytest.mark.parametrize(("window", "keys"), [(None, 24), (3, 3), (24, 24), (99, 24)])
def test_attention_costs_the_keys_of_its_window(window: int | None, keys: int) -> None:
    """Two layers of 4 heads of 4: 2 * 16 products and 4 exponentials a key, 0.5 ns and 3 pJ each on 4 units."""
    priced = {"base_ns": 2, "per_element_ns": 0.5, "base_pj": 1, "per_element_pj": 3}
    hardware = parse_hardware(chip(digital__ops__attention_mac=priced, digital__ops__softmax=priced), "hw")
    narrow = parse_model({**LLAMA, "model_type": "mistral", "sliding_window": window}, "model", "tiny", 24)
    solution = map_model(narrow, hardware, strategy="spread", structure="dense", cut="both")
    costs = check_solution(solution).costs
    assert costs is not None
    assert costs.energy_components_pj["attention_mac"] == pytest.approx(2 * (1 + 3 * 2 * 16 * keys))
    assert costs.energy_components_pj["softmax"] == pytest.approx(2 * (1 + 3 * 4 * keys))
    assert costs.latency_components_cycles["digital"] == 2 * (math.ceil(2 + 8 * keys * 0.5) + math.ceil(2 + keys * 0.5))
    assert costs.metrics["fixed_energy_pj"] > 2 * 3 * 36 * keys
