"""Low-rank factors fitted one linear after the other to what the model as stored so far reads.

What a linear before has lost, the next ones put right as far as they can. With x what a linear reads in the float
model and r what is added to its outputs, x' and r' the same in the model as stored, the factors of rank T are the
nearest in

    || (X' M - Y) H ||        Y = (1 - s) X' W + s (X W + R - R'),  s = PUT_RIGHT

With C the mean of x' x'^T and a ridge, C = F F^T, B the mean of x' y^T and the ridge times W, and H as in `fit`, where
gradients are known, they are F^-T times the truncated singular value decomposition of F^-1 B H, times H^-1; where
nothing is lost yet that is `Whitened`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import solve_triangular

from cimsolve.columns import Bools, Ints
from cimsolve.model.structure import Structure
from cimsolve.study.choose.fit import counted_tokens, mean_product, nearest, ridge_of, root_of
from cimsolve.weights.eigenvectors import Floats64
from cimsolve.weights.forward import Reference, listening
from cimsolve.weights.monarch import Monarch, apply
from cimsolve.weights.tensors import Floats32

PUT_RIGHT = 0.5
"""The share of what was lost before that a linear is to put right; all of it, and factors learn the text by heart."""


def refitted(
    reference: Reference,
    sequences: Sequence[Ints],
    structures: Mapping[str, Structure],
    weight: Callable[[str], Floats32],
    felt: Mapping[str, Floats64],
    listen: Callable[[int], None] = lambda _: None,
) -> dict[str, Monarch]:
    """Factors of all linears that are not dense, in the order of the forward pass over `sequences`.

    `weight` reads that of a linear, `felt` has the mean of g g^T at its outputs where that is known; `listen` is told
    how many layers are done.
    """
    fit = _Fit(reference, structures, weight, felt, counted_tokens(reference, sequences))
    exact: Floats32 | None = None
    stored: Floats32 | None = None
    for layer in range(reference.layers):
        fit.heard, fit.read = {}, {}
        before = reference.states(sequences, listening(reference.exact, fit.heard.__setitem__), layer, exact)
        after = reference.states(sequences, fit.multiply, layer, stored)
        fit.lost = next(before) - next(after)
        exact, stored = next(before), next(after)
        listen(layer + 1)
    return fit.found


@dataclass
class _Fit:
    """The linears of a layer, as they come in its forward pass, beside what they read in the float model."""

    reference: Reference
    structures: Mapping[str, Structure]
    weight: Callable[[str], Floats32]
    felt: Mapping[str, Floats64]
    counted: Bools
    found: dict[str, Monarch] = field(default_factory=dict)
    heard: dict[str, Floats32] = field(default_factory=dict)
    read: dict[str, Floats32] = field(default_factory=dict)
    """What linears of the layer read, in the float model and in that as stored."""
    lost: Floats32 = field(default_factory=lambda: np.zeros((0, 0), dtype=np.float32))
    """Of the states before the layer, and of all that the layer has added to them so far."""
    _roots: tuple[Floats32, float, Floats64] | None = None
    """Inputs, their ridge and their root: several linears may read the same."""

    def multiply(self, name: str, inputs: Floats32) -> Floats32:
        """The outputs of a linear as it is stored, for which its factors are found."""
        self.read[name] = inputs
        weight, adds = self.weight(name), self.reference.is_added(name)
        outputs = plain = inputs @ weight
        if adds or not self.structures[name].is_dense:
            exact = self.heard[name] @ weight
        if not self.structures[name].is_dense:
            lost = exact - plain
            beside = self.reference.added_beside(name)
            if adds:
                lost += self.lost
            elif beside is not None:
                lost += self.heard[beside] - self.read[beside]
            lost *= np.float32(PUT_RIGHT)
            self.found[name] = self._nearest(name, inputs, plain + lost, weight)
            outputs = apply(self.found[name], inputs).astype(np.float32)
        if adds:
            self.lost = self.lost + exact - outputs
        return outputs

    def _nearest(self, name: str, inputs: Floats32, wanted: Floats32, weight: Floats32) -> Monarch:
        """The factors nearest in the outputs that are wanted of these inputs."""
        counted = inputs[self.counted]
        if self._roots is None or self._roots[0] is not inputs:
            square = mean_product(counted, counted)
            self._roots = inputs, ridge_of(square), root_of(square)
        _, ridge, root = self._roots
        met = mean_product(counted, wanted[self.counted]) + ridge * weight
        seen = solve_triangular(root, met, lower=True, check_finite=False)
        felt = root_of(self.felt[name]) if name in self.felt else None
        seen = seen if felt is None else seen @ felt
        return nearest(root, seen, felt, self.structures[name].rank)
