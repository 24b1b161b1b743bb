"""Large-neighbourhood search: activations of several stages change places with one another, on all arrays at once.

The decisions of a neighbourhood are how many activations of each shape every stage has on each array: a transport
problem for each shape, tied together by the time of the busiest array in each stage. CP-SAT solves it from the answer
at hand.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cimsolve.columns import Ints
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping
from cimsolve.prove.time import least_stage_cycles
from cimsolve.solve.polish.units import Units

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
    units = Units.of(problem, mapping)
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


def _neighbourhood(units: Units, late: int, random: np.random.Generator) -> Ints:
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


def _solve(units: Units, stages: Ints, least: Ints, seed: int, workers: int) -> Units | None:
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
    return units.dealt(mine, {key: solver.value(number) for key, number in decided.items()})
