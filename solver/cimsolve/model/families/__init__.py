"""The model families, by the `model_type` of their config; one file a family of equal dataflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cimsolve.errors import InputError
from cimsolve.files.kinds import MODEL, demand_kind
from cimsolve.files.text import near_name
from cimsolve.model.families import bart, bert, gpt2, linears, llama
from cimsolve.model.model import Model

Family = Callable[[Mapping[str, Any], str, str, int | None], Model]

FAMILIES: Mapping[str, Family] = {
    "bert": bert.build,
    "mpnet": bert.build,
    "gpt2": gpt2.build,
    "bart": bart.build,
    "llama": llama.build,
    "mistral": llama.build,
    "qwen2": llama.build,
    "linears": linears.build,
}


def parse_model(config: object, origin: str, name: str, tokens: int | None = None) -> Model:
    """Build the model that a parsed config describes; `origin` names it in errors."""
    demand_kind(config, MODEL, origin)
    if not isinstance(config, dict):
        raise InputError(f"{origin}: expected a JSON object with the model's config, got {type(config).__name__}")
    family = config.get("model_type")
    if not isinstance(family, str):
        raise InputError(f"{origin}: model_type: missing or not a string; expected one of {', '.join(FAMILIES)}")
    if family not in FAMILIES:
        near = near_name(family, FAMILIES, " (did you mean '{}'?)")
        raise InputError(f"{origin}: model_type: {family!r}{near}: expected one of {', '.join(FAMILIES)}")
    return FAMILIES[family](config, origin, name, tokens)
