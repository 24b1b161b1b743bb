"""What the model asks for: its weight matrices, their dataflow and the digital work between them.

A model is a Hugging Face `config.json`. Only matrices with weights are mapped; what is not is listed by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal, NamedTuple

SOURCE = "source"
"""Name of the pass of an encoder-decoder that reads the source; the other one is `target`."""


@dataclass(frozen=True)
class TensorRef:
    """Where one linear's weights lie: tensor `name`, its axes, and the part of an axis taken.

    `out_in`, (n_out, n_in), is what a Hugging Face `Linear` stores, or with n_in in several axes a convolution;
    `in_out`, (n_in, n_out), GPT-2's `Conv1D`. `start` and `stop` cut the output axis, for tensors such as GPT-2's
    `c_attn` that hold Q, K and V side by side, or the input axis, as the keys' part of a head in a latent attention;
    the default is the whole of it. `index`: the entry of an axis before these two, where the matrices of all experts
    are one tensor.
    """

    name: str
    layout: Literal["out_in", "in_out"]
    start: int = 0
    stop: int | None = None
    cut: Literal["out", "in"] = "out"
    index: int | None = None


@dataclass(frozen=True)
class Linear:
    """One weight matrix, y = x W with W of shape (n_in, n_out).

    `expert`: the number of the expert of its step to which it belongs; None: every token fires it. `input`: which of
    its step's vectors it reads, where they are several.
    """

    name: str
    n_in: int
    n_out: int
    tensor: TensorRef
    expert: int | None = None
    input: int = 0
    groups: int = 1
    """Of a convolution in groups: W is block-diagonal, with so many blocks, which alone are stored."""

    @property
    def weights(self) -> int:
        """Number of weights of the matrix as it is."""
        return self.n_in * self.n_out // self.groups

    @property
    def block(self) -> tuple[int, int, int]:
        """Blocks of the matrix as it is, and rows and columns of each."""
        return self.groups, self.n_in // self.groups, self.n_out // self.groups


@dataclass(frozen=True)
class Operation:
    """A digital operation on `elements` vector elements; `name` is a key of the hardware's `digital.ops`."""

    name: str
    elements: int


Gates = Literal["softmax", "softmax of all", "sigmoid", "normalised sigmoid", "none"]
"""How a router's scores become what is multiplied with the outputs of the experts chosen; a softmax is over these, or
over all experts, a sigmoid as it is, or divided by the sum of the chosen; none: outputs are added as they are."""


class Experts(NamedTuple):
    """Experts among the linears of a step, all of them alike: of those `stored` a token fires as many as `chosen`."""

    stored: int
    chosen: int
    own_inputs: bool
    """Whether each reads a vector of its own, which it made before; else all read what the rest of the step reads."""
    gates: Gates = "softmax"


class CacheUse(NamedTuple):
    """What one token asks of the key-value cache of a layer, in elements of keys and values.

    It reads `read` elements of each of `tokens` tokens, its own among them, and writes `written`. In a prefill a causal
    attention reads only tokens up to its own.
    """

    read: int
    tokens: int
    written: int
    is_causal: bool


@dataclass(frozen=True)
class Step:
    """Linears with one common input, and what happens between the steps they read and them, once per token.

    Where linears have several numbers of `input`, there is one for each.

    A step may have the linears of an earlier one: their weights are stored once and fire again.

    `operations` are those of all positions together.

    `phase` counts the stretches between attention barriers: tokens of one sequence may follow each other
    through a phase, but attention needs all of them before the next begins.
    """

    name: str
    layer: int
    pass_name: str
    phase: int
    linears: tuple[Linear, ...]
    reads: tuple[int, ...]
    operations: tuple[Operation, ...]
    cache: CacheUse | None = None
    experts: Experts | None = None
    positions: int = 1
    """How many vectors a pass brings to the linears, which fire for each: the places of a convolution's kernel."""
    begins_part: bool = False
    """Whether all it reads was made before the part of a model in which it is, and lies in memory."""

    @property
    def made_elements(self) -> int:
        """Elements of all the vectors that a token makes in the linears, of experts in those of the chosen."""
        of_experts = sum(linear.n_out for linear in self.linears if linear.expert is not None)
        always = sum(linear.n_out for linear in self.linears) - of_experts
        chosen = of_experts * self.experts.chosen // self.experts.stored if self.experts is not None else 0
        return self.positions * (always + chosen)

    @property
    def moved_elements(self) -> int:
        """Elements of all the vectors that a token brings to the linears."""
        own = self.experts is not None and self.experts.own_inputs
        widths = {(linear.expert if own else None, linear.input): linear.n_in for linear in self.linears}
        shared = sum(width for (expert, _), width in widths.items() if expert is None)
        of_expert = sum(width for (expert, _), width in widths.items() if expert == 0)
        return self.positions * (shared + (self.experts.chosen * of_expert if self.experts is not None else 0))

    @property
    def active_weight_count(self) -> int:
        """Number of weights of the linears that a token fires, dense: of experts those of the chosen."""
        of_experts = sum(linear.weights for linear in self.linears if linear.expert is not None)
        always = sum(linear.weights for linear in self.linears) - of_experts
        return always + (of_experts * self.experts.chosen // self.experts.stored if self.experts is not None else 0)


class Tail(NamedTuple):
    """The work after the last step of a pass: operations, and the elements that leave the chip."""

    operations: tuple[Operation, ...]
    transfer_elements: int
    cache: CacheUse | None = None


@dataclass(frozen=True)
class Model:
    """The steps of one token pass in dataflow order (encoder-decoders: the source pass, then the target pass).

    `tails` maps a pass to what follows its last step, in the order in which the passes run.
    `tokens` is the cached context that attention runs over, and the length of a prefill; of an encoder-decoder they are
    those of the target.
    """

    name: str
    family: str
    config: Mapping[str, Any]
    tokens: int
    steps: tuple[Step, ...]
    tails: Mapping[str, Tail]
    unmapped: tuple[str, ...]
    windows: tuple[int | None, ...] = ()
    """Most tokens that attention of each layer reads; None: all `tokens`. Empty where the family has no windows."""
    notes: tuple[str, ...] = ()
    """How what can be counted in several ways is counted here."""
    unknown_keys: tuple[str, ...] = ()
    """Keys of the config of which nothing is known, so that they are not obeyed."""
    source_tokens: int | None = None
    """Tokens of the source, to which an encoder-decoder attends; None: there is one pass."""
    part: tuple[int, int] | None = None
    """Of a part of a model: its first step there, and the one after its last."""
    steps_cut_at: int | None = None
    """Most stored weights of a step, where larger ones have been cut."""

    @property
    def tokens_told(self) -> str:
        """How many tokens a prefill has, in words."""
        of_source = "" if self.source_tokens is None else f" of the target and {self.source_tokens} of the source"
        return f"{self.tokens} token{'' if self.tokens == 1 else 's'}{of_source}"

    def tokens_of(self, pass_name: str) -> int:
        """Tokens of a prefill in a pass."""
        return self.source_tokens if pass_name == SOURCE and self.source_tokens is not None else self.tokens

    @property
    def linears(self) -> tuple[Linear, ...]:
        """All linears, each once, in dataflow order."""
        return tuple({linear.name: linear for step in self.steps for linear in step.linears}.values())

    @cached_property
    def stored(self) -> Model:
        """The model with the first only of the steps that have the same linears; itself where none have."""
        first: dict[str, int] = {}
        number: list[int] = []
        kept: list[Step] = []
        for step in self.steps:
            number.append(first.setdefault(step.linears[0].name, len(kept)))
            if number[-1] == len(kept):
                kept.append(replace(step, reads=tuple(dict.fromkeys(number[read] for read in step.reads))))
        return self if len(kept) == len(self.steps) else replace(self, steps=tuple(kept))

    @cached_property
    def last_reader(self) -> tuple[int, ...]:
        """For each step the last one that reads it; 0 where none does."""
        found = [0] * len(self.steps)
        for number, step in enumerate(self.steps):
            for read in step.reads:
                found[read] = number
        return tuple(found)

    @property
    def firings(self) -> dict[str, Fraction]:
        """Linear -> how many times a token fires it; of an expert in the mean, if all are chosen as often."""
        found: dict[str, Fraction] = {}
        for step in self.steps:
            for linear in step.linears:
                experts = None if linear.expert is None else step.experts
                share = Fraction(1) if experts is None else Fraction(experts.chosen, experts.stored)
                found[linear.name] = found.get(linear.name, Fraction(0)) + step.positions * share
        return found

    @property
    def cached_elements(self) -> int:
        """Elements of keys and values that one sequence of `tokens` keeps for attention, in all layers."""
        return sum(step.cache.read * step.cache.tokens for step in self.steps if step.cache is not None)

    @property
    def is_causal(self) -> bool:
        """Whether a token's attention waits for the tokens before it: one of a sequence is under way at a time."""
        return any(step.cache is not None and step.cache.is_causal for step in self.steps)

    @property
    def weight_count(self) -> int:
        """Number of weights of all linears, dense."""
        return sum(linear.weights for linear in self.linears)

    @property
    def active_weight_count(self) -> int:
        """Number of weights of the linears that a token fires, dense: of experts those of the chosen."""
        return sum(step.active_weight_count for step in self.steps)
