"""Models of text and more: the language model stands under `text_config`, what else there is is not mapped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from cimsolve.errors import InputError
from cimsolve.files.text import shown_name, shown_value
from cimsolve.model.families.config import Config
from cimsolve.model.families.keys import Keys, named

TEXT_OF: Mapping[str, tuple[str, ...]] = {
    "gemma3": ("gemma3_text",),
    "llama4": ("llama4_text",),
    "mistral3": ("mistral", "ministral3"),
}
"""`model_type` of the whole -> those that its language model may have; the first is that of one which says nothing."""
BESIDE: Mapping[str, str] = {"vision_config": "vision model and its projection", "audio_config": "audio model"}


class WrapperConfig(Config):
    text_config: dict[str, Any]
    keys: ClassVar = Keys(
        idle=named(
            "vision_config audio_config tie_word_embeddings image_token_index image_token_id boi_token_index "
            "eoi_token_index mm_tokens_per_image multimodal_projector_bias projector_hidden_act spatial_merge_size "
            "vision_feature_layer"
        )
    )


class Text(NamedTuple):
    """The language model of a whole, and what stands beside it."""

    config: Mapping[str, Any]
    origin: str
    beside: tuple[str, ...]


def text_within(config: Mapping[str, Any], origin: str) -> Text:
    """The language model within the config of a whole; raises InputError where it is none that is known."""
    inner, known = config.get("text_config"), TEXT_OF[config["model_type"]]
    if not isinstance(inner, dict):
        raise InputError(
            f"{origin}: text_config = {shown_value(inner)}: a {config['model_type']} has its language model there; "
            "expected an object"
        )
    asked = inner.get("model_type", known[0])
    if asked not in known:
        raise InputError(
            f"{origin}: text_config.model_type = {shown_value(asked)}: expected {' or '.join(known)} within a "
            f"{config['model_type']}; give what stands in text_config as a config.json of its own"
        )
    beside = tuple(text for key, text in BESIDE.items() if config.get(key))
    return Text({**inner, "model_type": asked}, f"{shown_name(origin)}: text_config", beside)
