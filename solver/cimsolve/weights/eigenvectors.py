"""The leading eigenvectors of many Gram matrices, in float32 where that is shown to be enough.

The truncated SVD of a slice A (P x S) needs the T leading eigenvectors of its smaller Gram matrix only, and one
LAPACK call a matrix finds them alone: it makes the matrix tridiagonal, bisects for T + 1 eigenvalues and finds their
vectors by inverse iteration (`ssyevr`). In float32 that takes a quarter of the time of a full SVD in float64.

Whether float32 was enough is measured, not assumed. Let Q be the vectors found, `r = ||G Q - Q (Q^T G Q)||_F` their
residual in float64, and `gap` the distance of eigenvalue T from eigenvalue T + 1. Then what Q keeps is less than the
most that any T vectors keep by at most `T * r^2 / gap` (Mathias, "Quadratic residual bounds for the Hermitian
eigenvalue problem", SIAM J. Matrix Anal. Appl. 19, 1998). Slices for which that is too much of what is lost anyway,
as two eigenvalues nearly meet or nearly nothing is lost, are done again in float64.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from cimsolve.columns import Bools

_Floats32: TypeAlias = npt.NDArray[np.float32]
Floats64: TypeAlias = npt.NDArray[np.float64]

LOSS_SHARE = 2e-7
"""Most that float32 may lose of a slice, as a share of its least squared error: 1e-7 of the error itself."""

# Below this size a batched call for all eigenvectors is no slower than one call a matrix for a few.
_SMALL_GRAM = 32
# From this size on, the same in float64.
_LARGE_GRAM = 256
# Eigenvalues of a float64 Gram matrix are good to about 1e-16 of its trace: below this share they are not trusted.
_TRUSTED_TAIL = 1e-7
_EPS32 = float(np.finfo(np.float32).eps)


def best_product(slices: Floats64, rank: int, *, quick: bool = True) -> tuple[Floats64, Floats64]:
    """The nearest product of `rank` to each slice: (n, P, S) -> (n, P, rank) and (n, rank, S).

    Of the two, the shorter side's has orthonormal columns or rows, in order of falling singular values. `quick`
    allows float32 where the loss is certified (module docstring); without it all is float64.
    """
    if slices.shape[-2] > slices.shape[-1]:
        tall, wide = best_product(np.swapaxes(slices, -1, -2), rank, quick=quick)
        return np.swapaxes(wide, -1, -2), np.swapaxes(tall, -1, -2)
    size = slices.shape[-2]
    if not quick or size < _SMALL_GRAM or 4 * rank > size:
        return _in_float64(slices, rank)
    tall, wide, certain = _in_float32(slices, rank)
    if not certain.all():
        tall[~certain], wide[~certain] = _in_float64(slices[~certain], rank)
    return tall, wide


def _in_float32(slices: Floats64, rank: int) -> tuple[Floats64, Floats64, Bools]:
    """The products, and of which slices the loss is certified; P <= S."""
    size = slices.shape[-2]
    narrow = slices.astype(np.float32)
    vectors, values, done = _few_of_each(narrow @ np.swapaxes(narrow, -1, -2), rank)
    tall = vectors.astype(np.float64)
    wide = np.swapaxes(tall, -1, -2) @ slices
    image = slices @ np.swapaxes(wide, -1, -2)
    residual = image - tall @ (np.swapaxes(tall, -1, -2) @ image)
    squared = np.einsum("nij,nij->n", residual, residual)
    lost = np.einsum("nij,nij->n", slices, slices) - np.einsum("nij,nij->n", wide, wide)
    # LAPACK's eigenvalues are off by no more than some eps * size of the largest.
    gap = values[:, rank - 1] - values[:, rank] - size * _EPS32 * values[:, 0] - np.sqrt(squared)
    certain = done & (gap >= 0) & (rank * squared <= LOSS_SHARE * lost * gap)
    return tall, wide, certain


def _few_of_each(gram: _Floats32, rank: int) -> tuple[_Floats32, Floats64, Bools]:
    """Eigenvectors (n, m, rank) and one more eigenvalue (n, rank + 1), largest first; whether LAPACK converged."""
    from scipy.linalg import get_lapack_funcs  # slow to load, and most commands decompose nothing

    count, size, _ = gram.shape
    vectors = np.zeros((count, size, rank), dtype=np.float32)
    values = np.zeros((count, rank + 1))
    done = np.zeros(count, dtype=np.bool_)
    (syevr,) = get_lapack_funcs(("syevr",), dtype=np.float32)
    for number, matrix in enumerate(gram):
        # The matrix is symmetric: its transpose is itself in the order of memory that LAPACK wants.
        found, basis, how_many, _, info = syevr(matrix.T, range="I", il=size - rank, iu=size, overwrite_a=1)
        if info == 0 and how_many == rank + 1:
            values[number] = found[rank::-1]
            vectors[number] = basis[:, rank:0:-1]
            done[number] = True
    return vectors, values, done


def _in_float64(slices: Floats64, rank: int) -> tuple[Floats64, Floats64]:
    """From the Gram matrices; by SVD where what is left over is too small a share of the group for that; P <= S."""
    tall = _leading_eigenvectors(slices @ np.swapaxes(slices, -1, -2), rank)
    wide = np.swapaxes(tall, -1, -2) @ slices
    total = float(np.vdot(slices, slices))
    if total - float(np.vdot(wide, wide)) < _TRUSTED_TAIL * total:
        u, size, vh = np.linalg.svd(slices, full_matrices=False)
        return u[..., :rank] * size[..., None, :rank], vh[..., :rank, :].copy()
    return tall, wide


def _leading_eigenvectors(gram: Floats64, rank: int) -> Floats64:
    """Eigenvectors of the `rank` largest eigenvalues, largest first; (n, m, m) -> (n, m, rank)."""
    from scipy.linalg import eigh

    size = gram.shape[-1]
    if size < _LARGE_GRAM or 2 * rank > size:
        return np.linalg.eigh(gram)[1][..., : -rank - 1 : -1].copy()
    # One call a matrix, but of the `rank` vectors wanted only; there are few matrices of this size.
    return np.stack([eigh(g, subset_by_index=(size - rank, size - 1))[1][:, ::-1] for g in gram])
