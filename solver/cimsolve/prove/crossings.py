"""What merges cost in empty cells, over all stages at once: the cells in which what fires together crosses.

An activation that drives D rows and reads W columns finds every cell of both fired or empty (S3). So a column in which
it fires h cells has D - h empty ones at least, and in a pass it fires each cell but once: of a column with e empty
cells of R all activations fire R - e in all, each in need of e >= D - h. The sum of h (D - h) / (R - D + h) over what
they fire in it is thus at most e; likewise w (W - w) / (C - W + w) over rows with w cells fired. Summed over all
columns, and all rows, of all arrays both are at most the cells that are empty, which all stages have in common.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from cimsolve.columns import Floats, Ints
from cimsolve.problem.problem import InputGroup, Problem, found_once
from cimsolve.prove.time import Kinds, firings_of, least_stage_cycles, least_work_cycles
from cimsolve.prove.work import converter_floor, group_part_ps, least_activation_cycles

STEPS = 100, 2000
"""Times of all shares together are looked at in about as many steps as there are blocks, within these."""
WORTHS = 24
"""Worths of columns that are tried at a price of cells."""
SHARES = tuple(step / 8 for step in range(9))
"""Shares of the price that cells above and below bear; the rest those at the sides."""
PARTS = (1, 4, 16, 64)
"""Prices of cells that are tried first: these parts of what is open, shared by all empty cells."""
STRIDE = 1.5
"""By such a factor prices are then changed, as long as that raises the bound."""


def least_latency_beyond(problem: Problem, arrays: int) -> int:
    """Cycles by which stages one after the other take longer than the sum of their least times."""
    if not problem.workload.is_chain or not _says_anything(problem, arrays):
        return 0
    least = zip(problem.stage_groups, least_stage_cycles(problem, arrays), strict=True)
    shares = Counter((((groups, 1),), cycles) for groups, cycles in least)
    steps = _steps(problem, len(shares))
    found = [(1, _Share.of(problem, *key, arrays, steps), count) for key, count in shares.items()]
    return _beyond(problem, arrays, found)


def least_prefill_beyond(problem: Problem, arrays: int, least: Sequence[int]) -> int:
    """Cycles by which the later tokens of a prefill take longer than in the `least` II of each phase."""
    if not _says_anything(problem, arrays):
        return 0
    phases = sorted({stage.phase for stage in problem.workload.stages})
    kinds = [tuple(sorted(firings_of(problem, phase).items())) for phase in phases]
    shares = Counter(zip(problem.later_tokens, kinds, least, strict=True))
    steps = _steps(problem, len(shares))
    found = [
        (later, _Share.of(problem, kind, each, arrays, steps), count) for (later, kind, each), count in shares.items()
    ]
    return _beyond(problem, arrays, found)


@found_once
def least_work_cycles_at_crossings(problem: Problem, arrays: int) -> int:
    """Least time of the busiest array in a pass."""
    least = least_work_cycles(problem, arrays)
    if not _says_anything(problem, arrays):
        return least
    share = _Share.of(problem, tuple(firings_of(problem).items()), least, arrays, _steps(problem, 1))
    free = _empty_cells(problem, arrays)
    for part in SHARES:
        times, needed = share.needs(part, 1 - part)
        refused = np.flatnonzero(needed * (1 - 1e-9) > free)
        if len(refused):
            least = max(least, int(times[refused[-1] + 1]) if refused[-1] + 1 < len(times) else share.most)
    return least


def _steps(problem: Problem, shares: int) -> int:
    """Steps for each of some shares: a small question is not to be bounded for longer than it takes to map."""
    return max(1, min(max(STEPS[0], problem.workload.block_count), STEPS[1]) // shares)


def _empty_cells(problem: Problem, arrays: int) -> int:
    """Stages of the same weights may use the same empty cells."""
    return problem.workload.laps * (arrays * problem.rows * problem.weights_per_row - problem.stored.weight_cells)


def _says_anything(problem: Problem, arrays: int) -> bool:
    workload = problem.workload
    if workload.has_experts or workload.has_positions or problem.hardware.interconnect is not None:
        return False
    return problem.cut != "both" and _empty_cells(problem, arrays) >= 0


class _Ways(NamedTuple):
    """Activations of a stage: columns that each reads, and the least cycles and empty cells that it needs for them."""

    columns: Ints
    cycles: Ints
    below: Floats
    """Cells above and below what it fires."""
    beside: Floats

    @staticmethod
    def of(problem: Problem, groups: tuple[InputGroup, ...]) -> _Ways:
        """Of the narrowest and widest that matter: more columns in no more time, or of no more inputs."""
        row, floor = problem.weights_per_row, converter_floor(problem)
        fastest_ps = min(group_part_ps(problem, floor, group) for group in groups)
        widths = {group.block_cols for group in groups}
        whole = problem.cut == "none" and all(group.columns == group.blocks * group.block_cols for group in groups)
        unit = min(widths) if whole and len(widths) == 1 and max(widths) <= row else 1
        columns = np.arange(unit, row + 1, unit)
        cycles = least_activation_cycles(problem, columns, fastest_ps)
        widest = min(row, max(group.columns for group in groups))
        heights = [(group.vector, group.height) for group in groups]
        in_part = any(group.parts > 1 for group in groups) or len({vector for vector, _ in heights}) < len(set(heights))
        # Where inputs may share some of their rows, what is crossed may be as low as nothing.
        lowest = 0 if in_part else min(height for _, height in heights)
        below, beside = _crossings(problem, columns, widest, lowest)
        used = (np.append(np.diff(cycles), 1) > 0) | (columns % widest == 0)
        used &= np.isfinite(below)
        return _Ways(columns[used], cycles[used], below[used], beside[used])


def _crossings(problem: Problem, columns: Ints, widest: int, lowest: int) -> tuple[Floats, Floats]:
    """Empty cells for what reads so many columns, of inputs that feed `widest` at most and are `lowest` at least."""
    rows, row = problem.rows, problem.weights_per_row
    full, rest = columns // widest, columns % widest
    more = (full + (rest > 0) - 1) * lowest
    below = np.where(more <= rows - lowest, columns * lowest * more / np.maximum(rows - more, 1), np.inf)
    of_full = full * widest * (columns - widest) / np.maximum(row - columns + widest, 1)
    of_rest = rest * (columns - rest) / np.maximum(row - columns + rest, 1)
    return below, lowest * (of_full + of_rest)


@dataclass(frozen=True)
class _Share:
    """Stages of some kinds, so many of each, all of which `arrays` arrays fire in one time."""

    ways: list[tuple[_Ways, int]]
    """Of each kind the ways to fire it, and how many columns all its stages have."""
    least: int
    """They take no less, in cycles."""
    most: int
    """Nothing is said of more cycles."""
    arrays: int
    steps: int
    """Steps that its times are looked at in, at most."""

    @staticmethod
    def of(problem: Problem, kinds: Kinds, least: int, arrays: int, steps: int) -> _Share:
        ways = [
            (_Ways.of(problem, groups), count * sum(group.all_columns for group in groups)) for groups, count in kinds
        ]
        alone_ps = sum(columns * float((way.cycles / way.columns)[way.below == 0].min()) for way, columns in ways)
        most = int(alone_ps / arrays) + max(int(way.cycles[way.below == 0].max()) for way, _ in ways)
        loose = _Share(ways, least, max(least, most), arrays, steps)
        # Where a cell costs more than all that merges could save.
        return replace(loose, most=least + int(loose.beyond(most, most)))

    def beyond(self, below: float, beside: float) -> float:
        """Cycles beyond the least, and the price of the empty cells that it takes not to need more."""
        times, needed = self.needs(below, beside)
        return min(float(np.min(times - self.least + needed)), self.most - self.least)

    @cached_property
    def step(self) -> int:
        """Cycles of a step."""
        common = int(np.gcd.reduce(np.concatenate([way.cycles for way, _ in self.ways])))
        return common * -(-self.most // (common * self.steps))

    def needs(self, below: float, beside: float) -> tuple[Ints, Floats]:
        """Times, and the least price of the empty cells without which all is not done in them; falling.

        At any worth of its columns an array is worth no more than the most that it reads in that time, less the
        price of its cells.
        """
        prices = [below * way.below + beside * way.beside for way, _ in self.ways]
        worths = self._worths(prices)
        each = [
            ((worths[:, None] * way.cycles + price) / way.columns).min(axis=1)
            for (way, _), price in zip(self.ways, prices, strict=True)
        ]
        all_worth = sum(worth * columns for worth, (_, columns) in zip(each, self.ways, strict=True))
        gains = np.concatenate(
            [
                np.maximum(0, worth[:, None] * way.columns - price)
                for worth, (way, _), price in zip(each, self.ways, prices, strict=True)
            ],
            axis=1,
        ).T
        lengths = np.concatenate([way.cycles for way, _ in self.ways]) // self.step
        known = int(lengths.max())
        first, last = self.least // self.step, self.most // self.step
        times = np.maximum(self.least, np.arange(first, last + 1) * self.step)
        if not lengths.min():
            return times, np.zeros(len(times))
        best = np.full((known + last + 1, len(worths)), -np.inf)
        best[known] = 0
        for step in range(known + 1, len(best)):
            best[step] = np.maximum(best[step - 1], (best[step - lengths] + gains).max(axis=0))
        needed = np.maximum.accumulate((all_worth - self.arrays * best[known:]).max(axis=1)[::-1])[::-1]
        return times, np.maximum(0.0, needed[first:])

    def _worths(self, prices: list[Floats]) -> Floats:
        """Prices of a cycle at which one way to fire a stage becomes better than another."""
        found = []
        for (way, _), price in zip(self.ways, prices, strict=True):
            slow, dear = way.cycles / way.columns, price / way.columns
            with np.errstate(divide="ignore", invalid="ignore"):
                ties = (dear[None] - dear[:, None]) / (slow[:, None] - slow[None])
            found.append(ties[np.isfinite(ties) & (ties > 0)])
        ties = np.unique(np.concatenate(found))
        return ties[np.linspace(0, len(ties) - 1, min(WORTHS, len(ties))).astype(int)] if len(ties) else np.zeros(1)


def _beyond(problem: Problem, arrays: int, shares: list[tuple[int, _Share, int]]) -> int:
    """Cycles by which shares, each with its weight and number, take longer in all than their least.

    At any prices of the cells, as all have the empty ones of all arrays in common.
    """
    open_to_all = sum(weight * (share.most - share.least) * count for weight, share, count in shares)
    free = _empty_cells(problem, arrays)
    if not open_to_all:
        return 0

    def beyond(below: float, beside: float) -> float:
        found = -(below + beside) * free
        for weight, share, count in shares:
            found += count * weight * share.beyond(below / weight, beside / weight)
        return found

    scale = open_to_all / max(free, 1)
    first = [(scale / part, scale / part) for part in PARTS]
    best, at = max(((beyond(*prices), prices) for prices in first), key=lambda each: each[0])
    gained = True
    while gained:
        gained = False
        for up, side in ((STRIDE, 1), (1 / STRIDE, 1), (1, STRIDE), (1, 1 / STRIDE)):
            tried = at[0] * up, at[1] * side
            value = beyond(*tried)
            if value > best + 1e-3 * open_to_all:
                best, at, gained = value, tried, True
    return max(0, int(np.ceil(best * (1 - 1e-9) - 1e-6)))
