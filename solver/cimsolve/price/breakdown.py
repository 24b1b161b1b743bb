"""Where a token's cycles and picojoules go: by component and by stage at once, so that both add up exactly.

Every table has a row per stage and a last one for the tail of the last pass. Cycles are whole. Picojoules are
rounded once, to a grid of about 2e-16 of the total, on which sums of floats are exact in any order.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from cimsolve.columns import Floats, Ints, sum_by
from cimsolve.price.firings import Fired
from cimsolve.price.gaps import Gap, Gaps

MANTISSA_BITS = 52


def split_latency(begins: int, start: Ints, end: Ints, gaps: Gaps) -> dict[str, Ints]:
    """Component -> cycles of each row; all of it sums to the token latency.

    The pass begins at `begins`; `start` and `end`, shape (stages,), are a stage's first start and last end. `array`:
    what the stage adds to the time in which any array works. `wait`: what it adds to the time so far beyond that and
    its gap; less than nothing where the gap overlaps the arrays' work on another stage.
    """
    rows = _gaps_of_rows(gaps)
    names = gaps.last_tail.parts_cycles
    parts = {
        "array": np.append(added_cover(start, end), 0),
        **{name: np.array([gap.parts_cycles.get(name, 0) for gap in rows], dtype=np.int64) for name in names},
    }
    reached = np.maximum.accumulate(np.concatenate([[begins], end]))
    added = np.append(np.diff(reached), rows[-1].cycles)
    return {**parts, "wait": added - np.sum(list(parts.values()), axis=0)}


def split_energy(fired: Fired, bits: Ints, leaked_pj: Floats) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Component -> pJ of each row: of the arrays, then of gaps and leakage (`leaked_pj` of each row).

    `bits`: what each activation converts at, shape (activations,).
    """
    rows = _gaps_of_rows(fired.gaps)
    in_arrays = _array_energy(fired, bits, len(rows))
    outside: dict[str, Floats] = {}
    for row, gap in enumerate(rows):
        for name, value in gap.energy_pj.items():
            outside.setdefault(name, np.zeros(len(rows)))[row] = value
    outside["leakage"] = leaked_pj
    total = math.fsum(value for part in (in_arrays, outside) for column in part.values() for value in column.tolist())
    # All entries are positive multiples of the step, and so few of them that every sum fits the mantissa.
    step = 2.0 ** max(-1000, math.frexp(total)[1] - MANTISSA_BITS)
    return _on_grid(in_arrays, step), _on_grid(outside, step)


def _on_grid(columns: Mapping[str, Floats], step: float) -> dict[str, Floats]:
    return {name: np.asarray(np.rint(values / step) * step) for name, values in columns.items()}


def _array_energy(fired: Fired, bits: Ints, rows: int) -> dict[str, Floats]:
    """Counts are added as integers and priced once, so that the order of activations does not matter.

    Of experts those count that cost a token most.
    """
    hardware, counted = fired.problem.hardware, fired.in_worst_case
    stage, bits, times = fired.stage[counted], bits[counted], fired.times[counted]
    conversions_pj = np.zeros(rows)
    of_bits = sum_by(bits * rows + stage, times * fired.columns[counted], (int(bits.max()) + 1) * rows)
    for each, read in enumerate(of_bits.reshape(-1, rows)):
        if read.any():
            conversions_pj += float(hardware.conversion_pj(each)) * read
    rows_driven, cells, columns = (
        sum_by(stage, times * of[counted], rows) for of in (fired.rows, fired.cells, fired.columns)
    )
    firings = sum_by(stage, times, rows)
    return hardware.array_kind.energy_pj(firings, rows_driven, cells, columns, conversions_pj)


def _gaps_of_rows(gaps: Gaps) -> list[Gap]:
    """The gap before each stage, that between two passes only before the first stage after it, and the last tail."""
    first = {id(gap): stage for stage, gap in reversed([*enumerate(gaps.before)])}
    rows = enumerate(zip(gaps.before, gaps.within, strict=True))
    return [*(gap if within or first[id(gap)] == stage else Gap() for stage, (gap, within) in rows), gaps.last_tail]


def added_cover(start: Ints, end: Ints) -> Ints:
    """What each interval adds to the union of those that start before it; shape (intervals,)."""
    order = np.argsort(start, kind="stable")
    reach = np.maximum.accumulate(end[order])
    before = np.concatenate([start[order[:1]], reach[:-1]])
    added = np.empty(len(start), dtype=np.int64)
    added[order] = np.maximum(0, end[order] - np.maximum(start[order], before))
    return added
