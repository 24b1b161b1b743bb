"""Families with experts, and latent attention: steps, linears and the work between them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from cimsolve.model.model import CacheUse, Experts, Model, Operation, Step
from cimsolve.model.structure import Structure
from cimsolve.model.workload import build_workload
from cimsolve.problem.problem import Problem
from cimsolve.problem.question import ask
from cimsolve.study.solving import solve_and_check
from makers.family_configs import FAMILY_CONFIGS
from makers.model_configs import parse, refusal
from makers.published_mixtures import MIXTURES


def mixture(name: str, layers: int = 1, **changes: Any) -> Model:
    """A published model of fewer layers."""
    config = {**MIXTURES[name].config, "num_hidden_layers": layers, **changes}
    return parse(config, 100)


def steps(model: Model, layer: int = 0) -> dict[str, Step]:
    return {step.name.partition(".")[2]: step for step in model.steps if step.layer == layer}


def elements(step: Step) -> dict[str, int]:
    found: Counter[str] = Counter()
    for operation in step.operations:
        found[operation.name] += operation.elements
    return dict(found)


def test_a_feed_forward_of_experts_is_three_steps() -> None:
    model = mixture("mixtral-8x7b")
    assert list(steps(model)) == ["qkv", "attention_output", "router", "experts_up", "experts_down"]
    assert [step.reads for step in model.steps] == [(), (0,), (1,), (2,), (3,)]
    router, up, down = list(steps(model).values())[2:]
    assert [(linear.name, linear.n_out) for linear in router.linears] == [("model.layers.0.block_sparse_moe.gate", 8)]
    assert router.experts is None
    assert up.experts == Experts(8, 2, own_inputs=False)
    assert down.experts == Experts(8, 2, own_inputs=True)
    assert Counter(linear.expert for linear in up.linears) == dict.fromkeys(range(8), 2)
    assert Counter(linear.expert for linear in down.linears) == dict.fromkeys(range(8), 1)
    assert up.linears[2].name == "model.layers.0.block_sparse_moe.experts.1.w1"
    assert {(linear.n_in, linear.n_out) for linear in up.linears} == {(4096, 14336)}
    assert {(linear.n_in, linear.n_out) for linear in down.linears} == {(14336, 4096)}


def test_a_token_pays_for_the_experts_that_it_fires() -> None:
    _, _, _, up, down = (step for step in mixture("mixtral-8x7b").steps)
    # Two rounds of eight comparisons, and two scores divided by their sum.
    assert elements(up) == {"softmax": 8, "add": 2 * 8 + 2, "multiply": 2}
    assert elements(down) == {"activation": 2 * 14336, "multiply": 2 * 14336}
    assert up.moved_elements == 4096
    assert down.moved_elements == 2 * 14336
    tail = mixture("mixtral-8x7b").tails["token"].operations
    assert tail == (
        Operation("multiply", 2 * 4096),
        Operation("add", 4096),
        Operation("add", 4096),
        Operation("layer_norm", 4096),
    )


def test_shared_experts_are_fired_by_every_token() -> None:
    layer = steps(mixture("qwen1.5-moe-a2.7b"))
    assert [(linear.name.rpartition("mlp.")[2], linear.n_out) for linear in layer["router"].linears] == [
        ("gate", 60),
        ("shared_expert_gate", 1),
    ]
    shared = [linear for linear in layer["experts_up"].linears if linear.expert is None]
    assert [(linear.name.rpartition("mlp.")[2], linear.n_out) for linear in shared] == [
        ("shared_expert.gate_proj", 5632),
        ("shared_expert.up_proj", 5632),
    ]
    assert elements(layer["experts_down"])["activation"] == 4 * 1408 + 5632
    assert layer["experts_down"].moved_elements == 4 * 1408 + 5632
    model = mixture("qwen1.5-moe-a2.7b")
    workload = build_workload(model, {linear.name: Structure.dense() for linear in model.linears})
    down = [factor for factor in workload.factors if factor.linear.endswith("down_proj")]
    assert len({factor.input for factor in down}) == 61  # one of each expert, and one of the shared


@pytest.mark.parametrize(
    ("name", "changes", "with_experts"),
    [
        ("deepseek-v3", {}, [3, 4, 5, 6, 7]),
        ("glm-4.5-air", {}, [1, 2, 3, 4, 5, 6, 7]),
        ("qwen3-30b-a3b", {"decoder_sparse_step": 2, "mlp_only_layers": [3]}, [1, 5, 7]),
    ],
)
def test_layers_have_experts_where_the_family_says(name: str, changes: dict[str, Any], with_experts: list[int]) -> None:
    model = mixture(name, 8, **changes)
    assert [layer for layer in range(8) if "router" in steps(model, layer)] == with_experts
    dense = steps(model, 0)["feed_forward_up"]
    assert {linear.n_out for linear in dense.linears} == {MIXTURES[name].config["intermediate_size"]}


def test_windows_of_mixtures_are_in_the_layers_of_the_family() -> None:
    windows = {"use_sliding_window": True, "sliding_window": 64, "max_window_layers": 3}
    assert mixture("qwen1.5-moe-a2.7b", 6, **windows).windows == (64, None, 64, None, None, None)
    assert mixture("qwen3-30b-a3b", 6, **windows).windows == (64,) * 6
    assert mixture("gpt-oss-20b", 4, layer_types=None).windows == (128, None, 128, None)


def test_experts_in_one_tensor_are_its_entries() -> None:
    layer = steps(mixture("gpt-oss-20b", layer_types=["full_attention"]))
    second = layer["experts_up"].linears[1]
    assert second.name == "model.layers.0.mlp.experts.gate_up_proj.1"
    assert (second.tensor.name, second.tensor.layout) == ("model.layers.0.mlp.experts.gate_up_proj", "in_out")
    assert second.tensor.index == second.expert == 1
    assert (second.n_in, second.n_out) == (2880, 2 * 2880)
    assert elements(layer["attention_output"])["softmax"] == 64 * 100 + 64  # sinks
    granite = steps(mixture("granite-3.0-1b-a400m"))["experts_up"].linears[3]
    assert granite.tensor.name == "model.layers.0.block_sparse_moe.input_linear.weight"
    assert (granite.tensor.layout, granite.tensor.index) == ("out_in", 3)


def test_scores_may_multiply_what_experts_read() -> None:
    scout = MIXTURES["llama-4-scout"].config
    model = parse({**scout, "text_config": {**scout["text_config"], "num_hidden_layers": 4}}, 10000)
    up = steps(model)["experts_up"]
    assert up.experts == Experts(16, 1, own_inputs=True, gates="none")
    assert up.moved_elements == 2 * 5120  # of the shared expert and of the one chosen
    assert elements(up)["multiply"] == 5120
    assert model.windows == (8192, 8192, 8192, None)
    assert elements(steps(model)["attention_output"])["layer_norm"] == (40 + 8) * 128
    # No rotary positions, and so no norm of Q and K.
    assert elements(steps(model, 3)["attention_output"]).keys() == {"attention_mac", "softmax"}


# Latent attention


def test_latent_attention_holds_exactly_the_weights_of_its_matrices() -> None:
    model = mixture("deepseek-v3")
    layer = steps(model)
    shapes = {
        name: sum(linear.weights for linear in layer[name].linears)
        for name in ("latents", "q", "absorbed_keys", "absorbed_values", "attention_output")
    }
    assert shapes == {
        "latents": 7168 * 1536 + 7168 * 576,
        "q": 1536 * 24576,
        "absorbed_keys": 128 * 128 * 512,
        "absorbed_values": 128 * 512 * 128,
        "attention_output": 16384 * 7168,
    }
    assert shapes["absorbed_keys"] + shapes["absorbed_values"] == 512 * 32768
    assert any("absorbed" in note for note in model.notes)


def test_latent_attention_runs_over_what_the_cache_holds() -> None:
    values = steps(mixture("deepseek-v3"))["absorbed_values"]
    assert values.cache == CacheUse(576, 100, 576, is_causal=True)
    assert elements(values) == {
        "layer_norm": 512,
        "multiply": 2 * 129 * 64,
        "add": 129 * 64,
        "attention_mac": 128 * (576 + 512) * 100,
        "softmax": 128 * 100,
    }
    assert values.moved_elements == 128 * 512
    assert steps(mixture("deepseek-v3"))["absorbed_keys"].moved_elements == 128 * 128


def test_heads_of_a_latent_attention_read_vectors_of_their_own_and_all_fire() -> None:
    layer = steps(parse(FAMILY_CONFIGS["deepseek_v3"]))
    for name in ("absorbed_keys", "absorbed_values"):
        step = layer[name]
        assert step.experts is None
        assert [linear.input for linear in step.linears] == [*range(len(step.linears))]
        assert step.active_weight_count == sum(linear.weights for linear in step.linears)


def test_a_latent_attention_without_experts_is_mapped_on_a_network() -> None:
    config = {**FAMILY_CONFIGS["deepseek_v3"], "first_k_dense_replace": 99}
    problem = Problem(ask(parse(config), "paper256-mesh"))
    assert not problem.workload.has_experts
    _, report = solve_and_check(problem, "spread")
    assert report.passed
    table = problem.table
    stage = next(each.id for each in problem.workload.stages if each.name.endswith("absorbed_keys.R"))
    assert len(set(table.input[table.stage == stage].tolist())) == len(np.flatnonzero(table.stage == stage))


def test_queries_may_come_from_no_latent() -> None:
    layer = steps(mixture("deepseek-v2-lite"))
    assert [(linear.name.rpartition(".")[2], linear.n_out) for linear in layer["qkv"].linears] == [
        ("q_proj", 16 * 192),
        ("kv_a_proj_with_mqa", 576),
    ]
    assert "q" not in layer


def test_layers_that_foretell_are_named() -> None:
    assert any("foretell" in each for each in mixture("deepseek-v3").unmapped)
    assert not any("foretell" in each for each in mixture("deepseek-v2-lite").unmapped)


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("mixtral-8x7b", {"num_experts_per_tok": 9}, "num_experts_per_tok: 9 is more than num_local_experts = 8"),
        ("mixtral-8x7b", {"num_local_experts": 0}, "num_local_experts = 0"),
        ("qwen3-30b-a3b", {"mlp_only_layers": [-1]}, "mlp_only_layers"),
        ("gpt-oss-20b", {"experts_per_token": 2}, "num_experts_per_tok and experts_per_token"),
        ("olmoe-1b-7b", {"clip_qkv": 8.0}, "clip_qkv = 8"),
        ("deepseek-v3", {"moe_layer_freq": 2}, "moe_layer_freq"),
        ("deepseek-v3", {"kv_lora_rank": None}, "kv_lora_rank"),
        ("deepseek-v3", {"qk_rope_head_dim": 63}, "63 is odd"),
        ("qwen1.5-moe-a2.7b", {"sliding_window": 0, "use_sliding_window": True}, "sliding_window = 0"),
    ],
)
def test_what_cannot_be_obeyed_is_refused(name: str, changes: dict[str, Any], expected: str) -> None:
    assert expected in refusal({**MIXTURES[name].config, **changes})


def test_a_window_that_is_not_used_may_be_written_as_zero() -> None:
    plain = MIXTURES["qwen1.5-moe-a2.7b"].config
    assert parse({**plain, "sliding_window": 0, "use_sliding_window": False}).steps == parse(plain).steps


@pytest.mark.parametrize(
    ("name", "gates"),
    [
        ("mixtral-8x7b", "softmax"),
        ("gpt-oss-20b", "softmax"),
        ("qwen3-30b-a3b", "softmax"),
        ("olmoe-1b-7b", "softmax of all"),
        ("deepseek-v2-lite", "softmax of all"),
        ("deepseek-v3", "normalised sigmoid"),
        ("llama-4-scout", "none"),  # scores multiply what experts read
    ],
)
def test_gates_are_of_the_scores_of_the_family(name: str, gates: str) -> None:
    experts = [step.experts for step in parse(MIXTURES[name].config, 100).steps if step.experts is not None]
    assert {each.gates for each in experts} == {gates}
