"""The model families: linears, factors, phases and passes of shipped models; configs that are refused."""

from __future__ import annotations

import pytest

from cimsolve.files.library import shipped_models
from cimsolve.model.model import Model, Operation
from cimsolve.model.structure import StructurePolicy
from cimsolve.model.workload import Workload, build_workload
from makers.model_configs import DELETE, config_of, parse, refusal, shipped


def workload_of(model: Model, *structure: str) -> Workload:
    policy = StructurePolicy.parse(structure)
    shapes = [(linear.name, linear.n_in, linear.n_out) for linear in model.linears]
    return build_workload(model, policy.resolve(shapes))


# Shipped models

WEIGHTS = {
    # layers * (Q, K, V, O of d x d; feed-forward up and down)
    "bert-base": 12 * (4 * 768**2 + 2 * 768 * 3072),
    "bert-large": 24 * (4 * 1024**2 + 2 * 1024 * 4096),
    "gpt2": 12 * (4 * 768**2 + 2 * 768 * 3072),
    "gpt2-medium": 24 * (4 * 1024**2 + 2 * 1024 * 4096),
    "minilm-l6": 6 * (4 * 384**2 + 2 * 384 * 1536),
    # 12 encoder layers, and 12 decoder layers with four more for cross-attention
    "bart-large": 12 * (4 * 1024**2 + 2 * 1024 * 4096) + 12 * (8 * 1024**2 + 2 * 1024 * 4096),
    # Q and O of d x d, K and V of d x (groups * head), gate, up and down
    "llama-3-8b": 32 * (2 * 4096**2 + 2 * 4096 * 1024 + 3 * 4096 * 14336),
    "llama-3-70b": 80 * (2 * 8192**2 + 2 * 8192 * 1024 + 3 * 8192 * 28672),
    "llama-3.1-405b": 126 * (2 * 16384**2 + 2 * 16384 * 1024 + 3 * 16384 * 53248),
    "mistral-7b": 32 * (2 * 4096**2 + 2 * 4096 * 1024 + 3 * 4096 * 14336),
    # heads of 128, 256 and 128, whatever the width
    "qwen3-0.6b": 28 * (2 * 1024 * 2048 + 2 * 1024 * 1024 + 3 * 1024 * 3072),
    "gemma-3-1b": 26 * (2 * 1152 * 1024 + 2 * 1152 * 256 + 3 * 1152 * 6912),
    "phi-4-mini": 32 * (2 * 3072 * 3072 + 2 * 3072 * 1024 + 3 * 3072 * 8192),
    # and the embedding of patches of 16 x 16 in three colours
    "vit-base": 12 * (4 * 768**2 + 2 * 768 * 3072) + 3 * 16**2 * 768,
    # and of each layer a router, and of every expert gate, up and down
    "mixtral-8x7b": 32 * (2 * 4096**2 + 2 * 4096 * 1024 + 4096 * 8 + 8 * 3 * 4096 * 14336),
    "qwen3-30b-a3b": 48 * (2 * 2048 * 4096 + 2 * 2048 * 512 + 2048 * 128 + 128 * 3 * 2048 * 768),
    "gpt-oss-20b": 24 * (2 * 2880 * 4096 + 2 * 2880 * 512 + 2880 * 32 + 32 * 3 * 2880**2),
    # queries by way of 1536, keys and values by way of 512; three dense layers, then 256 experts and a shared one
    "deepseek-v3": 61 * (7168 * 1536 + 1536 * 24576 + 7168 * 576 + 512 * 32768 + 16384 * 7168)
    + 3 * 3 * 7168 * 18432
    + 58 * (7168 * 256 + 257 * 3 * 7168 * 2048),
    "t5-base": 12 * (4 * 768**2 + 2 * 768 * 3072) + 12 * (8 * 768**2 + 2 * 768 * 3072),
    # likewise, and two convolutions of three taps, the first of them stored twice
    "whisper-small": 12 * (12 * 768**2 + 4 * 768 * 3072) + 2 * 240 * 768 + 3 * 768 * 768,
    "smollm2-135m": 30 * (2 * 576**2 + 2 * 576 * 192 + 3 * 576 * 1536),
}
LINEARS = {
    "bert-base": 12 * 6,
    "bert-large": 24 * 6,
    "gpt2": 12 * 6,
    "gpt2-medium": 24 * 6,
    "minilm-l6": 6 * 6,
    "bart-large": 12 * 6 + 12 * 10,
    "llama-3-8b": 32 * 7,
    "llama-3-70b": 80 * 7,
    "llama-3.1-405b": 126 * 7,
    "mistral-7b": 32 * 7,
    "smollm2-135m": 30 * 7,
    "qwen3-0.6b": 28 * 7,
    "gemma-3-1b": 26 * 7,
    "phi-4-mini": 32 * 4,
    "vit-base": 12 * 6 + 1,
    "mixtral-8x7b": 32 * (4 + 1 + 8 * 3),
    "qwen3-30b-a3b": 48 * (4 + 1 + 128 * 3),
    "gpt-oss-20b": 24 * (4 + 1 + 32 * 2),
    "deepseek-v3": 61 * (4 + 2 * 128) + 3 * 3 + 58 * (1 + 257 * 3),  # keys and values of 128 heads one by one
    "t5-base": 12 * 6 + 12 * 10,
    "whisper-small": 12 * 6 + 12 * 10 + 3,
}
LAYERS = {
    "bert-base": 12,
    "bert-large": 24,
    "gpt2": 12,
    "gpt2-medium": 24,
    "minilm-l6": 6,
    "bart-large": 24,
    "llama-3-8b": 32,
    "llama-3-70b": 80,
    "llama-3.1-405b": 126,
    "mistral-7b": 32,
    "smollm2-135m": 30,
    "qwen3-0.6b": 28,
    "gemma-3-1b": 26,
    "phi-4-mini": 32,
    "vit-base": 12,
    "mixtral-8x7b": 32,
    "qwen3-30b-a3b": 48,
    "gpt-oss-20b": 24,
    "deepseek-v3": 61,
    "t5-base": 24,
    "whisper-small": 24,
}
SMALL = [name for name, linears in LINEARS.items() if linears < 1000]


def test_every_shipped_model_is_counted_here() -> None:
    assert set(shipped_models()) == set(WEIGHTS) == set(LINEARS) == set(LAYERS)


def test_known_totals() -> None:
    assert WEIGHTS["bert-large"] == 301_989_888
    assert WEIGHTS["llama-3-8b"] == 6_979_321_856
    assert WEIGHTS["minilm-l6"] == 10_616_832


@pytest.mark.parametrize("name", sorted(WEIGHTS))
def test_shipped_models_have_their_weights(name: str) -> None:
    model = shipped(name)
    assert model.weight_count == WEIGHTS[name]
    assert len(model.linears) == LINEARS[name]
    assert len({linear.name for linear in model.linears}) == LINEARS[name]
    assert {step.layer for step in model.steps} >= set(range(LAYERS[name]))
    assert model.unmapped
    assert model.name == name


@pytest.mark.parametrize("name", sorted(WEIGHTS))
def test_steps_are_in_dataflow_order(name: str) -> None:
    model = shipped(name)
    for number, step in enumerate(model.steps):
        assert all(before < number for before in step.reads)
        assert len({linear.n_in for linear in step.linears}) == 1
    phases = [step.phase for step in model.steps]
    assert phases == sorted(phases)
    assert set(phases) == set(range(len(set(phases))))


@pytest.mark.parametrize("name", SMALL)
def test_dense_workload_stores_every_weight(name: str) -> None:
    model = shipped(name)
    workload = workload_of(model, "dense")
    assert workload.weight_count == model.weight_count
    assert len(workload.factors) == len(model.linears)
    assert len(workload.stages) == len(model.steps)


@pytest.mark.parametrize("name", SMALL)
def test_sqrt_factors_have_the_shapes_of_the_equations(name: str) -> None:
    model = shipped(name)
    workload = workload_of(model, "sqrt")
    linears = {linear.name: linear for linear in model.linears}
    assert len(workload.factors) == 2 * len(model.linears)
    for factor in workload.factors:
        linear = linears[factor.linear]
        structure = StructurePolicy.parse([]).choose(linear.name, linear.n_in, linear.n_out)
        shape = dict(zip("RL", structure.factors(linear.n_in, linear.n_out), strict=True))[factor.kind]
        assert (factor.blocks, factor.block_rows, factor.block_cols) == shape
    stored = sum(
        StructurePolicy.parse([]).choose(x.name, x.n_in, x.n_out).stored_weights(x.n_in, x.n_out) for x in model.linears
    )
    assert workload.weight_count == stored


def test_bert_large_by_hand() -> None:
    workload = workload_of(shipped("bert-large"), "sqrt")
    shapes = {(f.kind, f.blocks, f.block_rows, f.block_cols) for f in workload.factors}
    assert shapes == {
        ("R", 32, 32, 32),
        ("L", 32, 32, 32),
        ("L", 32, 32, 128),  # up: 1024 -> 4096
        ("R", 32, 128, 32),  # down: 4096 -> 1024
    }
    assert workload.weight_count == 24 * (4 * 2 * 32 * 1024 + 2 * (32 * 1024 + 32 * 4096)) == 14_155_776
    assert workload.block_count == 9216
    assert len(workload.stages) == 24 * 8


# Phases, passes and the work between steps


@pytest.mark.parametrize("name", ["bert-large", "gpt2-medium", "minilm-l6", "llama-3-8b", "smollm2-135m"])
def test_attention_is_the_barrier_between_phases(name: str) -> None:
    model = shipped(name)
    # Q, K, V of the first layer, then output projection ... next layer's Q, K, V, and the last layer's rest.
    assert len({step.phase for step in model.steps}) == LAYERS[name] + 1
    assert list(model.tails) == ["token"]
    for step in model.steps:
        attends = any(operation.name == "softmax" for operation in step.operations)
        assert attends == step.name.endswith("attention_output")
        if attends:
            assert step.phase == model.steps[step.reads[0]].phase + 1


def test_qkv_is_one_stage_with_one_input() -> None:
    workload = workload_of(shipped("bert-large"), "sqrt")
    first = [workload.factors[number] for number in workload.factors_of_stage[0]]
    assert [factor.linear.rpartition(".")[2] for factor in first] == ["query", "key", "value"]
    assert len({factor.input for factor in first}) == 1
    second = [workload.factors[number] for number in workload.factors_of_stage[1]]
    assert {factor.kind for factor in second} == {"L"}
    # Each L factor reads its own shuffled z, which no R factor numbers as its output.
    assert len({factor.input for factor in second}) == 3
    assert not {factor.input for factor in second} & {factor.output for factor in first}


def test_dense_and_monarch_linears_of_a_step_share_its_first_stage() -> None:
    workload = workload_of(shipped("bert-large"), "sqrt", "*.query=dense")
    kinds = [workload.factors[number].kind for number in workload.factors_of_stage[0]]
    assert sorted(kinds) == ["R", "R", "dense"]
    assert len(workload.factors_of_stage[1]) == 2


def test_llama_has_grouped_keys_and_a_gate() -> None:
    model = shipped("llama-3-8b")
    shapes = {linear.name.rpartition(".")[2]: (linear.n_in, linear.n_out) for linear in model.steps[0].linears}
    assert shapes == {"q_proj": (4096, 4096), "k_proj": (4096, 1024), "v_proj": (4096, 1024)}
    up, down = model.steps[2], model.steps[3]
    assert [linear.n_out for linear in up.linears] == [14336, 14336]
    assert Operation("multiply", 14336) in down.operations  # gate times up


def test_llama_head_dim_may_differ_from_the_width() -> None:
    model = parse(config_of("llama-3-8b", head_dim=64))
    assert model.steps[0].linears[0].n_out == 32 * 64
    assert model.steps[1].linears[0].n_in == 32 * 64


def test_llama_without_groups_has_a_key_for_every_head() -> None:
    model = parse(config_of("llama-3-8b", num_key_value_heads=DELETE))
    assert {linear.n_out for linear in model.steps[0].linears} == {4096}


@pytest.mark.parametrize("family", ["mistral", "qwen2"])
def test_mistral_and_qwen2_are_of_llamas_form(family: str) -> None:
    model = parse(config_of("llama-3-8b", model_type=family))
    assert model.family == family
    assert model.weight_count == WEIGHTS["llama-3-8b"]


def test_mpnet_is_bert_by_other_names() -> None:
    model = parse(config_of("minilm-l6", model_type="mpnet"))
    assert model.weight_count == WEIGHTS["minilm-l6"]
    assert model.linears[0].name == "encoder.layer.0.attention.attn.q"


def test_gpt2_takes_parts_of_one_tensor() -> None:
    model = shipped("gpt2-medium")
    q, k, v = model.steps[0].linears
    assert {linear.tensor.name for linear in (q, k, v)} == {"h.0.attn.c_attn.weight"}
    assert [(linear.tensor.start, linear.tensor.stop) for linear in (q, k, v)] == [
        (0, 1024),
        (1024, 2048),
        (2048, 3072),
    ]
    assert q.tensor.layout == "in_out"


def test_gpt2_inner_width_defaults_to_four_times() -> None:
    without = config_of("gpt2-medium")
    without.pop("n_inner", None)
    for config in (without, {**without, "n_inner": None}):
        assert parse(config).steps[2].linears[0].n_out == 4096
    assert parse({**without, "n_inner": 2048}).steps[2].linears[0].n_out == 2048


def test_bart_has_two_passes_one_after_the_other() -> None:
    model = shipped("bart-large")
    assert list(model.tails) == ["source", "target"]
    passes = [step.pass_name for step in model.steps]
    assert passes == ["source"] * (12 * 4 + 1) + ["target"] * (12 * 6)
    cross = model.steps[12 * 4]
    assert len(cross.linears) == 24  # keys and values of every decoder layer read the encoder's output
    source = {step.phase for step in model.steps if step.pass_name == "source"}
    target = {step.phase for step in model.steps if step.pass_name == "target"}
    assert len(source) == 12 + 1
    assert len(target) == 2 * 12 + 1
    assert not source & target


def test_the_target_pass_waits_for_the_source_pass_and_reads_nothing() -> None:
    workload = workload_of(shipped("bart-large"), "sqrt")
    first = next(stage for stage in workload.stages if stage.pass_name == "target")
    assert first.after == workload.last_stages["source"]
    assert first.operations == ()
    assert first.transfer_elements == 0


# Tokens


@pytest.mark.parametrize(
    ("name", "tokens", "expected"),
    [
        ("bert-large", None, 512),
        ("llama-3-8b", None, 512),  # a context of 8192: the default stops at 512
        ("llama-3-8b", 8192, 8192),
        ("bert-large", 1, 1),
        ("minilm-l6", 512, 512),
    ],
)
def test_tokens_are_those_asked_for(name: str, tokens: int | None, expected: int) -> None:
    assert shipped(name, tokens).tokens == expected


def test_attention_grows_with_the_tokens() -> None:
    def macs(tokens: int) -> int:
        operations = shipped("bert-large", tokens).steps[1].operations
        return next(o.elements for o in operations if o.name == "attention_mac")

    assert macs(100) == 2 * 1024 * 100
    assert macs(200) == 2 * macs(100)


@pytest.mark.parametrize("tokens", [0, -1, 513, 2**40])
def test_impossible_token_counts_are_refused(tokens: int) -> None:
    assert "--tokens" in refusal(config_of("bert-large"), tokens)
