"""What storing linears as block-diagonal factors loses, measured on a model's real weights.

Beside each linear's own factors always stands plain low-rank of no more parameters: it is the baseline to beat.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from cimsolve.columns import Floats
from cimsolve.files.memory import demand_memory
from cimsolve.model.model import Linear
from cimsolve.model.structure import Structure
from cimsolve.weights.factor_file import Stored
from cimsolve.weights.fitting import demand_in_range, fit_alternating, fit_whitened, output_error
from cimsolve.weights.inputs import LinearInputs
from cimsolve.weights.monarch import Monarch, check_weight, lowrank_of_equal_size, project, relative_error
from cimsolve.weights.names import CALIBRATED


@dataclass(frozen=True)
class OutputErrors:
    """`||X (W - M)||_F / ||X W||_F` on the inputs that were fitted and on those held out.

    None where all inputs are 0: no token fires the expert.
    """

    calibration: float | None
    held_out: float | None


@dataclass(frozen=True)
class ProjectionRow:
    """One linear: how it is stored, what that loses, and what plain low-rank of the same size would lose.

    Errors are `||W - M||_F / ||W||_F` of the weights and, where inputs are known, of the outputs; not of the model's
    answers. The low-rank fields are None for a dense linear, which loses nothing: those of `lowrank_` are of the
    product nearest in weights, `lowrank_whitened` of the one nearest in outputs on the inputs that were fitted.
    """

    linear: str
    n_in: int
    n_out: int
    structure: Structure
    stored_weights: int
    relative_error: float
    lowrank_rank: int | None
    lowrank_error: float | None
    outputs: OutputErrors | None = None
    lowrank_outputs: OutputErrors | None = None
    lowrank_whitened: OutputErrors | None = None
    sweeps: int | None = None
    """How many sweeps of `als` were kept; None for another method."""
    firings: Fraction = Fraction(1)
    """How many times a token fires it; of an expert in the mean."""

    @property
    def compression(self) -> float:
        """Dense weights per stored weight."""
        return self.n_in * self.n_out / self.stored_weights

    @property
    def flops(self) -> Fraction:
        """Operations per token: a multiplication and an addition a stored weight, as often as it fires."""
        return 2 * self.stored_weights * self.firings


def project_linear(
    name: str,
    weight: Floats,
    structure: Structure,
    *,
    method: str = "plain",
    inputs: LinearInputs | None = None,
    seed: int = 0,
    tensor: str | None = None,
) -> tuple[ProjectionRow, Stored]:
    """One linear's row, and what is kept of it. Its weight is (n_in, n_out), float32; `tensor` names it in errors.

    With `lowrank` the structure says how many parameters there are, and low-rank of that many is kept.

    Raises InputError for NaN or infinite weights, outputs too large to be fitted and a structure that does not fit;
    ValueError for a method that
    needs inputs without them.
    """
    where = tensor or name
    n_in, n_out = check_weight(weight, where)
    if structure.is_dense:
        nothing = None if inputs is None else OutputErrors(0.0, 0.0)
        stored = structure.stored_weights(n_in, n_out)
        return ProjectionRow(name, n_in, n_out, structure, stored, 0.0, None, None, nothing), weight
    structure.validate(n_in, n_out, name)
    if inputs is not None:
        demand_in_range(weight, inputs.calibration, where)
        demand_in_range(weight, inputs.held_out, where)
    rank = lowrank_of_equal_size(n_in, n_out, structure)
    baseline = Structure.monarch(1, 1, rank)
    lowrank = project(weight, baseline, where)
    whitened = None if inputs is None else fit_whitened(weight, baseline, inputs.calibration)
    if method == "lowrank":
        structure, factors, sweeps = baseline, whitened or lowrank, None
    else:
        factors, sweeps = fit_factors(weight, structure, method, inputs, seed, where)
    row = ProjectionRow(
        name,
        n_in,
        n_out,
        structure,
        structure.stored_weights(n_in, n_out),
        relative_error(weight, factors, where),
        rank,
        relative_error(weight, lowrank, where),
        _output_errors(weight, factors, inputs),
        _output_errors(weight, lowrank, inputs),
        None if whitened is None else _output_errors(weight, whitened, inputs),
        sweeps,
    )
    return row, factors


def fit_factors(
    weight: Floats,
    structure: Structure,
    method: str,
    inputs: LinearInputs | None,
    seed: int = 0,
    tensor: str = "weight",
) -> tuple[Monarch, int | None]:
    """The factors of one linear by one method, and how many sweeps of `als` were kept.

    For `lowrank` the structure is that of `structures_stored`. Raises as `project_linear` does.
    """
    if method in CALIBRATED and inputs is None:
        raise ValueError(f"{method} needs inputs")
    if inputs is None or method == "plain":
        return project(weight, structure, tensor), None
    check_weight(weight, tensor)
    demand_in_range(weight, inputs.calibration, tensor)
    if method == "als":
        alternation = fit_alternating(weight, structure, inputs.fit, inputs.stop, seed)
        return alternation.factors, alternation.sweep
    return fit_whitened(weight, structure, inputs.calibration), None


def _output_errors(weight: Floats, factors: Monarch, inputs: LinearInputs | None) -> OutputErrors | None:
    if inputs is None:
        return None
    parts = inputs.calibration, inputs.held_out
    return OutputErrors(*(output_error(weight, factors, part) if part.any() else None for part in parts))


def structures_of_size(linears: Iterable[Linear], blocks: tuple[int, int], compression: float) -> dict[str, Structure]:
    """k and l, `blocks`, for every linear, and for each the T that comes nearest to `compression` times fewer weights.

    Where k or l does not divide a side, as of many routers, it is stored dense. Raises InputError where that is so of
    most weights, and where T would be more than the rank of a slice.
    """
    found = {}
    asked = list(linears)
    k, across = blocks
    left = {each.name: each.weights for each in asked if each.n_in % k or each.n_out % across}
    leaves_most = 2 * sum(left.values()) > sum(each.weights for each in asked)
    for linear in asked:
        if linear.name in left and not leaves_most:
            found[linear.name] = Structure.dense()
            continue
        unit = Structure.monarch(*blocks).stored_weights(linear.n_in, linear.n_out)
        structure = Structure.monarch(*blocks, max(1, round(linear.weights / (unit * compression))))
        structure.validate(linear.n_in, linear.n_out, linear.name)
        found[linear.name] = structure
    return found


def structures_stored(
    linears: Iterable[Linear], structures: Mapping[str, Structure], method: str
) -> dict[str, Structure]:
    """How each linear is stored in the end: `lowrank` keeps low-rank of no more parameters than `structures` say."""
    found = {}
    for linear in linears:
        structure = structures[linear.name]
        if method == "lowrank" and not structure.is_dense:
            structure = Structure.monarch(1, 1, lowrank_of_equal_size(linear.n_in, linear.n_out, structure))
        found[linear.name] = structure
    return found


def memory_needed(linear: Linear, samples: int) -> int:
    """About the most bytes that projecting one linear takes; one is in memory at a time.

    Weights in float32 and, for their error, three times in float64; Gram or covariance matrices three times; inputs
    and outputs of all samples a few times.
    """
    gram = linear.n_in if samples else min(linear.n_in, linear.n_out)
    return 32 * linear.weights + 24 * gram**2 + 4 * samples * (3 * linear.n_in + 4 * linear.n_out)


def demand_memory_for(linears: Iterable[Linear], samples: int) -> None:
    """Raise InputError where the largest linear needs more memory than there is."""
    largest = max(linears, key=lambda linear: memory_needed(linear, samples))
    what = f"projecting {largest.name} ({largest.n_in} x {largest.n_out})" + (f" with {samples} inputs" * bool(samples))
    demand_memory(memory_needed(largest, samples), what, "use fewer --samples or a machine with more")
