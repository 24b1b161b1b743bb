"""How tokens choose experts: shares, pairs, and the routes that are drawn of them."""

from __future__ import annotations

import numpy as np
import pytest

from cimsolve.errors import InputError
from cimsolve.price.mean import pairs_of, routes_of, shares_of
from cimsolve.problem.problem import Problem
from makers.builders import ask, chip, linears, step, with_experts


def choosing(routing: str, chosen: int = 2) -> Problem:
    """Four experts."""
    config = linears(with_experts(step("m", *[(4, 4)] * 4), of=[0, 1, 2, 3], chosen=chosen))
    return ask(config, hardware=chip()).asking(routing=routing)


def test_pairs_of_two_come_as_often_as_they_were_counted() -> None:
    problem = choosing("counts:60,40,30,10|0-1=35,0-2=20,0-3=5,1-2=5,2-3=5")
    (routes,) = routes_of(problem, 20_000, 7)
    drawn = np.zeros((4, 4))
    np.add.at(drawn, (routes.min(axis=1), routes.max(axis=1)), 1 / 20_000)
    expected = np.zeros((4, 4))
    for one, other, count in ((0, 1, 35), (0, 2, 20), (0, 3, 5), (1, 2, 5), (2, 3, 5)):
        expected[one, other] = count / 70
    assert np.abs(drawn - expected).max() < 5 * (0.25 / 20_000) ** 0.5
    assert drawn[1, 3] == 0
    assert shares_of(problem)[0].tolist() == pytest.approx([6 / 7, 4 / 7, 3 / 7, 1 / 7])


def test_of_three_none_comes_twice_and_partners_come_first() -> None:
    """0, 1 and 2 always run together, but for one token in eleven with 3 in place of 2."""
    problem = choosing("counts:11,11,10,1|0-1=11,0-2=10,1-2=10,0-3=1,1-3=1", chosen=3)
    (routes,) = routes_of(problem, 5_000, 7)
    assert all(len(set(route)) == 3 for route in routes.tolist())
    both = np.array([{0, 1} <= set(route) for route in routes.tolist()])
    assert both.mean() > 0.9


def test_routes_without_pairs_have_the_shares_exactly() -> None:
    problem = choosing("counts:60,40,30,10")
    (routes,) = routes_of(problem, 20_000, 7)
    assert pairs_of(problem) == [None]
    drawn = np.bincount(routes.reshape(-1), minlength=4) / 20_000
    assert drawn.tolist() == pytest.approx(shares_of(problem)[0].tolist(), abs=5 * (0.25 / 20_000) ** 0.5)


@pytest.mark.parametrize(
    ("routing", "told"),
    [
        ("counts:1,1,1", "3 counts"),
        ("counts:1,1,1,1;1,1,1,1", "2 lists of counts"),
        ("counts:2,2,2,2|0-1=2,2-3=2;0-1=1", "2 lists of pairs"),
        ("counts:2,2,2,2|0-1=2,2-4=2", "the pair 2, 4"),
        ("counts:2,2,2,2|0-0=2,2-3=2", "the pair 0, 0"),
        ("counts:2,2,2,2|0-1=2,1-0=2", "the pair 1, 0"),
        ("counts:2,2,2,2|0-1=2,2-3=1", "expert 2 sum to 1; expected 2"),
        ("counts:900,900,1,1|0-1=900", "expert 2 sum to 0; expected 1"),
    ],
)
def test_counts_that_do_not_fit_are_refused(routing: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        choosing(routing)


def test_of_one_expert_alone_there_are_no_pairs() -> None:
    assert pairs_of(choosing("counts:1,1,2,0|", chosen=1)) == [None]
    with pytest.raises(InputError, match="sum to 1; expected 0"):
        choosing("counts:1,1,2,0|0-1=1", chosen=1)
