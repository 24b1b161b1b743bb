"""Random questions over all that matters to bounds, random legal mappings of them, and what those cost."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from random import Random
from typing import Any

import numpy as np

from cimsolve.errors import InputError
from cimsolve.price.cost import Metrics, evaluate
from cimsolve.price.schedule import schedule
from cimsolve.problem.laps import repeated
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Mapping
from makers.builders import Row, again, ask, chip, linears, macro_chip, networked, pieces_of, step
from makers.random_experts import mixture, stored_alike
from makers.random_networks import random_network

BOUNDED = ("arrays", "latency_cycles", "prefill_ns", "ii_cycles", "energy_pj", "area_mm2")
"""Metrics that have a bound."""

TABLES = (
    [(1, 1, 1, 10), (2, 2, 2, 20), (4, 4, 5, 40), (8, 8, 9, 80)],
    [(1, 1, 1, 10), (2, 5, 2, 20), (3, 17, 5, 30), (8, 40, 9, 80)],
    [(1, 4, 3, 30), (2, 2, 1, 10), (3, 7, 5, 40), (8, 3, 2, 20)],
)
"""Converters (bits, ns, pJ, um2): gentle, steep, and one that is faster, cheaper or smaller at more bits."""


# Random questions


def random_question(
    draw: Random,
    row_cuts: bool | None = None,
    chain: bool = True,
    network: bool = False,
    positions: Sequence[int] = (),
    experts: bool = False,
    laps: bool = False,
) -> Problem:
    """A question of a few dozen weights over all that matters to the bounds.

    `row_cuts`: whether some block must be cut along its rows, None for either; `chain`: every stage follows the
    one before it; `network`: the chip has cores and a network, often one so slow that its moves take most time;
    `positions`: how many times a step may fire in a pass; `experts`: the last step has some; `laps`: a token goes
    through all of them again.
    """
    while True:
        structure: dict[str, str] = {}
        steps = [_random_step(draw, number, structure, chain) for number in range(draw.choice([1, 1, 2, 2, 3]))]
        if experts:
            steps[-1] = _random_mixture(draw, steps[-1], structure)
        cuts = ["none", "columns", "columns"] + ([] if row_cuts is False else ["both"])
        steps = [{**each, "positions": draw.choice(positions)} for each in steps] if positions else steps
        steps = again(steps, draw.choice([1, 1, 2, 5])) if laps else steps
        config = linears(*steps, context=draw.randint(1, 4))
        try:
            hardware = _random_networked_chip(draw) if network else _random_chip(draw)
            problem = ask(config, stored_alike(config, structure), hardware, draw.choice(cuts))  # type: ignore[arg-type]
        except InputError:
            continue
        if problem.weight_cells <= (50 if experts else 30) and row_cuts in (None, problem.must_cut_rows):
            return problem


def _random_step(draw: Random, number: int, structure: dict[str, str], chain: bool) -> dict[str, Any]:
    n_in = draw.choice([4, 6, 8]) if draw.random() < 0.3 else draw.randint(1, 8)
    shapes = [(n_in, draw.randint(1, 6)) for _ in range(draw.choice([1, 1, 2, 2, 3]))]
    for index, (_, n_out) in enumerate(shapes):
        structure[f"s{number}{index}"] = _random_structure(draw, n_in, n_out)
    keys: dict[str, Any] = {}
    if number and not chain and draw.random() < 0.6:
        keys["reads"] = draw.choice([[], [f"s{draw.randrange(number)}"]])
    elif number and draw.random() < 0.3:
        keys["barrier"] = True
    return step(f"s{number}", *shapes, **keys)


def _random_mixture(draw: Random, like: dict[str, Any], structure: dict[str, str]) -> dict[str, Any]:
    found = mixture(draw, like["name"], 6, 4, **{key: like[key] for key in ("reads", "barrier") if key in like})
    for entry in found["linears"]:
        structure[entry["name"]] = _random_structure(draw, entry["n_in"], entry["n_out"])
    return found


def _random_structure(draw: Random, n_in: int, n_out: int) -> str:
    k, l = (draw.choice([d for d in range(1, n + 1) if n % d == 0]) for n in (n_in, n_out))  # noqa: E741
    return draw.choice(["dense", f"{k},{l},{draw.randint(1, min(n_in // k, n_out // l, 3))}"])


def _random_chip(draw: Random) -> dict[str, Any]:
    width, rows = draw.choice([1, 1, 1, 2, 4]), draw.randint(1, 6)
    differential = width > 1 and draw.random() < 0.5
    cols = draw.randint(1, 6) * width + draw.choice([0, 0, width - 1])
    table = [dict(zip(("bits", "ns", "pj", "um2"), line, strict=True)) for line in draw.choice(TABLES)]
    changes: dict[str, Any] = {
        "clock_ns": draw.choice([1, 1, 2, 1.7, 5]),
        "array__rows": rows,
        "array__cols": cols,
        "array__rows_active_max": draw.choice([None, None, draw.randint(1, rows)]),
        "weight__bits": width // 2 if differential else width,
        "weight__signed": "differential" if differential else "none",
        "input__bits": draw.randint(1, 3),
        "adc__per_array": draw.randint(1, cols),
        "adc__wiring": draw.choice(["any", "interleaved", "adjacent"]),
        "adc__bits_rule": draw.choice(["lossless", "log2_rows"]),
        "adc__bits_max": draw.choice([2, 3, 4, 8]),
        "adc__lossy_allowed": draw.random() < 0.5,
        "adc__sample_hold": draw.random() < 0.35,
        "transfer__base_ns": draw.choice([0, 1]),
    }
    if draw.random() < 0.08:
        return macro_chip(**changes)
    return chip(**changes, adc__table=table, read_ns=draw.choice([0.5, 1, 3, 10, 100]))


def _random_networked_chip(draw: Random) -> dict[str, Any]:
    data, network = _random_chip(draw), random_network(draw)
    slower = draw.choice([1, 0.1, 0.02])
    for section, key in (
        (network["network"], "bits_per_ns"),
        (network["network"]["hub"], "bits_per_ns"),
        (network["core"]["bus"], "bits_per_ns"),
    ):
        if key in section and draw.random() < 0.5:
            section[key] *= slower
    data["array"]["count"] = draw.choice([None, None, draw.randint(2, 12)])
    return networked(data | network)


# Random legal mappings


def random_mapping(problem: Problem, draw: Random, arrays: int) -> Mapping | None:
    """A legal mapping on at most `arrays` arrays that fires together what it can, or None where it finds none."""
    if problem.stored is not problem:
        of_first_lap = random_mapping(problem.stored, draw, arrays)
        return None if of_first_lap is None else repeated(problem, of_first_lap)
    floor = _Floor(problem, _random_parts(problem, draw), arrays)
    if not floor.place_all(draw):
        return None
    fires = floor.fire_all(draw)
    numbers = {array: number for number, array in enumerate(sorted({a for a, _, _ in floor.place.values()}))}
    rows: list[Row] = []
    for number, part in enumerate(floor.parts):
        array, row, col = floor.place[number]
        rows.append((*part, numbers[array], row, col))
    return Mapping(pieces_of(*rows), np.array(fires, dtype=np.int64))


Part = tuple[int, int, int, int, int, int]
"""(factor, block, row0, rows, col0, cols)"""


def _random_parts(problem: Problem, draw: Random) -> list[Part]:
    parts: list[Part] = []
    same = draw.random() < 0.5  # whether all blocks of a factor are cut at the same rows
    for factor in problem.workload.factors:
        few = -(-factor.block_rows // problem.rows_limit)
        common = _fewest(draw, factor.block_rows, few, problem.rows_limit)
        for block in range(factor.blocks):
            col0 = 0
            for cols in _widths(problem, draw, factor.block_cols):
                heights = common if same else _fewest(draw, factor.block_rows, few, problem.rows_limit)
                if problem.cut == "both" and draw.random() < 0.5:
                    heights = _any_sizes(draw, factor.block_rows, problem.rows_limit)
                row0 = 0
                for rows in heights:
                    parts.append((factor.id, block, row0, rows, col0, cols))
                    row0 += rows
                col0 += cols
    return parts


def _widths(problem: Problem, draw: Random, cols: int) -> list[int]:
    limit = problem.weights_per_row
    if problem.cut == "none":
        return _fewest(draw, cols, -(-cols // limit), limit)
    return _any_sizes(draw, cols, limit)


def _fewest(draw: Random, total: int, parts: int, limit: int) -> list[int]:
    """Random sizes up to `limit` of exactly so many parts."""
    sizes: list[int] = []
    for left in range(parts, 0, -1):
        rest = total - sum(sizes)
        low, high = max(1, rest - (left - 1) * limit), min(limit, rest - (left - 1))
        sizes.append(draw.choice([low, high, -(-rest // left), draw.randint(low, high)]))
    return sizes


def _any_sizes(draw: Random, total: int, limit: int) -> list[int]:
    most, sizes = draw.choice([1, 2, 3, limit, limit]), [0]
    while sum(sizes) < total:
        sizes.append(min(total - sum(sizes), limit, draw.randint(1, most)))
    return sizes[1:]


class _Floor:
    """Arrays cell by cell, with parts in place."""

    def __init__(self, problem: Problem, parts: list[Part], arrays: int) -> None:
        self.problem, self.parts = problem, parts
        self.factors = problem.workload.factors
        rows, cols = problem.rows, problem.weights_per_row
        self.cells = [[[-1] * cols for _ in range(rows)] for _ in range(arrays)]
        self.place: dict[int, tuple[int, int, int]] = {}

    def input_of(self, number: int) -> tuple[int, int]:
        """The vector that a part reads, and the element that its first row takes."""
        factor, block, row0, *_ = self.parts[number]
        return self.factors[factor].input, block * self.factors[factor].block_rows + row0

    def stage_of(self, number: int) -> int:
        return self.factors[self.parts[number][0]].stage

    def expert_of(self, number: int) -> int | None:
        return self.factors[self.parts[number][0]].expert

    def place_all(self, draw: Random) -> bool:
        """Everything somewhere free: in random order or the largest first, beside the same input or away from it."""
        order = list(range(len(self.parts)))
        draw.shuffle(order)
        if draw.random() < 0.6:
            order.sort(key=lambda i: -self.parts[i][3] * self.parts[i][5])
        taste = draw.choice(["anywhere", "first", "by input", "apart"])
        return all(self._place(draw, number, taste) for number in order)

    def _place(self, draw: Random, number: int, taste: str) -> bool:
        vector, element = self.input_of(number)
        arrays = list(range(len(self.cells)))
        if taste != "first":
            draw.shuffle(arrays)
        if taste == "by input":
            arrays.sort(key=lambda a: -sum(self._aligned(i, a, vector, element) is not None for i in self.place))
        elif taste == "apart":
            stage = self.stage_of(number)
            arrays.sort(key=lambda a: sum(self.place[i][0] == a and self.stage_of(i) == stage for i in self.place))
        for array in arrays:
            spots = self._free(number, array)
            if not spots:
                continue
            rows = {self._aligned(i, array, vector, element) for i in self.place}
            aligned = [spot for spot in spots if spot[0] in rows]
            if aligned and taste in ("by input", "apart") and draw.random() < 0.9:
                spots = aligned
            self._put(number, array, *draw.choice([spots[0], draw.choice(spots)]))
            return True
        return False

    def _aligned(self, other: int, array: int, vector: int, element: int) -> int | None:
        """The row of `array` on which `other` would share its driven rows with a part that begins at `element`."""
        if self.place[other][0] != array:
            return None
        its_vector, its_element = self.input_of(other)
        if its_vector != vector:
            return None
        return self.place[other][1] + element - its_element

    def _free(self, number: int, array: int) -> list[tuple[int, int]]:
        _, _, _, height, _, width = self.parts[number]
        cells = self.cells[array]
        return [
            (row, col)
            for row in range(len(cells) - height + 1)
            for col in range(len(cells[0]) - width + 1)
            if all(cell < 0 for line in cells[row : row + height] for cell in line[col : col + width])
        ]

    def _put(self, number: int, array: int, row: int, col: int) -> None:
        _, _, _, height, _, width = self.parts[number]
        self.place[number] = array, row, col
        for line in self.cells[array][row : row + height]:
            line[col : col + width] = [number] * width

    def fire_all(self, draw: Random) -> list[int]:
        """The activation of every part: each joins one on its array where that is legal and saves time."""
        cycles = cache(lambda n, v: int(self.problem.hardware.activation_cycles(n, v)))
        groups: list[tuple[list[int], int]] = []
        order = list(range(len(self.parts)))
        draw.shuffle(order)
        if draw.random() < 0.5:
            order.sort(key=lambda i: (self.input_of(i), self.place[i][1]))
        for number in order:
            shape = self.shape([number])
            assert shape is not None
            found = [(cycles(*shape), -1)]
            for at, (group, spent) in enumerate(groups):
                merged = self.shape([*group, number])
                if merged is not None:
                    found.append((cycles(*merged) - spent, at))
            extra, at = min(found)
            if at < 0:
                groups.append(([number], extra))
            else:
                groups[at] = [*groups[at][0], number], groups[at][1] + extra
        fires = {number: at for at, (group, _) in enumerate(groups) for number in group}
        return [fires[number] for number in range(len(self.parts))]

    def shape(self, group: list[int]) -> tuple[int, int] | None:
        """(n, v) of an activation of these parts, or None where it breaks S2, S3 or S6."""
        hardware = self.problem.hardware
        driven: dict[int, tuple[int, int]] = {}
        read: dict[int, tuple[int, int, int]] = {}
        if len({(self.place[number][0], self.stage_of(number), self.expert_of(number)) for number in group}) > 1:
            return None
        for number in group:
            factor, block, _, rows, col0, cols = self.parts[number]
            _, row, col = self.place[number]
            vector, element = self.input_of(number)
            wanted = [driven.setdefault(row + r, (vector, element + r)) == (vector, element + r) for r in range(rows)]
            outputs = [(factor, block, col0 + c) for c in range(cols)]
            wanted += [read.setdefault(col + c, output) == output for c, output in enumerate(outputs)]
            if not all(wanted):
                return None
        if hardware.array.rows_active_max is not None and len(driven) > hardware.array.rows_active_max:
            return None
        stacked, array = 0, self.place[group[0]][0]
        for col, output in read.items():
            owners = [self.cells[array][row][col] for row in driven if self.cells[array][row][col] >= 0]
            for owner in owners:
                factor, block, _, _, col0, _ = self.parts[owner]
                if owner not in group or (factor, block, col0 + col - self.place[owner][2]) != output:
                    return None
            stacked = max(stacked, len(owners))
        if not hardware.adc.lossy_allowed and int(hardware.adc_bits_needed(stacked)) > hardware.adc.bits_max:
            return None
        return stacked, self._conversions(read)

    def _conversions(self, read: dict[int, tuple[int, int, int]]) -> int:
        hardware = self.problem.hardware
        width, converters = hardware.columns_per_weight, hardware.adc.per_array
        columns = [col * width + slice_ for col in read for slice_ in range(width)]
        if hardware.adc.wiring == "any":
            return -(-len(columns) // converters)
        share = -(-hardware.array.cols // converters)
        interleaved = hardware.adc.wiring == "interleaved"
        return max(np.bincount([c % converters if interleaved else c // share for c in columns]).tolist())


def measure(problem: Problem, mapping: Mapping) -> Metrics:
    return evaluate(*schedule(problem, mapping)).metrics
