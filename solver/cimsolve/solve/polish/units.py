"""The activations of a mapping as what may change places: those of equal shape, whatever their stages.

What an activation drives and reads, and so its time and the cells that must stay empty for it, is a matter of its
shape and its place alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cimsolve.columns import Ints, number_of
from cimsolve.price.firings import Fired
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping, Pieces


@dataclass(frozen=True)
class Units:
    """The activations of a mapping, which may change places; shape (activations,) each."""

    stage: Ints
    shape: Ints
    """Equal for those that may change places."""
    cycles: Ints
    array: Ints
    row: Ints
    col: Ints
    """With `array` and `row`, where each activation lay at first: the places."""
    place: Ints
    """The activation in whose first place each lies now."""

    @staticmethod
    def of(problem: Problem, mapping: Mapping) -> Units:
        pieces, fires = mapping.pieces, mapping.activation_of_piece()
        fired = Fired.of(problem, pieces, fires)
        count = len(fired)
        row, col = np.full(count, problem.rows), np.full(count, problem.weights_per_row)
        np.minimum.at(row, fires, pieces.array_row)
        np.minimum.at(col, fires, pieces.array_col)
        shape = _shapes(problem, pieces, fires, row, col)
        return Units(fired.stage, shape, fired.cycles, fired.array, row, col, np.arange(count))

    def busy(self) -> Ints:
        """Cycles of each stage on each array; shape (stages, arrays)."""
        return busy_cycles(self.stage, self.array[self.place], self.cycles)

    def mapping(self, before: Mapping) -> Mapping:
        """The pieces of `before`, whose activations these are, in their new places."""
        pieces, own = before.pieces, before.activation_of_piece()
        now = self.place[own]
        moved = replace(
            pieces,
            array=self.array[now],
            array_row=pieces.array_row - self.row[own] + self.row[now],
            array_col=pieces.array_col - self.col[own] + self.col[now],
        )
        return replace(before, pieces=moved)

    def dealt(self, mine: Ints, decided: dict[tuple[int, int, int], int]) -> Units:
        """The activations `mine` in each other's places, so many of each stage and shape on each array."""
        free: dict[tuple[int, int], list[int]] = {}
        for unit in mine.tolist():
            place = int(self.place[unit])
            free.setdefault((int(self.shape[unit]), int(self.array[place])), []).append(place)
        waiting: dict[tuple[int, int], list[int]] = {}
        for unit in mine.tolist():
            waiting.setdefault((int(self.stage[unit]), int(self.shape[unit])), []).append(unit)
        places = self.place.copy()
        for (stage, shape, array), count in decided.items():
            for _ in range(count):
                places[waiting[stage, shape].pop()] = free[shape, array].pop()
        return replace(self, place=places)


def busy_cycles(stage: Ints, array: Ints, cycles: Ints) -> Ints:
    """Cycles of each stage on each array, of activations of these; shape (stages, arrays)."""
    table = np.zeros((int(stage.max()) + 1, int(array.max()) + 1), dtype=np.int64)
    np.add.at(table, (stage, array), cycles)
    return table


def _shapes(problem: Problem, pieces: Pieces, fires: Ints, row: Ints, col: Ints) -> Ints:
    """A number for the pieces of each activation relative to its corner; shape (activations,)."""
    down, right = pieces.array_row - row[fires], pieces.array_col - col[fires]
    piece = number_of(down, right, pieces.rows, pieces.cols)
    order = np.lexsort((piece, fires))
    contents: dict[tuple[int, ...], int] = {}
    # Wired to fixed converters, the same columns elsewhere may take longer.
    moves_freely = problem.hardware.adc.wiring == "any"
    found = []
    for number, members in enumerate(np.split(piece[order], np.flatnonzero(np.diff(fires[order])) + 1)):
        key = (*members.tolist(), *(() if moves_freely else (-1, int(col[number]))))
        found.append(contents.setdefault(key, len(contents)))
    return np.array(found, dtype=np.int64)
