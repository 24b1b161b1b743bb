"""What language models share: how well they foretell a text, the head read a part at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from cimsolve.columns import Floats, Ints
from cimsolve.errors import InputError
from cimsolve.weights.forward.base import Reference
from cimsolve.weights.forward.functions import soft_cap
from cimsolve.weights.tensors import Floats32

_LOGIT_ROWS = 1 << 13
"""Rows of the language-model head that are in memory at a time."""


class LanguageModel(Reference):
    """A causal language model; `loss` says how well it foretells a text."""

    _head: str
    """The tensor of the head, (vocabulary, width)."""
    _logit_scale: float
    _logit_cap: float | None

    def logits(self, hidden: Floats32) -> Floats:
        """Logits of every token of the vocabulary after each token, (tokens, vocabulary)."""
        return np.concatenate([each for _, each in self._logits(hidden)], axis=1)

    def loss(self, hidden: Floats32, sequences: Sequence[Ints]) -> float:
        """Mean of -ln p(next token) over all tokens that have a next one; its exp is the perplexity.

        Raises InputError where none has.
        """
        return float(self.predictions(hidden, sequences)[0].mean())

    def next_tokens(self, hidden: Floats32) -> Ints:
        """The most probable next token after each token, the lowest number on ties; shape (tokens,)."""
        return self._read_logits(hidden, np.zeros(len(hidden), dtype=np.int64))[1]

    def predictions(self, hidden: Floats32, sequences: Sequence[Ints]) -> tuple[Floats, Ints]:
        """-ln p(next token) of each token that has a next one, and `next_tokens`, the head read once."""
        ends = np.cumsum([len(ids) for ids in sequences])
        has_next = np.ones(len(hidden), dtype=np.bool_)
        has_next[ends - 1] = False
        if not has_next.any():
            raise InputError(f"{self.model.name}: no sequence has two tokens; expected a longer text")
        losses, best = self._read_logits(hidden, np.roll(np.concatenate(sequences), -1))
        return losses[has_next], best

    @np.errstate(over="ignore", invalid="ignore")
    def _read_logits(self, hidden: Floats32, target: Ints) -> tuple[Floats, Ints]:
        """-ln p(target) and the most probable token, after each token; NaN where logits are beyond float32."""
        top = np.full(len(hidden), -np.inf)
        best = np.zeros(len(hidden), dtype=np.int64)
        total, wanted = np.zeros(len(hidden)), np.zeros(len(hidden))
        for first, logits in self._logits(hidden):
            here = (target >= first) & (target < first + logits.shape[1])
            wanted[here] = logits[here, target[here] - first]
            highest = logits.max(axis=1)
            best = np.where(highest > top, first + logits.argmax(axis=1), best)
            # A running log of the sum of exponentials, so that no logit overflows.
            higher = np.maximum(top, highest)
            total = total * np.exp(top - higher) + np.exp(logits - higher[:, None]).sum(axis=1)
            top = higher
        return top + np.log(total) - wanted, best

    def _logits(self, states: Floats32) -> Iterator[tuple[int, Floats]]:
        """Logits of some tokens of the vocabulary at a time: the first one's number, and (states, tokens)."""
        for first in range(0, self.vocabulary, _LOGIT_ROWS):
            yield first, self.logits_of(states, first, first + _LOGIT_ROWS).astype(np.float64)

    def logits_of(self, states: Floats32, first: int = 0, stop: int | None = None) -> Floats32:
        """Logits of the tokens of the vocabulary from `first` on, before `stop` if it is given, in float32."""
        rows = np.arange(first, min(stop or self.vocabulary, self.vocabulary), dtype=np.int64)
        logits = states @ self._source.rows(self._head, rows).T
        if self._logit_scale != 1:
            logits = logits * np.float32(self._logit_scale)
        return soft_cap(logits, self._logit_cap)
