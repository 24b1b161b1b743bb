"""GPT-2 and decoders of its time: a feed-forward without a gate, after attention."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar, Literal, Self

from pydantic import model_validator

from cimsolve.model.families.config import Context, Count, Width, file_key
from cimsolve.model.families.keys import Keys, named
from cimsolve.model.families.layers import LayerNames, Traits, begun, plain_layer, stacked, transformer
from cimsolve.model.families.llama import LLAMA, LlamaConfig, MistralConfig
from cimsolve.model.families.recorder import Layer, Link, torch_linear
from cimsolve.model.families.sizes import FourfoldConfig, InnerConfig, renamed


class Gpt2Config(FourfoldConfig):
    model_config = renamed(
        hidden_size="n_embd",
        num_hidden_layers="n_layer",
        num_attention_heads="n_head",
        max_position_embeddings="n_positions",
        intermediate_size="n_inner",
    )
    keys: ClassVar = Keys(
        idle=named(
            "activation_function is_decoder layer_norm_epsilon n_ctx scale_attn_by_inverse_layer_idx "
            "scale_attn_weights tie_word_embeddings"
        )
    )


class GptNeoConfig(FourfoldConfig):
    """Attention of all tokens, and of those in a window, in turn."""

    model_config = renamed(
        num_hidden_layers="num_layers num_hidden_layers", num_attention_heads="num_heads num_attention_heads"
    )
    attention_types: tuple[tuple[tuple[Literal["global", "local"], ...], Count], ...] = ((("global", "local"), 12),)
    window_size: Context = 256
    keys: ClassVar = Keys(
        idle=named("activation_function attention_layers is_decoder layer_norm_epsilon tie_word_embeddings")
    )

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """`global` or `local` for each layer."""
        return tuple(kind for kinds, times in self.attention_types for kind in kinds * times)

    def window_of(self, layer: int) -> int | None:
        return self.window_size if self.kinds[layer] == "local" else None

    @model_validator(mode="after")
    def _each_layer_has_a_kind(self) -> Self:
        listed = sum(len(kinds) * times for kinds, times in self.attention_types)
        if listed != self.num_hidden_layers:
            key = file_key(type(self), "num_hidden_layers")
            raise ValueError(
                f"attention_types: lists {listed} layers of {key} = {self.num_hidden_layers}; expected one kind a layer"
            )
        return self


class OptConfig(InnerConfig):
    model_config = renamed(intermediate_size="ffn_dim")
    word_embed_proj_dim: Width | None = None
    keys: ClassVar = Keys(
        idle=named(
            "_remove_final_layer_norm activation_function do_layer_norm_before enable_bias is_decoder "
            "layer_norm_elementwise_affine tie_word_embeddings"
        )
    )

    @property
    def narrow_words(self) -> int:
        """Width of the embeddings where it is not that of the layers, else 0."""
        return 0 if self.word_embed_proj_dim in (None, self.hidden_size) else self.word_embed_proj_dim or 0


class BloomConfig(FourfoldConfig):
    """Always four times as wide within; no position is too far."""

    model_config = renamed(
        hidden_size="n_embed hidden_size",
        num_hidden_layers="n_layer num_hidden_layers",
        num_attention_heads="n_head num_attention_heads",
        max_position_embeddings="seq_length",
        intermediate_size="n_inner",
    )
    max_position_embeddings: Context = 2048
    keys: ClassVar = Keys(
        idle=named(
            "apply_residual_connection_post_layernorm attention_softmax_in_fp32 bias_dropout_fusion is_decoder "
            "layer_norm_epsilon masked_softmax_fusion offset_alibi skip_bias_add skip_bias_add_qkv slow_but_exact "
            "tie_word_embeddings"
        )
    )

    @property
    def inner(self) -> int:
        return 4 * self.hidden_size

    @model_validator(mode="after")
    def _inner_is_fourfold(self) -> Self:
        if self.intermediate_size not in (None, self.inner):
            raise ValueError(f"n_inner: {self.intermediate_size}: expected 4 * hidden_size = {self.inner}, or null")
        return self


class Starcoder2Config(MistralConfig):
    num_key_value_heads: Count | None = 2
    sliding_window: Context | None = None
    keys: ClassVar = LlamaConfig.keys.also("activation_function mlp_type norm_epsilon norm_type use_bias")


LAYER_NORMS = "layer norms and biases"
OPT = LLAMA._replace(at="decoder.layers.{}.", out="self_attn.out_proj", up={"fc1": "up"}, down="fc2")


def _opt_layer(read: OptConfig, layer: int, tokens: int) -> Layer:
    plain = plain_layer(read, OPT, Traits(), layer, tokens)
    if layer or not read.narrow_words:
        return plain
    attention, feed_forward = plain.halves
    first = Link("project_in", [torch_linear("decoder.project_in", read.narrow_words, read.hidden_size)])
    return plain._replace(halves=(begun(attention, first, ()), feed_forward))


def _opt_last(read: OptConfig) -> Link | None:
    width = read.narrow_words
    return Link("project_out", [torch_linear("decoder.project_out", read.hidden_size, width)]) if width else None


def _opt_unmapped(read: OptConfig) -> tuple[str, ...]:
    return "embeddings", "attention scores and values", LAYER_NORMS, "language-model head"


FAMILIES = {
    "gpt2": transformer(
        Gpt2Config,
        LayerNames(
            "h.{}.",
            {"attn.c_attn": "q k v"},
            "attn.c_proj",
            {"mlp.c_fc": "up"},
            "mlp.c_proj",
            layout="in_out",
            is_split=True,
        ),
        norms=LAYER_NORMS,
    ),
    "gpt_neo": transformer(
        GptNeoConfig,
        LayerNames(
            "transformer.h.{}.",
            {"attn.attention.q_proj": "q", "attn.attention.k_proj": "k", "attn.attention.v_proj": "v"},
            "attn.attention.out_proj",
            {"mlp.c_fc": "up"},
            "mlp.c_proj",
        ),
        norms=LAYER_NORMS,
    ),
    "opt": stacked(OptConfig, _opt_layer, _opt_unmapped, last_step=_opt_last),
    "bloom": transformer(
        BloomConfig,
        LayerNames(
            "h.{}.",
            {"self_attention.query_key_value": "q k v"},
            "self_attention.dense",
            {"mlp.dense_h_to_4h": "up"},
            "mlp.dense_4h_to_h",
        ),
        Traits(has_biased_scores=True),
        norms=LAYER_NORMS,
    ),
    "starcoder2": transformer(Starcoder2Config, LLAMA._replace(up={"mlp.c_fc": "up"}, down="mlp.c_proj")),
}
