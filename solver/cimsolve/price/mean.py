"""What experts take in the mean over the routes of many tokens. docs/formulation.md, section "Experts".

A routing says how often a token fires each expert: all alike, drawn by Zipf's law, or as counted somewhere, and may
say how often two of them together. Energy, conversions and II follow from the shares alone. Latency is the mean over
routes that are drawn, seeded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cimsolve.columns import Floats, Ints, order_by
from cimsolve.price.firings import Fired
from cimsolve.problem.problem import Problem, found_once

ROUTES = 64
"""So many tokens are drawn."""
ROUTES_SEED = 20_261_127


@found_once
def shares_of(problem: Problem) -> list[Floats]:
    """Of each choice the share of tokens that fire each expert, shape (stored,); they sum to `chosen`."""
    choices = problem.workload.choices
    kind, _, said = (problem.terms.routing or "").partition(":")
    if kind == "zipf":
        exponent, seed = said.split(":")
        random = np.random.default_rng(int(seed))
        ranks = [random.permutation(experts.stored) + 1 for experts in choices]
        weights: list[Floats] = [rank.astype(np.float64) ** -float(exponent) for rank in ranks]
    elif problem.counted is not None:
        weights = problem.counted.counts
    else:
        weights = [np.ones(experts.stored) for experts in choices]
    return [_shares(weight, experts.chosen) for weight, experts in zip(weights, choices, strict=True)]


def pairs_of(problem: Problem) -> list[Floats | None]:
    """Of each choice how often a token fires two experts, by its counts; shape (stored, stored). None: not counted."""
    return [None] * len(problem.workload.choices) if problem.counted is None else problem.counted.pairs


def _shares(weights: Floats, chosen: int) -> Floats:
    """`chosen` tokens dealt in proportion to `weights`, none beyond 1: what is beyond goes to the others."""
    shares = np.zeros(len(weights))
    full = np.zeros(len(weights), dtype=bool)
    while True:
        left = chosen - int(full.sum())
        rest = np.where(full, 0.0, weights)
        shares = np.where(full, 1.0, rest * (left / rest.sum()) if left else 0.0)
        if not (shares > 1).any():
            return shares
        full |= shares >= 1


@found_once
def routes_of(problem: Problem, routes: int = ROUTES, seed: int = ROUTES_SEED) -> list[Ints]:
    """Of each choice the experts that each of so many tokens fires, shape (routes, chosen)."""
    random = np.random.default_rng(seed)
    found = []
    for shares, pairs in zip(shares_of(problem), pairs_of(problem), strict=True):
        chosen = round(float(shares.sum()))
        drawn = [
            _drawn_alone(random, shares, chosen) if pairs is None else _drawn_with_partners(random, pairs, chosen)
            for _ in range(routes)
        ]
        found.append(np.array(drawn, dtype=np.int64))
    return found


def _drawn_alone(random: np.random.Generator, shares: Floats, chosen: int) -> Ints:
    """Systematic sampling over a random order (Madow 1949): each expert with its share exactly, none twice."""
    order = random.permutation(len(shares))
    reached = np.cumsum(shares[order])
    points = random.random() + np.arange(chosen)
    at = np.searchsorted(reached, points * (reached[-1] / chosen), side="right")
    return np.asarray(order[np.minimum(at, len(order) - 1)])


def _drawn_with_partners(random: np.random.Generator, pairs: Floats, chosen: int) -> Ints:
    """One expert by how often it is in pairs; each next by how often those drawn were with it, none twice.

    Of two, each pair comes with its share exactly.
    """
    of_each = pairs.sum(axis=1)
    weight, route = of_each, np.empty(chosen, dtype=np.int64)
    for place in range(chosen):
        reached = np.cumsum(weight)
        route[place] = np.searchsorted(reached, random.random() * reached[-1], side="right")
        drawn = route[: place + 1]
        weight = (pairs[drawn] / of_each[drawn, None]).sum(axis=0)
        weight[drawn] = 0.0
        if not weight.any():  # with those drawn no other ever was
            weight = of_each.copy()
            weight[drawn] = 0.0
    return route


@dataclass(frozen=True)
class Means:
    """What a token takes in the mean over its routes."""

    weight: Floats
    """Share of tokens that fire each activation, shape (activations,)."""
    latency_cycles: float
    error_cycles: float
    """Standard error of the mean latency, from ROUTES tokens."""


def find_means(fired: Fired, lasts: Ints, stage_cycles: Ints, latency_cycles: int) -> Means:
    """The means of a mapping, whose activations take `lasts` and whose stages `stage_cycles` in the worst case.

    Where stages follow each other one by one, each ends when the array does that is slowest for the experts drawn.
    Where they may overlap, the mean latency is given as that of the worst case.
    """
    problem = fired.problem
    workload, shares = problem.workload, shares_of(problem)
    weight = np.ones(len(fired))
    saved = np.zeros(ROUTES)
    order = order_by(fired.stage, fired.expert + 1)
    bounds = np.append(0, np.cumsum(np.bincount(fired.stage, minlength=len(workload.stages))))
    busy = np.zeros(int(fired.array.max()) + 1, dtype=np.int64)
    for each in workload.stages:
        if each.choice is None:
            continue
        part = order[bounds[each.id] : bounds[each.id + 1]]
        own = fired.expert[part]
        weight[part] = np.where(own < 0, 1.0, shares[each.choice][own])
        if workload.is_chain:
            drawn = cycles_of_routes(own, fired.array[part], lasts[part], routes_of(problem)[each.choice], busy)
            saved += stage_cycles[each.id] - drawn
    mean = latency_cycles - float(saved.mean())
    return Means(weight, mean, float(saved.std(ddof=1)) / ROUTES**0.5)


def cycles_of_routes(expert: Ints, array: Ints, cycles: Ints, routes: Ints, busy: Ints) -> Ints:
    """Cycles of the busiest array of a stage for each route, shape (routes,).

    `expert` of its activations is sorted; `busy`, of every array, is all 0 before and after.
    """
    first = np.searchsorted(expert, np.arange(int(routes.max()) + 2))
    always = slice(0, first[0])
    np.add.at(busy, array[always], cycles[always])
    least = int(busy[array[always]].max(initial=0))
    known: dict[tuple[int, ...], int] = {}
    found = []
    for route in np.sort(routes, axis=1).tolist():
        key = tuple(route)
        if key not in known:
            own = np.concatenate([np.arange(first[each], first[each + 1]) for each in route])
            here = array[own]
            before = busy[here]
            np.add.at(busy, here, cycles[own])
            known[key] = max(least, int(busy[here].max(initial=0)))
            busy[here] = before
        found.append(known[key])
    busy[array[always]] = 0
    return np.array(found, dtype=np.int64)
