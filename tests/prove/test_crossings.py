"""Merges and the empty cells that all stages have for them: no legal mapping is faster, and some meet the bound."""

from __future__ import annotations

from collections import Counter
from random import Random

from cimsolve.api import make_problem
from cimsolve.price.cost import price
from cimsolve.prove import least_times
from cimsolve.prove.arrays import least_arrays
from cimsolve.prove.crossings import least_latency_beyond, least_prefill_beyond, least_work_cycles_at_crossings
from cimsolve.prove.time import least_work_cycles
from makers.model_configs import config_of, parse
from makers.random_mappings import random_mapping, random_question

MACRO_NS = 133
SHARPER = (38, 73, 91, 423, 564, 666, 1058, 1172)
"""Seeds of questions whose bounds are raised; about one in ten is."""


def test_few_empty_cells_let_few_inputs_fire_together() -> None:
    """A core of `pcm256` takes 133 ns whatever it reads. A layer has 160 inputs, and two arrays 15 % of their cells.

    All in pairs they are 40 products an array; all columns side by side, with no cell between them, were 11.
    """
    problem = make_problem(parse(config_of("minilm-l6", num_hidden_layers=1)), "pcm256", cut="none")
    least = least_work_cycles_at_crossings(problem, 2)
    assert least % MACRO_NS == 0
    assert 30 * MACRO_NS < least < 40 * MACRO_NS
    assert least_work_cycles(problem, 2) <= 11 * MACRO_NS


def test_where_arrays_are_empty_nothing_is_said() -> None:
    problem = make_problem(parse(config_of("minilm-l6", num_hidden_layers=1)), "pcm256", cut="none")
    times = least_times(problem, 100)
    assert least_latency_beyond(problem, 100) == 0
    assert least_prefill_beyond(problem, 100, times.phases) == 0
    assert least_work_cycles_at_crossings(problem, 100) == least_work_cycles(problem, 100)


def test_no_random_mapping_takes_less_than_its_empty_cells_allow() -> None:
    met = Counter[str]()
    for seed in SHARPER:
        draw = Random(seed)
        problem = random_question(draw, row_cuts=False)
        arrays = least_arrays(problem, 10**9)[0]
        times = least_times(problem, arrays)
        beyond = least_latency_beyond(problem, arrays), least_prefill_beyond(problem, arrays, times.phases)
        work = least_work_cycles(problem, arrays), least_work_cycles_at_crossings(problem, arrays)
        bounds = {
            "token": (times.latency, times.latency + beyond[0]),
            "prefill": (times.prefill, times.prefill + beyond[1]),
            "pass": work,
        }
        raised = {name: bound for name, (plain, bound) in bounds.items() if bound > plain}
        assert raised
        for _ in range(20):
            mapping = random_mapping(problem, draw, arrays)
            if mapping is None:
                continue
            metrics = price(problem, mapping).costs.metrics
            clock_ns = problem.hardware.clock_ps / 1000
            values = {
                "token": metrics["latency_cycles"],
                "prefill": metrics["prefill_ns"] / clock_ns,
                "pass": metrics["array_ii_cycles"],
            }
            for name, bound in raised.items():
                assert values[name] >= bound * (1 - 1e-12), (name, problem)
                met[f"above {name}"] += 1
                met[f"at {name}"] += values[name] <= bound * (1 + 1e-12)
    assert min(met[f"at {name}"] for name in ("token", "prefill", "pass")) > 0
