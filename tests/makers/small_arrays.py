"""Small questions and hand-made answers for the simulator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from cimsolve.chip.read import parse_hardware
from cimsolve.chip.spec import Hardware
from cimsolve.columns import Ints
from cimsolve.judge.simulate import ArraySimulator, SimulationReport, simulate
from cimsolve.model.families import parse_model
from cimsolve.model.structure import Structure
from cimsolve.price.schedule import schedule
from cimsolve.problem.problem import Problem
from cimsolve.problem.question import Question
from cimsolve.problem.tables import Activations, Pieces
from cimsolve.problem.tables import Mapping as Placement
from makers.hardware_specs import spec

Places = Sequence[int] | Ints


def small_hardware(rows: int = 32, cols: int = 128, **changes: Any) -> Hardware:
    changes = {"adc__per_array": 4, "input__bits": 6, "weight__bits": 4, **changes}
    return parse_hardware(spec("rram256", array__rows=rows, array__cols=cols, **changes), "test")


def drawn_hardware(
    draw: st.DrawFn, rows_max: int = 24, cell_bits_max: int = 4, dac_bits_max: int = 3, **changes: Any
) -> Hardware:
    """Any encoding, cell and phase width, on arrays of at most `rows_max` rows."""
    weight_bits, input_bits = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    return small_hardware(
        rows=draw(st.integers(2, rows_max)),
        cols=draw(st.integers(16, 200)),
        weight__bits=weight_bits,
        weight__signed=draw(st.sampled_from(["differential", "offset", "none"])),
        cell__bits=draw(st.integers(1, min(cell_bits_max, weight_bits))),
        input__bits=input_bits,
        input__dac_bits=draw(st.integers(1, min(dac_bits_max, input_bits))),
        **changes,
    )


def drawn_shape(draw: st.DrawFn, k: int, rows: int, blocks_max: int, cols_max: int) -> tuple[int, int, str]:
    """A linear that reads k blocks of `rows` inputs: dense, or of two factors."""
    blocks, cols = draw(st.integers(1, blocks_max)), draw(st.integers(1, cols_max))
    rank = draw(st.integers(0, min(rows, cols)))
    return k * rows, blocks * cols, f"{k},{blocks},{rank}" if rank else "dense"


def drawn_pieces(draw: st.DrawFn, problem: Problem, rows_max: int = 12) -> Pieces:
    """Pieces of at most `rows_max` rows, one an array or on shelves."""
    pieces = tiles(problem, draw(st.integers(1, rows_max)), draw(st.integers(1, 8)))
    return shelves(problem, pieces) if draw(st.booleans()) else pieces


def drawn_converters(draw: st.DrawFn, hardware: Hardware) -> dict[str, Any]:
    """Options of the simulator: a seed, the reading of a pair, converters of fewer bits."""
    options: dict[str, Any] = {"seed": draw(st.integers(0, 9))}
    if hardware.weight.signed == "differential":
        options["pairs"] = draw(st.sampled_from(["converted", "subtracted"]))
    if draw(st.booleans()):
        options["adc_bits_max"] = draw(st.integers(1, 6))
    return options


def small_problem(steps: Sequence[Sequence[tuple[int, int, str]]], hardware: Hardware | None = None) -> Problem:
    """One step per entry, of linears (n_in, n_out, structure); the linears of step i are called s{i}.{j}."""
    described = [
        {
            "name": f"s{i}",
            "linears": [{"name": f"s{i}.{j}", "n_in": n_in, "n_out": n_out} for j, (n_in, n_out, _) in enumerate(step)],
        }
        for i, step in enumerate(steps)
    ]
    model = parse_model({"model_type": "linears", "steps": described}, "test", "test")
    structures = {
        f"s{i}.{j}": Structure.parse(text) for i, step in enumerate(steps) for j, (*_, text) in enumerate(step)
    }
    return Problem(Question(hardware or small_hardware(), model, structures))


def tiles(problem: Problem, rows: int = 10**6, cols: int = 10**6) -> Pieces:
    """All blocks cut into pieces of at most rows x cols, one an array."""
    found = [
        (f.id, block, row, min(rows, f.block_rows - row), col, min(cols, f.block_cols - col))
        for f in problem.workload.factors
        for block in range(f.blocks)
        for row in range(0, f.block_rows, min(rows, problem.rows_limit))
        for col in range(0, f.block_cols, min(cols, problem.weights_per_row))
    ]
    found = [
        (f, b, row, min(n, problem.rows_limit), col, min(m, problem.weights_per_row)) for f, b, row, n, col, m in found
    ]
    columns = np.array(found, dtype=np.int64).T
    nowhere = np.zeros(len(found), dtype=np.int64)
    return Pieces(*columns, np.arange(len(found)), nowhere, nowhere)


def changed(pieces: Pieces, index: int, **values: int) -> Pieces:
    """`pieces` with some fields of one piece replaced."""
    columns = {}
    for name, value in values.items():
        columns[name] = getattr(pieces, name).copy()
        columns[name][index] = value
    return replace(pieces, **columns)


def placed(pieces: Pieces, array: Places, row: Places, col: Places) -> Pieces:
    return replace(pieces, array=np.array(array), array_row=np.array(row), array_col=np.array(col))


def scheduled(problem: Problem, pieces: Pieces, fires: Places | None = None) -> tuple[Pieces, Activations]:
    chosen = np.arange(len(pieces)) if fires is None else np.asarray(fires)
    mapping, activations = schedule(problem, Placement(pieces, chosen))
    return mapping.pieces, activations


def build(problem: Problem, pieces: Pieces, fires: Places | None = None, **options: Any) -> ArraySimulator:
    return ArraySimulator(problem, *scheduled(problem, pieces, fires), **options)


def run(problem: Problem, pieces: Pieces, fires: Places | None = None, **options: Any) -> SimulationReport:
    return simulate(problem, *scheduled(problem, pieces, fires), **options)


def shelves(problem: Problem, pieces: Pieces) -> Pieces:
    """The pieces on as few arrays as simple shelves give: full arrays, many neighbours."""
    array = row = col = height = 0
    at: list[tuple[int, int, int]] = []
    for rows, cols in zip(pieces.rows.tolist(), pieces.cols.tolist(), strict=True):
        if col + cols > problem.weights_per_row:
            row, col, height = row + height, 0, 0
        if row + rows > problem.rows:
            array, row, col, height = array + 1, 0, 0, 0
        at.append((array, row, col))
        col, height = col + cols, max(height, rows)
    return placed(pieces, *zip(*at, strict=True))


CHAIN = [[(16, 16, "4,4,1"), (16, 24, "4,4,1")], [(24, 12, "dense")]]
