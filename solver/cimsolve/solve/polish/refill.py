"""Large-neighbourhood search: few arrays are emptied and filled anew by the exact model, while all others stay.

Only so does a mapping come to place for what fires together: inputs on rows of their own share an activation where the
cells at which they cross are empty (S3), which no step that packs first can know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations

import numpy as np

from cimsolve.columns import Ints
from cimsolve.price.firings import Fired
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping, Pieces
from cimsolve.prove.search import count_items, why_no_part_is_modelled
from cimsolve.prove.time import least_stage_cycles
from cimsolve.solve.exact.items import Instance, Rest, build_instance
from cimsolve.solve.polish.units import busy_cycles

ITEMS_MAX = 20
"""Most items of the arrays emptied at a time: the exact model proves most of these within a round."""
ALL_ITEMS_MAX = 2**12
"""Larger problems are left as they are."""
ROUNDS_MAX = 60
"""Neighbourhoods at most."""
ROUND_TIME = 1.0
"""Deterministic time of one neighbourhood, in CP-SAT's units (about seconds)."""
TOGETHER_MAX = 2
"""Most arrays emptied at a time."""


def refill(
    problem: Problem, mapping: Mapping, seed: int, workers: int, is_over: Callable[[], bool] = lambda: False
) -> Mapping:
    """`mapping` with few arrays at a time filled anew, such that the times of the stages add up to less.

    Before each neighbourhood it asks `is_over`, whether it must end with what it has.
    """
    if why_no_part_is_modelled(problem) is not None or count_items(problem) > ALL_ITEMS_MAX:
        return mapping
    whole = build_instance(problem)
    least = np.array(least_stage_cycles(problem, len(np.unique(mapping.pieces.array))))
    given_up: set[frozenset[tuple[int, ...]]] = set()
    while (better := _better(problem, whole, mapping, least, given_up, is_over, seed, workers)) is not None:
        mapping = better
    return mapping


def _better(
    problem: Problem,
    whole: Instance,
    mapping: Mapping,
    least: Ints,
    given_up: set[frozenset[tuple[int, ...]]],
    is_over: Callable[[], bool],
    seed: int,
    workers: int,
) -> Mapping | None:
    """The first faster mapping found with few arrays filled anew; None where there is none, or the search must end."""
    # CP-SAT takes long to load and most problems never come here.
    from cimsolve.solve.exact.search import improve_on_arrays

    busy = _busy(problem, mapping)
    cycles = busy.max(axis=1)
    for arrays in _neighbourhoods(mapping, busy, cycles - least):
        held = _contents(mapping, arrays)
        if held in given_up:
            continue
        if len(given_up) == ROUNDS_MAX or is_over():
            return None
        given_up.add(held)
        found = improve_on_arrays(*_part(whole, mapping, arrays, busy), ROUND_TIME, workers, seed)
        if found is not None and int(_busy(problem, found).max(axis=1).sum()) < int(cycles.sum()):
            return found
    return None


def _busy(problem: Problem, mapping: Mapping) -> Ints:
    """Cycles of each stage on each array, arrays numbered without gaps; shape (stages, arrays)."""
    fired = Fired.of(problem, mapping.pieces, mapping.activation_of_piece())
    return busy_cycles(fired.stage, np.unique(fired.array, return_inverse=True)[1], fired.cycles)


def _neighbourhoods(mapping: Mapping, busy: Ints, late: Ints) -> Iterator[tuple[int, ...]]:
    """Arrays to empty together: those that decide a late stage, the latest first, with such as are less busy."""
    names, of_piece = np.unique(mapping.pieces.array, return_inverse=True)
    items = np.bincount(of_piece, weights=mapping.pieces.cols).astype(np.int64)
    for together in range(1, TOGETHER_MAX + 1):
        for stage in np.argsort(-late, kind="stable").tolist():
            if late[stage] <= 0:
                break
            slowest = int(np.argmax(busy[stage]))
            others = [a for a in np.argsort(busy[stage], kind="stable").tolist() if a != slowest]
            for chosen in combinations(others, together - 1):
                if items[[slowest, *chosen]].sum() <= ITEMS_MAX:
                    yield tuple(int(names[a]) for a in (slowest, *chosen))


def _contents(mapping: Mapping, arrays: tuple[int, ...]) -> frozenset[tuple[int, ...]]:
    """The pieces that lie on the arrays."""
    here = np.isin(mapping.pieces.array, arrays)
    return frozenset(zip(*(column[here].tolist() for column in vars(mapping.pieces).values()), strict=True))


def _part(whole: Instance, mapping: Mapping, arrays: tuple[int, ...], busy: Ints) -> tuple[Instance, Mapping]:
    """The items on these arrays as an instance, and how the mapping has them."""
    here = np.isin(mapping.pieces.array, arrays)
    stays = ~np.isin(np.unique(mapping.pieces.array), arrays)
    hint, others = _of(mapping, here), _of(mapping, ~here)
    pieces = hint.pieces
    columns = {
        (factor, block, col)
        for factor, block, col0, cols in zip(
            pieces.factor.tolist(), pieces.block.tolist(), pieces.col0.tolist(), pieces.cols.tolist(), strict=True
        )
        for col in range(col0, col0 + cols)
    }
    items = tuple(item for item in whole.items if (item.factor, item.block, item.col0) in columns)
    rest = Rest(others, int(stays.sum()), tuple(busy[:, stays].max(axis=1).tolist())) if stays.any() else None
    return replace(whole, items=items, rest=rest), hint


def _of(mapping: Mapping, chosen: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Mapping:
    """The chosen pieces of a mapping, fired as they were."""
    return Mapping(
        Pieces(**{name: column[chosen] for name, column in vars(mapping.pieces).items()}), mapping.fires[chosen]
    )
