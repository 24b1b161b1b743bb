"""Large-neighbourhood search: activations of several stages change places with one another, on all arrays at once.

What an activation drives and reads, and so its time and the cells that must stay empty for it, is a matter of its
shape and its place alone. Activations of equal shape may therefore change places, whatever their stages. The
decisions of a neighbourhood are how many activations of each shape every stage has on each array: a transport problem
for each shape, tied together by the time of the busiest array in each stage. CP-SAT solves it from the answer at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from cimsolve.columns import Ints, number_of
from cimsolve.price.firings import Fired
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping, Pieces
from cimsolve.prove.time import least_stage_cycles

FAILURES_MAX = 4
"""So many late stages are given up before the search ends."""
ROUNDS_MAX = 24
"""Neighbourhoods at most."""
ROUND_TIME = 1.0
"""Deterministic time of one neighbourhood, in CP-SAT's units (about seconds)."""
PIECES_MAX = 60_000
"""Larger mappings are left as they are: shapes are found piece by piece."""
DECISIONS_MAX = 20_000
"""Integer variables of a neighbourhood."""


def deal_again(
    problem: Problem, mapping: Mapping, seed: int, workers: int, is_over: Callable[[], bool] = lambda: False
) -> Mapping:
    """`mapping` with activations in each other's places, such that the times of the stages add up to less.

    Before each neighbourhood it asks `is_over`, whether it must end with what it has.
    """
    if len(mapping.pieces) > PIECES_MAX:
        return mapping
    units = _Units.of(problem, mapping)
    least = np.array(least_stage_cycles(problem, len(np.unique(mapping.pieces.array))))
    random = np.random.default_rng(seed)
    given_up: list[int] = []
    for _ in range(ROUNDS_MAX):
        if len(given_up) == FAILURES_MAX or is_over():
            break
        late = units.busy().max(axis=1) - least
        late[given_up] = 0
        if not late.any():
            break
        stages = _neighbourhood(units, int(np.argmax(late)), random)
        better = _solve(units, stages, least, seed, workers)
        if better is not None:
            units = better
        elif len(stages) == len(late):
            break
        else:
            given_up.append(int(stages[0]))
    return units.mapping(mapping)


@dataclass(frozen=True)
class _Units:
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
    def of(problem: Problem, mapping: Mapping) -> _Units:
        pieces, fires = mapping.pieces, mapping.activation_of_piece()
        fired = Fired.of(problem, pieces, fires)
        count = len(fired)
        row, col = np.full(count, problem.rows), np.full(count, problem.weights_per_row)
        np.minimum.at(row, fires, pieces.array_row)
        np.minimum.at(col, fires, pieces.array_col)
        shape = _shapes(problem, pieces, fires, row, col)
        return _Units(fired.stage, shape, fired.cycles, fired.array, row, col, np.arange(count))

    def busy(self) -> Ints:
        """Cycles of each stage on each array; shape (stages, arrays)."""
        table = np.zeros((int(self.stage.max()) + 1, int(self.array.max()) + 1), dtype=np.int64)
        np.add.at(table, (self.stage, self.array[self.place]), self.cycles)
        return table

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


def _neighbourhood(units: _Units, late: int, random: np.random.Generator) -> Ints:
    """The late stage and others that have shapes of its, or of theirs, while decisions last; the late one first."""
    stages, shapes = int(units.stage.max()) + 1, int(units.shape.max()) + 1
    has = np.zeros((stages, shapes), dtype=bool)
    has[units.stage, units.shape] = True
    arrays_with = np.zeros((shapes, int(units.array.max()) + 1), dtype=bool)
    arrays_with[units.shape, units.array] = True
    decisions = has @ arrays_with.sum(axis=1)
    chosen, room = [late], DECISIONS_MAX - int(decisions[late])
    others = random.permutation(stages)
    related = (has[others] & has[late]).any(axis=1)
    for stage in others[np.argsort(~related, kind="stable")].tolist():
        if stage != late and decisions[stage] <= room:
            chosen.append(stage)
            room -= int(decisions[stage])
    return np.array(chosen)


def _solve(units: _Units, stages: Ints, least: Ints, seed: int, workers: int) -> _Units | None:
    """Better places for the activations of `stages`, or None where none are found."""
    # CP-SAT takes long to load and most problems never come here.
    from cimsolve.solve.cp_sat import cp_model, make_solver

    mine = np.flatnonzero(np.isin(units.stage, stages))
    now = units.array[units.place[mine]]
    key, places = np.unique(np.stack([units.shape[mine], now]), axis=1, return_counts=True)
    cycles_of = dict(zip(units.shape[mine].tolist(), units.cycles[mine].tolist(), strict=True))
    arrays_of: dict[int, list[tuple[int, int]]] = {}
    for (shape, array), count in zip(key.T.tolist(), places.tolist(), strict=True):
        arrays_of.setdefault(shape, []).append((array, count))
    model = cp_model.CpModel()
    taken: dict[tuple[int, int], list[cp_model.IntVar]] = {}
    decided: dict[tuple[int, int, int], cp_model.IntVar] = {}
    times = []
    before = units.busy()[stages]
    for stage, busy in zip(stages.tolist(), before, strict=True):
        time = model.new_int_var(int(least[stage]), int(busy.sum()), "")
        model.add_hint(time, int(busy.max()))
        times.append(time)
        load: dict[int, list[cp_model.LinearExpr]] = {}
        own = mine[units.stage[mine] == stage]
        for shape in np.unique(units.shape[own]).tolist():
            alike = own[units.shape[own] == shape]
            here = np.bincount(units.array[units.place[alike]], minlength=before.shape[1])
            row = []
            for array, count in arrays_of[shape]:
                number = model.new_int_var(0, min(count, len(alike)), "")
                model.add_hint(number, int(here[array]))
                decided[stage, shape, array] = number
                taken.setdefault((shape, array), []).append(number)
                load.setdefault(array, []).append(cycles_of[shape] * number)
                row.append(number)
            model.add(sum(row) == len(alike))
        for terms in load.values():
            model.add(sum(terms) <= time)
    for shape, arrays in arrays_of.items():
        for array, count in arrays:
            model.add(sum(taken[shape, array]) == count)
    model.minimize(sum(times))
    solver = make_solver(ROUND_TIME, workers, seed)
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE) or solver.objective_value >= before.max(axis=1).sum():
        return None
    return _moved(units, mine, {key: solver.value(number) for key, number in decided.items()})


def _moved(units: _Units, mine: Ints, decided: dict[tuple[int, int, int], int]) -> _Units:
    """The activations `mine` in each other's places, so many of each stage and shape on each array."""
    free: dict[tuple[int, int], list[int]] = {}
    for unit in mine.tolist():
        place = int(units.place[unit])
        free.setdefault((int(units.shape[unit]), int(units.array[place])), []).append(place)
    waiting: dict[tuple[int, int], list[int]] = {}
    for unit in mine.tolist():
        waiting.setdefault((int(units.stage[unit]), int(units.shape[unit])), []).append(unit)
    places = units.place.copy()
    for (stage, shape, array), count in decided.items():
        for _ in range(count):
            places[waiting[stage, shape].pop()] = free[shape, array].pop()
    return replace(units, place=places)
