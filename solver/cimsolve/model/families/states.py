"""Layers with a state in place of attention: Mamba, Mamba-2, and Jamba, which has both.

A token's work with the state is digital and does not grow with the tokens before it; where the chip has a memory, it
reads and writes the state there. Its multiply-accumulates, those of
the short convolution before it among them, are priced as those of attention.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, NamedTuple, Self

from pydantic import model_validator

from cimsolve.model.families.config import Count, Width
from cimsolve.model.families.experts import ExpertNames, ExpertsConfig, Routing, mixture
from cimsolve.model.families.keys import Keys, named
from cimsolve.model.families.layers import LayerNames, Traits, attention_half, stacked
from cimsolve.model.families.llama import LLAMA
from cimsolve.model.families.mixtures import OF_TRAINING
from cimsolve.model.families.recorder import Half, Layer, Link, torch_linear
from cimsolve.model.families.sizes import GroupedConfig, InnerConfig, LayersConfig, renamed
from cimsolve.model.model import CacheUse, Operation

OF_STATES = named(
    "chunk_size conv_bias fused_add_norm hidden_act layer_norm_epsilon norm_before_gate pad_vocab_size_multiple "
    "rescale_prenorm_residual residual_in_fp32 rms_norm ssm_cfg tie_word_embeddings time_step_floor "
    "time_step_init_scheme time_step_limit time_step_max time_step_min time_step_scale use_bias use_conv_bias "
    "use_mambapy use_associative_scan"
)


class StateConfig(LayersConfig):
    """A state of `state_size` numbers for each element of a vector `expand` times as wide as the layer."""

    state_size: Width = 16
    conv_kernel: Count = 4
    expand: Count = 2

    @property
    def state_inner(self) -> int:
        """Width of the vector that the state is of."""
        return self.expand * self.hidden_size


class RankConfig(StateConfig):
    """Time steps come from a vector of `time_step_rank` elements."""

    time_step_rank: Width | Literal["auto"] = "auto"

    @property
    def rank(self) -> int:
        """Width of the vector that time steps come from."""
        return -(-self.hidden_size // 16) if self.time_step_rank == "auto" else self.time_step_rank


class MambaConfig(RankConfig):
    model_config = renamed(
        hidden_size="hidden_size d_model",
        num_hidden_layers="num_hidden_layers n_layer",
        stated_inner="intermediate_size d_inner",
    )
    stated_inner: Width | None = None
    keys: ClassVar = Keys(idle=OF_STATES)

    @model_validator(mode="after")
    def _inner_is_expanded(self) -> Self:
        if self.stated_inner not in (None, self.state_inner):
            raise ValueError(
                f"intermediate_size: {self.stated_inner}: expected expand * hidden_size = {self.state_inner}, or none"
            )
        return self


class Mamba2Config(StateConfig):
    num_heads: Count = 128
    head_dim: Width = 64
    n_groups: Count = 8
    state_size: Width = 128
    keys: ClassVar = Keys(idle=OF_STATES | {"time_step_rank"})

    @model_validator(mode="after")
    def _heads_fill_the_inner_width(self) -> Self:
        if self.num_heads * self.head_dim != self.state_inner:
            raise ValueError(
                f"num_heads: {self.num_heads} of head_dim = {self.head_dim} are not expand * hidden_size = "
                f"{self.state_inner}; expected a product of that"
            )
        return self


class JambaConfig(RankConfig, ExpertsConfig, GroupedConfig, InnerConfig):
    """Attention without positions in one layer of a period, states in the others; experts in every so many."""

    model_config = renamed(
        state_size="mamba_d_state",
        conv_kernel="mamba_d_conv",
        expand="mamba_expand",
        time_step_rank="mamba_dt_rank",
        num_experts="num_experts num_local_experts",
    )
    num_experts: Count = 16
    num_experts_per_tok: Count = 2
    num_key_value_heads: Count | None = 8
    attn_layer_period: Count = 8
    attn_layer_offset: int = 4
    expert_layer_period: Count = 2
    expert_layer_offset: int = 1
    keys: ClassVar = Keys(
        idle=OF_STATES
        | named(
            f"{OF_TRAINING} is_decoder mamba_conv_bias mamba_inner_layernorms mamba_proj_bias num_logits_to_keep "
            "rms_norm_eps use_mamba_kernels"
        )
    )

    def has_attention(self, layer: int) -> bool:
        """Whether the layer has attention and no state."""
        return layer % self.attn_layer_period == self.attn_layer_offset

    def has_experts(self, layer: int) -> bool:
        return layer % self.expert_layer_period == self.expert_layer_offset

    @property
    def routing(self) -> Routing:
        return Routing(self.num_experts, self.num_experts_per_tok, self.inner)


class Convolution(NamedTuple):
    """A filter of few tokens for each element, and an activation."""

    width: int
    tokens: int

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Its work for one token."""
        return Operation("attention_mac", self.width * self.tokens), Operation("activation", self.width)

    @property
    def cache(self) -> CacheUse:
        """The last tokens of each element, which it reads, and the one that it adds."""
        return CacheUse(self.width, self.tokens, self.width, is_causal=True)


def kept_state(cells: int, convolution: Convolution | None = None) -> CacheUse:
    """A state that a token reads and writes whole, with what a convolution in the same step keeps."""
    if convolution is None:
        return CacheUse(cells, 1, cells, is_causal=True)
    width, tokens = convolution
    return CacheUse(cells + width * tokens, 1, cells + width, is_causal=True)


def mamba_half(read: RankConfig, at: str, has_norms: bool) -> Half:
    """A state for each element with decays of its own; `has_norms`: of time steps, inputs and outputs."""
    width, inner, states = read.hidden_size, read.state_inner, read.state_size
    cells, convolution = inner * states, Convolution(inner, read.conv_kernel)
    updates = [
        Operation("activation", inner),  # time steps
        Operation("multiply", cells),
        Operation("activation", cells),  # decays
        Operation("multiply", inner + cells),  # inputs
        Operation("attention_mac", 2 * cells + inner),  # new state, output, and the element itself
        Operation("activation", inner),
        Operation("multiply", inner),  # gate
    ]
    norms = [Operation("layer_norm", read.rank + 2 * states)] if has_norms else []
    return Half(
        [
            Link("state_in", [torch_linear(at + "in_proj", width, 2 * inner)]),
            Link(
                "state_parameters",
                [torch_linear(at + "x_proj", inner, read.rank + 2 * states)],
                convolution.operations,
                convolution.cache,
            ),
            Link("time_steps", [torch_linear(at + "dt_proj", read.rank, inner)], norms),
            Link("state_out", [torch_linear(at + "out_proj", inner, width)], updates, kept_state(cells)),
        ]
    )


def _mamba(read: MambaConfig, layer: int, tokens: int) -> Layer:
    return Layer(read.hidden_size, [mamba_half(read, f"backbone.layers.{layer}.mixer.", has_norms=False)])


def _mamba2(read: Mamba2Config, layer: int, tokens: int) -> Layer:
    at, width, inner, heads = f"backbone.layers.{layer}.mixer.", read.hidden_size, read.state_inner, read.num_heads
    shared, cells = 2 * read.n_groups * read.state_size, inner * read.state_size
    convolution = Convolution(inner + shared, read.conv_kernel)
    updates = [
        *convolution.operations,
        Operation("activation", 2 * heads),  # time steps and decays
        Operation("multiply", heads + inner + 2 * cells),  # inputs, and the state that decays
        Operation("add", cells),
        Operation("attention_mac", cells + inner),
        Operation("activation", inner),
        Operation("multiply", inner),  # gate
        Operation("layer_norm", inner),
    ]
    links = [
        Link("state_in", [torch_linear(at + "in_proj", width, 2 * inner + shared + heads)]),
        Link("state_out", [torch_linear(at + "out_proj", inner, width)], updates, kept_state(cells, convolution)),
    ]
    return Layer(width, [Half(links)])


def _jamba(read: JambaConfig, names: LayerNames, traits: Traits, layer: int, tokens: int) -> Half:
    if read.has_attention(layer):
        return attention_half(read, names, traits, layer, tokens)
    return mamba_half(read, names.at.format(layer) + "mamba.", has_norms=True)


STATES = "states, short convolutions and their filters"


def _unmapped(read: Any) -> tuple[str, ...]:
    return "embeddings", STATES, "norms and biases", "language-model head"


JAMBA = LLAMA._replace(
    up={"feed_forward.gate_proj": "gate", "feed_forward.up_proj": "up"}, down="feed_forward.down_proj"
)
FAMILIES = {
    "mamba": stacked(MambaConfig, _mamba, _unmapped),
    "mamba2": stacked(Mamba2Config, _mamba2, _unmapped),
    "jamba": mixture(
        JambaConfig,
        JAMBA,
        ExpertNames("feed_forward.router", "feed_forward.experts.{}."),
        Traits(extra=(STATES,)),
        _jamba,
    ),
}
