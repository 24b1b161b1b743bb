"""A pass by what arrays have room for: no legal mapping is faster, and full arrays meet the bound."""

from __future__ import annotations

from random import Random

from cimsolve.api import make_problem
from cimsolve.prove.arrays import least_arrays
from cimsolve.prove.in_room import least_work_cycles_in_room
from cimsolve.prove.time import least_work_cycles
from cimsolve.solve.rules.spread import map_spread
from makers.model_configs import config_of, parse
from makers.random_mappings import measure, random_mapping, random_question


def test_arrays_full_of_the_fastest_blocks_have_time_that_none_other_fills() -> None:
    """BERT-large's arrays of `rram256` are full: where no tall block lies, eight low ones take longer than the mean."""
    problem = make_problem(parse(config_of("bert-large", num_hidden_layers=1)), "rram256", cut="none")
    metrics = measure(problem, map_spread(problem))
    arrays, busiest = int(metrics["arrays"]), metrics["array_ii_cycles"]
    assert least_work_cycles(problem, arrays) < 0.9 * busiest
    assert 0.995 * busiest < least_work_cycles_in_room(problem, arrays) <= busiest


def test_no_random_mapping_does_a_pass_in_less_than_it_has_room_for() -> None:
    draw, sharper, met = Random(1), 0, 0
    while sharper < 20:
        problem = random_question(draw, row_cuts=False).asking(cut="none")
        arrays = least_arrays(problem, 10**9)[0]
        least, in_room = least_work_cycles(problem, arrays), least_work_cycles_in_room(problem, arrays)
        assert least <= in_room
        if least == in_room:
            continue
        for _ in range(20):
            mapping = random_mapping(problem, draw, arrays)
            if mapping is not None and (metrics := measure(problem, mapping))["arrays"] == arrays:
                assert metrics["array_ii_cycles"] >= in_room
                sharper += 1
                met += metrics["array_ii_cycles"] == in_room
    assert met > 5
