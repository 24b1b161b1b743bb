"""What may be chosen: the ways of storing each linear on arrays of a size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import TypeAlias

from cimsolve.chip.spec import Hardware
from cimsolve.model.model import Linear, Model
from cimsolve.model.structure import Structure

STEPS = 6
"""Steps of T, at least, between nothing and what a dense matrix takes."""
FINER = (8, 4, 2)
"""Parts of a step that T may be too, below the first one."""

Blocks: TypeAlias = tuple[int, int]
Menu: TypeAlias = Mapping[str, Sequence[Structure]]
"""Linear -> the ways of storing it."""


def menu_of(model: Model, hardware: Hardware, blocks: Sequence[Blocks] = ((1, 1),)) -> Menu:
    """The ways of storing each linear: dense, and factors of `blocks` (k, l) with fewer weights.

    T goes in steps whose columns fill the arrays': the largest divisor of their number that leaves `STEPS`.
    """
    return {linear.name: _choices(linear, hardware, blocks) for linear in model.linears}


def groups_of(model: Model) -> list[tuple[str, ...]]:
    """Linears that are stored alike: those at the same place in the experts of a step; all others alone."""
    groups: dict[tuple[str, int], list[str]] = {}
    for step in model.steps:
        places: dict[int | None, count[int]] = {}
        for linear in step.linears:
            place = next(places.setdefault(linear.expert, count()))
            key = (f"{step.name}.", place) if linear.expert is not None else (linear.name, -1)
            groups.setdefault(key, []).append(linear.name)
    return [tuple(names) for names in groups.values()]


def _choices(linear: Linear, hardware: Hardware, blocks: Sequence[Blocks]) -> list[Structure]:
    columns = hardware.weights_per_row
    found = [Structure.dense()]
    for k, across in blocks:
        if linear.n_in % k or linear.n_out % across:
            continue
        unit = Structure.monarch(k, across).stored_weights(linear.n_in, linear.n_out)
        most = min(linear.n_in // k, linear.n_out // across, linear.weights // unit)
        step = max((d for d in range(1, columns + 1) if columns % d == 0 and d * STEPS <= most), default=1)
        finer = {step // part for part in FINER if step % part == 0}
        ranks = sorted({*finer, *range(step, most + 1, step)})
        found += [Structure.monarch(k, across, rank) for rank in ranks if rank * unit < linear.weights]
    return found
