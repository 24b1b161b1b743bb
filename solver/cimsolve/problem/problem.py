"""The whole question, checked and frozen: hardware, model, structures, limits.

Strategies answer it, the checker rebuilds it from a solution file's header.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from cimsolve.chip.spec import Hardware
from cimsolve.columns import Ints, ceil_div
from cimsolve.errors import InputError
from cimsolve.model.model import Model
from cimsolve.model.structure import Structure
from cimsolve.model.workload import FactorTable, Workload, build_workload

Cut = Literal["none", "columns", "both"]
CUTS: tuple[Cut, ...] = ("none", "columns", "both")


@dataclass(frozen=True)
class Problem:
    """One mapping question.

    `cut` says what may be cut beyond what must be; `max_arrays` lowers the hardware's own array count;
    `max_latency_ns` and `max_energy_pj` limit a token's latency and energy.
    Sizes below are in logical weights: an array holds `rows x weights_per_row` of them.
    """

    hardware: Hardware
    model: Model
    structures: Mapping[str, Structure]
    workload: Workload
    cut: Cut = "columns"
    max_arrays: int | None = None
    max_latency_ns: float | None = None
    max_energy_pj: float | None = None

    @property
    def cost_limits(self) -> dict[str, float]:
        """Metric -> the most that the user allows."""
        limits = {"latency_ns": self.max_latency_ns, "energy_pj": self.max_energy_pj}
        return {metric: limit for metric, limit in limits.items() if limit is not None}

    @property
    def has_cost_limits(self) -> bool:
        return bool(self.cost_limits)

    def excess(self, metrics: Mapping[str, int | float]) -> float:
        """How far metrics are over the cost limits, as a sum of shares; 0 where all are kept."""
        return sum(max(0.0, metrics[metric] / limit - 1) for metric, limit in self.cost_limits.items())

    @property
    def rows(self) -> int:
        return self.hardware.array.rows

    @property
    def weights_per_row(self) -> int:
        return self.hardware.weights_per_row

    @property
    def rows_limit(self) -> int:
        """Most rows of a piece: a piece fires whole, so the driver and converter limits bound its height."""
        return self.hardware.rows_limit

    @property
    def array_limit(self) -> int | None:
        """Most arrays a mapping may use, or None for as many as needed."""
        limits = [limit for limit in (self.hardware.array.count, self.max_arrays) if limit is not None]
        return min(limits) if limits else None

    @property
    def table(self) -> FactorTable:
        return self.workload.table

    @cached_property
    def row_parts(self) -> Ints:
        """Fewest pieces along the rows that each factor's blocks must be cut into; shape (factors,)."""
        return ceil_div(self.table.block_rows, self.rows_limit)

    @property
    def must_cut_rows(self) -> bool:
        return bool((self.row_parts > 1).any())

    @cached_property
    def weight_cells(self) -> int:
        """Logical cells that the stored weights take."""
        return self.workload.weight_count


def build_problem(
    hardware: Hardware,
    model: Model,
    structures: Mapping[str, Structure],
    cut: Cut = "columns",
    max_arrays: int | None = None,
    max_latency_ns: float | None = None,
    max_energy_pj: float | None = None,
) -> Problem:
    """Check that the parts fit together and build the workload.

    Raises InputError for a structure that names no linear of the model, a missing one, a `k` or `l` that does not
    divide, or limits that are no numbers of arrays.
    """
    names = {linear.name for linear in model.linears}
    for name in structures:
        if name not in names:
            raise InputError(f"structure: {name!r} is no linear of {model.name}; expected one such as {min(names)!r}")
    for linear in model.linears:
        if linear.name not in structures:
            raise InputError(f"structure: {linear.name!r} has none; expected 'dense' or 'k,l,T'")
        structures[linear.name].validate(linear.n_in, linear.n_out, linear.name)
    if cut not in CUTS:
        raise InputError(f"--cut: {cut!r} is not known; expected one of {', '.join(CUTS)}")
    if max_arrays is not None and max_arrays < 1:
        raise InputError(f"--max-arrays: {max_arrays} is no number of arrays; expected 1 or more")
    for option, limit in (("--max-latency", max_latency_ns), ("--max-energy", max_energy_pj)):
        if limit is not None and not 0 < limit < float("inf"):
            raise InputError(f"{option}: {limit} is no limit; expected a number above 0")
    workload = build_workload(model, structures)
    return Problem(hardware, model, dict(structures), workload, cut, max_arrays, max_latency_ns, max_energy_pj)
