"""Columns cut and spread over a given number of arrays: layout of shelves, dealing, and dealing again with effort."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from collections.abc import Mapping as MappingABC
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from cimsolve.columns import Ints
from cimsolve.pack.columns import ColumnPacking, Shelves, balanced_layout, widen_shelves
from cimsolve.price.cost import evaluate
from cimsolve.price.schedule import schedule
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping
from cimsolve.prove.time import least_stage_cycles
from cimsolve.solve.columns.batches import Batch, batches_of
from cimsolve.solve.columns.by_phase import PhaseDealer
from cimsolve.solve.columns.deal import Goal, deal_strips
from cimsolve.solve.columns.lay_out import lay_out, map_as_dealt
from cimsolve.solve.columns.room import (
    Room,
    Share,
    in_few_pieces,
    most_columns_an_array,
    piece_widths,
)
from cimsolve.solve.columns.strips import StripKind
from cimsolve.solve.effort import Event

LAYOUTS = ("stepped", "few wide", "even")
"""How the columns of an array are shared out: in runs of the pieces' width; few patterns, with wide runs; evenly."""
PHASE_LAYOUTS = ("whole", "few wide", "stepped")
"""Those for phases dealt as one; `whole`: in runs as wide as the narrowest strip."""
ROUNDS = 3
"""So often are stages dealt again, those that were late before the others."""
EFFORT = 40_000_000
"""Arrays looked at in each round for runs that make room; at most a thousandth as many places are looked for."""


@dataclass
class ColumnSpread:
    """One cut into strips and its packing, on so many arrays."""

    problem: Problem
    stages: list[list[StripKind]]
    packing: ColumnPacking
    arrays: int
    listen: Callable[[Event], None]
    _shelves: dict[str, Shelves] = field(default_factory=dict, init=False)
    _batches: list[Batch] = field(init=False)
    _last: tuple[object, list[Share]] = field(default=(None, []), init=False)
    """The deal before: where arrays have one shelf a height, dealing by shelf is dealing by array."""

    def __post_init__(self) -> None:
        """Find the batches, which depend on the arrays."""
        self._batches = in_few_pieces(self.problem, batches_of(self.problem, self.stages, self.arrays))

    def repeats(self, layout: str) -> bool:
        """Whether an earlier one of LAYOUTS has the same shelves."""
        mine = vars(self.shelves(layout))
        before = [vars(self.shelves(earlier)) for earlier in LAYOUTS[: LAYOUTS.index(layout)]]
        return any(all(np.array_equal(mine[name], other[name]) for name in mine) for other in before)

    def find(self, layout: str, by_shelf: bool, goal: Goal) -> Mapping:
        """Every stage dealt once, and no run moved again."""
        return self._deal(layout, by_shelf, goal, 0, {})

    @property
    def fires_once(self) -> bool:
        """Whether a pass fires all that is stored, once: then what arrays do of a phase can be planned as one."""
        return all(batch.fired == batch.positions == 1 for batch in self._batches)

    def fill_phases(self, layout: str) -> Mapping:
        """Every phase dealt as one, in the least time in which arrays can do it; the last fills the gaps."""
        shelves = self.shelves(layout)
        room = {height: Room.of(shelves, height, self.arrays).joined() for height in np.unique(shelves.height).tolist()}
        dealer = PhaseDealer(self.problem, self._batches, self.arrays)
        shares: list[Share] = []
        *phases, last = dealer.in_turn()
        for done, phase in enumerate(phases):
            shares += dealer.deal(phase, room)
            self._listen(done + 1, len(phases))
        return lay_out(self.problem, shares, shelves, partial(dealer.deal_last, last))

    def refine(self, layout: str, by_shelf: bool, goal: Goal) -> Mapping:
        """Dealt several times, earlier stages making room; what was late comes earlier next time. The fastest."""
        least = np.array(least_stage_cycles(self.problem, self.arrays))
        urgency: Counter[int] = Counter()
        found: list[tuple[int, Mapping]] = []
        for _ in range(ROUNDS):
            mapping = self._deal(layout, by_shelf, goal, EFFORT // max(1000, self.arrays), urgency)
            costs = evaluate(*schedule(self.problem, mapping))
            found.append((int(costs.metrics["latency_cycles"]), mapping))
            late = np.flatnonzero(costs.stages.end - costs.stages.start > least)
            if not len(late) or found[-1][0] > min(latency for latency, _ in found):
                break
            urgency.update(late.tolist())
        return min(found, key=lambda each: each[0])[1]

    def shelves(self, layout: str) -> Shelves:
        """The shelves of a layout, by its name."""
        if layout not in self._shelves:
            packing = self.packing
            widths = piece_widths(self.problem, self._batches, packing.heights)
            if layout == "few wide":
                most = most_columns_an_array(self.problem, self._batches, packing.heights)
                packing = widen_shelves(packing, self.arrays, widths, most)
            if layout == "whole":
                widths = self._narrowest(packing.heights)
            steps = np.where(packing.strips > 0, widths, 1).max(axis=1) if layout != "even" else None
            self._shelves[layout] = balanced_layout(packing, self.arrays, steps=steps)
        return self._shelves[layout]

    def _narrowest(self, heights: Ints) -> Ints:
        """Columns of the narrowest strip of each height."""
        kinds = [kind for batch in self._batches for kind in batch.kinds]
        return np.array([min(kind.cols for kind in kinds if kind.height == height) for height in heights.tolist()])

    def _deal(self, layout: str, by_shelf: bool, goal: Goal, effort: int, urgency: MappingABC[int, int]) -> Mapping:
        shelves = self.shelves(layout)
        room = {height: Room.of(shelves, height, self.arrays) for height in np.unique(shelves.height).tolist()}
        # Dealing by whole arrays sees no shelves, and leaves fewer slivers where pieces are small.
        seen = room if by_shelf else {height: here.joined() for height, here in room.items()}
        widths = [(height, here.left.shape, here.left.tobytes()) for height, here in seen.items()]
        asked = (goal, effort, sorted(urgency.items()), widths)
        if asked != self._last[0]:
            shares = deal_strips(self.problem, self._batches, seen, self.arrays, goal, self._listen, effort, urgency)
            self._last = asked, shares
        shares = self._last[1]
        return map_as_dealt(self.problem, shares, room) if by_shelf else lay_out(self.problem, shares, shelves)

    def _listen(self, done: int, total: int) -> None:
        self.listen(Event(f"{self.arrays} arrays: stages dealt {done}/{total}", "arrays", self.arrays))
