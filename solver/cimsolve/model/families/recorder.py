"""The steps of a model, recorded in dataflow order, and the usual digital operations between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from cimsolve.model.model import CacheUse, Experts, Linear, Model, Operation, Step, Tail, TensorRef


def torch_linear(name: str, n_in: int, n_out: int, expert: int | None = None) -> Linear:
    """A `torch.nn.Linear`, which stores its weight as (out, in)."""
    return Linear(name, n_in, n_out, TensorRef(f"{name}.weight", "out_in"), expert)


def normalise_sum(width: int) -> tuple[Operation, ...]:
    """A residual addition and the normalisation after it."""
    return (Operation("add", width), Operation("layer_norm", width))


def attention(heads: int, head_width: int, tokens: int) -> tuple[Operation, ...]:
    """Scores and weighted values of one token over `tokens` cached ones."""
    return (
        Operation("attention_mac", 2 * heads * head_width * tokens),
        Operation("softmax", heads * tokens),
    )


def kept(kv_heads: int, head_width: int, tokens: int, is_causal: bool) -> CacheUse:
    """The keys and values of `tokens` tokens that self-attention reads, and those of its own that it writes."""
    return CacheUse(2 * kv_heads * head_width, tokens, 2 * kv_heads * head_width, is_causal)


class Link(NamedTuple):
    """A step of a chain: it reads the one before it, after `operations`."""

    name: str
    linears: Sequence[Linear]
    operations: Sequence[Operation] = ()
    cache: CacheUse | None = None
    experts: Experts | None = None
    is_barrier: bool = False
    """All tokens must have come to this step before it starts, as before attention."""


class Half(NamedTuple):
    """A chain of steps within one residual sum: an attention, a feed-forward, or what stands in place of one.

    The normalised sum before it is left to the recorder; `after` is what else is done with what it makes.
    """

    links: Sequence[Link]
    after: Sequence[Operation] = ()


class Layer(NamedTuple):
    """Halves one after the other, each with a residual sum and a normalisation.

    Whether the normalisation stands before or after makes no difference to the work between the steps.
    """

    width: int
    halves: Sequence[Half]
    is_parallel: bool = False
    """Two halves read the same sum, and both are added to it."""
    has_one_norm: bool = True
    """Of parallel halves: they read one vector, so that their first linears are one step; else each has its norm."""


class Recorder:
    """Collects steps in dataflow order and counts the phases."""

    def __init__(self, pass_name: str = "token") -> None:
        self.steps: list[Step] = []
        self.phase = 0
        self.layer = 0
        self.pass_name = pass_name
        self.left: tuple[Operation, ...] = ()
        """Work with what the last steps made that the next step, or the tail, waits for."""

    def barrier(self) -> None:
        """All tokens must have come this far before the next step: an attention, or another pass."""
        self.phase += 1

    def step(
        self,
        name: str,
        linears: Sequence[Linear],
        reads: Sequence[int],
        operations: Sequence[Operation] = (),
        cache: CacheUse | None = None,
        experts: Experts | None = None,
        positions: int = 1,
    ) -> int:
        """Record a step of linears with one input; returns its number, by which later steps name it in `reads`."""
        work = tuple(linears), tuple(reads), tuple(operations), cache, experts, positions
        self.steps.append(Step(name, self.layer, self.pass_name, self.phase, *work))
        return len(self.steps) - 1

    def chain(self, label: str, reads: Sequence[int], links: Iterable[Link]) -> tuple[int, ...]:
        """Record links one after the other, the first after the steps `reads`; the number of the last, alone."""
        for link in links:
            if link.is_barrier:
                self.barrier()
            work = link.operations, link.cache, link.experts
            reads = [self.step(f"{label}.{link.name}", link.linears, reads, *work)]
        return tuple(reads)

    def half(self, label: str, reads: Sequence[int], width: int, half: Half) -> tuple[int, ...]:
        """Record a half after the steps `reads`, none where it starts its pass; the number of its last step, alone."""
        first, *others = half.links
        before = (*self.left, *normalise_sum(width)) if reads else ()
        self.left = tuple(half.after)
        first = first._replace(operations=(*before, *first.operations))
        return self.chain(label, reads, [first, *others])

    def parallel(self, label: str, reads: Sequence[int], layer: Layer) -> tuple[int, ...]:
        """Record two halves that read the same sum; the numbers of the last steps of both."""
        attention, feed_forward = layer.halves
        norm = (Operation("layer_norm", layer.width),)
        # The sum is counted once, with the first of the steps that read it.
        before = (*self.left, *normalise_sum(layer.width)) if reads else ()
        head, wide = attention.links[0], feed_forward.links[0]
        if layer.has_one_norm:
            both = [*head.linears, *wide.linears]
            begun = [self.step(f"{label}.{head.name}_{wide.name}", both, reads, before)] * 2
        else:
            begun = [
                self.step(f"{label}.{head.name}", head.linears, reads, before),
                self.step(f"{label}.{wide.name}", wide.linears, reads, norm if reads else ()),
            ]
        # What needs no other token comes before the barrier of attention.
        narrowed = self.chain(label, begun[1:], feed_forward.links[1:])
        mixed = self.chain(label, begun[:1], attention.links[1:])
        self.left = (*attention.after, *feed_forward.after, Operation("add", layer.width))
        return *narrowed, *mixed

    def stack(self, label: str, layers: Iterable[Layer], after: Sequence[int] = ()) -> tuple[int, ...]:
        """One layer or more in a row, the first of them `after` steps or none; the numbers of the last steps."""
        last = tuple(after)
        for self.layer, layer in enumerate(layers):
            name = f"{label}{self.layer}"
            if layer.is_parallel:
                last = self.parallel(name, last, layer)
                continue
            for half in layer.halves:
                last = self.half(name, last, layer.width, half)
        return last

    def tail(self, width: int) -> Tail:
        """The last sum of a pass and its normalisation, and the vector that leaves the chip."""
        left, self.left = self.left, ()
        return Tail((*left, *normalise_sum(width)), width)

    def model(
        self, name: str, config: Mapping[str, Any], tokens: int, tails: Mapping[str, Tail], unmapped: Sequence[str]
    ) -> Model:
        """The model of the steps recorded; the config's `model_type` is its family."""
        return Model(name, config["model_type"], dict(config), tokens, tuple(self.steps), tails, tuple(unmapped))
