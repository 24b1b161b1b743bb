"""The product of a model's linears by the arrays of a mapping, behind one or several settings of their converters.

arrays = ArrayProduct(problem, pieces, activations, weights, inputs, weight_scale="column", adc_bits_max=6)
found = compare(reference, sequences, reference.run(sequences), reference.run(sequences, arrays))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cimsolve.columns import Floats
from cimsolve.judge.simulate import ArraySimulator, RealWeights
from cimsolve.model.workload import build_workload
from cimsolve.problem.problem import Problem
from cimsolve.problem.tables import Activations, Pieces
from cimsolve.weights.tensors import Floats32


class ArrayProduct:
    """A `Product` of the reference forward pass, by the arrays of a mapping that the checker has passed.

    The arrays of one layer are programmed at a time, when it is reached, so that a model of any depth fits in memory.
    """

    def __init__(
        self,
        problem: Problem,
        pieces: Pieces,
        activations: Activations,
        weights: RealWeights,
        calibration: Mapping[str, Floats] | None = None,
        converters: Sequence[Mapping[str, Any]] = (),
        **options: Any,
    ) -> None:
        """`weights`: linear -> dense matrix (n_in, n_out) or Monarch factors; `options` as of `ArraySimulator`.

        `calibration`, linear -> inputs (samples, n_in), sets the ranges of converters with adc_range="calibrated".

        With `converters`, options as of `ArraySimulator.with_converters`, the tokens of a call are as many equal parts
        one after the other, and each part passes its own: the arrays are programmed once for all of them. Ranges are
        then those of the sums that lossless converters would meet.
        """
        self._mapping = (problem, pieces, activations)
        self._weights, self._calibration, self._options = weights, calibration or {}, options
        self._converters = converters
        self._layer_of = {each.linear: each.layer for each in build_workload(problem.model, problem.structures).factors}
        self._programmed: tuple[int, Sequence[ArraySimulator]] | None = None
        self.lossy = False
        """Whether any converter met so far lacks a code for some sum of its full range."""

    def __call__(self, name: str, inputs: Floats32) -> Floats32:
        """Outputs (tokens, n_out) of a linear. Raises InputError where it has no inputs to be calibrated with."""
        simulators = self._simulators(self._layer_of[name])
        parts = np.split(inputs, len(simulators))
        found = [each.linear(name, part) for each, part in zip(simulators, parts, strict=True)]
        return np.concatenate(found).astype(np.float32)

    def _simulators(self, layer: int) -> Sequence[ArraySimulator]:
        if self._programmed is None or self._programmed[0] != layer:
            self._programmed = None  # before the next is made: both would be in memory
            options = {**self._options, "rounds": False, "clips": False} if self._converters else self._options
            made = ArraySimulator(*self._mapping, weights=self._weights, layers=[layer], **options)
            if made.calibrates or any(each.get("adc_range") == "calibrated" for each in self._converters):
                for name in made.linears:
                    if name in self._calibration:
                        made.calibrate(name, self._calibration[name])
            all_made = [made.with_converters(**each) for each in self._converters] or [made]
            self.lossy |= any(each.lossy for each in all_made)
            self._programmed = (layer, all_made)
        return self._programmed[1]
