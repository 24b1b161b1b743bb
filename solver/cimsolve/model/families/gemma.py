"""Gemma: heads of 256; from the second on four norms a layer and windows, the first's scores capped."""

from __future__ import annotations

from typing import ClassVar

from cimsolve.model.families.config import Context, Count
from cimsolve.model.families.keys import OFF
from cimsolve.model.families.layers import Traits, transformer
from cimsolve.model.families.llama import LLAMA, LlamaConfig
from cimsolve.model.families.sizes import renamed


class GemmaConfig(LlamaConfig):
    num_key_value_heads: Count | None = 16
    head_width_where_absent = 256
    keys: ClassVar = LlamaConfig.keys.also("hidden_activation", use_bidirectional_attention=OFF)


class Gemma2Config(GemmaConfig):
    num_key_value_heads: Count | None = 4
    types_only_confirm = False
    sliding_window: Context | None = 4096
    attn_logit_softcapping: float | None = 50.0
    keys: ClassVar = GemmaConfig.keys.also("query_pre_attn_scalar final_logit_softcapping")

    @property
    def window(self) -> int | None:
        return self.sliding_window

    def slides(self, layer: int) -> bool:
        return layer % 2 == 0


class Gemma3Config(Gemma2Config):
    """What the files of whole models leave out is as in transformers."""

    model_config = renamed(sliding_window_pattern="sliding_window_pattern _sliding_window_pattern")
    num_attention_heads: Count = 8
    max_position_embeddings: Context = 131072
    attn_logit_softcapping: float | None = None
    sliding_window_pattern: Count = 6
    keys: ClassVar = Gemma2Config.keys.also("rope_local_base_freq")

    def slides(self, layer: int) -> bool:
        return (layer + 1) % self.sliding_window_pattern != 0


def _traits(read: Gemma2Config) -> Traits:
    return Traits(
        has_four_norms=True,
        has_head_norms=isinstance(read, Gemma3Config),
        caps_scores=read.attn_logit_softcapping is not None,
    )


FAMILIES = {
    "gemma": transformer(GemmaConfig, LLAMA),
    "gemma2": transformer(Gemma2Config, LLAMA, _traits),
    "gemma3_text": transformer(Gemma3Config, LLAMA, _traits),
}
