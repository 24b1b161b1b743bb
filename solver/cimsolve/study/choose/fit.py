"""What linears read of a text, as sums of squares, and the low-rank factors nearest in the outputs.

With C = X^T X + ridge, C = F F^T, the factors of rank T nearest in ||X (W - M)|| are F^-T times the truncated singular
value decomposition of F^T W; what they lose is the sum of its squared singular values beyond T.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.linalg import solve_triangular

from cimsolve.columns import Floats, Ints
from cimsolve.model.structure import Structure
from cimsolve.weights.eigenvectors import Floats64, best_product
from cimsolve.weights.forward import Reference, listening
from cimsolve.weights.monarch import Monarch, demand_finite, from_slices
from cimsolve.weights.tensors import Floats32

RIDGE = 0.01
"""What C gets added, as a share of its mean diagonal."""
_ROWS = 1 << 12
"""Samples that are in memory in float64 at a time."""


def read_of(reference: Reference, sequences: Sequence[Ints]) -> Mapping[str, Floats64]:
    """Linear -> X^T X of what it reads while the model runs over `sequences`, in float64; shared where it is the same.

    Raises InputError for inputs that are no numbers.
    """
    found: dict[str, Floats64] = {}
    last: tuple[Floats32 | None, str] = (None, "")

    def hear(name: str, inputs: Floats32) -> None:
        nonlocal last
        if inputs is last[0]:
            found[name] = found[last[1]]
            return
        demand_finite(inputs, f"{reference.model.name}: what {name} reads", "numbers")
        total = np.zeros((inputs.shape[1], inputs.shape[1]))
        for first in range(0, len(inputs), _ROWS):
            part = inputs[first : first + _ROWS].astype(np.float64)
            total += part.T @ part
        found[name], last = total, (inputs, name)

    reference.run(sequences, listening(reference.exact, hear))
    return found


class Whitened:
    """One linear's weight as its inputs see it: F^T W."""

    def __init__(self, weight: Floats, read: Floats64) -> None:
        """`weight` (n_in, n_out), `read` X^T X (n_in, n_in)."""
        ridge = RIDGE * (float(np.trace(read)) / len(read) or 1.0)
        self._root = np.linalg.cholesky(read + ridge * np.eye(len(read)))
        self._seen: Floats64 = self._root.T @ weight

    def lost(self) -> Floats64:
        """What low-rank factors of T = 0, 1, 2, ... lose, ||X (W - M)||^2; shape (min(n_in, n_out) + 1,)."""
        squares = np.linalg.svd(self._seen, compute_uv=False) ** 2
        return np.append(np.cumsum(squares[::-1])[::-1], 0.0)

    def factors(self, structure: Structure) -> Monarch:
        """The nearest factors of low rank, in float32."""
        tall, wide = best_product(self._seen[None], structure.rank)
        tall = solve_triangular(self._root, tall[0], lower=True, trans="T", check_finite=False)
        return from_slices(tall[None, None], wide[None], np.float32)
