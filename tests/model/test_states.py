"""Families with states or convolutions in place of attention: their matrices, and work that no context adds to."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from cimsolve.model.model import CacheUse, Model, Step
from cimsolve.problem.problem import Problem
from cimsolve.problem.question import ask
from cimsolve.study.solving import solve_and_check
from makers.model_configs import parse, refusal
from makers.published_states import STATES


def few_layers(name: str, layers: int, tokens: int | None = None, **changes: Any) -> Model:
    return parse({**STATES[name].config, "num_hidden_layers": layers, **changes}, tokens)


def work(step: Step) -> dict[str, int]:
    found: Counter[str] = Counter()
    for operation in step.operations:
        found[operation.name] += operation.elements
    return dict(found)


@pytest.mark.parametrize("name", ["mamba-130m", "mamba-codestral-7b"])
def test_no_context_adds_to_the_work_with_states(name: str) -> None:
    few, many = parse(STATES[name].config, 16), parse(STATES[name].config, 100_000)
    assert few.steps == many.steps
    assert {step.phase for step in few.steps} == {0}  # no token waits for all others
    assert few.cached_elements == many.cached_elements > 0


def test_mamba_by_hand() -> None:
    model = parse(STATES["mamba-130m"].config)
    assert len(model.steps) == 4 * 24
    shapes = {step.name: [(each.n_in, each.n_out) for each in step.linears] for step in model.steps[:4]}
    assert shapes == {
        "layer0.state_in": [(768, 3072)],
        "layer0.state_parameters": [(1536, 48 + 2 * 16)],
        "layer0.time_steps": [(48, 1536)],
        "layer0.state_out": [(1536, 768)],
    }
    assert work(model.steps[1]) == {"attention_mac": 4 * 1536, "activation": 1536}
    cells = 1536 * 16
    assert work(model.steps[3])["attention_mac"] == 2 * cells + 1536
    assert work(model.steps[3])["activation"] == cells + 2 * 1536
    assert work(model.steps[4]) == {"add": 768, "layer_norm": 768}
    # Four tokens of the convolution, and a state that is read and written whole.
    assert [step.cache for step in model.steps[:4]] == [
        None,
        CacheUse(1536, 4, 1536, is_causal=True),
        None,
        CacheUse(cells, 1, cells, is_causal=True),
    ]


def test_states_are_read_and_written_once_a_token_on_a_chip_with_a_memory() -> None:
    """In a prefill too, as the next token's state is made of it; more tokens add nothing."""
    found = []
    for tokens in (16, 4096):
        model = few_layers("mamba-130m", 1, tokens, n_layer=1)
        _, report = solve_and_check(Problem(ask(model, "paper256-mesh", structure="dense")), "linear")
        assert report.passed
        assert report.costs is not None
        found.append(report.costs.metrics["memory_bits"])
        uses = [gap.memory for gap in report.costs.gaps.own if gap.memory is not None and gap.memory.bits]
        assert [use.bits for use in uses] == [8 * 5 * 1536, 8 * 2 * 1536 * 16]
        assert uses[1].prefill_cycles == uses[1].busy_cycles
    assert found == [8 * (5 + 2 * 16) * 1536] * 2


def test_time_steps_have_a_rank_of_a_sixteenth_unless_given() -> None:
    config = {key: value for key, value in STATES["mamba-130m"].config.items() if key != "time_step_rank"}
    assert parse(config).steps[2].linears[0].n_in == 48
    assert (
        parse({**config, "hidden_size": 776, "d_model": 776, "d_inner": 1552, "intermediate_size": 1552})
        .steps[2]
        .linears[0]
        .n_in
        == 49
    )  # rounded up


def test_mamba2_has_all_inputs_in_one_matrix() -> None:
    model = few_layers("mamba-codestral-7b", 1)
    assert [(each.n_in, each.n_out) for each in model.linears] == [
        (4096, 2 * 8192 + 2 * 8 * 128 + 128),
        (8192, 4096),
    ]
    assert work(model.steps[1])["attention_mac"] == 4 * (8192 + 2 * 8 * 128) + 8192 * 128 + 8192


def test_jamba_has_attention_states_and_experts_in_turn() -> None:
    model = few_layers("jamba-v0.1", 8, 1000)
    kinds = [next(step.name.partition(".")[2] for step in model.steps if step.layer == layer) for layer in range(8)]
    assert kinds == ["state_in"] * 4 + ["qkv"] + ["state_in"] * 3
    assert [step.layer for step in model.steps if step.experts is not None] == [1, 1, 3, 3, 5, 5, 7, 7]
    (attention,) = [step for step in model.steps if step.name.endswith("attention_output")]
    assert set(work(attention)) == {"attention_mac", "softmax"}  # no positions
    assert work(model.steps[2])["layer_norm"] == 256 + 2 * 16


def test_qwen3_next_has_attention_in_every_fourth_layer() -> None:
    model = few_layers("qwen3-next-80b", 4, 1000)
    assert [step.layer for step in model.steps if step.name.endswith("attention_output")] == [3]
    first, out = model.steps[:2]
    assert [(each.n_in, each.n_out) for each in first.linears] == [(2048, 2 * 2048 + 2 * 4096), (2048, 64)]
    assert [(each.n_in, each.n_out) for each in out.linears] == [(4096, 2048)]
    assert work(out)["attention_mac"] == 4 * (2 * 2048 + 4096) + 3 * 4096 * 128
    attention = next(step for step in model.steps if step.name.endswith("attention_output"))
    queries = model.steps[attention.reads[0]].linears[0]
    assert queries.n_out == 2 * 16 * 256  # with the gate of what attention makes
    assert work(attention)["activation"] == 16 * 256
    assert work(attention)["multiply"] == 16 * 256 + 2 * (16 + 2) * 64
    listed = few_layers("qwen3-next-80b", 2, layer_types=["full_attention", "linear_attention"])
    assert [step.layer for step in listed.steps if step.name.endswith("attention_output")] == [0]


def test_lfm2_has_convolutions_but_in_some_layers() -> None:
    model = parse(STATES["lfm2-1.2b"].config)
    assert [step.layer for step in model.steps if step.name.endswith("attention_output")] == [2, 5, 8, 10, 12, 14]
    assert [(each.n_in, each.n_out) for each in model.steps[0].linears] == [(2048, 3 * 2048)]
    assert work(model.steps[1]) == {"multiply": 2 * 2048, "attention_mac": 3 * 2048}
    assert {each.n_out for each in model.steps[2].linears} == {8192}  # two thirds of 12288, by 256
    plain = few_layers("lfm2-1.2b", 1, block_auto_adjust_ff_dim=False)
    assert {each.n_out for each in plain.steps[2].linears} == {12288}


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("mamba-130m", {"d_inner": 1000}, "intermediate_size and d_inner"),
        ("mamba-130m", {"d_inner": 1000, "intermediate_size": 1000}, "expected expand * hidden_size = 1536"),
        ("mamba-130m", {"time_step_rank": "low"}, "time_step_rank"),
        ("mamba-codestral-7b", {"num_heads": 64}, "num_heads: 64 of head_dim = 64 are not expand * hidden_size"),
        ("qwen3-next-80b", {"layer_types": ["full_attention"]}, "layer_types: 1, num_hidden_layers = 48"),
        ("qwen3-next-80b", {"layer_types": ["sliding_attention"]}, "expected full_attention or linear_attention"),
        ("lfm2-1.2b", {"block_ffn_dim_multiplier": -1.0}, "block_ffn_dim_multiplier"),
        ("jamba-v0.1", {"sliding_window": 64}, "sliding_window"),
    ],
)
def test_what_cannot_be_obeyed_is_refused(name: str, changes: dict[str, Any], expected: str) -> None:
    assert expected in refusal({**STATES[name].config, **changes})
