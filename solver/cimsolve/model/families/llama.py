"""Llama and decoders of its form: grouped K and V, gated feed-forward, rotary positions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from cimsolve.model.families.config import Context, read_config
from cimsolve.model.families.keys import OFF, Keys, named
from cimsolve.model.families.layers import LayerNames, transformer
from cimsolve.model.families.sizes import InnerConfig, LayerTypes, RotaryConfig


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
    use_sliding_window: bool | None = False
    sliding_window: Context | None = 4096
    max_window_layers: Annotated[int, Field(strict=True, ge=0)] = 28

    @property
    def window(self) -> int | None:
        return self.sliding_window if self.use_sliding_window else None

    def slides(self, layer: int) -> bool:
        return layer >= self.max_window_layers


LLAMA = LayerNames(
    "model.layers.{}.",
    {"self_attn.q_proj": "q", "self_attn.k_proj": "k", "self_attn.v_proj": "v"},
    "self_attn.o_proj",
    {"mlp.gate_proj": "gate", "mlp.up_proj": "up"},
    "mlp.down_proj",
)
FORMS: Mapping[str, type[LlamaConfig]] = {"llama": LlamaConfig, "mistral": MistralConfig, "qwen2": Qwen2Config}
"""`model_type` -> its config; where keys of windows are absent they are as in transformers."""
FAMILIES = {name: transformer(config, LLAMA) for name, config in FORMS.items()}


def attention_windows(config: Mapping[str, Any], origin: str) -> tuple[int | None, ...]:
    """Most keys that a token attends to in each layer, its own among them; None: all.

    Raises InputError for layer types that do not fit the other keys.
    """
    read = read_config(FORMS[config["model_type"]], config, origin)
    return tuple(read.window_of(layer) for layer in range(read.num_hidden_layers))
