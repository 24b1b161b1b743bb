"""Decoders of Llama's form whose feed-forwards are experts."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from cimsolve.model.families.config import Context, Count, Width
from cimsolve.model.families.experts import ExpertNames, ExpertsConfig, Routing, SharedConfig, SomeSparseConfig, mixture
from cimsolve.model.families.layers import LayerNames, Traits, attention_half
from cimsolve.model.families.llama import HEAD_NORMS, LLAMA, LlamaConfig, MistralConfig, Qwen2Config
from cimsolve.model.families.recorder import Half
from cimsolve.model.families.sizes import PartialRotaryConfig, renamed

OF_TRAINING = "router_aux_loss_coef output_router_logits router_jitter_noise input_jitter_noise router_z_loss_coef"


class MixtralConfig(ExpertsConfig, MistralConfig):
    model_config = renamed(num_experts="num_local_experts num_experts")
    num_experts: Count = 8
    num_experts_per_tok: Count = 2
    sliding_window: Context | None = None
    keys: ClassVar = LlamaConfig.keys.also(OF_TRAINING)

    @property
    def routing(self) -> Routing:
        return Routing(self.num_experts, self.num_experts_per_tok, self.inner, renormalises=True)


class PhiMoeConfig(MixtralConfig):
    num_experts: Count = 16
    keys: ClassVar = MixtralConfig.keys.also("original_max_position_embeddings")


class Qwen2MoeConfig(SharedConfig, Qwen2Config):
    model_config = renamed(num_experts="num_experts num_local_experts")
    num_experts: Count = 60
    num_key_value_heads: Count | None = 16
    num_experts_per_tok: Count = 4
    shared_expert_intermediate_size: Width = 5632
    norm_topk_prob: bool = False
    keys: ClassVar = LlamaConfig.keys.also(f"{OF_TRAINING} qkv_bias")

    @field_validator("sliding_window", mode="before")
    @classmethod
    def _no_window_is_written_as_zero(cls, value: Any, info: ValidationInfo) -> Any:
        return None if value == 0 and not info.data.get("use_sliding_window") else value

    def slides(self, layer: int) -> bool:
        return layer % 2 == 0 and layer < self.max_window_layers


class Qwen3MoeConfig(SomeSparseConfig, Qwen2Config):
    model_config = renamed(num_experts="num_experts num_local_experts")
    num_experts: Count = 128
    num_experts_per_tok: Count = 8
    num_key_value_heads: Count | None = 4
    norm_topk_prob: bool = False
    keys: ClassVar = LlamaConfig.keys.also(OF_TRAINING)

    def slides(self, layer: int) -> bool:
        return True

    @property
    def routing(self) -> Routing:
        shape = self.num_experts, self.num_experts_per_tok, self.moe_intermediate_size
        return Routing(*shape, renormalises=self.norm_topk_prob)


class OlmoeConfig(ExpertsConfig, LlamaConfig):
    model_config = renamed(num_experts="num_experts num_local_experts")
    num_experts: Count = 64
    num_experts_per_tok: Count = 8
    norm_topk_prob: bool = False
    keys: ClassVar = LlamaConfig.keys.also(OF_TRAINING)

    @property
    def routing(self) -> Routing:
        return Routing(self.num_experts, self.num_experts_per_tok, self.inner, renormalises=self.norm_topk_prob)


class GraniteMoeConfig(ExpertsConfig, LlamaConfig):
    model_config = renamed(num_experts="num_local_experts num_experts")
    num_experts: Count = 8
    num_experts_per_tok: Count = 2
    keys: ClassVar = LlamaConfig.keys.also(
        f"{OF_TRAINING} embedding_multiplier residual_multiplier attention_multiplier logits_scaling"
    )

    @property
    def routing(self) -> Routing:
        return Routing(self.num_experts, self.num_experts_per_tok, self.inner, scoring="softmax of chosen")


class FirstDenseConfig(ExpertsConfig):
    """The first layers have one feed-forward, all others experts: what DeepSeek began."""

    model_config = renamed(num_experts="n_routed_experts num_local_experts num_experts")
    moe_intermediate_size: Width
    n_shared_experts: Count | None = None
    first_k_dense_replace: Annotated[int, Field(strict=True, ge=0)] = 0
    n_group: Count | None = 1
    norm_topk_prob: bool = False
    num_nextn_predict_layers: int | None = None
    scoring: ClassVar[Literal["softmax", "sigmoid"]] = "sigmoid"

    def has_experts(self, layer: int) -> bool:
        return layer >= self.first_k_dense_replace

    @property
    def routing(self) -> Routing:
        return Routing(
            self.num_experts,
            self.num_experts_per_tok,
            self.moe_intermediate_size,
            self.moe_intermediate_size * (self.n_shared_experts or 0),
            self.scoring,
            self.norm_topk_prob,
            has_bias=self.scoring == "sigmoid",
            has_groups=(self.n_group or 1) > 1,
        )


class Glm4MoeConfig(FirstDenseConfig, PartialRotaryConfig, LlamaConfig):
    num_key_value_heads: Count | None = 8
    share_where_absent = 0.5
    first_k_dense_replace: Annotated[int, Field(strict=True, ge=0)] = 1
    n_shared_experts: Count | None = 1
    norm_topk_prob: bool = True
    use_qk_norm: bool = False
    keys: ClassVar = LlamaConfig.keys.also(
        f"{OF_TRAINING} routed_scaling_factor topk_group topk_method", scoring_func=(None, "sigmoid")
    )


class GptOssConfig(ExpertsConfig, LlamaConfig):
    """Windows in every second layer, and a score of its own in the softmax of each head."""

    model_config = renamed(
        num_experts="num_local_experts num_experts", num_experts_per_tok="num_experts_per_tok experts_per_token"
    )
    head_width_where_absent = 64
    types_only_confirm = False
    num_experts: Count = 128
    num_experts_per_tok: Count = 4
    num_key_value_heads: Count | None = 8
    sliding_window: Context | None = 128
    keys: ClassVar = LlamaConfig.keys.also(f"{OF_TRAINING} swiglu_limit swiglu_alpha initial_context_length")

    @property
    def window(self) -> int | None:
        return self.sliding_window

    def slides(self, layer: int) -> bool:
        return layer % 2 == 0

    @property
    def routing(self) -> Routing:
        return Routing(self.num_experts, self.num_experts_per_tok, self.inner, scoring="softmax of chosen")


class Llama4Config(ExpertsConfig, LlamaConfig):
    """Attention within chunks in the layers with rotary positions; scores multiply what experts read."""

    model_config = renamed(num_experts="num_local_experts num_experts")
    head_width_where_absent = 128
    types_only_confirm = False
    sliding_types = ("chunked_attention",)
    num_key_value_heads: Count | None = 8
    num_experts: Count = 16
    num_experts_per_tok: Count = 1
    intermediate_size_mlp: Width = 16384
    interleave_moe_layer_step: Count = 1
    moe_layers: list[int] | None = None
    attention_chunk_size: Context | None = 8192
    no_rope_layers: list[Literal[0, 1]] | None = None
    no_rope_layer_interval: Count = 4
    use_qk_norm: bool = True
    keys: ClassVar = LlamaConfig.keys.also(
        f"{OF_TRAINING} attn_scale attn_temperature_tuning floor_scale for_llm_compressor"
    )

    @property
    def inner(self) -> int:
        return self.intermediate_size_mlp

    @property
    def window(self) -> int | None:
        return self.attention_chunk_size

    def slides(self, layer: int) -> bool:
        return self.rotates(layer)

    def rotates(self, layer: int) -> bool:
        listed = self.no_rope_layers
        return bool(listed[layer] if listed else (layer + 1) % self.no_rope_layer_interval)

    def has_experts(self, layer: int) -> bool:
        if self.moe_layers is not None:
            return layer in self.moe_layers
        return (layer + 1) % self.interleave_moe_layer_step == 0

    @property
    def routing(self) -> Routing:
        inner = self.intermediate_size
        return Routing(self.num_experts, self.num_experts_per_tok, inner, inner, scoring="sigmoid", scales_inputs=True)

    @model_validator(mode="after")
    def _layers_are_listed(self) -> Self:
        if self.no_rope_layers and len(self.no_rope_layers) != self.num_hidden_layers:
            raise ValueError(
                f"no_rope_layers: {len(self.no_rope_layers)} of num_hidden_layers = {self.num_hidden_layers}; expected "
                "a 1 for each layer with rotary positions and a 0 for each without"
            )
        return self


def _chunked_half(read: Llama4Config, names: LayerNames, traits: Traits, layer: int, tokens: int) -> Half:
    """Q and K are normalised where they are turned."""
    own = replace(traits, has_head_norms=read.use_qk_norm and read.rotates(layer))
    return attention_half(read, names, own, layer, tokens)


MIXTRAL = ExpertNames("block_sparse_moe.gate", "block_sparse_moe.experts.{}.", {"w1": "gate", "w3": "up"}, "w2")
SHARED = ExpertNames(shared="mlp.shared_experts.")
LLAMA4 = LLAMA._replace(
    up={"feed_forward.gate_proj": "gate", "feed_forward.up_proj": "up"}, down="feed_forward.down_proj"
)
FAMILIES = {
    "mixtral": mixture(MixtralConfig, LLAMA, MIXTRAL),
    "phimoe": mixture(PhiMoeConfig, LLAMA, MIXTRAL),
    "qwen2_moe": mixture(Qwen2MoeConfig, LLAMA, ExpertNames(shared_gate="mlp.shared_expert_gate")),
    "qwen3_moe": mixture(Qwen3MoeConfig, LLAMA, ExpertNames(), HEAD_NORMS),
    "olmoe": mixture(OlmoeConfig, LLAMA, ExpertNames(), HEAD_NORMS),
    "granitemoe": mixture(
        GraniteMoeConfig,
        LLAMA,
        ExpertNames(
            "block_sparse_moe.router.layer",
            "block_sparse_moe.",
            {"input_linear": "gate up"},
            "output_linear",
            one_tensor="out_in",
        ),
    ),
    "glm4_moe": mixture(Glm4MoeConfig, LLAMA, SHARED, lambda read: Traits(has_head_norms=read.use_qk_norm)),
    "gpt_oss": mixture(
        GptOssConfig,
        LLAMA,
        ExpertNames("mlp.router", "mlp.experts.", {"gate_up_proj": "gate up"}, one_tensor="in_out", weight=""),
        Traits(has_sinks=True),
    ),
    "llama4_text": mixture(
        Llama4Config,
        LLAMA4,
        ExpertNames(
            "feed_forward.router",
            "feed_forward.experts.",
            {"gate_up_proj": "gate up"},
            shared="feed_forward.shared_expert.",
            one_tensor="in_out",
            weight="",
        ),
        attention=_chunked_half,
    ),
}
