"""The mappings that the solver tries: rules, and column-cut spreading in several ways."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Mapping as MappingABC
from dataclasses import replace
from functools import partial
from itertools import product
from typing import NamedTuple

import numpy as np

from cimsolve.pack.columns import ColumnPacking
from cimsolve.pack.even_out import even_out
from cimsolve.problem.objective import names_of
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping
from cimsolve.prove import most_arrays
from cimsolve.solve.columns.batches import lots_of
from cimsolve.solve.columns.deal import TIMED_BY_STAGE, Goal
from cimsolve.solve.columns.in_time import map_in_time
from cimsolve.solve.columns.spread import LAYOUTS, PHASE_LAYOUTS, ColumnSpread
from cimsolve.solve.columns.strips import StripKind, cut_into_strips, question_of_strips, ways_to_strips
from cimsolve.solve.effort import Effort
from cimsolve.solve.groups.crowns import map_crowns
from cimsolve.solve.groups.place import GroupSpread
from cimsolve.solve.polish.even_phases import even_out_phases
from cimsolve.solve.rules.diagonals import map_densemap, map_sparsemap
from cimsolve.solve.rules.linear import map_linear
from cimsolve.solve.rules.spread import PackedParts, deal, densest, packings

GROWTH = (1.03, 1.0625, 1.125, 1.25, 1.5, 1.75, 2.0, 3.0, 4.0, 6.0, 8.0)
"""Array counts to try where more than the least may help, as multiples of it."""
MIXED_MAX = 20_000
"""Inputs of a model with experts beyond which they are not grouped: each is taken one by one."""

TIMED_MAX = 500
"""Arrays beyond which they are not packed by time for a prefill."""
RULES = 4
"""So many of the candidates are rules of the field."""


class Candidate(NamedTuple):
    name: str
    find: Callable[[], Mapping | None]
    """None where it comes to nothing."""
    arrays: int = 0
    """Arrays that it will use, where that is known before."""
    layout: str = ""
    refine: Callable[[], Mapping] | None = None
    """Finds a mapping with more effort, where that may help."""


def candidates(problem: Problem, effort: Effort) -> Iterator[Candidate]:
    """What to try: first the RULES, which are quick, so that an early end has an answer, then the most promising."""
    packed_ways = packings(problem)
    yield Candidate("whole blocks spread", partial(deal, problem, densest(packed_ways)))
    yield Candidate("sparse diagonals", partial(map_sparsemap, problem))
    yield Candidate("dense diagonals", partial(map_densemap, problem))
    yield Candidate("tiles, one an array", partial(_tiles, problem))
    least: list[int] = []
    seeks_prefill = "prefill" in names_of(problem.objective)
    for packed in packed_ways:
        least.append(packed.packing.arrays)
        for arrays in _array_counts(problem, packed.packing.arrays, effort):
            name = f"whole blocks, each shape spread over {arrays} arrays"
            yield Candidate(name, partial(_spread_shapes, problem, packed, arrays), arrays)
            if seeks_prefill:
                find = partial(_spread_shapes, problem, packed, arrays, by_phase=True)
                yield Candidate(f"{name}, by phase", partial(_evened, problem, effort, find), arrays)
            if not _fills_time(problem, arrays):
                continue
            find_pairs = partial(map_crowns, problem, arrays, seeks_prefill)
            name = f"inputs in pairs on {arrays} arrays"
            yield Candidate(name, partial(_evened, problem, effort, find_pairs), arrays)
            if problem.cut == "none":
                for even in (False, True) if problem.must_cut_rows else (False,):
                    yield _in_time(problem, effort, cut_into_strips(problem, even), arrays)
    ways = ways_to_strips(problem) if problem.cut != "none" else []
    least += [packing.arrays for _, packing in ways]
    parts = [_columns_cut(problem, effort, ways), _grouped(problem, effort, min(least))]
    # Groups are formed in less time than it takes to deal the columns of every expert.
    for part in reversed(parts) if problem.workload.has_experts else parts:
        yield from part


def _columns_cut(
    problem: Problem, effort: Effort, ways: list[tuple[list[list[StripKind]], ColumnPacking]]
) -> Iterator[Candidate]:
    """Strips of columns dealt over arrays, for every goal and layout."""
    for stages, packing in ways:
        for arrays in _array_counts(problem, packing.arrays, effort):
            spread = ColumnSpread(question_of_strips(problem, stages), stages, packing, arrays, effort.listen)
            for goal, layout, by_shelf in product(_goals(problem), LAYOUTS, (False, True)):
                dealt = "by shelf" if by_shelf else "by array"
                name = f"columns cut for {goal}, spread over {arrays} arrays {dealt}, {layout} shelves"
                find = partial(_find, spread, layout, by_shelf, goal)
                refine = partial(spread.refine, layout, by_shelf, goal) if goal in TIMED_BY_STAGE else None
                yield Candidate(name, find, arrays, layout, refine)
            if _fills_time(problem, arrays):
                yield _in_time(problem, effort, stages, arrays)
            if "prefill" in names_of(problem.objective) and spread.fires_once:
                for layout in PHASE_LAYOUTS:
                    name = f"columns cut to fill phases, spread over {arrays} arrays, {layout} shelves"
                    yield Candidate(name, partial(spread.fill_phases, layout), arrays)


def _fills_time(problem: Problem, arrays: int) -> bool:
    """Whether what arrays work in a whole pass is sought, and is that of all that they hold.

    A prefill is bounded by it too, but rarely by that alone where arrays are many, on which it takes long to find.
    """
    names = names_of(problem.objective)
    sought = "throughput" in names or ("prefill" in names and problem.objective[0] == "arrays" and arrays <= TIMED_MAX)
    return sought and problem.workload.fires_all_once


def _in_time(problem: Problem, effort: Effort, stages: list[list[StripKind]], arrays: int) -> Candidate:
    find = partial(map_in_time, problem, stages, arrays, effort.listen)
    return Candidate(f"strips packed by their time on {arrays} arrays", partial(_evened, problem, effort, find), arrays)


def _evened(problem: Problem, effort: Effort, find: Callable[[], Mapping | None]) -> Mapping | None:
    """What is found, with its phases evened out where prefill is sought on one number of arrays."""
    found = find()
    if found is None or "prefill" not in names_of(problem.objective) or problem.objective[0] != "arrays":
        return found
    return even_out_phases(problem, found, effort.seed)


def _grouped(problem: Problem, effort: Effort, least: int) -> Iterator[Candidate]:
    """Inputs that fire together, where a stage has more of them than there are arrays."""
    strips = cut_into_strips(problem, even=False)
    inputs = [sum(kind.count for kind in kinds) for kinds in strips]
    if problem.workload.has_experts and sum(inputs) > MIXED_MAX:
        return
    lots = lots_of(problem, strips)
    cuts = (False,) if problem.cut == "none" else (False, True)
    for arrays, cut in product(_array_counts(problem, least, effort), cuts):
        if max(inputs) > arrays:
            name = f"{'columns cut' if cut else 'whole blocks'}, inputs grouped on {arrays} arrays"
            yield Candidate(name, GroupSpread(problem, lots, arrays, cut).find, arrays)


def _tiles(problem: Problem) -> Mapping | None:
    """The rule `linear`, where it answers this question: all is dense, and its row groups are allowed cuts."""
    fits = problem.is_dense and (problem.cut == "both" or problem.rows % problem.rows_limit == 0)
    return map_linear(problem) if fits else None


def _find(spread: ColumnSpread, layout: str, by_shelf: bool, goal: Goal) -> Mapping | None:
    """What dealing comes to, or None where that is what an earlier layout came to."""
    return None if spread.repeats(layout) else spread.find(layout, by_shelf, goal)


def _spread_shapes(problem: Problem, packed: PackedParts, arrays: int, by_phase: bool = False) -> Mapping:
    """`spread`, on a packing that does not leave a shape to a few arrays, of stages or of phases."""
    stages = problem.workload.stages
    kind = np.array([stage.phase for stage in stages]) if by_phase else np.arange(len(stages))
    demands = np.zeros((int(kind.max()) + 1, len(packed.sizes)), dtype=np.int64)
    np.add.at(demands, (kind[problem.table.stage[packed.parts.factor]], packed.shape), 1)
    height, width = packed.sizes.T
    even = even_out(packed.packing, height, width, demands, problem.rows, problem.weights_per_row, arrays)
    return deal(problem, replace(packed, packing=even), by_phase)


def _goals(problem: Problem) -> list[Goal]:
    """What dealing may aim at, by the order of the objectives."""
    wanted: MappingABC[str, list[Goal]] = {
        "latency": ["balanced latency", "latency"],
        "prefill": ["prefill", "balanced latency"],
        "throughput": ["throughput"],
        "energy": ["throughput"],
    }
    goals = [goal for name in names_of(problem.objective) for goal in wanted.get(name, [])]
    return list(dict.fromkeys(goals)) or ["balanced latency"]


def _array_counts(problem: Problem, least: int, effort: Effort) -> list[int]:
    """Array counts worth a try: the least that cutting columns reaches; more, where more may help."""
    limit = problem.array_limit
    fewest_first = problem.objective[0] == "arrays" and not problem.has_cost_limits
    if fewest_first or (limit is not None and limit <= least):
        return [least]
    if effort.brief:
        return [most_arrays(problem)]
    return grown_counts(problem, least)


def grown_counts(problem: Problem, least: int) -> list[int]:
    """`least` and larger array counts, up to what is allowed and of any use; ascending."""
    most = most_arrays(problem)
    grown = {min(most, round(least * factor)) for factor in GROWTH}
    return sorted({least, *grown} | ({most} if problem.array_limit is not None else set()))
