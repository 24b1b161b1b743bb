"""The best places for a mapping's arrays, and the best slots for its blocks, by what then moves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from cimsolve.columns import Ints
from cimsolve.price.gaps import cycles_of_move
from cimsolve.price.moves import find_moves
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping
from cimsolve.solve.places.arrange import arrangements, path_of
from cimsolve.solve.places.holdings import Holdings


def located(problem: Problem, mapping: Mapping) -> Iterator[Mapping]:
    """The mapping with its arrays in places and its blocks dealt along them, in several ways."""
    slots = Holdings(problem, mapping)
    for place in arrangements(problem, mapping.pieces):
        yield _dealt(problem, slots, place)


def nearest(problem: Problem, mapping: Mapping) -> Mapping:
    """The mapping as it is on a flat chip; on another the first of `located`."""
    return mapping if problem.hardware.interconnect is None else next(located(problem, mapping))


def _dealt(problem: Problem, slots: Holdings, place: Ints) -> Mapping:
    """Each step's contents dealt to its slots along the path of places, in the order that moves least."""
    topology = problem.hardware.topology
    assert topology is not None
    rank = path_of(topology)[place[slots.array]]
    target = np.arange(len(slots.stage))
    for stages in steps_of(problem):
        activations = [slots.of_stage(stage) for stage in stages]
        ways = list(product(*(_ways(slots, each, rank[each]) for each in activations)))
        best = ways[0]
        if len(ways) > 1:
            best = min(ways, key=lambda dealt: _score(problem, slots, stages, dealt, place))
        for own, dealt in zip(activations, best, strict=True):
            target[own] = dealt
    everything = np.arange(len(slots.pieces))
    pieces = slots.moved(everything, np.arange(len(target)), target)
    return replace(slots.mapping, pieces=pieces, place=place)


def steps_of(problem: Problem) -> list[tuple[int, ...]]:
    """The stages of each step: of one that has factored matrices both, in dataflow order."""
    workload = problem.workload
    found: list[tuple[int, ...]] = []
    for stage, members in enumerate(workload.factors_of_stage):
        if workload.factors[members[0]].kind == "L":
            found[-1] = (*found[-1], stage)
        else:
            found.append((stage,))
    return found


def _ways(slots: Holdings, activations: Ints, rank: Ints) -> list[Ints]:
    """Slots for the contents of a stage's activations, dealt by inputs first and by outputs first; each way once."""
    inputs, outputs = slots.inputs[activations], slots.outputs[activations]
    found = [slots.dealt(activations, keys, rank) for keys in ((inputs, outputs), (outputs, inputs))]
    return found[:1] if np.array_equal(found[0], found[1]) else found


def _score(
    problem: Problem, slots: Holdings, stages: Sequence[int], dealt: Sequence[Ints], place: Ints
) -> tuple[int, float]:
    """Cycles and picojoules of what the step moves."""
    hardware = problem.hardware
    numbers = np.concatenate([slots.pieces_of_stage(stage) for stage in stages])
    activations = np.concatenate([slots.of_stage(stage) for stage in stages])
    pieces = slots.moved(numbers, activations, np.concatenate(dealt))
    moves = find_moves(problem, pieces, place, stages)
    every = [move for stage in stages for move in (moves.down[stage], moves.up[stage], moves.over[stage]) if move]
    added = int(sum(moves.hub_added[stage] for stage in stages))
    cycles = sum(cycles_of_move(hardware, move) for move in every)
    if added:
        cycles += int(hardware.cycles(hardware.digital_ps("add", added)))
    return cycles, sum(move.network_pj + move.bus_pj for move in every)
