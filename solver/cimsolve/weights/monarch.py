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
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cimsolve.columns import Floats, Ints
from cimsolve.errors import InputError
from cimsolve.model.structure import Structure
from cimsolve.weights.eigenvectors import Floats64, best_product

# Slices are worked on in groups of about this many numbers, which bounds the float64 temporaries.
_GROUP_NUMBERS = 1 << 20


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
        """The structure that these factors have."""
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

    The factors have the weight's type if it is float32, float64 otherwise, and the arithmetic is that of `leading`:
    for float32 weights the error is within 1e-6 of the least one. Of each singular value, its square root goes into
    either factor, so that both use a quantiser's range alike.

    Raises InputError, naming `name`, for NaN or infinite weights and for a structure that does not fit;
    ValueError for a dense structure.
    """
    n_in, n_out = _checked(weight, structure, name)
    k, blocks_out, rank = structure.k, structure.l, structure.rank
    tall = np.empty((k, blocks_out, n_in // k, rank))
    wide = np.empty((k, blocks_out, rank, n_out // blocks_out))
    scale = _scale(weight)
    quick = weight.dtype == np.float32
    for rows, columns, slices in _slices(weight, structure, scale):
        flat = slices.reshape(-1, *slices.shape[2:])
        found = best_product(flat, rank, quick=quick)
        tall[rows, columns] = found[0].reshape(*slices.shape[:2], *tall.shape[2:])
        wide[rows, columns] = found[1].reshape(*slices.shape[:2], *wide.shape[2:])
    return from_slices(tall, wide, np.float32 if quick else np.float64, scale)


def from_slices(tall: Floats, wide: Floats, dtype: npt.DTypeLike = np.float64, scale: float = 1.0) -> Monarch:
    """The factors whose slice (K, b) is `scale * tall[K, b] @ wide[K, b]`; shapes (k, l, P, T) and (k, l, T, S).

    The two share each rank's magnitude alike, so that both use a quantiser's range alike.
    """
    k, blocks_out, rows, rank = tall.shape
    size_tall, size_wide = np.linalg.norm(tall, axis=-2), np.linalg.norm(wide, axis=-1)
    share = np.sqrt(size_tall * size_wide) * math.sqrt(scale)
    # A rank without weight is kept as zeros in both factors, not as a unit vector times zero.
    tall = tall * np.divide(share, size_tall, out=np.zeros_like(share), where=share > 0)[..., None, :]
    wide = wide * np.divide(share, size_wide, out=np.zeros_like(share), where=share > 0)[..., None]
    # Axes of R: K, p, t, b; of L: b, K, t, s. Flattened, these are the orders of the module's equations.
    right = tall.transpose(0, 2, 3, 1).astype(dtype, order="C").reshape(k, rows, rank * blocks_out)
    left = wide.transpose(1, 0, 2, 3).astype(dtype, order="C").reshape(blocks_out, k * rank, wide.shape[-1])
    return Monarch(right, left)


@np.errstate(over="ignore", invalid="ignore")  # who asks judges what is not finite
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


def apply(monarch: Monarch, x: Floats, between: Callable[[Floats], Floats] = lambda z: z) -> Floats:
    """`x @ reconstruct(monarch)` by R, shuffle, L; x has shape (..., n_in), the result (..., n_out).

    L reads what `between` makes of z, (vectors, k*T*l).

    Raises ValueError for an x of another length.
    """
    if x.ndim == 0 or x.shape[-1] != monarch.n_in:
        raise ValueError(f"x has shape {x.shape}, its last axis must be {monarch.n_in}")
    k, blocks_out, rank = monarch.structure.k, monarch.structure.l, monarch.structure.rank
    vectors = x.reshape(-1, k, monarch.R.shape[1]).transpose(1, 0, 2)
    z = between((vectors @ monarch.R).transpose(1, 0, 2).reshape(-1, k * rank * blocks_out))
    zt = z.reshape(-1, k * rank, blocks_out).transpose(0, 2, 1).astype(z.dtype, order="C", copy=False)
    y = zt.transpose(1, 0, 2) @ monarch.L
    return y.transpose(1, 2, 0).reshape(*x.shape[:-1], monarch.n_out)


def relative_error(weight: Floats, monarch: Monarch, name: str = "weight") -> float:
    """`||W - M||_F / ||W||_F` of the factors as they are; 0 for a zero weight met exactly. Raises as `norms` does."""
    size, error, _ = norms(weight, monarch, name)
    if size == 0:
        return 0.0 if error == 0 else math.inf
    return error / size


def norms(weight: Floats, monarch: Monarch, name: str = "weight") -> tuple[float, float, float]:
    """`||W||_F` and `||W - M||_F` of the factors as they are, in multiples of the third, the largest weight.

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
    return size, float(np.linalg.norm(exact)), scale


def lowrank_of_equal_size(n_in: int, n_out: int, structure: Structure) -> int:
    """Rank of the plain low-rank form that stores no more than `structure`: floor(stored / (n_in + n_out)).

    At least 1, which may store more than a very sparse Monarch; at most min(n_in, n_out), which is exact.
    """
    rank = structure.stored_weights(n_in, n_out) // (n_in + n_out)
    return max(1, min(rank, n_in, n_out))


def check_weight(weight: Floats, name: str) -> tuple[int, int]:
    """Shape of a usable weight. Raises InputError, naming `name`, for no matrix, no floats, NaN, infinity."""
    if weight.ndim != 2 or 0 in weight.shape:
        raise InputError(f"{name}: a weight must be a matrix with rows and columns, not of shape {weight.shape}")
    if not np.issubdtype(weight.dtype, np.floating):
        raise InputError(f"{name}: a weight must be floating-point, not {weight.dtype}")
    demand_finite(weight, name, "weights")
    return weight.shape[0], weight.shape[1]


def demand_finite(numbers: Floats, where: str, what: str, rows: Ints | None = None) -> None:
    """Raise InputError, with the first row in question, unless all `numbers` are finite.

    `rows`: the numbers of the rows that these are; by default all, from 0 on.
    """
    finite = np.isfinite(numbers)
    bad = numbers.size - int(np.count_nonzero(finite))
    if bad:
        first = int(np.argmin(finite.reshape(len(numbers), -1).all(axis=1)))
        row = first if rows is None else int(rows[first])
        raise InputError(
            f"{where}: {bad} of {numbers.size} {what} are NaN or infinite, first in row {row}; write or fetch them anew"
        )


def _checked(weight: Floats, structure: Structure, name: str) -> tuple[int, int]:
    n_in, n_out = check_weight(weight, name)
    if structure.is_dense:
        raise ValueError("a dense linear has no Monarch factors")
    structure.validate(n_in, n_out, name)
    return n_in, n_out


def _scale(weight: Floats) -> float:
    """The largest magnitude, by which weights are divided: squares then neither overflow nor vanish."""
    return float(np.abs(weight).max()) or 1.0


def _slices(weight: Floats, structure: Structure, scale: float) -> Iterator[tuple[slice, slice, Floats64]]:
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
