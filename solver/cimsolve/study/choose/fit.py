"""What linears read of a text, as sums of squares, and the low-rank factors nearest in the outputs.

With C = X^T X + ridge, C = F F^T, the factors of rank T nearest in ||X (W - M)|| are F^-T times the truncated singular
value decomposition of F^T W; what they lose is the sum of its squared singular values beyond T.

Two-sided, with G the sum of g g^T over gradients g at the outputs, G + ridge = H H^T, the same of F^T W H is nearest in
||F^T (W - M) H||, and the wide factor is taken back by H^-1: errors count where the loss feels them (K-FAC).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.linalg import solve_triangular

from cimsolve.columns import Bools, Floats, Ints
from cimsolve.model.structure import Structure
from cimsolve.weights.eigenvectors import Floats64, best_product
from cimsolve.weights.forward import Reference, listening
from cimsolve.weights.forward.backward import DecoderGradients
from cimsolve.weights.forward.language import LanguageModel
from cimsolve.weights.monarch import Monarch, demand_finite, from_slices
from cimsolve.weights.tensors import Floats32

RIDGE = 0.01
"""What C gets added, as a share of its mean diagonal."""
_ROWS = 1 << 12
"""Samples that are in memory in float64 at a time."""


def read_of(reference: Reference, sequences: Sequence[Ints]) -> Mapping[str, Floats64]:
    """Linear -> mean of x x^T of what it reads while the model runs over `sequences`; shared where it is the same.

    A decoder's first positions are left out: all later ones rest on them, and their inputs may be a thousand times
    larger, so that nothing else would count. Raises InputError for inputs that are no numbers.
    """
    counted = counted_tokens(reference, sequences)
    found: dict[str, Floats64] = {}
    last: tuple[Floats32 | None, str] = (None, "")

    def hear(name: str, inputs: Floats32) -> None:
        nonlocal last
        if inputs is last[0]:
            found[name] = found[last[1]]
            return
        demand_finite(inputs, f"{reference.model.name}: what {name} reads", "numbers")
        found[name], last = mean_square(inputs, counted), (inputs, name)

    reference.run(sequences, listening(reference.exact, hear))
    return found


def gradients_of(decoder: DecoderGradients, sequences: Sequence[Ints]) -> Mapping[str, Floats64]:
    """Linear -> mean of g g^T over gradients at its outputs. Raises InputError where they are no numbers."""
    counted = counted_tokens(decoder, sequences)
    found: dict[str, Floats64] = {}

    def hear(name: str, slopes: Floats32) -> None:
        demand_finite(slopes, f"{decoder.model.name}: gradients at {name}", "numbers")
        found[name] = mean_square(slopes, counted)

    decoder.gradients(sequences, hear)
    return found


def counted_tokens(reference: Reference, sequences: Sequence[Ints]) -> Bools:
    """Which tokens count: all, of a decoder all but the first of each sequence."""
    whole = not isinstance(reference, LanguageModel) or all(len(ids) == 1 for ids in sequences)
    return np.concatenate([np.arange(len(ids)) >= (0 if whole else 1) for ids in sequences])


def mean_square(numbers: Floats32, counted: Bools) -> Floats64:
    """The mean of x x^T over the rows of numbers (tokens, width) that count, in float64."""
    kept = numbers if counted.all() else numbers[counted]
    return mean_product(kept, kept)


def mean_product(left: Floats32, right: Floats32) -> Floats64:
    """The mean of x y^T over the rows of two tables (tokens, width), in float64; symmetric where they are the same."""
    total = np.zeros((left.shape[1], right.shape[1]))
    for first in range(0, len(left), _ROWS):
        part = left[first : first + _ROWS].astype(np.float64)
        total += part.T @ (part if right is left else right[first : first + _ROWS].astype(np.float64))
    return np.asarray(total / len(left))


class Whitened:
    """One linear's weight as its inputs, and the loss behind its outputs, see it: F^T W, or F^T W H."""

    def __init__(self, weight: Floats, read: Floats64, felt: Floats64 | None = None) -> None:
        """`weight` (n_in, n_out), `read` the mean of x x^T, `felt` that of g g^T; None: all outputs count alike."""
        self._root = root_of(read)
        self._seen: Floats64 = self._root.T @ weight
        self._felt = None if felt is None else root_of(felt)
        if self._felt is not None:
            self._seen = self._seen @ self._felt

    def lost(self) -> Floats64:
        """What low-rank factors of T = 0, 1, 2, ... lose, squared, in the mean; shape (min(n_in, n_out) + 1,)."""
        squares = np.linalg.svd(self._seen, compute_uv=False) ** 2
        return np.append(np.cumsum(squares[::-1])[::-1], 0.0)

    def factors(self, structure: Structure) -> Monarch:
        """The nearest factors of low rank, in float32."""
        return nearest(self._root, self._seen, self._felt, structure.rank)


def nearest(root: Floats64, seen: Floats64, felt: Floats64 | None, rank: int) -> Monarch:
    """Of F, F^T W H (or F^T W) and H the factors of `rank` nearest in the outputs, in float32."""
    tall, wide = best_product(seen[None], rank)
    tall = solve_triangular(root, tall[0], lower=True, trans="T", check_finite=False)
    if felt is not None:
        wide = solve_triangular(felt, wide[0].T, lower=True, trans="T", check_finite=False).T[None]
    return from_slices(tall[None, None], wide[None], np.float32)


def root_of(square: Floats64) -> Floats64:
    """Lower triangular F, F F^T = the square and a ridge."""
    return np.asarray(np.linalg.cholesky(square + ridge_of(square) * np.eye(len(square))))


def ridge_of(square: Floats64) -> float:
    """What its diagonal gets added."""
    return RIDGE * (float(np.trace(square)) / len(square) or 1.0)
