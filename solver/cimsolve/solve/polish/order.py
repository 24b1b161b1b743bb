"""In which order stages that may overlap take arrays and shared units: windows of a job-shop problem, by CP-SAT.

Where the model is no chain, a stage is a gap on the shared units, one at a time, then a job on each of its arrays.
Arrays that do the same work for every stage are one machine. One order serves them all, as in the schedule. It is
solved anew window by window: what came before stands, what comes after counts by its longest path. A window has as
many stages as its decisions allow; of a small model it is the whole, and the order found is then the best there is,
if time lasts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import isqrt

import numpy as np

from cimsolve.columns import Ints
from cimsolve.price.firings import Fired
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping

ALL_TIME = 10.0
"""Deterministic time of all windows together."""
CONFLICTS_MAX = 20_000
"""Pairs of stages times machines in one window."""
STAGES_MAX = 60
"""Stages in one window."""
WINDOW_TIME = 2.0
"""Deterministic time of one window, in CP-SAT's units (about seconds)."""


def order_stages(problem: Problem, mapping: Mapping, seed: int, workers: int) -> Mapping:
    """`mapping` with the order of stages that is found to end first; itself where stages form a chain."""
    if problem.workload.is_chain:
        return mapping
    shop = Shop.of(problem, mapping)
    given = list(range(len(shop.after))) if mapping.order is None else mapping.order.tolist()
    best = min((given, shop.longest_tail_first()), key=shop.end)
    window = max(2, min(STAGES_MAX, isqrt(2 * CONFLICTS_MAX // (1 + shop.busy.shape[1]))))
    spent = 0.0
    for first in range(0, len(best), max(1, window // 2)):
        found, time = _solve(shop, best, first, min(len(best), first + window), seed, workers)
        best, spent = min((best, found), key=shop.end), spent + time
        if first + window >= len(best) or spent > ALL_TIME:
            break
    return replace(mapping, order=np.array(best, dtype=np.int64))


@dataclass(frozen=True)
class Shop:
    """What each stage needs: shape (stages,), and `busy` (stages, machines), all in cycles."""

    after: list[tuple[int, ...]]
    gap: list[int]
    busy: Ints
    tail: list[int]
    """Longest path from the end of a stage to that of the pass."""

    @staticmethod
    def of(problem: Problem, mapping: Mapping) -> Shop:
        fired = Fired.of(problem, mapping.pieces, mapping.activation_of_piece())
        after = [each.after for each in problem.workload.stages]
        busy = np.zeros((len(after), int(fired.array.max()) + 1), dtype=np.int64)
        stage, array, cycles = fired.jobs(fired.array, fired.cycles)
        np.add.at(busy, (stage, array), cycles)
        busy = np.unique(busy, axis=1)
        gap = fired.gaps.before_cycles.tolist()
        tail = [0] * len(after)
        for number in reversed(range(len(after))):
            for before in after[number]:
                tail[before] = max(tail[before], gap[number] + int(busy[number].max()) + tail[number])
        return Shop(after, gap, busy[:, busy.any(axis=0)], tail)

    def longest_tail_first(self) -> list[int]:
        """List scheduling: of the stages that have all they read, the one before the longest path."""
        order: list[int] = []
        left = set(range(len(self.after)))
        while left:
            ready = [number for number in left if left.isdisjoint(self.after[number])]
            chosen = min(ready, key=lambda number: (-self.tail[number] - int(self.busy[number].max()), number))
            order.append(chosen)
            left.remove(chosen)
        return order

    def run(self, order: Sequence[int]) -> tuple[dict[int, int], Ints, int]:
        """End of each stage, and from when the machines and the shared units are free; as `schedule` does."""
        ended: dict[int, int] = {}
        free = np.zeros(self.busy.shape[1], dtype=np.int64)
        shared = 0
        for number in order:
            ready = max((ended[before] for before in self.after[number]), default=0)
            if self.gap[number]:
                shared = ready = max(ready, shared) + self.gap[number]
            mine = self.busy[number] > 0
            free[mine] = np.maximum(free[mine], ready) + self.busy[number, mine]
            ended[number] = int(free[mine].max())
        return ended, free, shared

    def end(self, order: Sequence[int]) -> int:
        """The cycle in which a token's pass ends if stages are served in this order."""
        return max(self.run(order)[0].values())


def _solve(shop: Shop, order: list[int], first: int, last: int, seed: int, workers: int) -> tuple[list[int], float]:
    """`order` with its places `first ... last - 1` dealt out anew, and the deterministic time it took."""
    # CP-SAT takes long to load and most models are chains.
    from cimsolve.solve.cp_sat import cp_model, make_solver

    ended, free, shared = shop.run(order[:first])
    horizon = shop.end(order)
    model = cp_model.CpModel()
    window = order[first:last]
    machines = {number: np.flatnonzero(shop.busy[number]).tolist() for number in window}
    rank = {number: model.new_int_var(0, len(window) - 1, "") for number in window}
    began = {number: model.new_int_var(shared if shop.gap[number] else 0, horizon, "") for number in window}
    ends = {number: model.new_int_var(0, horizon, "") for number in window}
    starts = {
        (number, machine): model.new_int_var(int(free[machine]), horizon, "")
        for number in window
        for machine in machines[number]
    }
    makespan = model.new_int_var(0, 2 * horizon, "")
    for place, number in enumerate(window):
        model.add_hint(rank[number], place)
        for before in shop.after[number]:
            model.add(began[number] >= (ends[before] if before in ends else ended[before]))
            if before in rank:
                model.add(rank[number] > rank[before])
        for machine in machines[number]:
            model.add(starts[number, machine] >= began[number] + shop.gap[number])
            model.add(ends[number] >= starts[number, machine] + int(shop.busy[number, machine]))
        model.add(makespan >= ends[number] + shop.tail[number])
    for one, other in combinations(window, 2):
        shared_machines = set(machines[one]) & set(machines[other])
        share_gaps = shop.gap[one] and shop.gap[other]
        if shared_machines or share_gaps:
            one_first = model.new_bool_var("")
            for before, after, holds in ((one, other, one_first), (other, one, one_first.negated())):
                model.add(rank[before] < rank[after]).only_enforce_if(holds)
                if share_gaps:
                    model.add(began[after] >= began[before] + shop.gap[before]).only_enforce_if(holds)
                for machine in sorted(shared_machines):
                    done = starts[before, machine] + int(shop.busy[before, machine])
                    model.add(starts[after, machine] >= done).only_enforce_if(holds)
    model.minimize(makespan)
    solver = make_solver(WINDOW_TIME, workers, seed)
    if solver.solve(model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return order, solver.deterministic_time
    inner = sorted(window, key=lambda number: solver.value(rank[number]))
    return [*order[:first], *inner, *order[last:]], solver.deterministic_time
