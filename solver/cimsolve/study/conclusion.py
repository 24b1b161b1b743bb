"""What a run says in the end: does the model fit, what is the best answer, what is it better and worse than."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cimsolve.problem.objective import OBJECTIVES
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Header
from cimsolve.prove import BOUND_OF_OBJECTIVE, objective_units, objective_values, relative_gap
from cimsolve.prove.arrays import least_arrays
from cimsolve.solve.names import DENSE, DENSE_RULE, RULE_NAMES
from cimsolve.study.ask import Asked, Outcome, Solved, solved_ones
from cimsolve.study.solving import problem_for

NOTABLE = 0.01
"""Shares by which a figure must differ to be called better or worse."""


@dataclass(frozen=True)
class Need:
    """Arrays that a way of storing the model takes: the fewest found, if any was, and what none can do without."""

    least: int
    found: int | None = None

    @property
    def arrays(self) -> int:
        """The fewest found, or else the least."""
        return self.least if self.found is None else self.found

    @property
    def is_proved(self) -> bool:
        """Whether no mapping does with fewer than were found."""
        return self.found == self.least


@dataclass(frozen=True)
class Against:
    """The best answer's figures over those of another: objective -> ratio, below 1 where it is better."""

    strategy: str
    ratios: dict[str, float]

    def better(self) -> dict[str, float]:
        """Objectives with less, and how many times."""
        return {name: 1 / ratio for name, ratio in self.ratios.items() if ratio * (1 + NOTABLE) <= 1}

    def worse(self) -> dict[str, float]:
        """Objectives with more, and how many times."""
        return {name: ratio for name, ratio in self.ratios.items() if ratio >= 1 + NOTABLE}


@dataclass(frozen=True)
class Conclusion:
    """What a run found, in short; figures are those of solutions that passed their check."""

    limit: int | None
    """Arrays allowed, or None for as many as needed."""
    dense: Need
    factored: Need | None
    """None where all is stored dense as it is."""
    times_fewer_weights: float
    weight_error: float | None
    """Relative Frobenius error of the stored weights, where real weights were simulated."""
    best: Header | None
    against: Sequence[Against]

    def fits(self, need: Need) -> bool | None:
        """Whether so many arrays are allowed; None where it is not known."""
        if self.limit is None or (need.found is not None and need.found <= self.limit):
            return True
        return False if need.least > self.limit else None


def conclude(asked: Asked, outcomes: Sequence[Outcome]) -> Conclusion:
    """The best answer among those stored as asked, beside the best rule and the best on dense weights."""
    problem = asked.problem
    passed = [one for one in solved_ones(outcomes) if one.check.passed]
    dense_question = problem_for(DENSE, problem)
    all_dense = problem.structures == dense_question.structures
    stored_as_asked = [one for one in passed if all_dense or one.strategy not in (DENSE, DENSE_RULE)]
    units = objective_units(problem, problem.objective)

    def value(one: Solved) -> tuple[float, ...]:
        return objective_values(one.header.metrics, problem.objective, units)

    best = min(stored_as_asked or passed, key=value, default=None)
    rivals: list[Solved] = []
    if best is not None:
        rules = [one for one in passed if one.strategy in RULE_NAMES and one is not best]
        rules = [one for one in rules if one in stored_as_asked] or rules
        dense = [one for one in passed if one.strategy == DENSE and one is not best]
        rivals = [*dense, min(rules, key=value)] if rules else dense
    errors = [one.simulation.weight_error for one in outcomes if one.simulation is not None]
    measured = [error for error in errors if error is not None]
    return Conclusion(
        limit=problem.array_limit,
        dense=_need(dense_question, [one for one in passed if all_dense or one.strategy in (DENSE, DENSE_RULE)]),
        factored=None if all_dense else _need(problem, stored_as_asked),
        times_fewer_weights=problem.model.weight_count / problem.workload.weight_count,
        weight_error=max(measured, default=None),
        best=None if best is None else best.header,
        against=[] if best is None else [_compare(best.header, one.header) for one in rivals],
    )


def _need(question: Problem, answers: Sequence[Solved]) -> Need:
    found = min((int(one.header.metrics["arrays"]) for one in answers), default=None)
    proved = [one.header.bounds["arrays"].lower for one in answers]
    return Need(max(int(max(proved, default=0)), least_arrays(question, found or 0)[0]), found)


def _compare(best: Header, other: Header) -> Against:
    ratios = {}
    for name in OBJECTIVES:
        mine, theirs = (header.metrics[BOUND_OF_OBJECTIVE[name]] for header in (best, other))
        if theirs > 0 and relative_gap(BOUND_OF_OBJECTIVE[name], mine, theirs) != 0:
            ratios[name] = mine / theirs
    return Against(other.strategy, ratios)
