"""A part of a model: some of its steps in a row, with what comes to them from before and leaves them for later."""

from __future__ import annotations

import itertools
from dataclasses import replace

from cimsolve.errors import InputError
from cimsolve.model.model import Model, Tail


def part_of(model: Model, first: int, end: int) -> Model:
    """The steps from `first` to before `end` as a model; raises InputError where there are none.

    What steps before them made lies in memory: a step that reads nothing else has its work before it still. What steps
    after them read leaves the arrays when the part ends, unless its pass ends there, whose own tail moves it.
    """
    count = len(model.steps)
    if not first < end <= count:
        raise InputError(
            f"steps = {first}:{end}: {model.name} has steps 0 to {count - 1}; expected FIRST:END with "
            f"0 <= FIRST < END <= {count}"
        )
    chosen = model.steps[first:end]
    steps = tuple(
        replace(
            step,
            reads=(reads := tuple(each - first for each in step.reads if each >= first)),
            begins_part=bool(step.reads) and not reads,
        )
        for step in chosen
    )
    tails = {name: tail for name, tail in model.tails.items() if any(step.pass_name == name for step in chosen)}
    last = chosen[-1].pass_name
    if any(step.pass_name == last for step in model.steps[end:]):
        tails[last] = Tail((), made_for_later(model, first, end))
    linears = {linear.name for step in chosen for linear in step.linears}
    unmapped = (*model.unmapped, *(each.name for each in model.linears if each.name not in linears))
    return replace(model, steps=steps, tails=tails, unmapped=unmapped, part=(first, end))


def made_for_later(model: Model, first: int, end: int) -> int:
    """Elements that the steps from `first` to before `end` make and steps from `end` on read."""
    return sum(model.steps[each].made_elements for each in range(first, end) if model.last_reader[each] >= end)


def kept_elements(model: Model) -> tuple[int, ...]:
    """Elements of one token that lie in memory before each step, and none after the last.

    They are what later steps read of earlier ones, and the vector to which the next addition adds, which runs beside
    the steps.
    """
    steps = model.steps
    changes = [0] * (len(steps) + 1)
    for number, (step, reader) in enumerate(zip(steps, model.last_reader, strict=True)):
        if reader > number:
            changes[number + 1] += step.made_elements
            changes[reader + 1] -= step.made_elements
    added = [0]
    for step in reversed(steps):
        additions = (each.elements for each in step.operations if each.name == "add")
        added.append(next(additions, added[-1]))
    made = list(itertools.accumulate(changes))
    return (0, *(made[end] + added[len(steps) - end] for end in range(1, len(steps))), 0)
