"""How CP-SAT is run here: for a deterministic time, and without a hold on Ctrl-C. Imported only when it is needed."""

from __future__ import annotations

import math

from ortools.sat.python import cp_model

from cimsolve.solve.deadline import seconds_for_a_solver

__all__ = ["cp_model", "make_solver"]


def make_solver(deterministic_time: float, workers: int = 1, seed: int = 0) -> cp_model.CpSolver:
    """A solver that stops after `deterministic_time`, in CP-SAT's units (about seconds); repeatable with one worker.

    It stops earlier where a limit of time asks for it.
    """
    solver = cp_model.CpSolver()
    solver.parameters.max_deterministic_time = deterministic_time
    if math.isfinite(seconds := seconds_for_a_solver()):
        solver.parameters.max_time_in_seconds = seconds
    solver.parameters.num_workers = workers
    solver.parameters.random_seed = seed
    # Its own handler would leave SIGINT at the default: a later Ctrl-C would kill the process, answer and all.
    solver.parameters.catch_sigint_signal = False
    return solver
