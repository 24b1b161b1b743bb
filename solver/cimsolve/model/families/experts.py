"""Feed-forwards of experts: a router chooses some of them for a token, and of what they make a weighted sum is taken.

Three steps: the router; what all experts and the shared one have at their input; what they have at their output.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from cimsolve.model.families.config import Count, Width, file_key
from cimsolve.model.families.layers import (
    NORMS_AND_ROTARY,
    PLAIN,
    Family,
    LayerNames,
    Traits,
    activated,
    after_norm,
    attention_half,
    feed_forward_half,
    is_gated,
    stacked,
    traits_of,
)
from cimsolve.model.families.recorder import Half, Layer, Link
from cimsolve.model.families.sizes import LayersConfig
from cimsolve.model.model import Experts, Gates, Linear, Operation, TensorRef


class Routing(NamedTuple):
    """The experts of one layer, and how a token's are chosen."""

    stored: int
    chosen: int
    inner: int
    """Width of each within."""
    shared_inner: int = 0
    """Width within of the expert that every token fires; 0: there is none."""
    scoring: Literal["softmax", "sigmoid", "softmax of chosen"] = "softmax"
    renormalises: bool = False
    """The scores of the chosen are divided by their sum."""
    has_bias: bool = False
    """The choice is by scores with a number of each expert added."""
    has_groups: bool = False
    """Experts are in groups, of which the best are chosen before."""
    scales_inputs: bool = False
    """Scores are multiplied with what the chosen read, not with what they make."""

    @property
    def gates(self) -> Gates:
        """What the outputs of the chosen are multiplied with."""
        if self.scales_inputs:
            return "none"
        if self.scoring == "sigmoid":
            return "normalised sigmoid" if self.renormalises else "sigmoid"
        return "softmax" if self.renormalises or self.scoring == "softmax of chosen" else "softmax of all"


SEPARATE: Mapping[str, str] = {"gate_proj": "gate", "up_proj": "up"}


class ExpertNames(NamedTuple):
    """The tensors of experts; `expert` comes before those of each, with its number."""

    router: str = "mlp.gate"
    expert: str = "mlp.experts.{}."
    up: Mapping[str, str] = SEPARATE
    down: str = "down_proj"
    shared: str = "mlp.shared_expert."
    """Comes before the tensors of the shared expert, which are a gate, one up and one down in all families."""
    shared_gate: str | None = None
    """What the shared expert is weighted by."""
    one_tensor: Literal["out_in", "in_out"] | None = None
    """All experts are in one tensor, the first axis of which numbers them, and these are its other axes."""
    weight: str = ".weight"
    """How the names of tensors of experts end."""

    def linears(self, at: str, tensors: Mapping[str, str], n_in: int, part: int, stored: int) -> Iterator[Linear]:
        """Those of all experts, one expert after the other; each part of a tensor is `part` wide."""
        for expert in range(stored):
            for name, parts in tensors.items():
                yield self.linear(at, name, n_in, part * len(parts.split()), expert)

    def linear(self, at: str, name: str, n_in: int, n_out: int, expert: int) -> Linear:
        """A linear of one expert."""
        if self.one_tensor is None:
            full = at + self.expert.format(expert) + name
            return Linear(full, n_in, n_out, TensorRef(full + self.weight, "out_in"), expert)
        full = at + self.expert + name
        return Linear(
            f"{full}.{expert}", n_in, n_out, TensorRef(full + self.weight, self.one_tensor, index=expert), expert
        )


class ExpertsConfig(LayersConfig):
    """How many experts there are, and how many a token fires."""

    num_experts: Count
    num_experts_per_tok: Count

    @property
    def routing(self) -> Routing:
        """The experts of a layer that has some."""
        raise NotImplementedError

    def has_experts(self, layer: int) -> bool:
        """Whether the layer has experts in place of one feed-forward."""
        return True

    @model_validator(mode="after")
    def _chosen_are_stored(self) -> Self:
        if self.num_experts_per_tok > self.num_experts:
            stored, chosen = (file_key(type(self), f"num_experts{end}") for end in ("", "_per_tok"))
            raise ValueError(
                f"{chosen}: {self.num_experts_per_tok} is more than {stored} = {self.num_experts}; expected as many "
                "at most"
            )
        return self


class SomeSparseConfig(ExpertsConfig):
    """Experts in every so many layers, and in none of some that are listed."""

    moe_intermediate_size: Width
    decoder_sparse_step: Count = 1
    mlp_only_layers: list[Annotated[int, Field(strict=True, ge=0)]] | None = None

    def has_experts(self, layer: int) -> bool:
        return layer not in (self.mlp_only_layers or ()) and (layer + 1) % self.decoder_sparse_step == 0


class SharedConfig(SomeSparseConfig):
    """Beside them an expert of a width of its own, which every token fires."""

    shared_expert_intermediate_size: Width
    norm_topk_prob: bool

    @property
    def routing(self) -> Routing:
        return Routing(
            self.num_experts,
            self.num_experts_per_tok,
            self.moe_intermediate_size,
            self.shared_expert_intermediate_size,
            renormalises=self.norm_topk_prob,
        )


def experts_half(
    read: LayersConfig, names: LayerNames, experts: ExpertNames, routing: Routing, traits: Traits, layer: int
) -> Half:
    """A feed-forward of experts."""
    at, width, gated = names.at.format(layer), read.hidden_size, is_gated(experts.up)
    stored, chosen, inner, shared = routing[:4]
    up = [*experts.linears(at, experts.up, width, inner, stored)]
    down = [*experts.linears(at, {experts.down: "down"}, inner, width, stored)]
    if shared:
        up += [names.linear(at + experts.shared + name, width, shared) for name in SEPARATE]
        down.append(names.linear(at + experts.shared + "down_proj", shared, width))
    router = [names.linear(at + experts.router, width, stored)]
    if experts.shared_gate:
        router.append(names.linear(at + experts.shared_gate, width, 1))
    links = [
        Link("router", router),
        Link(
            "experts_up",
            up,
            chosen_of_scores(routing, width),
            experts=Experts(stored, chosen, own_inputs=routing.scales_inputs, gates=routing.gates),
        ),
        Link(
            "experts_down",
            down,
            activated(chosen * inner + shared, gated),
            experts=Experts(stored, chosen, own_inputs=True, gates=routing.gates),
        ),
    ]
    summed = [] if routing.scales_inputs else [Operation("multiply", chosen * width)]
    if experts.shared_gate:
        summed += [Operation("activation", 1), Operation("multiply", width)]
    if parts_more := chosen - (not shared):
        summed.append(Operation("add", parts_more * width))
    return Half(links, (*summed, *after_norm(traits, width)))


def chosen_of_scores(routing: Routing, width: int) -> tuple[Operation, ...]:
    """What is done with a router's scores before experts are fired.

    The k best of E are found in k rounds of E comparisons, each priced as an addition; of groups the two best of each
    are added before.
    """
    stored, chosen = routing.stored, routing.chosen
    scored = {
        "softmax": Operation("softmax", stored),
        "sigmoid": Operation("activation", stored),
        "softmax of chosen": Operation("softmax", chosen),
    }[routing.scoring]
    work = [scored, Operation("add", chosen * stored)]
    if routing.has_bias:
        work.append(Operation("add", stored))
    if routing.has_groups:
        work.append(Operation("add", 2 * stored))
    if routing.renormalises:
        work += [Operation("add", chosen), Operation("multiply", chosen)]
    if routing.scales_inputs:
        work.append(Operation("multiply", chosen * width))
    return tuple(work)


def mixture(
    config: type[ExpertsConfig],
    names: LayerNames,
    experts: ExpertNames,
    traits: Traits | Callable[[Any], Traits] = PLAIN,
    attention: Callable[[Any, LayerNames, Traits, int, int], Half] = attention_half,
) -> Family:
    """A family whose layers, or some of them, have experts in place of one feed-forward."""

    def layer_of(read: Any, layer: int, tokens: int) -> Layer:
        own = traits_of(traits, read)
        if read.has_experts(layer):
            narrow = experts_half(read, names, experts, read.routing, own, layer)
        else:
            narrow = feed_forward_half(read, names, own, layer, read.inner)
        return Layer(read.hidden_size, (attention(read, names, own, layer, tokens), narrow))

    unmapped = "embeddings", "attention scores and values", NORMS_AND_ROTARY, "language-model head"

    def beside(read: Any) -> tuple[str, ...]:
        further = getattr(read, "num_nextn_predict_layers", None)
        return *unmapped, *traits_of(traits, read).extra, *(("layers that foretell further tokens",) if further else ())

    return stacked(config, layer_of, beside, lambda read: traits_of(traits, read).notes)
