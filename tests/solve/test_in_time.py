"""Strips packed by their time: legal whatever the chip, and no array works much longer than all could."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from cimsolve.api import make_problem
from cimsolve.judge.check import check_solution
from cimsolve.pack.blocks import ArrayPacking
from cimsolve.price.cost import price
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping
from cimsolve.prove.time import least_ii_cycles
from cimsolve.solve.columns.filling import StripRun, TimedPacking
from cimsolve.solve.columns.in_time import map_in_time
from cimsolve.solve.columns.strips import cut_into_strips
from cimsolve.solve.rules.spread import map_spread
from cimsolve.study.solving import make_solution
from makers.medium_problems import MEDIUM
from makers.model_configs import config_of, parse
from oracles.packings import painted


def in_time(problem: Problem, room: int = 1) -> Mapping | None:
    """On `room` times as many arrays as whole blocks need."""
    arrays = room * (int(map_spread(problem).pieces.array.max()) + 1)
    return map_in_time(problem, cut_into_strips(problem, even=True), arrays, lambda event: None)


@pytest.mark.parametrize("number", [i for i, of in enumerate(MEDIUM[:10]) if not of.workload.has_experts])
def test_all_that_is_packed_by_its_time_is_legal(number: int) -> None:
    problem = MEDIUM[number]
    mapping = in_time(problem, room=2)
    assert mapping is not None
    assert check_solution(make_solution(problem.asking(objective=("arrays",)), mapping, strategy="optimal")).passed


def test_the_busiest_array_has_little_more_to_do_than_it_must() -> None:
    """A layer of SmolLM2: dealt stage by stage, some array works much longer than the others."""
    problem = make_problem(parse(config_of("smollm2-135m", num_hidden_layers=1)), "rram256", cut="none")
    mapping, by_stage = in_time(problem), map_spread(problem)
    assert mapping is not None
    least = least_ii_cycles(problem, len(np.unique(mapping.pieces.array)))
    ii, before = (price(problem, each).costs.metrics["ii_cycles"] for each in (mapping, by_stage))
    assert ii < 1.05 * least
    assert before > 1.3 * least


@pytest.mark.parametrize("seed", range(30))
def test_no_array_has_more_than_there_is_room_and_time_for(seed: int) -> None:
    draw = Random(seed)
    rows, cols, arrays = draw.randint(4, 12), draw.randint(4, 12), draw.randint(2, 5)
    counts = {
        StripRun(draw.randint(1, rows), tuple(draw.randint(1, cols) for _ in range(draw.randint(1, 3)))): draw.randint(
            1, 4
        )
        for _ in range(draw.randint(1, 3))
    }
    cells = sum(run.height * run.width * count for run, count in counts.items())
    arrays = 2 * -(-cells // (rows * cols)) + arrays
    packing = TimedPacking(counts, lambda run: 2 + run.height * run.width, rows, cols, arrays)
    for cycles in (4 * rows * cols, 2 * rows * cols, rows * cols + 2):
        filling = packing.within(cycles)
        if filling is None:
            continue
        used = int(filling.multiplicity.sum())
        assert used <= arrays
        height, width = np.array([(run.height, run.width) for run in filling.runs]).T
        for pattern in filling.patterns:
            assert int((2 + height * width)[pattern.type].sum()) <= cycles
        packed = ArrayPacking(filling.patterns, filling.multiplicity, used, 0, "")
        places = painted(height.tolist(), width.tolist(), rows, cols, packed)
        left = {**dict.fromkeys(filling.runs, 0), **counts}
        for run, parts, count in filling.cuts:
            done = min(count, left[run])  # no more are cut than there are
            left[run] -= done
            for part in run.cut(parts):
                left[part] = left.get(part, 0) + done
        assert all(places[filling.runs.index(run)] >= count for run, count in left.items() if count)
