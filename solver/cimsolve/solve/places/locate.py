"""The best places for a mapping's arrays, and the best slots for what they hold, by what then moves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np

from cimsolve.chip.mesh import Mesh
from cimsolve.columns import Floats, Ints
from cimsolve.price.gaps import cycles_of_move
from cimsolve.price.moves import TokenMoves, find_moves
from cimsolve.problem.objective import is_weighted, names_of
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping
from cimsolve.solve.places.arrange import arrangements, path_of
from cimsolve.solve.places.holdings import Holdings
from cimsolve.solve.places.trade import slots_traded

SHARES = (0, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1)
"""Of what can save energy, the part that does, where it is weighed against time."""


def located(problem: Problem, mapping: Mapping) -> Iterator[Mapping]:
    """The mapping with its arrays in places and their contents dealt along them, in several ways."""
    holdings = Holdings(problem, mapping)
    for place in arrangements(problem, mapping.pieces, holdings.outline[holdings.fires]):
        yield from _dealt(problem, holdings, place)


def nearest(problem: Problem, mapping: Mapping) -> Mapping:
    """The mapping as it is on a flat chip; on another the first of `located`."""
    return mapping if problem.hardware.interconnect is None else next(located(problem, mapping))


def located_again(problem: Problem, mapping: Mapping, pj_per_ns: float) -> Iterator[Mapping]:
    """A mapping that has its places, in several ways once stages have traded arrays, if any do.

    A nanosecond that they save is worth `pj_per_ns`.
    """
    assert mapping.place is not None
    holdings = Holdings(problem, mapping)
    slots = slots_traded(problem, holdings, mapping.place, pj_per_ns)
    if not np.array_equal(slots, np.arange(len(slots))):
        traded = replace(mapping, pieces=holdings.moved(slots))
        yield from _dealt(problem, Holdings(problem, traded), mapping.place)


def _dealt(problem: Problem, holdings: Holdings, place: Ints) -> Iterator[Mapping]:
    """Contents dealt to slots along the path of places, every step's in the order in which least moves.

    Where time and energy are weighed against each other there are several: what saves energy may cost so much time.
    """
    begins = _begins_step(problem)
    pairs = _orders(problem, holdings, place[holdings.array], bool(begins.all()))
    ways: list[Ints] = []
    for first, second in pairs:
        way = np.where(begins[holdings.stage], first, second)
        if not any(np.array_equal(way, other) for other in ways):
            ways.append(way)
    slots = np.stack(ways)
    moves = (find_moves(problem, holdings.moved(each), place) for each in slots)
    costs = np.array([_costs_of_steps(problem, each, begins) for each in moves])
    step = (np.cumsum(begins) - 1)[holdings.stage]
    known: set[bytes] = set()
    for chosen in _choices(problem, costs):
        if chosen.tobytes() not in known:
            known.add(chosen.tobytes())
            found = slots[chosen[step], np.arange(len(step))]
            yield replace(holdings.mapping, pieces=holdings.moved(found), place=place)


def _orders(problem: Problem, holdings: Holdings, place: Ints, are_single: bool) -> Iterator[tuple[Ints, Ints]]:
    """Slots for the contents of the first stage of each step, and of the second, to be tried together.

    `place`: of each slot; `are_single`: no step has a second stage, and there is nothing to combine.
    """
    topology = problem.hardware.topology
    assert topology is not None
    along, inputs, outputs = path_of(topology)[place], holdings.inputs, holdings.outputs
    orders = [holdings.dealt(keys, along) for keys in ((inputs, outputs), (outputs, inputs))]
    if are_single:
        yield from zip(orders, orders, strict=True)
        return
    yield from product(orders, repeat=2)
    if isinstance(topology, Mesh):
        # As a matrix is laid out: its inputs come down the columns, what it makes stays in the rows that read it.
        row, col = np.divmod(place, topology.cols)
        yield (
            holdings.crossed((inputs, outputs), col, (holdings.readers,), row),
            holdings.dealt((inputs, outputs), row, col),
        )


def _choices(problem: Problem, costs: Floats) -> Iterator[Ints]:
    """The way for each step, shape (steps,), of `costs` of each, shape (ways, steps, cycles and pJ)."""
    cycles, pj = costs[..., 0], costs[..., 1]
    fast, frugal = _least(cycles, pj), _least(pj, cycles)
    wanted = names_of(problem.objective)
    times = {"latency", "prefill", "throughput"}
    energy_first = "energy" in wanted and not times & set(wanted[: wanted.index("energy")])
    yield frugal if energy_first else fast
    is_in_sum = any("energy" in names_of([item]) for item in problem.objective if is_weighted(item))
    if not is_in_sum and not problem.has_cost_limits:
        return
    steps = np.arange(costs.shape[1])
    # Steps that are alike take turns.
    cycles = cycles * (1 + 1e-9 * steps)
    saved_pj, lost = pj[fast, steps] - pj, cycles - cycles[fast, steps]
    worth = (saved_pj / np.maximum(lost, 1e-9))[saved_pj > 0]
    for share in SHARES if len(worth) else ():
        # What saves more for a cycle than this price is taken.
        pj_per_cycle = np.quantile(worth, 1 - share) * (1 - 1e-12)
        yield _least(pj + pj_per_cycle * cycles, cycles)
    yield frugal


def _least(first: Floats, then: Floats) -> Ints:
    """Which way is least by `first`, ties by `then`, for each step; both have shape (ways, steps)."""
    return np.asarray(np.lexsort((then, first), axis=0)[0])


def _begins_step(problem: Problem) -> Ints:
    """Whether each stage is the first of its step, as all but those of L factors are; shape (stages,)."""
    workload = problem.workload
    return np.array([workload.kinds[members[0]] != "L" for members in workload.factors_of_stage])


def _costs_of_steps(problem: Problem, moves: TokenMoves, begins: Ints) -> list[list[float]]:
    """Cycles and picojoules of what each step moves."""
    hardware = problem.hardware
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
    return costs
