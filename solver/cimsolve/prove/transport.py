"""The least energy of a transport of weights to places with room for them, and time to read so many of each stage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cimsolve.columns import Floats, Ints
from cimsolve.pack.programs import solve_linear


@dataclass(frozen=True)
class Goods:
    """Weights to be carried, by factor; all have shape (factors,) but `times` and `most_columns`, (kinds,)."""

    amount: Floats
    bits: Floats
    """What one weight answers for."""
    height: Floats
    """Most weights of a column that is read."""
    kind: Ints
    """The kind of stage of each factor."""
    times: Floats
    """Stages of each kind."""
    most_columns: Floats
    """Columns of one stage that a core has time to read."""


def least_transport_pj(goods: Goods, way_pj: Floats, room: float) -> float:
    """The least of bits times the way of each weight, to places with `room` each; `way_pj` has shape (places,).

    A linear program over places at one distance, stages of one kind alike: mixing equals is no worse. Whatever prices
    its solver finds for room and for time, no transport costs less than all weights at their cheapest places at these
    prices, less what all room and time are worth; that is returned, so nothing rests on the solver's tolerances.
    """
    way, places = np.unique(way_pj, return_counts=True)
    factors, rings, kinds = len(goods.amount), len(way), len(goods.times)
    times = goods.times[goods.kind]
    # Rows: the room of each ring, the time of each kind in each ring, and the demand of each factor, as at least.
    takes = np.zeros((rings + kinds * rings + factors, factors, rings))
    ring = np.arange(rings)
    for factor, kind in enumerate(goods.kind.tolist()):
        takes[ring, factor, ring] = times[factor]
        takes[rings + kind * rings + ring, factor, ring] = 1 / goods.height[factor]
        takes[rings + kinds * rings + factor, factor] = -1
    limits = np.concatenate([room * places, np.outer(goods.most_columns, places).reshape(-1)])
    cost = (times * goods.bits)[:, None] * way
    found = solve_linear(cost.reshape(-1), takes.reshape(len(takes), -1), np.append(limits, -goods.amount))
    # None if the weights do not fit.
    prices = np.zeros(len(limits)) if found is None else np.maximum(0.0, found.prices[: len(limits)])
    cheapest = (cost + np.tensordot(prices, takes[: len(limits)], 1)).min(axis=1)
    return float(goods.amount @ cheapest - prices @ limits)
