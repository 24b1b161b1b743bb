"""What experts take in the mean, route by route: docs/formulation.md, section "Experts"."""

from __future__ import annotations

from functools import partial
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
        share = 1.0 if each.expert is None else share_of(cost, each.stage, each.expert)
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


def share_of(cost: NaiveCost, stage: int, expert: int) -> float:
    """The share of tokens that fire an expert of a stage."""
    choice = cost.flow.stages[stage].choice
    assert choice is not None
    return shares(cost)[choice][expert]


def sizes(cost: NaiveCost) -> list[tuple[int, int]]:
    """Of each choice how many experts there are, and how many a token fires."""
    found: list[tuple[int, int]] = []
    for stage in cost.flow.stages:
        if stage.choice == len(found):
            found.append((1 + max(max(choice) for choice in stage.choices), len(stage.choices[0])))
    return found


def shares(cost: NaiveCost) -> list[list[float]]:
    """Of each choice the share of tokens that fire each expert: in proportion to what is said, none above 1."""
    kind, _, said = (cost.routing or "").partition(":")
    random = np.random.default_rng(int(said.rpartition(":")[2])) if kind == "zipf" else None
    rows = said.partition("|")[0].split(";")
    found = []
    for number, (stored, chosen) in enumerate(sizes(cost)):
        weights = [1.0] * stored
        if random is not None:
            weights = [(1 + rank) ** -float(said.partition(":")[0]) for rank in random.permutation(stored).tolist()]
        elif kind == "counts":
            weights = [float(count) for count in rows[number].split(",")]
        full: set[int] = set()
        while True:
            rest = sum(weight for each, weight in enumerate(weights) if each not in full)
            share = [
                1.0 if each in full else (chosen - len(full)) * weight / rest for each, weight in enumerate(weights)
            ]
            if max(share) <= 1 + 1e-12:
                break
            full |= {each for each, one in enumerate(share) if one >= 1}
        found.append(share)
    return found


def pairs(cost: NaiveCost) -> list[dict[tuple[int, int], float]]:
    """Of each choice how often two experts were chosen together, in either order; nothing where that is not said."""
    said = (cost.routing or "").partition("|")[2]
    found: list[dict[tuple[int, int], float]] = [{} for _ in sizes(cost)]
    for table, row in zip(found, said.split(";") if said else [], strict=False):
        for entry in filter(None, row.split(",")):
            experts, _, count = entry.partition("=")
            first, _, second = experts.partition("-")
            table[int(first), int(second)] = table[int(second), int(first)] = float(count)
    return found


def drawn_routes(cost: NaiveCost) -> list[list[tuple[int, ...]]]:
    """Of each choice the experts of every route."""
    random = np.random.default_rng(SEED)
    found: list[list[tuple[int, ...]]] = []
    for (stored, chosen), share, together in zip(sizes(cost), shares(cost), pairs(cost), strict=True):
        draw = partial(with_partners, stored, chosen, together) if together else partial(alone, share, chosen)
        found.append([tuple(draw(random)) for _ in range(ROUTES)])
    return found


def alone(share: list[float], chosen: int, random: np.random.Generator) -> list[int]:
    """Madow's systematic sampling over a random order: each expert takes its share of a line, in this order."""
    order = random.permutation(len(share)).tolist()
    start, route, reached = random.random(), list[int](), 0.0
    ends = [reached := reached + share[expert] for expert in order]
    for number in range(chosen):
        at = 0
        while at < len(order) - 1 and ends[at] <= (start + number) * (reached / chosen):
            at += 1
        route.append(order[at])
    return route


def with_partners(
    stored: int, chosen: int, together: dict[tuple[int, int], float], random: np.random.Generator
) -> list[int]:
    """One by how often it was with any other; each next by the shares that it has of the partners of those drawn."""

    def all_of(expert: int) -> float:
        return sum(together.get((expert, other), 0.0) for other in range(stored))

    route: list[int] = []
    while len(route) < chosen:
        left = [expert for expert in range(stored) if expert not in route]
        weights = [sum(together.get((one, expert), 0.0) / all_of(one) for one in route) for expert in left]
        if not any(weights):
            weights = [all_of(expert) for expert in left]
        point = random.random() * sum(weights)
        at = 0
        while at < len(left) - 1 and point >= weights[at]:
            point -= weights[at]
            at += 1
        route.append(left[at])
    return route


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
