"""Encoders of images: a token is a patch, which one matrix embeds, or one of the model's own beside them."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from cimsolve.model.families.config import Width
from cimsolve.model.families.keys import Keys, named
from cimsolve.model.families.layers import (
    Family,
    LayerNames,
    Traits,
    attention_half,
    begun,
    feed_forward_half,
    stacked,
)
from cimsolve.model.families.recorder import Half, Layer, Link, normalise_sum, torch_linear
from cimsolve.model.families.sizes import HeadsConfig
from cimsolve.model.model import Operation

VISION_KEYS = Keys(
    idle=named(
        "encoder_stride hidden_act initializer_factor layer_norm_eps pooler_act pooler_output_size projection_dim "
        "qkv_bias vision_use_head"
    )
)


class ImagesConfig(HeadsConfig):
    """An image of so many patches, all of which attend to each other."""

    has_all_tokens = True
    own_tokens: ClassVar[int] = 1
    """Tokens beside the patches: of the class, of distillation."""
    image_size: Width
    patch_size: Width
    num_channels: Width = 3
    keys: ClassVar = VISION_KEYS

    @property
    def context(self) -> int:
        return (self.image_size // self.patch_size) ** 2 + self.own_tokens

    @property
    def patch_elements(self) -> int:
        """Elements of a patch in all channels."""
        return self.num_channels * self.patch_size**2

    @model_validator(mode="after")
    def _a_patch_lies_within_the_image(self) -> Self:
        if self.patch_size > self.image_size:
            raise ValueError(f"patch_size: {self.patch_size} is more than image_size = {self.image_size}")
        return self


class VitConfig(ImagesConfig):
    intermediate_size: Width

    @property
    def inner(self) -> int:
        return self.intermediate_size


class DeitConfig(VitConfig):
    own_tokens = 2


class SiglipConfig(VitConfig):
    own_tokens = 0


class Dinov2Config(ImagesConfig):
    mlp_ratio: Annotated[float, Field(gt=0, le=64)] = 4
    use_swiglu_ffn: bool = False
    keys: ClassVar = VISION_KEYS.also(
        "apply_layernorm drop_path_rate layerscale_value out_features out_indices reshape_hidden_states stage_names "
        "use_mask_token"
    )

    @property
    def inner(self) -> int:
        wide = int(self.hidden_size * self.mlp_ratio)
        return -(-int(wide * 2 / 3) // 8) * 8 if self.use_swiglu_ffn else wide


VIT_ATTENTION = {f"attention.attention.{name}": name[0] for name in ("query", "key", "value")}
VIT = LayerNames(
    "encoder.layer.{}.", VIT_ATTENTION, "attention.output.dense", {"intermediate.dense": "up"}, "output.dense"
)
DINOV2 = VIT._replace(up={"mlp.fc1": "up"}, down="mlp.fc2")
DINOV2_GATED = VIT._replace(up={"mlp.weights_in": "gate up"}, down="mlp.weights_out")
CLIP = LayerNames(
    "encoder.layers.{}.",
    {f"self_attn.{part}_proj": part for part in "qkv"},
    "self_attn.out_proj",
    {"mlp.fc1": "up"},
    "mlp.fc2",
)
VIT_PATCHES = "embeddings.patch_embeddings.projection"
CLIP_PATCHES = "embeddings.patch_embedding"
ALL_AT_ONCE = Traits(is_causal=False)


def _family(
    config: type[ImagesConfig],
    names: LayerNames,
    patches: str,
    gated: LayerNames | None = None,
    has_norm_before: bool = False,
    has_scales: bool = False,
) -> Family:
    """Layers after the embedding of patches, `gated` where the config says so.

    `has_norm_before`: embeddings are normalised before the first layer; `has_scales`: halves are scaled element by
    element before they are added.
    """

    def layer_of(read: Any, layer: int, tokens: int) -> Layer:
        own = gated if gated is not None and read.use_swiglu_ffn else names
        width = read.hidden_size
        attention = attention_half(read, own, ALL_AT_ONCE, layer, tokens)
        if layer == 0:
            embedding = Link("patches", [torch_linear(patches, read.patch_elements, width)])
            norm = (Operation("layer_norm", width),) if has_norm_before else ()
            attention = begun(attention, embedding, (*normalise_sum(width), *norm))
        scale = (Operation("multiply", width),) if has_scales else ()
        halves = attention, feed_forward_half(read, own, ALL_AT_ONCE, layer, read.inner)
        return Layer(width, [Half(half.links, (*scale, *half.after)) for half in halves])

    def unmapped(read: Any) -> tuple[str, ...]:
        return "positions and tokens beside the patches", "attention scores and values", "norms and biases", "head"

    def notes(read: Any) -> tuple[str, ...]:
        few = f"the {read.own_tokens} of {read.context} tokens that are no patches"
        return (f"the embedding of patches is counted for {few} too",) if read.own_tokens else ()

    return stacked(config, layer_of, unmapped, notes)


FAMILIES = {
    "vit": _family(VitConfig, VIT, VIT_PATCHES),
    "deit": _family(DeitConfig, VIT, VIT_PATCHES),
    "dinov2": _family(Dinov2Config, DINOV2, VIT_PATCHES, DINOV2_GATED, has_scales=True),
    "siglip_vision_model": _family(SiglipConfig, CLIP, CLIP_PATCHES),
    "clip_vision_model": _family(VitConfig, CLIP, CLIP_PATCHES, has_norm_before=True),
}
