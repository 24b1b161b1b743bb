"""The strategies by name: four rules of the field, and the solver. All have one signature, `search.Strategy`."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as MappingABC

from cimsolve.mapping import Mapping
from cimsolve.objective import DEFAULT_OBJECTIVE, OBJECTIVES
from cimsolve.problem import Problem
from cimsolve.strategies.densemap import map_densemap
from cimsolve.strategies.linear import map_linear
from cimsolve.strategies.optimal import map_optimal
from cimsolve.strategies.search import Answer, Event, Search, Strategy
from cimsolve.strategies.sparsemap import map_sparsemap
from cimsolve.strategies.spread import map_spread


def _rule(function: Callable[[Problem], Mapping]) -> Strategy:
    def apply(problem: Problem, search: Search) -> Answer:
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
    "Event",
    "Search",
    "Strategy",
]
