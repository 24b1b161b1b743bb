"""The Python API: what the command line does, in a few calls. `import cimsolve` offers it lazily."""

from cimsolve.api.answers import (
    compare_converters,
    first_difference,
    map_front,
    map_model,
    search_front,
    solution_of_point,
    start_from,
)
from cimsolve.api.judging import (
    check_solution,
    make_simulator,
    read_solution,
    replay_solution,
    simulate_solution,
    study_solution,
    write_solution,
)
from cimsolve.api.questions import Structures, load_model, make_problem, make_search, resolve_structures
from cimsolve.chip.read import load_hardware
from cimsolve.weights.folder_weights import FolderWeights, weights_beside

__all__ = [
    "FolderWeights",
    "Structures",
    "check_solution",
    "compare_converters",
    "first_difference",
    "load_hardware",
    "load_model",
    "make_problem",
    "make_search",
    "make_simulator",
    "map_front",
    "map_model",
    "read_solution",
    "replay_solution",
    "resolve_structures",
    "search_front",
    "simulate_solution",
    "solution_of_point",
    "start_from",
    "study_solution",
    "weights_beside",
    "write_solution",
]
