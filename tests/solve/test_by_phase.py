"""Whole phases dealt: legal whatever the chip, and near what all arrays could do."""

from __future__ import annotations

import numpy as np
import pytest

from cimsolve.api import make_problem
from cimsolve.judge.check import check_solution
from cimsolve.price.cost import price
from cimsolve.problem.problem import Problem
from cimsolve.prove.time import least_phase_ii_cycles
from cimsolve.solve.columns.batches import batches_of
from cimsolve.solve.columns.by_phase import PhaseDealer
from cimsolve.solve.columns.room import Room
from cimsolve.solve.columns.spread import PHASE_LAYOUTS, ColumnSpread
from cimsolve.solve.columns.strips import ways_to_strips
from cimsolve.solve.rules.spread import deal, densest, packings
from cimsolve.study.solving import make_solution
from makers.medium_problems import MEDIUM
from makers.model_configs import config_of, parse


def spread_of(problem: Problem) -> ColumnSpread:
    stages, packing = ways_to_strips(problem)[0]
    return ColumnSpread(problem, stages, packing, packing.arrays, lambda event: None)


@pytest.mark.parametrize("layout", PHASE_LAYOUTS)
@pytest.mark.parametrize("number", [i for i, problem in enumerate(MEDIUM) if problem.cut != "none"])
def test_phases_are_dealt_whole(number: int, layout: str) -> None:
    problem = MEDIUM[number]
    mapping = spread_of(problem).fill_phases(layout)
    assert int(mapping.pieces.cols @ mapping.pieces.rows) == problem.weight_cells
    assert check_solution(make_solution(problem.asking(objective=("arrays",)), mapping, strategy="optimal")).passed


def test_arrays_with_room_do_a_phase_in_little_more_than_they_must() -> None:
    problem = make_problem(parse(config_of("bert-large", num_hidden_layers=2)), "paper256")
    spread = spread_of(problem)
    shelves = spread.shelves("whole")
    room = {height: Room.of(shelves, height, 18).joined() for height in (32, 128)}
    before = {height: here.total for height, here in room.items()}
    dealer = PhaseDealer(problem, batches_of(problem, spread.stages, 18), 18)
    phase = dealer.in_turn()[-1]
    busy = np.zeros(18, dtype=np.int64)
    for share in dealer.deal(phase, room):
        assert int(share.width.sum()) == share.kind.count * share.kind.cols
        np.add.at(busy, share.array, dealer.durations.of_columns[share.kind.height][share.width])
        np.add.at(before[share.kind.height], share.array, -share.width)
    assert busy.max() < 1.1 * least_phase_ii_cycles(problem, 18)[phase]
    assert all((before[height] == here.total).all() for height, here in room.items())


def test_whole_blocks_are_dealt_evenly_over_a_phase() -> None:
    """Two layers of SmolLM2, uncut: stage by stage some array has more of a phase."""
    problem = make_problem(parse(config_of("smollm2-135m", num_hidden_layers=2)), "sram256", cut="none")
    packed = densest(packings(problem))
    by_stage, by_phase = (price(problem, deal(problem, packed, evenly)).costs for evenly in (False, True))
    busiest = [sum(phase.array_ii_cycles for phase in costs.phases) for costs in (by_stage, by_phase)]
    assert busiest[1] < busiest[0]
