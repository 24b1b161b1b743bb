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
from cimsolve.columns import Floats, Ints, ceil_div, max_by, sum_by
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Pieces
from cimsolve.solve.places.even import evened

MANY_MORE = 1.25
"""More cores than are needed are tried if they are so many times as many."""
EVENED_MAX = 500
"""Most arrays that change sides one by one, and not a core at a time."""
FEW_CORES = 32
"""Of more, full ones are no faster by more than a trifle, and what they read goes farther."""
SIDES_MAX = 8
"""Of more sides none is much of the whole, and cores are not moved between them."""
DIAGONAL = 2
"""Rows by which one column's cores are moved on against those of the column before."""
ALIKE_MAX = 1000
"""Most arrays that are compared each with each."""


def arrangements(problem: Problem, pieces: Pieces, outline: Ints) -> Iterator[Ints]:
    """Places of all arrays, shape (arrays,), to be tried; the most promising first.

    `outline` numbers what pieces of a stage may change places: those of equal ones; shape (pieces,).
    """
    core, topology = problem.hardware.core, problem.hardware.topology
    assert core is not None
    assert topology is not None
    arrays = int(pieces.array.max()) + 1
    bits, side = _bits(problem, pieces, outline), sides_of(topology)
    many_sides = len(np.unique(side)) > SIDES_MAX
    orders = list(_orders(problem, pieces, arrays))
    for cores in _counts(topology, side, arrays, core.arrays):
        for (number, order), turns in product(enumerate(orders), _turns(topology, cores)):
            members = _cores(order, cores, core.arrays)
            yield turns[members]
            if not many_sides:
                of_core = np.zeros((cores, bits.shape[1]))
                np.add.at(of_core, members, bits)
                place = np.empty_like(turns)
                place[evened(of_core, side[turns])] = turns
                yield place[members]
            if not many_sides and arrays <= EVENED_MAX and number == 0:
                place = turns[members]
                found = np.empty_like(place)
                found[evened(bits, side[place])] = place
                yield found
    # Full cores, the nearest places first: of few cores of one size two pass one link, and load it most.
    nearest = np.argsort(topology.ways_to_hub()[0], kind="stable")
    few = ceil_div(arrays, core.arrays) <= FEW_CORES
    for order in orders if few else ():
        place = np.empty(arrays, dtype=np.int64)
        place[order] = nearest[np.arange(arrays) // core.arrays]
        yield place


def _counts(topology: Topology, side: Ints, arrays: int, arrays_of_core: int) -> list[int]:
    """How many cores to use: as few as can be, and more, which have more links, buses and columns between them.

    The next number is the first that all sides have an equal share of.
    """
    fewest = ceil_div(arrays, arrays_of_core)
    sides = len(np.unique(side[side >= 0]))
    most = min(topology.places, arrays)
    alike = min(most, ceil_div(fewest, max(1, sides)) * max(1, sides))
    more = [cores for cores in (most, min(most, 2 * fewest)) if cores >= MANY_MORE * fewest]
    return list(dict.fromkeys((fewest, alike, *more)))


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


def _cores(order: Ints, cores: int, arrays_of_core: int) -> Ints:
    """The core of each array, shape (arrays,): neighbours in `order` share one, and all have as many as can be."""
    arrays = len(order)
    number = np.arange(arrays) * cores // arrays
    if np.bincount(number).max() > arrays_of_core:
        number = np.arange(arrays) // arrays_of_core
    core = np.empty(arrays, dtype=np.int64)
    core[order] = number
    return core


def _bits(problem: Problem, pieces: Pieces, outline: Ints) -> Floats:
    """What each array sends to the hub, or receives from it, by stage and outline; shape (arrays, kinds of both).

    Of an input that several arrays read each has its share.
    """
    workload, table, interconnect = problem.workload, problem.table, problem.hardware.interconnect
    assert interconnect is not None
    kinds = workload.kinds
    cells = pieces.rows * pieces.cols
    share = sum_by(table.stage[pieces.factor], cells, len(workload.stages))
    inputs = max_by(table.stage, table.blocks * table.block_rows, len(workload.stages))
    is_down, is_up = kinds[pieces.factor] != "L", kinds[pieces.factor] != "R"
    stage = table.stage[pieces.factor]
    bits = is_up * pieces.cols * float(interconnect.out_bits)
    bits += is_down * cells * (interconnect.input_bits * inputs / np.maximum(share, 1))[stage]
    kinds_of_stage = stage * (int(outline.max()) + 1) + outline
    known, kind = np.unique(kinds_of_stage, return_inverse=True)
    found = np.zeros((int(pieces.array.max()) + 1, len(known)))
    np.add.at(found, (pieces.array, kind.reshape(-1)), bits)
    return found


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
        chosen = np.lexsort((col, row))[:cores]
        yield _in_turn(chosen, col, row)
        # What goes over from row to row meets less where a stage's cores are in other rows of every column.
        rows = ceil_div(cores, topology.cols)
        yield _in_turn(chosen, col, (row + DIAGONAL * col) % rows)
        return
    hub_row, hub_col = divmod(topology.hub, topology.cols)
    across, along = abs(col - hub_col), abs(row - hub_row)
    chosen = _as_many_a_side(sides_of(topology), across + along, cores)
    yield _in_turn(chosen, col, across + along)
    # Column after column away from the hub: a stretch has few branches.
    yield _in_turn(chosen, np.sign(col - hub_col), across * topology.rows + along)


def sides_of(topology: Topology) -> Ints:
    """Which of the hub's links leads to each place, shape (places,); -1 for the hub's own."""
    place = np.arange(topology.places)
    if isinstance(topology, HTree):
        return np.asarray(place // topology.fanout ** (topology.levels - 1))
    assert isinstance(topology, Mesh)
    row, col = np.divmod(place, topology.cols)
    if topology.hub is None:
        return col
    # All columns left and right of the hub, its own column above and below.
    hub_row, hub_col = divmod(topology.hub, topology.cols)
    ways = [col < hub_col, col > hub_col, row < hub_row, row > hub_row]
    return np.asarray(np.select(ways, [0, 1, 2, 3], -1))


def _as_many_a_side(side: Ints, away: Ints, cores: int) -> Ints:
    """Places near the hub, its own first (side -1), as many of each side as can be; shape (cores,)."""
    order = np.lexsort((side, away))
    number = np.zeros_like(side)
    for each in np.unique(side).tolist():
        mine = order[side[order] == each]
        number[mine] = np.arange(len(mine)) if each >= 0 else -1
    return np.lexsort((side, away, number))[:cores]


def _in_turn(chosen: Ints, side: Ints, rank: Ints) -> Ints:
    """The chosen places, sides in turn, each by `rank`: the j-th of m of a side at (j + 1/2) / m of the way."""
    by_side = chosen[np.lexsort((rank[chosen], side[chosen]))]
    _, of_side, sizes = np.unique(side[by_side], return_inverse=True, return_counts=True)
    number = np.arange(len(chosen)) - (np.cumsum(sizes) - sizes)[of_side]
    return by_side[np.lexsort((of_side, (number + 0.5) / sizes[of_side]))]
