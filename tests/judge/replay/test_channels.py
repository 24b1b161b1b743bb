"""Replay on a chip with a network: links, buses and the hub's port are units, and moves wait for them."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from cimsolve.judge.check import rebuild_problem
from cimsolve.judge.names import GAPS
from cimsolve.problem.problem import Problem
from cimsolve.problem.solution import Solution
from cimsolve.problem.tables import Mapping
from cimsolve.study.solving import make_solution
from makers.builders import MESH, Row, ask, linears, mesh_chip, pieces_of, step
from makers.random_networks import random_network
from makers.replay_cases import PRICED, assert_same_times, random_case, replayed, solve_by_rule, work_of
from makers.tiny_configs import NARROW_BART

ROOMY = {"topology": "mesh", "rows": 4, "cols": 4}


def placed(problem: Problem, place: list[int], *rows: Row) -> Solution:
    pieces = pieces_of(*rows)
    mapping = Mapping(pieces, np.arange(len(pieces)), place=np.array(place, dtype=np.int64))
    return make_solution(problem.asking(objective=("arrays",)), mapping, strategy="by hand")


def random_chip(draw: random.Random) -> dict[str, Any]:
    """Room for all arrays that a random case needs."""
    changes = random_network(draw)
    if changes["network"]["topology"] == "mesh":
        changes["network"] |= ROOMY
        changes["network"]["hub"]["at"] = draw.choice(["edge", [draw.randrange(4), draw.randrange(4)]])
    changes["core"]["arrays"] = 8
    return mesh_chip(**PRICED, **changes, clock_ns=draw.choice([1, 1.5]))


def test_two_stages_by_hand() -> None:
    """Of links of a bit a ns the one up from a is the busiest: 16 ns a token, array 0 works 14."""
    config = linears(step("a", (4, 4)), step("b", (4, 2), operations=[{"name": "activation", "elements": 4}]))
    problem = ask(config, hardware=mesh_chip(**PRICED, network={**MESH, "bits_per_ns": 1}))
    # Array 0 at (0, 0), a hop from the hub; array 1 at (1, 1), two hops.
    solution = placed(problem, [0, 3], (0, 0, 0, 4, 0, 4, 0, 0, 0), (1, 0, 0, 4, 0, 2, 1, 0, 0))
    found = replayed(solution, stream=60)
    # Down 2 + 8, a 14, up 2 + 16, activation 3, down 3 + 8, b 10, up 3 + 8.
    assert found.agrees
    assert found.token.replayed_ns == 10 + 14 + 18 + 3 + 11 + 10 + 11 == 77
    assert found.prefill.replayed_ns == found.prefill.analytical_ns == 77 + 3 * 16
    assert found.busiest == "link (0, 0) to hub"
    assert found.utilisation == pytest.approx(4 * 16 / (77 + 3 * 16))
    assert found.stream is not None
    assert found.stream.interval.replayed_ns == found.stream.interval.analytical_ns == 16


def test_a_gap_that_holds_the_whole_network_slows_the_stream() -> None:
    problem = ask(linears(step("a", (4, 4))), hardware=mesh_chip())
    solution = placed(problem, [0], (0, 0, 0, 4, 0, 4, 0, 0, 0))
    apart, together = (replayed(solution, stream=60, gaps=gaps).stream for gaps in GAPS)
    assert apart is not None
    assert together is not None
    # Down 2 + 4, a 14, up 2 + 8: the array is the busiest unit, or the gaps are, one after the other.
    assert apart.interval.replayed_ns == 14
    assert together.interval.replayed_ns == pytest.approx(6 + 10, rel=1e-3)


@pytest.mark.parametrize("seed", range(16))
def test_times_are_those_of_an_event_for_every_channel(seed: int) -> None:
    draw = random.Random(seed)
    problem, solution = random_case(draw, random_chip(draw))
    for _ in range(2):
        assert_same_times(problem, solution, draw)
    found = replayed(solution, tokens=1, stream=0)
    assert found.agrees


def test_two_passes_are_replayed_alike() -> None:
    draw = random.Random(1)
    for rule in ("densemap", "spread"):
        problem = ask(NARROW_BART, "2,2,1", mesh_chip(**PRICED, core={**mesh_chip()["core"], "arrays": 64}))
        solution = solve_by_rule(draw, problem, rule)
        for _ in range(3):
            assert_same_times(problem, solution, draw)
        assert replayed(solution, stream=0).agrees


@pytest.mark.parametrize("seed", range(10))
def test_the_busiest_unit_is_that_of_the_equations(seed: int) -> None:
    """Every move is rounded up to cycles by itself; the equation rounds their sum."""
    draw = random.Random(seed)
    problem, solution = random_case(draw, random_chip(draw))
    interval = replayed(solution, tokens=1, stream=3).stream
    assert interval is not None
    work = work_of(rebuild_problem(solution), solution)
    over = work.pace_cycles() - round(interval.interval.analytical_ns / problem.hardware.clock_ps * 1000)
    assert 0 <= over <= len(work.jobs_apart)


def test_moves_of_one_gap_that_meet_on_a_link_wait() -> None:
    """The one case in which a token takes longer than the equation says, by less than the move that waits.

    An R factor's first block has parts at (1, 0) and (0, 1): its z goes up, is added, and comes down to (0, 0). The
    other three blocks, at (1, 0), send their z over, on the same link to (0, 0).
    """
    problem = ask(linears(step("a", (8, 8))), "4,2,1", mesh_chip())
    far, right, near = 0, 1, 2
    rows = [(0, 0, 0, 1, 0, 2, far, 0, 0), (0, 0, 1, 1, 0, 2, right, 0, 0)]
    rows += [(0, block, 0, 2, 0, 2, far, 2 * block, 2 * block) for block in (1, 2, 3)]
    rows += [(1, block, 0, 4, 0, 4, near, 4 * block, 4 * block) for block in (0, 1)]
    found = replayed(placed(problem, [2, 1, 0], *rows), stream=0)
    # Up 3 + 4, down 2 + 2; over 2 + 6, which takes the link only 4 later. The equation: the longer of 11 and 8.
    assert found.token.replayed_ns - found.token.analytical_ns == 12 - 11
