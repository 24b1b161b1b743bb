"""The strategies by name: four rules of the field, and the solver. All have one signature, `effort.Strategy`."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as MappingABC

from cimsolve.problem.objective import DEFAULT_OBJECTIVE, OBJECTIVES
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping
from cimsolve.solve.effort import Answer, Effort, Event, Strategy
from cimsolve.solve.plan import map_optimal
from cimsolve.solve.rules.densemap import map_densemap
from cimsolve.solve.rules.linear import map_linear
from cimsolve.solve.rules.sparsemap import map_sparsemap
from cimsolve.solve.rules.spread import map_spread


def _rule(function: Callable[[Problem], Mapping]) -> Strategy:
    def apply(problem: Problem, search: Effort) -> Answer:
        return Answer(function(problem))

    return apply


RULES: MappingABC[str, Strategy] = {
    "linear": _rule(map_linear),
    "sparsemap": _rule(map_sparsemap),
    "densemap": _rule(map_densemap),
    "spread": _rule(map_spread),
}
STRATEGIES: MappingABC[str, Strategy] = {**RULES, "optimal": map_optimal}

__all__ = [
    "DEFAULT_OBJECTIVE",
    "OBJECTIVES",
    "RULES",
    "STRATEGIES",
    "Answer",
    "Effort",
    "Event",
    "Strategy",
]
