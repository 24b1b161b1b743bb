"""Few eigenvectors instead of all, float32 instead of float64: the optimum stays the optimum."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from cimsolve.model.structure import Structure
from cimsolve.weights import eigenvectors
from cimsolve.weights.eigenvectors import best_product
from cimsolve.weights.monarch import project, relative_error

RNG = np.random.default_rng(3)


def with_singular_values(values: list[float], rows: int, cols: int) -> npt.NDArray[np.float64]:
    """One matrix (1, rows, cols) of these singular values, zeros after them."""
    left = np.linalg.qr(RNG.standard_normal((rows, rows)))[0][:, : len(values)]
    right = np.linalg.qr(RNG.standard_normal((cols, cols)))[0][: len(values)]
    return ((left * values) @ right)[None]


def svd_loss(slices: npt.NDArray[np.float64], rank: int) -> npt.NDArray[np.float64]:
    return (np.linalg.svd(slices, compute_uv=False)[:, rank:] ** 2).sum(axis=1)


def loss(slices: npt.NDArray[np.float64], rank: int, quick: bool = True) -> npt.NDArray[np.float64]:
    tall, wide = best_product(slices, rank, quick=quick)
    return ((slices - tall @ wide) ** 2).sum(axis=(1, 2))


@pytest.mark.parametrize(("rows", "cols"), [(32, 32), (48, 96), (96, 40), (6, 9)])
@pytest.mark.parametrize("rank", [1, 2, 5])
def test_the_product_is_the_nearest_one(rows: int, cols: int, rank: int) -> None:
    slices = RNG.standard_normal((7, rows, cols))
    np.testing.assert_allclose(loss(slices, rank), svd_loss(slices, rank), rtol=2e-7)
    np.testing.assert_allclose(loss(slices, rank, quick=False), svd_loss(slices, rank), rtol=1e-12)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([1.0] * 40, id="all equal"),
        pytest.param([1.0, 1.0 - 1e-7, 0.5, 0.2], id="two nearly equal"),
        pytest.param([1.0, 1e-3, 1e-6, 1e-9], id="almost of the rank"),
        pytest.param([1.0], id="of the rank"),
        pytest.param([1.0, 0.3, 0.1], id="of a lower rank than asked for"),
        pytest.param([], id="zero"),
    ],
)
@pytest.mark.parametrize("rank", [1, 4])
def test_hard_spectra_are_met_too(values: list[float], rank: int) -> None:
    slices = np.concatenate([with_singular_values(values, 40, 56) for _ in range(3)])
    expected = svd_loss(slices, rank)
    np.testing.assert_allclose(loss(slices, rank), expected, rtol=3e-7, atol=1e-15)


def test_a_certificate_is_given_to_what_deserves_it() -> None:
    slices = np.concatenate(
        [RNG.standard_normal((1, 40, 40)), with_singular_values([1.0] * 40, 40, 40), np.zeros((1, 40, 40))]
    )
    assert eigenvectors._in_float32(slices, 2)[2].tolist() == [True, False, True]


@pytest.mark.parametrize("angle", [3e-1, 1e-1, 1e-2])
def test_vectors_that_lose_too_much_get_no_certificate(angle: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Turned by `angle` out of the best plane, the vectors lose about angle^2 of an eigenvalue."""
    slices = RNG.standard_normal((20, 40, 40))
    honest = eigenvectors._few_of_each

    def turned(gram: npt.NDArray[np.float32], rank: int) -> tuple[object, object, object]:
        vectors, values, done = honest(gram, rank + 1)
        mixed = vectors[:, :, :rank].copy()
        mixed[:, :, -1] = np.cos(angle) * vectors[:, :, rank - 1] + np.sin(angle) * vectors[:, :, rank]
        return mixed, values[:, : rank + 1], done

    monkeypatch.setattr(eigenvectors, "_few_of_each", turned)
    tall, wide, certain = eigenvectors._in_float32(slices, 2)
    lost = ((slices - tall @ wide) ** 2).sum(axis=(1, 2)) / svd_loss(slices, 2) - 1
    assert not certain[lost > eigenvectors.LOSS_SHARE].any()
    assert (lost > eigenvectors.LOSS_SHARE).sum() >= 10  # the test has something to find
    np.testing.assert_allclose(loss(slices, 2), svd_loss(slices, 2), rtol=2e-7)


def test_an_eigensolver_that_fails_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> tuple[object, ...]:
        return np.zeros(40), np.zeros((40, 3)), 0, None, 1

    monkeypatch.setattr("scipy.linalg.get_lapack_funcs", lambda *_, **__: (fails,))
    slices = RNG.standard_normal((3, 40, 40))
    np.testing.assert_allclose(loss(slices, 2), svd_loss(slices, 2), rtol=1e-12)


@pytest.mark.parametrize("text", ["4,4,1", "4,4,5", "2,8,3", "1,1,16"])
def test_float32_weights_reach_the_optimum(text: str) -> None:
    weight = RNG.standard_normal((160, 256)).astype(np.float32)
    structure = Structure.parse(text)
    rows, cols = 160 // structure.k, 256 // structure.l
    slices = weight.reshape(structure.k, rows, cols, structure.l).transpose(0, 3, 1, 2).reshape(-1, rows, cols)
    least = np.sqrt(svd_loss(slices.astype(np.float64), structure.rank).sum()) / np.linalg.norm(weight)
    assert relative_error(weight, project(weight, structure)) == pytest.approx(least, rel=1e-6)
