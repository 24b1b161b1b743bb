"""What experts cost, worked out by hand: each figure is that of the choice that is worst for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cimsolve.price.cost import Costs, price
from cimsolve.price.gaps import partial_sum_elements
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Activations, Mapping
from makers.builders import ask, chip, linears, pieces_of, step, with_experts

PRICED: dict[str, Any] = {
    "digital__ops__add": {"base_ns": 1, "per_element_ns": 1, "base_pj": 0.5, "per_element_pj": 0.125}
}
MIXTURE = linears(
    step("a", (4, 4)),
    with_experts(step("m", (4, 4), (4, 4), (4, 4), (4, 4)), of=[None, 0, 1, 2], chosen=2),
    with_experts(step("d", (4, 2), (4, 2), (4, 2)), of=[0, 1, 2], chosen=2, own=True),
    context=3,
)
"""A matrix; one that always fires and three experts on its output; three more on what those made."""


def mixture() -> tuple[Problem, Costs, Activations]:
    """Two arrays of the plain chip of `builders`, cut anyhow: A = 2, f = 2, a read 3 ns, 2 bits 2 ns and 1 bit 1 ns.

    What is fired of 4 rows x 4 columns takes 2 * (3 + 2 * 2) = 14 ns and 45 pJ, 4 x 2 10 ns and 24.5 pJ, 2 x 4
    2 * (3 + 2 * 1) = 10 ns and 31 pJ: 2 * (rows / 2 + cells / 4 + columns * (1/8 + 2 + 2)), of one bit (1/8 + 1 + 2).

    array 0   a; of m what always fires, expert 0, and expert 1's left half
    array 1   expert 1's right half; expert 2 in halves of two rows, fired apart; all of d
    """
    problem = ask(MIXTURE, hardware=chip(**PRICED), cut="both")
    pieces = pieces_of(
        (0, 0, 0, 4, 0, 4, 0, 0, 0),
        (1, 0, 0, 4, 0, 4, 0, 0, 4),
        (2, 0, 0, 4, 0, 4, 0, 4, 0),
        (3, 0, 0, 4, 0, 2, 0, 4, 4),
        (3, 0, 0, 4, 2, 2, 1, 0, 0),
        (4, 0, 0, 2, 0, 4, 1, 4, 0),
        (4, 0, 2, 2, 0, 4, 1, 6, 0),
        (5, 0, 0, 4, 0, 2, 1, 0, 2),
        (6, 0, 0, 4, 0, 2, 1, 0, 4),
        (7, 0, 0, 4, 0, 2, 1, 0, 6),
    )
    costs, activations = price(problem, Mapping(pieces, np.arange(len(pieces))))
    return problem, costs, activations


def test_arrays_are_busy_with_what_always_fires_and_the_longest_experts() -> None:
    """Of m array 0 has 14 always, then 14 and 10 of experts 0 and 1: 38; array 1 has 10 and 20 of 1 and 2: 30."""
    _, costs, _ = mixture()
    metrics = costs.metrics
    assert (costs.stages.end - costs.stages.start).tolist() == [14, 38, 20]
    assert metrics["array_latency_ns"] == 14 + 38 + 20
    assert metrics["array_ii_cycles"] == 14 + 38  # array 1 works 30 + 20
    assert metrics["array_busy_share"] == pytest.approx((52 + 50) / (2 * 81))


def test_experts_beyond_those_chosen_share_the_time_of_the_last() -> None:
    """a 0-14, then 4 elements of 2 bits move in 1 + 8/8 ns; m ends at 54; 4 sums take 1 + 1 ns, the inputs of two
    experts, 8 elements, 1 + 16/8; d is on one array, all of 10 ns; 2 * 2 elements leave in 2 ns.
    """
    _, costs, activations = mixture()
    started = zip(costs.fired.stage.tolist(), costs.fired.expert.tolist(), activations.array, strict=True)
    found = sorted(zip(activations.start.tolist(), activations.end.tolist(), *zip(*started, strict=True), strict=True))
    assert found == [
        (0, 14, 0, -1, 0),
        (16, 26, 1, 2, 1),
        (16, 30, 1, -1, 0),
        (26, 36, 1, 2, 1),
        (30, 44, 1, 0, 0),
        (36, 46, 1, 1, 1),
        (44, 54, 1, 1, 0),
        (59, 69, 2, 0, 1),
        (69, 79, 2, 1, 1),
        (69, 79, 2, 2, 1),
    ]
    assert costs.metrics["latency_cycles"] == 81
    assert costs.metrics["prefill_ns"] == 81 + 2 * 52


def test_sums_are_those_of_the_experts_with_most() -> None:
    problem, costs, _ = mixture()
    assert costs.gaps.added.tolist() == [0, 4, 0]
    assert [gap.partial_sum_cycles for gap in costs.gaps.before] == [0, 0, 2]
    # Cut like expert 2, the others add 4 each too: any two are 8.
    halves = [(factor, 0, row, 2, 0, 4, 0, 0, 0) for factor in (2, 3, 4) for row in (0, 2)]
    whole = [(factor, 0, 0, 4, 0, cols, 0, 0, 0) for factor, cols in ((0, 4), (1, 4), (5, 2), (6, 2), (7, 2))]
    assert partial_sum_elements(problem, pieces_of(*halves, *whole)).tolist() == [0, 8, 0]


def test_a_token_brings_the_inputs_of_the_experts_that_it_fires() -> None:
    _, costs, _ = mixture()
    assert [gap.transfer_cycles for gap in costs.gaps.own] == [0, 2, 3, 2]
    assert costs.outside_pj["transfer"].tolist() == pytest.approx([0, 4, 8, 4])


def test_energy_is_that_of_the_experts_that_cost_most_on_all_arrays_together() -> None:
    """Expert 0 costs 45, 1 twice 24.5 and 2 twice 31: of m a token pays 45 always, and experts 1 and 2. Of d any two.

    Time and energy so have different worst choices: experts 0 and 1 take longest.
    """
    _, costs, _ = mixture()
    metrics = costs.metrics
    by_stage = np.sum(list(costs.array_pj.values()), axis=0)
    assert by_stage.tolist() == pytest.approx([45, 45 + 49 + 62, 2 * 24.5, 0])
    assert metrics["energy_pj"] == pytest.approx(250 + (4 + 8 + 4) + (0.5 + 4 * 0.125) + 2 * 1e-3 * 81)
    assert metrics["adc_conversions"] == 2 * (4 + (4 + 2 * 2 + 2 * 4) + 2 * 2)
    active = 16 * 14 + (16 * 14 + 2 * 8 * 10 + 2 * 8 * 10) + 2 * 8 * 10
    assert metrics["active_cell_share"] == pytest.approx(active / (128 * 72))


def test_what_is_fixed_is_what_is_stored_and_what_is_fired() -> None:
    """104 weights need two arrays of 64; of them 16 + 16 + 2 * 16 + 2 * 8 = 80 fire."""
    _, costs, _ = mixture()
    assert costs.metrics["fixed_latency_ns"] == 2 + 3 + 2
    assert costs.metrics["fixed_energy_pj"] == pytest.approx(16 + 2 * 80 / 4 + 2 * 1e-3 * 7)
    assert costs.metrics["activations"] == costs.metrics["pieces"] == 10


def test_equal_experts_are_taken_by_number() -> None:
    _, costs, _ = mixture()
    counted = np.zeros(10, dtype=bool)
    counted[costs.fired.in_worst_case] = True
    of_d = costs.fired.stage == 2
    assert costs.fired.expert[counted & of_d].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("structure", "moved"),
    [
        ("dense", [6 + 2 * 4]),  # the input of what always fires, and of two experts
        ("2,2,1", [6 + 2 * 4, 3 * 4]),  # z is k * l * T = 4 elements of each
    ],
)
def test_inputs_of_their_own_and_z_move_for_each_that_fires(structure: str, moved: list[int]) -> None:
    shapes = [(6, 4), (4, 4), (4, 4), (4, 4)]
    config = linears(step("a", (4, 4)), with_experts(step("m", *shapes), of=[None, 0, 1, 2], chosen=2, own=True))
    structures = {"a0": "dense", **{f"m{number}": structure for number in range(4)}}
    stages = ask(config, structures).workload.stages
    assert [stage.transfer_elements for stage in stages[1:]] == moved
