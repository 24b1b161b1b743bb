"""Decoders whose attention and feed-forward stand side by side: of one normalised vector, or each of its own."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import model_validator

from cimsolve.model.families.config import Context, Count, Width
from cimsolve.model.families.keys import Keys, named
from cimsolve.model.families.layers import LayerNames, Traits, transformer
from cimsolve.model.families.llama import LLAMA, LlamaConfig, Olmo3Config
from cimsolve.model.families.sizes import (
    FourfoldConfig,
    InnerConfig,
    PartialRotaryConfig,
    RotaryConfig,
    renamed,
)

PARALLEL = Traits(is_parallel=True)


class PhiConfig(PartialRotaryConfig, LlamaConfig):
    share_where_absent = 0.5
    qk_layernorm: bool | None = False
    keys: ClassVar = LlamaConfig.keys.also("layer_norm_eps")


class CohereConfig(LlamaConfig):
    use_qk_norm: bool | None = False
    keys: ClassVar = LlamaConfig.keys.also("layer_norm_eps logit_scale")


class Cohere2Config(Olmo3Config):
    sliding_window_pattern: Count = 4
    keys: ClassVar = CohereConfig.keys.also(
        "layer_switch order_of_interleaved_layers use_embedding_sharing use_gated_activation "
        "use_parallel_embedding rope_pct",
        position_embedding_type=(None, "rope", "rope_gptj"),
        use_parallel_block=(None, True),
        rotary_pct=(None, 1),
        use_qk_norm=(None, False),
    )

    def slides(self, layer: int) -> bool:
        return (layer + 1) % self.sliding_window_pattern != 0

    def rotates(self, layer: int) -> bool:
        return self.window_of(layer) is not None


class StableLmConfig(PartialRotaryConfig, LlamaConfig):
    model_config = renamed(partial_rotary_factor="partial_rotary_factor rope_pct")
    num_key_value_heads: Count | None = 32
    share_where_absent = 0.25
    use_parallel_residual: bool | None = False
    qk_layernorm: bool | None = False
    keys: ClassVar = LlamaConfig.keys.also("layer_norm_eps use_qkv_bias")


class GptNeoxConfig(PartialRotaryConfig, InnerConfig):
    model_config = renamed(partial_rotary_factor="rotary_pct partial_rotary_factor")
    share_where_absent = 0.25
    use_parallel_residual: bool | None = True
    keys: ClassVar = Keys(
        idle=named(
            "attention_bias hidden_act is_decoder layer_norm_eps rope_parameters rope_scaling rope_theta "
            "rotary_emb_base tie_word_embeddings"
        )
    )


class GptjConfig(FourfoldConfig):
    model_config = renamed(
        hidden_size="n_embd hidden_size",
        num_hidden_layers="n_layer num_hidden_layers",
        num_attention_heads="n_head num_attention_heads",
        max_position_embeddings="n_positions max_position_embeddings",
        intermediate_size="n_inner",
    )
    rotary_dim: Width | None = 64
    keys: ClassVar = Keys(
        values={"rotary": (None, True)},
        idle=named(
            "activation_function is_decoder layer_norm_epsilon n_ctx rope_parameters scale_attn_weights "
            "tie_word_embeddings"
        ),
    )

    @property
    def rotated_width(self) -> int:
        return min(self.rotary_dim or self.head_width, self.head_width)


class FalconConfig(RotaryConfig, FourfoldConfig):
    """Three layouts: K and V for all heads, one of each, or groups of heads with one of each."""

    model_config = renamed(
        num_hidden_layers="num_hidden_layers n_layer",
        num_attention_heads="num_attention_heads n_head",
        num_key_value_heads="num_kv_heads n_head_kv",
        intermediate_size="ffn_hidden_size",
    )
    max_position_embeddings: Context = 2048
    new_decoder_architecture: bool = False
    multi_query: bool = True
    parallel_attn: bool = True
    alibi: bool = False
    num_ln_in_parallel_attn: Count | None = None
    keys: ClassVar = Keys(
        idle=named(
            "activation apply_residual_connection_post_layernorm bias is_decoder layer_norm_epsilon rope_parameters "
            "rope_scaling rope_theta tie_word_embeddings"
        )
    )

    @property
    def kv_heads(self) -> int:
        if not self.new_decoder_architecture:
            return 1 if self.multi_query else self.num_attention_heads
        return super().kv_heads

    @property
    def rotated_width(self) -> int:
        return 0 if self.alibi else self.head_width

    @model_validator(mode="after")
    def _norms_are_one_or_two(self) -> Self:
        if self.num_ln_in_parallel_attn not in (None, 1, 2):
            raise ValueError(f"num_ln_in_parallel_attn: {self.num_ln_in_parallel_attn}: expected 1 or 2")
        return self


def _falcon(read: FalconConfig) -> Traits:
    two = read.new_decoder_architecture and read.num_ln_in_parallel_attn != 1
    parallel = read.new_decoder_architecture or read.parallel_attn
    return Traits(is_parallel=parallel, has_one_norm=not two, has_biased_scores=read.alibi)


FUSED = LayerNames(
    "gpt_neox.layers.{}.",
    {"attention.query_key_value": "q k v"},
    "attention.dense",
    {"mlp.dense_h_to_4h": "up"},
    "mlp.dense_4h_to_h",
)
FAMILIES = {
    "phi": transformer(
        PhiConfig,
        LLAMA._replace(out="self_attn.dense", up={"mlp.fc1": "up"}, down="mlp.fc2"),
        lambda read: Traits(is_parallel=True, has_head_norms=bool(read.qk_layernorm)),
    ),
    "cohere": transformer(
        CohereConfig, LLAMA, lambda read: Traits(is_parallel=True, has_head_norms=bool(read.use_qk_norm))
    ),
    "cohere2": transformer(Cohere2Config, LLAMA, PARALLEL),
    "stablelm": transformer(
        StableLmConfig,
        LLAMA,
        lambda read: Traits(is_parallel=bool(read.use_parallel_residual), has_head_norms=bool(read.qk_layernorm)),
    ),
    "gpt_neox": transformer(
        GptNeoxConfig,
        FUSED,
        lambda read: Traits(is_parallel=bool(read.use_parallel_residual), has_one_norm=False),
    ),
    "gptj": transformer(
        GptjConfig,
        LayerNames(
            "transformer.h.{}.",
            {"attn.q_proj": "q", "attn.k_proj": "k", "attn.v_proj": "v"},
            "attn.out_proj",
            {"mlp.fc_in": "up"},
            "mlp.fc_out",
        ),
        PARALLEL,
    ),
    "falcon": transformer(
        FalconConfig,
        FUSED._replace(
            at="transformer.h.{}.",
            projections={"self_attention.query_key_value": "q k v"},
            out="self_attention.dense",
        ),
        _falcon,
    ),
}
