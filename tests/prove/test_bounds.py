"""Bounds by hand, and on shipped models against rules and the solver."""

from __future__ import annotations

import math

import pytest

from cimsolve.api import make_problem
from cimsolve.price.cost import evaluate
from cimsolve.price.schedule import schedule
from cimsolve.prove import relative_gap
from cimsolve.prove.energy import least_energy_pj
from cimsolve.prove.time import (
    least_activations,
    least_ii_cycles,
    least_latency_cycles,
    least_phase_ii_cycles,
    least_stage_cycles,
)
from cimsolve.solve.exact.search import solve_exact
from cimsolve.solve.strategies import RULES
from cimsolve.study import solving
from makers.builders import STILL, answer, ask, chip, linears, macro_chip, pieces_of, step
from makers.random_mappings import BOUNDED


def test_a_single_block_takes_what_its_equation_says() -> None:
    """Two phases of a read of 3 ns and conversions of 2 ns at 2 bits; 6 columns on 2 converters."""
    hardware = chip(array__rows=4, array__cols=6, **STILL)
    problem = ask(linears(step("a", (4, 6))), "dense", hardware)
    assert [least_latency_cycles(problem, n) for n in (1, 2, 3, 9)] == [18, 14, 10, 10]
    assert least_ii_cycles(problem, 1) == 18
    assert least_phase_ii_cycles(problem, 3) == [10]
    whole = ask(linears(step("a", (4, 6))), "dense", hardware, "none")
    assert least_latency_cycles(whole, 9) == 18


def test_two_inputs_share_an_activation_only_beside_empty_cells() -> None:
    """Two blocks of 2 x 2: one after the other in a full array, together on the diagonal of an empty one."""
    full = chip(array__rows=2, array__cols=4, adc__per_array=4, **STILL)
    problem = ask(linears(step("a", (4, 2))), "2,2,1", full)
    assert least_stage_cycles(problem, 2) == [8, 8]
    assert least_stage_cycles(problem, 1) == [16, 16]
    wide = chip(array__rows=4, array__cols=8, adc__per_array=8, **STILL)
    assert least_stage_cycles(ask(linears(step("a", (4, 2))), "2,2,1", wide), 1) == [8, 8]


def test_what_is_too_wide_to_lie_beside_another_fires_alone() -> None:
    """Three blocks of 2 x 6 on an array of 16 x 10, half of it empty: no two beside each other, unless they are cut."""
    hardware = chip(array__rows=16, array__cols=10, adc__per_array=1, **STILL)
    whole, cut = (ask(linears(step("a", (6, 6))), "3,3,2", hardware, how) for how in ("none", "columns"))
    groups = whole.stage_groups[0]
    assert [(group.inputs, group.height, group.columns) for group in groups] == [(3, 2, 6)]
    assert [least_activations(problem, groups, 1) for problem in (whole, cut)] == [3, 2]
    assert least_stage_cycles(whole, 1)[0] > least_stage_cycles(cut, 1)[0]


def test_columns_of_all_heights_share_whole_conversions() -> None:
    """Two converters an array, two phases of a 3 ns read; 3 ns at 2 bits (4 rows), 2 ns at 1 bit (2 rows).

    One conversion each takes 2 * (3 + 3) = 12 and 2 * (3 + 2) = 10 ns, two of the lower 2 * (3 + 4) = 14. In less
    than 14 ns three arrays read 2 columns each. There are 2 high ones and 2 * 3 low ones, though their work shared
    evenly, 3 * 2 * 3 + 2 * (2 * 3 + 6 * 2) / 2 = 36 ns, would fit into three times 12.
    """
    table = [{"bits": bits, "ns": ns, "pj": 1, "um2": 1} for bits, ns in [(1, 2), (2, 3), (3, 4), (4, 5)]]
    hardware = chip(array__rows=8, array__cols=3, adc__table=table, adc__bits_rule="log2_rows", **STILL)
    problem = ask(linears(step("a", (4, 2), (4, 3))), {"a0": "dense", "a1": "2,3,1"}, hardware, max_arrays=3)
    assert least_stage_cycles(problem, 3)[0] == 14
    exact = solve_exact(problem, ("latency",))
    assert exact.mapping is not None
    assert evaluate(*schedule(problem, exact.mapping)).stages.end[0] == 14


def test_whole_clock_cycles_count_for_each_activation() -> None:
    """An activation of 8 ns takes 2 cycles of 5 ns: two of them 4, not 16 / 5 rounded up."""
    full = chip(array__rows=2, array__cols=4, adc__per_array=4, clock_ns=5, **STILL)
    assert least_stage_cycles(ask(linears(step("a", (4, 2))), "2,2,1", full), 1) == [4, 4]


def test_a_converter_that_is_faster_at_more_bits_is_allowed_for() -> None:
    """A column of one row may fire beside one of two rows, whose converters are faster: its own time is no bound."""
    lines = [(1, 9), (2, 2), (4, 4)]
    table = [{"bits": bits, "ns": ns, "pj": 1, "um2": 1} for bits, ns in lines]
    hardware = chip(array__rows=4, array__cols=4, adc__per_array=4, adc__table=table, **STILL)
    problem = ask(linears(step("a", (2, 1))), "dense", hardware)
    assert least_stage_cycles(problem, 1) == [10]


@pytest.mark.parametrize(("leakage_uw", "extra"), [(0, 4.0), (400, 4.0 + 0.4 * 4), (4000, 8.0)])
def test_rows_are_driven_again_or_the_chip_leaks_longer(leakage_uw: float, extra: float) -> None:
    """A dense 4 x 4: all columns in one activation of 14 ns, or two of them in each of two of 10 ns.

    One drives 4 rows in 2 phases at 0.5 pJ, 4 pJ, and leaks for 4 ns more; the others drive them twice.
    """
    problem = ask(linears(step("a", (4, 4))), "dense", chip(array__leakage_uw=leakage_uw, **STILL))
    leaked = leakage_uw * 1e-3 * 10  # one array, 10 ns at least
    # 16 cells, 4 columns, their conversions at 2 bits and shift-adds, in 2 phases; 8 bits leave at 0.5 pJ.
    least = 2 * (16 * 0.25 + 4 * 0.125 + 4 * 2 + 4 * 2) + 8 * 0.5
    assert least_stage_cycles(problem, 2) == [10]
    found = least_energy_pj(problem, 1, 2, 10, [10])
    assert found == pytest.approx(least + leaked + extra)
    # Reached: on one array whole, and (for the leakage of two arrays) on two by halves.
    whole = answer(problem, pieces_of((0, 0, 0, 4, 0, 4, 0, 0, 0))).header.metrics["energy_pj"]
    assert whole == pytest.approx(least + leaked + 4.0 + leakage_uw * 1e-3 * 4)
    assert found <= whole * (1 + 1e-12)


def test_no_activation_reads_more_than_a_row_of_columns() -> None:
    """A dense 4 x 20 on arrays of 8 columns: three activations at least, and each drives all four rows."""
    problem = ask(linears(step("a", (4, 20))), "dense", chip(**STILL))
    rows = [(0, 0, 0, 4, c, min(8, 20 - c), c // 8, 0, 0) for c in (0, 8, 16)]
    solution = answer(problem, pieces_of(*rows))
    bound = solution.header.bounds["energy_pj"]
    # What is left of a gap is leakage: 3 arrays of 1 uW over the latency, which is longer than the least.
    assert 0 <= bound.value - bound.lower < 3e-3 * solution.header.metrics["latency_ns"]


def test_a_macro_is_paid_by_activations() -> None:
    """Two blocks of 2 x 2: two activations in a full array of 2 x 4, one in an array with room for a merge."""
    full = ask(linears(step("a", (4, 2))), "2,2,1", macro_chip(array__rows=2, array__cols=2, adc__per_array=2, **STILL))
    groups = full.stage_groups
    # R: blocks of 2 x 2 on 2 inputs; L: blocks of 2 x 1.
    assert [least_activations(full, each, 3) for each in groups] == [2, 2]
    wide = ask(linears(step("a", (4, 2))), "2,2,1", macro_chip(adc__per_array=8, **STILL))
    assert [least_activations(wide, each, 1) for each in wide.stage_groups] == [1, 1]
    # 12 columns on arrays of 8, and 20 rows on arrays of 8.
    many = ask(linears(step("a", (4, 12)), step("b", (20, 2), reads=[])), "dense", macro_chip(**STILL))
    assert [least_activations(many, each, 99) for each in many.stage_groups] == [2, 3]


SHIPPED_ENERGY_GAPS = {"paper256": 0.01, "rram128-isaac": 0.02, "sram256": 0.06, "rram256": 0.08, "pcm256": 0.3}
"""Most that the best rule's energy lies above its bound, MiniLM: a bound that slips would show."""


@pytest.mark.parametrize("spec", SHIPPED_ENERGY_GAPS)
def test_energy_and_area_of_a_shipped_model_lie_near_their_bounds(spec: str) -> None:
    gaps = []
    for rule in ("sparsemap", "densemap", "spread"):
        solution = solving.solve(make_problem("minilm-l6", spec), rule)
        bounds = solution.header.bounds
        assert bounds["area_mm2"].gap >= 0
        assert bounds["energy_pj"].gap >= 0
        gaps.append(bounds["energy_pj"].gap)
        # What no mapping can change is a part of what none can beat.
        metrics = solution.header.metrics
        clock_ns = metrics["latency_ns"] / metrics["latency_cycles"]
        assert metrics["fixed_latency_ns"] < bounds["latency_cycles"].lower * clock_ns
        assert metrics["fixed_prefill_ns"] < bounds["prefill_ns"].lower
        assert metrics["fixed_ii_cycles"] <= bounds["ii_cycles"].lower
        assert metrics["fixed_energy_pj"] < bounds["energy_pj"].lower
        if rule == "spread":
            assert bounds["area_mm2"].gap <= 0.8
    assert min(gaps) <= SHIPPED_ENERGY_GAPS[spec]


@pytest.mark.slow
@pytest.mark.parametrize("spec", SHIPPED_ENERGY_GAPS)
@pytest.mark.parametrize("model", ["smollm2-135m", "gpt2-medium", "bert-large", "bart-large", "llama-3-8b"])
def test_no_rule_lies_below_a_bound_on_shipped_models(model: str, spec: str) -> None:
    for rule in RULES:
        solution = solving.solve(make_problem(model, spec), rule)
        for metric in BOUNDED:
            entry = solution.header.bounds[metric]
            assert entry.value >= entry.lower * (1 - 1e-9), (rule, metric)


@pytest.mark.slow
@pytest.mark.parametrize("spec", SHIPPED_ENERGY_GAPS)
def test_the_solver_lies_below_no_bound_on_shipped_models(spec: str) -> None:
    for model in ("minilm-l6", "bert-large"):
        solution = solving.solve(make_problem(model, spec).asking(objective=("energy",)), "optimal")
        for metric in BOUNDED:
            entry = solution.header.bounds[metric]
            assert entry.value >= entry.lower * (1 - 1e-9), (model, metric)


def test_the_gap_is_relative_to_the_bound() -> None:
    assert relative_gap("arrays", 12, 10) == pytest.approx(0.2)
    assert relative_gap("ii_cycles", 0, 0) == 0
    assert math.isinf(relative_gap("ii_cycles", 1, 0))


def test_whole_numbers_meet_exactly_or_not_at_all() -> None:
    """One cycle in 4e12 is a cycle; sums of floats meet within their rounding."""
    for metric in ("arrays", "latency_cycles", "ii_cycles", "prefill_ns"):
        assert relative_gap(metric, 4_400_000_000_016, 4_400_000_000_015) > 0
    assert relative_gap("energy_pj", 38843.37007836439, 38843.37007844247) == 0
    assert relative_gap("energy_pj", 38843.4, 38843.37) > 0
