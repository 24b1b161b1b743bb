"""What a run says in the end: does the model fit, what is the best answer, what is it better and worse than."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cimsolve.problem.objective import OBJECTIVES
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Header
from cimsolve.prove import BOUND_OF_OBJECTIVE, objective_units, objective_values, relative_gap
from cimsolve.prove.arrays import least_arrays
from cimsolve.solve.names import DENSE, RULE_NAMES
from cimsolve.study.ask import Asked, Outcome, solved_ones
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


def latency_parts_ns(header: Header) -> dict[str, float]:
    """What a token's latency is spent on, on a chip with a network: arrays, moves and other parts that sum to it, ns.

    `arrays`, `moves`, `sums` and `wait` are what the mapping decides; none changes `digital` and, on a chip that has
    one, `memory`. Nothing of a flat chip, where moves are what every mapping pays alike.
    """
    if "network_latency_ns" not in header.metrics:
        return {}
    cycles, clock_ns = header.breakdown.latency_cycles, float(header.hw["clock_ns"])
    names = {"arrays": "array", "moves": "transfer", "sums": "partial_sums", "wait": "wait", "digital": "digital"}
    names |= {"memory": "memory"} if "memory" in cycles else {}
    return {part: cycles[name] * clock_ns for part, name in names.items()}


def conclude(asked: Asked, outcomes: Sequence[Outcome]) -> Conclusion:
    """What a run found: `conclude_answers` of those that passed their check, with the error of the weights."""
    errors = [one.simulation.weight_error for one in outcomes if one.simulation is not None]
    measured = [error for error in errors if error is not None]
    passed = [one.header for one in solved_ones(outcomes) if one.check.passed]
    return conclude_answers(asked.problem, passed, max(measured, default=None))


def conclude_answers(problem: Problem, passed: Sequence[Header], weight_error: float | None = None) -> Conclusion:
    """The best answer among those stored as `problem` asks, beside the best rule and the best on dense weights.

    `passed` are headers that passed their check, of this question or of the same on dense weights.
    """
    dense_question = problem_for(DENSE, problem)
    stored, stored_dense = (question.question.to_json()["structure"] for question in (problem, dense_question))
    as_asked = [header for header in passed if header.structure == stored]
    dense = [header for header in passed if header.structure == stored_dense]
    units = objective_units(problem, problem.objective)

    def value(header: Header) -> tuple[float, ...]:
        return objective_values(header.metrics, problem.objective, units)

    best = min(as_asked or passed, key=value, default=None)
    rivals: list[Header] = []
    if best is not None:
        rules = [header for header in passed if header.strategy in RULE_NAMES and header is not best]
        rules = [header for header in rules if header in as_asked] or rules
        rivals = [header for header in passed if header.strategy == DENSE and header is not best]
        rivals += [min(rules, key=value)] if rules else []
    return Conclusion(
        limit=problem.array_limit,
        dense=_need(dense_question, dense),
        factored=None if stored == stored_dense else _need(problem, as_asked),
        times_fewer_weights=problem.model.weight_count / problem.workload.weight_count,
        weight_error=weight_error,
        best=best,
        against=[] if best is None else [_compare(best, header) for header in rivals],
    )


def _need(question: Problem, answers: Sequence[Header]) -> Need:
    found = min((int(header.metrics["arrays"]) for header in answers), default=None)
    proved = [header.bounds["arrays"].lower for header in answers]
    return Need(max(int(max(proved, default=0)), least_arrays(question, found or 0)[0]), found)


def _compare(best: Header, other: Header) -> Against:
    ratios = {}
    for name in OBJECTIVES:
        mine, theirs = (header.metrics[BOUND_OF_OBJECTIVE[name]] for header in (best, other))
        if theirs > 0 and relative_gap(BOUND_OF_OBJECTIVE[name], mine, theirs) != 0:
            ratios[name] = mine / theirs
    return Against(other.strategy, ratios)
