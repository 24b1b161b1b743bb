"""Where latency and energy go: by component, and by kind of stage. Every waterfall sums to its metric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cimsolve.columns import Floats
from cimsolve.show.seen.judged import Judged
from cimsolve.show.seen.kinds import Kinds

ROWS_MAX = 20
"""Rows of a waterfall by stage; the smallest beyond are summed in one."""

ARRAYS, DIGITAL, TRANSFER, LEAKAGE, WAIT = "arrays", "digital", "transfer", "leakage", "wait"
MEMORY = "memory"
BETWEEN = "between"
MOVES, BUSES, BESIDE = "moves", "buses", "beside"
"""What a bar is spent on; `between` is everything between stages: partial sums, digital work, transfers, waiting.

On a chip with a network `moves` stand apart from what is `beside` them, and so do their bits on the buses of cores.
"""

WAYS = ("up", "over", "down")

_WORDS = {
    "array": "arrays fire",
    "partial_sums": "partial sums",
    "digital": "digital operations",
    "transfer": "transfers",
    "wait": "waiting",
    "memory": "keys and values",
    "rows": "row drivers",
    "cells": "cells",
    "columns": "columns",
    "conversions": "conversions (ADC)",
    "shift_add": "shift and add",
    "macro": "measured cores",
    "attention_mac": "attention products",
    "layer_norm": "layer norms",
    "activation": "activation functions",
    "add": "additions",
    "multiply": "multiplications",
    "leakage": "leakage of arrays",
    "up": "moves up to the hub",
    "over": "moves from core to core",
    "down": "moves down from the hub",
    "network": "moving on links",
    "bus": "core buses",
}


@dataclass(frozen=True)
class Waterfall:
    """Bars that follow on each other: row i is `labels[i]`, of length `sum(part[i] for part in parts.values())`.

    `parts`: what it is spent on -> values of shape (rows,), in ns or pJ. All together sum to the metric.
    """

    labels: tuple[str, ...]
    parts: Mapping[str, Floats]

    @property
    def lengths(self) -> Floats:
        """The length of each bar; shape (rows,)."""
        return np.asarray(np.sum(list(self.parts.values()), axis=0), dtype=np.float64)

    @property
    def total(self) -> float:
        """The metric: all bars together."""
        return float(self.lengths.sum())


def latency_by_component(judged: Judged) -> Waterfall:
    """Nanoseconds of a token by component; `wait` may be below 0 where gaps hide behind arrays."""
    role = {"array": ARRAYS, "partial_sums": DIGITAL, "digital": DIGITAL, "transfer": TRANSFER, "wait": WAIT}
    cycles: dict[str, int] = {}
    for name, value in judged.costs.latency_components_cycles.items():
        cycles |= cycles_of_ways(judged) if name == "transfer" and _has_network(judged) else {name: value}
    role |= {"memory": MEMORY, **dict.fromkeys(WAYS, MOVES)}
    return _one_part_a_row([(name, role[name], value * judged.clock_ns) for name, value in cycles.items() if value])


def cycles_of_ways(judged: Judged) -> dict[str, int]:
    """`up`, `over` and `down` -> cycles of a token's latency that moves take; they sum to its `transfer`."""
    found = dict.fromkeys(WAYS, 0)
    for each in (each for gap in judged.costs.gaps.own for each in gap.passing):
        found[each.way] += each.counted_cycles
    return found


def energy_by_component(judged: Judged) -> Waterfall:
    """Picojoules of a token by component."""
    role = {**dict.fromkeys(judged.costs.array_pj, ARRAYS), TRANSFER: TRANSFER, LEAKAGE: LEAKAGE, MEMORY: MEMORY}
    role |= {"network": MOVES, "bus": BUSES}
    components = judged.costs.energy_components_pj
    return _one_part_a_row([(name, role.get(name, DIGITAL), value) for name, value in components.items() if value])


def latency_by_stage(judged: Judged, kinds: Kinds) -> Waterfall:
    """Nanoseconds that each kind of stage adds to a token's latency, the gap before it apart from its arrays.

    A stage adds what lies between the latest end before it and its own end; of stages that run side by side the
    one that ends later adds the difference only. After the last stage comes the tail.
    """
    stages = judged.costs.stages
    count = len(stages.end)
    in_arrays, between = np.zeros(count), np.zeros(count)
    reach = stages.begins
    for stage in np.lexsort((stages.start, stages.end)).tolist():
        added = max(0, int(stages.end[stage]) - reach)
        in_arrays[stage] = min(added, int(stages.end[stage] - stages.start[stage]))
        between[stage] = added - in_arrays[stage]
        reach += added
    tail = judged.costs.gaps.last_tail
    between, moved = np.append(between, tail.cycles), judged.costs.cycles["transfer"]
    return _by_stage(judged, kinds, in_arrays, between, np.minimum(moved, between), judged.clock_ns)


def energy_by_stage(judged: Judged, kinds: Kinds) -> Waterfall:
    """Picojoules of each kind of stage: its activations, and the gaps before it. The tail and leakage come after."""
    costs = judged.costs
    in_arrays = np.sum(list(costs.array_pj.values()), axis=0)
    between = np.sum([values for name, values in costs.outside_pj.items() if name != LEAKAGE], axis=0)
    moved = np.sum([costs.outside_pj.get(name, np.zeros(len(between))) for name in ("network", "bus")], axis=0)
    rows = _by_stage(judged, kinds, in_arrays[:-1], between, moved, 1.0)
    return _with_row(rows, _WORDS[LEAKAGE], {LEAKAGE: costs.energy_components_pj["leakage"]})


def _has_network(judged: Judged) -> bool:
    return judged.hardware.interconnect is not None


def _by_stage(
    judged: Judged, kinds: Kinds, in_arrays: Floats, between: Floats, moved: Floats, scale: float
) -> Waterfall:
    """Bars of each kind of stage, shape (stages,), and one of the tail; of what is `between` so much is `moved`."""
    parts = {MOVES: moved, BESIDE: between - moved} if _has_network(judged) else {BETWEEN: between}
    parts = {role: values * scale for role, values in parts.items()}
    rows = _by_kind(kinds, {ARRAYS: in_arrays * scale, **{role: values[:-1] for role, values in parts.items()}})
    return _with_row(rows, "end of pass", {role: float(values[-1]) for role, values in parts.items()})


def _one_part_a_row(rows: list[tuple[str, str, float]]) -> Waterfall:
    parts = {role: np.zeros(len(rows)) for role in dict.fromkeys(role for _, role, _ in rows)}
    for index, (_, role, value) in enumerate(rows):
        parts[role][index] = value
    return Waterfall(tuple(_WORDS.get(name, name) for name, _, _ in rows), parts)


def _by_kind(kinds: Kinds, of_stage: Mapping[str, Floats]) -> Waterfall:
    """Sums over the stages of each kind, `R` and `L` apart."""
    key = kinds.of_stage * 2 + kinds.second
    found, first, row = np.unique(key, return_index=True, return_inverse=True)
    order = np.argsort(first)  # as they run
    labels = [kinds.label(k // 2, bool(k % 2)) for k in found[order].tolist()]
    parts = {role: np.asarray(np.bincount(row, values)[order], dtype=float) for role, values in of_stage.items()}
    return _fold(Waterfall(tuple(labels), parts))


def _fold(table: Waterfall) -> Waterfall:
    """The smallest rows beyond `ROWS_MAX` summed in one."""
    if len(table.labels) <= ROWS_MAX:
        return table
    large = np.zeros(len(table.labels), dtype=bool)
    large[np.argsort(-table.lengths, kind="stable")[: ROWS_MAX - 1]] = True
    labels = [label for label, keep in zip(table.labels, large, strict=True) if keep]
    parts = {role: np.append(values[large], values[~large].sum()) for role, values in table.parts.items()}
    return Waterfall((*labels, f"{int((~large).sum())} others"), parts)


def _with_row(table: Waterfall, label: str, of_role: Mapping[str, float]) -> Waterfall:
    if not any(of_role.values()):
        return table
    parts = {name: np.append(values, 0.0) for name, values in table.parts.items()}
    for role, value in of_role.items():
        parts.setdefault(role, np.zeros(len(table.labels) + 1))[-1] = value
    return Waterfall((*table.labels, label), parts)
