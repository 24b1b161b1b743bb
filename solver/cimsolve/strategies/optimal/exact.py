"""Small problems solved to a proof: one model of placement and schedule together, minimised in the order asked.

The answer is measured again by the schedule and the cost model; what they find must be what the model claims.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

import numpy as np
from ortools.sat.python import cp_model

from cimsolve.cost import evaluate
from cimsolve.mapping import Mapping, Pieces
from cimsolve.problem import Problem
from cimsolve.schedule import schedule
from cimsolve.strategies.optimal.exact_items import Answer, Instance, build_instance, first_fit, why_not_exact
from cimsolve.strategies.optimal.exact_model import Variables, build_model

Status = Literal["optimal", "feasible", "infeasible", "unknown"]
Progress = Callable[[str, int, int], None]
"""Called with the metric, its value and its lower bound whenever a better mapping is found."""

METRICS = ("arrays", "latency")


@dataclass(frozen=True)
class ExactResult:
    """A mapping, if one was found, and what is proven.

    `optimal`: each metric of the objective is least, given those before it; `feasible`: legal, not all of that
    proven; `infeasible`: proven that no mapping exists; `unknown`: the time ran out before any was found.
    """

    status: Status
    mapping: Mapping | None
    arrays: int | None
    arrays_lower: int
    """No mapping uses fewer arrays (with latency first: none of the latency found)."""
    latency_cycles: int | None
    latency_lower_cycles: int | None
    """No mapping on `arrays` arrays (with latency first: on the arrays allowed) has a lower token latency."""
    deterministic_time: float


def can_solve_exactly(problem: Problem) -> bool:
    """Whether the problem is small and plain enough; `why_not_exact` gives the reason."""
    return why_not_exact(problem) is None


def solve_exact(
    problem: Problem,
    objective: tuple[str, ...] = ("arrays", "latency"),
    *,
    hint: Mapping | None = None,
    deterministic_time: float = 60.0,
    workers: int = 1,
    seed: int = 0,
    max_arrays: int | None = None,
    progress: Progress | None = None,
) -> ExactResult:
    """Minimise `objective`, a list of `arrays` and `latency` (cycles of a token pass), the first first.

    `hint` may be any mapping of the problem; what of it is no help or not legal is ignored. With one worker the
    same seed gives the same answer.
    Raises ValueError for a problem that `can_solve_exactly` refuses and for other objectives.
    """
    reason = why_not_exact(problem)
    if reason is not None:
        raise ValueError(f"too large or not plain enough for the exact solver: {reason}")
    if not objective or len(set(objective)) < len(objective) or not set(objective) <= set(METRICS):
        raise ValueError(f"objective {objective}: expected an order of {' and '.join(METRICS)}")
    instance = build_instance(problem)
    limits = [limit for limit in (problem.array_limit, max_arrays) if limit is not None]
    search = _Search(instance, min([len(instance.items), *limits]), deterministic_time, workers, seed, progress)
    if instance.least_arrays > search.limit:
        return search.nothing("infeasible")
    answers = [first_fit(instance)]
    if hint is not None:
        hinted = _answer_of(instance, hint)
        answers += [hinted] if hinted is not None else []
    return search.run(objective, answers)


@dataclass
class _Search:
    """The search under one budget; `limit` is the most arrays that may still be used."""

    instance: Instance
    limit: int
    budget: float
    workers: int
    seed: int
    progress: Progress | None
    spent: float = 0.0
    arrays_lower: int = 0
    latency_lower: int | None = None

    def run(self, objective: tuple[str, ...], answers: list[Answer]) -> ExactResult:
        self.arrays_lower = self.instance.least_arrays
        proven = True
        latency_limit: int | None = None
        best: Answer | None = None
        for metric in objective:
            if metric == "arrays" and latency_limit is None:
                outcome = self._fewest_arrays(answers)
            else:
                outcome = self._solve(metric, answers, latency_limit)
            if isinstance(outcome, str):
                # Later metrics always have the answer of the first to fall back on.
                return self.nothing(outcome)
            best, lower = outcome
            answers = [*answers, best]
            value = _value(self.instance, best, metric)
            proven = proven and lower == value
            if metric == "arrays":
                self.limit, self.arrays_lower = value, lower
            else:
                latency_limit, self.latency_lower = value, lower
        assert best is not None
        return self._result(best, "optimal" if proven else "feasible")

    def nothing(self, status: Status) -> ExactResult:
        """The result without a mapping."""
        lower = self.limit + 1 if status == "infeasible" else self.instance.least_arrays
        return ExactResult(status, None, None, lower, None, None, self.spent)

    def _fewest_arrays(self, answers: list[Answer]) -> tuple[Answer, int] | Status:
        """Every placement has a legal schedule, each item in its own activation: only placement is asked."""
        usable = [_alone(answer) for answer in answers if _arrays(answer) <= self.limit]
        slots = min([self.limit, *map(_arrays, usable)])
        for answer in usable:
            if _arrays(answer) == self.instance.least_arrays:
                return answer, self.instance.least_arrays
        variables = build_model(self.instance, slots, placement_only=True)
        return self._minimise(variables, "arrays", usable)

    def _solve(
        self, metric: str, answers: list[Answer], latency_limit: int | None
    ) -> tuple[Answer, int] | Status:
        variables = build_model(self.instance, self.limit)
        if latency_limit is not None:
            variables.model.add(variables.end <= latency_limit - self.instance.gap_cycles[-1])
        return self._minimise(variables, metric, [a for a in answers if _arrays(a) <= self.limit])

    def _minimise(
        self, variables: Variables, metric: str, answers: list[Answer]
    ) -> tuple[Answer, int] | Status:
        """The best answer found, at least as good as the legal ones of `answers`, and the metric's lower bound."""
        instance = self.instance
        constant = instance.gap_cycles[-1] if metric == "latency" else 0
        variables.model.minimize(variables.end if metric == "latency" else variables.used)
        legal = [answer for answer in answers if self._hint(variables, answer)]
        solver = self._solver(max(self.budget - self.spent, 0.01))
        report = self.progress
        code = solver.solve(variables.model, _Report(metric, constant, report) if report is not None else None)
        self.spent += solver.deterministic_time
        assert code != cp_model.MODEL_INVALID, variables.model.validate()
        if code == cp_model.INFEASIBLE:
            return "infeasible"
        if code in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            legal.append(read_answer(variables, solver))
        if not legal:
            return "unknown"
        best = min(legal, key=lambda answer: measure(instance, answer)[METRICS.index(metric)])
        return best, constant + max(0, math.ceil(solver.best_objective_bound - 1e-6))

    def _hint(self, variables: Variables, answer: Answer) -> bool:
        """Hint every variable with this answer, if no later one is better; False if the rules do not hold.

        The decisions fix all other variables, and the solver takes up complete hints only.
        """
        answer = canonical(self.instance, answer)
        trial = variables.model.clone()
        decided = [(fired, int(answer.leader[i] == leader)) for (leader, i), fired in variables.leads.items()]
        for of_items, values in (
            (variables.array, answer.array),
            (variables.row, answer.row),
            (variables.col, answer.col),
        ):
            decided += zip(of_items, values, strict=True)
        for variable, value in decided:
            trial.add(trial.get_int_var_from_proto_index(variable.index) == value)
        solver = self._solver(self.budget)
        if solver.solve(trial) != cp_model.OPTIMAL:
            return False
        value = round(solver.objective_value)
        if self.hinted is None or self.hinted[0] is not variables or value < self.hinted[1]:
            self.hinted = (variables, value)
            variables.model.clear_hints()
            for index in range(len(trial.proto.variables)):
                variable = variables.model.get_int_var_from_proto_index(index)
                trial_variable = trial.get_int_var_from_proto_index(index)
                variables.model.add_hint(variable, solver.value(trial_variable))
        return True

    def _solver(self, deterministic_time: float) -> cp_model.CpSolver:
        solver = cp_model.CpSolver()
        solver.parameters.max_deterministic_time = deterministic_time
        solver.parameters.num_workers = self.workers
        solver.parameters.random_seed = self.seed
        return solver

    def _result(self, answer: Answer, status: Status) -> ExactResult:
        arrays, latency = measure(self.instance, answer)
        mapping = mapping_of(self.instance, answer)
        return ExactResult(
            status, mapping, arrays, self.arrays_lower, latency, self.latency_lower, self.spent
        )


class _Report(cp_model.CpSolverSolutionCallback):
    """Hands every better value to `progress`."""

    def __init__(self, metric: str, constant: int, progress: Progress) -> None:
        super().__init__()
        self._metric, self._constant, self._progress = metric, constant, progress

    def on_solution_callback(self) -> None:
        lower = max(0, math.ceil(self.best_objective_bound - 1e-6))
        self._progress(self._metric, round(self.objective_value) + self._constant, lower + self._constant)


def read_answer(v: Variables, solver: cp_model.CpSolver) -> Answer:
    """The solver's decisions. What the model makes of them must be what the cost model measures.

    Raises AssertionError where the two differ: one of them has a bug.
    """
    answer = Answer(
        tuple(map(solver.value, v.array)),
        tuple(map(solver.value, v.row)),
        tuple(map(solver.value, v.col)),
        tuple(next(lead for lead in range(i + 1) if _fires(v, solver, lead, i)) for i, _ in v.items()),
    )
    if any(solver.value(cycles) for cycles in v.cycles):
        claimed = (solver.value(v.used), claimed_latency(v, solver))
        assert claimed == measure(v.instance, answer), f"{claimed} claimed, {measure(v.instance, answer)} measured"
        return answer
    return _alone(answer)
