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
        check_solution,
        compare_converters,
        load_hardware,
        make_problem,
        make_simulator,
        map_all,
        map_front,
        map_model,
        read_solution,
        replay_solution,
        simulate_solution,
        study_solution,
        write_solution,
    )
    from cimsolve.chip.spec import Hardware
    from cimsolve.judge.check import CheckReport
    from cimsolve.judge.replay import Replay
    from cimsolve.judge.simulate import ArraySimulator, Noise, SimulationReport, Study
    from cimsolve.model.load import load_model
    from cimsolve.model.model import Model
    from cimsolve.problem.problem import Problem
    from cimsolve.problem.question import Question
    from cimsolve.problem.solution import Solution
    from cimsolve.problem.terms import Terms
    from cimsolve.show.page import write_figures, write_report, write_trace
    from cimsolve.solve.effort import Effort
    from cimsolve.study.accuracy import AccuracyTable, measure_accuracy
    from cimsolve.study.ask import Outcome
    from cimsolve.study.explain.answer import explain_solution
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
    "CimsolveError",
    "Effort",
    "FailedError",
    "Hardware",
    "InfeasibleError",
    "InputError",
    "Model",
    "Noise",
    "Outcome",
    "Problem",
    "ProjectionRow",
    "Question",
    "Replay",
    "SimulationReport",
    "Solution",
    "Study",
    "Terms",
    "__version__",
    "check_solution",
    "compare_converters",
    "compare_solutions",
    "explain_solution",
    "load_hardware",
    "load_model",
    "make_problem",
    "make_simulator",
    "map_all",
    "map_front",
    "map_model",
    "measure_accuracy",
    "project_model",
    "read_factors",
    "read_solution",
    "replay_solution",
    "simulate_solution",
    "study_solution",
    "sweep_study",
    "write_figures",
    "write_report",
    "write_solution",
    "write_trace",
]

_MODULE_OF = {
    "AccuracyTable": "study.accuracy",
    "ArraySimulator": "judge.simulate",
    "CheckReport": "judge.check",
    "Hardware": "chip.spec",
    "Model": "model.model",
    "Noise": "judge.simulate",
    "Effort": "solve.effort",
    "Outcome": "study.ask",
    "Problem": "problem.problem",
    "ProjectionRow": "weights.projection",
    "Question": "problem.question",
    "Replay": "judge.replay",
    "SimulationReport": "judge.simulate",
    "Solution": "problem.solution",
    "Study": "judge.simulate",
    "Terms": "problem.question",
    "compare_solutions": "study.two",
    "explain_solution": "study.explain.answer",
    "measure_accuracy": "study.accuracy",
    "project_model": "weights.project",
    "read_factors": "weights.project",
    "sweep_study": "study.sweep.run",
    "write_figures": "show.page",
    "write_report": "show.page",
    "write_trace": "show.page",
}
"""Public name -> the module that has it; names that are not here are functions of `api`."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"cimsolve.{_MODULE_OF.get(name, 'api')}")
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
