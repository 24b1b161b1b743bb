"""A model run by mapped arrays: each linear as by hand, layer by layer as at once, and how answers are compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from cimsolve.api import make_problem, map_model
from cimsolve.errors import InputError
from cimsolve.judge.simulate import ArraySimulator, RealWeights
from cimsolve.model.load import load_model
from cimsolve.model.structure import Structure
from cimsolve.study.accuracy import ArrayProduct, compare
from cimsolve.weights.fitting import fit_alternating
from cimsolve.weights.folder import FolderWeights, linear_weight, open_weights
from cimsolve.weights.forward import Reference, language, listening, load_reference
from cimsolve.weights.forward.bert import BertReference
from cimsolve.weights.forward.language import LanguageModel
from cimsolve.weights.inputs import LinearInputs, heard_in, read_sequences
from cimsolve.weights.monarch import Monarch, project
from makers.folders import WEIGHTS
from makers.tiny_configs import BERT, LLAMA
from makers.tiny_models import model_folder, reference_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SEQUENCES = [np.array([3, 1, 4, 1, 5]), np.array([9, 2, 6, 5, 3, 5, 8])]
MINILM = WEIGHTS / "minilm"


@pytest.fixture(scope="module", params=["bert", "llama"])
def reference(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    config = {"bert": BERT, "llama": LLAMA}[request.param]
    return reference_of(model_folder(tmp_path_factory.mktemp(request.param), config))


def arrays(
    reference: Reference, structure: str = "dense", weights: RealWeights | None = None, **options: Any
) -> ArrayProduct:
    problem = make_problem(reference.model, "rram256", structure=structure)
    answer = map_model(reference.model, "rram256", strategy="spread", structure=structure)
    used = FolderWeights(reference._source, reference.model) if weights is None else weights
    return ArrayProduct(problem, answer.pieces, answer.activations, used, **options)


def by_hand(x: Floats, weight: Floats) -> Floats:
    """8-bit inputs with a scale and a zero point a token, symmetric 8-bit weights with a scale a column."""
    low, high = np.minimum(x.min(axis=1, keepdims=True), 0), np.maximum(x.max(axis=1, keepdims=True), 0)
    scale = (high - low) / 255
    zero = np.rint(-low / scale)
    taken = (np.clip(np.rint(x / scale + zero), 0, 255) - zero) * scale
    column = np.abs(weight).max(axis=0) / 127
    return taken @ (np.rint(weight / column) * column)


def test_each_linear_is_the_quantised_product(reference: Reference) -> None:
    product = arrays(reference, weight_scale="column", input_scale="token")
    random = np.random.default_rng(0)
    for name, linear in reference.linears.items():
        x = random.normal(size=(5, linear.n_in)).astype(np.float32)
        weight = linear_weight(reference._source, linear.tensor, linear.n_in, linear.n_out).astype(np.float64)
        np.testing.assert_allclose(product(name, x), by_hand(x.astype(np.float64), weight), atol=1e-5)
    assert not product.lossy


def test_each_linear_with_few_bits_by_hand(reference: Reference) -> None:
    """Bit by bit, slice by slice: n rows of 2-bit cells sum to 3 n at most, which 3 bits cut into 7 steps."""
    product = arrays(reference, weight_scale="column", input_scale="token", adc_bits_max=3)
    random = np.random.default_rng(0)
    for name, linear in reference.linears.items():
        x = random.normal(size=(5, linear.n_in)).astype(np.float32)
        weight = linear_weight(reference._source, linear.tensor, linear.n_in, linear.n_out).astype(np.float64)
        low, high = np.minimum(x.min(1, keepdims=True), 0.0), np.maximum(x.max(1, keepdims=True), 0.0)
        scale = (high.astype(np.float64) - low) / 255
        zero = np.rint(-low / scale)
        taken = np.clip(np.rint(x / scale + zero), 0, 255).astype(np.int64)
        column = np.abs(weight).max(axis=0) / 127
        held = np.rint(weight / column).astype(np.int64)
        step = 3 * linear.n_in / 7
        sums = -zero * held.sum(axis=0)
        for phase in range(8):
            for part in range(4):
                for sign in (1, -1):
                    cells = np.maximum(sign * held, 0) >> 2 * part & 3
                    codes = np.rint(((taken >> phase) & 1) @ cells / step)
                    sums += sign * 2 ** (phase + 2 * part) * step * codes
        np.testing.assert_allclose(product(name, x), sums * scale * column, rtol=1e-5, atol=1e-3)
    assert product.lossy


@pytest.mark.parametrize("structure", ["dense", "2,2,2"])
def test_layer_by_layer_is_the_same_as_all_at_once(reference: Reference, structure: str) -> None:
    options: dict[str, Any] = {"weight_scale": "column", "adc_bits_max": 3}
    product = arrays(reference, structure, **options)
    problem, pieces, activations = product._mapping
    whole = ArraySimulator(problem, pieces, activations, weights=product._weights, **options)
    found = reference.run(SEQUENCES, product)
    np.testing.assert_array_equal(
        found, reference.run(SEQUENCES, lambda name, x: whole.linear(name, x).astype(np.float32))
    )
    assert product.lossy
    assert not np.allclose(found, reference.run(SEQUENCES), atol=0.01)


def test_calibrated_ranges_need_inputs_and_lose_less(reference: Reference) -> None:
    options: dict[str, Any] = {"weight_scale": "column", "adc_bits_max": 4}
    heard: dict[str, Any] = {}

    def product(name: str, x: Any) -> Any:
        heard[name] = x
        return reference.exact(name, x)

    exact = reference.run(SEQUENCES, product)
    with pytest.raises(InputError, match=r"expected calibrate\(\) first"):
        reference.run(SEQUENCES, arrays(reference, adc_range="calibrated", **options))
    full = reference.run(SEQUENCES, arrays(reference, **options))
    calibrated = reference.run(SEQUENCES, arrays(reference, calibration=heard, adc_range="calibrated", **options))
    assert np.linalg.norm(calibrated - exact) < np.linalg.norm(full - exact)


def test_the_float_model_agrees_with_itself(reference: Reference) -> None:
    exact = reference.run(SEQUENCES)
    found = compare(reference, SEQUENCES, exact, reference.run(SEQUENCES, reference.exact))
    if isinstance(reference, BertReference):
        assert found.cosine == pytest.approx(1, abs=1e-6)
        assert (found.perplexity, found.agreement) == (None, None)
    else:
        assert isinstance(reference, LanguageModel)
        assert found.agreement == 1
        assert found.perplexity == pytest.approx(np.exp(reference.loss(exact, SEQUENCES)))


def test_answers_by_hand(reference: Reference) -> None:
    """Hidden states of another run: cosines of means, or one probability out of a softmax over all logits."""
    ids = [np.array([3, 17])]
    exact = reference.run(ids)
    other = exact + np.random.default_rng(1).normal(size=exact.shape).astype(np.float32)
    found = compare(reference, ids, exact, other)
    if isinstance(reference, BertReference):
        a, b = exact.mean(axis=0), other.mean(axis=0)
        assert found.cosine == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=1e-6)
        return
    head = reference._source.tensor("model.embed_tokens.weight").astype(np.float64)
    logits, wanted = other @ head.T, exact @ head.T
    # One token has a next one: perplexity is 1 / p(17 after 3).
    assert found.perplexity == pytest.approx(np.exp(logits[0]).sum() / np.exp(logits[0, 17]), rel=1e-5)
    assert found.agreement == np.mean(logits.argmax(axis=1) == wanted.argmax(axis=1))


def test_standard_errors_by_hand(reference: Reference) -> None:
    """Of two cosines |a - b| / 2; over tokens, of the difference of -ln p from the float model's."""
    exact = reference.run(SEQUENCES)
    other = exact + np.random.default_rng(1).normal(size=exact.shape).astype(np.float32)
    found = compare(reference, SEQUENCES, exact, other)
    ends = [slice(0, 5), slice(5, 12)]
    if isinstance(reference, BertReference):
        each = [compare(reference, [ids], exact[at], other[at]) for ids, at in zip(SEQUENCES, ends, strict=True)]
        assert [one.error for one in each] == [None, None]
        a, b = (one.cosine or 0 for one in each)
        assert found.cosine == pytest.approx((a + b) / 2)
        assert found.error == pytest.approx(abs(a - b) / 2)
        return
    assert isinstance(reference, LanguageModel)
    head = reference._source.tensor("model.embed_tokens.weight").astype(np.float64)
    losses = []
    for hidden in (exact, other):
        logits = np.log(np.exp(hidden @ head.T) / np.exp(hidden @ head.T).sum(axis=1, keepdims=True))
        losses.append(
            [-logits[at][i, ids[i + 1]] for ids, at in zip(SEQUENCES, ends, strict=True) for i in range(len(ids) - 1)]
        )
    change = np.array(losses[1]) - np.array(losses[0])
    assert found.error == pytest.approx(np.sqrt(((change - change.mean()) ** 2).sum() / 9 / 10), rel=1e-5)
    assert compare(reference, SEQUENCES, exact, exact).error == 0


def test_next_tokens_over_parts_of_the_vocabulary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = reference_of(model_folder(tmp_path, LLAMA))
    assert isinstance(reference, LanguageModel)
    hidden = np.random.default_rng(2).normal(size=(40, 16)).astype(np.float32)
    whole = (hidden @ reference._source.tensor("model.embed_tokens.weight").T).argmax(axis=1)
    assert reference.next_tokens(hidden).tolist() == whole.tolist()
    monkeypatch.setattr(language, "_LOGIT_ROWS", 7)
    assert reference.next_tokens(hidden).tolist() == whole.tolist()
    assert reference.next_tokens(np.zeros((1, 16), np.float32)).tolist() == [0]  # all equal


def _calibrated_shares(held: Ints, taken: Ints, cut: list[slice]) -> dict[tuple[int, int], float]:
    """Of every slice and sign: the share of F = 3 n that holds 99.99 % of its sums, in steps of F / 4096."""
    counts: dict[tuple[int, int], Floats] = {}
    for rows in cut:
        for key, _, sums in _column_sums(held[rows], taken[:, rows]):
            bins = np.minimum(np.ceil(sums * (4096 / (3 * (rows.stop - rows.start)))), 4096).astype(np.int64)
            counts[key] = counts.get(key, np.zeros(4097)) + np.bincount(bins.reshape(-1), minlength=4097)
    return {key: int(np.searchsorted(np.cumsum(each), 0.9999 * each.sum())) / 4096 for key, each in counts.items()}


def _column_sums(held: Ints, taken: Ints) -> Iterator[tuple[tuple[int, int], int, Floats]]:
    """Slice and sign, phase, and the sums of 2-bit cells over one-bit inputs."""
    for part in range(4):
        for sign in (1, -1):
            cells = (np.maximum(sign * held, 0) >> 2 * part & 3).astype(np.float64)
            for phase in range(8):
                yield (part, sign), phase, (taken >> phase & 1).astype(np.float64) @ cells


@pytest.mark.weights
@pytest.mark.parametrize(("bits", "wide"), [(8, "full"), (6, "calibrated")])
def test_minilm_with_few_bits_by_hand(bits: int, wide: str) -> None:
    """Bit by bit, 256 rows a column: every linear of a layer of real weights, on what it reads of real text."""
    if not (MINILM / "model.safetensors").exists():
        pytest.skip("weights/minilm is absent: run `make weights`")
    model, source = load_model(MINILM), open_weights(MINILM)
    reference = load_reference(model, source)
    sequences = read_sequences(["sample"], MINILM, source, reference.context, 200)
    read: dict[str, Any] = {}
    reference.run(sequences, listening(reference.exact, read.__setitem__))
    names = [name for name in reference.linears if ".3." in name]
    assert len(names) == 6
    calibration = {name: read[name][:100] for name in names}
    options: dict[str, Any] = {"adc_bits_max": bits, "adc_range": wide}
    problem = make_problem(model, "rram256", structure="dense")
    answer = map_model(model, "rram256", strategy="linear", structure="dense")
    product = ArrayProduct(
        problem,
        answer.pieces,
        answer.activations,
        FolderWeights(source, model),
        calibration,
        weight_scale="column",
        input_scale="token",
        **options,
    )
    for name in names:
        x = read[name][100:]
        linear = reference.linears[name]
        weight = linear_weight(source, linear.tensor, linear.n_in, linear.n_out).astype(np.float64)
        column = np.abs(weight).max(axis=0) / 127
        held = np.rint(weight / column).astype(np.int64)
        cut = [slice(first, min(first + 256, linear.n_in)) for first in range(0, linear.n_in, 256)]
        taken, scale, zero = _quantised(x)
        shares = _calibrated_shares(held, _quantised(calibration[name])[0], cut) if wide == "calibrated" else {}
        sums = -zero * held.sum(axis=0)
        for rows in cut:
            for key, phase, found in _column_sums(held[rows], taken[:, rows]):
                step = max(1.0, 3 * (rows.stop - rows.start) * shares.get(key, 1.0) / (2**bits - 1))
                # Converters divide in float32, which says where a tie goes.
                codes = np.minimum(np.rint(found.astype(np.float32) * np.float32(1 / step)), 2**bits - 1)
                sums = sums + key[1] * 2.0 ** (phase + 2 * key[0]) * step * codes
        expected = sums * scale * column
        np.testing.assert_allclose(product(name, x), expected, atol=1e-5 * np.abs(expected).max())
    assert product.lossy


def _quantised(x: Any) -> tuple[Ints, Floats, Floats]:
    """8-bit integers, scale and zero point, a token each."""
    exact = x.astype(np.float64)
    low, high = np.minimum(exact.min(1, keepdims=True), 0), np.maximum(exact.max(1, keepdims=True), 0)
    scale = (high - low) / 255
    zero = np.rint(-low / scale)
    return np.clip(np.rint(exact / scale + zero), 0, 255).astype(np.int64), scale, zero


@pytest.mark.weights
def test_minilm_on_arrays() -> None:
    """Dense and lossless is the float model but for quantisation; factors fitted to outputs beat those of weights."""
    if not (MINILM / "model.safetensors").exists():
        pytest.skip("weights/minilm is absent: run `make weights`")
    model, source = load_model(MINILM), open_weights(MINILM)
    reference = load_reference(model, source)
    sequences = read_sequences(["sample"], MINILM, source, reference.context, 4096)
    test = [ids for number, ids in enumerate(sequences) if number % 5 == 4][:7]
    exact = reference.run(test)
    options: dict[str, Any] = {"weight_scale": "column", "input_scale": "token"}
    dense = compare(reference, test, exact, reference.run(test, arrays(reference, **options))).cosine
    assert dense is not None
    assert dense > 0.99
    stored = Structure.monarch(4, 4, 7)
    factors: dict[str, dict[str, Monarch]] = {"plain": {}, "als": {}}

    def visit(name: str, inputs: LinearInputs) -> None:
        linear = reference.linears[name]
        weight = linear_weight(source, linear.tensor, linear.n_in, linear.n_out)
        factors["plain"][name] = project(weight, stored)
        factors["als"][name] = fit_alternating(weight, stored, inputs.fit, inputs.stop).factors

    heard_in(reference, sequences)(visit)
    found: dict[str, float | None] = {}
    for method, weights in factors.items():
        product = arrays(reference, "4,4,7", weights, **options)
        found[method] = compare(reference, test, exact, reference.run(test, product)).cosine
    assert found["plain"] is not None
    assert found["als"] is not None
    assert found["plain"] + 0.1 < found["als"] < dense
