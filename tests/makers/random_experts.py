"""Random steps with experts."""

from __future__ import annotations

from itertools import combinations
from random import Random
from typing import Any

from cimsolve.problem.problem import Problem
from makers.builders import step, with_experts


def mixture(draw: Random, name: str, most_in: int, most_out: int, **keys: Any) -> dict[str, Any]:
    """A step of two to four experts, one matrix each or two, and often of what always fires."""
    stored, own = draw.choice([2, 2, 3, 4]), draw.random() < 0.5
    n_in = draw.randint(1, most_in)
    of_expert = [(n_in, draw.randint(1, most_out)) for _ in range(draw.choice([1, 1, 2]))]
    n_in = draw.randint(1, most_in) if own else n_in
    always: list[tuple[int | None, tuple[int, int]]] = [
        (None, (n_in, draw.randint(1, most_out))) for _ in range(draw.choice([0, 0, 1, 2]))
    ]
    pairs: list[tuple[int | None, tuple[int, int]]] = [(expert, at) for expert in range(stored) for at in of_expert]
    if draw.random() < 0.5:  # by matrix, not by expert
        pairs = [(expert, at) for at in of_expert for expert in range(stored)]
    pairs = draw.choice([always + pairs, pairs + always])
    found = step(name, *(shape for _, shape in pairs), **keys)
    return with_experts(found, [expert for expert, _ in pairs], draw.randint(1, stored), own)


def stored_alike(config: dict[str, Any], structure: dict[str, str]) -> dict[str, str]:
    """The structures with those of every expert as the first has them."""
    found = dict(structure)
    for each in config.get("steps", []):
        first = [entry["name"] for entry in each["linears"] if entry.get("expert") == 0]
        told: dict[int, int] = {}
        for entry in each["linears"]:
            if (expert := entry.get("expert")) is not None:
                found[entry["name"]] = structure[first[told.setdefault(expert, 0)]]
                told[expert] += 1
    return found


def random_routing(draw: Random, problem: Problem) -> str | None:
    """How tokens choose: not said, by Zipf's law, or as counted of some drawn tokens, with pairs or without."""
    choices = problem.workload.choices
    how = draw.choice(["", "zipf", "counts", "pairs"])
    if not how or not choices:
        return None
    if how == "zipf":
        return f"zipf:{draw.choice([0.5, 1, 3])}:{draw.randint(0, 99)}"
    counts, pairs = [], []
    for experts in choices:
        some = [draw.sample(range(experts.stored), experts.chosen) for _ in range(draw.randint(1, 6))]
        counts.append(",".join(str(sum(each in one for one in some)) for each in range(experts.stored)))
        listed = combinations(range(experts.stored), 2)
        together = {pair: sum(set(pair) <= set(one) for one in some) for pair in listed}
        pairs.append(",".join(f"{first}-{second}={count}" for (first, second), count in together.items() if count))
    return f"counts:{';'.join(counts)}" + (f"|{';'.join(pairs)}" if how == "pairs" else "")
