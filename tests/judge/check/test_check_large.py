"""Large and hostile answers are judged in bounded memory and time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cimsolve.api import make_problem
from cimsolve.judge.check import check_solution, firing, placement
from cimsolve.problem.solution import Solution
from cimsolve.study.solving import solve
from makers.bounded_memory import bounded_memory
from makers.builders import (
    answer,
    ask,
    broken,
    chip,
    column,
    honest,
    linears,
    pieces_of,
    step,
    with_entry,
    with_header,
    with_tables,
)


def hostile(model: dict[str, Any], **hardware: Any) -> Solution:
    """The header of a question of the hostile, the tables of an honest answer."""
    solution = honest()
    return with_header(solution, hw=chip(**hardware) if hardware else solution.header.hw, model=model)


def test_many_layers_and_few_pieces() -> None:
    layers = 2048
    model = {
        "model_type": "llama",
        "hidden_size": 1024,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "intermediate_size": 1024,
        "max_position_embeddings": 512,
    }
    solution = with_header(hostile(model), structure={})
    with bounded_memory():
        assert broken(solution) == {"question"}


def test_a_matrix_of_a_million_blocks_and_one_piece() -> None:
    solution = hostile(linears(step("a", (2**20, 2**20)), step("b", (2**20, 2**20))))
    solution = with_header(solution, structure={"a0": f"{2**20},1,1", "b0": "dense"})
    with bounded_memory():
        assert "P1" in broken(solution)


def test_weights_beyond_counting() -> None:
    steps = [step(f"s{index}", *[(2**20, 2**20)] * 8) for index in range(6)]
    structure = {f"s{index}{number}": "dense" for index in range(6) for number in range(8)}
    problem = hostile(linears(*steps))
    with bounded_memory():
        assert "P1" in broken(with_header(problem, structure=structure))


def test_tokens_beyond_counting() -> None:
    model = {
        "model_type": "llama",
        "hidden_size": 2**20,
        "num_hidden_layers": 1,
        "num_attention_heads": 4096,
        "head_dim": 2**20,
        "intermediate_size": 2**20,
        "max_position_embeddings": 2**20,
    }
    solution = hostile(model)
    options = solution.header.options.model_copy(update={"tokens": 2**20})
    names = [f"self_attn.{key}_proj" for key in "qkvo"] + [f"mlp.{key}_proj" for key in ("gate", "up", "down")]
    structure = {f"model.layers.0.{name}": "dense" for name in names}
    with bounded_memory():
        found = check_solution(with_header(solution, options=options, structure=structure))
    assert not found.passed


@pytest.mark.parametrize("wiring", ["any", "interleaved", "adjacent"])
def test_the_largest_arrays_and_few_pieces(wiring: str) -> None:
    side = 65536
    hardware = chip(
        array__rows=side,
        array__cols=side,
        adc__wiring=wiring,
        adc__per_array=side // 64,
        adc__lossy_allowed=True,
    )
    problem = ask(linears(step("a", (side, 4)), step("b", (4, 4))), {"a0": "2,2,1", "b0": "dense"}, hardware)
    factors = problem.workload.factors
    rows = [
        (factor.id, block, 0, factor.block_rows, 0, factor.block_cols, array, block * factor.block_rows, block * 16)
        for factor, array in zip(factors, range(3), strict=True)
        for block in range(factor.blocks)
    ]
    solution = answer(problem, pieces_of(*rows), [row[0] for row in rows])
    far_apart = {0: 2**31 - 1, 1: 0, 2: 7}
    renamed = {
        f"{table}__array": [far_apart[array] for array in column(solution, f"{table}__array")]
        for table in ("pieces", "activations")
    }
    with bounded_memory():
        assert check_solution(with_tables(solution, **renamed)).passed


def test_chunks_change_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = make_problem("minilm-l6", "paper256")
    monkeypatch.setattr(placement, "CHUNK_PIECES", 7)
    monkeypatch.setattr(firing, "CHUNK_PAIRS", 7)
    for strategy in ("sparsemap", "spread"):
        solution = solve(problem, strategy)
        assert check_solution(solution).passed
        # The last piece of the last chunk is moved on to another of its array.
        array = solution.pieces.array
        index, other = np.flatnonzero(array == array.max())[-2:]
        moved = with_entry(solution, "pieces__array_row", int(index), int(solution.pieces.array_row[other]))
        moved = with_entry(moved, "pieces__array_col", int(index), int(solution.pieces.array_col[other]))
        assert "P3" in broken(moved)


@pytest.mark.slow
def test_a_million_pieces_are_checked_in_bounded_memory() -> None:
    problem = make_problem("llama-3-8b", "rram256")
    whole = solve(problem, "spread").pieces
    parts = whole.cols // 2
    source = np.repeat(np.arange(len(whole)), parts)
    shift = 2 * (np.arange(len(source)) - np.repeat(np.cumsum(parts) - parts, parts))
    cut = whole.take(source)
    pieces = replace(cut, col0=cut.col0 + shift, cols=np.full(len(source), 2), array_col=cut.array_col + shift)
    assert len(pieces) > 1_000_000
    solution = answer(problem, pieces)
    with bounded_memory(1000 * 2**20):
        assert check_solution(solution).passed
