"""What storing linears as block-diagonal factors loses, measured on a model's real weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cimsolve.monarch import check_weight, lowrank_error, lowrank_of_equal_size, project, relative_error
from cimsolve.structure import Structure
from cimsolve.weights import TensorRef, WeightFolder, linear_weight


@dataclass(frozen=True)
class ProjectionRow:
    """One linear: how it is stored, what that loses, and what plain low-rank of the same size would lose.

    Errors are `||W - M||_F / ||W||_F` of the weights, not of the model's answers. The low-rank fields are
    None for a dense linear, which loses nothing.
    """

    linear: str
    n_in: int
    n_out: int
    structure: Structure
    stored_weights: int
    relative_error: float
    lowrank_rank: int | None
    lowrank_error: float | None

    @property
    def compression(self) -> float:
        """Dense weights per stored weight."""
        return self.n_in * self.n_out / self.stored_weights


def project_table(
    folder: WeightFolder,
    linears: Iterable[tuple[str, TensorRef, int, int]],
    structures: Mapping[str, Structure],
) -> list[ProjectionRow]:
    """Project each linear of (name, tensor, n_in, n_out) as `structures` says; one is in memory at a time.

    The error is that of the factors as built. Raises InputError for tensors that are missing, of another
    shape, or hold NaN or infinite weights, dense ones included.
    """
    return [_row(folder, name, ref, n_in, n_out, structures[name]) for name, ref, n_in, n_out in linears]


def _row(folder: WeightFolder, name: str, ref: TensorRef, n_in: int, n_out: int, structure: Structure) -> ProjectionRow:
    weight = linear_weight(folder, ref, n_in, n_out)
    stored = structure.stored_weights(n_in, n_out)
    tensor = folder.find(ref.name)
    if structure.is_dense:
        check_weight(weight, tensor)
        return ProjectionRow(name, n_in, n_out, structure, stored, 0.0, None, None)
    error = relative_error(weight, project(weight, structure, tensor), tensor)
    rank = lowrank_of_equal_size(n_in, n_out, structure)
    return ProjectionRow(name, n_in, n_out, structure, stored, error, rank, lowrank_error(weight, rank, tensor))
