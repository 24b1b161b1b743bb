"""The solver's plan: exact where the problem is small, else the best of rules and column-cut spreading."""

from __future__ import annotations

from dataclasses import replace

from cimsolve.mapping import Mapping
from cimsolve.packing.columns import ColumnPacking, Shelves, balanced_layout
from cimsolve.problem import Problem
from cimsolve.strategies.optimal.deal import columns_per_step, deal_strips
from cimsolve.strategies.optimal.strips import densest_strips
from cimsolve.strategies.search import Answer, Event, Search
from cimsolve.strategies.spread import map_spread

SUPPORTED_OBJECTIVES: tuple[tuple[str, ...], ...] = (("arrays", "latency"), ("latency",), ("latency", "arrays"))


def map_optimal(problem: Problem, search: Search) -> Answer:
    if problem.cut == "none":
        return Answer(map_spread(problem))
    return Answer(_spread_columns(problem, search))


def _spread_columns(problem: Problem, search: Search) -> Mapping:
    stages, packing = densest_strips(problem)
    arrays = packing.arrays
    if search.objective[0] == "latency" and problem.array_limit is not None:
        arrays = max(arrays, problem.array_limit)
    search.listen(Event("packing", "arrays", arrays, packing.lower))

    def listen(done: int, total: int) -> None:
        search.listen(Event(f"dealing stages {done}/{total}", "arrays", arrays, packing.lower))

    return deal_strips(problem, stages, _layout(packing, arrays, columns_per_step(problem)), arrays, listen)


def _layout(packing: ColumnPacking, arrays: int, step: int) -> Shelves:
    """Shelves whose widths are whole converter steps where that fits, so that pieces of such widths fill them."""
    while step > 1:
        cols = packing.cols // step
        multiplicity = -(-packing.multiplicity // step)
        if packing.cols % step == 0 and multiplicity.sum() <= arrays * cols:
            coarse = replace(
                packing, cols=cols, multiplicity=multiplicity, columns=int(multiplicity.sum()), arrays=arrays
            )
            shelves = balanced_layout(coarse, arrays)
            return replace(shelves, col=shelves.col * step, width=shelves.width * step)
        step //= 2
    return balanced_layout(packing, arrays)
