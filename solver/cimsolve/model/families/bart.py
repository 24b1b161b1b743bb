"""BART and encoder-decoders of its form, Whisper among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from cimsolve.model.families.config import Config, Context, Count, Width, check_heads, context_tokens, read_config
from cimsolve.model.families.keys import OFF, Keys, named
from cimsolve.model.families.layers import Family
from cimsolve.model.families.recorder import Half, Layer, Link, Recorder, attention, kept, torch_linear
from cimsolve.model.families.two_passes import Cross, DecoderLayer, Lengths, model_of, two_passes
from cimsolve.model.model import SOURCE, Linear, Model, Operation, TensorRef

ENCODER_DECODER: Mapping[str, tuple[object, ...]] = {"is_encoder_decoder": (None, True), "is_decoder": OFF}
BART_IDLE = named(
    "activation_function add_bias_logits extra_pos_embeddings normalize_embedding num_hidden_layers "
    "scale_embedding static_position_embeddings tie_word_embeddings"
)


class SidesConfig(Config):
    """An encoder and a decoder of one width."""

    d_model: Width
    encoder_layers: Count
    decoder_layers: Count
    encoder_attention_heads: Count
    decoder_attention_heads: Count
    encoder_ffn_dim: Width
    decoder_ffn_dim: Width


class BartConfig(SidesConfig):
    max_position_embeddings: Context
    keys: ClassVar = Keys(values=ENCODER_DECODER, idle=BART_IDLE)


class MbartConfig(BartConfig):
    """The norm before each half, and one after the last: as much work."""

    keys: ClassVar = Keys(
        values=ENCODER_DECODER, idle=BART_IDLE | named("add_final_layer_norm normalize_before early_stopping")
    )


class WhisperConfig(SidesConfig):
    num_mel_bins: Width = 80
    max_source_positions: Context = 1500
    max_target_positions: Context = 448
    keys: ClassVar = Keys(
        values={**ENCODER_DECODER, "use_weighted_layer_sum": OFF},
        idle=named(
            "activation_function alignment_heads apply_spec_augment classifier_proj_size forced_decoder_ids "
            "lang_ids mask_feature_length mask_feature_min_masks mask_feature_prob mask_time_length "
            "mask_time_min_masks mask_time_prob max_initial_timestamp_index median_filter_width "
            "no_timestamps_token_id num_hidden_layers scale_embedding suppress_ids suppress_ids_begin "
            "tie_word_embeddings"
        ),
    )


def _project(at: str, width: int, *keys: str) -> list[Linear]:
    return [torch_linear(f"{at}{key}_proj", width, width) for key in keys]


class _BartHalves:
    """Halves of the layers of a config's encoder and decoder, whose attentions see so many tokens."""

    def __init__(self, read: SidesConfig, origin: str, lengths: Lengths) -> None:
        self.width, self.lengths = read.d_model, lengths
        self.inner = {"encoder": read.encoder_ffn_dim, "decoder": read.decoder_ffn_dim}
        self.heads = {"encoder": read.encoder_attention_heads, "decoder": read.decoder_attention_heads}
        for side, count in self.heads.items():
            check_heads(origin, self.width, count, f"{side}_attention_heads", "d_model")

    def over(self, side: str, tokens: int) -> tuple[Operation, ...]:
        return attention(self.heads[side], self.width // self.heads[side], tokens)

    def halves(self, side: str, layer: int) -> tuple[Half, Half]:
        """Self-attention and feed-forward of a layer."""
        at, width, inner = f"{side}.layers.{layer}.", self.width, self.inner[side]
        is_causal = side == "decoder"
        tokens = self.lengths.target if is_causal else self.lengths.source
        out, cache = _project(at + "self_attn.", width, "out"), kept(1, width, tokens, is_causal)
        attending = [
            Link("qkv", _project(at + "self_attn.", width, *"qkv")),
            Link("attention_output", out, self.over(side, tokens), cache, is_barrier=True),
        ]
        widened = [
            Link("feed_forward_up", [torch_linear(at + "fc1", width, inner)]),
            Link("feed_forward_down", [torch_linear(at + "fc2", inner, width)], [Operation("activation", inner)]),
        ]
        return Half(attending), Half(widened)

    def encoder_layer(self, layer: int) -> Layer:
        return Layer(self.width, self.halves("encoder", layer))

    def decoder_layer(self, layer: int) -> DecoderLayer:
        attending, widened = self.halves("decoder", layer)
        query, keys, values, out = _project(f"decoder.layers.{layer}.encoder_attn.", self.width, "q", "k", "v", "out")
        seen = self.lengths.source
        work = self.over("decoder", seen)
        return DecoderLayer(attending, Cross(query, [keys, values], out, work, seen), widened)


def _recorded(read: SidesConfig, sides: _BartHalves, record: Recorder, begun: tuple[int, ...] = ()) -> Any:
    encoder = [sides.encoder_layer(layer) for layer in range(read.encoder_layers)]
    decoder = [sides.decoder_layer(layer) for layer in range(read.decoder_layers)]
    return two_passes(record, read.d_model, encoder, decoder, begun)


def _text_family(kind: type[BartConfig]) -> Family:
    def build(
        config: Mapping[str, Any], origin: str, name: str, tokens: int | None, source_tokens: int | None
    ) -> Model:
        read, record = read_config(kind, config, origin), Recorder(SOURCE)
        context = read.max_position_embeddings
        lengths = Lengths.of(origin, source_tokens, context_tokens(origin, tokens, context), context)
        tails = _recorded(read, _BartHalves(read, origin, lengths), record)
        return model_of(record, name, config, lengths, tails, "layer norms and biases")

    return Family(build, kind, has_source=True)


def _whisper(config: Mapping[str, Any], origin: str, name: str, tokens: int | None, source_tokens: int | None) -> Model:
    """Speech: two convolutions over time before the encoder, the second of which leaves out every other position.

    The sound is filled up to all positions of the encoder, unless it is asked for fewer.
    """
    read, record = read_config(WhisperConfig, config, origin), Recorder(SOURCE)
    positions = read.max_source_positions
    target = context_tokens(origin, tokens, read.max_target_positions)
    lengths = Lengths.of(origin, source_tokens, target, positions, usual=positions)
    width, taps = read.d_model, 3
    first = TensorRef("encoder.conv1.weight", "out_in")
    both = [
        record.step(
            f"encoder.conv1_{place}", [Linear(f"encoder.conv1.{place}", taps * read.num_mel_bins, width, first)], []
        )
        for place in ("even", "odd")
    ]
    convolved = record.step(
        "encoder.conv2",
        [torch_linear("encoder.conv2", taps * width, width)],
        both,
        [Operation("activation", 2 * width)],
    )
    record.left = (Operation("activation", width),)
    tails = _recorded(read, _BartHalves(read, origin, lengths), record, (convolved,))
    notes = ("encoder.conv1 is stored twice, as each token of the source has two of its positions",)
    return replace(model_of(record, name, config, lengths, tails, "layer norms and biases"), notes=notes)


FAMILIES = {
    "bart": _text_family(BartConfig),
    "mbart": _text_family(MbartConfig),
    "pegasus": _text_family(MbartConfig),
    "m2m_100": _text_family(MbartConfig),
    "whisper": Family(_whisper, WhisperConfig, has_source=True),
}
