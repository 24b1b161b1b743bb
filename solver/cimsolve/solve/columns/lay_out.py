"""From shares to a mapping: which shelf of its array every run lies on, and what fires together."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as MappingABC
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import numpy as np

from cimsolve.columns import Ints, order_by, running_offsets
from cimsolve.pack.columns import Shelves
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping, Parts, Pieces
from cimsolve.solve.columns.room import Room, Share
from cimsolve.solve.parts import fire_same_inputs_together

PACK_TIME = 0.2
"""Deterministic time, in CP-SAT's units, to pack the runs of one array exactly."""


def map_as_dealt(problem: Problem, shares: list[Share], room: MappingABC[int, Room]) -> Mapping:
    """The runs on the shelves where dealing put them, from the left; `room` is that before dealing, by height."""
    return _mapping(problem, _as_dealt(shares, room))


def _as_dealt(shares: list[Share], room: MappingABC[int, Room]) -> list[Pieces]:
    pieces: list[Pieces] = []
    for height, free in room.items():
        mine = [share for share in shares if share.kind.height == height]
        if not mine:
            continue
        array, shelf, width = (np.concatenate([getattr(s, name) for s in mine]) for name in ("array", "shelf", "width"))
        lane = array * free.left.shape[1] + shelf
        order = order_by(lane)
        col = free.col[array, shelf]
        col[order] += running_offsets(lane[order], width[order])
        edges = np.cumsum([0, *(len(share.width) for share in mine)])
        for share, low, high in zip(mine, edges[:-1], edges[1:], strict=True):
            row = free.row[share.array, share.shelf]
            pieces.append(pieces_of(share, row, col[low:high]))
    return pieces


def lay_out(
    problem: Problem,
    shares: list[Share],
    shelves: Shelves,
    fill: Callable[[dict[int, Room]], list[Share]] | None = None,
) -> Mapping:
    """Places on their arrays for runs that were dealt as if each array had one shelf a height.

    What fits on no shelf whole is cut over several, and its parts fire one after the other. `fill` is asked for more
    shares, given what is left of every shelf.
    """
    pieces: list[Pieces] = []
    used = np.zeros_like(shelves.width)
    heights = np.unique(shelves.height).tolist()
    for height in heights:
        mine = [share for share in shares if share.kind.height == height]
        if mine:
            pieces += _lay_out_height(mine, shelves, height, used)
    if fill is not None:
        left = replace(shelves, col=shelves.col + used, width=shelves.width - used)
        room = {height: Room.of(left, height, int(left.array.max()) + 1) for height in heights}
        pieces += _as_dealt(fill({height: free.copy() for height, free in room.items()}), room)
    return _mapping(problem, pieces)


def _mapping(problem: Problem, pieces: list[Pieces]) -> Mapping:
    placed = Pieces.concatenate(pieces)
    return Mapping(placed, fire_same_inputs_together(problem, placed))


def _lay_out_height(shares: list[Share], shelves: Shelves, height: int, used: Ints) -> list[Pieces]:
    """The pieces of one height; adds the columns that they take of every shelf to `used`."""
    owner = np.repeat(np.arange(len(shares)), [len(share.width) for share in shares])
    index = np.concatenate([np.arange(len(share.width)) for share in shares])
    width = np.concatenate([share.width for share in shares])
    array = np.concatenate([share.array for share in shares])
    run, part, shelf, col = _places(array, width, shelves, np.flatnonzero(shelves.height == height))
    np.add.at(used, shelf, part)
    pieces = []
    order = order_by(owner[run])
    edges = np.searchsorted(owner[run][order], np.arange(len(shares) + 1))
    taken = running_offsets(run, part)
    for number, share in enumerate(shares):
        own = order[edges[number] : edges[number + 1]]
        at = index[run[own]]
        first = share.first[at] + taken[own]
        cut = Share(share.kind, share.strip[at], first, part[own], share.array[at], shelf[own])
        pieces.append(pieces_of(cut, shelves.row[cut.shelf], col[own]))
    return pieces


def _places(array: Ints, width: Ints, shelves: Shelves, mine: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Shelf and column of every run: (run, width, shelf, column) of each part, sorted by run.

    Best-fit decreasing first; arrays on which that leaves a run that fits no shelf whole are packed exactly.
    """
    run, part, shelf, col = _best_fit(array, width, shelves, mine)
    split = run[1:][run[1:] == run[:-1]]
    whole: list[tuple[Ints, Ints, Ints, Ints]] = []
    repacked = np.zeros(int(array.max()) + 1, dtype=bool)
    order = order_by(array)
    by_array, shelf_array = array[order], shelves.array[mine]
    for number in np.unique(array[split]).tolist():
        low, high = np.searchsorted(by_array, (number, number + 1))
        members = order[low:high]
        low, high = np.searchsorted(shelf_array, (number, number + 1))
        here = mine[low:high]
        choice = pack_exactly(tuple(width[members].tolist()), tuple(shelves.width[here].tolist()))
        if choice is None:
            continue
        repacked[number] = True
        by_choice = np.argsort(choice, kind="stable")
        chosen = np.array(choice, dtype=np.int64)[by_choice]
        offset = running_offsets(chosen, width[members][by_choice])
        whole.append((members[by_choice], width[members][by_choice], here[chosen], shelves.col[here[chosen]] + offset))
    keep = ~repacked[array[run]]
    whole.append((run[keep], part[keep], shelf[keep], col[keep]))
    run, part, shelf, col = (np.concatenate(column) for column in zip(*whole, strict=True))
    by_run = order_by(run)
    return run[by_run], part[by_run], shelf[by_run], col[by_run]


@lru_cache(maxsize=4096)
def pack_exactly(widths: tuple[int, ...], shelves: tuple[int, ...]) -> tuple[int, ...] | None:
    """A shelf for each run such that all fit, or None where there is none or it is hard to find."""
    if max(widths) > max(shelves) or sum(widths) > sum(shelves):
        return None
    # CP-SAT takes long to load, and most problems never need it.
    from cimsolve.solve.cp_sat import cp_model, make_solver

    sizes = sorted(set(widths))
    model = cp_model.CpModel()
    number = [[model.new_int_var(0, widths.count(size), "") for _ in shelves] for size in sizes]
    for size, row in zip(sizes, number, strict=True):
        model.add(sum(row) == widths.count(size))
    for at, room in enumerate(shelves):
        model.add(sum(size * row[at] for size, row in zip(sizes, number, strict=True)) <= room)
    solver = make_solver(PACK_TIME)
    if solver.solve(model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    slots = {
        size: [at for at, variable in enumerate(row) for _ in range(solver.value(variable))]
        for size, row in zip(sizes, number, strict=True)
    }
    return tuple(slots[width].pop() for width in widths)


def _best_fit(array: Ints, width: Ints, shelves: Shelves, mine: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Best-fit decreasing on all arrays at once: the k-th widest run of every array in round k.

    `mine` are the shelves to use, sorted by array. Returns (run, width, shelf, column) of each part, sorted by run;
    a run that fits nowhere whole comes in several parts.
    """
    arrays = int(shelves.array[mine].max()) + 1
    first = np.searchsorted(shelves.array[mine], np.arange(arrays + 1))
    most = int(np.diff(first).max())
    left = np.zeros((arrays, most), dtype=np.int64)
    slot = np.arange(len(mine)) - first[shelves.array[mine]]
    left[shelves.array[mine], slot] = shelves.width[mine]
    order = order_by(array, width.max() - width)
    rank = running_offsets(array[order], np.ones(len(order), dtype=np.int64))
    by_round = order[order_by(rank)]
    edges = np.searchsorted(np.sort(rank), np.arange(int(rank.max()) + 2))
    full = np.iinfo(np.int64).max
    found: list[tuple[Ints, Ints, Ints, Ints]] = []
    for begin, end in pairwise(edges.tolist()):
        run = by_round[begin:end]
        need = width[run]
        while len(run):
            here = left[array[run]]
            fits = here >= need[:, None]
            # What fits nowhere whole takes the widest rest, and comes again with what remains.
            choice = np.where(fits.any(axis=1), np.where(fits, here, full).argmin(axis=1), here.argmax(axis=1))
            room = here[np.arange(len(run)), choice]
            part = np.minimum(need, room)
            shelf = mine[first[array[run]] + choice]
            found.append((run, part, shelf, shelves.col[shelf] + shelves.width[shelf] - room))
            left[array[run], choice] -= part
            need = need - part
            run, need = run[need > 0], need[need > 0]
    run, part, shelf, col = (np.concatenate(column) for column in zip(*found, strict=True))
    by_run = order_by(run)
    return run[by_run], part[by_run], shelf[by_run], col[by_run]


def pieces_of(share: Share, row: Ints, col: Ints) -> Pieces:
    """The pieces of runs at these places: one for each of the blocks of the same input that a run reaches over."""
    kind, first = share.kind, share.first
    pieces: list[Pieces] = []
    factors, block = kind.blocks_of(share.strip)
    for owner, begin, end in zip(factors, kind.edges[:-1], kind.edges[1:], strict=True):
        low = np.maximum(first, begin)
        high = np.minimum(first + share.width, end)
        index = np.flatnonzero(high > low)
        low, high = low[index], high[index]
        row0, rows = (np.full(len(index), same, dtype=np.int64) for same in (kind.row0, kind.height))
        parts = Parts(owner[index], block[index], row0, rows, low - begin, high - low)
        pieces.append(parts.place(share.array[index], row[index], col[index] + low - first[index]))
    return Pieces.concatenate(pieces)
