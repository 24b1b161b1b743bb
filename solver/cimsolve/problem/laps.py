"""Weights that fire again: from the tables of what is stored to those of a whole token, and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cimsolve.chip.routes import repeats
from cimsolve.columns import Ints, order_by
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Activations, Mapping, Pieces


def repeated(problem: Problem, mapping: Mapping) -> Mapping:
    """A mapping of `problem.stored` for `problem`: the pieces of weights that fire again once for each time.

    All lie where the first do, and what fires together in the first stage does so in all.
    """
    table, pieces = problem.table, mapping.pieces
    kept = np.flatnonzero(table.stored == np.arange(len(table.stored)))
    number = np.searchsorted(kept, table.stored)
    order, counts = order_by(pieces.factor), np.bincount(pieces.factor, minlength=len(kept))
    factor, within = repeats(counts[number])
    index = order[(np.cumsum(counts) - counts)[number][factor] + within]
    activation = mapping.activation_of_piece()[index]
    fires = table.stage[factor] * (int(activation.max()) + 1) + activation
    return Mapping(replace(pieces.take(index), factor=factor), fires, None, mapping.place)


def of_first_lap(problem: Problem, mapping: Mapping) -> Mapping:
    """A mapping of `problem` for `problem.stored`: what is stored, firing together as it does first."""
    table, pieces = problem.table, mapping.pieces
    some = np.flatnonzero(table.stored[pieces.factor] == pieces.factor)
    return Mapping(_renumbered(problem, pieces.take(some)), mapping.fires[some], None, mapping.place)


def _renumbered(problem: Problem, pieces: Pieces) -> Pieces:
    """Pieces of weights that are stored, by the factors of `problem.stored`."""
    stored = problem.table.stored
    kept = np.flatnonzero(stored == np.arange(len(stored)))
    factor: Ints = np.searchsorted(kept, pieces.factor)
    return replace(pieces, factor=factor)


def first_lap(problem: Problem, pieces: Pieces, activations: Activations) -> tuple[Problem, Pieces, Activations]:
    """Of sound tables for `problem` those for `problem.stored`: the first firing of all weights."""
    stored, table = problem.stored, problem.table
    if stored is problem:
        return problem, pieces, activations
    some = np.flatnonzero(table.stored[pieces.factor] == pieces.factor)
    fires, fired = np.unique(activations.of_piece(len(pieces))[some], return_inverse=True)
    fired = fired.reshape(-1)
    sizes = np.bincount(fired)
    stops = np.cumsum(sizes)
    columns = {name: getattr(activations, name)[fires] for name in ("array", "start", "end", "adc_bits")}
    ends = {"pieces_from": stops - sizes, "pieces_to": stops, "piece": order_by(fired)}
    return stored, _renumbered(problem, pieces.take(some)), Activations(**columns, **ends)
