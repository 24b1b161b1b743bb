"""Small problems solved to a proof: placement and schedule as one model, minimised in the order asked.

The answer is measured again by the schedule and the cost model; what they find must be what the model claims.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping
from cimsolve.solve.cp_sat import cp_model, make_solver
from cimsolve.solve.exact.answers import (
    ExactAnswer,
    answer_of,
    canonical,
    count_arrays,
    first_fit,
    mapping_of,
    measure,
    one_by_one,
)
from cimsolve.solve.exact.items import Instance, build_instance, why_not_exact
from cimsolve.solve.exact.rules import build_model
from cimsolve.solve.exact.variables import Variables

Status = Literal["optimal", "feasible", "infeasible", "unknown"]
Progress = Callable[[str, int, int], None]
"""Called with the metric, its value and its lower bound whenever a better mapping is found."""

METRICS = ("arrays", "latency")

COMPLETION_TIME = 10.0
"""Deterministic time to work out all variables from given decisions: propagation only, a small part of it."""


@dataclass(frozen=True)
class ExactResult:
    """A mapping, if one was found, and what is proven.

    `optimal`: each metric of the objective is least, given those before it. `feasible`: legal, not all of
    that proven. `infeasible`: no mapping exists. `unknown`: the time ran out before any was found.
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

    `hint` may be any mapping of the problem, legal or not. With one worker equal seeds give equal answers.
    Raises ValueError for a problem that `why_not_exact` refuses and for other objectives.
    """
    reason = why_not_exact(problem)
    if reason is not None:
        raise ValueError(f"too large or not plain enough for the exact solver: {reason}")
    if not objective or len(set(objective)) < len(objective) or not set(objective) <= set(METRICS):
        raise ValueError(f"objective {objective}: expected an order of {' and '.join(METRICS)}")
    instance = build_instance(problem)
    limits = [limit for limit in (problem.array_limit, max_arrays) if limit is not None]
    search = _ExactSearch(instance, min([len(instance.items), *limits]), deterministic_time, workers, seed, progress)
    if instance.least_arrays > search.limit:
        return search.nothing("infeasible")
    answers = [first_fit(instance)]
    if hint is not None and (hinted := answer_of(instance, hint)) is not None:
        answers.append(hinted)
    if (uncut := _uncut(problem)) is not None:
        # Whole blocks are far fewer items. Where cuts gain little, their best mapping is nearly the answer.
        first = _ExactSearch(build_instance(uncut), search.limit, deterministic_time / 4, workers, seed, None)
        outcome = first.run(objective, [first_fit(first.instance)])
        search.spent = first.spent
        if outcome.mapping is not None and (whole := answer_of(instance, outcome.mapping)) is not None:
            answers.append(whole)
    return search.run(objective, answers)


def improve_on_arrays(
    instance: Instance, hint: Mapping, deterministic_time: float, workers: int, seed: int
) -> Mapping | None:
    """The mapping of least token latency found for the items of `instance` on no more arrays than `hint` uses.

    `hint` maps these items alone; what stays of the instance is part of what is returned. None where nothing is found.
    """
    if (answer := answer_of(instance, hint)) is None:
        return None
    search = _ExactSearch(instance, count_arrays(answer), deterministic_time, workers, seed, None)
    return search.run(("latency",), [answer]).mapping


def _uncut(problem: Problem) -> Problem | None:
    """The problem without cuts, where there were some to make and none must be."""
    if problem.cut == "none" or int(problem.table.block_cols.max()) == 1:
        return None
    uncut = problem.asking(cut="none")
    return uncut if why_not_exact(uncut) is None else None


@dataclass
class _ExactSearch:
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

    def run(self, objective: tuple[str, ...], answers: list[ExactAnswer]) -> ExactResult:
        """Minimise the metrics one after the other, each under the values found for those before it."""
        self.arrays_lower = self.instance.least_arrays
        proven = True
        latency_limit: int | None = None
        for metric in objective:
            if metric == "arrays" and latency_limit is None:
                outcome = self._fewest_arrays(answers)
            else:
                variables = build_model(self.instance, self.limit)
                if latency_limit is not None:
                    variables.model.add(variables.end <= latency_limit - self.instance.gap_cycles[-1])
                outcome = self._minimise(variables, metric, answers)
            if isinstance(outcome, str):
                # Only the first metric: a later one has its answer to fall back on.
                return self.nothing(outcome)
            best, lower = outcome
            answers.append(best)
            value = measure(self.instance, best)[METRICS.index(metric)]
            proven = proven and lower == value
            if metric == "arrays":
                self.limit, self.arrays_lower = value, lower
            else:
                latency_limit, self.latency_lower = value, lower
        arrays, latency = measure(self.instance, best)
        status: Status = "optimal" if proven else "feasible"
        mapping = mapping_of(self.instance, best)
        return ExactResult(status, mapping, arrays, self.arrays_lower, latency, self.latency_lower, self.spent)

    def nothing(self, status: Status) -> ExactResult:
        """The result without a mapping."""
        lower = self.limit + 1 if status == "infeasible" else self.instance.least_arrays
        return ExactResult(status, None, None, lower, None, None, self.spent)

    def _fewest_arrays(self, answers: list[ExactAnswer]) -> tuple[ExactAnswer, int] | Status:
        """Every placement has a legal schedule, each item in its own activation: only placement is asked."""
        usable = [one_by_one(answer) for answer in answers if count_arrays(answer) <= self.limit]
        for answer in usable:
            if count_arrays(answer) == self.instance.least_arrays:
                return answer, self.instance.least_arrays
        arrays = min([self.limit, *map(count_arrays, usable)])
        variables = build_model(self.instance, arrays, placement_only=True)
        return self._minimise(variables, "arrays", usable)

    def _minimise(
        self, variables: Variables, metric: str, answers: list[ExactAnswer]
    ) -> tuple[ExactAnswer, int] | Status:
        """The best answer, no worse than any of `answers` that the model allows, and a lower bound."""
        constant = self.instance.gap_cycles[-1] if metric == "latency" else 0
        variables.model.minimize(variables.end if metric == "latency" else variables.used)
        found: list[tuple[int, int, ExactAnswer]] = []
        hints: list[tuple[int, int, list[int]]] = []
        for rank, answer in enumerate(answers):
            values = self._all_values(variables, answer)
            if values is not None:
                value = measure(self.instance, answer)[METRICS.index(metric)]
                found.append((value, rank, answer))
                hints.append((value, rank, values))
        if hints:
            for index, value in enumerate(min(hints)[2]):
                variables.model.add_hint(variables.model.get_int_var_from_proto_index(index), value)
        solver = make_solver(max(self.budget - self.spent, 0.01), self.workers, self.seed)
        report = None if self.progress is None else _Report(metric, constant, self.progress)
        code = solver.solve(variables.model, report)
        self.spent += solver.deterministic_time
        assert code != cp_model.MODEL_INVALID, variables.model.validate()
        if code == cp_model.INFEASIBLE:
            return "infeasible"
        if code in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            answer = read_answer(variables, solver)
            found.append((measure(self.instance, answer)[METRICS.index(metric)], len(answers), answer))
        if not found:
            return "unknown"
        return min(found)[2], constant + _whole(solver.best_objective_bound)

    def _all_values(self, variables: Variables, answer: ExactAnswer) -> list[int] | None:
        """Values of all variables under `answer`, as hints must be whole; None where the model forbids it."""
        if count_arrays(answer) > variables.arrays:
            return None
        answer = canonical(self.instance, answer)
        trial = variables.model.clone()
        decided = [(fired, int(answer.leader[i] == leader)) for (leader, i), fired in variables.leads.items()]
        places = ((variables.array, answer.array), (variables.row, answer.row), (variables.col, answer.col))
        decided += [decision for columns in places for decision in zip(*columns, strict=True)]
        for variable, value in decided:
            trial.add(trial.get_int_var_from_proto_index(variable.index) == value)
        solver = make_solver(COMPLETION_TIME, self.workers, self.seed)
        return list(solver.response_proto.solution) if solver.solve(trial) == cp_model.OPTIMAL else None


class _Report(cp_model.CpSolverSolutionCallback):
    """Hands every better value to `progress`."""

    def __init__(self, metric: str, constant: int, progress: Progress) -> None:
        super().__init__()
        self._metric, self._constant, self._progress = metric, constant, progress

    def on_solution_callback(self) -> None:
        value, lower = round(self.objective_value), _whole(self.best_objective_bound)
        self._progress(self._metric, value + self._constant, lower + self._constant)


def _whole(bound: float) -> int:
    """A lower bound of an integer that is not negative; the solver's may be fractional, or none at all."""
    return max(0, math.ceil(bound - 1e-6)) if math.isfinite(bound) else 0


def read_answer(v: Variables, solver: cp_model.CpSolver) -> ExactAnswer:
    """The solver's decisions.

    Raises AssertionError where the cost model measures anything else than the model claims: one has a bug.
    """
    leader = {i: lead for (lead, i), fired in v.leads.items() if solver.boolean_value(fired)}
    answer = ExactAnswer(
        array=tuple(map(solver.value, v.array)),
        row=tuple(map(solver.value, v.row)),
        col=tuple(map(solver.value, v.col)),
        leader=tuple(leader.get(i, i) for i, _ in v.items()),
    )
    if not v.scheduled:
        return one_by_one(answer)
    # An unfinished search may leave idle time in a stage, which does not count.
    busy = [
        max(
            least,
            *(
                sum(solver.value(v.cycles_on[i][a]) for i, item in v.items() if item.stage == s)
                for a in range(v.arrays)
            ),
        )
        for s, least in enumerate(v.instance.least_stage_cycles)
    ]
    claimed = (solver.value(v.used), sum(busy) + sum(v.instance.gap_cycles))
    measured = measure(v.instance, answer)
    assert claimed == measured, f"the model claims (arrays, latency) = {claimed}, the cost model measures {measured}"
    return answer
