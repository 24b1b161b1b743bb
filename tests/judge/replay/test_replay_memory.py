"""Replay of a memory of keys and values: a unit beside the digital units, against the events of each read."""

from __future__ import annotations

import random

import pytest

from cimsolve.judge.check import rebuild_problem
from cimsolve.judge.replay import replay
from cimsolve.judge.replay.stream import Rules, replay_stream
from cimsolve.judge.replay.work import find_work
from cimsolve.price.cost import evaluate
from cimsolve.study.solving import solve
from makers.builders import ask, chip, fired_of, mesh_chip, remembering
from makers.tiny_configs import LLAMA, NARROW_BART
from oracles import naive_replay

SLOW = {"base_ns": 7, "per_element_ns": 1, "base_pj": 0, "per_element_pj": 0}
NARROW_LLAMA = {
    **LLAMA,
    "hidden_size": 4,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 8,
    "max_position_embeddings": 5,
}


@pytest.mark.parametrize("seed", range(12))
def test_keys_and_values_take_what_an_event_for_each_read_takes(seed: int) -> None:
    draw = random.Random(seed)
    priced = {"digital__ops__attention_mac": SLOW, "digital__ops__layer_norm": SLOW} if draw.random() < 0.7 else {}
    hardware = draw.choice([chip, mesh_chip])(**priced)
    rates = {"bits_per_ns": draw.choice([0.5, 4, 100]), "queries_per_read": draw.choice([1, 3])}
    problem = ask(draw.choice([NARROW_BART, NARROW_LLAMA]), "dense", remembering(hardware, **rates))
    solution = solve(problem, "spread")
    problem = rebuild_problem(solution)
    fired = fired_of(problem, solution)
    for _ in range(2):
        oldest, together, in_prefill = (draw.random() < share for share in (0.5, 0.2, 0.5))
        work, tokens = find_work(fired, solution.activations, in_prefill), draw.randint(1, 4)
        pace = {node.phase: draw.choice([0, 7, work.pace_cycles(node.phase)]) for node in work.nodes}
        fast = replay_stream(work, tokens, Rules(pace, in_prefill, oldest, together)).tolist()
        slow = naive_replay.run(problem, solution, tokens, pace, in_prefill, oldest, together, in_prefill)
        assert fast == slow
    assert replay(solution.activations, evaluate(fired, solution.activations), stream=0).agrees


@pytest.mark.parametrize("bits_per_ns", [0.05, 1000])
@pytest.mark.parametrize("queries", [1, 4])
def test_a_prefill_is_replayed_as_the_equations_say(bits_per_ns: float, queries: int) -> None:
    problem = ask(NARROW_LLAMA, "dense", remembering(chip(), bits_per_ns=bits_per_ns, queries_per_read=queries))
    solution = solve(problem, "sparsemap")
    costs = evaluate(fired_of(problem, solution), solution.activations)
    found = replay(solution.activations, costs, stream=0)
    assert found.prefill.difference == pytest.approx(0, abs=0.1)
    assert (found.busiest == "memory") == (bits_per_ns < 1)


def test_a_stream_is_admitted_as_the_memory_has_room() -> None:
    """With room for one sequence a token comes when the one before it has left."""
    problem = ask(NARROW_LLAMA, "dense", remembering(chip(), mbit=50e-6))
    solution = solve(problem, "sparsemap")
    costs = evaluate(fired_of(problem, solution), solution.activations)
    found = replay(solution.activations, costs, tokens=1, stream=40).stream
    assert found is not None
    assert costs.metrics["ii_cycles"] == costs.metrics["latency_cycles"]
    assert found.interval.replayed_ns == found.interval.analytical_ns
    assert found.in_flight == 1
