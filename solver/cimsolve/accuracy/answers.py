"""How near a model's answers are to those of the float model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cimsolve.arrays import Ints
from cimsolve.reference import Reference
from cimsolve.reference.base import Floats32
from cimsolve.reference.bert import BertReference
from cimsolve.reference.llama import LlamaReference


@dataclass(frozen=True)
class Accuracy:
    """How near a model's answers are to the float model's; None where the family has no such answer, or no number."""

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
