"""Experts in each other's places: which of a stage lies where, by how often tokens choose it and with which others.

The experts of a stage are alike and stored alike, so each may take the places of any other, and no figure of the worst
choice changes. What changes is the mean: where experts that run together do not queue on one array a token is done
sooner, and where the most used lie on arrays with little else to do the busiest array works less.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cimsolve.columns import Floats, Ints, order_by
from cimsolve.price.firings import Fired
from cimsolve.price.mean import ROUTES, cycles_of_routes, pairs_of, routes_of, shares_of
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping

SEED = 1
"""Of the routes by which seats are chosen: others than those by which they are priced."""
TIMES_MAX = 1 << 24
"""Pairs of experts times arrays: in a stage of more it is not looked at how long each two take together."""
SHARPNESS = 60.0
"""How much more a busy array counts: by `exp` of so many times the share of the busiest one's work that it has more."""
PASSES = 3
"""So often is every stage dealt again, for the work of the others as it then is."""


def seat_experts(problem: Problem, mapping: Mapping, for_latency: bool) -> Mapping:
    """`mapping` with the experts of each stage in each other's places, for the mean over the routing.

    With `for_latency` a stage whose time depends on who runs is dealt for its mean time, where stages follow each other
    one by one; all others for the busiest array.
    """
    fired = Fired.of(problem, mapping.pieces, mapping.activation_of_piece())
    seats = _seats_of(fired)
    busy = np.zeros(int(fired.array.max()) + 1, dtype=np.int64)
    for each in seats:
        each.is_free = not (for_latency and problem.workload.is_chain) or not each.end_sooner(busy)
    alone = fired.expert < 0
    load: Floats = np.bincount(fired.array[alone], weights=fired.cycles[alone], minlength=len(busy)).astype(np.float64)
    for each in seats:
        each.add_to(load)
    for _ in range(PASSES):
        for each in (each for each in seats if each.is_free):
            each.add_to(load, -1.0)
            price = each.priced(np.exp(SHARPNESS * (load / max(1.0, load.max()) - 1.0)))
            # Share times price adds up to least where the most used have the least price.
            each.expert = _most_used_where_least(each.share, price)
            each.add_to(load)
    factor = np.arange(len(problem.workload.factors))
    for each in seats:
        factor[each.factors] = each.factors[each.expert]
    return replace(mapping, pieces=replace(mapping.pieces, factor=factor[mapping.pieces.factor]))


@dataclass
class _Seats:
    """Where the experts of a stage lie, by the number of the one that lay there; `expert` is the one that now does."""

    expert: Ints
    """Shape (stored,)."""
    share: Floats
    """Of each expert; `together`: of each two, shape (stored, stored)."""
    together: Floats
    routes: Ints
    factors: Ints
    """Of each expert, shape (stored, factors)."""
    seat: Ints
    """Of each activation, sorted; -1: every token fires it. Shape (activations,), as its `array` and `cycles`."""
    array: Ints
    cycles: Ints
    is_free: bool = True

    def add_to(self, load: Floats, sign: float = 1.0) -> None:
        """Add to `load` of every array, or take away, what the experts make it work in the mean."""
        own = slice(np.searchsorted(self.seat, 0), None)
        np.add.at(load, self.array[own], sign * self.share[self.expert][self.seat[own]] * self.cycles[own])

    def priced(self, weight: Floats) -> Floats:
        """The cycles of each seat, each as much as its array has `weight`."""
        own = slice(np.searchsorted(self.seat, 0), None)
        cycles = self.cycles[own] * weight[self.array[own]]
        return np.bincount(self.seat[own], weights=cycles, minlength=len(self.expert)).astype(np.float64)

    def end_sooner(self, busy: Ints) -> bool:
        """Take the seats in which the stage ends soonest over the routes; False where they do not matter."""
        alone = [int(self._busiest(np.array([[seat]]), busy)[0]) for seat in range(len(self.expert))]
        ways = [self.expert, _most_used_where_least(self.share, np.array(alone, dtype=np.float64))]
        if (times := self._times_together()) is not None:
            ways += [_put_apart(times, self.together, start) for start in ways]
        known = [self._cycles(expert, busy) for expert in ways]
        best = min(range(len(ways)), key=lambda way: int(known[way].sum()))
        self.expert = ways[best]
        return bool(best > 0 or known[0].min() < known[0].max())

    def _cycles(self, expert: Ints, busy: Ints) -> Ints:
        """How long each route takes if those experts sit there."""
        return self._busiest(np.argsort(expert)[self.routes], busy)

    def _busiest(self, seats: Ints, busy: Ints) -> Ints:
        return cycles_of_routes(self.seat, self.array, self.cycles, seats, busy)

    def _times_together(self) -> Ints | None:
        """How long each two seats take if both are fired, shape (stored, stored).

        None where a token fires one alone, and where it is too much work.
        """
        arrays, at = np.unique(self.array, return_inverse=True)
        count = len(self.expert)
        if self.routes.shape[1] < 2 or count**2 * len(arrays) > TIMES_MAX:
            return None
        work = np.zeros((count + 1, len(arrays)), dtype=np.int64)
        np.add.at(work, (self.seat, at), self.cycles)  # what always fires is last
        return np.array([(work[:-1] + mine + work[-1]).max(axis=1) for mine in work[:-1]])


def _seats_of(fired: Fired) -> list[_Seats]:
    """The seats of every stage with experts, taken as they lie."""
    problem = fired.problem
    table, stages = problem.table, problem.workload.stages
    shares, pairs, routes = shares_of(problem), pairs_of(problem), routes_of(problem, ROUTES, SEED)
    order = order_by(fired.stage, fired.expert + 1)
    edges = np.searchsorted(fired.stage[order], np.arange(len(stages) + 1))
    found = []
    for stage in stages:
        if stage.choice is None:
            continue
        share, counted = shares[stage.choice], pairs[stage.choice]
        own = order[edges[stage.id] : edges[stage.id + 1]]
        factors = np.array(problem.workload.factors_of_stage[stage.id])
        factors = factors[table.expert[factors] >= 0]
        found.append(
            _Seats(
                np.arange(len(share)),
                share,
                np.outer(share, share) if counted is None else counted,
                routes[stage.choice],
                factors[np.argsort(table.expert[factors], kind="stable")].reshape(len(share), -1),
                fired.expert[own],
                fired.array[own],
                fired.cycles[own],
            )
        )
    return found


def _most_used_where_least(share: Floats, price: Floats) -> Ints:
    """The expert of each seat, the most used where the price is least."""
    expert = np.empty(len(share), dtype=np.int64)
    expert[np.argsort(price, kind="stable")] = np.argsort(-share, kind="stable")
    return expert


def _put_apart(times: Ints, together: Floats, expert: Ints) -> Ints:
    """The expert of each seat such that those that run together take little: a quadratic assignment.

    From `expert` on the best exchange of two is made, again and again, until none is better.
    """
    off = ~np.eye(len(times), dtype=bool)
    taken, together, expert = times * off, together * off, expert.copy()
    least = 1e-9 * float(taken.max() * together.sum())
    while True:
        now = together[np.ix_(expert, expert)]
        meets = taken @ now
        own = np.diag(meets)
        gain = meets + meets.T - own[:, None] - own + 2.0 * taken * now
        one, other = np.unravel_index(int(gain.argmin()), gain.shape)
        if gain[one, other] >= -least:
            return expert
        expert[[one, other]] = expert[[other, one]]
