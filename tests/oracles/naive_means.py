"""What experts take in the mean, route by route: docs/formulation.md, section "Experts", for experts chosen alike."""

from __future__ import annotations

from statistics import mean, stdev
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from oracles.naive_cost import NaiveCost

ROUTES, SEED = 64, 20_261_127


def means(cost: NaiveCost) -> dict[str, float]:
    """The `mean_` metrics of a mapping; none of a model without experts."""
    if not any(stage.choice is not None for stage in cost.flow.stages):
        return {}
    routes = drawn_routes(cost)
    latencies = [cost.latency - saved(cost, [drawn[number] for drawn in routes]) for number in range(ROUTES)]
    busy: dict[int, float] = {}
    dynamic = sum(pj for name, row in cost.outside_pj.items() if name != "leakage" for pj in row)
    for each in cost.firings:
        share = share_of(cost, each.stage) if each.expert is not None else 1.0
        busy[each.array] = busy.get(each.array, 0.0) + share * each.cycles
        dynamic += share * each.times * sum(cost.activation_pj(each).values())
    interval = max(max(busy.values()), *cost.gaps.units_cycles(cost.gaps.of_phase()), cost.turn(cost.latency))
    return {
        "mean_latency_ns": mean(latencies) * cost.clock_ns,
        "mean_latency_error_ns": stdev(latencies) / ROUTES**0.5 * cost.clock_ns,
        "mean_ii_ns": interval * cost.clock_ns,
        "mean_array_ii_ns": max(busy.values()) * cost.clock_ns,
        "mean_energy_pj": dynamic + cost.leak_pj * mean(latencies),
    }


def share_of(cost: NaiveCost, stage: int) -> float:
    """The share of tokens that fire an expert of a stage: that of the choices which have it."""
    choices = cost.flow.stages[stage].choices
    return sum(0 in choice for choice in choices) / len(choices)


def drawn_routes(cost: NaiveCost) -> list[list[tuple[int, ...]]]:
    """Of each choice the experts of every route: Madow's systematic sampling over a random order."""
    random = np.random.default_rng(SEED)
    found: list[list[tuple[int, ...]]] = []
    for stage in cost.flow.stages:
        if stage.choice != len(found):
            continue
        chosen, stored = len(stage.choices[0]), 1 + max(expert for choice in stage.choices for expert in choice)
        found.append([])
        for _ in range(ROUTES):
            order = random.permutation(stored).tolist()
            start, route = random.random(), list[int]()
            for number in range(chosen):
                # Each expert takes chosen / stored of the line, in this order.
                at = 0
                while at < stored - 1 and (at + 1) * chosen / stored <= start + number:
                    at += 1
                route.append(order[at])
            found[-1].append(tuple(route))
    return found


def saved(cost: NaiveCost, route: list[tuple[int, ...]]) -> int:
    """Cycles that a route's token is done sooner than the worst case, where stages follow each other one by one."""
    if any(stage.reads != ([number - 1] if number else []) for number, stage in enumerate(cost.flow.stages)):
        return 0
    found = 0
    for number, stage in enumerate(cost.flow.stages):
        if stage.choice is not None:
            busy: dict[int, int] = {}
            for each in cost.firings:
                if each.stage == number and cost.fires(each, route[stage.choice]):
                    busy[each.array] = busy.get(each.array, 0) + each.cycles
            found += cost.end[number] - cost.start[number] - max(busy.values())
    return found
