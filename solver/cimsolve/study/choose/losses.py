"""What the ways of storing one linear lose of a model's answers, found with all others as they are.

`two-sided`, for decoders whose backward pass is known: l(T) = 1/2 * the two-sided loss of `Whitened.lost`, the second
order of the loss by the Fisher matrix, inputs and gradients taken as independent.

`alone`: l(T) = L(T0) * e(T) / e(T0), with L the loss of the answers as the linear alone is stored at T0, about a third
of its weights, and e what `Whitened.lost` says. The loss of answers is 1 - cosine of sentence embeddings, or
ln(perplexity / the float model's).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from cimsolve.columns import Ints
from cimsolve.errors import InputError
from cimsolve.model.structure import Structure
from cimsolve.study.accuracy.answers import Accuracy, Judge
from cimsolve.study.choose.fit import Whitened
from cimsolve.study.choose.menu import Menu
from cimsolve.weights.forward import Reference
from cimsolve.weights.monarch import apply
from cimsolve.weights.tensors import Floats32

MEASURED_AT = 3.0
"""How many times fewer weights a linear has while it is measured alone."""

Losses = Mapping[str, Mapping[Structure, float]]
"""Linear -> structure -> what it loses."""


def losses_alone(
    reference: Reference,
    menu: Menu,
    whitened: Callable[[str], Whitened],
    sequences: Sequence[Ints],
    listen: Callable[[int], None],
) -> Losses:
    """The loss of each way of storing each linear, measured on `sequences`; `listen` is told how many are done.

    Raises InputError where a loss is no number.
    """
    states = list(reference.states(sequences))
    judge = Judge(reference, sequences, reference.run(sequences, None, reference.layers, states[-1]))
    exact = judge(reference.run(sequences, None, reference.layers, states[-1]))
    layer_of = {linear.name: step.layer for step in reference.model.steps for linear in step.linears}
    found: dict[str, Mapping[Structure, float]] = {}
    for name, choices in menu.items():
        linear = reference.linears[name]
        seen = whitened(name)
        lost = seen.lost()
        ranks = [each.rank for each in choices if not each.is_dense]
        if not ranks:
            found[name] = dict.fromkeys(choices, 0.0)
            continue
        wanted = linear.weights / (MEASURED_AT * (linear.n_in + linear.n_out))
        rank = min(ranks, key=lambda each: (abs(each - wanted), each))
        factors = seen.factors(Structure.monarch(1, 1, rank))

        def product(which: str, inputs: Floats32, name: str = name, stored: object = factors) -> Floats32:
            return apply(stored, inputs).astype(np.float32) if which == name else reference.exact(which, inputs)  # type: ignore[arg-type]

        layer = layer_of[name]
        hidden = reference.run(sequences, product, layer, states[layer])
        loss = loss_of(judge(hidden), exact)
        if loss is None:
            raise InputError(f"{reference.model.name}: {name} at {rank} ranks: the answers are no numbers any more")
        share = loss / lost[rank] if lost[rank] else 0.0
        found[name] = {each: 0.0 if each.is_dense else float(share * lost[each.rank]) for each in choices}
        listen(len(found))
    return found


def losses_two_sided(menu: Menu, whitened: Callable[[str], Whitened], listen: Callable[[int], None]) -> Losses:
    """The loss of each way of storing each linear, in nats a token; `listen` is told how many are done."""
    found: dict[str, Mapping[Structure, float]] = {}
    for name, choices in menu.items():
        lost = whitened(name).lost()
        found[name] = {each: 0.0 if each.is_dense else float(lost[each.rank]) / 2 for each in choices}
        listen(len(found))
    return found


def loss_of(answers: Accuracy, exact: Accuracy) -> float | None:
    """What answers lose beside those of the float model, 0 or more; None where they are no numbers."""
    if answers.cosine is not None:
        return max(0.0, 1 - answers.cosine)
    if answers.perplexity is None or exact.perplexity is None or not math.isfinite(answers.perplexity):
        return None
    return max(0.0, math.log(answers.perplexity / exact.perplexity))
