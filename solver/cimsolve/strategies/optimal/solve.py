"""The solver's plan: exact where the problem is small, else the best of rules and column-cut spreading."""

from __future__ import annotations

from cimsolve.problem import Problem
from cimsolve.strategies.search import Answer, Search
from cimsolve.strategies.spread import map_spread


def map_optimal(problem: Problem, search: Search) -> Answer:
    return Answer(map_spread(problem))
