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


def first_lap(problem: Problem, pieces: Pieces, activations: Activations) -> tuple[Problem, Pieces, Activations]:
    """Of sound tables for `problem` those for `problem.stored`: the first firing of all weights."""
    stored, table = problem.stored, problem.table
    if stored is problem:
        return problem, pieces, activations
    kept = np.flatnonzero(table.stored == np.arange(len(table.stored)))
    some = np.flatnonzero(table.stored[pieces.factor] == pieces.factor)
    fires, fired = np.unique(activations.of_piece(len(pieces))[some], return_inverse=True)
    fired = fired.reshape(-1)
    sizes = np.bincount(fired)
    stops = np.cumsum(sizes)
    columns = {name: getattr(activations, name)[fires] for name in ("array", "start", "end", "adc_bits")}
    ends = {"pieces_from": stops - sizes, "pieces_to": stops, "piece": order_by(fired)}
    first: Ints = np.searchsorted(kept, pieces.factor[some])
    return stored, replace(pieces.take(some), factor=first), Activations(**columns, **ends)
