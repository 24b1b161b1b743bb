"""T5 and mT5: heads of a width of their own, a bias of positions in the scores, no other biases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from cimsolve.model.families.bart import ENCODER_DECODER
from cimsolve.model.families.config import TOKENS_MAX, Config, Count, Width, context_tokens, read_config
from cimsolve.model.families.keys import Keys, named
from cimsolve.model.families.layers import Family, activated
from cimsolve.model.families.recorder import Half, Layer, Link, Recorder, attention, kept, torch_linear
from cimsolve.model.families.two_passes import Cross, DecoderLayer, Lengths, model_of, two_passes
from cimsolve.model.model import SOURCE, Linear, Model, Operation


class T5Config(Config):
    d_model: Width
    d_kv: Width
    d_ff: Width
    num_heads: Count
    num_layers: Count
    num_decoder_layers: Count | None = None
    feed_forward_proj: Annotated[str, Field(pattern="^(gated-)?[a-z_]+$")] = "relu"
    keys: ClassVar = Keys(
        values=ENCODER_DECODER,
        idle=named(
            "dense_act_fn dropout_rate gradient_checkpointing is_gated_act layer_norm_epsilon n_positions "
            "relative_attention_max_distance relative_attention_num_buckets scale_decoder_outputs tie_word_embeddings"
        ),
    )

    @property
    def projected(self) -> int:
        """Width of all heads, which need not be that of the layer."""
        return self.num_heads * self.d_kv

    @property
    def is_gated(self) -> bool:
        """Whether the feed-forward has a gate."""
        return self.feed_forward_proj.startswith("gated-")


class Mt5Config(T5Config):
    feed_forward_proj: Annotated[str, Field(pattern="^(gated-)?[a-z_]+$")] = "gated-gelu"


def _project(read: T5Config, at: str, *keys: str) -> list[Linear]:
    return [torch_linear(at + key, read.d_model, read.projected) for key in keys]


def _out(read: T5Config, at: str) -> Linear:
    return torch_linear(at + "o", read.projected, read.d_model)


def _attention(read: T5Config, side: str, layer: int, tokens: int) -> Half:
    at = f"{side}.block.{layer}.layer.0.SelfAttention."
    biased = [*attention(read.num_heads, read.d_kv, tokens), Operation("add", read.num_heads * tokens)]
    cache = kept(1, read.projected, tokens, is_causal=side == "decoder")
    return Half(
        [
            Link("qkv", _project(read, at, *"qkv")),
            Link("attention_output", [_out(read, at)], biased, cache, is_barrier=True),
        ]
    )


def _feed_forward(read: T5Config, side: str, layer: int) -> Half:
    at = f"{side}.block.{layer}.layer.{2 if side == 'decoder' else 1}.DenseReluDense."
    up = [torch_linear(at + key, read.d_model, read.d_ff) for key in (("wi_0", "wi_1") if read.is_gated else ("wi",))]
    down = [torch_linear(at + "wo", read.d_ff, read.d_model)]
    return Half([Link("feed_forward_up", up), Link("feed_forward_down", down, activated(read.d_ff, read.is_gated))])


def _decoder_layer(read: T5Config, layer: int, lengths: Lengths) -> DecoderLayer:
    at = f"decoder.block.{layer}.layer.1.EncDecAttention."
    query, keys, values = _project(read, at, *"qkv")
    seen = lengths.source
    cross = Cross(query, [keys, values], _out(read, at), attention(read.num_heads, read.d_kv, seen), seen)
    own = _attention(read, "decoder", layer, lengths.target)
    return DecoderLayer(own, cross, _feed_forward(read, "decoder", layer))


def _family(kind: type[T5Config]) -> Family:
    def build(
        config: Mapping[str, Any], origin: str, name: str, tokens: int | None, source_tokens: int | None
    ) -> Model:
        read, record = read_config(kind, config, origin), Recorder(SOURCE)
        lengths = Lengths.of(origin, source_tokens, context_tokens(origin, tokens, TOKENS_MAX), TOKENS_MAX)
        source = lengths.source
        encoder = [
            Layer(read.d_model, (_attention(read, "encoder", layer, source), _feed_forward(read, "encoder", layer)))
            for layer in range(read.num_layers)
        ]
        decoder = [_decoder_layer(read, layer, lengths) for layer in range(read.num_decoder_layers or read.num_layers)]
        tails = two_passes(record, read.d_model, encoder, decoder)
        return model_of(record, name, config, lengths, tails, "norms and biases of positions")

    return Family(build, kind, has_source=True)


FAMILIES = {"t5": _family(T5Config), "mt5": _family(Mt5Config)}
