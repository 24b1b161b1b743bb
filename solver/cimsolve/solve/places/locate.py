"""The best places for a mapping's arrays, and the best slots for what they hold, by what then moves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np

from cimsolve.columns import Ints
from cimsolve.price.gaps import cycles_of_move
from cimsolve.price.moves import TokenMoves, find_moves
from cimsolve.problem.objective import names_of
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping
from cimsolve.solve.places.arrange import arrangements, path_of
from cimsolve.solve.places.holdings import Holdings

Cost = tuple[float, float]


def located(problem: Problem, mapping: Mapping) -> Iterator[Mapping]:
    """The mapping with its arrays in places and their contents dealt along them, in several ways."""
    holdings = Holdings(problem, mapping)
    for place in arrangements(problem, mapping.pieces, holdings.outline[holdings.fires]):
        yield _dealt(problem, holdings, place)


def nearest(problem: Problem, mapping: Mapping) -> Mapping:
    """The mapping as it is on a flat chip; on another the first of `located`."""
    return mapping if problem.hardware.interconnect is None else next(located(problem, mapping))


def _dealt(problem: Problem, holdings: Holdings, place: Ints) -> Mapping:
    """Contents dealt to slots along the path of places, every step's in the order in which least moves."""
    topology = problem.hardware.topology
    assert topology is not None
    along = path_of(topology)[place[holdings.array]]
    inputs, outputs = holdings.inputs, holdings.outputs
    orders = [holdings.dealt(keys, along) for keys in ((inputs, outputs), (outputs, inputs))]
    begins = _begins_step(problem)
    best: list[tuple[Cost, Ints]] = []
    # Where no step has a second stage, there is nothing to combine.
    for first, second in zip(orders, orders, strict=True) if begins.all() else product(orders, repeat=2):
        slots = np.where(begins[holdings.stage], first, second)
        costs = _costs_of_steps(problem, find_moves(problem, holdings.moved(slots), place), begins)
        ways = [(cost, slots) for cost in costs]
        best = [min(pair, key=lambda way: way[0]) for pair in zip(best, ways, strict=True)] if best else ways
    step = (np.cumsum(begins) - 1)[holdings.stage]
    found = np.empty_like(step)
    for number, (_, slots) in enumerate(best):
        mine = step == number
        found[mine] = slots[mine]
    return replace(holdings.mapping, pieces=holdings.moved(found), place=place)


def _begins_step(problem: Problem) -> Ints:
    """Whether each stage is the first of its step, as all but those of L factors are; shape (stages,)."""
    workload = problem.workload
    return np.array([workload.kinds[members[0]] != "L" for members in workload.factors_of_stage])


def _costs_of_steps(problem: Problem, moves: TokenMoves, begins: Ints) -> list[Cost]:
    """What each step moves: cycles and picojoules, or the other way round where energy is sought first."""
    hardware = problem.hardware
    wanted = names_of(problem.objective)
    costs: list[list[float]] = []
    for stage, begin in enumerate(begins.tolist()):
        if begin:
            costs.append([0.0, 0.0])
        each = [move for move in (moves.down[stage], moves.up[stage], moves.over[stage]) if move is not None]
        costs[-1][0] += sum(cycles_of_move(hardware, move) for move in each)
        costs[-1][1] += sum(move.network_pj + move.bus_pj for move in each)
        if added := int(moves.hub_added[stage]):
            costs[-1][0] += int(hardware.cycles(hardware.digital_ps("add", added)))
            costs[-1][1] += float(hardware.digital_pj("add", added))
    energy_first = "energy" in wanted and not {"latency", "prefill", "throughput"} & set(
        wanted[: wanted.index("energy")]
    )
    return [(pj, cycles) if energy_first else (cycles, pj) for cycles, pj in costs]
