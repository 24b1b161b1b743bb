"""Lies about a mapping, each caught by name; and every rule is needed: without it, its lie passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cimsolve.judge.check import RULES, check_solution
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Solution
from makers.builders import (
    STILL,
    TWO,
    again,
    answer,
    ask,
    broken,
    chip,
    column,
    linears,
    mesh_chip,
    pieces_of,
    rules_of,
    step,
    with_entry,
    with_experts,
    with_figures_that_fit,
    with_header,
    with_tables,
)

PARALLEL = linears(step("a", (4, 4)), step("b", (4, 4), reads=[]))
"""Two stages that wait for nothing."""


def two(**changes: Any) -> Problem:
    return ask(TWO, hardware=chip(**{**STILL, **changes}))


def apart(problem: Problem) -> Solution:
    """One piece an array."""
    places = [(factor.id, 0, 0, 4, 0, 4, factor.id, 0, 0) for factor in problem.workload.factors]
    return answer(problem, pieces_of(*places))


def a_factor_reads_another_vector() -> Solution:
    honest = apart(two())
    factors = [entry.model_copy(update={"input": 0}) for entry in honest.header.factors]
    return with_header(honest, factors=factors)


def a_block_is_stored_twice() -> Solution:
    problem = ask(linears(step("a", (4, 4))), cut="both")
    return answer(problem, pieces_of((0, 0, 0, 4, 0, 4, 0, 0, 0), (0, 0, 0, 4, 0, 4, 1, 0, 0)))


def a_block_is_cut_that_may_not_be() -> Solution:
    problem = ask(linears(step("a", (4, 4))), cut="none")
    return answer(problem, pieces_of((0, 0, 0, 4, 0, 2, 0, 0, 0), (0, 0, 0, 4, 2, 2, 0, 0, 2)))


def a_piece_reaches_beyond_the_array() -> Solution:
    honest = apart(two())
    return with_entry(honest, "pieces__array_row", 1, 5)


def two_pieces_share_cells() -> Solution:
    pieces = pieces_of((0, 0, 0, 4, 0, 4, 0, 0, 0), (1, 0, 0, 4, 0, 4, 0, 3, 3), (2, 0, 0, 4, 0, 4, 1, 0, 0))
    return answer(two(), pieces)


def an_activation_names_another_array() -> Solution:
    return with_figures_that_fit(with_entry(apart(two()), "activations__array", 0, 7))


def two_stages_fire_at_once() -> Solution:
    problem = ask(PARALLEL, "2,1,1", chip(**STILL))
    rows = [
        (factor.id, block, 0, factor.block_rows, 0, factor.block_cols, array, row, col)
        for factor, block, array, row, col in (
            (problem.workload.factors[0], 0, 0, 0, 0),
            (problem.workload.factors[0], 1, 1, 0, 0),
            (problem.workload.factors[1], 0, 2, 0, 0),
            (problem.workload.factors[2], 0, 0, 4, 4),
            (problem.workload.factors[2], 1, 3, 0, 0),
            (problem.workload.factors[3], 0, 4, 0, 0),
        )
    ]
    return answer(problem, pieces_of(*rows), [0, 1, 2, 0, 4, 5])


def two_inputs_drive_one_row() -> Solution:
    problem = ask(linears(step("a", (8, 4))), "2,1,1", chip(**STILL))
    first, second = problem.workload.factors
    pieces = pieces_of(
        (0, 0, 0, 4, 0, first.block_cols, 0, 0, 0),
        (0, 1, 0, 4, 0, first.block_cols, 0, 0, 1),
        (1, 0, 0, second.block_rows, 0, second.block_cols, 1, 0, 0),
    )
    return answer(problem, pieces, [0, 0, 1])


def two_outputs_share_a_column() -> Solution:
    problem = ask(linears(step("a", (4, 4))), "2,1,1", chip(**STILL))
    pieces = pieces_of((0, 0, 0, 2, 0, 1, 0, 0, 0), (0, 1, 0, 2, 0, 1, 0, 2, 0), (1, 0, 0, 2, 0, 4, 1, 0, 0))
    return answer(problem, pieces, [0, 0, 1])


def a_piece_lies_where_others_fire() -> Solution:
    """A diagonal pair, and a third piece in one of its empty corners."""
    problem = ask(linears(step("a", (4, 4)), step("b", (4, 4), reads=[])), "2,1,1", chip(**STILL))
    pieces = pieces_of(
        (0, 0, 0, 2, 0, 1, 0, 0, 0),
        (0, 1, 0, 2, 0, 1, 0, 2, 1),
        (2, 0, 0, 2, 0, 1, 0, 0, 1),
        (2, 1, 0, 2, 0, 1, 1, 0, 0),
        (1, 0, 0, 2, 0, 4, 2, 0, 0),
        (3, 0, 0, 2, 0, 4, 3, 0, 0),
    )
    return answer(problem, pieces, [0, 0, 1, 2, 3, 4])


def an_activation_takes_too_long() -> Solution:
    honest = apart(two())
    last = int(np.argmax(honest.activations.end))
    return with_figures_that_fit(with_entry(honest, "activations__end", last, int(honest.activations.end[last]) + 1))


def a_converter_runs_at_fewer_bits() -> Solution:
    # Still above the least energy: all pieces are cut to single columns, which drive their rows again.
    problem = two()
    pieces = pieces_of(*((f, 0, 0, 4, c, 1, f, 0, c) for f in range(3) for c in range(4)))
    honest = answer(problem, pieces)
    assert set(column(honest, "activations__adc_bits")) == {2}
    return with_figures_that_fit(with_entry(honest, "activations__adc_bits", 0, 1))


def one_array_fires_twice_at_once() -> Solution:
    # Two arrays would be as fast, so no bound is beaten.
    pieces = pieces_of((0, 0, 0, 4, 0, 4, 0, 0, 0), (1, 0, 0, 4, 0, 4, 0, 4, 0), (2, 0, 0, 4, 0, 4, 1, 0, 0))
    honest = answer(two(), pieces)
    length = honest.activations.end[0]
    assert honest.activations.start.tolist() == [0, length, 2 * length]
    return with_figures_that_fit(
        with_tables(
            honest,
            activations__start=[0, 0, length],
            activations__end=[length, length, 2 * length],
        )
    )


def a_stage_starts_before_its_input_is_there() -> Solution:
    pieces = pieces_of((0, 0, 0, 4, 0, 4, 0, 0, 0), (1, 0, 0, 4, 0, 4, 0, 4, 0), (2, 0, 0, 4, 0, 4, 1, 0, 0))
    honest = answer(two(), pieces)
    length = int(honest.activations.end[0])
    return with_figures_that_fit(
        with_tables(
            honest,
            activations__start=[0, length, length],
            activations__end=[length, 2 * length, 2 * length],
        )
    )


def more_rows_are_driven_than_allowed() -> Solution:
    problem = ask(linears(step("a", (4, 4))), "2,1,1", chip(array__rows_active_max=3, **STILL))
    pieces = pieces_of((0, 0, 0, 2, 0, 1, 0, 0, 0), (0, 1, 0, 2, 0, 1, 0, 2, 1), (1, 0, 0, 2, 0, 4, 1, 0, 0))
    return answer(problem, pieces, [0, 0, 1])


def a_converter_loses_bits() -> Solution:
    problem = ask(linears(step("a", (4, 4))), hardware=chip(adc__bits_max=1, **STILL))
    assert problem.rows_limit == 2
    pieces = pieces_of((0, 0, 0, 2, 0, 4, 0, 0, 0), (0, 0, 2, 2, 0, 4, 0, 2, 0))
    return answer(problem, pieces, [0, 0])


def more_arrays_are_used_than_allowed() -> Solution:
    honest = apart(two())
    options = honest.header.options.model_copy(update={"max_arrays": 2})
    return with_figures_that_fit(with_header(honest, options=options))


def two_gaps_use_the_digital_units_at_once() -> Solution:
    problem = ask(
        linears(step("a", (4, 4)), step("b", (4, 4), reads=["a"]), step("c", (4, 4), reads=["a"])),
        hardware=chip(transfer__base_ns=5),
    )
    honest = apart(problem)
    start, end = column(honest, "activations__start"), column(honest, "activations__end")
    assert start[1] < start[2]
    return with_figures_that_fit(
        with_tables(
            honest,
            activations__start=[start[0], start[1], start[1]],
            activations__end=[end[0], end[1], end[1]],
        )
    )


def a_gap_is_listed_as_none() -> Solution:
    honest = apart(ask(TWO))
    stages = list(honest.header.stages)
    after = [entry.model_copy(update={"gap_cycles": 0}) for entry in stages[1].after]
    assert stages[1].after != after
    stages[1] = stages[1].model_copy(update={"after": after})
    return with_header(honest, stages=stages)


def a_metric_is_too_good() -> Solution:
    honest = apart(two())
    return with_header(honest, metrics={**honest.header.metrics, "active_cell_share": 0.99})


def a_component_is_too_good() -> Solution:
    honest = apart(two())
    energy = {**honest.header.breakdown.energy_pj, "rows": 0.0}
    return with_header(honest, breakdown=honest.header.breakdown.model_copy(update={"energy_pj": energy}))


def a_bound_is_set_to_the_value() -> Solution:
    honest = apart(two())
    entry = honest.header.bounds["energy_pj"]
    assert entry.gap > 0
    closed = entry.model_copy(update={"lower": entry.value, "gap": 0.0})
    return with_header(honest, bounds={**honest.header.bounds, "energy_pj": closed})


def a_status_claims_too_much() -> Solution:
    honest = apart(two())
    assert honest.header.bounds["arrays"].gap > 0
    return with_header(honest, status="optimal")


def a_limit_on_energy_is_not_kept() -> Solution:
    honest = apart(two())
    limit = 0.999 * honest.header.metrics["energy_pj"]
    options = honest.header.options.model_copy(update={"max_energy_pj": limit})
    return with_figures_that_fit(with_header(honest, options=options))


MIXTURE = linears(
    with_experts(step("a", (4, 4), (4, 2), (4, 2), (4, 2)), of=[None, 0, 1, 2], chosen=2), step("b", (4, 4))
)
"""What always fires, and three experts of the same input, of which a token fires two."""


def experts_side_by_side(fires: list[int] | None = None) -> Solution:
    """The experts on one array in the same rows, over what always fires."""
    pieces = pieces_of(
        (0, 0, 0, 4, 0, 4, 0, 0, 0),
        *((1 + expert, 0, 0, 4, 0, 2, 0, 4, 2 * expert) for expert in range(3)),
        (4, 0, 0, 4, 0, 4, 1, 0, 0),
    )
    return answer(ask(MIXTURE, hardware=chip(**STILL)), pieces, fires)


def two_experts_fire_together() -> Solution:
    return experts_side_by_side([0, 1, 1, 2, 3])


def three_arrays_are_in_a_core_of_two() -> Solution:
    honest = apart(ask(TWO, hardware=mesh_chip()))
    return with_figures_that_fit(with_tables(honest, sites__place=[0, 0, 0]))


def weights_that_fire_again_have_cells_of_their_own() -> Solution:
    problem = ask(linears(*again([step("a", (4, 4))])), hardware=chip(**STILL))
    return answer(problem, pieces_of((0, 0, 0, 4, 0, 4, 0, 0, 0), (1, 0, 0, 4, 0, 4, 0, 4, 4)))


LIES: dict[str, Callable[[], Solution]] = {
    "factors": a_factor_reads_another_vector,
    "P1": a_block_is_stored_twice,
    "cut": a_block_is_cut_that_may_not_be,
    "P2": a_piece_reaches_beyond_the_array,
    "P3": two_pieces_share_cells,
    "P4": three_arrays_are_in_a_core_of_two,
    "P5": weights_that_fire_again_have_cells_of_their_own,
    "array": an_activation_names_another_array,
    "stage": two_stages_fire_at_once,
    "S2": two_inputs_drive_one_row,
    "S3 outputs": two_outputs_share_a_column,
    "S3 columns": a_piece_lies_where_others_fire,
    "durations": an_activation_takes_too_long,
    "adc_bits": a_converter_runs_at_fewer_bits,
    "S4": one_array_fires_twice_at_once,
    "S5": a_stage_starts_before_its_input_is_there,
    "S7": two_experts_fire_together,
    "S6 rows": more_rows_are_driven_than_allowed,
    "S6 converters": a_converter_loses_bits,
    "S6 arrays": more_arrays_are_used_than_allowed,
    "S6 shared units": two_gaps_use_the_digital_units_at_once,
    "stages": a_gap_is_listed_as_none,
    "metrics": a_metric_is_too_good,
    "breakdown": a_component_is_too_good,
    "limits": a_limit_on_energy_is_not_kept,
    "bounds": a_bound_is_set_to_the_value,
    "status": a_status_claims_too_much,
}


def without(*names: str) -> list[Any]:
    return [rule for rule in RULES if rule.name not in names]


@pytest.mark.parametrize("name", LIES)
def test_a_lie_is_caught_by_one_rule_and_passes_without_it(name: str) -> None:
    lie = LIES[name]()
    assert broken(lie) == {name}
    # What is illegal may cost less than a bound says that any legal mapping must: then the rule holds up the bound.
    assert rules_of(check_solution(lie, rules=without(name))) <= {"below bound"}
    assert check_solution(lie, rules=without(name, "below bound")).passed


def test_a_mapping_that_beats_a_bound_is_caught_even_where_a_rule_is_missing() -> None:
    honest = apart(two())
    length = int(honest.activations.end[0])
    lie = with_figures_that_fit(
        with_tables(honest, activations__start=[0, 0, 0], activations__end=[length, length, length])
    )
    assert broken(lie) == {"S5"}
    assert rules_of(check_solution(lie, rules=without("S5"))) == {"below bound"}
    assert check_solution(lie, rules=without("S5", "below bound")).passed


def test_every_rule_has_a_lie() -> None:
    assert {rule.name for rule in RULES} == {*LIES, "below bound"}
