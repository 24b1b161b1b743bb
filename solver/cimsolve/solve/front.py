"""The front of arrays against latency, prefill, II and energy: what each further array buys.

Every candidate on a ladder of array counts is measured; those that no other beats in every respect stay, and their
activations change places, for latency and for prefill, where bounds leave something to gain. A point is proved in a
metric where no mapping on as many arrays can have less of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from cimsolve.price.cost import Metrics
from cimsolve.problem.laps import repeated
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping
from cimsolve.prove import find_bounds
from cimsolve.solve.candidates import Candidate, candidates, grown_counts
from cimsolve.solve.columns.spread import LAYOUTS
from cimsolve.solve.columns.strips import ways_to_strips
from cimsolve.solve.deadline import TimeIsUp, ends_within, stopped_in_time
from cimsolve.solve.effort import Effort, Event
from cimsolve.solve.incumbent import count_arrays, measure
from cimsolve.solve.places.locate import nearest
from cimsolve.solve.polish.even_phases import even_out_phases
from cimsolve.solve.polish.pair import fire_pairs_together
from cimsolve.solve.polish.redeal import deal_again

FEW_BLOCKS = 5000
NEIGHBOURHOODS = 4
"""So many are searched of each point, in which activations change places for latency."""
FRONT_METRICS = ("arrays", "latency_ns", "prefill_ns", "ii_cycles", "energy_pj")
"""What a point of the front is judged by; less is better in each."""


@dataclass(frozen=True)
class FrontPoint:
    """A mapping that no other found beats in every metric; `proved` names the metrics that stand at their bound."""

    name: str
    mapping: Mapping
    metrics: Metrics
    proved: tuple[str, ...] = ()


def find_front(problem: Problem, effort: Effort) -> list[FrontPoint]:
    """The points that none beats in all of FRONT_METRICS, by arrays, then latency.

    Stops at `effort.time_limit_s` or an interrupt with what it has; empty where the limits leave nothing.
    """
    points: list[FrontPoint] = []
    try:
        with ends_within(effort.time_limit_s), stopped_in_time():
            stored = problem.stored
            for candidate in _all(stored, effort):
                effort.listen(Event(candidate.name))
                found = candidate.find()
                if found is not None and (problem.array_limit is None or count_arrays(found) <= problem.array_limit):
                    mapping = nearest(stored, fire_pairs_together(stored, found))
                    mapping = mapping if stored is problem else repeated(problem, mapping)
                    points = _offered(problem, points, candidate.name, mapping)
            for point in sorted(points, key=lambda each: _key(each.metrics)):
                for way, mapping in _exchanged(problem, point, effort):
                    points = _offered(problem, points, f"{point.name}, {way}", mapping)
    except TimeIsUp:
        effort.listen(Event("time limit"))
    except KeyboardInterrupt:
        effort.listen(Event("interrupted"))
    proved = [replace(point, proved=_proved(problem, point.metrics)) for point in points]
    return sorted(proved, key=lambda point: _key(point.metrics))


def _all(problem: Problem, effort: Effort) -> Iterator[Candidate]:
    """All goals on the least arrays, then latency and prefill on more, every candidate once."""
    seen: set[str] = set()
    least = [way[1].arrays for way in ways_to_strips(problem)][:1] if problem.cut != "none" else []
    ladder = [count for arrays in least for count in grown_counts(problem, arrays)]
    wide = problem.asking(objective=("arrays", "latency", "prefill", "throughput", "energy"))
    for candidate in candidates(wide, effort):
        seen.add(candidate.name)
        yield candidate
    # With room to spare the layout matters little, but on few arrays.
    layouts = LAYOUTS if problem.workload.block_count < FEW_BLOCKS else LAYOUTS[:1]
    for count in ladder[1:]:
        for candidate in candidates(problem.asking(objective=("latency", "prefill"), max_arrays=count), effort):
            if candidate.arrays == count and candidate.layout in layouts and candidate.name not in seen:
                seen.add(candidate.name)
                yield candidate


def _exchanged(problem: Problem, point: FrontPoint, effort: Effort) -> Iterator[tuple[str, Mapping]]:
    """A point with activations in each other's places, so that a token, or a prefill, takes less: how, and what.

    Only where its bound leaves something to gain; not on networks, where moves count as well, nor where weights fire
    again.
    """
    open_to = {"latency_cycles", "prefill_ns"} - set(_proved(problem, point.metrics))
    if point.mapping.place is not None or problem.stored is not problem:
        return
    left = iter(range(NEIGHBOURHOODS))
    if "latency_cycles" in open_to:
        effort.listen(Event("activations in each other's places"))
        yield (
            "activations exchanged",
            deal_again(problem, point.mapping, effort.seed, effort.workers, lambda: next(left, None) is None),
        )
    if "prefill_ns" in open_to:
        effort.listen(Event("activations of phases in each other's places"))
        yield "activations of phases exchanged", even_out_phases(problem, point.mapping, effort.seed)


def _offered(problem: Problem, points: list[FrontPoint], name: str, mapping: Mapping) -> list[FrontPoint]:
    """The front with a mapping, unless it is over a limit or a point is as good in everything."""
    metrics = measure(problem, mapping)
    return points if problem.excess(metrics) else _without_beaten(points, FrontPoint(name, mapping, metrics))


def _without_beaten(points: list[FrontPoint], newcomer: FrontPoint) -> list[FrontPoint]:
    """The front with the newcomer, unless a point is as good in everything."""
    mine = _key(newcomer.metrics)
    if any(_no_worse(_key(point.metrics), mine) for point in points):
        return points
    return [point for point in points if not _no_worse(mine, _key(point.metrics))] + [newcomer]


def _no_worse(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    return all(a <= b for a, b in zip(first, second, strict=True))


def _key(metrics: Metrics) -> tuple[float, ...]:
    return tuple(metrics[name] for name in FRONT_METRICS)


def _proved(problem: Problem, metrics: Metrics) -> tuple[str, ...]:
    lower = find_bounds(problem, metrics, ("arrays",)).lower
    return tuple(name for name, bound in lower.items() if metrics[name] <= bound.value)
