"""Which core holds each array and where each core is: arrays alike in one core, cores alike on all sides of the hub.

A stage seldom fires on all arrays. Where those that it fires on are together in cores, each of its inputs goes to few
cores; where these cores are as many behind each of the hub's links, no link has more to carry than another.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from cimsolve.chip.htree import HTree
from cimsolve.chip.mesh import Mesh
from cimsolve.chip.routes import Topology
from cimsolve.columns import Ints, ceil_div
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Pieces

ALIKE_MAX = 5000
"""Most arrays that are compared each with each."""


def arrangements(problem: Problem, pieces: Pieces) -> Iterator[Ints]:
    """Places of all arrays, shape (arrays,), to be tried; the most promising first."""
    core, topology = problem.hardware.core, problem.hardware.topology
    assert core is not None
    assert topology is not None
    arrays = int(pieces.array.max()) + 1
    fewest = ceil_div(arrays, core.arrays)
    # More cores than are needed lie farther off, but have more links, buses and columns between them.
    for cores in dict.fromkeys((fewest, min(topology.places, arrays), min(topology.places, 2 * fewest))):
        for order, turns in product(_orders(problem, pieces, arrays), _turns(topology, cores)):
            yield _place(order, turns, core.arrays)


def path_of(topology: Topology) -> Ints:
    """The number of each place on a path along which what belongs together is dealt; shape (places,).

    Neighbours on it are neighbours on the chip, and a stretch of it lies behind as few of the hub's links as can be.
    """
    place = np.arange(topology.places)
    if not isinstance(topology, Mesh):
        return place
    row, col = np.divmod(place, topology.cols)
    found = np.empty_like(place)
    found[np.lexsort((np.where(col % 2, -row, row), col))] = place
    return found


def _orders(problem: Problem, pieces: Pieces, arrays: int) -> Iterator[Ints]:
    """Sequences of the arrays, those next to each other alike: as they were dealt, and by what they hold."""
    yield np.arange(arrays)
    if arrays <= ALIKE_MAX:
        yield _chain_of_likes(problem, pieces, arrays)


def _chain_of_likes(problem: Problem, pieces: Pieces, arrays: int) -> Ints:
    """From one array always on to the one that fires in most of the same stages; ties go to what is held."""
    held = np.zeros((arrays, len(problem.workload.stages)), dtype=np.int64)
    np.add.at(held, (pieces.array, problem.table.stage[pieces.factor]), pieces.cols)
    # Whatever the arrays' numbers, equal contents stand in one order.
    order = np.lexsort(held.T[::-1])
    fires = (held[order] > 0).astype(np.float32)
    stages = fires.sum(axis=1)
    apart = stages[:, None] + stages[None, :] - 2 * (fires @ fires.T)
    chain = [0]
    is_left = np.ones(arrays, dtype=bool)
    is_left[0] = False
    for _ in range(arrays - 1):
        chain.append(int(np.argmin(np.where(is_left, apart[chain[-1]], np.inf))))
        is_left[chain[-1]] = False
    return order[chain]


def _place(order: Ints, turns: Ints, arrays_of_core: int) -> Ints:
    """Neighbours in `order`, shape (arrays,), share a core; cores go to the places `turns`, shape (cores,), in turn."""
    arrays, cores = len(order), len(turns)
    core = np.arange(arrays) * cores // arrays
    if np.bincount(core).max() > arrays_of_core:
        core = np.arange(arrays) // arrays_of_core
    place = np.empty(arrays, dtype=np.int64)
    place[order] = turns[core]
    return place


def _turns(topology: Topology, cores: int) -> Iterator[Ints]:
    """Sequences of `cores` places near the hub, of which any stretch has its share of every side of it."""
    place = np.arange(topology.places)
    if isinstance(topology, HTree):
        subtree = topology.fanout ** (topology.levels - 1)
        yield _in_turn(place[np.argsort(place % subtree, kind="stable")][:cores], place // subtree, place)
        return
    assert isinstance(topology, Mesh)
    row, col = np.divmod(place, topology.cols)
    if topology.hub is None:
        yield _in_turn(np.lexsort((col, row))[:cores], col, row)
        return
    hub_row, hub_col = divmod(topology.hub, topology.cols)
    across, along = abs(col - hub_col), abs(row - hub_row)
    # The hub's links: all columns left and right of it, its own column above and below.
    side = np.where(across > 0, np.sign(col - hub_col), 3 * np.sign(row - hub_row))
    chosen = _as_many_a_side(side, across + along, cores)
    yield _in_turn(chosen, col, across + along)
    # Column after column away from the hub: a stretch has few branches.
    yield _in_turn(chosen, np.sign(col - hub_col), across * topology.rows + along)


def _as_many_a_side(side: Ints, away: Ints, cores: int) -> Ints:
    """Places near the hub, its own first (side 0), as many of each side as can be; shape (cores,)."""
    order = np.lexsort((side, away))
    number = np.zeros_like(side)
    for each in np.unique(side).tolist():
        mine = order[side[order] == each]
        number[mine] = np.arange(len(mine)) if each else -1
    return np.lexsort((side, away, number))[:cores]


def _in_turn(chosen: Ints, side: Ints, rank: Ints) -> Ints:
    """The chosen places, sides in turn, each by `rank`: the j-th of m of a side at (j + 1/2) / m of the way."""
    by_side = chosen[np.lexsort((rank[chosen], side[chosen]))]
    _, of_side, sizes = np.unique(side[by_side], return_inverse=True, return_counts=True)
    number = np.arange(len(chosen)) - (np.cumsum(sizes) - sizes)[of_side]
    return by_side[np.lexsort((of_side, (number + 0.5) / sizes[of_side]))]
