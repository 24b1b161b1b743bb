"""Stages, factors, edges and phases of small models by hand; gaps by hand; sums that must come out exactly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cimsolve.price.cost import Costs, evaluate
from cimsolve.price.gaps import find_gaps, least_partial_sum_elements, partial_sum_elements
from cimsolve.price.schedule import schedule
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping, Pieces
from cimsolve.solve.effort import Effort
from cimsolve.solve.strategies import RULES
from makers.builders import NOTHING, OPERATIONS, STILL, ask, chip, linears, pieces_of, step
from makers.tiny_configs import NARROW_BART

BERT: dict[str, Any] = {
    "model_type": "bert",
    "hidden_size": 4,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "max_position_embeddings": 6,
}
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 12,
    "max_position_embeddings": 5,
}

PRICED = {
    "digital__ops": {
        "add": {"base_ns": 0.5, "per_element_ns": 1, "base_pj": 3, "per_element_pj": 2},
        "multiply": {**NOTHING, "per_element_ns": 2, "per_element_pj": 1},
        "layer_norm": {**NOTHING, "base_ns": 7, "base_pj": 5},
        "activation": {**NOTHING, "per_element_ns": 0.25, "per_element_pj": 0.5},
        "softmax": {**NOTHING, "per_element_ns": 1},
        "attention_mac": {**NOTHING, "per_element_ns": 0.1, "per_element_pj": 0.1},
    }
}
"""Digital work that takes time, on the plain chip's four lanes."""


def cost(problem: Problem, rule: str = "spread") -> Costs:
    return cost_of(problem, RULES[rule](problem, Effort()).mapping)


def cost_of(problem: Problem, mapping: Mapping) -> Costs:
    return evaluate(*schedule(problem, mapping))


# Stages, factors, edges, phases


def test_a_tiny_bert_by_hand() -> None:
    workload = ask(BERT, "2,2,1").workload
    names = ["qkv", "attention_output", "feed_forward_up", "feed_forward_down"]
    expected = [f"layer{layer}.{name}.{kind}" for layer in (0, 1) for name in names for kind in "RL"]
    assert [stage.name for stage in workload.stages] == expected
    assert [stage.after for stage in workload.stages] == [(), *((i,) for i in range(15))]
    assert [stage.phase for stage in workload.stages] == [0] * 2 + [1] * 8 + [2] * 6
    assert [stage.layer for stage in workload.stages] == [0] * 8 + [1] * 8
    assert [len(members) for members in workload.factors_of_stage] == [3, 3, 1, 1, 1, 1, 1, 1] * 2
    # Elements that a transfer moves: the step's input, and before an L stage the z of all its R factors, 2 * 2 each.
    assert [stage.transfer_elements for stage in workload.stages[:9]] == [0, 12, 4, 4, 4, 4, 8, 4, 4]


def test_factors_of_a_tiny_bert_by_hand() -> None:
    factors = ask(BERT, "2,2,1").workload.factors
    shapes = [(f.kind, f.blocks, f.block_rows, f.block_cols) for f in factors[:12]]
    assert shapes == [
        *[("R", 2, 2, 2)] * 3,
        *[("L", 2, 2, 2)] * 3,
        ("R", 2, 2, 2),
        ("L", 2, 2, 2),
        ("R", 2, 2, 2),
        ("L", 2, 2, 4),
        ("R", 2, 4, 2),
        ("L", 2, 2, 2),
    ]
    q, k, v, *second = factors[:6]
    assert q.input == k.input == v.input
    assert len({q.output, k.output, v.output, *(f.input for f in second), *(f.output for f in second)}) == 9
    assert sum(f.weights for f in factors) == ask(BERT, "2,2,1").weight_cells


def test_a_tiny_llama_by_hand() -> None:
    problem = ask(LLAMA, "dense")
    workload = problem.workload
    assert [stage.name.removeprefix("layer0.") for stage in workload.stages] == [
        "qkv",
        "attention_output",
        "feed_forward_up",
        "feed_forward_down",
    ]
    shapes = [(f.blocks, f.block_rows, f.block_cols, f.stage) for f in workload.factors]
    assert shapes == [
        (1, 8, 8, 0),
        (1, 8, 4, 0),
        (1, 8, 4, 0),
        (1, 8, 8, 1),
        (1, 8, 12, 2),
        (1, 8, 12, 2),
        (1, 12, 8, 3),
    ]
    assert len({f.input for f in workload.factors[:3]}) == 1
    assert len({f.input for f in workload.factors[4:6]}) == 1
    assert [stage.phase for stage in workload.stages] == [0, 1, 1, 1]
    # Rotation of Q and K (8 + 4), then scores and values of 4 heads of 2 over 5 tokens.
    operations = [(operation.name, operation.elements) for operation in workload.stages[1].operations]
    assert operations == [("multiply", 24), ("add", 12), ("attention_mac", 80), ("softmax", 20)]
    assert [op.name for op in workload.stages[3].operations] == ["activation", "multiply"]


def test_blocks_of_two_heights_may_read_one_vector() -> None:
    structure = dict.fromkeys((linear.name for linear in ask(LLAMA).model.linears), "2,2,1")
    structure["model.layers.0.self_attn.k_proj"] = "4,2,1"
    q, k, v = ask(LLAMA, structure).workload.factors[:3]
    assert (q.block_rows, k.block_rows, v.block_rows) == (4, 2, 4)
    assert q.input == k.input == v.input


def test_a_tiny_encoder_decoder_by_hand() -> None:
    workload = ask(NARROW_BART, "dense").workload
    passes = [stage.pass_name for stage in workload.stages]
    source, target = passes.count("source"), passes.count("target")
    assert passes == ["source"] * source + ["target"] * target
    # Encoder: QKV, O, up, down, and the decoder's keys and values; decoder: QKV, O, cross Q, cross O, up, down.
    assert (source, target) == (5, 6)
    first = workload.stages[source]
    assert first.after == workload.last_stages["source"]
    assert (first.operations, first.transfer_elements) == ((), 0)
    assert set(workload.tails) == {"source", "target"}
    phases = [stage.phase for stage in workload.stages]
    assert phases == sorted(phases)
    assert not {stage.phase for stage in workload.stages[:source]} & {stage.phase for stage in workload.stages[source:]}


def test_dense_and_monarch_of_a_step_start_together() -> None:
    problem = ask(linears(step("a", (4, 2), (4, 4)), step("b", (6, 2))), {"a0": "dense", "a1": "2,2,1", "b0": "dense"})
    kinds = [(f.kind, f.stage, f.input) for f in problem.workload.factors]
    assert kinds[0][2] == kinds[1][2]
    assert [(kind, stage) for kind, stage, _ in kinds] == [("dense", 0), ("R", 0), ("L", 1), ("dense", 2)]
    assert [stage.after for stage in problem.workload.stages] == [(), (0,), (1,)]


def test_steps_may_run_side_by_side() -> None:
    problem = ask(linears(step("a", (2, 2)), step("b", (2, 2), reads=[]), step("c", (2, 2), reads=["a", "b"])), "dense")
    assert [stage.after for stage in problem.workload.stages] == [(), (), (0, 1)]
    assert problem.workload.last_stages == {"token": (2,)}


# Gaps


def test_a_gap_is_operations_then_a_transfer_each_on_a_clock_edge() -> None:
    work = [{"name": "add", "elements": 6}, {"name": "layer_norm", "elements": 6}]
    config = linears(step("a", (4, 6)), step("b", (6, 4), operations=work))
    hardware = chip(clock_ns=2, transfer__base_ns=1, transfer__bits_per_ns=8, **PRICED)
    problem = ask(config, "dense", hardware)
    gaps = find_gaps(problem, np.zeros(2, dtype=np.int64))
    first, second = gaps.before
    assert first.cycles == 0
    # add: 0.5 + 1 * ceil(6 / 4) = 2.5 ns, 2 cycles; norm: 7 ns, 4 cycles; transfer: 1 + 6 * 2 bits / 8 = 2.5 ns.
    assert (second.partial_sum_cycles, second.digital_cycles, second.transfer_cycles) == (0, 2 + 4, 2)
    assert second.energy_pj == {"add": 3 + 2 * 6, "layer_norm": 5, "transfer": 0.5 * 12}
    # The tail: 4 outputs of 2 bits leave.
    assert gaps.tails["token"].cycles == 1
    assert gaps.tails["token"].energy_pj == {"transfer": 0.5 * 8}


def test_equal_operations_of_one_gap_add_up() -> None:
    work = [{"name": "add", "elements": 4}, {"name": "add", "elements": 8}]
    problem = ask(linears(step("a", (2, 2)), step("b", (2, 2), operations=work)), "dense", chip(**STILL, **PRICED))
    gap = find_gaps(problem, np.zeros(2, dtype=np.int64)).before[1]
    assert gap.digital_cycles == 2 + 3
    assert gap.energy_pj["add"] == (3 + 8) + (3 + 16)


def halves(problem: Problem) -> Pieces:
    """The first factor, one 4 x 3 block, in two row parts beside each other; the others whole on further arrays."""
    rows = [(0, 0, 0, 2, 0, 3, 0, 0, 0), (0, 0, 2, 2, 0, 3, 0, 2, 3)]
    for number, factor in enumerate(problem.workload.factors[1:], start=1):
        rows.append((number, 0, 0, factor.block_rows, 0, factor.block_cols, number, 0, 0))
    return pieces_of(*rows)


def test_row_parts_are_added_before_what_reads_them() -> None:
    config = linears(step("a", (4, 3)), step("b", (3, 3)), step("c", (3, 3), reads=["a"]))
    problem = ask(config, "dense", chip(**STILL, **PRICED), "both")
    pieces = halves(problem)
    added = partial_sum_elements(problem, pieces)
    assert added.tolist() == [3, 0, 0]
    gaps = find_gaps(problem, added)
    # Both readers wait for the sum: 0.5 + 1 ns for three elements on four lanes.
    assert [gap.partial_sum_cycles for gap in gaps.before] == [0, 2, 2]
    assert gaps.before[1].energy_pj["partial_sums"] == 3 + 2 * 3
    assert least_partial_sum_elements(problem).tolist() == [0, 0, 0]
    # Sums of the last stage are in the tail.
    last = find_gaps(problem, np.array([0, 0, 5]))
    assert [gap.partial_sum_cycles for gap in last.before] == [0, 0, 0]
    assert last.tails["token"].partial_sum_cycles == 3


def test_forced_row_cuts_make_the_fewest_partial_sums() -> None:
    problem = ask(linears(step("a", (8, 3)), step("b", (3, 2))), "dense", chip(array__rows_active_max=3))
    assert problem.row_parts.tolist() == [3, 1]
    assert least_partial_sum_elements(problem).tolist() == [2 * 3, 0]
    mapping = RULES["spread"](problem, Effort()).mapping
    assert partial_sum_elements(problem, mapping.pieces).tolist() == [6, 0]


def test_a_later_pass_pays_the_tail_of_the_earlier_one_once() -> None:
    problem = ask(NARROW_BART, "dense", chip(**PRICED))
    stages = problem.workload.stages
    costs = cost(problem)
    first = next(stage.id for stage in stages if stage.pass_name == "target")
    assert costs.gaps.before[first] is costs.gaps.tails["source"]
    waits = costs.stages.start[first] - max(costs.stages.end[before] for before in stages[first].after)
    assert waits == costs.gaps.tails["source"].cycles > 0
    paid = sum(sum(gap.energy_pj.values()) for gap in costs.gaps.before) + sum(
        costs.gaps.tails["target"].energy_pj.values()
    )
    shown = {name: costs.energy_components_pj.get(name, 0.0) for name in (*OPERATIONS, "transfer", "partial_sums")}
    assert sum(shown.values()) == pytest.approx(paid)


def test_gaps_of_parallel_stages_queue() -> None:
    """Two steps read one; each needs the digital units for 8 cycles, one after the other."""
    work = [{"name": "add", "elements": 30}]  # 0.5 + ceil(30 / 4) ns: 9 cycles
    config = linears(
        step("a", (2, 2)), step("b", (2, 2), operations=work), step("c", (2, 2), reads=["a"], operations=work)
    )
    costs = cost(ask(config, "dense", chip(**STILL, **PRICED)))
    end = int(costs.stages.end[0])
    assert costs.stages.start.tolist() == [0, end + 9, end + 18]


# Sums


QUESTIONS = {
    "bert": lambda: ask(BERT, "2,2,1", chip(**PRICED)),
    "llama": lambda: ask(LLAMA, "dense", chip(array__rows_active_max=5, **PRICED)),
    "bart": lambda: ask(NARROW_BART, "2,2,1", chip(clock_ns=1.7, **PRICED)),
    "side by side": lambda: ask(
        linears(step("a", (9, 3)), step("b", (4, 4), reads=[]), step("c", (3, 5), reads=["a", "b"])),
        "dense",
        chip(**PRICED),
        "both",
    ),
}


@pytest.mark.parametrize("rule", ["sparsemap", "densemap", "spread"])
@pytest.mark.parametrize("name", QUESTIONS)
def test_fills_of_the_phases_sum_to_the_latency(name: str, rule: str) -> None:
    problem = QUESTIONS[name]()
    costs = cost(problem, rule)
    assert sum(phase.fill_cycles for phase in costs.phases) == costs.metrics["latency_cycles"]
    assert [phase.phase for phase in costs.phases] == sorted({stage.phase for stage in problem.workload.stages})


@pytest.mark.parametrize("name", QUESTIONS)
def test_prefill_of_one_token_is_the_latency(name: str) -> None:
    problem = QUESTIONS[name]()
    source = problem.model.source_tokens and 1
    one = problem.asking(model=replace(problem.model, tokens=1, source_tokens=source))
    metrics = cost(one).metrics
    assert metrics["prefill_ns"] == pytest.approx(metrics["latency_ns"], rel=1e-12)
    assert metrics["prefill_tokens"] == 1
    # Each further token takes the sum of the phases' own intervals.
    costs = cost(problem)
    later = sum(phase.ii_cycles for phase in costs.phases) * (problem.model.tokens - 1)
    expected = (costs.metrics["latency_cycles"] + later) * problem.hardware.clock_ps / 1000
    assert costs.metrics["prefill_ns"] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("rule", ["sparsemap", "densemap", "spread"])
@pytest.mark.parametrize("name", QUESTIONS)
def test_the_breakdown_sums_exactly(name: str, rule: str) -> None:
    costs = cost(QUESTIONS[name](), rule)
    assert sum(costs.latency_components_cycles.values()) == costs.metrics["latency_cycles"]
    assert sum(costs.energy_components_pj.values()) == costs.metrics["energy_pj"]
    assert int(costs.stages.activations.sum()) == costs.metrics["activations"]
    gaps = [*costs.gaps.before, list(costs.gaps.tails.values())[-1]]
    assert costs.cycles["partial_sums"].tolist() == [gap.partial_sum_cycles for gap in gaps]
    assert costs.cycles["digital"].tolist() == [gap.digital_cycles for gap in gaps]
    assert costs.cycles["transfer"].tolist() == [gap.transfer_cycles for gap in gaps]


def test_a_chain_waits_for_nothing() -> None:
    """Latency is array time and gaps where stages follow each other."""
    for name in ("bert", "llama", "bart"):
        assert cost(QUESTIONS[name]()).latency_components_cycles["wait"] == 0


def test_the_interval_between_tokens_is_that_of_the_busiest_unit() -> None:
    slow = {**PRICED["digital__ops"], "softmax": {**NOTHING, "per_element_ns": 1000}}
    problem = ask(BERT, "2,2,1", chip(digital__ops=slow))
    costs = cost(problem)
    digital = sum(gap.digital_cycles for gap in (*costs.gaps.before, costs.gaps.tails["token"]))
    assert costs.metrics["ii_cycles"] == digital > costs.metrics["array_ii_cycles"]
    still = {**STILL, "digital__ops": dict.fromkeys(OPERATIONS, NOTHING)}
    metrics = cost(ask(BERT, "2,2,1", chip(**still))).metrics
    assert metrics["ii_cycles"] == metrics["array_ii_cycles"]
    assert metrics["latency_ns"] == metrics["array_latency_ns"]
