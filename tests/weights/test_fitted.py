"""Factors fitted to inputs: what is closed-form is the optimum, what alternates never gets worse."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import minimize

from cimsolve.errors import InputError
from cimsolve.model.structure import Structure
from cimsolve.weights import fitting
from cimsolve.weights.fitting import fit_alternating, fit_whitened, output_error
from cimsolve.weights.inputs import LinearInputs
from cimsolve.weights.monarch import Monarch, project, reconstruct
from cimsolve.weights.projection import project_linear

Floats = npt.NDArray[np.float64]


def case(seed: int, n_in: int = 24, n_out: int = 18, samples: int = 200) -> tuple[Floats, Floats, Floats]:
    """A weight and correlated inputs: some to fit, some to judge by."""
    rng = np.random.default_rng(seed)
    mix = rng.standard_normal((n_in, n_in)) * np.geomspace(1, 0.05, n_in)
    inputs = rng.standard_normal((2 * samples, n_in)) @ mix
    return rng.standard_normal((n_in, n_out)), inputs[:samples], inputs[samples:]


def objective(weight: Floats, factors: Monarch, inputs: Floats) -> float:
    """What is minimised: squared error of the outputs, and a little of the weights'."""
    rest = weight - reconstruct(factors)
    ridge = fitting.RIDGE * float((inputs**2).mean()) * len(inputs)
    return float(((inputs @ rest) ** 2).sum() + ridge * (rest**2).sum())


def minimum_near(weight: Floats, factors: Monarch, inputs: Floats) -> float:
    """The objective at the local minimum that a general optimiser finds from `factors`."""
    shapes, split = (factors.R.shape, factors.L.shape), factors.R.size

    def value(flat: Floats) -> float:
        return objective(weight, Monarch(flat[:split].reshape(shapes[0]), flat[split:].reshape(shapes[1])), inputs)

    start = np.concatenate([factors.R.ravel(), factors.L.ravel()])
    return float(minimize(value, start, method="L-BFGS-B", options={"maxfun": 10**6, "maxiter": 300}).fun)


@pytest.mark.parametrize("seed", range(3))
def test_whitened_low_rank_is_the_optimum(seed: int) -> None:
    """For k = 1: by the definition, through the eigenvectors of the covariance, and against perturbations."""
    weight, inputs, _ = case(seed)
    rank = 3
    found = fit_whitened(weight, Structure.monarch(1, 1, rank), inputs)
    covariance = inputs.T @ inputs + fitting.RIDGE * float((inputs**2).mean()) * len(inputs) * np.eye(24)
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(values)) @ vectors.T
    u, size, vh = np.linalg.svd(root @ weight, full_matrices=False)
    best = np.linalg.solve(root, (u[:, :rank] * size[:rank]) @ vh[:rank])
    np.testing.assert_allclose(reconstruct(found), best, atol=1e-8)
    assert objective(weight, found, inputs) == pytest.approx(float((size[rank:] ** 2).sum()), rel=1e-9)
    rng = np.random.default_rng(seed)
    for _ in range(20):
        near = Monarch(
            found.R + 1e-3 * rng.standard_normal(found.R.shape), found.L + 1e-3 * rng.standard_normal(found.L.shape)
        )
        assert objective(weight, near, inputs) > objective(weight, found, inputs)


@pytest.mark.parametrize("text", ["4,3,1", "2,2,3", "1,3,2"])
def test_whitened_is_the_optimum_where_blocks_are_not_correlated(text: str) -> None:
    """Inputs of one block at a time: the covariance is block-diagonal, and a general optimiser finds nothing less."""
    weight, inputs, _ = case(5)
    structure = Structure.parse(text)
    apart = np.zeros((structure.k, *inputs.shape))
    for block in range(structure.k):
        rows = slice(block * 24 // structure.k, (block + 1) * 24 // structure.k)
        apart[block][:, rows] = inputs[:, rows]
    inputs = apart.reshape(-1, 24)
    found = fit_whitened(weight, structure, inputs)
    assert minimum_near(weight, found, inputs) >= objective(weight, found, inputs) * (1 - 1e-7)
    assert objective(weight, project(weight, structure), inputs) > objective(weight, found, inputs)


def test_white_inputs_make_it_the_plain_projection() -> None:
    """Inputs that are the unit vectors: the error of the outputs is that of the weights."""
    weight, _, _ = case(1)
    structure = Structure.monarch(4, 3, 2)
    found = fit_whitened(weight, structure, np.eye(24))
    np.testing.assert_allclose(reconstruct(found), reconstruct(project(weight, structure)), atol=1e-10)
    error = np.linalg.norm(weight - reconstruct(found)) / np.linalg.norm(weight)
    assert output_error(weight, found, np.eye(24)) == pytest.approx(error)


@pytest.mark.parametrize("text", ["4,3,1", "2,2,3", "8,9,1"])
def test_each_turn_lowers_the_error_on_what_it_fits(text: str) -> None:
    weight, inputs, _ = case(7)
    structure = Structure.parse(text)
    task = fitting._Task(weight, structure, inputs)
    tall, wide = task.whitened()
    values = [objective(weight, fitting.from_slices(tall, wide), inputs)]
    for sweep in range(6):
        task.improve_blocks(tall, wide, np.random.default_rng(sweep).permutation(structure.k))
        values.append(objective(weight, fitting.from_slices(tall, wide), inputs))
        task.improve_left(tall, wide)
        values.append(objective(weight, fitting.from_slices(tall, wide), inputs))
    assert all(after <= before * (1 + 1e-9) for before, after in itertools.pairwise(values))
    assert values[-1] < 0.95 * values[0]


@pytest.mark.parametrize("text", ["4,3,1", "2,2,3"])
def test_alternation_ends_near_a_minimum(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "BETTER", 1e-9)
    monkeypatch.setattr(fitting, "SWEEPS_MAX", 300)
    weight, inputs, _ = case(9)
    found = fit_alternating(weight, Structure.parse(text), inputs, inputs).factors
    assert minimum_near(weight, found, inputs) >= objective(weight, found, inputs) * (1 - 1e-3)


def test_the_best_sweep_on_the_other_inputs_wins() -> None:
    """Few inputs to fit: what fits them ever better gets worse on others, and the alternation stops before."""
    weight, inputs, others = case(11, samples=30)
    structure = Structure.monarch(2, 2, 4)
    found = fit_alternating(weight, structure, inputs, others)
    assert found.stop_errors[0] == output_error(weight, fit_whitened(weight, structure, inputs), others)
    assert found.stop_errors[found.sweep] == output_error(weight, found.factors, others)
    last = len(found.stop_errors) - 1
    assert last == fitting.SWEEPS_MAX or last - found.sweep == fitting.PATIENCE
    assert found.stop_errors[found.sweep] <= min(found.stop_errors) * (1 + fitting.BETTER)


def test_the_same_seed_gives_the_same_factors() -> None:
    weight, inputs, others = case(13)
    runs = [fit_alternating(weight, Structure.monarch(4, 3, 1), inputs, others, seed).factors for seed in (1, 1, 2)]
    np.testing.assert_array_equal(runs[0].R, runs[1].R)
    np.testing.assert_array_equal(runs[0].L, runs[1].L)
    assert not np.array_equal(runs[0].R, runs[2].R)


def test_each_method_is_better_at_what_it_minimises() -> None:
    weight, inputs, others = case(17, samples=2000)
    structure = Structure.monarch(4, 3, 1)
    plain, whitened = project(weight, structure), fit_whitened(weight, structure, inputs)
    alternated = fit_alternating(weight, structure, inputs, others).factors
    errors = [output_error(weight, each, others) for each in (plain, whitened, alternated)]
    assert errors == sorted(errors, reverse=True)
    assert np.linalg.norm(weight - reconstruct(plain)) == min(
        np.linalg.norm(weight - reconstruct(each)) for each in (plain, whitened, alternated)
    )


def test_inputs_and_weights_that_are_nothing() -> None:
    weight, inputs, others = case(19)
    structure = Structure.monarch(4, 3, 1)
    for found in (
        fit_whitened(weight, structure, np.zeros_like(inputs)),
        fit_alternating(weight, structure, np.zeros_like(inputs), np.zeros_like(others)).factors,
    ):
        np.testing.assert_allclose(reconstruct(found), reconstruct(project(weight, structure)), atol=1e-9)
    zero = fit_alternating(np.zeros_like(weight), structure, inputs, others).factors
    assert not reconstruct(zero).any()
    assert output_error(np.zeros_like(weight), zero, others) == 0


@pytest.mark.parametrize(("weights", "read"), [(1.0, 1e38), (1e38, 1e10)])
def test_products_beyond_float32_are_refused(weights: float, read: float) -> None:
    weight = np.full((8, 8), weights, dtype=np.float32)
    inputs = LinearInputs(*(np.full((25, 8), read, dtype=np.float32),) * 3)
    with pytest.raises(InputError, match=r"a: weights up to .* too large to be fitted in float32"):
        project_linear("a", weight, Structure.monarch(2, 2), method="als", inputs=inputs)


def test_float32_comes_back_as_float32() -> None:
    weight, inputs, others = (each.astype(np.float32) for each in case(23))
    found = fit_alternating(weight, Structure.monarch(2, 3, 2), inputs, others).factors
    assert (found.R.dtype, found.L.dtype) == (np.float32, np.float32)
