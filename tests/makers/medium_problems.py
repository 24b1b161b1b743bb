"""Questions of a few layers, on chips that cut a little of everything."""

from __future__ import annotations

from random import Random
from typing import Any

from cimsolve.errors import InputError
from cimsolve.problem.problem import Problem
from makers.builders import ask, chip, linears, step

BERT: dict[str, Any] = {
    "model_type": "bert",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 8,
}
LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 12,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 8,
}


def medium_question(draw: Random) -> Problem:
    """A tiny BERT or Llama, or a few linears, on a chip that cuts a little of everything."""
    width = draw.choice([1, 1, 2, 4])
    rows, cols = draw.choice([4, 6, 8, 8, 12, 16]), draw.randint(3, 12) * width
    hardware = chip(
        array__rows=rows,
        array__cols=cols,
        array__rows_active_max=draw.choice([None, None, None, rows // 2]),
        weight__bits=width,
        adc__per_array=draw.randint(1, min(6, cols)),
        adc__wiring=draw.choice(["any", "interleaved", "adjacent"]),
        adc__sample_hold=draw.random() < 0.3,
        read_ns=draw.choice([1, 3, 20]),
    )
    config = draw.choice([BERT, LLAMA, "linears"])
    structure = draw.choice(["2,2,1", "4,2,1", "4,4,1", "4,4,1", "2,4,2"])
    if config == "linears":
        config = linears(*(step(f"s{i}", *[(8 * draw.randint(1, 3), 8)] * draw.randint(1, 3)) for i in range(3)))
    return ask(config, structure, hardware, draw.choice(["none", "columns", "columns", "both"]))  # type: ignore[arg-type]


def medium_questions(seed: int, count: int) -> list[Problem]:
    draw, found = Random(seed), []
    while len(found) < count:
        try:
            found.append(medium_question(draw))
        except InputError:
            continue
    return found


MEDIUM = medium_questions(1, 14)
