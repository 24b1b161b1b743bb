"""The model families, by the `model_type` of their config; one file a family of equal dataflow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cimsolve.errors import InputError
from cimsolve.files.kinds import MODEL, demand_kind
from cimsolve.files.text import NAME_SHOWN_MAX, shown_name
from cimsolve.model.families import (
    bart,
    bert,
    gemma,
    gpt2,
    hybrids,
    latent,
    linears,
    llama,
    mixtures,
    modernbert,
    parallel,
    states,
    t5,
    vision,
)
from cimsolve.model.families.config import Config, keys_of
from cimsolve.model.families.layers import Family
from cimsolve.model.families.wrapped import TEXT_OF, WrapperConfig, text_within
from cimsolve.model.model import Model

FAMILIES: Mapping[str, Family] = {
    **bert.FAMILIES,
    **modernbert.FAMILIES,
    **gpt2.FAMILIES,
    **bart.FAMILIES,
    **t5.FAMILIES,
    **vision.FAMILIES,
    **llama.FAMILIES,
    **gemma.FAMILIES,
    **parallel.FAMILIES,
    **mixtures.FAMILIES,
    **latent.FAMILIES,
    **states.FAMILIES,
    **hybrids.FAMILIES,
    "linears": Family(linears.build, linears.LinearsConfig),
}
LIST_THEM = (
    'any other model is listed matrix by matrix: {"model_type": "linears", "steps": [{"name": "up", "linears": '
    '[{"name": "up.w", "n_in": 64, "n_out": 256}]}, ...]}'
)


def parse_model(
    config: object, origin: str, name: str, tokens: int | None = None, source_tokens: int | None = None
) -> Model:
    """Build the model that a parsed config describes; `origin` names it in errors."""
    demand_kind(config, MODEL, origin)
    if not isinstance(config, dict):
        raise InputError(f"{origin}: expected a JSON object with the model's config, got {type(config).__name__}")
    if not name or not name.isprintable() or len(name) > NAME_SHOWN_MAX:
        raise InputError(
            f"{origin}: the model's name is '{shown_name(name)}'; expected 1 to {NAME_SHOWN_MAX} visible signs on one "
            "line; a model is called by its file or folder, rename that"
        )
    asked = config.get("model_type")
    families = (*FAMILIES, *TEXT_OF)
    known = f"expected a family that docs/file-formats.md lists, such as bert, gpt2 or llama; {LIST_THEM}"
    if not isinstance(asked, str):
        raise InputError(f"{origin}: model_type: missing or not a string; {known}")
    if asked not in families:
        # A family of a name that only looks alike is another model.
        near = [f" (did you mean {family!r}?)" for family in families if _plain(family) == _plain(asked)]
        parts = [
            f"its {key} is of {config[key]['model_type']}: give that as a config.json of its own; or "
            for key in ("text_config", "vision_config")
            if isinstance(config.get(key), dict) and config[key].get("model_type") in families
        ]
        raise InputError(f"{origin}: model_type: '{shown_name(asked)}'{''.join(near)}: {''.join(parts)}{known}")
    if asked in FAMILIES and FAMILIES[asked].has_source:
        return _parse_family(config, origin, name, tokens, source_tokens)
    if source_tokens is not None:
        raise InputError(f"--source-tokens: {source_tokens}: {origin} has no encoder beside a decoder; leave it out")
    if asked in TEXT_OF:
        return _parse_whole(config, origin, name, tokens)
    return _parse_family(config, origin, name, tokens)


def _parse_family(config: Mapping[str, Any], origin: str, name: str, *tokens: int | None) -> Model:
    family = FAMILIES[config["model_type"]]
    unknown = _unknown_keys(family.config, config, origin)
    return replace(family.build(config, origin, name, *tokens), unknown_keys=unknown)


def _parse_whole(config: Mapping[str, Any], origin: str, name: str, tokens: int | None) -> Model:
    """The language model of a model of text and more."""
    unknown = _unknown_keys(WrapperConfig, config, origin)
    text = text_within(config, origin)
    model = _parse_family(text.config, text.origin, name, tokens)
    return replace(
        model,
        family=config["model_type"],
        config=dict(config),
        unmapped=(*model.unmapped, *text.beside),
        unknown_keys=(*unknown, *(f"text_config.{key}" for key in model.unknown_keys)),
    )


def _unknown_keys(kind: type[Config], config: Mapping[str, Any], origin: str) -> tuple[str, ...]:
    """Keys of which nothing is known; raises InputError for those that ask for another model."""
    read = frozenset(key for field in kind.model_fields for key in keys_of(kind, field))
    kind.keys.demand_known(config, read, origin)
    return kind.keys.unknown(config, read)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
