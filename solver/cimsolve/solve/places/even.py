"""Cores that change sides of the hub, until no stage has much more behind one of its links than behind another."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from cimsolve.columns import Floats, Ints

SWEEPS_MAX = 20
WORK_MAX = 2 * 10**8
"""Most pairs of cores times stages that are looked at in a sweep."""


def evened(bits: Floats, side: Ints) -> Ints:
    """Which core goes to the place of each; shape (cores,).

    `bits`, shape (cores, stages): what a core has to send and receive in each stage; `side`, shape (cores,): the side
    that the place of each is on, below 0 for places that no link leads to. Pairs of cores change places as long as the
    sum over the stages of the most loaded side's bits falls.
    """
    cores, stages = bits.shape
    found = np.arange(cores)
    if cores * cores * stages > WORK_MAX:
        return found
    sides = [np.flatnonzero(side == each) for each in np.unique(side).tolist()]
    counted = [int(side[members[0]]) >= 0 for members in sides]
    load = np.array([bits[members].sum(axis=0) * counts for members, counts in zip(sides, counted, strict=True)])
    for _ in range(SWEEPS_MAX):
        changed = False
        for a, b in combinations(range(len(sides)), 2):
            others = np.delete(load, (a, b), axis=0).max(axis=0, initial=0.0)
            # Core j comes to side a in the place of core i.
            gained = bits[found[sides[b]]][None, :, :] - bits[found[sides[a]]][:, None, :]
            worst = np.maximum(load[a] + gained * counted[a], load[b] - gained * counted[b])
            cost = np.maximum(worst, others).sum(axis=2)
            now = np.maximum(np.maximum(load[a], load[b]), others).sum()
            best = int(cost.argmin())
            if cost.flat[best] < now * (1 - 1e-9):
                i, j = np.unravel_index(best, cost.shape)
                load[a] += gained[i, j] * counted[a]
                load[b] -= gained[i, j] * counted[b]
                at, to = sides[a][i], sides[b][j]
                found[at], found[to] = found[to], found[at]
                changed = True
        if not changed:
            break
    return found
