"""cimsolve: optimal mapping of block-diagonal neural networks onto compute-in-memory arrays.

The public API; `import cimsolve` loads none of it until it is used::

    import cimsolve

    solution = cimsolve.map_model("bert-large", "rram256")
    print(solution.header.metrics["latency_ns"])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from cimsolve.errors import CheckError, CimsolveError, FailedError, InfeasibleError, InputError

if TYPE_CHECKING:
    from cimsolve.api import (
        check_plan,
        check_solution,
        compare_converters,
        load_hardware,
        make_problem,
        make_simulator,
        map_all,
        map_chips,
        map_front,
        map_model,
        map_rounds,
        read_plan,
        read_solution,
        replay_plan,
        replay_solution,
        simulate_plan,
        simulate_solution,
        study_solution,
        write_plan,
        write_solution,
    )
    from cimsolve.chip.spec import Hardware
    from cimsolve.judge.check import CheckReport
    from cimsolve.judge.check.plan import PlanReport
    from cimsolve.judge.replay import Replay
    from cimsolve.judge.simulate import ArraySimulator, Noise, SimulationReport, Study
    from cimsolve.model.load import load_model
    from cimsolve.model.model import Model
    from cimsolve.problem.plan import Plan
    from cimsolve.problem.problem import Problem
    from cimsolve.problem.question import Question
    from cimsolve.problem.solution import Solution
    from cimsolve.problem.terms import Terms
    from cimsolve.show.page import write_figures, write_report, write_trace
    from cimsolve.solve.effort import Effort
    from cimsolve.study.accuracy import AccuracyTable, measure_accuracy
    from cimsolve.study.ask import Outcome
    from cimsolve.study.choose import ChoiceFound, choose_structures
    from cimsolve.study.explain.answer import explain_solution
    from cimsolve.study.explain.runs import explain_plan
    from cimsolve.study.finetune import FinetuneFound, finetune_factors
    from cimsolve.study.sweep.run import sweep_study
    from cimsolve.study.two import compare_solutions
    from cimsolve.weights.project import project_model, read_factors
    from cimsolve.weights.projection import ProjectionRow

__version__ = "0.1.0"

__all__ = [
    "AccuracyTable",
    "ArraySimulator",
    "CheckError",
    "CheckReport",
    "ChoiceFound",
    "CimsolveError",
    "Effort",
    "FailedError",
    "FinetuneFound",
    "Hardware",
    "InfeasibleError",
    "InputError",
    "Model",
    "Noise",
    "Outcome",
    "Plan",
    "PlanReport",
    "Problem",
    "ProjectionRow",
    "Question",
    "Replay",
    "SimulationReport",
    "Solution",
    "Study",
    "Terms",
    "__version__",
    "check_plan",
    "check_solution",
    "choose_structures",
    "compare_converters",
    "compare_solutions",
    "explain_plan",
    "explain_solution",
    "finetune_factors",
    "load_hardware",
    "load_model",
    "make_problem",
    "make_simulator",
    "map_all",
    "map_chips",
    "map_front",
    "map_model",
    "map_rounds",
    "measure_accuracy",
    "project_model",
    "read_factors",
    "read_plan",
    "read_solution",
    "replay_plan",
    "replay_solution",
    "simulate_plan",
    "simulate_solution",
    "study_solution",
    "sweep_study",
    "write_figures",
    "write_plan",
    "write_report",
    "write_solution",
    "write_trace",
]

_NAMES_OF = {
    "chip.spec": ["Hardware"],
    "judge.check": ["CheckReport"],
    "judge.check.plan": ["PlanReport"],
    "judge.replay": ["Replay"],
    "judge.simulate": ["ArraySimulator", "Noise", "SimulationReport", "Study"],
    "model.model": ["Model"],
    "problem.plan": ["Plan"],
    "problem.problem": ["Problem"],
    "problem.question": ["Question", "Terms"],
    "problem.solution": ["Solution"],
    "show.page": ["write_figures", "write_report", "write_trace"],
    "solve.effort": ["Effort"],
    "study.accuracy": ["AccuracyTable", "measure_accuracy"],
    "study.ask": ["Outcome"],
    "study.choose": ["ChoiceFound", "choose_structures"],
    "study.explain.answer": ["explain_solution"],
    "study.explain.runs": ["explain_plan"],
    "study.finetune": ["FinetuneFound", "finetune_factors"],
    "study.sweep.run": ["sweep_study"],
    "study.two": ["compare_solutions"],
    "weights.project": ["project_model", "read_factors"],
    "weights.projection": ["ProjectionRow"],
}
"""Module -> the public names that it has; those that are not here are functions of `api`."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    room = next((room for room, names in _NAMES_OF.items() if name in names), "api")
    value = globals()[name] = getattr(importlib.import_module(f"cimsolve.{room}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
