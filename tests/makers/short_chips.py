"""Chips with fewer arrays than a model needs, that write weights while they run, or stand in a row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cimsolve.chip.read import parse_hardware
from cimsolve.model.families import parse_model
from cimsolve.problem.problem import Problem
from cimsolve.problem.question import ask
from cimsolve.prove.runs import Cut
from makers.builders import chip

ROW_NS, CELL_PJ, BITS_PER_NS, BASE_NS, PJ_PER_BIT = 5, 2.0, 4.0, 3, 0.5
LINK = {"base_ns": 7, "bits_per_ns": 2.0, "pj_per_bit": 0.25}


def writing(data: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A chip with `write`, `load` and `chip_link`; `changes` are keys of the first two."""
    write = {"row_ns": ROW_NS, "cell_pj": CELL_PJ}
    load = {"bits_per_ns": BITS_PER_NS, "base_ns": BASE_NS, "pj_per_bit": PJ_PER_BIT}
    for key, value in changes.items():
        (load if key in load else write)[key] = value
    note = {"from": "made up", "mark": "assumed"}
    sources = {**data["sources"], "write": note, "load": note, "chip_link": note}
    return {**data, "write": write, "load": load, "chip_link": LINK, "sources": sources}


def all_cuts(count: int, begin: int = 0) -> Iterator[Cut]:
    """All ways to cut so many steps, from one on, into runs."""
    if begin == count:
        yield ()
    for end in range(begin + 1, count + 1):
        for others in all_cuts(count, end):
            yield ((begin, end), *others)


def short(
    config: dict[str, Any],
    arrays: int,
    *objective: str,
    structure: str = "dense",
    tokens: tuple[int, ...] = (),
    **changes: Any,
) -> Problem:
    """A question on so few arrays of the plain chip; `tokens` of the model and of its source."""
    hardware = parse_hardware(writing(chip(array__count=arrays), **changes), "chip")
    model = parse_model(config, "model", "tiny", *tokens)
    return Problem(ask(model, hardware, structure=structure, objective=objective or ("latency",)))
