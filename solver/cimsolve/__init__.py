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
        load_hardware,
        load_model,
        make_problem,
        map_front,
        map_model,
        read_solution,
        replay_solution,
        simulate_solution,
        write_solution,
    )
    from cimsolve.check import CheckReport
    from cimsolve.hardware import Hardware
    from cimsolve.model import Model
    from cimsolve.problem import Problem
    from cimsolve.replay import Replay
    from cimsolve.simulate import SimulationReport
    from cimsolve.solution import Solution

__version__ = "0.1.0"

__all__ = [
    "CheckError",
    "CheckReport",
    "CimsolveError",
    "FailedError",
    "Hardware",
    "InfeasibleError",
    "InputError",
    "Model",
    "Problem",
    "Replay",
    "SimulationReport",
    "Solution",
    "__version__",
    "check_solution",
    "load_hardware",
    "load_model",
    "make_problem",
    "map_front",
    "map_model",
    "read_solution",
    "replay_solution",
    "simulate_solution",
    "write_solution",
]

_MODULE_OF = {
    "CheckReport": "check",
    "Hardware": "hardware",
    "Model": "model",
    "Problem": "problem",
    "Replay": "replay",
    "SimulationReport": "simulate",
    "Solution": "solution",
}
"""Where a public class lives; all other lazy names are functions of `api`."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"cimsolve.{_MODULE_OF.get(name, 'api')}")
    value = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
