"""What the forward passes share: the run over layers, linears with their biases, attention."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TypeAlias

import numpy as np

from cimsolve.columns import Ints
from cimsolve.errors import InputError
from cimsolve.model.model import Model
from cimsolve.weights.folder import linear_weight
from cimsolve.weights.forward.functions import replaceable, soft_cap, softmax
from cimsolve.weights.tensors import Floats32, Tensors

Product: TypeAlias = Callable[[str, Floats32], Floats32]
"""(name of a linear, its inputs (tokens, n_in)) -> its outputs (tokens, n_out), without the bias.

Tokens are those of all sequences, one after the other. The inputs may not be changed.
"""

_CHECKED_ROWS = 1 << 13
"""Rows of an embedding that are in memory at a time while it is looked at."""


class Reference(ABC):
    """A model's forward pass. `linears` are those of the cost model, by the same names."""

    layers: int
    width: int
    vocabulary: int
    """Token numbers lie below it."""
    context: int
    """Most tokens of a sequence."""

    def __init__(self, model: Model, source: Tensors) -> None:
        self.model, self._source = model, source
        self.linears = {linear.name: linear for linear in model.linears}
        self._biased: frozenset[str] = frozenset()

    def _demand_sound(self, shapes: dict[str, tuple[int, ...]], biased: Collection[str]) -> None:
        """Raise InputError unless these tensors, and biases, have the config's shapes and hold finite numbers.

        The `biased` linears must have a bias; of others each that is stored counts. All is looked at before anything
        runs, which may take hours; a tensor of one element would be stretched then.
        """
        self._biased = frozenset(name for name in self.linears if name in biased or self._has_bias(name))
        # In their order, not that of a set: what trains them goes by the order in which they are read.
        biases = {self._bias_of(name): self._bias_shape(name) for name in self.linears if name in self._biased}
        for tensor, shape in (shapes | biases).items():
            self._source.demand_shape(tensor, shape, self.model.name)
        for tensor, (rows, *_) in (shapes | biases).items():
            for first in range(0, rows, _CHECKED_ROWS):
                self._source.rows(tensor, np.arange(first, min(first + _CHECKED_ROWS, rows), dtype=np.int64))

    def added_beside(self, name: str) -> str | None:
        """The linear that reads what is added to the outputs of `name`; None where no linear reads that as it is."""
        return None

    def is_added(self, name: str) -> bool:
        """Whether what `name` makes is added as it is to the states before the layer, with all that is added before."""
        return False

    @np.errstate(over="ignore", invalid="ignore")  # who asks judges what is not finite in the end
    def run(
        self, sequences: Sequence[Ints], product: Product | None = None, first: int = 0, hidden: Floats32 | None = None
    ) -> Floats32:
        """Hidden states after the last layer, (tokens of all sequences, width).

        `sequences` are token numbers, each from position 0 on. Every linear is multiplied by `product`, by default
        `exact`. `hidden` are the states before layer `first`, as of `states`, where those before it have been run.
        Raises InputError for token numbers or lengths that the model does not know, ValueError for outputs of another
        shape than the linear's.
        """
        last = deque(self.states(sequences, product, first, hidden), maxlen=1)
        return self._finish(last.pop())

    def states(
        self, sequences: Sequence[Ints], product: Product | None = None, first: int = 0, hidden: Floats32 | None = None
    ) -> Iterator[Floats32]:
        """Hidden states before layer `first` and after it and each further one; arguments and errors as of `run`."""
        for ids in sequences:
            if not 1 <= len(ids) <= self.context or ids.min() < 0 or ids.max() >= self.vocabulary:
                raise InputError(
                    f"{self.model.name}: a sequence has {len(ids)} tokens, the largest {max(ids, default=-1)}; "
                    f"expected 1 to {self.context} tokens, each from 0 to {self.vocabulary - 1}"
                )
        ends = np.cumsum([len(ids) for ids in sequences]).tolist()
        spans = [slice(end - len(ids), end) for ids, end in zip(sequences, ends, strict=True)]
        hidden = self._embed(sequences) if hidden is None else hidden
        yield hidden
        for layer in range(first, self.layers):
            hidden = self._layer(layer, hidden, spans, product or self.exact)
            yield hidden

    def exact(self, name: str, inputs: Floats32) -> Floats32:
        """The product with the stored weights, read now: what `run` does where nothing replaces it."""
        linear = self.linears[name]
        return inputs @ linear_weight(self._source, linear.tensor, linear.n_in, linear.n_out)

    def _has_bias(self, name: str) -> bool:
        """Whether a bias of the linear is stored."""
        return self._source.holds(self._bias_of(name))

    def _bias_of(self, name: str) -> str:
        """The tensor that a bias of the linear is in: one beside that of its weights."""
        stem = self.linears[name].tensor.name
        return f"{stem.removesuffix('.weight')}.bias" if stem.endswith(".weight") else f"{stem}_bias"

    def _bias_shape(self, name: str) -> tuple[int, ...]:
        """As long as the output axis of the tensor of the weights, of which the linear may be a part."""
        tensor = self.linears[name].tensor
        *experts, first, last = self._source.shape(tensor.name)
        return (*experts, first if tensor.layout == "out_in" else last)

    def _bias(self, name: str) -> Floats32:
        part, stored = self.linears[name].tensor, self._bias_of(name)
        whole = self._source.tensor(stored)
        return (whole if part.index is None else whole[part.index])[part.start : part.stop]

    @abstractmethod
    def _embed(self, sequences: Sequence[Ints]) -> Floats32:
        """Hidden states before the first layer."""

    @abstractmethod
    def _layer(self, layer: int, hidden: Floats32, spans: Sequence[slice], multiply: Product) -> Floats32:
        """Hidden states after a layer."""

    def _finish(self, hidden: Floats32) -> Floats32:
        """What follows the last layer; nothing unless a family says so."""
        return hidden

    def _linear(self, multiply: Product, name: str, inputs: Floats32) -> Floats32:
        """A linear with its bias, if the model stores one."""
        inputs.flags.writeable = False
        outputs = multiply(name, inputs)
        expected = (len(inputs), self.linears[name].n_out)
        if outputs.shape != expected:
            raise ValueError(f"{name}: the product has shape {outputs.shape}, expected {expected}")
        if name in self._biased:
            outputs = outputs + self._bias(name)
        # Sums over rows round by the order in memory: the same numbers must give the same answers in any.
        return outputs.astype(np.float32, order="C", copy=False)


@replaceable
def attend(
    query: Floats32,
    key: Floats32,
    value: Floats32,
    spans: Sequence[slice],
    head_width: int,
    *,
    causal: bool,
    earlier: int = 0,
    window: int | None = None,
    scale: float | None = None,
    cap: float | None = None,
    sinks: Floats32 | None = None,
) -> Floats32:
    """Attention within each sequence: query (tokens, heads * d), key and value (tokens, groups * d).

    Head h reads group `h // (heads / groups)`. Scores are times `scale`, by default 1 / sqrt(d), and at most about
    `cap`. Each sequence has keys and values of `earlier` tokens before those of its queries. Of what a token attends
    to, its own key is the last of `window` ones. `sinks` has a further score of each head, of no value.
    """
    factor = np.float32(head_width**-0.5 if scale is None else scale)
    out = []
    ends = [span.stop for span in spans[:-1]]
    key_ends = [end + number * earlier for number, end in enumerate(ends, 1)]
    split = (np.split(query, ends), np.split(key, key_ends), np.split(value, key_ends))
    for parts in zip(*split, strict=True):
        heads = (part.reshape(len(part), -1, head_width) for part in parts)
        q, k, v = (each.transpose(1, 0, 2) for each in heads)
        share = q.shape[0] // k.shape[0]
        k, v = np.repeat(k, share, axis=0), np.repeat(v, share, axis=0)
        scores = soft_cap((q @ k.transpose(0, 2, 1)) * factor, cap)
        if causal:
            later = np.triu(np.ones(scores.shape[1:], dtype=np.bool_), 1 + earlier)
            scores[:, later] = -np.inf
        if window is not None:
            scores[:, np.tril(np.ones(scores.shape[1:], dtype=np.bool_), earlier - window)] = -np.inf
        if sinks is not None:
            scores = np.concatenate([scores, np.broadcast_to(sinks[:, None, None], (*scores.shape[:2], 1))], axis=2)
        mixed = softmax(scores)[..., : k.shape[1]] @ v
        out.append(mixed.transpose(1, 0, 2).reshape(mixed.shape[1], -1))
    return np.concatenate(out)


def positions(spans: Sequence[slice]) -> Ints:
    """Position of each token in its sequence."""
    return np.concatenate([np.arange(span.stop - span.start, dtype=np.int64) for span in spans])
