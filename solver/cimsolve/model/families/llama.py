"""Llama and decoders of its form: grouped K and V, gated feed-forward, rotary positions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from cimsolve.model.families.config import Context, Count
from cimsolve.model.families.keys import OFF, Keys, named
from cimsolve.model.families.layers import LayerNames, Traits, transformer
from cimsolve.model.families.sizes import InnerConfig, LayerTypes, PartialRotaryConfig, RotaryConfig


class LlamaConfig(LayerTypes, RotaryConfig, InnerConfig):
    types_only_confirm = True
    keys: ClassVar = Keys(
        values={"position_embedding_type": (None, "rope")},
        forward={"rope_interleaved": OFF},
        idle=named(
            "attention_bias hidden_act is_decoder is_llama_config max_window_layers mlp_bias rms_norm_eps "
            "rope_parameters rope_scaling rope_theta tie_word_embeddings"
        ),
    )


class MistralConfig(LlamaConfig):
    num_key_value_heads: Count | None = 8
    sliding_window: Context | None = 4096
    use_sliding_window: bool | None = None

    @model_validator(mode="after")
    def _obeys_its_window(self) -> Self:
        if self.use_sliding_window is False and self.sliding_window is not None:
            raise ValueError(
                "use_sliding_window = false does not turn off sliding_window of a mistral; set that to null"
            )
        return self

    @property
    def window(self) -> int | None:
        return self.sliding_window


class Qwen2Config(LlamaConfig):
    types_only_confirm = False
    num_key_value_heads: Count | None = 32
    use_sliding_window: bool | None = False
    sliding_window: Context | None = 4096
    max_window_layers: Annotated[int, Field(strict=True, ge=0)] = 28

    @property
    def window(self) -> int | None:
        return self.sliding_window if self.use_sliding_window else None

    def slides(self, layer: int) -> bool:
        return layer >= self.max_window_layers


class Ministral3Config(MistralConfig):
    head_width_where_absent = 128
    sliding_window: Context | None = None


class Qwen3Config(Qwen2Config):
    head_width_where_absent = 128


class SmolLm3Config(Qwen2Config):
    num_key_value_heads: Count | None = 4
    sliding_window: Context | None = None
    no_rope_layers: list[Literal[0, 1]] | None = None
    no_rope_layer_interval: Count = 4

    @model_validator(mode="after")
    def _rotates_or_not_in_each_layer(self) -> Self:
        if self.no_rope_layers is not None and len(self.no_rope_layers) != self.num_hidden_layers:
            raise ValueError(
                f"no_rope_layers: {len(self.no_rope_layers)} of num_hidden_layers = {self.num_hidden_layers}; expected "
                "a 1 for each layer with rotary positions and a 0 for each without"
            )
        return self

    def rotates(self, layer: int) -> bool:
        listed = self.no_rope_layers
        return bool(listed[layer] if listed else (layer + 1) % self.no_rope_layer_interval)


class GraniteConfig(LlamaConfig):
    # Multipliers are part of a scale or of the weights after or before them.
    keys: ClassVar = LlamaConfig.keys.also(
        "embedding_multiplier residual_multiplier attention_multiplier logits_scaling"
    )


class Olmo3Config(LlamaConfig):
    types_only_confirm = False
    sliding_window: Context | None = 4096

    @property
    def window(self) -> int | None:
        return self.sliding_window

    def slides(self, layer: int) -> bool:
        return (layer + 1) % 4 != 0


class Exaone4Config(Olmo3Config):
    num_key_value_heads: Count | None = 32
    sliding_window_pattern: Count | Annotated[str, Field(pattern="^[LG]+$")] | None = 4

    def slides(self, layer: int) -> bool:
        pattern = self.sliding_window_pattern
        if pattern is None:
            return False
        return (layer + 1) % pattern != 0 if isinstance(pattern, int) else pattern[layer % len(pattern)] == "L"

    def rotates(self, layer: int) -> bool:
        return self.window is None or self.window_of(layer) is not None


class Phi3Config(PartialRotaryConfig, MistralConfig):
    num_key_value_heads: Count | None = None
    sliding_window: Context | None = None
    keys: ClassVar = LlamaConfig.keys.also("original_max_position_embeddings full_attn_mod interpolate_factor")


class Glm4Config(PartialRotaryConfig, LlamaConfig):
    num_key_value_heads: Count | None = 2
    head_width_where_absent = 128
    share_where_absent = 0.5


LLAMA = LayerNames(
    "model.layers.{}.",
    {"self_attn.q_proj": "q", "self_attn.k_proj": "k", "self_attn.v_proj": "v"},
    "self_attn.o_proj",
    {"mlp.gate_proj": "gate", "mlp.up_proj": "up"},
    "mlp.down_proj",
)
GLM4 = LLAMA._replace(up={"mlp.gate_up_proj": "gate up"})
PHI3 = GLM4._replace(projections={"self_attn.qkv_proj": "q k v"})
HEAD_NORMS = Traits(has_head_norms=True)
FORMS: Mapping[str, type[LlamaConfig]] = {"llama": LlamaConfig, "mistral": MistralConfig, "qwen2": Qwen2Config}
"""`model_type` -> its config; where keys of windows are absent they are as in transformers."""
FAMILIES = {
    **{name: transformer(config, LLAMA) for name, config in FORMS.items()},
    "ministral3": transformer(Ministral3Config, LLAMA),
    "qwen3": transformer(Qwen3Config, LLAMA, HEAD_NORMS),
    "smollm3": transformer(SmolLm3Config, LLAMA),
    "granite": transformer(GraniteConfig, LLAMA),
    "olmo2": transformer(LlamaConfig, LLAMA, HEAD_NORMS),
    "olmo3": transformer(Olmo3Config, LLAMA, HEAD_NORMS),
    "exaone4": transformer(Exaone4Config, LLAMA, HEAD_NORMS),
    "phi3": transformer(Phi3Config, PHI3),
    "glm4": transformer(Glm4Config, GLM4, Traits(has_four_norms=True)),
}
