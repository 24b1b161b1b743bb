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
    from cimsolve.accuracy import AccuracyTable, measure_accuracy
    from cimsolve.api import (
        check_solution,
        compare_converters,
        load_hardware,
        load_model,
        make_problem,
        make_simulator,
        map_front,
        map_model,
        read_solution,
        replay_solution,
        simulate_solution,
        study_solution,
        write_solution,
    )
    from cimsolve.check import CheckReport
    from cimsolve.comparison import compare_solutions
    from cimsolve.draw import write_figures, write_report, write_trace
    from cimsolve.explain.answer import explain_solution
    from cimsolve.hardware import Hardware
    from cimsolve.model import Model
    from cimsolve.problem import Problem
    from cimsolve.projection import ProjectionRow
    from cimsolve.real_weights import project_model, read_factors
    from cimsolve.replay import Replay
    from cimsolve.simulate import ArraySimulator, Noise, SimulationReport, Study
    from cimsolve.solution import Solution
    from cimsolve.sweep.run import sweep_study

__version__ = "0.1.0"

__all__ = [
    "AccuracyTable",
    "ArraySimulator",
    "CheckError",
    "CheckReport",
    "CimsolveError",
    "FailedError",
    "Hardware",
    "InfeasibleError",
    "InputError",
    "Model",
    "Noise",
    "Problem",
    "ProjectionRow",
    "Replay",
    "SimulationReport",
    "Solution",
    "Study",
    "__version__",
    "check_solution",
    "compare_converters",
    "compare_solutions",
    "explain_solution",
    "load_hardware",
    "load_model",
    "make_problem",
    "make_simulator",
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
    "AccuracyTable": "accuracy",
    "ArraySimulator": "simulate",
    "CheckReport": "check",
    "Hardware": "hardware",
    "Model": "model",
    "Noise": "simulate",
    "Problem": "problem",
    "ProjectionRow": "projection",
    "Replay": "replay",
    "SimulationReport": "simulate",
    "Solution": "solution",
    "Study": "simulate",
    "compare_solutions": "comparison",
    "explain_solution": "explain.answer",
    "measure_accuracy": "accuracy",
    "project_model": "real_weights",
    "read_factors": "real_weights",
    "sweep_study": "sweep.run",
    "write_figures": "draw",
    "write_report": "draw",
    "write_trace": "draw",
}
"""Where a public name lives; all others are functions of `api`."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"cimsolve.{_MODULE_OF.get(name, 'api')}")
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
