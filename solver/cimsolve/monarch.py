"""Monarch factors of a weight matrix: the best fit, its error, and the product with a vector.

For `k` input blocks, `l` output blocks and rank T per slice, with P = n_in/k and S = n_out/l::

    z[K*(T*l) + q] = sum_p x[K*P + p] * R[K, p, q]
    shuffle: flat index j of z  ->  L-block (j mod l), its row (j div l)
    y[s*l + b]     = sum_r zt[b, r] * L[b, r, s]

The slice of W with input block K and output residue b, `W[K*P:(K+1)*P, b::l]` (P x S), meets only the columns
q of R[K] with q mod l = b and the rows K*T ... K*T+T-1 of L[b]. The slices share no parameter, so the best
fit in Frobenius norm is each slice's truncated SVD (Eckart and Young 1936; Dao et al., "Monarch", ICML 2022,
theorem 1, for T = 1).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh

from cimsolve.arrays import Floats, Ints
from cimsolve.errors import InputError
from cimsolve.structure import Structure

_Float64: TypeAlias = npt.NDArray[np.float64]

# Slices are worked on in groups of about this many numbers, which bounds the float64 temporaries.
_GROUP_NUMBERS = 1 << 20
# From this size on, the few leading eigenvectors of one Gram matrix are cheaper than a batched call for all.
_LARGE_GRAM = 256
# Eigenvalues of a Gram matrix are good to about 1e-16 of its trace: below this share they are not trusted.
_TRUSTED_TAIL = 1e-7


@dataclass(frozen=True, eq=False)
class Monarch:
    """The two block-diagonal factors of one linear.

    `R` has shape (k, P, T*l), `L` has shape (l, T*k, S). Raises ValueError for shapes that do not belong
    together.
    """

    R: Floats
    L: Floats

    def __post_init__(self) -> None:
        if self.R.ndim != 3 or self.L.ndim != 3:
            raise ValueError(f"R and L must have three axes, not {self.R.shape} and {self.L.shape}")
        (k, _, across), (blocks_out, down, _) = self.R.shape, self.L.shape
        if across % blocks_out or down % k or across // blocks_out != down // k:
            raise ValueError(f"R {self.R.shape} and L {self.L.shape} are no (k, P, T*l) and (l, T*k, S)")

    @property
    def structure(self) -> Structure:
        k, blocks_out = self.R.shape[0], self.L.shape[0]
        return Structure.monarch(k, blocks_out, self.R.shape[2] // blocks_out)

    @property
    def n_in(self) -> int:
        return int(self.R.shape[0] * self.R.shape[1])

    @property
    def n_out(self) -> int:
        return int(self.L.shape[0] * self.L.shape[2])


def project(weight: Floats, structure: Structure, name: str = "weight") -> Monarch:
    """The Monarch factors nearest to `weight` (n_in, n_out) in Frobenius norm.

    Computed in float64; the factors have the weight's type if it is float32, float64 otherwise. Of each
    singular value, its square root goes into either factor, so that both use a quantiser's range alike.

    Raises InputError, naming `name`, for NaN or infinite weights and for a structure that does not fit;
    ValueError for a dense structure.
    """
    n_in, n_out = _checked(weight, structure, name)
    k, blocks_out, rank = structure.k, structure.l, structure.rank
    shape_r, shape_l = structure.factors(n_in, n_out)
    kind = np.float32 if weight.dtype == np.float32 else np.float64
    # Axes of R: K, p, t, b; of L: b, K, t, s. Flattened, these are the orders of the module's equations.
    right = np.empty((k, shape_r.rows, rank, blocks_out), dtype=kind)
    left = np.empty((blocks_out, k, rank, shape_l.cols), dtype=kind)
    scale = _scale(weight)
    for rows, columns, slices in _slices(weight, structure, scale):
        tall, wide = _best_product(slices, rank)
        size_tall, size_wide = np.linalg.norm(tall, axis=-2), np.linalg.norm(wide, axis=-1)
        share = np.sqrt(size_tall * size_wide) * math.sqrt(scale)
        # A rank without weight is kept as zeros in both factors, not as a unit vector times zero.
        tall *= np.divide(share, size_tall, out=np.zeros_like(share), where=share > 0)[..., None, :]
        wide *= np.divide(share, size_wide, out=np.zeros_like(share), where=share > 0)[..., None]
        right[rows, :, :, columns] = tall.transpose(0, 2, 3, 1)
        left[columns, rows] = wide.transpose(1, 0, 2, 3)
    return Monarch(right.reshape(shape_r), left.reshape(shape_l))


def reconstruct(monarch: Monarch) -> Floats:
    """The dense matrix (n_in, n_out) that the factors stand for."""
    k, blocks_out, rank = monarch.structure.k, monarch.structure.l, monarch.structure.rank
    right = monarch.R.reshape(k, -1, rank, blocks_out).transpose(0, 3, 1, 2)
    left = monarch.L.reshape(blocks_out, k, rank, -1).transpose(1, 0, 2, 3)
    slices = right @ left
    return slices.transpose(0, 2, 3, 1).reshape(monarch.n_in, monarch.n_out)


def shuffle_index(k: int, blocks_out: int, rank: int) -> Ints:
    """Where the shuffle puts each element of z: shape (k*T*l,), flat index in zt of shape (l, T*k).

    Element j of z goes to row (j div l) of L-block (j mod l), which is flat position (j mod l)*T*k + (j div
    l).
    """
    flat = np.arange(k * rank * blocks_out, dtype=np.int64)
    return (flat % blocks_out) * (rank * k) + flat // blocks_out


def apply(monarch: Monarch, x: Floats) -> Floats:
    """`x @ reconstruct(monarch)` by R, shuffle, L; x has shape (..., n_in), the result (..., n_out).

    Raises ValueError for an x of another length.
    """
    if x.ndim == 0 or x.shape[-1] != monarch.n_in:
        raise ValueError(f"x has shape {x.shape}, its last axis must be {monarch.n_in}")
    k, blocks_out, rank = monarch.structure.k, monarch.structure.l, monarch.structure.rank
    vectors = x.reshape(-1, k, monarch.R.shape[1]).transpose(1, 0, 2)
    z = (vectors @ monarch.R).transpose(1, 0, 2).reshape(-1, k * rank * blocks_out)
    zt = np.empty_like(z)
    zt[:, shuffle_index(k, blocks_out, rank)] = z
    y = zt.reshape(-1, blocks_out, rank * k).transpose(1, 0, 2) @ monarch.L
    return y.transpose(1, 2, 0).reshape(*x.shape[:-1], monarch.n_out)


def relative_error(weight: Floats, monarch: Monarch, name: str = "weight") -> float:
    """`||W - M||_F / ||W||_F` of the factors as they are; 0 for a zero weight met exactly.

    Raises InputError for NaN or infinite weights, ValueError for a weight of another shape.
    """
    if weight.shape != (monarch.n_in, monarch.n_out):
        raise ValueError(f"weight is {weight.shape}, the factors stand for {(monarch.n_in, monarch.n_out)}")
    _checked(weight, monarch.structure, name)
    scale = _scale(weight)
    exact = weight.astype(np.float64)
    exact /= scale
    size = float(np.linalg.norm(exact))
    exact -= reconstruct(Monarch(monarch.R.astype(np.float64) / scale, monarch.L.astype(np.float64)))
    error = float(np.linalg.norm(exact))
    if size == 0:
        return 0.0 if error == 0 else math.inf
    return error / size


def optimal_error(weight: Floats, structure: Structure, name: str = "weight") -> float:
    """The least relative error of any factors of `structure`: the slices' discarded singular values.

    Does not build the factors, so it judges `project` independently. 0 for a dense structure or a zero
    weight. Raises InputError for NaN or infinite weights and for a structure that does not fit.
    """
    if structure.is_dense:
        check_weight(weight, name)
        return 0.0
    _checked(weight, structure, name)
    if structure.rank == min(weight.shape[0] // structure.k, weight.shape[1] // structure.l):
        return 0.0
    total = lost = 0.0
    for _, _, slices in _slices(weight, structure, _scale(weight)):
        energy = _singular_squares(slices, structure.rank)
        total += float(energy.sum())
        lost += float(energy[..., structure.rank :].sum())
    return math.sqrt(lost / total) if total > 0 else 0.0


def lowrank_of_equal_size(n_in: int, n_out: int, structure: Structure) -> int:
    """Rank of the plain low-rank form that stores no more than `structure`: floor(stored / (n_in + n_out)).

    At least 1, which may store more than a very sparse Monarch; at most min(n_in, n_out), which is exact.
    """
    rank = structure.stored_weights(n_in, n_out) // (n_in + n_out)
    return max(1, min(rank, n_in, n_out))


def lowrank_error(weight: Floats, rank: int, name: str = "weight") -> float:
    """The least relative error of any matrix of `rank`: Monarch with k = l = 1. Raises as `optimal_error`."""
    return optimal_error(weight, Structure.monarch(1, 1, rank), name)


def check_weight(weight: Floats, name: str) -> tuple[int, int]:
    """Shape of a usable weight. Raises InputError, naming `name`, for no matrix, no floats, NaN, infinity."""
    if weight.ndim != 2 or 0 in weight.shape:
        raise InputError(f"{name}: a weight must be a matrix with rows and columns, not of shape {weight.shape}")
    if not np.issubdtype(weight.dtype, np.floating):
        raise InputError(f"{name}: a weight must be floating-point, not {weight.dtype}")
    bad = weight.size - int(np.count_nonzero(np.isfinite(weight)))
    if bad:
        raise InputError(f"{name}: {bad} of {weight.size} weights are NaN or infinite")
    return weight.shape[0], weight.shape[1]


def _checked(weight: Floats, structure: Structure, name: str) -> tuple[int, int]:
    n_in, n_out = check_weight(weight, name)
    if structure.is_dense:
        raise ValueError("a dense linear has no Monarch factors")
    structure.validate(n_in, n_out, name)
    return n_in, n_out


def _scale(weight: Floats) -> float:
    """The largest magnitude, by which weights are divided: squares then neither overflow nor vanish."""
    return float(np.abs(weight).max()) or 1.0


def _slices(weight: Floats, structure: Structure, scale: float) -> Iterator[tuple[slice, slice, _Float64]]:
    """Groups of slices of `weight / scale`: (range of K, range of b, float64 array (Ks, bs, P, S))."""
    k, blocks_out = structure.k, structure.l
    view = weight.reshape(k, weight.shape[0] // k, weight.shape[1] // blocks_out, blocks_out).transpose(0, 3, 1, 2)
    slice_numbers = view.shape[2] * view.shape[3]
    fit = max(1, _GROUP_NUMBERS // slice_numbers)
    across = min(blocks_out, fit)
    down = max(1, fit // blocks_out)
    for first in range(0, k, down):
        for start in range(0, blocks_out, across):
            rows, columns = slice(first, first + down), slice(start, start + across)
            group = np.array(view[rows, columns], dtype=np.float64, order="C")
            group /= scale
            yield rows, columns, group


def _best_product(slices: _Float64, rank: int) -> tuple[_Float64, _Float64]:
    """The nearest product of `rank` to each slice: (..., P, S) -> (..., P, rank) and (..., rank, S).

    From the leading eigenvectors of the smaller Gram matrix; where what is left over is too small a share of
    the group for that, by SVD.
    """
    flipped = np.swapaxes(slices, -1, -2)
    if slices.shape[-2] <= slices.shape[-1]:
        tall = _leading_eigenvectors(slices @ flipped, rank)
        wide = np.swapaxes(tall, -1, -2) @ slices
        kept = float(np.vdot(wide, wide))
    else:
        wide = np.swapaxes(_leading_eigenvectors(flipped @ slices, rank), -1, -2)
        tall = slices @ np.swapaxes(wide, -1, -2)
        kept = float(np.vdot(tall, tall))
    total = float(np.vdot(slices, slices))
    if total - kept < _TRUSTED_TAIL * total:
        u, size, vh = np.linalg.svd(slices, full_matrices=False)
        return u[..., :rank] * size[..., None, :rank], vh[..., :rank, :].copy()
    return tall, wide.copy()


def _leading_eigenvectors(gram: _Float64, rank: int) -> _Float64:
    """Eigenvectors of the `rank` largest eigenvalues, largest first; (..., m, m) -> (..., m, rank)."""
    size = gram.shape[-1]
    if size < _LARGE_GRAM or 2 * rank > size:
        return np.linalg.eigh(gram)[1][..., : -rank - 1 : -1]
    # One call a matrix, but of the `rank` vectors wanted only; there are few matrices of this size.
    found = [eigh(g, subset_by_index=(size - rank, size - 1))[1][:, ::-1] for g in gram.reshape(-1, size, size)]
    return np.stack(found).reshape(*gram.shape[:-1], rank)


def _singular_squares(slices: _Float64, rank: int) -> _Float64:
    """Squared singular values of each slice, descending; (..., P, S) -> (..., min(P, S)).

    From the smaller Gram matrix; where what follows `rank` is too small a share of a group for that, by SVD.
    """
    flipped = np.swapaxes(slices, -1, -2)
    gram = slices @ flipped if slices.shape[-2] <= slices.shape[-1] else flipped @ slices
    energy = np.maximum(np.linalg.eigvalsh(gram)[..., ::-1], 0.0)
    if energy[..., rank:].sum() < _TRUSTED_TAIL * energy.sum():
        energy = np.linalg.svd(slices, compute_uv=False) ** 2
    return np.asarray(energy, dtype=np.float64)
