"""Low-rank factors fitted one linear after the other to what the model as stored so far reads.

What a linear before has lost, the next ones put right as far as they can. With x what a linear reads in the float
model and r what is added to its outputs, x' and r' the same in the model as stored, the factors of rank T are the
nearest in

    || X' M - Y ||        Y = (1 - s) X' W + s (X W + R - R'),  s = PUT_RIGHT

With C the mean of x' x'^T and a ridge, C = F F^T, and B the mean of x' y^T and the ridge times W, they are F^-T times
the truncated singular value decomposition of F^-1 B; where nothing is lost yet that is `Whitened`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.linalg import solve_triangular

from cimsolve.columns import Ints
from cimsolve.model.structure import Structure
from cimsolve.study.choose.fit import mean_product, ridge_of
from cimsolve.weights.eigenvectors import best_product
from cimsolve.weights.forward import Reference, listening
from cimsolve.weights.monarch import Monarch, apply, from_slices
from cimsolve.weights.tensors import Floats32

PUT_RIGHT = 0.5
"""The share of what was lost before that a linear is to put right; all of it, and factors learn the text by heart."""


def refitted(
    reference: Reference,
    sequences: Sequence[Ints],
    structures: Mapping[str, Structure],
    weight: Callable[[str], Floats32],
    listen: Callable[[int], None] = lambda _: None,
) -> dict[str, Monarch]:
    """Factors of all linears that are not dense, in the order of the forward pass over `sequences`.

    `weight` reads that of a linear; `listen` is told how many layers are done.
    """
    found: dict[str, Monarch] = {}
    exact: Floats32 | None = None
    stored: Floats32 | None = None
    for layer in range(reference.layers):
        heard: dict[str, Floats32] = {}
        read: dict[str, Floats32] = {}

        def multiply(name: str, inputs: Floats32, heard: dict = heard, read: dict = read) -> Floats32:  # type: ignore[type-arg]
            read[name] = inputs
            if structures[name].is_dense:
                return reference.exact(name, inputs)
            plain = reference.exact(name, inputs)
            lost = reference.exact(name, heard[name]) - plain
            beside = reference.added_beside(name)
            if beside is not None:
                lost += heard[beside] - read[beside]
            wanted = plain + np.float32(PUT_RIGHT) * lost
            found[name] = _nearest(inputs, wanted, weight(name), structures[name].rank)
            return apply(found[name], inputs).astype(np.float32)

        exact = _after(reference, sequences, listening(reference.exact, heard.__setitem__), layer, exact)
        stored = _after(reference, sequences, multiply, layer, stored)
        listen(layer + 1)
    return found


def _after(
    reference: Reference,
    sequences: Sequence[Ints],
    product: Callable[[str, Floats32], Floats32],
    layer: int,
    hidden: Floats32 | None,
) -> Floats32:
    """The states after a layer, from those before it."""
    states = reference.states(sequences, product, layer, hidden)
    next(states)
    return next(states)


def _nearest(inputs: Floats32, wanted: Floats32, weight: Floats32, rank: int) -> Monarch:
    """The factors of `rank` nearest in the outputs that are wanted of these inputs."""
    square = mean_product(inputs, inputs)
    ridge = ridge_of(square)
    root = np.linalg.cholesky(square + ridge * np.eye(len(square)))
    seen = solve_triangular(root, mean_product(inputs, wanted) + ridge * weight, lower=True, check_finite=False)
    tall, wide = best_product(seen[None], rank)
    tall = solve_triangular(root, tall[0], lower=True, trans="T", check_finite=False)
    return from_slices(tall[None, None], wide[None], np.float32)
