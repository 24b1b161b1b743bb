"""A model whose large steps are cut into parts, each of which makes some of the outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from cimsolve.columns import ceil_div
from cimsolve.model.model import Linear, Model, Step
from cimsolve.model.structure import Structure


def cut_steps(
    model: Model, structures: Mapping[str, Structure], weights_max: int
) -> tuple[Model, dict[str, Structure]]:
    """The model with steps of more stored weights than these cut, and how all of its linears are stored.

    The parts of a step read what it reads, each on its own; the first does the work before it. Outputs are dealt out
    evenly, so that none is a sum over parts. A step with experts stays whole, as does one with a convolution in
    groups, or whose outputs cannot be cut at a place of the file.
    """
    steps: list[Step] = []
    parts_of: list[tuple[int, ...]] = []
    stored = {linear.name: structures[linear.name] for linear in model.linears}
    for step in model.steps:
        reads = tuple(part for read in step.reads for part in parts_of[read])
        first = len(steps)
        parts = tuple(_parts(step, stored, weights_max))
        for number, linears in enumerate(parts):
            part = replace(step, reads=reads, linears=linears)
            if number:
                part = replace(part, operations=(), cache=None)
            steps.append(replace(part, name=f"{step.name}.{number}") if len(parts) > 1 else part)
        parts_of.append(tuple(range(first, len(steps))))
    cut = replace(model, steps=tuple(steps), steps_cut_at=weights_max)
    return cut, {linear.name: stored[linear.name] for linear in cut.linears}


def _parts(step: Step, stored: dict[str, Structure], weights_max: int) -> Iterator[tuple[Linear, ...]]:
    """The linears of each part of a step; how they are stored is put into `stored`."""
    weights = {each.name: stored[each.name].stored_weights(each.n_in, each.n_out) for each in step.linears}
    count = ceil_div(sum(weights.values()), weights_max)
    if count == 1 or step.experts is not None or any(_is_cut_inside(linear) for linear in step.linears):
        yield step.linears
        return
    total = sum(weights.values())
    part: list[Linear] = []
    done = held = 0.0  # weights of all parts so far, and of this one
    number = 1
    for linear in step.linears:
        units = _units(stored[linear.name], linear)
        each = weights[linear.name] / units
        begin = 0
        while begin < units:
            # As many outputs as come nearest to this part's share, and fit; one where none does.
            left = min(total, total * number / count) - done
            room = min(round(left / each), int((weights_max - held) / each))
            end = min(units, begin + max(room, not part))
            if end > begin:
                part.append(_outputs(linear, begin, end, units, stored))
                done, held = done + (end - begin) * each, held + (end - begin) * each
            begin = end
            if begin < units:
                yield tuple(part)
                part, held, number = [], 0.0, number + 1
    yield tuple(part)


def _is_cut_inside(linear: Linear) -> bool:
    """Whether it has groups, or the file holds it as a part of the inputs of a tensor, which names no outputs."""
    return linear.groups > 1 or (linear.tensor.cut == "in" and (linear.tensor.start, linear.tensor.stop) != (0, None))


def _units(structure: Structure, linear: Linear) -> int:
    """Into how many parts the outputs can be cut: columns, or the output blocks of a factored linear."""
    return linear.n_out if structure.is_dense else structure.l


def _outputs(linear: Linear, begin: int, end: int, units: int, stored: dict[str, Structure]) -> Linear:
    """Some of the outputs of a linear as one of its own."""
    if (begin, end) == (0, units):
        return linear
    structure, each = stored[linear.name], linear.n_out // units
    start, stop = begin * each, end * each
    tensor = replace(linear.tensor, start=linear.tensor.start + start, stop=linear.tensor.start + stop, cut="out")
    part = replace(linear, name=f"{linear.name}[{start}:{stop}]", n_out=stop - start, tensor=tensor)
    stored[part.name] = structure if structure.is_dense else Structure(structure.k, end - begin, structure.rank)
    return part
