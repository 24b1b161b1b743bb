"""The strategies by name: rules of the field, and the solver. All have one signature, `effort.Strategy`."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as MappingABC
from dataclasses import replace

from cimsolve.problem.laps import of_first_lap, repeated
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping
from cimsolve.solve.effort import Answer, Effort, Strategy
from cimsolve.solve.names import DEFAULT_RULES, STRATEGY_NAMES
from cimsolve.solve.plan import map_optimal
from cimsolve.solve.rules.diagonals import map_densemap, map_sparsemap
from cimsolve.solve.rules.experts import map_greedy_top2
from cimsolve.solve.rules.linear import map_linear
from cimsolve.solve.rules.spread import map_spread


def _rule(function: Callable[[Problem], Mapping]) -> Strategy:
    return _of_what_is_stored(lambda problem, effort: Answer(function(problem)))


def _of_what_is_stored(strategy: Strategy) -> Strategy:
    """The strategy, which places weights that fire again as if they fired once, and then fires them as often."""

    def answer(problem: Problem, effort: Effort) -> Answer:
        if problem.stored is problem:
            return strategy(problem, effort)
        start = None if effort.start is None else of_first_lap(problem, effort.start)
        found = strategy(problem.stored, replace(effort, start=start))
        return Answer(repeated(problem, found.mapping), stopped_by=found.stopped_by)

    return answer


_RULES = map(_rule, (map_linear, map_sparsemap, map_densemap, map_spread, map_greedy_top2))
_SEARCH = _of_what_is_stored(map_optimal)
STRATEGIES: MappingABC[str, Strategy] = dict(zip(STRATEGY_NAMES, (*_RULES, _SEARCH, _SEARCH), strict=True))
RULES: MappingABC[str, Strategy] = {name: STRATEGIES[name] for name in DEFAULT_RULES}
"""The rules that answer for any model."""
