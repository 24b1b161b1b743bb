"""The steps of a model, recorded in dataflow order, and the usual digital operations between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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


@dataclass(frozen=True)
class TransformerLayer:
    """Self-attention and feed-forward, each with a residual sum and a normalisation.

    Whether the normalisation stands before or after makes no difference to the work between the steps.
    """

    qkv: Sequence[Linear]
    attention: Sequence[Operation]
    cache: CacheUse
    out: Linear
    up: Sequence[Linear]
    activation: Sequence[Operation]
    down: Linear

    @property
    def normalise_sum(self) -> tuple[Operation, ...]:
        """The residual addition and normalisation of the layer's width."""
        return normalise_sum(self.down.n_out)


class Recorder:
    """Collects steps in dataflow order and counts the phases."""

    def __init__(self, pass_name: str = "token") -> None:
        self.steps: list[Step] = []
        self.phase = 0
        self.layer = 0
        self.pass_name = pass_name

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
    ) -> int:
        """Record a step of linears with one input; returns its number, by which later steps name it in `reads`."""
        work = tuple(linears), tuple(reads), tuple(operations), cache, experts
        self.steps.append(Step(name, self.layer, self.pass_name, self.phase, *work))
        return len(self.steps) - 1

    def self_attention(self, label: str, after: int | None, layer: TransformerLayer) -> int:
        """The attention half of a layer, which starts the pass `after` no step; the number of its last step."""
        reads, operations = ([], ()) if after is None else ([after], layer.normalise_sum)
        projected = self.step(f"{label}.qkv", layer.qkv, reads, operations)
        self.barrier()
        return self.step(f"{label}.attention_output", [layer.out], [projected], layer.attention, layer.cache)

    def feed_forward(self, label: str, after: int, layer: TransformerLayer) -> int:
        """The feed-forward half of a layer; the number of its last step."""
        widened = self.step(f"{label}.feed_forward_up", layer.up, [after], layer.normalise_sum)
        return self.step(f"{label}.feed_forward_down", [layer.down], [widened], layer.activation)

    def stack(self, label: str, layers: Iterable[TransformerLayer]) -> int:
        """One layer or more after the other, the first of which starts the pass; the number of the last step."""
        last: int | None = None
        for self.layer, layer in enumerate(layers):
            name = f"{label}{self.layer}"
            last = self.feed_forward(name, self.self_attention(name, last, layer), layer)
        return len(self.steps) - 1

    def model(
        self, name: str, config: Mapping[str, Any], tokens: int, tails: Mapping[str, Tail], unmapped: Sequence[str]
    ) -> Model:
        """The model of the steps recorded; the config's `model_type` is its family."""
        return Model(name, config["model_type"], dict(config), tokens, tuple(self.steps), tails, tuple(unmapped))


def stacked(
    name: str,
    config: Mapping[str, Any],
    tokens: int,
    width: int,
    layers: Iterable[TransformerLayer],
    unmapped: Sequence[str],
) -> Model:
    """A model of one token pass through `layers`, each `width` wide."""
    record = Recorder()
    record.stack("layer", layers)
    return record.model(name, config, tokens, {"token": Tail(normalise_sum(width), width)}, unmapped)
