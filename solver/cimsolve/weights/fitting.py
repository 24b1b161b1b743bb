"""Factors fitted to what a linear reads: the error of y = x W counts, not that of W.

With inputs X (samples, n_in) the error of an approximation M is, up to the number of samples,

    ||X (W - M)||_F^2 = ||F^T (W - M)||_F^2,   C = X^T X = F F^T

Columns of W do not meet in it, so output residues b are apart from each other; the k blocks of rows that a residue
reads meet in the off-diagonal blocks C[K, K'] of the covariance.

- `fit_whitened` leaves those out. Each slice is then on its own: F[K]^T W[K, b] is cut to rank T by its SVD and
  F[K]^-T is taken back. That is the optimum where k = 1, plain low-rank among it, and where the inputs of different
  blocks are not correlated; else it is an approximation.
- `fit_alternating` starts there and lowers the whole error in turns: block by block, with the others as they are,
  the best product of rank T (a regression of reduced rank, in closed form); then all L factors at once, with R as it
  is (least squares). No turn raises the error on the samples fitted, and the end is a local minimum.

All samples count alike; C gets `RIDGE` of its mean diagonal added, without which directions that the samples do not
show would be free. That is the same as a little of the plain error beside that of the outputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular

from cimsolve.columns import Floats
from cimsolve.errors import InputError
from cimsolve.model.structure import Structure
from cimsolve.weights.eigenvectors import Floats64, best_product
from cimsolve.weights.monarch import Monarch, from_slices, reconstruct

OUTPUT_MAX = 1e12
RIDGE = 0.05
SWEEPS_MAX = 12
PATIENCE = 2
"""Sweeps without a better error on the inputs that say when to stop."""
BETTER = 1e-3
"""What counts as better, as a share of the error."""


@dataclass(frozen=True)
class Alternation:
    """The factors after the best sweep, which sweep that was, and the error of the outputs after each.

    `stop_errors[0]` is that of the whitened start.
    """

    factors: Monarch
    sweep: int
    stop_errors: tuple[float, ...]


def demand_in_range(weight: Floats, inputs: Floats, where: str) -> None:
    """Raise InputError, naming `where`, for outputs so large that the sum of their squares may be beyond float32."""
    weights, read = (float(np.abs(each).max(initial=0.0)) for each in (weight, inputs))
    if max(read, read * weights * len(weight)) > OUTPUT_MAX:
        raise InputError(
            f"{where}: weights up to {weights:.3g} times inputs up to {read:.3g} are too large to be fitted in "
            f"float32; expected outputs up to {OUTPUT_MAX:.0e}, scale them down"
        )


def output_error(weight: Floats, factors: Monarch, inputs: Floats) -> float:
    """`||X (W - M)||_F / ||X W||_F` for inputs X (samples, n_in); 0 where both are nothing."""
    size = float(np.linalg.norm(inputs @ weight))
    error = float(np.linalg.norm(inputs @ (weight - reconstruct(factors))))
    return error / size if size else (0.0 if error == 0 else float("inf"))


def fit_whitened(weight: Floats, structure: Structure, inputs: Floats) -> Monarch:
    """Factors nearest in outputs as if inputs of different blocks were not correlated; see the module.

    `weight` (n_in, n_out), `inputs` (samples, n_in), both finite.
    """
    return from_slices(*_Task(weight, structure, inputs).whitened(), weight.dtype)


def fit_alternating(weight: Floats, structure: Structure, inputs: Floats, stop: Floats, seed: int = 0) -> Alternation:
    """Factors near in outputs with all correlations; see the module. Blocks take turns in an order drawn by `seed`.

    After each sweep the error on `stop` (samples, n_in), which are not fitted, is measured; the best sweep wins, and
    `PATIENCE` sweeps without a better one are the end.
    """
    task = _Task(weight, structure, inputs)
    random = np.random.default_rng(seed)
    tall, wide = task.whitened()
    best = from_slices(tall, wide, weight.dtype)
    errors = [output_error(weight, best, stop)]
    sweep = 0
    while len(errors) <= SWEEPS_MAX and len(errors) - sweep <= PATIENCE:
        task.improve_blocks(tall, wide, random.permutation(structure.k))
        task.improve_left(tall, wide)
        found = from_slices(tall, wide, weight.dtype)
        errors.append(output_error(weight, found, stop))
        if errors[-1] < (1 - BETTER) * errors[sweep]:
            best, sweep = found, len(errors) - 1
    return Alternation(best, sweep, tuple(errors))


class _Task:
    """One linear's weight and inputs, cut into blocks; P rows and l residues of S columns each."""

    def __init__(self, weight: Floats, structure: Structure, inputs: Floats) -> None:
        self.weight, self.structure, self.inputs = weight, structure, inputs
        self.height = weight.shape[0] // structure.k
        self.outputs = inputs @ weight
        square_mean = float(np.einsum("ni,ni->", inputs, inputs, dtype=np.float64)) / inputs.size
        self.ridge = RIDGE * len(inputs) * (square_mean or 1.0)
        self._roots: dict[int, Floats64] = {}

    def whitened(self) -> tuple[Floats64, Floats64]:
        """The best products of all slices, each on its own: (k, l, P, T) and (k, l, T, S)."""
        found = [self.best(block, self.slices(self.weight[self.rows(block)])) for block in range(self.structure.k)]
        return np.stack([tall for tall, _ in found]), np.stack([wide for _, wide in found])

    def rows(self, block: int) -> slice:
        return slice(block * self.height, (block + 1) * self.height)

    def slices(self, rows: Floats) -> Floats64:
        """Rows (P, n_out) of a matrix as slices (l, P, S)."""
        cut = rows.reshape(self.height, -1, self.structure.l).transpose(2, 0, 1)
        return np.array(cut, dtype=np.float64, order="C")

    def root(self, block: int) -> Floats64:
        """F (P, P), lower triangular: the block's covariance is F F^T."""
        if block not in self._roots:
            part = self.inputs[:, self.rows(block)].astype(np.float64)
            covariance = part.T @ part + self.ridge * np.eye(self.height)
            self._roots[block] = np.linalg.cholesky(covariance).astype(np.float64, copy=False)
        return self._roots[block]

    def best(self, block: int, slices: Floats64) -> tuple[Floats64, Floats64]:
        """The products of rank T nearest to `slices` (l, P, S) in the outputs that this block alone makes."""
        root = self.root(block)
        tall, wide = best_product(root.T @ slices, self.structure.rank)
        return self._divided(root, tall, turned=True), wide

    def improve_blocks(self, tall: Floats64, wide: Floats64, order: npt.NDArray[np.int64]) -> None:
        """Each block's best products while the others stay, in place."""
        rest = self.weight - reconstruct(from_slices(tall, wide, self.weight.dtype))
        outputs = self.inputs @ rest
        for block in order.tolist():
            rows, root = self.rows(block), self.root(block)
            part = self.inputs[:, rows]
            # Of all P x n_out matrices the best is the present one and a step down the error's slope.
            slope = part.T @ outputs + self.ridge * rest[rows]
            step = self._divided(root, self._divided(root, self.slices(slope)), turned=True)
            before = tall[block] @ wide[block]
            tall[block], wide[block] = self.best(block, before + step)
            change = (tall[block] @ wide[block] - before).transpose(1, 2, 0).reshape(self.height, -1)
            change = change.astype(self.weight.dtype)
            rest[rows] -= change
            outputs -= part @ change

    def improve_left(self, tall: Floats64, wide: Floats64) -> None:
        """The best L factors of all blocks at once while R stays, in place; residue by residue."""
        k, blocks_out, rank = self.structure.k, self.structure.l, self.structure.rank
        samples = len(self.inputs)
        parts = self.inputs.reshape(samples, k, self.height).transpose(1, 0, 2)
        by_block: Floats = self.weight.reshape(k, self.height, -1, blocks_out)
        for b in range(blocks_out):
            read = (parts @ tall[:, b]).transpose(1, 0, 2).reshape(samples, k * rank)
            matrix = read.T @ read
            wanted: Floats64 = read.T @ self.outputs[:, b::blocks_out]
            turned = np.swapaxes(tall[:, b], -1, -2)
            own = turned @ tall[:, b]
            for block in range(k):
                at = slice(block * rank, (block + 1) * rank)
                matrix[at, at] += self.ridge * own[block]
            wanted += self.ridge * (turned @ by_block[..., b]).reshape(k * rank, -1)
            # A rank that was left without weight makes the matrix singular: the least solution is zero there.
            wide[:, b] = np.linalg.lstsq(matrix, wanted, rcond=None)[0].reshape(k, rank, -1)

    @staticmethod
    def _divided(root: Floats64, slices: Floats64, turned: bool = False) -> Floats64:
        """`root^-1` times each of (l, P, columns); `turned`: `root^-T`."""
        count, height, columns = slices.shape
        flat = slices.transpose(1, 0, 2).reshape(height, -1)
        solved = solve_triangular(root, flat, lower=True, trans="T" if turned else "N", check_finite=False)
        return np.asarray(solved.reshape(height, count, columns).transpose(1, 0, 2))
