"""Random steps with experts."""

from __future__ import annotations

from random import Random
from typing import Any

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
