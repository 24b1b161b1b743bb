"""What a token fires of the experts of a stage: at most, whichever it chooses. docs/formulation.md, section "Experts".

Which experts a token chooses is not known when a model is mapped, so what they take is that of the worst choice. It is
exact for a stage on every array: no choice takes longer, and one takes as long, as the largest over arrays of the
largest over choices is the largest over choices of that over arrays.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cimsolve.columns import Bools, Floats, Ints, order_by, running_offsets, sum_by


class _Ranked(NamedTuple):
    """What the experts of each job take; shape (units,), sorted by job, those that take most first."""

    unit_of_entry: Ints
    """The unit of each entry that was given; shape (entries,)."""
    job: Ints
    taken: Ints
    rank: Ints
    """Number of each within its job."""


def sum_at_most(job: Ints, expert: Ints, values: Ints, chosen: Ints) -> Ints:
    """Sum of `values` of each job in the worst case: what always fires, and as many experts as `chosen` of the most.

    `job`, `expert` (-1: always) and `values` have shape (entries,), `chosen` and the result (jobs,).
    """
    is_of_expert = expert >= 0
    if not is_of_expert.any():
        return sum_by(job, values, len(chosen))
    total = sum_by(job[~is_of_expert], values[~is_of_expert], len(chosen))
    ranked = _rank(job[is_of_expert], expert[is_of_expert], values[is_of_expert])
    counted = ranked.rank < chosen[ranked.job]
    return total + sum_by(ranked.job[counted], ranked.taken[counted], len(chosen))


def fires_at_most(job: Ints, expert: Ints, values: Ints, chosen: Ints) -> Bools:
    """Which entries the worst choice of each job fires: those that `sum_at_most` adds; shape (entries,)."""
    found = expert < 0
    own = np.flatnonzero(~found)
    if len(own):
        ranked = _rank(job[own], expert[own], values[own])
        found[own] = (ranked.rank < chosen[ranked.job])[ranked.unit_of_entry]
    return found


def offsets_at_most(job: Ints, expert: Ints, cycles: Ints, chosen: Ints) -> Ints:
    """When each activation starts within its job, so that the last ends when the worst choice does; (activations,).

    `job`, an array in a stage, must be sorted, and what always fires comes first in each. Experts follow, the longest
    first, as many one after the other as a token fires; all others begin with the last of these, which is no shorter.
    """
    if not (expert >= 0).any():
        return running_offsets(job, cycles)
    start = np.zeros(len(job), dtype=np.int64)
    always, own = np.flatnonzero(expert < 0), np.flatnonzero(expert >= 0)
    start[always] = running_offsets(job[always], cycles[always])
    before = sum_by(job[always], cycles[always], len(chosen))
    ranked = _rank(job[own], expert[own], cycles[own])
    # What is beyond those chosen takes no room of its own.
    in_turn = np.where(ranked.rank < chosen[ranked.job] - 1, ranked.taken, 0)
    begins = before[ranked.job] + running_offsets(ranked.job, in_turn)
    unit = ranked.unit_of_entry
    by_unit = order_by(unit)
    within = np.empty(len(own), dtype=np.int64)
    within[by_unit] = running_offsets(unit[by_unit], cycles[own][by_unit])
    start[own] = begins[unit] + within
    return start


def costliest(stage: Ints, expert: Ints, values: Floats, chosen: Ints) -> Bools | slice:
    """Which entries a token fires that chooses in every stage the experts of the most `values`; shape (entries,).

    `chosen` has shape (stages,). Of equal experts those of lower number.
    """
    own = np.flatnonzero(expert >= 0)
    if not len(own):
        return slice(None)
    span = int(expert.max()) + 1
    unit = stage[own] * span + expert[own]
    total = np.bincount(unit, weights=values[own], minlength=len(chosen) * span).reshape(len(chosen), span)
    rank = np.empty(total.shape, dtype=np.int64)
    np.put_along_axis(rank, np.argsort(-total, axis=1, kind="stable"), np.arange(span)[None], axis=1)
    found = np.ones(len(expert), dtype=bool)
    found[own] = (rank < chosen[:, None]).reshape(-1)[unit]
    return found


def _rank(job: Ints, expert: Ints, values: Ints) -> _Ranked:
    by_unit = order_by(job, expert)
    job, expert = job[by_unit], expert[by_unit]
    begins = np.append(True, (np.diff(job) != 0) | (np.diff(expert) != 0))
    first = np.flatnonzero(begins)
    owner, taken = job[first], np.add.reduceat(values[by_unit].astype(np.int64, copy=False), first)
    order = order_by(owner, taken.max() - taken)
    place = np.empty(len(first), dtype=np.int64)
    place[order] = np.arange(len(first))
    unit = np.empty(len(job), dtype=np.int64)
    unit[by_unit] = place[np.cumsum(begins) - 1]
    owner = owner[order]
    return _Ranked(unit, owner, taken[order], running_offsets(owner, np.ones(len(owner), dtype=np.int64)))
