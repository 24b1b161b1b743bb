"""Earlier stages make room: runs of columns move to where a later stage has no use for what is free.

Towards the end of dealing the free columns lie on few arrays, while the stage at hand wants a few on many. Runs of
earlier stages on these move, whole or in part, to the free columns, if the stages that they belong to stay within
their time there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cimsolve.columns import Ints
from cimsolve.solve.columns.room import Durations, Room, Share
from cimsolve.solve.columns.strips import StripKind

ARRAYS_TRIED = 64
"""Arrays that are asked for room, for each run that needs some."""
RUNS_MAX = 500_000
"""With more runs of one height nothing is moved."""

Run = tuple[int, int, int, int, int]
"""Strip, first column, width, array, shelf."""
COLUMNS = ("strip", "first", "width", "array", "shelf")


@dataclass
class _Moving:
    """A run of the share numbered `owner`; `width` falls to 0 as it moves away."""

    owner: int
    strip: int
    first: int
    width: int


class Exchange:
    """The runs of one height: those already dealt, which may move, and those of the stage at hand."""

    def __init__(
        self,
        durations: Durations,
        room: Room,
        shares: Sequence[Share],
        load: Mapping[int, Ints],
        limit: Mapping[int, int],
        depth: int,
        effort: int,
    ) -> None:
        """Take `room`, which is used up, and `shares`, which are not changed.

        `load[q]`: cycles of stage q on every array, at most `limit[q]`; `depth`: how long a chain of moves may be;
        `effort`: how often a place for a run may be looked for.
        """
        self.durations, self.left, self.limit = durations, room.left, limit
        self.depth, self.effort = depth, effort
        self.shares = list(shares)
        self.load = dict(load)
        self.widest = room.widest.copy()
        owner = np.repeat(np.arange(len(shares)), [len(share.width) for share in shares])
        nothing = [np.zeros(0, dtype=np.int64)]
        columns = [np.concatenate([getattr(share, name) for share in shares] or nothing) for name in COLUMNS]
        self._table: Ints = np.stack([owner, *columns])
        lane = self._table[4] * self.left.shape[1] + self._table[5]
        self._order = np.argsort(lane, kind="stable")
        self._lane = lane[self._order]
        self._opened: dict[int, list[_Moving]] = {}
        self._allowed: dict[int, Ints] = {}

    def place(self, kind: StripKind, rests: list[tuple[int, int]], time_left: Ints) -> list[Run] | None:
        """Runs for `rests`, (columns, strip) each, on arrays with `time_left`; None where not all find room."""
        cycles_of = self.durations.of_columns[kind.height]
        found: list[Run] = []
        for columns, strip in sorted(rests, reverse=True):
            while columns:
                run = self._place_one(kind, strip, columns, time_left, whole=True)
                run = run or self._place_one(kind, strip, columns, time_left, whole=False)
                if run is None:
                    return None
                found.append(run)
                columns -= run[2]
                time_left[run[3]] -= cycles_of[run[2]]
        return found

    def settled(self) -> tuple[list[Share], dict[int, Ints]]:
        """All shares as they are now, and the load of every stage on every array."""
        kept = ~np.isin(self._lane, list(self._opened))
        shelves = self.left.shape[1]
        moved = [
            (run.owner, run.strip, run.first, run.width, *divmod(lane, shelves))
            for lane, runs in self._opened.items()
            for run in runs
            if run.width
        ]
        opened = np.array(moved, dtype=np.int64).reshape(-1, 6).T
        table = np.concatenate([self._table[:, self._order[kept]], opened], axis=1)
        table = table[:, np.argsort(table[0], kind="stable")]
        edges = np.searchsorted(table[0], np.arange(len(self.shares) + 1))
        shares = [
            replace(share, **dict(zip(COLUMNS, table[1:, low:high], strict=True)))
            for share, low, high in zip(self.shares, edges[:-1], edges[1:], strict=True)
        ]
        return shares, self.load

    def _place_one(self, kind: StripKind, strip: int, columns: int, time_left: Ints, whole: bool) -> Run | None:
        """A run of up to `columns` where the time allows it; with `whole` as many as it allows, or None."""
        able = np.minimum(self.durations.most_columns(kind.height, time_left), columns)
        order = np.lexsort((-self.widest, -able))
        for array in order[: min(ARRAYS_TRIED, int((able > 0).sum()))].tolist():
            wanted = int(able[array])
            for shelf in np.argsort(-self.left[array], kind="stable").tolist():
                self._clear(array, shelf, wanted, (kind.batch,), able, self.depth)
                width = min(wanted, int(self.left[array, shelf]))
                if width == wanted or (width and not whole):
                    self._fill(array, shelf, width)
                    return strip, kind.cols - columns, width, array, shelf
        return None

    def _clear(self, array: int, shelf: int, wanted: int, stay: tuple[int, ...], able: Ints, depth: int) -> None:
        """Move runs away until `wanted` columns of the shelf are free, or none can move; those of `stay` do not."""
        missing = wanted - int(self.left[array, shelf])
        if missing <= 0 or self.effort <= 0:
            return
        for run in sorted(self._runs(array, shelf), key=lambda run: -run.width):
            stage = self.shares[run.owner].kind.batch
            while stage not in stay and run.width and missing > 0 and self.effort > 0:
                target = self._target(array, stage, min(missing, run.width), stay, able, depth)
                if target is None:
                    break
                self._move(run, array, shelf, *target)
                missing -= target[2]

    def _target(
        self, array: int, stage: int, need: int, stay: tuple[int, ...], able: Ints, depth: int
    ) -> tuple[int, int, int] | None:
        """An array, its shelf, and how many columns of `stage` it takes: all that is needed if any can."""
        self.effort -= 1
        allowed = self._most_allowed(stage)
        takes = np.minimum(allowed, self.widest)
        takes[array] = 0
        most = min(need, int(takes.max()))
        if most < 1:
            return self._cleared_target(array, stage, need, stay, able, depth) if depth > 1 else None
        # Best an array that the stage at hand has no time on: what is free there is of no use to it.
        choice = np.flatnonzero(takes >= most)
        to = int(choice[np.argmin(able[choice])])
        left = self.left[to]
        return to, int(np.where(left >= most, left, np.iinfo(np.int64).max).argmin()), most

    def _cleared_target(
        self, array: int, stage: int, need: int, stay: tuple[int, ...], able: Ints, depth: int
    ) -> tuple[int, int, int] | None:
        """An array, its shelf, and how many columns of `stage` it takes once runs of other stages have moved away."""
        allowed = np.minimum(self._most_allowed(stage), need)
        allowed[array] = 0
        order = np.lexsort((able, -allowed))
        for to in order[: min(ARRAYS_TRIED, int((allowed > 0).sum()))].tolist():
            for shelf in range(self.left.shape[1]):
                self._clear(to, shelf, int(allowed[to]), (*stay, stage), able, depth - 1)
                if self.left[to, shelf]:
                    return to, shelf, min(int(allowed[to]), int(self.left[to, shelf]))
        return None

    def _most_allowed(self, stage: int) -> Ints:
        """Columns of one run that a stage has time for on every array."""
        if stage not in self._allowed:
            left = self.limit[stage] - self.load[stage]
            self._allowed[stage] = np.asarray(self.durations.most_columns(self.shares[0].kind.height, left))
        return self._allowed[stage]

    def _move(self, run: _Moving, array: int, shelf: int, to: int, to_shelf: int, width: int) -> None:
        """Take the last `width` columns off a run and put them there."""
        kind = self.shares[run.owner].kind
        cycles_of = self.durations.of_columns[kind.height]
        load = self.load[kind.batch] = self.load[kind.batch].copy()
        load[array] += cycles_of[run.width - width] - cycles_of[run.width]
        load[to] += cycles_of[width]
        left = self.limit[kind.batch] - load[[array, to]]
        self._most_allowed(kind.batch)[[array, to]] = self.durations.most_columns(kind.height, left)
        self._fill(array, shelf, -width)
        self._fill(to, to_shelf, width)
        run.width -= width
        self._runs(to, to_shelf).append(_Moving(run.owner, run.strip, run.first + run.width, width))

    def _fill(self, array: int, shelf: int, width: int) -> None:
        """Take so many free columns; give them back if `width` is negative."""
        self.left[array, shelf] -= width
        self.widest[array] = self.left[array].max()

    def _runs(self, array: int, shelf: int) -> list[_Moving]:
        """The runs on a shelf; changes to them last."""
        lane = array * self.left.shape[1] + shelf
        if lane not in self._opened:
            low, high = np.searchsorted(self._lane, (lane, lane + 1))
            owner, strip, first, width = self._table[:4, self._order[low:high]].tolist()
            self._opened[lane] = [_Moving(*run) for run in zip(owner, strip, first, width, strict=True)]
        return self._opened[lane]
