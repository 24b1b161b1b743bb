"""What mapped arrays do to a model's own answers: its forward pass with every linear run by the arrays.

    arrays = ArrayProduct(problem, pieces, activations, weights, inputs, weight_scale="column", adc_bits_max=6)
    found = compare(reference, sequences, reference.run(sequences), reference.run(sequences, arrays))

Biases, norms, embeddings, attention and the language-model head are not mapped on arrays and stay float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cimsolve.arrays import Floats, Ints
from cimsolve.mapping import Activations, Pieces
from cimsolve.problem import Problem
from cimsolve.reference import Reference
from cimsolve.reference.base import Floats32
from cimsolve.reference.bert import BertReference
from cimsolve.reference.llama import LlamaReference
from cimsolve.simulate import ArraySimulator, RealWeights
from cimsolve.workload import build_workload


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
        **options: Any,
    ) -> None:
        """`weights`: linear -> dense matrix (n_in, n_out) or Monarch factors; `options` as of `ArraySimulator`.

        `calibration`, linear -> inputs (samples, n_in), sets the ranges of converters with adc_range="calibrated".
        """
        self._mapping = (problem, pieces, activations)
        self._weights, self._calibration, self._options = weights, calibration or {}, options
        self._layer_of = {each.linear: each.layer for each in build_workload(problem.model, problem.structures).factors}
        self._programmed: tuple[int, ArraySimulator] | None = None
        self.lossy = False
        """Whether any converter met so far lacks a code for some sum of its full range."""

    def __call__(self, name: str, inputs: Floats32) -> Floats32:
        """Outputs (tokens, n_out) of a linear. Raises InputError where it has no inputs to be calibrated with."""
        return self._simulator(self._layer_of[name]).linear(name, inputs).astype(np.float32)

    def _simulator(self, layer: int) -> ArraySimulator:
        if self._programmed is None or self._programmed[0] != layer:
            self._programmed = None  # before the next is made: both would be in memory
            made = ArraySimulator(*self._mapping, weights=self._weights, layers=[layer], **self._options)
            self.lossy |= made.lossy
            if made.calibrates:
                for name in made.linears:
                    if name in self._calibration:
                        made.calibrate(name, self._calibration[name])
            self._programmed = (layer, made)
        return self._programmed[1]


@dataclass(frozen=True)
class Accuracy:
    """How near a model's answers are to those of the float model; None where the family has no such answer."""

    cosine: float | None = None
    """Mean cosine between sentence embeddings, means over tokens (BERT)."""
    perplexity: float | None = None
    """exp of the mean of -ln p(next token)."""
    agreement: float | None = None
    """Share of tokens after which the most probable next token is the float model's."""


def compare(reference: Reference, sequences: Sequence[Ints], exact: Floats32, hidden: Floats32) -> Accuracy:
    """`exact` and `hidden`: hidden states (tokens, width) by the float product and by another.

    Raises InputError for a language model and sequences of single tokens.
    """
    if isinstance(reference, BertReference):
        ours, theirs = (reference.embed(each, sequences).astype(np.float64) for each in (hidden, exact))
        return Accuracy(cosine=float(np.einsum("sd,sd->s", ours, theirs).mean()))
    assert isinstance(reference, LlamaReference)
    same = reference.next_tokens(hidden) == reference.next_tokens(exact)
    return Accuracy(perplexity=float(np.exp(reference.loss(hidden, sequences))), agreement=float(same.mean()))
