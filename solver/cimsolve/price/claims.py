"""From a mapping to a `Solution`: schedule it, cost it, bound it, and write down what was found."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping as MappingABC
from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from cimsolve import __version__
from cimsolve.columns import Floats
from cimsolve.price.cost import Costs, PhaseCosts, evaluate
from cimsolve.price.gaps import Gaps
from cimsolve.price.schedule import schedule
from cimsolve.problem.objective import names_of
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import (
    FORMAT,
    AfterEntry,
    BoundEntry,
    Breakdown,
    FactorEntry,
    Header,
    Options,
    Solution,
    StageEntry,
    Status,
)
from cimsolve.problem.tables import Mapping
from cimsolve.prove import BOUND_OF_OBJECTIVE, find_bounds, relative_gap


def describe_factors(problem: Problem) -> list[FactorEntry]:
    """The workload's factors as the file lists them."""
    width = problem.hardware.columns_per_weight
    return [FactorEntry(**factor.__dict__, cols_per_weight=width) for factor in problem.workload.factors]


def describe_stages(problem: Problem, gaps: Gaps) -> list[StageEntry]:
    """The workload's stages with the gaps of a mapping, as the file lists them."""
    workload = problem.workload
    return [
        StageEntry(
            id=stage.id,
            name=stage.name,
            layer=stage.layer,
            **{"pass": stage.pass_name},
            phase=stage.phase,
            after=[AfterEntry(stage=before, gap_cycles=gaps.before[stage.id].cycles) for before in stage.after],
            tail_cycles=gaps.tails[stage.pass_name].cycles if stage.id in workload.last_stages[stage.pass_name] else 0,
        )
        for stage in workload.stages
    ]


def describe_breakdown(costs: Costs) -> Breakdown:
    """Components, stages and phases of the costs."""
    stages, rows = costs.stages, len(costs.outside_pj["leakage"])
    by_row = {
        **{f"{name}_cycles": values.tolist() for name, values in costs.cycles.items()},
        "array_pj": _summed(costs.array_pj, rows),
        "gap_pj": _summed({name: values for name, values in costs.outside_pj.items() if name != "leakage"}, rows),
        "leakage_pj": costs.outside_pj["leakage"].tolist(),
    }
    return Breakdown(
        latency_cycles=costs.latency_components_cycles,
        energy_pj=costs.energy_components_pj,
        stages={
            "start": stages.start.tolist(),
            "end": stages.end.tolist(),
            "activations": stages.activations.tolist(),
            **{name: values[:-1] for name, values in by_row.items()},
        },
        tail={name: values[-1] for name, values in by_row.items()},
        phases={field.name: [getattr(phase, field.name) for phase in costs.phases] for field in fields(PhaseCosts)},
    )


def _summed(parts: MappingABC[str, Floats], rows: int) -> list[float]:
    """Per row, the sum over components, which is exact."""
    return list(sum(parts.values(), start=np.zeros(rows)).tolist())


def library_versions() -> dict[str, str]:
    """Versions of cimsolve, Python and the libraries that results depend on."""
    return {
        "cimsolve": __version__,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("numpy", "scipy", "ortools")},
    }


def proved_metrics(objective: Sequence[str]) -> list[str]:
    """The metrics whose gaps must be closed before an answer to `objective` may be called optimal."""
    return [BOUND_OF_OBJECTIVE[name] for name in names_of(objective)]


def make_solution(
    problem: Problem,
    mapping: Mapping,
    *,
    strategy: str,
    objective: Sequence[str],
    seed: int,
    runtime_s: float,
    proved: MappingABC[str, int] | None = None,
) -> Solution:
    """Schedule `mapping`, compute its metrics and bounds, and state the status that they support.

    `proved` are lower bounds that a search has shown beyond the analytical ones, metric -> value.
    """
    fired, activations = schedule(problem, mapping)
    costs = evaluate(fired, activations)
    analytical = find_bounds(problem, costs.metrics, objective)
    bounds: dict[str, BoundEntry] = {}
    for name, bound in analytical.lower.items():
        value, lower, shown_by = costs.metrics[name], bound.value, bound.proof
        if proved is not None and proved.get(name, lower) > lower:
            lower, shown_by = proved[name], "search"
        gap = relative_gap(name, value, lower)
        # Rounding may take a sum below its bound: never is a bound raised to the value.
        bounds[name] = BoundEntry(value=value, lower=lower if gap else min(lower, value), gap=gap, proof=shown_by)
    status: Status = "optimal" if all(bounds[name].gap == 0 for name in proved_metrics(objective)) else "feasible"
    header = Header(
        format=FORMAT,
        hw=problem.hardware.to_json(),
        model_name=problem.model.name,
        model=dict(problem.model.config),
        structure={name: str(structure) for name, structure in problem.structures.items()},
        strategy=strategy,
        objective=list(objective),
        options=Options(
            cut=problem.cut,
            max_arrays=problem.max_arrays,
            tokens=problem.model.tokens,
            max_latency_ns=problem.max_latency_ns,
            max_energy_pj=problem.max_energy_pj,
        ),
        seed=seed,
        versions=library_versions(),
        status=status,
        runtime_s=runtime_s,
        bounds=bounds,
        stages=describe_stages(problem, costs.gaps),
        factors=describe_factors(problem),
        metrics=costs.metrics,
        breakdown=describe_breakdown(costs),
    )
    return Solution(header, fired.pieces, activations)
