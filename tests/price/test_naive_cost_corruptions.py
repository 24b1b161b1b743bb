"""Each equation of a price made wrong, one at a time: the figures found cell by cell must tell."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import fields
from functools import cache
from typing import Any

import numpy as np
import pytest

from cimsolve.chip.spec import Hardware
from cimsolve.price import claims, cost, schedule
from cimsolve.price.firings import Fired
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Activations, Pieces
from makers.cost_cases import differences, naive_of, random_case
from oracles.cost_corruptions import CORRUPTIONS, Wrapper
from oracles.move_corruptions import MOVE_CORRUPTIONS
from oracles.naive_cost import NaiveCost

FIRST = (121, 31, 23, 24, 40, 145, 4, 29, 58, 8, 11, 30, 37, 65, 146)
"""Random mappings on which, between them, every wrong equation shows, as one added later need not."""
SEEDS = (*FIRST, *(seed for seed in range(200) if seed not in FIRST))

TOLD: Counter[tuple[str, int]] = Counter()
"""How many wrong equations of a function each of them told: those that told most are asked first."""

ROWS = [
    (*place, what, wrapper)
    for corruptions in (CORRUPTIONS, MOVE_CORRUPTIONS)
    for place, wrong in corruptions.items()
    for what, wrapper in wrong.items()
]


def fired_by(seed: int) -> tuple[Fired, Activations]:
    """A random mapping as the package, as it is now, schedules it."""
    case = random_case(seed)
    hardware = case.problem.hardware
    values = {name: getattr(hardware, name) for name in hardware.model_fields_set}
    fresh = Hardware.model_construct(**values)  # which has worked out nothing yet
    return schedule.schedule(Problem(case.problem.question.asking(hardware=fresh)), case.mapping)


@cache
def honest(seed: int) -> tuple[Pieces, Activations, NaiveCost]:
    """The tables of the right package, and the oracle's figures of them."""
    fired, activations = fired_by(seed)
    return fired.pieces, activations, naive_of(random_case(seed), fired.pieces, activations)


def told_on(seed: int, right: tuple[Pieces, Activations, NaiveCost]) -> set[str]:
    """The names of figures on which the package, as it is now, and the oracle differ."""
    fired, activations = fired_by(seed)
    costs = cost.evaluate(fired, activations)
    same = equal(fired.pieces, right[0]) and np.array_equal(activations.start, right[1].start)
    naive = right[2] if same else naive_of(random_case(seed), fired.pieces, activations)
    breakdown = claims.describe_breakdown(costs).model_dump()
    return differences(naive, costs.metrics, breakdown, activations, random_case(seed).mapping.order)


def equal(one: Any, other: Any) -> bool:
    return all(np.array_equal(getattr(one, each.name), getattr(other, each.name)) for each in fields(one))


@pytest.mark.parametrize(("place", "attribute", "what", "wrapper"), ROWS, ids=[row[2] for row in ROWS])
def test_a_wrong_equation_is_told(
    monkeypatch: pytest.MonkeyPatch, place: Any, attribute: str, what: str, wrapper: Wrapper
) -> None:
    said = vars(place)[attribute]
    wrong = wrapper(said)
    rooms = [module for name, module in sys.modules.items() if name.startswith("cimsolve.")]
    holders = [place, *(room for room in rooms if room is not place and vars(room).get(attribute) is said)]
    for seed in sorted(SEEDS, key=lambda seed: -TOLD[attribute, seed]):
        right = honest(seed)
        with monkeypatch.context() as patch:
            for holder in holders:
                patch.setattr(holder, attribute, wrong)
            if told_on(seed, right):
                TOLD[attribute, seed] += 1
                return
    pytest.fail(f"no figure tells that {what}")


def test_the_right_equations_are_not_told_on() -> None:
    for seed in FIRST:
        assert told_on(seed, honest(seed)) == set()
