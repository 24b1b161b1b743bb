"""Blocks placed such that inputs fire together: groups are chosen, packed, then dealt.

Which groups pay is a knapsack: every stage has a choice of times, the faster the more cells it keeps empty, and the
arrays have so many to spare. Arrays are packed as alike as can be, so that every stage finds its groups on all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cimsolve.columns import Ints
from cimsolve.pack.guillotine import Pattern
from cimsolve.pack.hollow import Place, Size, cover_pairs
from cimsolve.pack.one_array import STACKS_MAX, Content, pack_one
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping, Pieces
from cimsolve.solve.columns.strips import StripKind
from cimsolve.solve.groups.form import Band, Group, Grouping, groupings
from cimsolve.solve.rules.spread import deal_slots

SHARES = (*(4 * 0.92**step for step in range(50)), 0.0)
"""Cells that groups would keep empty if packed apart, as shares of those to spare."""
MORE = 5
"""So many faster ways are tried beyond what bisection finds."""
ORDERS = (10, 4, 1)
"""Largest grids of pairs that are tried: they waste less, and fit worse."""
EFFORT, WEIGHTS = 500, 64
"""Columns of integer programs, a millisecond or two each, after which arrays are packed on shelves alone: so many, and
one for so many weights stored. No one program has more."""

Shape = tuple[Size, ...]
"""The bands of a group, the largest first."""
Slots = list[list[tuple[Place, ...]]]
"""For each shape the slots of an array: where each band lies."""


class GroupSpread:
    """Groupings of all lots of strips on so many arrays: what of a stage may fire together is one."""

    def __init__(self, problem: Problem, lots: list[list[StripKind]], arrays: int, cut: bool) -> None:
        self.problem, self.lots, self.arrays, self.cut = problem, lots, arrays, cut
        self.effort_left = EFFORT + problem.workload.weight_count // WEIGHTS
        """In columns of integer programs; a content counts once."""
        self._columns_max = min(STACKS_MAX, self.effort_left)
        self._packed: dict[Content, Pattern | None] = {}

    @cached_property
    def choices(self) -> list[list[Grouping]]:
        """For each lot what `groupings` finds."""
        known: dict[tuple[tuple[int, int, tuple[int, ...]], ...], list[Grouping]] = {}
        found: list[list[Grouping]] = []
        for kinds in self.lots:
            key = tuple((kind.height, kind.count, kind.edges) for kind in kinds)
            if key not in known:
                known[key] = groupings(self.problem, kinds, self.arrays, self.cut)
            found.append(known[key])
        return found

    def find(self) -> Mapping | None:
        """The fastest groups for which a packing is found, dealt; None where there are none."""
        if not all(self.choices):
            return None
        spare = self.arrays * self.problem.rows * self.problem.weights_per_row - self.problem.weight_cells
        ways = [choose(self.choices, int(share * spare)) for share in SHARES]
        ways = [way for number, way in enumerate(ways) if way not in ways[:number]]
        # Bisection finds one that fits; as packing is no monotone matter, the next faster ones are tried too.
        best, low, high = None, 0, len(ways)
        missed: set[int] = set()
        while low < high:
            middle = (low + high) // 2
            mapping = self._placed(ways[middle])
            if mapping is None:
                missed.add(middle)
                low = middle + 1
            else:
                best, high = mapping, middle
        for number in [each for each in reversed(range(high)) if each not in missed][:MORE]:
            best = self._placed(ways[number]) or best
        return best

    def _placed(self, chosen: list[Grouping]) -> Mapping | None:
        lot = np.repeat(np.arange(len(chosen)), [len(each.groups) for each in chosen])
        groups = [group for each in chosen for group in each.groups]
        found: dict[Shape, int] = {}
        shape = np.array([found.setdefault(_shape(group), len(found)) for group in groups], dtype=np.int64)
        cycles = np.zeros(len(found), dtype=np.int64)
        cycles[shape] = [group.cycles for group in groups]
        shapes = list(found)
        cells = np.array([sum(rows * cols for rows, cols in each) for each in shapes])
        contents, content = np.unique(even_shares(cells, np.bincount(shape), self.arrays), axis=0, return_inverse=True)
        layouts: dict[int, Slots] = {}
        for number in np.argsort(-(contents @ cells), kind="stable").tolist():
            layout = self._array(shapes, contents[number])
            if layout is None:
                return None
            layouts[number] = layout
        slots = [layouts[number] for number in content.reshape(-1).tolist()]
        free = np.array([[len(places) for places in each] for each in slots])
        array, slot = deal_slots(free, lot, shape, cycles)
        lines: list[tuple[int, ...]] = []
        for number, group in enumerate(groups):
            places = slots[int(array[number])][int(shape[number])][int(slot[number])]
            kinds = self.lots[int(lot[number])]
            for (_, band), place in zip(group.ordered(), places, strict=True):
                lines += [(*piece, number) for piece in _pieces(kinds[band.kind], band, int(array[number]), place)]
        columns = np.array(lines, dtype=np.int64).T
        return Mapping(Pieces(*columns[:-1]), columns[-1])

    def _array(self, shapes: list[Shape], content: Ints) -> Slots | None:
        """Slots of an array for so many groups of each shape, or None where no packing is found."""
        rows, cols = self.problem.rows, self.problem.weights_per_row
        slots: Slots = [[] for _ in shapes]
        if not content.any():
            return slots
        for order in ORDERS:
            boxes = [
                box
                for shape, count in enumerate(content.tolist())
                for box in _boxes(shapes[shape], shape, count, rows, cols, order)
            ]
            sizes, kind, counts = np.unique(
                [box.size for box in boxes], axis=0, return_inverse=True, return_counts=True
            )
            wanted = tuple((*size, count) for size, count in zip(sizes.tolist(), counts.tolist(), strict=True))
            pattern = self._pack(wanted)
            if pattern is not None:
                break
        else:
            return None
        corners = [
            list(zip(pattern.row[mine].tolist(), pattern.col[mine].tolist(), strict=True))
            for mine in (pattern.type == each for each in range(len(sizes)))
        ]
        for box, each in zip(boxes, kind.reshape(-1).tolist(), strict=True):
            top, left = corners[each].pop()
            slots[box.shape] += [tuple((top + row, left + col) for row, col in places) for places in box.groups]
        return slots

    def _pack(self, content: Content) -> Pattern | None:
        """One array packed, by programs while there is effort left."""
        if content not in self._packed:
            rows, cols = self.problem.rows, self.problem.weights_per_row
            packed = pack_one(content, rows, cols, self._columns_max if self.effort_left > 0 else 0)
            self.effort_left -= packed.effort
            self._packed[content] = packed.pattern
        return self._packed[content]


@dataclass(frozen=True)
class _Box:
    """A rectangle for groups of one shape, the number of that shape, and where the bands of each group lie in it."""

    size: Size
    shape: int
    groups: tuple[tuple[Place, ...], ...]


def _boxes(shape: Shape, number: int, count: int, rows: int, cols: int, order: int) -> list[_Box]:
    """Rectangles for `count` groups; pairs in grids of order `order` at most."""
    if len(shape) == 2:
        return [_Box(grid.size, number, grid.pairs) for grid in cover_pairs(*shape, count, rows, cols, order)]
    places, bottom, right = [], 0, 0
    for height, width in shape:
        places.append((bottom, right))
        bottom, right = bottom + height, right + width
    return [_Box((bottom, right), number, (tuple(places),))] * count


def _shape(group: Group) -> Shape:
    return tuple((height, band.end - band.start) for height, band in group.ordered())


def _pieces(kind: StripKind, band: Band, array: int, place: Place) -> Iterator[tuple[int, ...]]:
    """The columns of `Pieces` for each block that the band reads."""
    factors, block = kind.blocks_of(np.array([band.number]))
    for factor, first, end in zip(factors[:, 0].tolist(), kind.edges, kind.edges[1:], strict=False):
        low, high = max(first, band.start), min(end, band.end)
        if low < high:
            part = (factor, int(block[0]), kind.row0, kind.height, low - first, high - low)
            yield (*part, array, place[0], place[1] + low - band.start)


def even_shares(cells: Ints, counts: Ints, arrays: int) -> Ints:
    """Groups of each shape, `cells[t]` large, on each array: all as alike as can be; shape (arrays, shapes).

    What is left over goes to the arrays with most room, the largest first.
    """
    share = np.tile(counts // arrays, (arrays, 1))
    filled = share @ cells
    for shape in np.argsort(-cells, kind="stable").tolist():
        more = np.argsort(filled, kind="stable")[: counts[shape] % arrays]
        share[more, shape] += 1
        filled[more] += cells[shape]
    return share


def choose(choices: list[list[Grouping]], budget: int) -> list[Grouping]:
    """One grouping of each stage, with `budget` empty cells in all, such that the times add up to little.

    Steps along each stage's convex hull, those that save most for their cells first (Sinha and Zoltners 1979).
    """
    level = [0] * len(choices)
    spent = sum(choice[0].waste for choice in choices)
    for _, number, before, after in sorted(
        step for stage, choice in enumerate(choices) for step in _steps(stage, choice)
    ):
        waste = choices[number][after].waste - choices[number][before].waste
        if level[number] == before and spent + waste <= budget:
            level[number] = after
            spent += waste
    return [choice[number] for choice, number in zip(choices, level, strict=True)]


def _steps(stage: int, choice: list[Grouping]) -> Iterator[tuple[float, int, int, int]]:
    """(cells for each cycle saved, stage, from, to) along the lower hull."""
    here = 0
    while here + 1 < len(choice):
        best = min(
            ((other.waste - choice[here].waste) / (choice[here].cycles - other.cycles), stage, here, at)
            for at, other in enumerate(choice[here + 1 :], start=here + 1)
        )
        yield best
        here = best[3]
