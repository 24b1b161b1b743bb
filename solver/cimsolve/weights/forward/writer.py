"""A decoder that writes: a token of each sequence at a time, keys and values of those before it kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cimsolve.columns import Ints
from cimsolve.weights.forward.base import Product
from cimsolve.weights.forward.decoder import DecoderReference
from cimsolve.weights.tensors import Floats32


class Writer(DecoderReference):
    """A `DecoderReference` that reads on where it has stopped."""

    _kept: dict[int, tuple[Any, Any]]
    """Layer -> keys and values, (sequences, tokens before, width)."""

    def write(
        self, firsts: Ints, length: int, draw: Callable[[Floats32], Ints], product: Product | None = None
    ) -> list[Ints]:
        """Sequences of `length` tokens that begin with `firsts`; `draw` says which tokens follow, by their logits."""
        written = [firsts]
        self._kept = {}
        for self._earlier in range(length - 1):
            hidden = self.run([token[None] for token in written[-1]], product)
            written.append(draw(self.logits_of(hidden)))
        self._earlier = 0
        return list(np.stack(written, axis=1))

    def _with_earlier(self, layer: int, key: Floats32, value: Floats32) -> tuple[Floats32, Floats32]:
        now = tuple(each.reshape(len(each), 1, each.shape[1]) for each in (key, value))
        if self._earlier:
            now = tuple(np.concatenate([old, new], axis=1) for old, new in zip(self._kept[layer], now, strict=True))
        self._kept[layer] = (now[0], now[1])
        whole, other = (each.reshape(-1, each.shape[2]) for each in now)
        return whole, other
