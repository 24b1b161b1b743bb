"""Latent attention of DeepSeek: the cache holds one narrow vector a token, of which all heads make keys and values.

What makes them of it, `kv_b_proj`, is absorbed: each head's part for keys is applied to its query, its part for values
to the mixed vector, so that scores and values run over what the cache holds and nothing is applied to cached tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from cimsolve.model.families.config import Count, Width
from cimsolve.model.families.experts import mixture
from cimsolve.model.families.layers import LayerNames, Traits, after_norm, rotary
from cimsolve.model.families.llama import LLAMA, LlamaConfig
from cimsolve.model.families.mixtures import OF_TRAINING, SHARED, FirstDenseConfig
from cimsolve.model.families.recorder import Half, Link
from cimsolve.model.families.sizes import InnerConfig, TransformerConfig
from cimsolve.model.model import CacheUse, Linear, Operation, TensorRef


class LatentConfig(FirstDenseConfig, InnerConfig, TransformerConfig):
    """Heads of a width of their own, in two parts: one of contents, one of rotary positions."""

    kv_lora_rank: Width
    q_lora_rank: Width | None = 1536
    qk_nope_head_dim: Width = 128
    qk_rope_head_dim: Width = 64
    v_head_dim: Width = 128
    keys: ClassVar = LlamaConfig.keys.also(
        f"{OF_TRAINING} aux_loss_alpha ep_size head_dim num_key_value_heads qk_head_dim rope_interleave "
        "routed_scaling_factor seq_aux topk_group topk_method",
        moe_layer_freq=(None, 1),
    )

    def _width_is_given(self) -> bool:
        return True

    @property
    def head_width(self) -> int:
        return self.qk_nope_head_dim + self.qk_rope_head_dim

    @property
    def rotated_width(self) -> int:
        return self.qk_rope_head_dim

    @property
    def cached_width(self) -> int:
        """Elements that the cache holds of a token in a layer."""
        return self.kv_lora_rank + self.qk_rope_head_dim


class DeepseekV2Config(LatentConfig):
    scoring = "softmax"
    n_shared_experts: Count | None = 2
    keys: ClassVar = LatentConfig.keys.also(scoring_func=(None, "softmax"))


class DeepseekV3Config(LatentConfig):
    norm_topk_prob: bool = True
    first_k_dense_replace: Annotated[int, Field(strict=True, ge=0)] = 3
    n_shared_experts: Count | None = 1
    n_group: Count | None = 8
    keys: ClassVar = LatentConfig.keys.also(scoring_func=(None, "sigmoid"))


def latent_half(read: LatentConfig, names: LayerNames, traits: Traits, layer: int, tokens: int) -> Half:
    """Attention over the latent vectors of the tokens before."""
    at, width, heads = names.at.format(layer) + "self_attn.", read.hidden_size, read.num_attention_heads
    latent, cached, q_width = read.kv_lora_rank, read.cached_width, heads * read.head_width
    to_latent = names.linear(at + "kv_a_proj_with_mqa", width, cached)
    if read.q_lora_rank is None:
        links = [Link("qkv", [names.linear(at + "q_proj", width, q_width), to_latent])]
    else:
        links = [
            Link("latents", [names.linear(at + "q_a_proj", width, read.q_lora_rank), to_latent]),
            Link(
                "q",
                [names.linear(at + "q_b_proj", read.q_lora_rank, q_width)],
                [Operation("layer_norm", read.q_lora_rank)],
            ),
        ]
    scores = [
        Operation("layer_norm", latent),
        *rotary((heads + 1) * read.qk_rope_head_dim),
        Operation("attention_mac", heads * (cached + latent) * tokens),
        Operation("softmax", heads * tokens),
    ]
    cache = CacheUse(cached, tokens, cached, traits.is_causal)
    links += [
        Link("absorbed_keys", [*_parts(read, at, "k")]),
        Link("absorbed_values", [*_parts(read, at, "v")], scores, cache, is_barrier=True),
        Link("attention_output", [names.linear(at + "o_proj", heads * read.v_head_dim, width)]),
    ]
    return Half(links, after_norm(traits, width))


def _parts(read: LatentConfig, at: str, part: str) -> Iterator[Linear]:
    """What the heads take of `kv_b_proj`: head after head it has the rows of a key and then those of a value.

    Each reads a vector of its own, and all of them fire.
    """
    keys, values, latent = read.qk_nope_head_dim, read.v_head_dim, read.kv_lora_rank
    tensor = f"{at}kv_b_proj.weight"
    for head in range(read.num_attention_heads):
        start = head * (keys + values)
        middle, stop = start + keys, start + keys + values
        name = f"{at}kv_b_proj.{part}{head}"
        if part == "k":
            yield Linear(name, keys, latent, TensorRef(tensor, "in_out", start, middle, "in"), input=head)
        else:
            yield Linear(name, latent, values, TensorRef(tensor, "out_in", middle, stop), input=head)


ABSORBED = Traits(
    notes=(
        "kv_b_proj is absorbed, in decoding as in a prefill: its part of the keys of each head is applied to the "
        "query, its part of the values to the mixed latent vector; both count as linears of one head",
    )
)
FAMILIES = {
    "deepseek_v2": mixture(DeepseekV2Config, LLAMA, SHARED, ABSORBED, latent_half),
    "deepseek_v3": mixture(DeepseekV3Config, LLAMA, SHARED, ABSORBED, latent_half),
}
