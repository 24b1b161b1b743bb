"""A simulator of single cells agrees with the fast one, on mappings of any kind."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimsolve.columns import Ints
from cimsolve.judge.simulate import simulate
from cimsolve.judge.simulate.converters import Converters
from cimsolve.judge.simulate.crossbar import Crossbars
from cimsolve.judge.simulate.expected import compute_reference, shuffled
from cimsolve.judge.simulate.firing import collect_firings
from cimsolve.judge.simulate.operands import Operands, prepare_operands
from cimsolve.judge.simulate.token_pass import TokenPass
from cimsolve.price.schedule import schedule
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Activations, Pieces
from cimsolve.problem.tables import Mapping as Placement
from makers.small_arrays import shelves, small_hardware, small_problem, tiles


def simulate_by_cell(
    problem: Problem,
    operands: Operands,
    pieces: Pieces,
    activations: Activations,
    shifts: Mapping[str, Any],
) -> dict[int, Ints]:
    """Everything again in plain loops, for pieces that lie inside and apart, all layers simulated."""
    hardware, encoding, factors = problem.hardware, operands.encoding, operands.workload.factors
    w, half = encoding.columns, 1 << (hardware.input.bits - 1)
    table: dict[tuple[int, int, int], int] = {}
    ids = range(len(pieces))
    at = {name: [int(v) for v in getattr(pieces, name)] for name in pieces.__dataclass_fields__}
    for p in ids:
        block = operands.weights(factors[at["factor"][p]])[at["block"][p]]
        for i in range(at["rows"][p]):
            for j in range(at["cols"][p]):
                cells = encoding.cells(block[at["row0"][p] + i, at["col0"][p] + j])
                for c in range(w):
                    table[at["array"][p], at["array_row"][p] + i, (at["array_col"][p] + j) * w + c] = int(cells[c])
    made: list[tuple[int, int, int, float]] = []  # factor, element, end, value

    def gathered(factor: int, time: float) -> Ints:
        total = np.zeros((1, factors[factor].blocks * factors[factor].block_cols))
        for f, element, end, value in made:
            if f == factor and end <= time:
                total[0, element] += value
        return total

    def vector(factor: int, time: int) -> list[int]:
        f = factors[factor]
        if f.kind != "L":
            return [int(v) for v in operands.draw(f.input)[0]]
        before = next(g for g in factors if g.linear == f.linear and g.kind == "R")
        u = [
            min(max(math.floor(round(z) / 2 ** shifts[f.linear].shift) + half, 0), 2 * half - 1)
            for z in gathered(before.id, time)[0].tolist()
        ]
        return [int(v) for v in shuffled(problem.structures[f.linear], np.array([u]))[0]]

    for a in np.argsort(activations.start, kind="stable").tolist():
        fired = activations.piece[activations.pieces_from[a] : activations.pieces_to[a]].tolist()
        drive: dict[int, int] = {}
        sums_of_inputs: dict[int, int] = {}
        stack: dict[int, int] = {}
        for p in fired:
            u = vector(at["factor"][p], int(activations.start[a]))
            base = at["block"][p] * factors[at["factor"][p]].block_rows + at["row0"][p]
            for i in range(at["rows"][p]):
                drive[at["array_row"][p] + i] = u[base + i]
            sums_of_inputs[p] = sum(u[base : base + at["rows"][p]])
            for j in range(at["cols"][p]):
                stack[at["array_col"][p] + j] = stack.get(at["array_col"][p] + j, 0) + at["rows"][p]
        n = max(stack.values())
        full = n * (2**hardware.input.dac_bits - 1) * (2**hardware.cell.bits - 1)
        claimed = int(activations.adc_bits[a])
        effective = max(claimed, int(hardware.adc_bits_used(n)))
        step = 1.0 if 2**effective - 1 >= full else full / (2**effective - 1)
        seen = set()
        for p in fired:
            f = at["factor"][p]
            for j in range(at["cols"][p]):
                element = at["block"][p] * factors[f].block_cols + at["col0"][p] + j
                value = 0.0
                if (at["array_col"][p] + j, f, element) not in seen:
                    seen.add((at["array_col"][p] + j, f, element))
                    for phase in range(hardware.input_phases):
                        for c in range(w):
                            col = (at["array_col"][p] + j) * w + c
                            total = 0
                            for row, u_row in drive.items():
                                digit = (u_row >> (phase * hardware.input.dac_bits)) % 2**hardware.input.dac_bits
                                total += digit * table.get((int(activations.array[a]), row, col), 0)
                            code = min(round(total / step), 2**claimed - 1)
                            place = 2.0 ** (phase * hardware.input.dac_bits)
                            value += code * step * place * float(encoding.column_factors()[c])
                value -= encoding.offset * sums_of_inputs[p]
                made.append((f, element, max(int(activations.end[a]), int(activations.start[a]) + 1), value))
    results = {}
    for f in factors:
        total = gathered(f.id, math.inf)
        if f.kind == "L":
            total = total - half * operands.weights(f).sum(axis=1, dtype=np.int64).reshape(1, -1)
        results[f.id] = np.rint(total).astype(np.int64)
    return results


@settings(max_examples=30)
@given(st.data())
def test_agrees_with_a_simulator_of_single_cells(data: st.DataObject) -> None:
    """Any grouping, any times, claims of any bits: legal or not, both give the same numbers."""
    draw = data.draw
    hardware = small_hardware(
        rows=8,
        cols=24,
        weight__bits=draw(st.integers(2, 4)),
        weight__signed=draw(st.sampled_from(["differential", "offset", "none"])),
        cell__bits=draw(st.integers(1, 2)),
        input__bits=draw(st.integers(2, 4)),
        input__dac_bits=draw(st.integers(1, 2)),
        adc__bits_rule=draw(st.sampled_from(["lossless", "log2_rows"])),
    )
    problem = small_problem([[(6, 6, "2,3,1"), (6, 4, "dense")], [(4, 4, "1,2,2")]], hardware)
    pieces = shelves(problem, tiles(problem, draw(st.integers(1, 4)), draw(st.integers(1, 3))))
    count = len(pieces)
    # Any groups of pieces of one array, in any order and at any time.
    numbers = st.integers(0, draw(st.integers(1, 30)))
    fires = [7 * draw(numbers) * 1000 + int(array) for array in pieces.array]
    _, group = np.unique(fires, return_inverse=True)
    piece = np.argsort(group, kind="stable")
    size = np.bincount(group)
    start = np.array([draw(st.integers(0, 20)) for _ in size])
    activations = Activations(
        array=pieces.array[piece[np.cumsum(size) - size]],
        start=start,
        end=start + np.array([draw(st.integers(0, 10)) for _ in size]),
        adc_bits=np.array([draw(st.integers(1, 9)) for _ in size]),
        pieces_from=np.cumsum(size) - size,
        pieces_to=np.cumsum(size),
        piece=piece,
    )
    assert len(piece) == count
    operands = prepare_operands(problem, None, 1, draw(st.integers(0, 9)), {})
    reference = compute_reference(problem, operands)
    firings = collect_firings(problem, operands, pieces, activations)
    converters = Converters.of(hardware, firings.stacked, firings.claimed_bits)
    crossbars = Crossbars(problem, operands, firings)
    got = TokenPass(problem, operands, firings, crossbars, reference, converters, ideal=False, progress=None).run()
    naive = simulate_by_cell(problem, operands, pieces, activations, reference.requantisers)
    assert got.keys() == naive.keys()
    for factor, expected in naive.items():
        # Steps are fractions of odd denominators: their sums are never near a half, so rounding agrees too.
        assert got[factor].tolist() == expected.tolist()


def _strategies() -> dict[str, Callable[[Problem], Placement]]:
    from cimsolve.solve.rules.diagonals import map_densemap, map_sparsemap
    from cimsolve.solve.rules.spread import map_spread

    return {"densemap": map_densemap, "sparsemap": map_sparsemap, "spread": map_spread}


@pytest.mark.parametrize("name", ["densemap", "sparsemap", "spread"])
def test_strategies_give_the_right_numbers(name: str) -> None:
    steps = [[(64, 64, "8,8,1")] * 3, [(64, 64, "8,8,1")], [(64, 128, "8,8,1")], [(128, 64, "8,8,1")]]
    problem = small_problem(steps)
    mapping, activations = schedule(problem, _strategies()[name](problem))
    assert simulate(problem, mapping.pieces, activations).exact
