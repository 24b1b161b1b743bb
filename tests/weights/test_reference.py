"""The forward passes: equal to the published implementation, and open at every linear."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file, save_file

from cimsolve.errors import InputError
from cimsolve.model.load import load_model
from cimsolve.weights.folder import WeightFolder
from cimsolve.weights.forward import Reference, listening, load_reference
from cimsolve.weights.forward.bert import BertReference
from cimsolve.weights.forward.functions import gelu, gelu_tanh, layer_norm, rms_norm, rotate, silu, softmax
from cimsolve.weights.forward.language import LanguageModel
from cimsolve.weights.inputs import heard_in
from cimsolve.weights.tensors import Replaced
from makers.folders import WEIGHTS
from makers.tiny_configs import BERT, LLAMA
from makers.tiny_models import model_folder, reference_of

Floats = npt.NDArray[np.float32]


def change_tensor(folder: Path, name: str, tensor: Floats | None) -> None:
    file = folder / "model.safetensors"
    tensors = {key: value for key, value in load_file(file).items() if key != name}
    save_file(tensors if tensor is None else {**tensors, name: tensor}, file)


SEQUENCES = [np.array([3, 1, 4, 1, 5]), np.array([9, 2, 6, 5, 3, 5, 8])]
MINILM = WEIGHTS / "minilm"


@pytest.fixture(scope="module", params=["bert", "llama"])
def reference(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    config = {"bert": BERT, "llama": LLAMA}[request.param]
    return reference_of(model_folder(tmp_path_factory.mktemp(request.param), config))


# First four elements of the hidden states of tokens 0, 4 and 11, by transformers 5 (BertModel, LlamaForCausalLM) with
# torch 2.13 in float32, on the same two folders.
GOLDEN = {
    "bert": [
        [2.443568, 0.523427, 0.023229, 1.336882],
        [2.502230, 0.233102, 0.529689, 1.242879],
        [2.206661, 0.168310, 0.735688, 1.935859],
    ],
    "llama": [
        [-0.523896, -1.260490, 1.161109, 0.055689],
        [-0.043284, -0.662197, 1.069992, -0.051359],
        [0.001025, -1.676277, 0.405595, 0.072246],
    ],
}
GOLDEN_LOSS = 5.169153


def test_hidden_states_are_those_of_the_published_implementation(reference: Reference) -> None:
    found = reference.run(SEQUENCES)
    assert found.shape == (12, 16)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[[0, 4, 11], :4], GOLDEN[reference.model.family], atol=5e-6)
    if isinstance(reference, LanguageModel):
        assert reference.loss(found, SEQUENCES) == pytest.approx(GOLDEN_LOSS, abs=1e-5)


def test_a_product_of_ones_own_changes_nothing(reference: Reference) -> None:
    """The stored weights again, by another road: bit for bit the same."""
    weights = {name: reference._source.tensor(linear.tensor.name).T for name, linear in reference.linears.items()}
    seen: list[str] = []

    def product(name: str, inputs: Floats) -> Floats:
        seen.append(name)
        return inputs @ np.ascontiguousarray(weights[name])

    np.testing.assert_array_equal(reference.run(SEQUENCES, product), reference.run(SEQUENCES))
    assert seen == [linear.name for linear in reference.model.linears]


def test_listening_hears_all_and_changes_nothing(reference: Reference) -> None:
    heard: dict[str, Floats] = {}
    found = reference.run(SEQUENCES, listening(reference.exact, heard.__setitem__))
    np.testing.assert_array_equal(found, reference.run(SEQUENCES))
    assert {name: inputs.shape for name, inputs in heard.items()} == {
        linear.name: (12, linear.n_in) for linear in reference.model.linears
    }
    with pytest.raises(ValueError, match="read-only"):
        next(iter(heard.values()))[0] = 0


def test_a_product_counts_where_it_is_replaced(reference: Reference) -> None:
    """Every linear matters: without any one of them the outcome is another."""
    exact = reference.run(SEQUENCES)
    for name in reference.linears:

        def product(other: str, inputs: Floats, name: str = name) -> Floats:
            return reference.exact(other, inputs) * np.float32(other != name)

        assert not np.allclose(reference.run(SEQUENCES, product), exact)


def test_products_of_another_shape_are_refused(reference: Reference) -> None:
    with pytest.raises(ValueError, match="the product has shape"):
        reference.run(SEQUENCES, lambda name, inputs: reference.exact(name, inputs)[:-1])


def test_sequences_do_not_see_each_other(reference: Reference) -> None:
    together = reference.run(SEQUENCES)
    np.testing.assert_allclose(together[:5], reference.run(SEQUENCES[:1]), atol=1e-5)
    np.testing.assert_allclose(together[5:], reference.run(SEQUENCES[1:]), atol=1e-5)


def test_causal_models_do_not_see_the_future(reference: Reference) -> None:
    longer, shorter = reference.run(SEQUENCES[1:]), reference.run([SEQUENCES[1][:4]])
    same = np.allclose(longer[:4], shorter, atol=1e-5)
    assert same == isinstance(reference, LanguageModel)


@pytest.mark.parametrize("ids", [[], [0] * 33, [-1, 2], [3, 29]])
def test_tokens_that_the_model_does_not_know(reference: Reference, ids: list[int]) -> None:
    with pytest.raises(InputError, match="expected 1 to"):
        reference.run([SEQUENCES[0], np.array(ids, dtype=np.int64)])


def test_a_loss_needs_a_next_token(tmp_path: Path) -> None:
    reference = reference_of(model_folder(tmp_path, LLAMA))
    assert isinstance(reference, LanguageModel)
    one = [np.array([3]), np.array([4])]
    with pytest.raises(InputError, match="no sequence has two tokens"):
        reference.loss(reference.run(one), one)


def test_embeddings_are_means_of_length_one(tmp_path: Path) -> None:
    reference = reference_of(model_folder(tmp_path, BERT))
    assert isinstance(reference, BertReference)
    hidden = reference.run(SEQUENCES)
    found = reference.embed(hidden, SEQUENCES)
    mean = hidden[5:].mean(axis=0)
    np.testing.assert_allclose(found[1], mean / np.linalg.norm(mean), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("config", "changes", "message"),
    [
        (BERT, {"hidden_act": "mish"}, 'hidden_act = "mish": expected one of gelu'),
        (BERT, {"position_embedding_type": "relative_key"}, "position_embedding_type"),
        (LLAMA, {"hidden_act": "mish"}, "expected one of gelu"),
        (LLAMA, {"rope_scaling": {"rope_type": "mrope"}}, 'rope_scaling.rope_type = "mrope": expected'),
        (LLAMA, {"rope_scaling": {"rope_type": "llama3", "factor": 8.0}}, "rope_scaling.*high_freq_factor is missing"),
        (LLAMA, {"rope_parameters": {"type": "yarn"}}, "rope_parameters.*factor is missing"),
        (LLAMA, {"rope_parameters": {"factor": 2.0}}, "factor says nothing with rope_type default"),
        (LLAMA, {"rope_parameters": {"rope_type": "linear", "factor": 0.5}}, "rope_parameters.factor = 0.5: expected"),
        (LLAMA, {"rope_parameters": {"rope_theta": "x"}}, 'rope_theta = "x": expected'),
        (LLAMA, {"rope_parameters": {"full_attention": {"rope_type": "default"}}}, "rope_parameters.full_attention"),
        (LLAMA, {"rope_scaling": {"type": "linear"}, "rope_parameters": {"rope_type": "default"}}, "factor is missing"),
        (LLAMA, {"rope_scaling": {"type": "su", "short_factor": [1], "long_factor": [1, 2]}}, "short_factor has 1 num"),
        (
            LLAMA,
            {"rope_scaling": {"type": "llama3", "factor": 2, "low_freq_factor": 4, "high_freq_factor": 4}},
            "low_freq_factor = 4.*less than high_freq_factor",
        ),
        (LLAMA, {"rope_interleaved": True}, "rope_interleaved = true"),
        (LLAMA, {"quantization_config": {"quant_method": "bitnet"}}, "quantization_config"),
        (LLAMA, {"attention_bias": True}, r"q_proj.bias is not stored, but attention_bias = true asks for one"),
        ({**LLAMA, "model_type": "qwen2"}, {}, r"q_proj.bias is not stored, but model_type qwen2 asks for one"),
        (LLAMA, {"mlp_bias": True}, r"gate_proj.bias is not stored, but mlp_bias = true asks for one"),
        (LLAMA, {"is_causal": False}, "is_causal = false"),
        (BERT, {"is_decoder": True}, "is_decoder = true"),
        (BERT, {"is_causal": True}, "is_causal = true"),
    ],
)
def test_configs_that_cannot_be_obeyed(
    tmp_path: Path, config: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        reference_of(model_folder(tmp_path, {**config, **changes}))


def test_a_window_hides_the_keys_before_it(tmp_path: Path) -> None:
    """Through two layers of window 3, token 4 hears the first one and those after it do not."""
    ids = np.array([3, 1, 4, 1, 5, 9, 2])
    other = np.array([8, 1, 4, 1, 5, 9, 2])
    whole, narrow, wide = (
        reference_of(model_folder(tmp_path / name, {**LLAMA, "model_type": "mistral", "sliding_window": window}))
        for name, window in (("whole", None), ("narrow", 3), ("wide", 7))
    )
    assert narrow.layers == 2
    change = np.abs(narrow.run([ids]) - narrow.run([other])).max(axis=1)
    assert (change[:5] > 0).all()
    assert (change[5:] == 0).all()
    np.testing.assert_array_equal(wide.run([ids]), whole.run([ids]))
    np.testing.assert_allclose(narrow.run([ids])[:3], whole.run([ids])[:3], atol=1e-6)


SIDES = [
    (BERT, "embeddings.word_embeddings.weight", (22, 16), "(23, 16)"),
    (BERT, "embeddings.position_embeddings.weight", (6, 16), "(12, 16)"),
    (BERT, "embeddings.token_type_embeddings.weight", (1, 16), "(2, 16)"),
    (BERT, "encoder.layer.1.output.LayerNorm.bias", (1,), "(16,)"),
    (BERT, "encoder.layer.0.intermediate.dense.bias", (1,), "(24,)"),
    (LLAMA, "model.embed_tokens.weight", (29,), "(29, 16)"),
    (LLAMA, "model.norm.weight", (1,), "(16,)"),
    (LLAMA, "model.layers.1.input_layernorm.weight", (12,), "(16,)"),
    ({**LLAMA, "tie_word_embeddings": False}, "lm_head.weight", (20, 16), "(29, 16)"),
]


@pytest.mark.parametrize(("config", "name", "shape", "asked"), SIDES, ids=[name for _, name, *_ in SIDES])
def test_side_tensors_have_the_shapes_of_the_config(
    tmp_path: Path, config: dict[str, Any], name: str, shape: tuple[int, ...], asked: str
) -> None:
    """Said before anything runs; one element would be stretched."""
    folder = model_folder(tmp_path, config)
    change_tensor(folder, name, np.ones(shape, dtype=np.float32))
    with pytest.raises(InputError) as refused:
        reference_of(folder)
    for part in (str(folder / "model.safetensors"), f"tensor {name}", f"has shape {shape}", f"asks for {asked}"):
        assert part in str(refused.value)


@pytest.mark.parametrize(("config", "name"), [(each[0], each[1]) for each in SIDES if "lm_head" not in each[1]])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_side_tensors_hold_numbers(tmp_path: Path, config: dict[str, Any], name: str, bad: float) -> None:
    """Also in rows that no text reads."""
    folder = model_folder(tmp_path, config)
    tensor = load_file(folder / "model.safetensors").get(name, np.ones(8, dtype=np.float32))
    tensor[-1] = bad
    change_tensor(folder, name, tensor)
    with pytest.raises(
        InputError, match=f"tensor {re.escape(name)}: .* NaN or infinite, first in row {len(tensor) - 1}"
    ):
        reference_of(folder)


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (BERT, "encoder.layer.1.attention.self.query.bias"),
        (LLAMA, "model.layers.1.post_attention_layernorm.weight"),
        ({**LLAMA, "tie_word_embeddings": False}, "lm_head.weight"),
    ],
)
def test_side_tensors_that_the_family_has_may_not_be_left_out(
    tmp_path: Path, config: dict[str, Any], name: str
) -> None:
    folder = model_folder(tmp_path, config)
    change_tensor(folder, name, None)
    with pytest.raises(InputError, match=f"no tensor {re.escape(name)}"):
        reference_of(folder)


def test_biases_are_read_in_the_order_of_their_linears(tmp_path: Path) -> None:
    model, read = load_model(model_folder(tmp_path / "b", BERT)), []
    load_reference(model, Replaced(WeightFolder(tmp_path / "b"), read.append))
    stems = [linear.tensor.name.removesuffix(".weight") for linear in model.linears]
    biases = [name.removesuffix(".bias") for name in read if name.endswith(".bias")]
    assert [name for name in biases if name in stems] == stems


def test_older_names_of_norms(tmp_path: Path) -> None:
    folder = model_folder(tmp_path, BERT)
    today = reference_of(folder).run(SEQUENCES)
    file = folder / "model.safetensors"
    old = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    renamed = {}
    for name, tensor in load_file(file).items():
        stem, _, end = name.rpartition("LayerNorm.")
        renamed[f"bert.{stem}{old[f'LayerNorm.{end}']}" if stem else name] = tensor
    save_file(renamed, file)
    np.testing.assert_array_equal(reference_of(folder).run(SEQUENCES), today)


def test_what_overflows_is_told_where_it_is_heard(tmp_path: Path) -> None:
    folder = model_folder(tmp_path, LLAMA)
    change_tensor(folder, "model.layers.0.mlp.up_proj.weight", np.full((24, 16), 3e38, dtype=np.float32))
    sequences = [np.arange(1, 7) + number for number in range(10)]
    with pytest.raises(InputError, match=r"what model\.layers\.0\.mlp\.down_proj reads: .* NaN or infinite"):
        heard_in(reference_of(folder), sequences)(lambda name, inputs: None)


@pytest.mark.parametrize("change", [{"hidden_size": 28}, {"head_dim": 3}])
def test_rotary_positions_need_heads_of_even_width(tmp_path: Path, change: dict[str, int]) -> None:
    with pytest.raises(InputError, match=r"the head width . is odd: expected an even one"):
        model_folder(tmp_path, {**LLAMA, **change})


def test_families_without_a_forward_pass(tmp_path: Path) -> None:
    folder = model_folder(tmp_path, BERT)
    with pytest.raises(InputError, match="no reference forward pass for bart, only for bert"):
        load_reference(load_model(Path("models/bart-large.json")), WeightFolder(folder))


def test_both_keys_of_the_rotary_base_count(tmp_path: Path) -> None:
    plain = {key: value for key, value in LLAMA.items() if key != "rope_theta"}
    new = {**plain, "rope_parameters": {"rope_theta": 100.0, "rope_type": "default"}}
    runs = [
        reference_of(model_folder(tmp_path / str(number), config)).run(SEQUENCES)
        for number, config in enumerate((LLAMA, new, plain))
    ]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.allclose(runs[0], runs[2])  # the default base is another


def test_functions_by_hand() -> None:
    x = np.array([[3.0, -1.0, 1.0, 1.0]], dtype=np.float32)
    one = np.ones(4, dtype=np.float32)
    # mean 1, variance (4 + 4 + 0 + 0) / 4 = 2
    np.testing.assert_allclose(layer_norm(x, 2 * one, one, 0.0), 1 + 2 * (x - 1) / 2**0.5, rtol=1e-6)
    # mean of squares (9 + 1 + 1 + 1) / 4 = 3
    np.testing.assert_allclose(rms_norm(x, 2 * one, 0.0), 2 * x / 3**0.5, rtol=1e-6)
    np.testing.assert_allclose(softmax(np.log(np.array([[1.0, 3.0]], dtype=np.float32))), [[0.25, 0.75]], rtol=1e-6)
    # Phi(1) = 0.8413447, 1 / (1 + 1/e) = 0.7310586
    np.testing.assert_allclose(gelu(one[:1]), 0.8413447, rtol=1e-6)
    np.testing.assert_allclose(gelu_tanh(one[:1]), 0.841192, rtol=1e-5)
    np.testing.assert_allclose(silu(one[:1]), 0.7310586, rtol=1e-6)
    # Two heads of 4; base 100: angles position * (1, 0.1); at position 0 nothing turns.
    pair = np.array([[1, 0, 0, 1, 0, 0, 1, 0]] * 2, dtype=np.float32)
    turned = rotate(pair, np.array([[0, 0], [2, 0.2]]), 4)
    np.testing.assert_array_equal(turned[0], pair[0])
    c, s, d, t = np.cos(2), np.sin(2), np.cos(0.2), np.sin(0.2)
    np.testing.assert_allclose(turned[1], [c, -t, s, d, -s, 0, c, 0], atol=1e-6)


@pytest.mark.weights
def test_minilm_embeds_alike_what_means_alike() -> None:
    if not (MINILM / "model.safetensors").exists():
        pytest.skip("weights/minilm is absent: run `make weights`")
    from cimsolve.weights.forward.tokens import load_tokenizer

    reference = reference_of(MINILM)
    assert isinstance(reference, BertReference)
    texts = ["A cat sits on the mat.", "A feline rests upon the rug.", "The stock market fell sharply on Monday."]
    sequences = load_tokenizer(MINILM, reference.context).sequences(texts, 1000)
    assert sequences[0].tolist() == [101, 1037, 4937, 7719, 2006, 1996, 13523, 1012, 102]
    vectors = reference.embed(reference.run(sequences), sequences)
    # By transformers 5 and torch 2.13 the hidden states are the same to 2e-6.
    np.testing.assert_allclose((vectors @ vectors.T)[0], [1, 0.5644, 0.0663], atol=1e-4)
