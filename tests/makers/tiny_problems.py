"""Problems of a handful of weights, for the exact solver and the brute force against it."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from functools import cache
from typing import Any

from cimsolve.chip.read import parse_hardware
from cimsolve.model.families import parse_model
from cimsolve.model.structure import Structure
from cimsolve.problem.problem import Problem
from cimsolve.problem.question import Question
from cimsolve.problem.terms import Cut, Terms
from makers.hardware_specs import spec

Step = Sequence[tuple[int, int, str]]
"""Linears with one input: n_in, n_out, structure."""

STEPS: tuple[tuple[Step, ...], ...] = (
    ([(2, 2, "dense"), (2, 1, "dense")],),
    ([(2, 1, "dense"), (2, 2, "dense")], [(3, 1, "dense")]),
    ([(1, 2, "dense"), (1, 2, "dense"), (1, 1, "dense")],),
    ([(1, 3, "dense")], [(3, 1, "dense"), (3, 1, "dense")]),
    ([(4, 2, "2,1,1")],),
    ([(2, 2, "2,1,1")], [(2, 2, "dense")]),
    ([(4, 1, "2,1,1"), (4, 1, "1,1,1")],),
    ([(2, 4, "1,2,1")],),
    ([(4, 4, "2,1,1")],),
    ([(2, 1, "2,1,1")], [(1, 2, "dense")]),
    ([(2, 2, "dense")], [(1, 2, "dense"), (1, 1, "dense")], [(2, 1, "dense")]),
)


def tiny_problem(
    steps: Sequence[Step],
    rows: int,
    cols: int,
    cut: Cut = "columns",
    max_arrays: int | None = None,
    **hardware: Any,
) -> Problem:
    """`steps` on arrays of rows x cols physical columns; `hardware` changes single keys of a plain spec."""
    settings: dict[str, Any] = {
        "array__rows": rows,
        "array__cols": cols,
        "array__rows_active_max": None,
        "input__bits": 2,
        "adc__per_array": 1,
        "read_ns": 3,
        **hardware,
    }
    names = [[f"s{s}.{i}" for i in range(len(step))] for s, step in enumerate(steps)]
    config = {
        "model_type": "linears",
        "steps": [
            {
                "name": f"s{s}",
                "linears": [
                    {"name": name, "n_in": n_in, "n_out": n_out}
                    for name, (n_in, n_out, _) in zip(names[s], step, strict=True)
                ],
            }
            for s, step in enumerate(steps)
        ],
    }
    structures = {
        name: Structure.parse(text)
        for s, step in enumerate(steps)
        for name, (_, _, text) in zip(names[s], step, strict=True)
    }
    chip = parse_hardware(spec("paper256", **settings), "tiny")
    model = parse_model(config, "tiny", "tiny")
    return Problem(Question(chip, model, structures, Terms(cut=cut, max_arrays=max_arrays)))


@cache
def random_problems(seed: int, count: int, most_placements: int = 20_000) -> tuple[Problem, ...]:
    """Problems that the exact solver takes, over all that matters to it; the same for the same seed.

    `most_placements` of single columns on one array keep the brute force short.
    """
    draw = random.Random(seed)
    found: list[Problem] = []
    while len(found) < count:
        width = draw.choice([1, 1, 2])
        rows = draw.choice([2, 3, 3, 4])
        weights = draw.choice([2, 3, 3, 4])
        cols = weights * width + draw.choice([0, width - 1])
        problem = tiny_problem(
            draw.choice(STEPS),
            rows,
            cols,
            draw.choice(["none", "columns"]),
            weight__bits=8 * width,
            adc__per_array=draw.randint(1, min(3, cols)),
            adc__wiring=draw.choice(["any", "interleaved", "adjacent"]),
            adc__sample_hold=draw.choice([False, True]),
            adc__bits_rule=draw.choice(["log2_rows", "log2_rows", "lossless"]),
            read_ns=draw.choice([1, 3, 10]),
            array__rows_active_max=draw.choice([None, None, rows, max(2, rows - 1)]),
        )
        table = problem.table
        fits = problem.cut == "columns" or int(table.block_cols.max()) <= problem.weights_per_row
        if not problem.must_cut_rows and fits and _placements(problem) <= most_placements:
            found.append(problem)
    return tuple(found)


def _placements(problem: Problem) -> float:
    """About how many ways there are to place the columns of all blocks on one array."""
    table = problem.table
    ways = 1.0
    for blocks, height, cols in zip(table.blocks, table.block_rows, table.block_cols, strict=True):
        spots = (problem.rows - int(height) + 1) * problem.weights_per_row
        ways *= math.comb(spots, int(cols)) ** int(blocks)
    return ways
