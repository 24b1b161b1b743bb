"""What families of transformers read of a config.json: sizes, defaults, and what differs from layer to layer.

A family's Config is one of these, or a class of one with what is its own: `renamed` keys, a width of heads where none
is given, a rule of windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import AliasChoices, AliasGenerator, ConfigDict, Field, model_validator

from cimsolve.files.text import shown_value
from cimsolve.model.families.config import TOKENS_MAX, Config, Context, Count, Width, file_key

Share = Annotated[float, Field(ge=0, le=1)]


def renamed(**keys: str) -> ConfigDict:
    """The `model_config` of a Config some of whose fields have other keys in the file: one, or several by spaces."""
    choices = {name: AliasChoices(*text.split()) for name, text in keys.items()}
    return ConfigDict(alias_generator=AliasGenerator(validation_alias=lambda name: choices.get(name, name)))


class LayersConfig(Config):
    """A stack of layers of one width."""

    hidden_size: Width
    num_hidden_layers: Count

    has_all_tokens: ClassVar[bool] = False
    """Whether a sequence is as long as the context, unless it is said how long."""

    @property
    def context(self) -> int:
        """Most tokens that a sequence can have."""
        return TOKENS_MAX

    def window_of(self, layer: int) -> int | None:
        """Most tokens that attention of the layer reads, its own among them; None: all."""
        return None


class HeadsConfig(LayersConfig):
    """Attention of equal heads."""

    num_attention_heads: Count

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values."""
        return self.num_attention_heads

    @property
    def head_width(self) -> int:
        """Width of a head; __init__ has seen to it that the heads divide the layer's."""
        return self.hidden_size // self.num_attention_heads

    @property
    def rotated_width(self) -> int:
        """Elements of each head of Q and K that rotary positions turn, where a layer has them."""
        return 0

    def rotates(self, layer: int) -> bool:
        """Whether the layer has the family's rotary positions."""
        return True

    def _width_is_given(self) -> bool:
        return False

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> Self:
        width, heads = self.hidden_size, self.num_attention_heads
        if width % heads and not self._width_is_given():
            key, width_key = file_key(type(self), "num_attention_heads"), file_key(type(self), "hidden_size")
            raise ValueError(f"{key}: {heads} does not divide {width_key} = {width}; expected a divisor of it")
        return self

    @model_validator(mode="after")
    def _rotary_positions_turn_pairs(self) -> Self:
        turned, whole = self.rotated_width, self.head_width
        if turned % 2:
            what, cause = "the head width", "head_dim, or hidden_size and num_attention_heads"
            if turned != whole:
                what, cause = f"of a head width of {whole} the part with rotary positions,", "that, or the head width"
            raise ValueError(
                f"{what} {turned} is odd: expected an even one, as rotary positions turn pairs; correct {cause}"
            )
        return self


class TransformerConfig(HeadsConfig):
    """Positions that cost nothing beside the embeddings, up to the last of them."""

    max_position_embeddings: Context

    @property
    def context(self) -> int:
        return self.max_position_embeddings


class GroupedConfig(TransformerConfig):
    """Heads of K and V that serve several of Q each; heads of another width than `hidden_size / heads`."""

    num_key_value_heads: Count | None = None
    head_dim: Width | None = None
    head_width_where_absent: ClassVar[int | None] = None
    """None: `hidden_size / heads`."""

    @property
    def kv_heads(self) -> int:
        return self.num_key_value_heads or self.num_attention_heads

    @property
    def head_width(self) -> int:
        return self.head_dim or self.head_width_where_absent or super().head_width

    def _width_is_given(self) -> bool:
        return bool(self.head_dim or self.head_width_where_absent)

    @model_validator(mode="after")
    def _groups_divide_the_heads(self) -> Self:
        if self.num_attention_heads % self.kv_heads:
            heads, groups = (file_key(type(self), f"num_{each}_heads") for each in ("attention", "key_value"))
            raise ValueError(
                f"{groups}: {self.kv_heads} does not divide {heads} = {self.num_attention_heads}; expected a divisor "
                "of it"
            )
        return self


class RotaryConfig(GroupedConfig):
    """Rotary positions: pairs of elements of Q and K are turned."""

    @property
    def rotated_width(self) -> int:
        return self.head_width


class InnerConfig(TransformerConfig):
    """A feed-forward whose width is given."""

    intermediate_size: Width

    @property
    def inner(self) -> int:
        """Width of the feed-forward."""
        return self.intermediate_size


class FourfoldConfig(TransformerConfig):
    """A feed-forward four times as wide as the layer, unless its width is given."""

    intermediate_size: Width | None = None

    @property
    def inner(self) -> int:
        """Width of the feed-forward."""
        return self.intermediate_size or 4 * self.hidden_size


class LayerTypes(LayersConfig):
    """Layers whose attention reads a window, by a rule or as `layer_types` lists them."""

    layer_types: list[str] | None = None
    types_only_confirm: ClassVar[bool] = False
    """Whether the family goes by its rule, so that a list that says otherwise is refused."""
    sliding_types: ClassVar[tuple[str, ...]] = ("sliding_attention",)

    @property
    def window(self) -> int | None:
        """Most tokens that attention reads in the layers with a window."""
        return None

    def slides(self, layer: int) -> bool:
        """Whether the layer has a window, by the rule of the family."""
        return True

    def window_of(self, layer: int) -> int | None:
        slides = self.slides(layer) if self.layer_types is None else self.layer_types[layer] in self.sliding_types
        return self.window if slides else None

    @model_validator(mode="after")
    def _types_fit(self) -> Self:
        types, layers, window = self.layer_types, self.num_hidden_layers, self.window
        known = ("full_attention", *self.sliding_types)
        for each in types or ():
            if each not in known:
                raise ValueError(f"layer_types: {shown_value(each)}: expected {' or '.join(known)}")
        if types is None:
            return self
        said = [each in self.sliding_types for each in types]
        by_rule = [window is not None and self.slides(layer) for layer in range(layers)]
        if len(said) != layers or (any(said) and window is None) or (self.types_only_confirm and said != by_rule):
            raise ValueError(
                f"layer_types: {len(said)}, of which {sum(said)} {self.sliding_types[0]}, do not fit "
                f"num_hidden_layers = {layers} and a window of {shown_value(window)}; "
                f"expected one a layer, {self.sliding_types[0]} in those with a window"
            )
        return self


class PartialRotaryConfig(RotaryConfig):
    """Rotary positions of the first part of each head."""

    partial_rotary_factor: Share | None = None
    share_where_absent: ClassVar[float] = 1.0

    @model_validator(mode="before")
    @classmethod
    def _share_lies_within(cls, config: Any) -> Any:
        return lifted(config, "rope_parameters", "partial_rotary_factor")

    @property
    def rotated_width(self) -> int:
        share = self.share_where_absent if self.partial_rotary_factor is None else self.partial_rotary_factor
        return int(self.head_width * share)


def lifted(config: Any, within: str, key: str) -> Any:
    """The config with a key of the object `within` beside it, where only there is one."""
    inner = config.get(within) if isinstance(config, Mapping) else None
    if not isinstance(inner, Mapping) or key not in inner or key in config:
        return config
    return {**config, key: inner[key]}
