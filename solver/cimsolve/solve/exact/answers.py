"""Answers of the exact solver on its grid: the first, from and to a mapping, measured, in canonical order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cimsolve.price.cost import evaluate
from cimsolve.price.schedule import schedule
from cimsolve.problem.tables import Mapping, Pieces
from cimsolve.solve.exact.items import Instance, Item

Cells = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ExactAnswer:
    """Where each item lies and which item's number its activation bears; shape (items,), grid units."""

    array: tuple[int, ...]
    row: tuple[int, ...]
    col: tuple[int, ...]
    leader: tuple[int, ...]


def first_fit(instance: Instance) -> ExactAnswer:
    """Every item at the first free place, tallest first, each in an activation of its own: always legal."""
    free: list[Cells] = []
    found: dict[int, tuple[int, int, int]] = {}
    for i in sorted(range(len(instance.items)), key=lambda i: (instance.items[i].shape, -i), reverse=True):
        item = instance.items[i]
        array, row, col = _first_place(instance, free, item)
        if array == len(free):
            free.append(np.ones((instance.rows, instance.cols), dtype=np.bool_))
        free[array][row : row + item.height, col : col + item.width] = False
        found[i] = (array, row, col)
    array_of, row_of, col_of = zip(*(found[i] for i in range(len(instance.items))), strict=True)
    return ExactAnswer(array_of, row_of, col_of, tuple(range(len(instance.items))))


def _first_place(instance: Instance, free: list[Cells], item: Item) -> tuple[int, int, int]:
    for array, cells in enumerate(free):
        for col in range(instance.cols - item.width + 1):
            for row in range(instance.rows - item.height + 1):
                if cells[row : row + item.height, col : col + item.width].all():
                    return array, row, col
    return len(free), 0, 0


def one_by_one(answer: ExactAnswer) -> ExactAnswer:
    """The placement of `answer` with each item in an activation of its own: always legal."""
    return replace(answer, leader=tuple(range(len(answer.leader))))


def count_arrays(answer: ExactAnswer) -> int:
    """Number of arrays that hold an item."""
    return len(set(answer.array))


def measure(instance: Instance, answer: ExactAnswer) -> tuple[int, int]:
    """(arrays of the items, token latency in cycles) by the schedule and the cost model."""
    metrics = evaluate(*schedule(instance.problem, mapping_of(instance, answer))).metrics
    others = 0 if instance.rest is None else instance.rest.arrays
    return int(metrics["arrays"]) - others, int(metrics["latency_cycles"])


def mapping_of(instance: Instance, answer: ExactAnswer) -> Mapping:
    """Pieces and what fires together; neighbours of a block in block and array become one piece; with what stays.

    Items alike are first dealt to their places anew, so that more of them become neighbours.
    """
    places = list(zip(answer.array, answer.leader, answer.row, answer.col, strict=True))
    alike: dict[object, list[int]] = defaultdict(list)
    for i, item in enumerate(instance.items):
        alike[item.input, item.shape].append(i)
    placed: list[tuple[Item, tuple[int, int, int, int]]] = []
    for members in alike.values():
        sorted_places = sorted(places[i] for i in members)
        placed += [(instance.items[i], place) for i, place in zip(members, sorted_places, strict=True)]
    placed.sort(key=lambda pair: (pair[0].factor, pair[0].block, pair[0].col0))
    rows: list[list[int]] = []
    for item, (array, leader, row, col) in placed:
        height = int(instance.problem.table.block_rows[item.factor])
        at = [item.factor, item.block, 0, height, item.col0, item.cols]
        place = [array, row * instance.row_unit, col * instance.col_unit, leader]
        last = rows[-1] if rows else None
        if last is not None and _continues(last, at, place):
            last[5] += item.cols
        else:
            rows.append(at + place)
    columns = np.array(rows, dtype=np.int64).T
    found = Mapping(Pieces(*columns[:-1]), columns[-1])
    return found if instance.rest is None else _beside(found, instance.rest.mapping)


def _beside(one: Mapping, other: Mapping) -> Mapping:
    """Both mappings, of different pieces, on arrays and with activations of their own."""
    pieces = {name: np.concatenate([mine, getattr(other.pieces, name)]) for name, mine in vars(one.pieces).items()}
    pieces["array"] = np.concatenate([one.pieces.array, other.pieces.array + one.pieces.array.max() + 1])
    return Mapping(Pieces(**pieces), np.concatenate([one.fires, other.fires + one.fires.max() + 1]))


def _continues(piece: list[int], at: list[int], place: list[int]) -> bool:
    """Whether an item begins where `piece` ends, in its block and on its array, in one activation."""
    factor, block, _, _, col0, cols, array, row, col, leader = piece
    return (at[:2], at[4], place) == ([factor, block], col0 + cols, [array, row, col + cols, leader])


def answer_of(instance: Instance, mapping: Mapping) -> ExactAnswer | None:
    """`mapping` on the grid, or None where it cuts what the problem does not cut, or is no placement."""
    pieces = mapping.pieces
    at_column: dict[tuple[int, int, int], int] = {}
    heights = instance.problem.table.block_rows
    for p in range(len(pieces)):
        if pieces.rows[p] != heights[pieces.factor[p]]:
            return None
        for col in range(int(pieces.col0[p]), int(pieces.col0[p] + pieces.cols[p])):
            at_column[int(pieces.factor[p]), int(pieces.block[p]), col] = p
    numbers = {int(array): number for number, array in enumerate(np.unique(pieces.array))}
    first_of: dict[int, int] = {}
    places: list[tuple[int, int, int, int]] = []
    for i, item in enumerate(instance.items):
        p = at_column.get((item.factor, item.block, item.col0), -1)
        if p < 0 or at_column.get((item.factor, item.block, item.col0 + item.cols - 1)) != p:
            return None
        col = int(pieces.array_col[p]) + item.col0 - int(pieces.col0[p])
        row = int(pieces.array_row[p])
        leader = first_of.setdefault(int(mapping.fires[p]), i)
        places.append((numbers[int(pieces.array[p])], row // instance.row_unit, col // instance.col_unit, leader))
    answer = ExactAnswer(*zip(*places, strict=True))
    return answer if _is_placement(instance, answer) else None


def _is_placement(instance: Instance, answer: ExactAnswer) -> bool:
    taken: dict[int, Cells] = {}
    for i, item in enumerate(instance.items):
        cells = taken.setdefault(answer.array[i], np.zeros((instance.rows, instance.cols), dtype=np.bool_))
        row, col = answer.row[i], answer.col[i]
        if row < 0 or col < 0 or row + item.height > instance.rows or col + item.width > instance.cols:
            return False
        place = cells[row : row + item.height, col : col + item.width]
        if place.any():
            return False
        place[:] = True
    return True


def canonical(instance: Instance, answer: ExactAnswer) -> ExactAnswer:
    """`answer` renumbered until the model's symmetry rules hold.

    Each step makes the vector of keys (array, column, row) lexicographically smaller or leaves it: it ends.
    """
    items = instance.items
    by_input: dict[object, list[int]] = defaultdict(list)
    for i, item in enumerate(items):
        by_input[item.input].append(i)
    chains = [[by_input[items[first].input] for first in chain] for chain in _runs(instance.alike_inputs)]
    while True:
        before = answer
        order = {array: number for number, array in enumerate(dict.fromkeys(answer.array))}
        answer = replace(answer, array=tuple(order[array] for array in answer.array))
        keys = list(zip(answer.array, answer.col, answer.row, strict=True))
        source = list(range(len(items)))
        for members in _runs(instance.alike):
            source[members[0] : members[-1] + 1] = sorted(members, key=keys.__getitem__)
        for chain in chains:
            ranked = sorted(([source[i] for i in group] for group in chain), key=lambda g: [keys[i] for i in g])
            for group, taken in zip(chain, ranked, strict=True):
                for i, j in zip(group, taken, strict=True):
                    source[i] = j
        answer = _renumber(answer, source)
        if answer == before:
            return answer


def _runs(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Chains of pairs that each begin where the one before ends."""
    runs: list[list[int]] = []
    for i, j in pairs:
        if runs and runs[-1][-1] == i:
            runs[-1].append(j)
        else:
            runs.append([i, j])
    return runs


def _renumber(answer: ExactAnswer, source: list[int]) -> ExactAnswer:
    """Item i takes the place that item source[i] had."""
    first_of: dict[int, int] = {}
    leader = tuple(first_of.setdefault(answer.leader[j], i) for i, j in enumerate(source))
    array, row, col = (tuple(column[j] for j in source) for column in (answer.array, answer.row, answer.col))
    return ExactAnswer(array, row, col, leader)
