"""Decoders of which some layers have attention, and the others work that does not grow with the tokens before.

Qwen3-Next has linear attention by the gated delta rule there, LFM2 a short convolution with two gates.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from cimsolve.files.text import shown_value
from cimsolve.model.families.config import Count, Width
from cimsolve.model.families.experts import ExpertNames, SharedConfig, mixture
from cimsolve.model.families.keys import Keys, named
from cimsolve.model.families.layers import (
    NORMS_AND_ROTARY,
    LayerNames,
    Traits,
    attention_half,
    feed_forward_half,
    stacked,
)
from cimsolve.model.families.llama import HEAD_NORMS, LLAMA, LlamaConfig
from cimsolve.model.families.mixtures import OF_TRAINING
from cimsolve.model.families.recorder import Half, Layer, Link, torch_linear
from cimsolve.model.families.sizes import InnerConfig, LayersConfig, PartialRotaryConfig, RotaryConfig, renamed
from cimsolve.model.families.states import STATES, Convolution, kept_state
from cimsolve.model.model import Operation


class HybridConfig(LayersConfig):
    """Layers with attention, and others."""

    layer_types: list[str] | None = None
    other_type: ClassVar[str]

    def attends(self, layer: int) -> bool:
        """Whether the layer has attention, by the rule of the family."""
        raise NotImplementedError

    def has_attention(self, layer: int) -> bool:
        """Whether the layer has attention, as listed or by the rule."""
        return self.attends(layer) if self.layer_types is None else self.layer_types[layer] == "full_attention"

    @model_validator(mode="after")
    def _types_are_known(self) -> Self:
        types = self.layer_types
        if types is None:
            return self
        for each in types:
            if each not in ("full_attention", self.other_type):
                raise ValueError(f"layer_types: {shown_value(each)}: expected full_attention or {self.other_type}")
        if len(types) != self.num_hidden_layers:
            raise ValueError(
                f"layer_types: {len(types)}, num_hidden_layers = {self.num_hidden_layers}; expected as many"
            )
        return self


class Qwen3NextConfig(HybridConfig, SharedConfig, PartialRotaryConfig, InnerConfig):
    model_config = renamed(num_experts="num_experts num_local_experts")
    head_width_where_absent = 256
    share_where_absent = 0.25
    other_type = "linear_attention"
    keys: ClassVar = LlamaConfig.keys.also(OF_TRAINING)
    num_key_value_heads: Count | None = 2
    num_experts: Count = 512
    num_experts_per_tok: Count = 10
    norm_topk_prob: bool = True
    shared_expert_intermediate_size: Width = 512
    full_attention_interval: Count = 4
    linear_num_key_heads: Count = 16
    linear_num_value_heads: Count = 32
    linear_key_head_dim: Width = 128
    linear_value_head_dim: Width = 128
    linear_conv_kernel_dim: Count = 4

    def attends(self, layer: int) -> bool:
        return (layer + 1) % self.full_attention_interval == 0


class Lfm2Config(HybridConfig, RotaryConfig, InnerConfig):
    model_config = renamed(
        intermediate_size="intermediate_size block_ff_dim", num_attention_heads="num_attention_heads num_heads"
    )
    other_type = "conv"
    num_key_value_heads: Count | None = 8
    full_attn_idxs: list[Annotated[int, Field(strict=True, ge=0)]] | None = None
    conv_L_cache: Count = 3
    block_auto_adjust_ff_dim: bool = True
    block_ffn_dim_multiplier: Annotated[float, Field(gt=0, le=64)] | None = 1.0
    block_multiple_of: Count = 256
    keys: ClassVar = Keys(
        idle=named(
            "block_dim block_mlp_init_scale block_norm_eps block_out_init_scale block_use_swiglu "
            "block_use_xavier_init conv_bias conv_dim conv_dim_out conv_use_xavier_init is_decoder norm_eps "
            "rope_parameters rope_theta theta tie_embedding tie_word_embeddings use_pos_enc"
        )
    )

    def attends(self, layer: int) -> bool:
        return self.full_attn_idxs is None or layer in self.full_attn_idxs

    @property
    def inner(self) -> int:
        if not self.block_auto_adjust_ff_dim:
            return self.intermediate_size
        narrowed = int(int(2 * self.intermediate_size / 3) * (self.block_ffn_dim_multiplier or 1.0))
        return self.block_multiple_of * -(-narrowed // self.block_multiple_of)


def _delta_rule(read: Qwen3NextConfig, at: str) -> Half:
    """Linear attention: each head of values has a state that decays, is corrected by what it foretells, and read."""
    keys = read.linear_num_key_heads * read.linear_key_head_dim
    heads, values = read.linear_num_value_heads, read.linear_num_value_heads * read.linear_value_head_dim
    cells = values * read.linear_key_head_dim
    convolution = Convolution(2 * keys + values, read.linear_conv_kernel_dim)
    updates = [
        *convolution.operations,
        Operation("layer_norm", 2 * keys),
        Operation("activation", 2 * heads),  # decays, and how much is corrected
        Operation("multiply", cells + values),
        Operation("add", values),
        Operation("attention_mac", 3 * cells),  # what the state foretells, its correction, and its reading
        Operation("layer_norm", values),
        Operation("activation", values),
        Operation("multiply", values),  # gate
    ]
    inputs = [
        torch_linear(at + "in_proj_qkvz", read.hidden_size, 2 * keys + 2 * values),
        torch_linear(at + "in_proj_ba", read.hidden_size, 2 * heads),
    ]
    out = torch_linear(at + "out_proj", values, read.hidden_size)
    return Half([Link("state_in", inputs), Link("state_out", [out], updates, kept_state(cells, convolution))])


def _gated_convolution(read: Lfm2Config, at: str) -> Half:
    width = read.hidden_size
    work = [Operation("multiply", 2 * width), Operation("attention_mac", width * read.conv_L_cache)]
    inputs, out = torch_linear(at + "in_proj", width, 3 * width), torch_linear(at + "out_proj", width, width)
    return Half(
        [
            Link("convolution_in", [inputs]),
            Link("convolution_out", [out], work, Convolution(width, read.conv_L_cache).cache),
        ]
    )


def _next(read: Qwen3NextConfig, names: LayerNames, traits: Traits, layer: int, tokens: int) -> Half:
    if read.has_attention(layer):
        return attention_half(read, names, traits, layer, tokens)
    return _delta_rule(read, names.at.format(layer) + "linear_attn.")


def _lfm2(read: Lfm2Config, layer: int, tokens: int) -> Layer:
    if read.has_attention(layer):
        first = attention_half(read, LFM2, HEAD_NORMS, layer, tokens)
    else:
        first = _gated_convolution(read, LFM2.at.format(layer) + "conv.")
    return Layer(read.hidden_size, (first, feed_forward_half(read, LFM2, HEAD_NORMS, layer, read.inner)))


def _lfm2_unmapped(read: Lfm2Config) -> tuple[str, ...]:
    return "embeddings", "attention scores and values", "short convolutions", NORMS_AND_ROTARY, "language-model head"


NEXT = LLAMA._replace(projections={**LLAMA.projections, "self_attn.q_proj": "q gate"})
LFM2 = LLAMA._replace(
    out="self_attn.out_proj", up={"feed_forward.w1": "gate", "feed_forward.w3": "up"}, down="feed_forward.w2"
)
FAMILIES = {
    "qwen3_next": mixture(
        Qwen3NextConfig,
        NEXT,
        ExpertNames(shared_gate="mlp.shared_expert_gate"),
        Traits(has_head_norms=True, extra=(STATES,)),
        _next,
    ),
    "lfm2": stacked(Lfm2Config, _lfm2, _lfm2_unmapped),
}
