"""Encoders with a decoder: the passes that all of them have.

The source pass runs the encoder on one source token and prepares its cross-attention keys and values for every
decoder layer; the target pass runs the decoder on one target token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from cimsolve.model.families.config import demand_tokens
from cimsolve.model.families.recorder import Half, Layer, Link, Recorder, normalise_sum
from cimsolve.model.model import SOURCE, CacheUse, Linear, Model, Operation, Tail


class Cross(NamedTuple):
    """Attention of a decoder layer to the source: Q of the target, K and V that the source pass leaves, and out."""

    query: Linear
    keys_and_values: Sequence[Linear]
    out: Linear
    work: Sequence[Operation]
    source_tokens: int


class DecoderLayer(NamedTuple):
    """Self-attention, attention to the source, and feed-forward."""

    attention: Half
    cross: Cross
    feed_forward: Half


def two_passes(
    record: Recorder,
    width: int,
    encoder: Sequence[Layer],
    decoder: Sequence[DecoderLayer],
    begun: Sequence[int] = (),
) -> Mapping[str, Tail]:
    """Record the source pass, of which the steps `begun` are there already, and the target pass; their tails."""
    encoded = record.stack("encoder", encoder, begun)
    # Keys and values of all decoder layers read the same vector, so all of them may run at once.
    record.layer = len(encoder)
    prepared = [linear for layer in decoder for linear in layer.cross.keys_and_values]
    record.step("decoder.cross_kv", prepared, encoded, normalise_sum(width))
    written = sum(linear.n_out for linear in prepared)
    record.pass_name = "target"
    record.barrier()
    last: tuple[int, ...] = ()
    for number, layer in enumerate(decoder):
        record.layer = len(encoder) + number
        for half in (layer.attention, _over_source(layer.cross), layer.feed_forward):
            last = record.half(f"decoder{number}", last, width, half)
    return {SOURCE: Tail((), written, CacheUse(0, 0, written, False)), "target": record.tail(width)}


def _over_source(cross: Cross) -> Half:
    # The source's keys and values are written once, at the end of its pass.
    read_source = CacheUse(sum(linear.n_out for linear in cross.keys_and_values), cross.source_tokens, 0, False)
    return Half(
        [
            Link("cross_q", [cross.query]),
            Link("cross_output", [cross.out], cross.work, read_source, is_barrier=True),
        ]
    )


class Lengths(NamedTuple):
    """Tokens of the source and of the target."""

    source: int
    target: int

    @staticmethod
    def of(origin: str, source_tokens: int | None, target: int, context: int, usual: int | None = None) -> Lengths:
        """As many of the source as are asked for, of a model with `context` there; else the `usual`, or as many."""
        asked = (usual or target) if source_tokens is None else source_tokens
        return Lengths(demand_tokens("--source-tokens", origin, asked, context), target)


def model_of(
    record: Recorder, name: str, config: Mapping[str, Any], lengths: Lengths, tails: Mapping[str, Tail], norms: str
) -> Model:
    """The model of what is recorded; what is not mapped is the same in all of them."""
    unmapped = ["embeddings", "attention scores and values", norms, "language-model head"]
    model = record.model(name, config, lengths.target, tails, unmapped)
    return replace(model, source_tokens=lengths.source)
