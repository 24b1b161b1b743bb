"""Encoders of BERT's form: each half is normalised after its sum, and attention sees all tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from cimsolve.model.families.config import Count, Width
from cimsolve.model.families.keys import OFF, Keys, named
from cimsolve.model.families.layers import (
    LayerNames,
    Traits,
    attention_half,
    begun,
    feed_forward_half,
    stacked,
    transformer,
)
from cimsolve.model.families.recorder import Half, Layer, Link, torch_linear
from cimsolve.model.families.sizes import InnerConfig, renamed
from cimsolve.model.model import Operation

BERT_KEYS = Keys(
    forward={"is_decoder": OFF, "is_causal": OFF},
    idle=named("hidden_act layer_norm_eps relative_attention_num_buckets tie_word_embeddings output_past"),
)


class BertConfig(InnerConfig):
    keys: ClassVar = BERT_KEYS


class RobertaConfig(InnerConfig):
    """Positions are counted from the one behind that of padding."""

    pad_token_id: Annotated[int, Field(strict=True, ge=0)] = 1
    keys: ClassVar = BERT_KEYS

    @property
    def context(self) -> int:
        return max(1, self.max_position_embeddings - self.pad_token_id - 1)


class MpnetConfig(BertConfig):
    """Positions as of RoBERTa, whatever stands for padding, and a bias of relative ones in the scores."""

    @property
    def context(self) -> int:
        return max(1, self.max_position_embeddings - 2)


class ElectraConfig(BertConfig):
    embedding_size: Width | None = None
    keys: ClassVar = BERT_KEYS.also("summary_last_dropout")

    @property
    def is_projected(self) -> bool:
        """Whether embeddings are of another width than layers."""
        return self.embedding_size not in (None, self.hidden_size)


class AlbertConfig(InnerConfig):
    """Groups of `inner_group_num` layers, each of which a token goes through several times before the next."""

    embedding_size: Width = 128
    num_hidden_groups: Count = 1
    inner_group_num: Count = 1
    keys: ClassVar = BERT_KEYS.also(
        "classifier_dropout_prob down_scale_factor gap_size net_structure_type num_memory_blocks"
    )

    @model_validator(mode="after")
    def _each_group_has_a_lap(self) -> Self:
        if self.num_hidden_groups > self.num_hidden_layers:
            raise ValueError(
                f"num_hidden_groups: {self.num_hidden_groups} is more than num_hidden_layers = "
                f"{self.num_hidden_layers}; expected as many or fewer"
            )
        return self


class DistilBertConfig(InnerConfig):
    model_config = renamed(
        hidden_size="dim", num_hidden_layers="n_layers", num_attention_heads="n_heads", intermediate_size="hidden_dim"
    )
    keys: ClassVar = Keys(
        idle=named(
            "activation output_past qa_dropout seq_classif_dropout sinusoidal_pos_embds tie_weights_ "
            "tie_word_embeddings"
        )
    )


class DebertaConfig(InnerConfig):
    """Scores of contents with relative positions, both ways, beside those of contents."""

    relative_attention: bool = False
    pos_att_type: frozenset[Literal["c2p", "p2c"]] = frozenset()
    position_buckets: Annotated[int, Field(strict=True, ge=-1, le=2**20)] = -1
    max_relative_positions: Annotated[int, Field(strict=True, ge=-1, le=2**20)] = -1
    share_att_key: bool = False
    keys: ClassVar = Keys(
        values={"conv_kernel_size": OFF},
        idle=named(
            "attention_head_size hidden_act layer_norm_eps legacy norm_rel_ebd pooler_dropout pooler_hidden_act "
            "pooler_hidden_size position_biased_input tie_word_embeddings"
        ),
    )

    @field_validator("pos_att_type", mode="before")
    @classmethod
    def _kinds_are_listed(cls, value: Any) -> Any:
        return value.lower().split("|") if isinstance(value, str) else value or ()

    @property
    def position_scores(self) -> int:
        """Kinds of scores with positions: of a query's content, of a key's, or both."""
        return len(self.pos_att_type) if self.relative_attention else 0

    @property
    def positions_seen(self) -> int:
        """Relative positions that each content is multiplied with."""
        farthest = self.max_position_embeddings if self.max_relative_positions < 1 else self.max_relative_positions
        return 2 * (self.position_buckets if self.position_buckets > 0 else farthest)


BERT_NAMES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "o": "attention.output.dense",
}
ALBERT_NAMES = {
    part: f"attention.{name}" for part, name in zip("qkvo", ("query", "key", "value", "dense"), strict=True)
}
MPNET_NAMES = {"q": "attention.attn.q", "k": "attention.attn.k", "v": "attention.attn.v", "o": "attention.attn.o"}
DISTILBERT_NAMES = {part: f"attention.{name}_lin" for part, name in zip("qkvo", ("q", "k", "v", "out"), strict=True)}
DEBERTA_NAMES = {
    "q": "attention.self.query_proj",
    "k": "attention.self.key_proj",
    "v": "attention.self.value_proj",
    "o": "attention.output.dense",
}


def names_of(
    at: str, attention: Mapping[str, str], up: str = "intermediate.dense", down: str = "output.dense"
) -> LayerNames:
    """Q, K and V in tensors of their own, and a feed-forward without a gate."""
    return LayerNames(at, {attention[part]: part for part in "qkv"}, attention["o"], {up: "up"}, down)


BERT = names_of("encoder.layer.{}.", BERT_NAMES)
ALBERT = names_of("", ALBERT_NAMES, "ffn", "ffn_output")
DEBERTA = names_of("encoder.layer.{}.", DEBERTA_NAMES)
DISTILBERT = names_of("transformer.layer.{}.", DISTILBERT_NAMES, "ffn.lin1", "ffn.lin2")
ENCODER = Traits(is_causal=False)
BIASED = Traits(is_causal=False, has_biased_scores=True)
NORMS = "layer norms and biases"
HEAD = "pooler and task head"


def _electra_layer(read: ElectraConfig, layer: int, tokens: int) -> Layer:
    attention = attention_half(read, BERT, ENCODER, layer, tokens)
    if layer == 0 and read.is_projected:
        projection = torch_linear("embeddings_project", read.embedding_size or 0, read.hidden_size)
        attention = begun(attention, Link("embeddings_project", [projection]), ())
    return Layer(read.hidden_size, (attention, feed_forward_half(read, BERT, ENCODER, layer, read.inner)))


def _albert_layer(read: AlbertConfig, lap: int, tokens: int) -> Layer:
    """One lap of a group: its tensors are those of the laps before it."""
    halves: list[Half] = []
    for inner in range(read.inner_group_num):
        at = f"encoder.albert_layer_groups.{lap * read.num_hidden_groups // read.num_hidden_layers}"
        names = ALBERT._replace(at=f"{at}.albert_layers.{inner}.")
        pair = attention_half(read, names, ENCODER, 0, tokens), feed_forward_half(read, names, ENCODER, 0, read.inner)
        prefix = f"inner{inner}." if read.inner_group_num > 1 else ""
        halves += [
            half._replace(links=[link._replace(name=prefix + link.name) for link in half.links]) for half in pair
        ]
    if lap == 0:
        name = "encoder.embedding_hidden_mapping_in"
        projection = torch_linear(name, read.embedding_size, read.hidden_size)
        halves[0] = begun(halves[0], Link("embeddings_project", [projection]), ())
    return Layer(read.hidden_size, halves)


def _deberta_layer(read: DebertaConfig, layer: int, tokens: int) -> Layer:
    links, after = attention_half(read, DEBERTA, ENCODER, layer, tokens)
    heads, kinds = read.num_attention_heads, read.position_scores
    positions = [
        Operation("attention_mac", kinds * read.hidden_size * read.positions_seen),
        Operation("add", kinds * heads * tokens),
    ]
    qkv, out = links
    out = out._replace(operations=(*out.operations, *(positions if kinds else ())))
    return Layer(
        read.hidden_size, (Half([qkv, out], after), feed_forward_half(read, DEBERTA, ENCODER, layer, read.inner))
    )


def _unmapped(read: Any) -> tuple[str, ...]:
    return "embeddings", "attention scores and values", NORMS, HEAD


def _deberta_unmapped(read: DebertaConfig) -> tuple[str, ...]:
    positions = "projections of relative positions, which are the same for all tokens and computed once"
    return *_unmapped(read), *((positions,) if read.position_scores else ())


FAMILIES = {
    "bert": transformer(BertConfig, BERT, ENCODER, NORMS, HEAD),
    "mpnet": transformer(MpnetConfig, names_of("encoder.layer.{}.", MPNET_NAMES), BIASED, NORMS, HEAD),
    "roberta": transformer(RobertaConfig, BERT, ENCODER, NORMS, HEAD),
    "xlm-roberta": transformer(RobertaConfig, BERT, ENCODER, NORMS, HEAD),
    "camembert": transformer(RobertaConfig, BERT, ENCODER, NORMS, HEAD),
    "electra": stacked(ElectraConfig, _electra_layer, _unmapped),
    "albert": stacked(AlbertConfig, _albert_layer, _unmapped),
    "distilbert": transformer(DistilBertConfig, DISTILBERT, ENCODER, NORMS, HEAD),
    "deberta-v2": stacked(DebertaConfig, _deberta_layer, _deberta_unmapped),
}
