"""What no mapping can beat. docs/formulation.md, section "Bounds".

The array count is bounded for any mapping; times and energy for any mapping on the number of arrays used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cimsolve.errors import InputError
from cimsolve.price.memory import least_interval
from cimsolve.problem.objective import is_weighted, names_of, terms_of
from cimsolve.problem.problem import Problem, found_once
from cimsolve.prove.arrays import least_arrays
from cimsolve.prove.crossings import least_latency_beyond, least_prefill_beyond, least_work_cycles_at_crossings
from cimsolve.prove.energy import least_area_mm2, least_energy_pj
from cimsolve.prove.in_room import least_work_cycles_in_room
from cimsolve.prove.network import stretched_cycles
from cimsolve.prove.pieces import least_phase_cycles_in_pieces
from cimsolve.prove.time import (
    least_cycles_of,
    least_ii_cycles,
    least_latency_cycles,
    least_phase_ii_cycles,
    least_stage_cycles,
)

BOUND_OF_OBJECTIVE: Mapping[str, str] = {
    "arrays": "arrays",
    "latency": "latency_cycles",
    "prefill": "prefill_ns",
    "throughput": "ii_cycles",
    "energy": "energy_pj",
    "area": "area_mm2",
}
"""Objective -> the metric that it minimises."""


@dataclass(frozen=True)
class Bound:
    """A proven lower bound; `proof` names what shows it."""

    value: int | float
    proof: str


@dataclass(frozen=True)
class Bounds:
    """Metric -> bound."""

    lower: Mapping[str, Bound]


def find_bounds(problem: Problem, metrics: Mapping[str, int | float], objective: Sequence[str]) -> Bounds:
    """Bounds for a mapping with these metrics that was sought for `objective`.

    Where the array count comes first, all else is bounded for mappings on as many arrays as this one uses; where
    something else does, for mappings on all the arrays allowed. Where prefill is sought, phases are bounded by what
    their columns can be cut into as well, where throughput is, a pass by what arrays have room for: it takes seconds.
    What is sought is also bounded by the empty cells that all stages have in common.
    """
    used = int(metrics["arrays"])
    arrays = used if objective[0] == "arrays" else max(used, most_arrays(problem))
    names = names_of(objective)
    return _bounds(problem, used, arrays, "latency" in names, "prefill" in names, "throughput" in names)


@found_once
def _bounds(problem: Problem, used: int, arrays: int, latency: bool, prefill: bool, throughput: bool) -> Bounds:
    """Bounds for a mapping that uses so many arrays, and may use `arrays`; the sharpest of what is sought."""
    count, proof = least_arrays(problem, used)
    least = least_times(problem, arrays, prefill)
    token = least.latency + (least_latency_beyond(problem, arrays) if latency else 0)
    later = least.prefill + (least_prefill_beyond(problem, arrays, least.phases) if prefill else 0)
    interval = max(least.ii, least_interval(problem, token))
    if throughput:
        work = least_work_cycles_in_room(problem, arrays), least_work_cycles_at_crossings(problem, arrays)
        interval = max(interval, *work)
    clock_ns = problem.hardware.clock_ps / 1000
    energy = least_energy_pj(problem, count, arrays, least.latency, least.stages)
    return Bounds(
        {
            "arrays": Bound(count, proof),
            "latency_cycles": Bound(token, f"critical path on {arrays} arrays"),
            "prefill_ns": Bound((token - least.latency + later) * clock_ns, f"phases on {arrays} arrays"),
            "ii_cycles": Bound(interval, f"work of {arrays} arrays"),
            "energy_pj": Bound(energy, "conversions, rows, gaps, leakage"),
            "area_mm2": Bound(least_area_mm2(problem, count), "least arrays and converters"),
            **_bounds_of_means(problem, count, arrays),
        }
    )


class LeastTimes(NamedTuple):
    """What no mapping takes less than, in cycles."""

    stages: Sequence[int]
    latency: int
    ii: int
    phases: Sequence[int]
    """II of each phase."""
    prefill: int


def least_times(problem: Problem, arrays: int, in_pieces: bool = False) -> LeastTimes:
    """The least times of any mapping that may use so many arrays; `in_pieces` as in `find_bounds`."""
    stages = stretched_cycles(problem, arrays, least_stage_cycles(problem, arrays))
    latency = least_latency_cycles(problem, arrays, stages)
    phases = least_phase_ii_cycles(problem, arrays)
    if in_pieces:
        phases = list(map(max, phases, least_phase_cycles_in_pieces(problem, arrays)))
    return LeastTimes(
        stages=stages,
        latency=latency,
        ii=max(least_ii_cycles(problem, arrays), least_interval(problem, latency)),
        phases=phases,
        prefill=latency + sum(later * cycles for later, cycles in zip(problem.later_tokens, phases, strict=True)),
    )


def _bounds_of_means(problem: Problem, count: int, arrays: int) -> Mapping[str, Bound]:
    """Bounds of the means over routes, of a model with experts: no route takes less, whichever it is."""
    if not problem.workload.has_experts:
        return {}
    fired = zip(problem.stage_groups, problem.workload.positions.tolist(), strict=True)
    stages = [least_cycles_of(problem, groups, arrays) * times for groups, times in fired]
    latency = least_latency_cycles(problem, arrays, stages)
    return {
        "mean_latency_ns": Bound(
            latency * problem.hardware.clock_ps / 1000, f"critical path of any route on {arrays} arrays"
        ),
        "mean_energy_pj": Bound(
            least_energy_pj(problem, count, arrays, latency, stages), "conversions, rows, gaps, leakage"
        ),
    }


def objective_units(problem: Problem, objective: Sequence[str]) -> Mapping[str, float]:
    """What one unit of each metric is in the weighted sums of `objective`: its bound on all the arrays allowed.

    It depends on the question alone, so that the sums of all answers compare. Raises InputError where a bound is 0.
    """
    names = names_of([item for item in objective if is_weighted(item)])
    if not names:
        return {}
    lower = find_bounds(problem, {"arrays": most_arrays(problem)}, names).lower
    units = {name: float(lower[BOUND_OF_OBJECTIVE[name]].value) for name in names}
    for name, unit in units.items():
        if not unit > 0:
            raise InputError(f"objective {name}: its bound is 0, so a sum has no unit for it; leave it out of the sum")
    return units


def objective_values(
    metrics: Mapping[str, int | float], objective: Sequence[str], units: Mapping[str, float]
) -> tuple[float, ...]:
    """What each item of `objective` is for these metrics, to be compared in lexicographic order; less is better.

    A name is its metric; a sum is that of w_i * metric_i / bound_i, with `objective_units` as bounds.
    """
    values: list[float] = []
    for item in objective:
        terms = terms_of(item)
        of_terms = [metrics[BOUND_OF_OBJECTIVE[term.name]] for term in terms]
        if is_weighted(item):
            of_terms = [term.weight * x / units[term.name] for term, x in zip(terms, of_terms, strict=True)]
        values.append(sum(of_terms))
    return tuple(values)


def most_arrays(problem: Problem) -> int:
    """The arrays allowed, or so many that more would stay empty: one for every column of every row part."""
    problem = problem.stored
    table = problem.table
    needed = int((problem.row_parts * table.blocks * table.block_cols).sum())
    if problem.cut == "both":
        needed = problem.weight_cells
    return needed if problem.array_limit is None else problem.array_limit


ROUNDED: Mapping[str, float] = dict.fromkeys(("energy_pj", "area_mm2", "mean_latency_ns", "mean_energy_pj"), 1e-10)
"""Metrics that are sums of floats -> the share by which their rounding may move them.

All others are whole numbers, of cycles or arrays, and meet a bound exactly or not at all.
"""


def relative_gap(metric: str, value: float, lower: float) -> float:
    """How far the `value` of a metric lies above `lower`, as a share of `lower`; 0 within ROUNDED."""
    if abs(value - lower) <= ROUNDED.get(metric, 0.0) * abs(lower):
        return 0.0
    return (value - lower) / lower if lower > 0 else 0.0 if value <= 0 else float("inf")
