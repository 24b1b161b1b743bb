"""What a solution states about itself: factors, stages and costs as its file lists them."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from cimsolve.price.cost import Costs, PhaseCosts
from cimsolve.price.gaps import Gaps
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import AfterEntry, Breakdown, FactorEntry, StageEntry


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
            experts_chosen=None if stage.experts is None else stage.experts.chosen,
            positions=None if stage.positions == 1 else stage.positions,
        )
        for stage in workload.stages
    ]


def describe_breakdown(costs: Costs) -> Breakdown:
    """Components, stages and phases of the costs."""
    stages, leakage_pj = costs.stages, costs.outside_pj["leakage"]
    by_row = {
        **{f"{name}_cycles": values.tolist() for name, values in costs.cycles.items()},
        # Sums and differences of these are exact.
        "array_pj": np.sum(list(costs.array_pj.values()), axis=0).tolist(),
        "gap_pj": (np.sum(list(costs.outside_pj.values()), axis=0) - leakage_pj).tolist(),
        "leakage_pj": leakage_pj.tolist(),
    }
    of_phases = {field.name: [getattr(phase, field.name) for phase in costs.phases] for field in fields(PhaseCosts)}
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
        phases={name: values for name, values in of_phases.items() if None not in values},
    )
