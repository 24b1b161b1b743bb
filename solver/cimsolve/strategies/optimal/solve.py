"""The solver's plan: the best of the rules and of column-cut spreading; small problems to a proof.

Every candidate is judged by the cost model and by the objective, in lexicographic order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from collections.abc import Mapping as MappingABC
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import product
from typing import NamedTuple

import numpy as np

from cimsolve.bounds import BOUND_OF_OBJECTIVE, find_bounds, most_arrays
from cimsolve.bounds.arrays import least_arrays
from cimsolve.cost import Metrics, evaluate
from cimsolve.errors import InfeasibleError
from cimsolve.mapping import Mapping
from cimsolve.packing.columns import ColumnPacking, Shelves, balanced_layout
from cimsolve.packing.smooth import widen_shelves
from cimsolve.problem import Problem
from cimsolve.schedule import schedule
from cimsolve.strategies.densemap import map_densemap
from cimsolve.strategies.optimal.deal import Goal, Room, deal_strips, piece_widths
from cimsolve.strategies.optimal.lay_out import lay_out, map_as_dealt
from cimsolve.strategies.optimal.strips import StripKind, ways_to_strips
from cimsolve.strategies.search import Answer, Event, Search
from cimsolve.strategies.sparsemap import map_sparsemap
from cimsolve.strategies.spread import map_spread

EXACT_TIME = 20.0
"""Deterministic time of the exact search, in CP-SAT's units (about seconds)."""
LAYOUTS = ("stepped", "few wide", "even")
"""How the columns of an array are shared out: in runs of the pieces' width; few patterns, with wide runs; evenly."""
TIE_BREAKERS = ("latency", "prefill", "energy")
GROWTH = (1.03, 1.125, 1.25, 1.5, 2.0, 3.0, 4.0, 8.0)
"""Array counts to try where the count is not the first objective, as multiples of the least."""


@dataclass
class _Incumbent:
    """The best mapping so far, by the objective."""

    problem: Problem
    search: Search
    mapping: Mapping | None = None
    metrics: Metrics = field(default_factory=dict)
    fewest: int | None = None
    """Fewest arrays of any candidate, also of those that break the limit."""

    def offer(self, name: str, mapping: Mapping) -> None:
        used = int(mapping.pieces.array.max()) + 1
        self.fewest = used if self.fewest is None else min(self.fewest, used)
        limit = self.problem.array_limit
        if limit is not None and used > limit:
            return
        if self.beats(used):
            return
        placed, activations = schedule(self.problem, mapping)
        metrics = evaluate(self.problem, placed.pieces, activations).metrics
        if self.mapping is None or self._score(metrics) < self._score(self.metrics):
            self.mapping, self.metrics = mapping, metrics
            first, *others = self.search.objective
            shown = BOUND_OF_OBJECTIVE[others[0] if first == "arrays" and others else first]
            self.search.listen(Event(name, shown, metrics[shown]))

    def beats(self, arrays: int) -> bool:
        """Whether a mapping on so many arrays cannot be better, whatever else it is."""
        return bool(self.metrics) and self.search.objective[0] == "arrays" and arrays > self.metrics["arrays"]

    def is_proved(self) -> bool:
        """Whether no mapping can be better: every metric of the objective stands at its bound."""
        if self.mapping is None:
            return False
        lower = find_bounds(self.problem, self.metrics, self.search.objective).lower
        names = [BOUND_OF_OBJECTIVE[name] for name in self.search.objective]
        return all(self.metrics[name] <= lower[name].value for name in names)

    def _score(self, metrics: Metrics) -> tuple[float, ...]:
        # What the user did not ask for breaks ties.
        names = [BOUND_OF_OBJECTIVE[name] for name in (*self.search.objective, *TIE_BREAKERS)]
        return tuple(metrics[name] for name in names)


def map_optimal(problem: Problem, search: Search) -> Answer:
    """The best mapping found for `search.objective`.

    Raises InfeasibleError where all that was found needs more arrays than allowed. An interrupt by the user
    returns the best so far, if there is one.
    """
    best = _Incumbent(problem, search)
    began = time.monotonic()
    lower: dict[str, int] = {}
    try:
        for candidate in _candidates(problem, search):
            if best.beats(candidate.arrays):
                continue
            search.listen(Event(candidate.name))
            best.offer(candidate.name, candidate.find())
            if best.is_proved() or time.monotonic() - began > search.time_limit_s:
                break
        if best.mapping is not None and not best.is_proved() and set(search.objective) <= {"arrays", "latency"}:
            lower = _search_exactly(problem, search, best)
    except KeyboardInterrupt:
        if best.mapping is None:
            raise
        search.listen(Event("interrupted"))
        return Answer(best.mapping, lower, interrupted=True)
    if best.mapping is None:
        raise _too_few_arrays(problem, best.fewest)
    return Answer(best.mapping, lower)


class _Candidate(NamedTuple):
    name: str
    find: Callable[[], Mapping]
    arrays: int = 0
    """Arrays that it will use, where that is known before."""


def _candidates(problem: Problem, search: Search) -> Iterator[_Candidate]:
    """What to try: first what is quick, so that an early end has an answer, then the most promising."""
    yield _Candidate("whole blocks spread", partial(map_spread, problem))
    if problem.cut != "none":
        for stages, packing in ways_to_strips(problem):
            for arrays in _array_counts(problem, search, packing.arrays):
                shelves_of = cache(partial(_shelves, problem, stages, packing, arrays))
                for goal, layout, by_shelf in product(_goals(search), LAYOUTS, (False, True)):
                    dealt = "by shelf" if by_shelf else "by array"
                    name = f"columns cut for {goal}, spread over {arrays} arrays {dealt}, {layout} shelves"
                    way = partial(_spread_columns, problem, search, stages, arrays, shelves_of)
                    yield _Candidate(name, partial(way, layout, by_shelf, goal), arrays)
    yield _Candidate("dense diagonals", partial(map_densemap, problem))
    yield _Candidate("sparse diagonals", partial(map_sparsemap, problem))


def _goals(search: Search) -> list[Goal]:
    """What dealing may aim at, by the order of the objectives."""
    wanted: MappingABC[str, list[Goal]] = {
        "latency": ["balanced latency", "latency"],
        "prefill": ["prefill", "balanced latency"],
        "throughput": ["throughput"],
        "energy": ["throughput"],
    }
    goals = [goal for name in search.objective for goal in wanted.get(name, [])]
    return list(dict.fromkeys(goals)) or ["balanced latency"]


def _array_counts(problem: Problem, search: Search, least: int) -> list[int]:
    """Array counts worth a try: the least that cutting columns reaches; more, where more may help."""
    limit = problem.array_limit
    if search.objective[0] == "arrays" or (limit is not None and limit <= least):
        return [least]
    most = most_arrays(problem)
    grown = {min(most, round(least * factor)) for factor in GROWTH}
    return sorted({least, most if limit is not None else least, *grown})


def _shelves(
    problem: Problem, stages: list[list[StripKind]], packing: ColumnPacking, arrays: int, layout: str
) -> Shelves:
    widths = piece_widths(problem, stages, packing.heights, arrays)
    if layout == "few wide":
        packing = widen_shelves(packing, arrays, widths)
    steps = np.where(packing.strips > 0, widths, 1).max(axis=1) if layout != "even" else None
    return balanced_layout(packing, arrays, steps=steps)


def _spread_columns(
    problem: Problem,
    search: Search,
    stages: list[list[StripKind]],
    arrays: int,
    shelves_of: Callable[[str], Shelves],
    layout: str,
    by_shelf: bool,
    goal: Goal,
) -> Mapping:
    shelves = shelves_of(layout)

    def listen(done: int, total: int) -> None:
        search.listen(Event(f"{arrays} arrays: stages dealt {done}/{total}", "arrays", arrays))

    room = {height: Room.of(shelves, height, arrays) for height in np.unique(shelves.height).tolist()}
    if by_shelf:
        return map_as_dealt(problem, deal_strips(problem, stages, room, arrays, goal, listen))
    # Dealing by whole arrays sees no shelves, and leaves fewer slivers where pieces are small.
    joined = {height: here.joined() for height, here in room.items()}
    return lay_out(problem, deal_strips(problem, stages, joined, arrays, goal, listen), shelves)


def _search_exactly(problem: Problem, search: Search, best: _Incumbent) -> dict[str, int]:
    """Improve and prove by the monolithic model where the problem is small; gives the bounds proved."""
    # CP-SAT takes long to load and most problems are too large for it.
    from cimsolve.strategies.optimal.exact import can_solve_exactly, solve_exact

    if not can_solve_exactly(problem):
        return {}

    def progress(metric: str, value: int, lower: int) -> None:
        search.listen(Event("exact search", metric, value, lower))

    result = solve_exact(
        problem,
        search.objective,
        hint=best.mapping,
        deterministic_time=EXACT_TIME,
        workers=search.workers,
        seed=search.seed,
        progress=progress,
    )
    if result.mapping is not None:
        best.offer("exact search", result.mapping)
    lower = {"arrays": result.arrays_lower}
    if result.latency_lower_cycles is not None and result.arrays == best.metrics["arrays"]:
        lower["latency_cycles"] = result.latency_lower_cycles
    return lower


def _too_few_arrays(problem: Problem, fewest: int | None) -> InfeasibleError:
    needed, proof = least_arrays(problem, fewest or 0)
    proved = f"no mapping does with fewer than {needed} ({proof} bound)"
    return InfeasibleError(
        f"arrays are short: {problem.model.name} on {problem.hardware.name} is limited to {problem.array_limit}; "
        f"{proved}, the fewest found are {fewest}: allow {fewest}, or store fewer weights"
    )
