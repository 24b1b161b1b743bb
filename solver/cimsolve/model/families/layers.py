"""A family as a row: the keys that it reads, what its tensors are called, and how its layers differ from the plain one.

    "phi3": transformer(Phi3Config, LayerNames(
        "model.layers.{}.",
        {"self_attn.qkv_proj": "q k v"}, "self_attn.o_proj",
        {"mlp.gate_up_proj": "gate up"}, "mlp.down_proj"))

A tensor that holds several projections side by side is one linear, as it is stored. What a row cannot say is a function
`(config, layer, tokens) -> Layer` put together from the halves of this file and others, and given to `stacked`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol

from cimsolve.model.families.config import Config, context_tokens, read_config
from cimsolve.model.families.recorder import Half, Layer, Link, Recorder, attention, kept
from cimsolve.model.families.sizes import LayersConfig
from cimsolve.model.model import Linear, Model, Operation, Tail, TensorRef


class Family(NamedTuple):
    """How models of a family are built, and the keys that are read for it."""

    build: Callable[..., Model]
    """Config, origin, name and number of tokens -> model; that of `source_tokens` too, where it `has_source`."""
    config: type[Config]
    has_source: bool = False


class LayerNames(NamedTuple):
    """The tensors of a layer, without `.weight`; `at` comes before each, with the layer's number.

    `projections` and `up` say what lies in each tensor side by side, of `q k v` and of `gate up`; whatever is gated has
    a `gate`, what attention makes too.
    """

    at: str
    projections: Mapping[str, str]
    out: str
    up: Mapping[str, str]
    down: str
    layout: Literal["out_in", "in_out"] = "out_in"
    is_split: bool = False
    """What lies side by side is several linears, called by their part."""

    def linears(self, at: str, tensors: Mapping[str, str], n_in: int, widths: Mapping[str, int]) -> Iterator[Linear]:
        """The linears of `tensors`, which read one vector; `widths` are those of their parts."""
        for name, text in tensors.items():
            parts = text.split()
            if self.is_split and len(parts) > 1:
                yield from self._split(at + name, parts, n_in, widths)
            else:
                yield self.linear(at + name, n_in, sum(widths[part] for part in parts))

    def linear(self, name: str, n_in: int, n_out: int) -> Linear:
        """A linear that is a tensor of its own."""
        return Linear(name, n_in, n_out, TensorRef(f"{name}.weight", self.layout))

    def _split(self, tensor: str, parts: Sequence[str], n_in: int, widths: Mapping[str, int]) -> Iterator[Linear]:
        start = 0
        for part in parts:
            stop = start + widths[part]
            yield Linear(
                f"{tensor}.{part}", n_in, widths[part], TensorRef(f"{tensor}.weight", self.layout, start, stop)
            )
            start = stop


@dataclass(frozen=True)
class Traits:
    """How the layers of a family differ from attention and a feed-forward, each with one norm, one after the other."""

    is_causal: bool = True
    has_four_norms: bool = False
    """Both halves have a norm before and one after."""
    has_head_norms: bool = False
    """Q and K are normalised, each head alone or all together: the same work."""
    is_parallel: bool = False
    has_one_norm: bool = True
    """Of parallel halves: both read one normalised vector."""
    has_biased_scores: bool = False
    """Positions are added to the scores, as by ALiBi."""
    caps_scores: bool = False
    """Scores pass a tanh and are multiplied before the softmax."""
    has_sinks: bool = False
    """The softmax of each head has one more score, a number of its own."""
    extra: tuple[str, ...] = ()
    """What else of the family is not mapped."""
    notes: tuple[str, ...] = ()
    """How what can be counted in several ways is counted."""


PLAIN = Traits()


class Sized(Protocol):
    """What halves ask of a config."""

    @property
    def hidden_size(self) -> int: ...
    @property
    def num_attention_heads(self) -> int: ...
    @property
    def kv_heads(self) -> int: ...
    @property
    def head_width(self) -> int: ...
    @property
    def inner(self) -> int: ...
    @property
    def rotated_width(self) -> int: ...
    def rotates(self, layer: int) -> bool: ...
    def window_of(self, layer: int) -> int | None: ...


def attention_half(read: Sized, names: LayerNames, traits: Traits, layer: int, tokens: int) -> Half:
    """Self-attention: Q, K and V of one vector, scores and values over the tokens of the layer's window, and out."""
    at, width = names.at.format(layer), read.hidden_size
    heads, groups, head_width = read.num_attention_heads, read.kv_heads, read.head_width
    q_width, kv_width = heads * head_width, groups * head_width
    seen = min(tokens, read.window_of(layer) or tokens)
    work: list[Operation] = []
    if traits.has_head_norms:
        work += [Operation("layer_norm", q_width), Operation("layer_norm", kv_width)]
    work += [*rotary((heads + groups) * read.rotated_width * read.rotates(layer)), *attention(heads, head_width, seen)]
    if traits.has_biased_scores:
        work.append(Operation("add", heads * seen))
    if traits.caps_scores:
        work += [Operation("activation", heads * seen), Operation("multiply", heads * seen)]
    if traits.has_sinks:
        work.append(Operation("softmax", heads))
    if is_gated(names.projections):
        work += activated(q_width, gated=True)
    widths = {"q": q_width, "k": kv_width, "v": kv_width, "gate": q_width}
    cache = kept(groups, head_width, seen, traits.is_causal)
    out = names.linear(at + names.out, q_width, width)
    links = [
        Link("qkv", [*names.linears(at, names.projections, width, widths)]),
        Link("attention_output", [out], work, cache, is_barrier=True),
    ]
    return Half(links, after_norm(traits, width))


def feed_forward_half(read: Sized, names: LayerNames, traits: Traits, layer: int, inner: int) -> Half:
    """A feed-forward, `inner` wide, gated where a tensor holds a gate."""
    at, width = names.at.format(layer), read.hidden_size
    links = [
        Link("feed_forward_up", [*names.linears(at, names.up, width, {"gate": inner, "up": inner})]),
        Link(
            "feed_forward_down",
            [names.linear(at + names.down, inner, width)],
            activated(inner, is_gated(names.up)),
        ),
    ]
    return Half(links, after_norm(traits, width))


def rotary(elements: int) -> tuple[Operation, ...]:
    """A rotation of each pair of elements of Q and K: two products and one sum per element."""
    return (Operation("multiply", 2 * elements), Operation("add", elements)) if elements else ()


def activated(elements: int, gated: bool) -> tuple[Operation, ...]:
    """An activation of `elements`, times what it is the gate of."""
    return (Operation("activation", elements), *([Operation("multiply", elements)] if gated else []))


def is_gated(tensors: Mapping[str, str]) -> bool:
    """Whether one of the tensors holds a gate."""
    return any("gate" in parts.split() for parts in tensors.values())


def after_norm(traits: Traits, width: int) -> tuple[Operation, ...]:
    """The norm after a half that has one before it as well."""
    return (Operation("layer_norm", width),) if traits.has_four_norms else ()


def begun(half: Half, first: Link, operations: Sequence[Operation]) -> Half:
    """The half with one step more before it, which starts the pass, and what is done with what that makes."""
    head, *others = half.links
    return half._replace(links=[first, head._replace(operations=(*operations, *head.operations)), *others])


def plain_layer(read: Sized, names: LayerNames, traits: Traits, layer: int, tokens: int) -> Layer:
    """Attention and a feed-forward of the width of the config."""
    halves = (
        attention_half(read, names, traits, layer, tokens),
        feed_forward_half(read, names, traits, layer, read.inner),
    )
    return Layer(read.hidden_size, halves, traits.is_parallel, traits.has_one_norm)


LayerOf = Callable[[Any, int, int], Layer]
"""A config, the layer's number and the tokens that attention has before it -> what is in the layer."""
NORMS_AND_ROTARY = "norms, biases and rotary positions"


def stacked(
    config: type[LayersConfig],
    layer_of: LayerOf,
    unmapped: Callable[[Any], Sequence[str]],
    notes: Callable[[Any], Sequence[str]] = lambda read: (),
    last_step: Callable[[Any], Link | None] = lambda read: None,
) -> Family:
    """A family whose models are one token pass through layers of one width, and a last step where there is one."""

    def build(values: Mapping[str, Any], origin: str, name: str, tokens: int | None) -> Model:
        read = read_config(config, values, origin)
        asked = read.context if read.has_all_tokens and tokens is None else tokens
        n = context_tokens(origin, asked, read.context)
        record = Recorder()
        layers = record.stack("layer", (layer_of(read, layer, n) for layer in range(read.num_hidden_layers)))
        if link := last_step(read):
            record.half("last", layers, read.hidden_size, Half([link]))
            tail = Tail((), link.linears[0].n_out)
        else:
            tail = record.tail(read.hidden_size)
        model = record.model(name, values, n, {"token": tail}, unmapped(read))
        windows = tuple(read.window_of(layer) for layer in range(read.num_hidden_layers))
        return replace(model, windows=windows, notes=tuple(notes(read)))

    return Family(build, config)


def traits_of(traits: Traits | Callable[[Any], Traits], read: Any) -> Traits:
    """The traits of a model, which may follow from its config."""
    return traits if isinstance(traits, Traits) else traits(read)


def transformer(
    config: type[LayersConfig],
    names: LayerNames,
    traits: Traits | Callable[[Any], Traits] = PLAIN,
    norms: str = NORMS_AND_ROTARY,
    head: str = "language-model head",
) -> Family:
    """A family of plain layers: attention and a feed-forward, with some traits, which may follow from the config."""

    def layer_of(read: Any, layer: int, tokens: int) -> Layer:
        return plain_layer(read, names, traits_of(traits, read), layer, tokens)

    def unmapped(read: Any) -> Sequence[str]:
        return "embeddings", "attention scores and values", norms, head, *traits_of(traits, read).extra

    return stacked(config, layer_of, unmapped, lambda read: traits_of(traits, read).notes)
