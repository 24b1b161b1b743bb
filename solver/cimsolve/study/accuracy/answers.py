"""How near a model's answers are to those of the float model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cimsolve.columns import Floats, Ints
from cimsolve.weights.forward import Reference
from cimsolve.weights.forward.bert import BertReference
from cimsolve.weights.forward.llama import LlamaReference
from cimsolve.weights.tensors import Floats32


@dataclass(frozen=True)
class Accuracy:
    """How near a model's answers are to the float model's; None where the family has no such answer, or no number."""

    cosine: float | None = None
    """Mean cosine between sentence embeddings, means over tokens (BERT)."""
    perplexity: float | None = None
    """exp of the mean of -ln p(next token)."""
    agreement: float | None = None
    """Share of tokens after which the most probable next token is the float model's."""
    error: float | None = None
    """Standard error of the cosine, over sequences, or of ln(perplexity / the float model's), over tokens.

    None for a single one.
    """


class Judge:
    """Compares hidden states by other products with those of the float model, which it has read once."""

    def __init__(self, reference: Reference, sequences: Sequence[Ints], exact: Floats32) -> None:
        """`exact`: hidden states (tokens, width) by the float product.

        Raises InputError for a language model and sequences of single tokens.
        """
        self._reference, self._sequences = reference, sequences
        if isinstance(reference, BertReference):
            self._embeddings = reference.embed(exact, sequences).astype(np.float64)
        else:
            assert isinstance(reference, LlamaReference)
            self._losses, self._next_tokens = reference.predictions(exact, sequences)

    def __call__(self, hidden: Floats32) -> Accuracy:
        if isinstance(self._reference, BertReference):
            found = self._reference.embed(hidden, self._sequences).astype(np.float64)
            cosines = np.einsum("sd,sd->s", found, self._embeddings)
            return Accuracy(cosine=float(cosines.mean()), error=standard_error(cosines))
        assert isinstance(self._reference, LlamaReference)
        losses, next_tokens = self._reference.predictions(hidden, self._sequences)
        with np.errstate(over="ignore"):  # infinite is what it is then
            perplexity = float(np.exp(losses.mean()))
        same = next_tokens == self._next_tokens
        return Accuracy(None, perplexity, float(same.mean()), standard_error(losses - self._losses))


def standard_error(values: Floats) -> float | None:
    """Standard error of the mean of `values`; None for a single value."""
    return None if len(values) < 2 else float(values.std(ddof=1) / len(values) ** 0.5)


def compare(reference: Reference, sequences: Sequence[Ints], exact: Floats32, hidden: Floats32) -> Accuracy:
    """`exact` and `hidden`: hidden states (tokens, width) by the float product and by another. Raises as `Judge`."""
    return Judge(reference, sequences, exact)(hidden)
