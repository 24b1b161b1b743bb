"""BART: an encoder, and a decoder with cross-attention; two passes.

The source pass runs the encoder on one source token and prepares its cross-attention keys and values for every
decoder layer; the target pass runs the decoder on one target token.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from cimsolve.model.families.config import Config, Context, Count, Width, check_heads, context_tokens, read_config
from cimsolve.model.families.keys import OFF, Keys, named
from cimsolve.model.families.recorder import Half, Layer, Link, Recorder, attention, kept, normalise_sum, torch_linear
from cimsolve.model.model import CacheUse, Linear, Model, Operation, Tail


class BartConfig(Config):
    d_model: Width
    encoder_layers: Count
    decoder_layers: Count
    encoder_attention_heads: Count
    decoder_attention_heads: Count
    encoder_ffn_dim: Width
    decoder_ffn_dim: Width
    max_position_embeddings: Context
    keys: ClassVar = Keys(
        values={"is_encoder_decoder": (None, True), "is_decoder": OFF},
        idle=named(
            "activation_function add_bias_logits extra_pos_embeddings normalize_embedding num_hidden_layers "
            "scale_embedding static_position_embeddings tie_word_embeddings"
        ),
    )


def build(config: Mapping[str, Any], origin: str, name: str, tokens: int | None) -> Model:
    """The source pass and the target pass of a BART model. Raises InputError for a config that is wrong."""
    read = read_config(BartConfig, config, origin)
    width = read.d_model
    n = context_tokens(origin, tokens, read.max_position_embeddings)
    heads = {"encoder": read.encoder_attention_heads, "decoder": read.decoder_attention_heads}
    over_all = {
        side: attention(count, check_heads(origin, width, count, f"{side}_attention_heads", "d_model"), n)
        for side, count in heads.items()
    }

    def project(at: str, *keys: str) -> list[Linear]:
        return [torch_linear(f"{at}{key}_proj", width, width) for key in keys]

    def halves(side: str, layer: int, inner: int) -> tuple[Half, Half]:
        at = f"{side}.layers.{layer}."
        cache = kept(1, width, n, is_causal=side == "decoder")
        out = project(at + "self_attn.", "out")
        attending = [
            Link("qkv", project(at + "self_attn.", *"qkv")),
            Link("attention_output", out, over_all[side], cache, is_barrier=True),
        ]
        widened = [
            Link("feed_forward_up", [torch_linear(at + "fc1", width, inner)]),
            Link("feed_forward_down", [torch_linear(at + "fc2", inner, width)], [Operation("activation", inner)]),
        ]
        return Half(attending), Half(widened)

    record = Recorder("source")
    encoder = [halves("encoder", layer, read.encoder_ffn_dim) for layer in range(read.encoder_layers)]
    encoded = record.stack("encoder", [Layer(width, each) for each in encoder])
    # Keys and values of all decoder layers read the same vector, so all of them may run at once.
    record.layer = read.encoder_layers
    cross = [f"decoder.layers.{layer}.encoder_attn." for layer in range(read.decoder_layers)]
    keys_and_values = [linear for at in cross for linear in project(at, "k", "v")]
    record.step("decoder.cross_kv", keys_and_values, encoded, normalise_sum(width))

    record.pass_name = "target"
    record.barrier()
    # The source's keys and values are written once, at the end of its pass.
    read_source = CacheUse(2 * width, n, 0, False)
    last: tuple[int, ...] = ()
    for number in range(read.decoder_layers):
        record.layer = read.encoder_layers + number
        attending, widened = halves("decoder", number, read.decoder_ffn_dim)
        over_source = [
            Link("cross_q", project(cross[number], "q")),
            Link("cross_output", project(cross[number], "out"), over_all["decoder"], read_source, is_barrier=True),
        ]
        for half in (attending, Half(over_source), widened):
            last = record.half(f"decoder{number}", last, width, half)
    written = 2 * read.decoder_layers * width
    tails = {"source": Tail((), written, CacheUse(0, 0, written, False)), "target": record.tail(width)}
    unmapped = ["embeddings", "attention scores and values", "layer norms and biases", "language-model head"]
    return record.model(name, config, n, tails, unmapped)
